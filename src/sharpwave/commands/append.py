"""`sharpwave append`: a recording that goes on, day by day, in one store."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpwave.commands.options import with_options
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.remote import RemotePath, check_writable, locate

if TYPE_CHECKING:
    from sharpwave.recordings import Recording


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
    time_zone: Annotated[
        str | None,
        typer.Option(help="Time zone whose summer time the files' clocks follow, such as Europe/Berlin."),
    ] = None,
) -> None:
    """Append recordings to a store that grows for days to years.

    - `sharpwave append year.zarr today.edf`

    Each must begin where the store ends. A run that is stopped leaves the store as it was.
    """
    for file in files:
        append_source(locate(store), file, options, time_zone=time_zone)
        typer.echo(f"{show_path(file)} → {show_path(store)}")


def append_source(store: Path, source: str, options: DecodeOptions, *, time_zone: str | None = None) -> None:
    """Append one recording, or begin the store with it.

    Args:
        store: The store; made where there is none.
        source: Path of the recording, or a data set by name.
        options: How to read it.
        time_zone: Name of the zone whose summer time the files' clocks follow; None for clocks that are never set.

    Raises:
        SharpwaveError: If it does not fit, or the store is none of ours.
    """
    from sharpwave.recordings.store import append_store, open_store, write_store
    from sharpwave.recordings.store.write import is_store

    if isinstance(store, RemotePath):
        check_writable(store)
    elif store.suffix != ".zarr":
        raise SharpwaveError("a store whose name ends in .zarr", got=show_path(store), fix="name it STORE.zarr first")
    recording = open_source(source, options)
    if time_zone is not None and is_store(store):  # not where a beginning was stopped: that is begun again
        recording = follow_clock(recording, open_store(store), time_zone)
    if isinstance(store, RemotePath) or store.exists():
        append_store(store, recording)
    else:
        write_store(recording, store)


def follow_clock(recording: Recording, store: Recording, time_zone: str) -> Recording:
    """The recording with its start on the store's clock, which runs on from the store's start and is never set.

    Args:
        recording: What is to be appended.
        store: What is there.
        time_zone: Zone of both clocks.

    Raises:
        SharpwaveError: If there is no such zone.
    """
    from sharpwave.night.days import DayClock

    begin = DayClock(store.start, time_zone).read(0.0)
    if begin is None or store.start is None or recording.start is None:
        return recording
    clocks = (DayClock(recording.start.replace(fold=fold), time_zone).read(0.0) for fold in (0, 1))
    # In autumn a time comes twice: the one that fits.
    passed = [(clock.astimezone(UTC) - begin.astimezone(UTC)).total_seconds() for clock in clocks if clock is not None]
    best = min(passed, key=lambda seconds: abs(seconds - store.duration))
    return replace(recording, start=store.start + timedelta(seconds=best))
