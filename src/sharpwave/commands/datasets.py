"""`sharpwave datasets`: public data sets by name, what they are, and how to get them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.rules import checked
from sharpwave.errors import SharpwaveError

app = typer.Typer(no_args_is_help=True, help="Public data sets by name: what they are, and how to get them.")


@app.command("list")
@checked
def list_datasets(
    json_lines: Annotated[bool, typer.Option("--json", help="One line of JSON for each data set.")] = False,
) -> None:
    """List the data sets: name, contents, whether it is on this machine, licence and source; nothing is cut off.

    - `sharpwave datasets list`
    - `sharpwave datasets list --json | jq -r .name`
    """
    from sharpwave.recordings.datasets import DATASETS, find_folder

    for name, dataset in DATASETS.items():
        subjects, here = None, True
        try:
            find_folder(name)
            subjects = count_subjects(name) if dataset.loader else None
        except SharpwaveError:
            here = False
        if json_lines:
            facts = {"name": name, "what": dataset.what, "here": here, "subjects": subjects}
            typer.echo(json.dumps(facts | {"licence": dataset.licence, "source": dataset.source}, ensure_ascii=False))
            continue
        where = "not here" if not here else "here" if subjects is None else f"here, {subjects} subjects"
        typer.echo(f"{name} ({where})")
        for line in (dataset.what, f"Licence: {dataset.licence}", f"Source: {dataset.source}"):
            typer.echo(f"    {line}")


@app.command()
@checked
def fetch(
    name: Annotated[str, typer.Argument(help="A name from `sharpwave datasets list`.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder that holds data sets [default: the user's cache].")
    ] = None,
) -> None:
    """Get a data set: copied from the folder SHARPWAVE_DATA, or downloaded from its source.

    - `sharpwave datasets fetch dod`, then `sharpwave decode dod/NAME` with one of its subjects
    """
    from sharpwave.recordings.datasets import fetch_dataset

    typer.echo(f"Data set: {fetch_dataset(name, output)}")


def count_subjects(name: str) -> int:
    """Subjects of a data set on this machine; 0 where it is not here or holds no recordings."""
    from sharpwave.recordings.datasets import list_subjects

    try:
        return len(list_subjects(name))
    except SharpwaveError:
        return 0
