"""`sharpwave datasets`: public data sets by name, what they are, and how to get them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpwave.errors import SharpwaveError

app = typer.Typer(no_args_is_help=True, help="Public data sets by name: what they are, and how to get them.")


@app.command("list")
def list_datasets() -> None:
    """List the data sets: name, contents, whether it is on this machine, licence and source."""
    from rich.console import Console
    from rich.table import Table

    from sharpwave.recordings.datasets import DATASETS, find_folder

    table = Table("name", "what", "here", "licence", "source", box=None)
    for name, dataset in DATASETS.items():
        try:
            find_folder(name)
            here = f"{count_subjects(name)} subjects" if dataset.loader else "yes"
        except SharpwaveError:
            here = "–"
        table.add_row(name, dataset.what, here, dataset.licence, dataset.source)
    Console().print(table)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A name from `sharpwave datasets list`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder that holds data sets [default: the user's cache].")
    ] = None,
) -> None:
    """Get a data set: copied from the folder SHARPWAVE_DATA, or downloaded from its source."""
    from sharpwave.recordings.datasets import fetch_dataset

    typer.echo(f"Data set: {fetch_dataset(name, output)}")


def count_subjects(name: str) -> int:
    """Subjects of a data set on this machine; 0 where it is not here or holds no recordings."""
    from sharpwave.recordings.datasets import list_subjects

    try:
        return len(list_subjects(name))
    except SharpwaveError:
        return 0
