"""Append a recording to a store: whole shards and a tail, and one small file at the end that makes them count.

New samples are written behind the old ones; the last shard, where it was not full, is replaced by one that begins with
the same samples. The store's head says how many samples count, and it is replaced last, in one step: whoever opens the
store before sees what was there, however far the writing went when it was stopped. Behind an address the same is done
through `bucket.py`.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import pandas as pd

from sharpwave import remote
from sharpwave.disk import explaining, lock_folder, show_path, sync, sync_names
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.store import bucket
from sharpwave.recordings.store.layout import encode_json, open_to_write
from sharpwave.recordings.store.open import open_store
from sharpwave.recordings.store.write import Progress, describe_recording, write_array, write_table
from sharpwave.remote import RemotePath, locate

TABLES = r"(events|hypnogram)(-\d{1,9})?"
TOLERANCE = 1.0
"""Seconds by which a recording may begin earlier or later than the store ends: clocks of files have whole seconds."""


def append_store(path: str | Path, recording: Recording, *, progress: Progress | None = None) -> Path:
    """Append a recording to the end of a store, as if both had been written at once.

    Args:
        path: Folder of the store, or its address (`s3://`, `gs://`), where the store is made if there is none.
        recording: What follows: the same signals, from the store's end on.
        progress: Function that is called after each piece; None calls nothing.

    Returns:
        `path`.

    Raises:
        SharpwaveError: If the recording does not fit, does not begin where the store ends, or another process appends.
        MissingExtraError: If zarr is not installed, or obstore for an address.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.recordings import MODALITIES, write_store
    >>> first, next_day = (
    ...     Recording({"eeg": Signal("eeg", np.arange(n, n + 3.0), 1.0, MODALITIES["eeg"])}) for n in (0, 3)
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     path = write_store(first, Path(folder) / "year.zarr")
    ...     open_store(append_store(path, next_day))["eeg"].read().tolist()
    [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    """
    path = locate(path)
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("zarr", extra="brain") from error
    if isinstance(path, RemotePath):
        return _append_to_address(path, recording, progress)
    store = open_store(path)
    lock = lock_folder(path)
    if lock is None and os.name == "posix":
        raise SharpwaveError(
            f"one process that writes {show_path(path.name)}", got="another one", fix="wait for it, and append again"
        )
    try:
        with explaining(path):
            store = open_store(path)  # again: it is ours only now
            group, place = zarr.open_group(str(path), mode="r+", zarr_format=3), _Folder(path)
            if lock is not None:
                place.tidy(cast(dict, group.attrs["sharpwave"]))
            append_parts(group, place, store, recording, progress)
    finally:
        if lock is not None:
            os.close(lock)
    return path


def _append_to_address(path: RemotePath, recording: Recording, progress: Progress | None) -> RemotePath:
    """Append a recording to a store in a bucket, or begin the store with it."""
    remote.check_writable(path)
    path.open_bucket()  # says so where obstore is missing
    remote.forget(path)
    with bucket.explaining(path):
        found = bucket.Objects(path)
        head = found.read_head()
        if head is not None and "sharpwave" in head["attributes"]:
            check_fit(open_store(path), recording)  # before anything is changed
        elif found.versions if head is None else set(head["attributes"]) != {bucket.CLAIM}:
            raise SharpwaveError(
                "a store of a recording, or an address with nothing behind it",
                got=f"{path}, where something else lies",
                fix="give another address",
            )
        objects = found.claim(head)
        if head is None or "sharpwave" not in head["attributes"]:
            bucket.begin_store(objects, path, recording, progress)
        else:
            import zarr

            remote.forget(path)
            group = zarr.open_group(objects.open_to_write(), mode="r+", zarr_format=3)
            append_parts(group, objects, open_store(path), recording, progress)
        objects.tidy()
    remote.forget(path)
    return path


class Place(Protocol):
    """Where a store lies, and what Zarr's group of it does not do."""

    def list_names(self) -> Collection[str]:
        """Names of what lies in the store."""

    def settle(self) -> None:
        """Bring what was written to where it stays; the head is replaced after that."""

    def remove(self, name: str) -> None:
        """Remove a table that no head names any more."""


class _Folder:
    """A store on a disk."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def list_names(self) -> Collection[str]:
        return os.listdir(self.path)

    def settle(self) -> None:
        sync(self.path)

    def tidy(self, header: dict) -> None:
        """Remove what processes that died have left: files half written, and tables that the head does not name."""
        places = {name: header.get("places", {}).get(name, name) for name in ("events", "hypnogram")}
        for name in self.list_names():
            if re.fullmatch(TABLES, name) and name not in places.values():
                self.remove(name)
        for file in self.path.rglob("*.partial"):
            file.unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        sync_names(self.path)  # first the head that does not name it
        shutil.rmtree(self.path / name, ignore_errors=True)


def append_parts(
    group: Any, place: Place, store: Recording, recording: Recording, progress: Progress | None = None
) -> None:
    """Write samples, then tables, then the head, of a store that is this process's alone.

    Args:
        group: The Zarr group of the store, to write to.
        place: Where it lies.
        store: What the store holds.
        recording: What follows.
        progress: Function that is called after each piece; None calls nothing.

    Raises:
        SharpwaveError: If the recording does not fit.
    """
    check_fit(store, recording)
    _append_signals(group, store, recording, progress)
    _commit(group, place, _join(store, recording), dict(group.attrs["sharpwave"]))


def check_fit(store: Recording, recording: Recording) -> None:
    """Raise unless the recording can follow."""
    problems = [f"no signal {name!r}" for name in store.signals if name not in recording.signals]
    problems += [f"a signal {name!r} that the store lacks" for name in recording.signals if name not in store.signals]
    for name in [] if problems else store.signals:
        problems += _compare(store.signals[name], recording.signals[name])
    if store.spikes is not None or recording.spikes is not None:
        problems.append("spikes, which are not appended")
    if store.subject != recording.subject and "unknown" not in (store.subject, recording.subject):
        problems.append(f"subject {recording.subject}, not {store.subject}")
    longest = store.duration
    problems += [
        f"{name!r} that would be shifted: the store has it to {signal.end:g} s, others to {longest:g} s"
        for name, signal in store.signals.items()
        if longest - signal.end > max(TOLERANCE, 1 / signal.rate)
    ]
    if problems:
        raise SharpwaveError(
            "a recording with the store's signals, at even rates",
            got="; ".join(problems[:4]),
            fix="write it as a store of its own",
        )
    if store.start is None or recording.start is None:
        _check_new(store, recording)
        return
    off = (recording.start - store.start).total_seconds() - store.duration
    if abs(off) > TOLERANCE:
        raise SharpwaveError(
            f"a recording that begins where the store ends, at {store.start + timedelta(seconds=store.duration)}",
            got=f"{recording.start}, {abs(off):.0f} s {'later' if off > 0 else 'earlier'}",
            fix="leave it out: the store holds that time already"
            if off + recording.duration <= TOLERANCE
            else "append in order; after a gap, begin a new store; where clocks went forward or back, give --time-zone",
        )


def _check_new(store: Recording, recording: Recording) -> None:
    """Without a clock, refuse what the store ends with already."""
    for name, old in store.signals.items():
        new = recording.signals[name]
        n = min(len(new), len(old), round(60 * new.rate))
        first = np.asarray(new.samples[:n])
        if len(new) > len(old) or not np.array_equal(first, old.samples[len(old) - len(new) :][:n], equal_nan=True):
            return
    raise SharpwaveError(
        "a recording that follows the store's",
        got="one with which the store ends already; neither says when it began",
        fix="leave it out",
    )


def _compare(old: Signal, new: Signal) -> list[str]:
    """What of a new signal is not as in the store."""
    name = old.name
    if old.times is not None or new.times is not None:
        return [f"{name!r} with samples at uneven times"]
    pairs = {
        "rate": (old.rate, new.rate),
        "scale": (old.scale, new.scale),
        "offset": (old.offset, new.offset),
        "modality": (old.modality.name, new.modality.name),
        "channels": (old.channels, new.channels),
        "shape": (tuple(old.samples.shape[1:]), tuple(new.samples.shape[1:])),
        "type": (np.dtype(old.samples.dtype), np.asarray(new.samples[:1]).dtype),
    }
    for what in ("scale", "offset"):  # headers in mV and in V differ by a rounding
        if abs(getattr(old, what) - getattr(new, what)) <= 1e-9 * abs(old.scale):
            pairs.pop(what)
    wrong = [f"{what} {b} of {name!r}, not {a}" for what, (a, b) in pairs.items() if a != b]
    return wrong + ([f"{name!r} starting at {new.start:g} s"] if abs(new.start) * new.rate > 0.5 else [])


def _append_signals(group: Any, store: Recording, recording: Recording, progress: Progress | None) -> None:
    total = max(sum(len(signal) for signal in recording.signals.values()), 1)
    done = 0
    for index, (name, old) in enumerate(store.signals.items()):
        new, array, first = recording.signals[name], open_to_write(group, f"signals/{index}"), len(old)
        last = first + len(new)
        array.resize((last, *array.shape[1:]))
        step = (array.shards or array.chunks)[0]
        low = first
        while low < last:  # one shard after another: memory is that of one
            high = min((low // step + 1) * step, last)
            array[low:high] = np.asarray(new.samples[low - first : high - first])
            if progress is not None:
                progress(name, (done + high - first) / total)
            low = high
        done += len(new)


def _join(store: Recording, recording: Recording) -> Recording:
    """The tables and texts of both; the signals are the store's."""
    begin = store.duration
    later = recording.events.assign(onset=recording.events["onset"] + begin)
    tables = [table for table in (store.events, later) if len(table)]
    repairs = [*store.repairs, *(text for text in recording.repairs if text not in store.repairs)]
    return replace(
        store,
        events=pd.concat(tables, ignore_index=True) if tables else store.events,
        hypnogram=_join_hypnograms(store.hypnogram, recording.hypnogram, begin),
        repairs=tuple(repairs),
        metadata={**recording.metadata, **store.metadata},
    )


def _join_hypnograms(old: Hypnogram | None, new: Hypnogram | None, begin: float) -> Hypnogram | None:
    if new is None:
        return old
    later = replace(new, start=new.start + begin)
    if old is None:
        return later
    between = (later.start - old.end) / old.epoch_length
    if (old.epoch_length, old.n_stages) != (new.epoch_length, new.n_stages) or abs(between - round(between)) > 0.01:
        raise SharpwaveError(
            f"stages in epochs of {old.epoch_length:g} s that go on with the store's",
            got=f"epochs of {new.epoch_length:g} s from {later.start:g} s, after {old.end:g} s",
            fix="append the recording without its stages",
        )
    if between < -0.01:
        raise SharpwaveError("stages that begin after the store's", got="some before", fix="leave the doubled ones out")
    gap = np.full(round(between), UNSCORED, dtype=np.int8)
    probabilities = None
    if old.probabilities is not None or new.probabilities is not None:
        parts = [
            np.full((n, old.n_stages), math.nan) if given is None else np.asarray(given)
            for given, n in ((old.probabilities, len(old)), (None, len(gap)), (new.probabilities, len(new)))
        ]
        probabilities = np.concatenate(parts)
    return replace(old, stages=np.concatenate([old.stages, gap, new.stages]), probabilities=probabilities)


def _commit(group: Any, place: Place, whole: Recording, earlier: dict) -> None:
    """Write the tables under new names, then the head that names them, then remove the old ones."""
    before = earlier.get("places", {})
    old = [name for name in place.list_names() if re.fullmatch(TABLES, name)]
    number = 1 + max((int(name.rpartition("-")[2]) for name in [*old, *before.values()] if "-" in name), default=0)
    places = {"events": f"events-{number}", "hypnogram": f"hypnogram-{number}"}
    write_table(group, places["events"], whole.events)
    if whole.hypnogram is not None:
        write_array(group, f"{places['hypnogram']}/stages", whole.hypnogram.stages)
        if whole.hypnogram.probabilities is not None:
            write_array(group, f"{places['hypnogram']}/probabilities", whole.hypnogram.probabilities)
    lengths = [int(group[f"signals/{index}"].shape[0]) for index in range(len(whole.signals))]
    header = describe_recording(whole) | {"places": places}
    for entry, length in zip(header["signals"], lengths, strict=True):
        entry["shape"][0] = length
    place.settle()
    passing = ("sharpwave_content", bucket.CLAIM)
    attributes = {name: value for name, value in dict(group.attrs).items() if name not in passing}
    group.attrs.put({**attributes, "sharpwave": encode_json(header)})
    for name in old:  # also those of a process that died
        place.remove(name)
