"""Open a store: the tables in memory, the signals on disk until they are read."""

from __future__ import annotations

import math
import re
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.store.layout import (
    FORMAT,
    decode_column,
    decode_json,
    decode_modality,
    open_array,
    read_whole,
)
from sharpwave.remote import RemotePath, locate
from sharpwave.untrusted import explained, read_json

if TYPE_CHECKING:
    import pynapple as nap

FIX = "write the store again from the original recording"


def open_store(path: str | Path) -> Recording:
    """Open a store written by `write_store`; no signal is read until it is asked for.

    Args:
        path: Folder of the store, or its address (`https://`, `s3://`, `gs://`).

    Returns:
        The recording, with signals on disk, or where the store lies.

    Raises:
        SharpwaveError: If the folder is no store, is of a later version, or is damaged.
        MissingExtraError: If zarr is not installed.

    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.recordings import MODALITIES, write_store
    >>> pulse = Signal("pulse", np.array([61.0, 58.0]), 1 / 30, MODALITIES["heart_rate"])
    >>> with TemporaryDirectory() as folder:
    ...     recording = open_store(write_store(Recording(signals={"pulse": pulse}), Path(folder) / "night.zarr"))
    ...     recording["pulse"].read().tolist()
    [61.0, 58.0]
    """
    path = locate(path)
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("zarr", extra="brain") from error
    with explained(f"an undamaged store in {path.name}", name=path.name, fix=FIX):
        header = _read_header(path)
        _check_header(header)
        place = path.open_group() if isinstance(path, RemotePath) else str(path)
        group = zarr.open_group(place, mode="r", zarr_format=3)
        signals = {
            str(entry["key"]): _open_signal(group, path, index, entry) for index, entry in enumerate(header["signals"])
        }
        return Recording(
            signals=signals,
            spikes=_read_spikes(group, path) if (path / "spikes").is_dir() else None,
            hypnogram=_read_hypnogram(group, path, header["hypnogram"], _place(header, "hypnogram")),
            events=_read_table(group, path, _place(header, "events")),
            subject=header["subject"],
            species=header["species"],
            start=header["start"],
            source=header["source"],
            absent=tuple(header["absent"]),
            repairs=tuple(header["repairs"]),
            metadata=header["metadata"],
        )


def _read_header(path: Path) -> dict[str, Any]:
    if not (path / "zarr.json").is_file():
        raise SharpwaveError(
            "a folder written by write_store or `sharpwave convert`",
            got=f"{path} without zarr.json",
            fix="convert the original recording: sharpwave convert FILE -o STORE.zarr",
        )
    attributes = read_json(path / "zarr.json")["attributes"]
    header = attributes.get("sharpwave") if isinstance(attributes, dict) else None
    if not isinstance(header, dict):
        raise SharpwaveError(
            "a store of a recording", got=f"{path.name}, a Zarr folder of something else", fix="convert the recording"
        )
    if header.get("format") != FORMAT:
        raise SharpwaveError(
            f"a store of format {FORMAT}",
            got=f"format {header.get('format')!r}",
            fix="update sharpwave, or convert the original recording again",
        )
    return decode_json(header)


def _check_header(header: dict[str, Any]) -> None:
    """Raise unless every field of a recording is of its kind."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "signals": list,
        "subject": str,
        "species": str,
        "start": (datetime, type(None)),
        "source": str,
        "absent": list,
        "repairs": list,
        "metadata": dict,
        "hypnogram": (dict, type(None)),
    }
    strange = [name for name, kind in kinds.items() if not isinstance(header[name], kind)]
    strange += [name for name in ("absent", "repairs") if not all(isinstance(text, str) for text in header[name])]
    if strange:
        raise ValueError(f"{', '.join(strange)} of another kind")


def _place(header: dict[str, Any], name: str) -> str:
    """Where a table lies: under another name each time that the store was appended to."""
    place = str(header.get("places", {}).get(name, name))
    if re.fullmatch(rf"{name}(-\d{{1,9}})?", place) is None:
        raise ValueError(f"{name} at {place!r}")
    return place


def _open_signal(group: Any, root: Path, index: int, entry: dict) -> Signal:
    samples = open_array(group, root, f"signals/{index}", length=int(entry["shape"][0]))
    if list(samples.shape) != list(entry["shape"]):
        raise _damaged(root, f"{entry['name']!r} of shape {samples.shape}, declared {tuple(entry['shape'])}")
    clock = {name: float(entry[name]) for name in ("rate", "start", "scale", "offset")}
    if not all(map(math.isfinite, clock.values())):
        raise _damaged(root, f"{entry['name']!r} with " + ", ".join(f"{n} {value:g}" for n, value in clock.items()))
    if not all(isinstance(text, str) for text in (entry["name"], *entry["channels"])):
        raise _damaged(root, "names of channels that are no texts")
    times = None
    if (root / f"times/{index}").is_dir():
        times = read_whole(open_array(group, root, f"times/{index}"))
        if times.ndim != 1 or not np.isfinite(times).all() or (np.diff(times) < 0).any():
            raise _damaged(root, f"{entry['name']!r} with times that do not go forward")
    return Signal(
        name=entry["name"],
        samples=samples,
        modality=decode_modality(entry["modality"]),
        channels=tuple(entry["channels"]),
        times=times,
        **clock,
    )


def _read_hypnogram(group: Any, root: Path, fields: dict | None, place: str) -> Hypnogram | None:
    if fields is None:
        return None
    stages = read_whole(open_array(group, root, f"{place}/stages"))
    probabilities = None
    if (root / place / "probabilities").is_dir():
        probabilities = read_whole(open_array(group, root, f"{place}/probabilities"))
    return Hypnogram(stages, probabilities=probabilities, **fields)


def _read_table(group: Any, root: Path, name: str) -> pd.DataFrame:
    attributes = group[name].attrs
    columns, categories = list(attributes["columns"]), list(attributes["categories"])
    data = {}
    for index, (column, choices) in enumerate(zip(columns, categories, strict=True)):
        values = read_whole(open_array(group, root, f"{name}/{index}"))
        data[column] = decode_column(values, choices)
    return pd.DataFrame(data, columns=columns)


def _read_spikes(group: Any, root: Path) -> nap.TsGroup:
    import pynapple as nap

    units = read_whole(open_array(group, root, "spikes/units"))
    counts = read_whole(open_array(group, root, "spikes/counts"))
    times = read_whole(open_array(group, root, "spikes/times"))
    support = read_whole(open_array(group, root, "spikes/support"))
    if not (np.isfinite(times).all() and np.isfinite(support).all()):
        raise _damaged(root, "spikes at times that are no numbers")
    if (counts < 0).any() or counts.sum() != len(times) or len(counts) != len(units):
        raise _damaged(root, f"{counts.sum()} spikes declared, {len(times)} found")
    pieces = np.split(times, np.cumsum(counts)[:-1]) if len(units) else []
    span = nap.IntervalSet(support[:, 0], support[:, 1])
    metadata = _read_table(group, root, "spikes/metadata")
    trains = {int(unit): nap.Ts(piece, time_support=span) for unit, piece in zip(units, pieces, strict=True)}
    return nap.TsGroup(
        trains, time_support=span, metadata={column: metadata[column].to_numpy() for column in metadata} or None
    )


def _damaged(path: Path, got: str) -> SharpwaveError:
    return SharpwaveError(f"an undamaged store in {path.name}", got=got[:200], fix=FIX)
