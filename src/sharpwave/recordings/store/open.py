"""Open a store: the tables in memory, the signals on disk until they are read."""

from __future__ import annotations

import json
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

if TYPE_CHECKING:
    import pynapple as nap


def open_store(path: str | Path) -> Recording:
    """Open a store written by `write_store`; no signal is read until it is asked for.

    Args:
        path: Folder of the store.

    Returns:
        The recording, with signals on disk.

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
    path = Path(path)
    header = _read_header(path)
    try:
        import zarr
    except ImportError as error:
        raise MissingExtraError("zarr", extra="brain") from error
    try:
        group = zarr.open_group(str(path), mode="r", zarr_format=3)
        signals = {
            str(entry["key"]): _open_signal(group, path, index, entry) for index, entry in enumerate(header["signals"])
        }
        return Recording(
            signals=signals,
            spikes=_read_spikes(group, path) if (path / "spikes").is_dir() else None,
            hypnogram=_read_hypnogram(group, path, header["hypnogram"]),
            events=_read_table(group, path, "events"),
            subject=header["subject"],
            species=header["species"],
            start=header["start"],
            source=header["source"],
            absent=tuple(header["absent"]),
            repairs=tuple(header["repairs"]),
            metadata=header["metadata"],
        )
    except SharpwaveError:
        raise
    except Exception as error:  # a damaged header can break anything that follows from it
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _read_header(path: Path) -> dict[str, Any]:
    if not (path / "zarr.json").is_file():
        raise SharpwaveError(
            "a folder written by write_store or `sharpwave convert`",
            got=f"{path} without zarr.json",
            fix="convert the original recording: sharpwave convert FILE -o STORE.zarr",
        )
    try:
        attributes = json.loads((path / "zarr.json").read_text(encoding="utf-8"))["attributes"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error
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


def _open_signal(group: Any, root: Path, index: int, entry: dict) -> Signal:
    samples = open_array(group, root, f"signals/{index}")
    if list(samples.shape) != list(entry["shape"]):
        raise _damaged(root, f"{entry['name']!r} of shape {samples.shape}, declared {tuple(entry['shape'])}")
    times = None
    if (root / f"times/{index}").is_dir():
        times = read_whole(open_array(group, root, f"times/{index}"))
    return Signal(
        name=entry["name"],
        samples=samples,
        rate=float(entry["rate"]),
        modality=decode_modality(entry["modality"]),
        start=float(entry["start"]),
        scale=float(entry["scale"]),
        offset=float(entry["offset"]),
        channels=tuple(entry["channels"]),
        times=times,
    )


def _read_hypnogram(group: Any, root: Path, fields: dict | None) -> Hypnogram | None:
    if fields is None:
        return None
    stages = read_whole(open_array(group, root, "hypnogram/stages"))
    probabilities = None
    if (root / "hypnogram/probabilities").is_dir():
        probabilities = read_whole(open_array(group, root, "hypnogram/probabilities"))
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
    return SharpwaveError(
        f"an undamaged store in {path.name}", got=got[:200], fix="write the store again from the original recording"
    )
