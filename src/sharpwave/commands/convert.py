"""`sharpwave convert`: recordings into stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import name_source, unique_names
from sharpwave.commands.options import Overwrite


def convert(
    sources: Annotated[list[str], typer.Argument(help="Recordings to convert.", metavar="FILE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Store to write (.zarr), or a folder for several.")],
    overwrite: Overwrite = False,
) -> None:
    """Write recordings as chunked Zarr stores: they open at once, read lazily, and hold days to years."""
    for path in convert_to_stores(sources, output, overwrite=overwrite):
        typer.echo(f"Store: {path}")


def convert_to_stores(sources: Sequence[str], output: Path, *, overwrite: bool) -> list[Path]:
    """Convert recordings, one store each, with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    from sharpwave.night.options import DecodeOptions, open_source
    from sharpwave.recordings.store import write_store

    names = unique_names([name_source(source) for source in sources])
    alone = len(sources) == 1 and output.suffix == ".zarr"
    paths = []
    tasks = list(zip(sources, names, strict=True))
    for source, name in track(tasks, "Converting", console=Console(stderr=True), transient=True):
        target = output if alone else output / f"{name}.zarr"
        target.parent.mkdir(parents=True, exist_ok=True)
        paths.append(write_store(open_source(source, DecodeOptions()), target, overwrite=overwrite))
    return paths
