"""When the samples of an NWB series were taken: a rate, or timestamps that are checked for being regular."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.on_disk import check_declared

if TYPE_CHECKING:
    import h5py

BLOCK = 2**20
MOST_TIMES = 5 * 10**7


def check_size(data: h5py.Dataset, where: str) -> None:
    """Refuse a dataset that is declared larger than what the file stores of it."""
    compressed = data.chunks is not None and data.id.get_create_plist().get_nfilters() > 0
    stored = data.id.get_storage_size()
    check_declared(
        declared=math.prod(data.shape) * data.dtype.itemsize, stored=stored, where=where, compressed=compressed
    )


def read_number(value: Any, default: float) -> float:
    """One finite number other than 0, or the default."""
    try:
        number = float(np.asarray(value).reshape(()))
    except (TypeError, ValueError):
        return default
    return number if math.isfinite(number) and number != 0 else default


def read_clock(group: h5py.Group, n_samples: int, where: str) -> tuple[float, float, np.ndarray | None, list[str]]:
    """The clock of a series.

    Args:
        group: The series.
        n_samples: Samples it has.
        where: File and place, for messages.

    Returns:
        Rate in Hz, first time in s, the times where sampling is irregular (else None), and sentences on gaps.

    Raises:
        SharpwaveError: If there is no clock, or it runs backwards or does not fit the samples.
    """
    if "starting_time" in group:
        dataset = group["starting_time"]
        rate = read_number(dataset.attrs.get("rate"), math.nan)
        start = float(np.asarray(dataset[()]).reshape(()))
        if not (rate > 0 and math.isfinite(start)):
            raise SharpwaveError(f"a positive rate in {where}", got=f"{rate} Hz from {start} s", fix="correct the file")
        return rate, start, None, []
    if "timestamps" not in group:
        raise SharpwaveError(f"a rate or timestamps in {where}", got="neither", fix="write starting_time or timestamps")
    stamps = group["timestamps"]
    if stamps.ndim != 1 or stamps.shape[0] < 1 or n_samples < 1:
        raise SharpwaveError(
            f"one timestamp per sample in {where}", got=f"shape {stamps.shape}", fix="correct the file"
        )
    check_size(stamps, f"{where}/timestamps")
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
    times = np.asarray(stamps[:], dtype=np.float64)
    steps = np.diff(times)
    if not np.isfinite(times).all() or (steps < 0).any():
        raise SharpwaveError(f"times that go forward in {where}", got="times that run backwards", fix="sort the series")
    usual = float(np.median(steps))
    rate = 1 / usual if usual > 0 else rate
    gaps = int((steps > 5 * usual).sum()) if usual > 0 else 0
    if gaps:
        notes.append(f"{gaps} gaps between its samples, {float(steps[steps > 5 * usual].sum()):.6g} s in all")
    return rate, first, times, notes


def _is_regular(stamps: h5py.Dataset, first: float, rate: float) -> bool:
    for low in range(0, stamps.shape[0], BLOCK):
        block = np.asarray(stamps[low : low + BLOCK], dtype=np.float64)
        expected = first + np.arange(low, low + len(block)) / rate
        if not np.abs(block - expected).max() < 0.5 / rate:
            return False
    return True
