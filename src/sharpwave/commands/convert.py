"""`sharpwave convert`: recordings into stores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.inputs import compute_key, name_sources
from sharpwave.commands.options import Overwrite, with_options
from sharpwave.commands.progress import say
from sharpwave.disk import explain_error, show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.outputs import check_folder


@with_options
def convert(
    sources: Annotated[list[str], typer.Argument(help="Recordings to convert.", metavar="FILE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Store to write (.zarr), or a folder for several.")],
    overwrite: Overwrite = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Go on where an earlier run stopped: skip stores that were written from the same input.",
        ),
    ] = False,
    *,
    options: Annotated[DecodeOptions, "aliases", "unit", "rate"],
) -> None:
    """Write recordings as chunked Zarr stores: they open at once, read lazily, and hold days to years.

    - `sharpwave convert night.edf -o night.zarr`
    - `sharpwave convert *.edf -o stores --skip-existing` goes on where an earlier run stopped
    """
    say(f"Converting {len(sources)} recording{'s' * (len(sources) > 1)} ...")
    stores = convert_to_stores(sources, output, overwrite=overwrite, skip_existing=skip_existing, options=options)
    for path in stores:
        typer.echo(f"Store: {path}")


def convert_to_stores(
    sources: Sequence[str],
    output: Path,
    *,
    overwrite: bool,
    skip_existing: bool = False,
    options: DecodeOptions | None = None,
) -> list[Path]:
    """Convert recordings, one store each, with a progress bar on stderr.

    Args:
        sources: Recordings, as paths or data sets by name.
        output: The store, for one source and a name that ends in .zarr; else the folder of the stores.
        overwrite: Whether all earlier stores are replaced.
        skip_existing: Whether stores that were written from the same input, version and options are skipped, and
            other stores replaced.
        options: How to read the recordings; the defaults where omitted.

    Returns:
        The stores, in the order of their sources.

    Raises:
        SharpwaveError: If one cannot be read or written; the others are converted first.
    """
    from rich.console import Console
    from rich.progress import track

    from sharpwave.recordings.store.write import check_store_path

    options = options or DecodeOptions()
    names = name_sources(sources)
    alone = len(sources) == 1 and output.suffix == ".zarr"
    targets = [output if alone else output / f"{name}.zarr" for name in names]
    for target in targets:
        check_store_path(target, overwrite=overwrite or skip_existing)
        check_folder(target, owns=Path.is_dir)
    tasks = list(zip(sources, targets, strict=True))
    failed: list[str] = []
    for source, target in track(tasks, "Converting", console=Console(stderr=True), transient=True):
        try:
            _convert(source, target, options, skip=skip_existing and not overwrite)
        except Exception as error:  # one bad recording leaves the others
            if len(sources) == 1:
                raise
            failed.append(f"{show_path(source)}: {explain_error(error, target) or error}")
    if failed:
        raise SharpwaveError(
            f"{len(sources)} recordings that can be converted",
            got=f"{len(failed)} that cannot: " + "; ".join(failed),
            fix="convert these again with --skip-existing; the other stores are written",
        )
    return targets


def _convert(source: str, target: Path, options: DecodeOptions, *, skip: bool) -> None:
    from sharpwave.night.options import open_source
    from sharpwave.recordings.store.write import is_written_from, write_store

    key = compute_key(source, options)
    if skip and is_written_from(target, key):
        return
    write_store(open_source(source, options), target, overwrite=True, resume=True, key=key)
