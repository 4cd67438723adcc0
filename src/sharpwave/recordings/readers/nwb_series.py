"""One time series of an NWB file as signals: its unit, its channels, and when its samples were taken.

The times are a rate, or timestamps that are checked for being regular.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.modality import MODALITIES, Modality
from sharpwave.recordings.readers.files import OnDisk
from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup, read_text_value
from sharpwave.recordings.recording import Signal
from sharpwave.recordings.units import convert_unit

BLOCK = 2**20
MOST_TIMES = 5 * 10**7


def read_number(value: Any, default: float) -> float:
    """One finite number other than 0, or the default."""
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        return default
    return number if math.isfinite(number) and number != 0 else default


def read_clock(group: InsideGroup, n_samples: int, where: str) -> tuple[float, float, np.ndarray | None, list[str]]:
    """The clock of a series.

    Args:
        group: Group of the series.
        n_samples: Number of samples of the series.
        where: File and place, for messages.

    Returns:
        Rate in Hz, first time in s, the times where sampling is irregular (else None), and sentences on gaps.

    Raises:
        SharpwaveError: If there is no clock, or it runs backwards or does not fit the samples.
    """
    if (starting := group.array("starting_time")) is not None:
        rate, start = read_number(starting.attribute("rate"), math.nan), starting.read_number()
        if not (rate > 0 and math.isfinite(start)):
            raise SharpwaveError(f"a positive rate in {where}", got=f"{rate} Hz from {start} s", fix="correct the file")
        return rate, start, None, []
    array = group.array("timestamps")
    if array is None:
        raise SharpwaveError(f"a rate or timestamps in {where}", got="neither", fix="write starting_time or timestamps")
    stamps = array.data
    if stamps.ndim != 1 or stamps.shape[0] < 1 or n_samples < 1 or array.kind not in "iuf":
        raise SharpwaveError(
            f"one timestamp per sample in {where}",
            got=f"shape {stamps.shape}, type {stamps.dtype}",
            fix="correct the file",
        )
    array.check_size()
    notes: list[str] = []
    if stamps.shape[0] != n_samples:
        raise SharpwaveError(
            f"one timestamp per sample in {where}",
            got=f"{stamps.shape[0]} for {n_samples} samples",
            fix="correct the file",
        )
    first, last = float(stamps[0]), float(stamps[-1])
    if not (math.isfinite(first) and math.isfinite(last) and (last > first or n_samples == 1)):
        raise SharpwaveError(f"times that go forward in {where}", got=f"{first} to {last} s", fix="correct the file")
    rate = (n_samples - 1) / (last - first) if n_samples > 1 else 1.0
    if _is_regular(stamps, first, rate):
        return rate, first, None, notes
    if n_samples > MOST_TIMES:
        raise SharpwaveError(
            f"regular timestamps in {where}, which has {n_samples} samples", got="irregular ones", fix="split the file"
        )
    times = array.read().astype(np.float64)
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps < 0).any():
        raise SharpwaveError(f"times that go forward in {where}", got="times that run backwards", fix="sort the series")
    usual = float(np.median(steps))
    rate = 1 / usual if usual > 0 else rate
    gaps = int((steps > 5 * usual).sum()) if usual > 0 else 0
    if gaps:
        notes.append(f"{gaps} gaps between its samples, {float(steps[steps > 5 * usual].sum()):.6g} s in all")
    return rate, first, times, notes


def _is_regular(stamps: Any, first: float, rate: float) -> bool:
    for low in range(0, stamps.shape[0], BLOCK):
        block = np.asarray(stamps[low : low + BLOCK], dtype=np.float64)
        expected = first + np.arange(low, low + len(block)) / rate
        if not np.abs(block - expected).max() < 0.5 / rate:
            return False
    return True


NOT_SIGNALS = ("Image", "TwoPhoton", "OnePhoton", "IndexSeries", "Annotation", "IntervalSeries", "OptogeneticSeries")
SCALP = ("eeg", "eog", "emg", "ecg")
NAMES: tuple[tuple[str, str], ...] = (
    (r"(?<!i)eeg", "eeg"),
    (r"eog", "eog"),
    (r"emg", "emg"),
    (r"e[ck]g", "ecg"),
    (r"heart.?rate|(^|_)hr$|bpm", "heart_rate"),
    (r"speed|velocity|accel|motion|movement|running|activity", "activity"),
    (r"temperature|(^|_)temp($|_)", "temperature"),
    (r"resp|breath|sniff", "respiration"),
)
"""What a series is called, and its modality; tried in order."""


@dataclass(frozen=True)
class Series:
    """What one series gave: signals, their unit in the file, and what there is to say."""

    signals: tuple[Signal, ...] = ()
    unit: str = ""
    absent: bool = False
    repairs: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)


def read_series(group: InsideGroup, place: str, file: str, *, kind: str, unit: str | None = None) -> Series:
    """A time series as signals in SI units.

    Args:
        group: Group of the series.
        place: Its path in the file.
        file: Name of the file, for messages.
        kind: NWB type of the series (`neurodata_type`).
        unit: Unit of electrical series, in place of the file's.

    Returns:
        Scalp channels one by one, other series as they are; nothing for images and for what holds no numbers.

    Raises:
        SharpwaveError: If it is declared larger than the file, or its clock is impossible.
    """
    array, name, where = group.array("data"), place.rsplit("/", 1)[-1], f"{file}:/{place}"
    nothing = _find_nothing(group, array, name, kind)
    if array is None or nothing is not None:
        return nothing or Series()
    array.check_size()
    data = array.data
    repairs: list[str] = []
    labels, locations = _read_electrodes(group)
    transposed = data.ndim == 2 and len(labels) == data.shape[0] != data.shape[1]
    if transposed:
        repairs.append(f"{name}: channels come first in the file; time was put first")
    n_samples = data.shape[1] if transposed else data.shape[0]
    n_channels = 1 if data.ndim == 1 else data.size // n_samples
    rate, start, times, notes = read_clock(group, n_samples, where)
    repairs += [f"{name}: {note}" for note in notes]
    modality = _find_modality(kind, place, [*labels, *locations])
    written = read_text_value(array.attribute("unit", ""))
    if modality.unit == "V" and unit is not None:
        written = unit
    converted = convert_unit(written, modality) if written else (1.0, 0.0)
    metadata = {}
    if converted is None:
        converted = (1.0, 0.0)
        metadata[f"{name}_unit"] = written
        repairs.append(f"{name}: its unit is {written!r}, not {modality.unit}; values are kept in {written!r}")
    factor, offset = read_number(array.attribute("conversion"), 1.0), read_number(array.attribute("offset"), 0.0)
    factors = _read_channel_factors(group, n_channels, repairs, name)
    if len(labels) != n_channels:
        axes = ["x", "y", "z"] if kind == "SpatialSeries" and n_channels <= 3 else []
        labels = axes[:n_channels] or [str(index) for index in range(n_channels)]
    whole = Signal(
        name,
        OnDisk(data, where, factors=factors, transposed=transposed),
        rate,
        modality,
        start=start,
        scale=factor * converted[0],
        offset=offset * converted[0] + converted[1],
        channels=tuple(labels) if data.ndim == 2 else (),
        times=times,
    )
    signals = (whole,) if modality.name not in SCALP or n_channels > 64 or data.ndim == 1 else _split(whole)
    return Series(signals, written, repairs=tuple(repairs), metadata=metadata)


def _find_nothing(group: InsideGroup, array: InsideArray | None, name: str, kind: str) -> Series | None:
    """An empty series where there is no signal to read, or none in this file; None where there is one."""
    if any(part in kind for part in NOT_SIGNALS):
        return Series()
    if array is None:
        outside = any(said.startswith(f"{group.place}/data (") for said in group.allowance.outside)
        said = (f"{name}: its samples are in another file, which is not opened",)
        return Series(absent=True, repairs=said) if outside else Series()
    if len(array.shape) not in (1, 2) or array.kind not in "biuf":
        return Series()
    return Series(absent=True) if not array.size or array.stored == 0 else None


def _split(frame: Signal) -> tuple[Signal, ...]:
    """One signal per channel of a frame."""
    signals = []
    for index, label in enumerate(frame.channels):
        factors = None if frame.samples.factors is None else frame.samples.factors[index]
        signals.append(
            replace(
                frame,
                name=f"{frame.name}-{label}" if label.isdigit() else label,
                samples=replace(frame.samples, column=index, factors=factors),
                modality=_refine(frame.modality, label),
                channels=(),
            )
        )
    return tuple(signals)


def _find_modality(kind: str, place: str, words: list[str]) -> Modality:
    name = place.rsplit("/", 1)[-1].lower()
    if kind == "SpatialSeries":
        return MODALITIES["other" if "direction" in place.lower() or "eye" in place.lower() else "position"]
    if kind == "RoiResponseSeries":
        return MODALITIES["calcium"]
    found = next((modality for pattern, modality in NAMES if re.search(pattern, name)), None)
    if "Electrical" in kind or kind in ("LFP", "FilteredEphys"):
        if found in SCALP:
            return MODALITIES[found]
        known = {recognise_channel(word).modality for word in words} & set(SCALP)
        return MODALITIES[next((modality for modality in SCALP if modality in known), "lfp")]
    return MODALITIES[found or "other"]


def _refine(modality: Modality, label: str) -> Modality:
    known = recognise_channel(label).modality
    return MODALITIES[known] if known in SCALP else modality


def _read_electrodes(group: InsideGroup) -> tuple[list[str], list[str]]:
    """Channel names and locations of an electrical series; empty where it names no electrodes."""
    rows = group.array("electrodes")
    if rows is None or len(rows.shape) != 1 or not 0 < rows.size <= 10**5 or rows.kind not in "iu":
        return [], []
    index = rows.read().astype(np.int64)
    table = replace(group, group=group.group.file, place="").child("general/extracellular_ephys/electrodes")
    identifiers = None if table is None else table.array("id")
    if table is None or identifiers is None or len(identifiers.shape) != 1:
        return [str(row) for row in index], []
    n_rows = identifiers.size
    if index.min() < 0 or index.max() >= n_rows:
        return [str(row) for row in index], []
    found = {name: table.array(name) for name in ("label", "channel_name", "name", "location")}
    texts = {name: array.read_texts() for name, array in found.items() if array is not None}
    columns = {name: [values[row] for row in index] for name, values in texts.items() if len(values) == n_rows}
    locations = columns.pop("location", [])
    for values in columns.values():
        if len(set(values)) == len(values) and all(values):
            return values, locations
    if locations and len(set(locations)) == len(locations) and all(locations):
        return locations, locations
    numbers = identifiers.read()
    return [str(numbers[row]) for row in index], locations


def _read_channel_factors(group: InsideGroup, n_channels: int, repairs: list[str], name: str) -> np.ndarray | None:
    array = group.array("channel_conversion")
    if array is None:
        return None
    if array.size != n_channels:
        repairs.append(f"{name}: {array.size} channel factors for {n_channels} channels were left out")
        return None
    factors = array.read().astype(np.float64).ravel()
    return None if np.all(factors == 1.0) else factors
