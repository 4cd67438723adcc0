"""Write recordings as stores, piece by piece: memory stays that of one shard, however long the recording."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import explaining, hash_path, lock_folder, show_path, sync
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.outputs import put_folder
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.store.layout import (
    CHUNK_SECONDS,
    FORMAT,
    count_shards,
    create_array,
    encode_column,
    encode_json,
    encode_modality,
    open_to_write,
)
from sharpwave.recordings.store.shards import find_shards
from sharpwave.untrusted import read_json

Progress = Callable[[str, float], None]
"""Called with the name of the signal being written and the share of the recording that is written, 0 to 1."""


def write_store(
    recording: Recording,
    path: str | Path,
    *,
    chunk_seconds: float = CHUNK_SECONDS,
    overwrite: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
    key: str | None = None,
) -> Path:
    """Write a recording as a chunked Zarr v3 store that opens at once and is read lazily.

    Stored values keep their type (int16 stays int16). Until all is written the store lies beside `path` as
    `<name>.partial`, so `path` is either whole or not there.

    Args:
        recording: What to write; signals may themselves be on disk.
        path: Folder of the store, by custom `<name>.zarr`.
        chunk_seconds: Seconds read at a time; adapted where that gives very small or very large chunks.
        overwrite: Replace a store that is there; anything else that is there stays, and is an error.
        resume: Go on with an interrupted writing; what is there already is compared with the recording.
        progress: Function that is called after each piece; None calls nothing.
        key: Hash of what the recording was read from; kept with a hash of what was written, so that `is_written_from`
            knows the store again. None keeps neither.

    Returns:
        `path`.

    Raises:
        SharpwaveError: If the store exists, something else is there, another process is writing it, the disk is full,
            or a signal holds no numbers.
        MissingExtraError: If zarr is not installed.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.recordings import Hypnogram, open_store
    >>> with TemporaryDirectory() as folder:
    ...     path = write_store(Recording(hypnogram=Hypnogram.from_labels(["W", "N1"])), Path(folder) / "night.zarr")
    ...     open_store(path).hypnogram.labels
    ['W', 'N1']
    """
    path = Path(path)
    check_store_path(path, overwrite=overwrite)
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("zarr", extra="brain") from error
    header = describe_recording(recording) | ({} if key is None else {"key": key})
    real = Path(os.path.realpath(path))
    partial = real.with_name(real.name + ".partial")
    with explaining(path), _take_partial(partial, header if resume else None):
        group = zarr.open_group(str(partial), mode="a", zarr_format=3)
        if "sharpwave" not in group.attrs:
            group.attrs["sharpwave"] = header
        _write_signals(group, partial, recording, chunk_seconds, progress)
        if recording.hypnogram is not None:
            write_array(group, "hypnogram/stages", recording.hypnogram.stages)
            if recording.hypnogram.probabilities is not None:
                write_array(group, "hypnogram/probabilities", recording.hypnogram.probabilities)
        write_table(group, "events", recording.events)
        if recording.spikes is not None:
            _write_spikes(group, recording.spikes)
        if key is not None:
            group.attrs["sharpwave_content"] = _hash_content(partial)
        sync(partial)
        put_folder(partial, path, owns=is_store)
    return path


def is_written_from(path: str | Path, key: str) -> bool:
    """Whether a store was written with this key, and is still what was written.

    Args:
        path: Folder of the store; need not exist.
        key: What `write_store` was given.

    Raises:
        SharpwaveError: If it was written with this key, and its content has changed since.

    >>> is_written_from("nowhere.zarr", "0123")
    False
    """
    header = _read_header(Path(path))
    if header is None or header.get("key") != key:
        return False
    with explaining(path):
        attributes = json.loads((Path(path) / "zarr.json").read_text(encoding="utf-8"))["attributes"]
        if attributes.get("sharpwave_content") != _hash_content(Path(path)):
            raise SharpwaveError(
                f"{show_path(path)} as it was written",
                got="a store whose content has changed since",
                fix="convert it again with --overwrite; copy what you changed to another folder first",
            )
    return True


def _hash_content(store: Path) -> str:
    """Hash of everything in a store but the head itself."""
    parts = sorted((os.fsencode(item.name), item) for item in store.iterdir() if item.is_dir())
    return hashlib.sha256(b"\0".join(name + hash_path(item).encode() for name, item in parts)).hexdigest()


def is_store(folder: Path) -> bool:
    """Whether a folder is a store that `write_store` made, of any version.

    >>> is_store(Path("nowhere.zarr"))
    False
    """
    return _read_header(folder) is not None


def check_store_path(path: str | Path, *, overwrite: bool) -> None:
    """Before anything is read: can a store be written here, in place of nothing but a store?

    Args:
        path: Folder of the store.
        overwrite: Whether a store that is there may be replaced.

    Raises:
        SharpwaveError: If a store is there that may not be replaced, or anything else is.

    >>> check_store_path("night.zarr", overwrite=False)
    """
    path = Path(path)
    if not os.path.lexists(path):
        return
    if not overwrite:
        raise SharpwaveError(
            "a new path",
            got=f"{show_path(path)} exists",
            fix="choose another path, or pass overwrite=True (--overwrite)",
        )
    if path.exists() and not is_store(path):
        raise SharpwaveError(
            "a new path, or a store of a recording to replace",
            got=f"{show_path(path)}, which is something else",
            fix="choose another path; nothing was changed",
        )


@contextmanager
def _take_partial(partial: Path, header: dict | None) -> Iterator[None]:
    """The unfinished store for this process alone; one of another recording is removed first."""
    partial.mkdir(parents=True, exist_ok=True)
    lock = lock_folder(partial)
    if lock is None and os.name == "posix":
        raise SharpwaveError(
            f"one process that writes {show_path(partial.name)}",
            got="another one that is writing it",
            fix="wait for it, or choose another path",
        )
    try:
        found = _read_header(partial)
        if found is None and not all(item.name.startswith("zarr.json") for item in partial.iterdir()):
            raise SharpwaveError(
                "an unfinished store",
                got=f"{show_path(partial)}, which is something else",
                fix="move it elsewhere; the store is built under this name",
            )
        if found is None or found != header:
            for item in partial.iterdir():
                shutil.rmtree(item) if item.is_dir() else item.unlink()
        yield
    finally:
        if lock is not None:
            os.close(lock)


def describe_recording(recording: Recording) -> dict:
    """Everything of a recording that is not an array."""
    hypnogram = recording.hypnogram
    scored = None
    if hypnogram is not None:
        names = ("epoch_length", "n_stages", "start", "scorer", "unit")
        scored = {name: getattr(hypnogram, name) for name in names}
    header = {
        "format": FORMAT,
        "signals": [_describe_signal(signal) | {"key": key} for key, signal in recording.signals.items()],
        "hypnogram": scored,
        "events": list(map(str, recording.events.columns)),
        "subject": recording.subject,
        "species": recording.species,
        "start": recording.start,
        "source": recording.source,
        "absent": recording.absent,
        "repairs": recording.repairs,
        "metadata": recording.metadata,
    }
    return json.loads(json.dumps(encode_json(header)))


def _describe_signal(signal: Signal) -> dict:
    return {
        "name": signal.name,
        "rate": signal.rate,
        "start": signal.start,
        "scale": signal.scale,
        "offset": signal.offset,
        "channels": signal.channels,
        "shape": signal.samples.shape,
        "dtype": _dtype_of(signal).name,
        "modality": encode_modality(signal.modality),
    }


def _read_header(partial: Path) -> dict | None:
    try:
        header = json.loads((partial / "zarr.json").read_text(encoding="utf-8"))["attributes"]["sharpwave"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def _dtype_of(signal: Signal) -> np.dtype:
    dtype = np.dtype(getattr(signal.samples, "dtype", None) or np.asarray(signal.samples[:1]).dtype)
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise SharpwaveError(
            f"numbers of at most 64 bits in {signal.name!r}", got=f"type {dtype}", fix="convert the samples to float32"
        )
    return dtype.newbyteorder("=")


def _write_signals(
    group: Any, root: Path, recording: Recording, chunk_seconds: float, progress: Progress | None
) -> None:
    total = sum(len(signal) for signal in recording.signals.values())
    done = 0
    for index, signal in enumerate(recording.signals.values()):
        name = f"signals/{index}"
        shape = tuple(int(length) for length in signal.samples.shape)
        if (root / name / "zarr.json").is_file():
            array = open_to_write(group, name)
        else:
            array = create_array(
                group, name, shape=shape, dtype=_dtype_of(signal), rows_per_chunk=chunk_seconds * signal.rate
            )
        step, shards = array.shards[0], find_shards(read_json(root / name / "zarr.json"), root / name)
        # The last shard of an interrupted run may be incomplete, so it is written again; those before it are compared,
        # since the recording may have changed.
        first = step * max(0, count_shards(root / name) - 1)
        for low in range(0, shape[0], step):
            high = min(low + step, shape[0])
            values = np.asarray(signal.samples[low:high])
            if low < first and _holds(array, low, high, values):
                continue
            if shards is None:
                array[low:high] = values
            else:
                shards.write(low // step, values)
            if progress is not None:
                progress(signal.name, (done + high) / total)
        done += shape[0]
        if signal.times is not None:
            write_array(group, f"times/{index}", np.asarray(signal.times, dtype=np.float64))


def _holds(array: Any, low: int, high: int, values: np.ndarray) -> bool:
    """Whether an interrupted run wrote these samples already."""
    try:
        return np.asarray(array[low:high]).tobytes() == np.ascontiguousarray(values, dtype=array.dtype).tobytes()
    except Exception:  # a damaged shard can break anything; it is written again
        return False


def write_array(group: Any, name: str, values: np.ndarray) -> None:
    """A small array of a store, in place of one that is there."""
    values = np.ascontiguousarray(values)
    if name in group:
        del group[name]
    array = create_array(group, name, shape=values.shape, dtype=values.dtype, rows_per_chunk=2**16)
    if values.size:
        array[:] = values


def write_table(group: Any, name: str, table: pd.DataFrame) -> None:
    """A table of a store: an array for each column."""
    categories: list[list | None] = []
    for index, column in enumerate(table.columns):
        values, choices = encode_column(table[column])
        write_array(group, f"{name}/{index}", values)
        categories.append(choices)
    folder = group.require_group(name)
    folder.attrs["columns"] = [str(column) for column in table.columns]
    folder.attrs["categories"] = encode_json(categories)


def _write_spikes(group: Any, spikes: Any) -> None:
    units = list(spikes.keys())
    times = [np.asarray(spikes[unit].times()) for unit in units]
    write_array(group, "spikes/units", np.asarray(units, dtype=np.int64))
    write_array(group, "spikes/counts", np.array([len(unit) for unit in times], dtype=np.int64))
    write_array(group, "spikes/times", np.concatenate([np.zeros(0), *times]))
    support = np.stack([spikes.time_support.start, spikes.time_support.end], axis=1)
    write_array(group, "spikes/support", support)
    metadata = pd.DataFrame({name: list(spikes[name]) for name in spikes.metadata_columns if name != "rate"})
    write_table(group, "spikes/metadata", metadata)
