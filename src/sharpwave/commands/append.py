"""`sharpwave append`: a recording that goes on, day by day, in one store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.options import with_options
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.remote import RemotePath, check_writable, locate


@with_options
def append(
    store: Annotated[
        str,
        typer.Argument(
            help="Store to append to, or its address (s3://, gs://); made from the first recording if not there.",
        ),
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
        append_source(locate(store), file, options)
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

    if isinstance(store, RemotePath):
        check_writable(store)
    elif store.suffix != ".zarr":
        raise SharpwaveError("a store whose name ends in .zarr", got=show_path(store), fix="name it STORE.zarr first")
    recording = open_source(source, options)
    if isinstance(store, RemotePath) or store.exists():
        append_store(store, recording)
    else:
        write_store(recording, store)
