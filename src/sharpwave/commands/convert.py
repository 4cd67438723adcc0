"""`sharpwave convert`: recordings into stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.inputs import name_sources
from sharpwave.commands.options import Overwrite
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import check_folder


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
    from sharpwave.recordings.store.write import check_store_path, write_store

    names = name_sources(sources)
    alone = len(sources) == 1 and output.suffix == ".zarr"
    paths = []
    targets = [output if alone else output / f"{name}.zarr" for name in names]
    for target in targets:
        check_store_path(target, overwrite=overwrite)
        check_folder(target, owns=Path.is_dir)
    tasks = list(zip(sources, targets, strict=True))
    failed: list[str] = []
    for source, target in track(tasks, "Converting", console=Console(stderr=True), transient=True):
        try:
            paths.append(write_store(open_source(source, DecodeOptions()), target, overwrite=overwrite))
        except SharpwaveError as error:  # one bad recording leaves the others
            if len(sources) == 1:
                raise
            failed.append(f"{source}: {error}")
    if failed:
        raise SharpwaveError(
            f"{len(sources)} recordings that can be converted",
            got=f"{len(failed)} that cannot: " + "; ".join(failed),
            fix="convert these again; the other stores are written",
        )
    return paths
