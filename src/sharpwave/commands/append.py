"""`sharpwave append`: a recording that goes on, day by day, in one store."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.options import with_options
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source


@with_options
def append(
    store: Annotated[
        Path, typer.Argument(help="Store to append to; made from the first recording where there is none.")
    ],
    files: Annotated[list[str], typer.Argument(help="What follows, in order.", metavar="FILE...")],
    *,
    options: Annotated[DecodeOptions, "aliases", "unit", "rate"],
) -> None:
    """Append recordings to a store that grows for days to years.

    - `sharpwave append year.zarr today.edf`

    Each must begin where the store ends. A run that is stopped leaves the store as it was.
    """
    for file in files:
        append_source(store, file, options)
        typer.echo(f"{show_path(file)} → {show_path(store)}")


def append_source(store: Path, source: str, options: DecodeOptions) -> None:
    """Append one recording, or begin the store with it.

    Args:
        store: The store; made where there is none.
        source: Path of the recording, or a data set by name.
        options: How to read it.

    Raises:
        SharpwaveError: If it does not fit, or the store is none of ours.
    """
    from sharpwave.recordings.store import append_store, write_store

    if re.match(r"[a-z0-9]+:/", show_path(store)):
        raise SharpwaveError(
            "a store on a disk to append to",
            got=f"{show_path(store)}, an address, which is only read from",
            fix="append to a copy on a disk, and upload that; recordings to append may lie behind an address",
        )
    if store.suffix != ".zarr":
        raise SharpwaveError("a store whose name ends in .zarr", got=show_path(store), fix="name it STORE.zarr first")
    recording = open_source(source, options)
    if store.exists():
        append_store(store, recording)
    else:
        write_store(recording, store)
