"""One value per epoch of a slow signal, such as heart rate or movement, however seldom it is sampled.

A sample says how things are until the next one is due. Where samples come less than once an epoch, an epoch between two
samples gets what lies between them, up to a gap of 2.5 usual distances; longer gaps stay missing.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.recordings.recording import Recording, Signal

REACH = 2.5
"""Longest gap that is bridged, in usual distances of samples: one lost sample is, two are not."""
LONGEST_SPACING = 600.0
"""Seconds: samples farther apart on the whole say nothing of single epochs, and nothing is bridged."""
SLOW = ("heart_rate", "activity", "temperature", "oxygen")
"""Modalities whose values lie between their neighbours'."""


def compute_spacing(times: Float[np.ndarray, " sample"]) -> float:
    """Usual distance of samples in seconds: that of the pair of samples round a typical moment; NaN below two samples.

    Bursts of samples with pauses between them have the pauses' length, because most moments lie in pauses. Pauses of
    over an hour are gaps and do not count.

    Args:
        times: Times of the samples in seconds, in order.

    >>> compute_spacing(np.arange(0.0, 600.0, 60.0))
    60.0
    """
    steps = np.sort(np.diff(times))
    short = steps[steps <= 3600.0]
    steps = short if short.size else steps
    if not steps.size:
        return float("nan")
    covered = np.cumsum(steps)
    return float(steps[np.searchsorted(covered, 0.5 * covered[-1])])


def compute_epoch_values(
    signal: Signal, n_epochs: int, *, epoch: float = 30.0, start: float = 0.0
) -> Float[np.ndarray, " epoch"]:
    """Mean of each epoch's samples; between the samples of a sparse signal, the line from one to the next.

    For several axes it is the deviation of their length, which is movement whatever the posture. Counts (of activity)
    are held until the next sample and not drawn towards it.

    Args:
        signal: The signal, one channel or several axes.
        n_epochs: Number of epochs.
        epoch: Length of an epoch in seconds, by default 30.
        start: Time of the first epoch in seconds, by default 0.

    Returns:
        Shape (epoch,), in the modality's unit; NaN in gaps longer than `REACH` times the usual distance of samples, or
        where the signal has not begun or has ended.

    >>> from sharpwave.recordings.modality import MODALITIES
    >>> pulse = Signal("pulse", np.array([60.0, 64.0, 62.0]), 1 / 60, MODALITIES["heart_rate"])
    >>> compute_epoch_values(pulse, 6).tolist()
    [60.0, 62.0, 64.0, 63.0, 62.0, 62.0]
    """
    values, times = _read(signal)
    means = _average(values, times, n_epochs, epoch, start)
    if len(signal.samples.shape) == 2:
        place = np.floor((times - start) / epoch + 1e-6).astype(int)
        values = np.abs(values - means[np.clip(place, 0, n_epochs - 1)])
        means = _average(values, times, n_epochs, epoch, start)
    spacing = compute_spacing(times)
    dense = signal.times is None and spacing <= 1.01 * epoch  # each epoch has its own samples, or they are missing
    if dense or not spacing <= LONGEST_SPACING:
        return means
    moments = start + epoch * np.arange(n_epochs)
    after = np.searchsorted(times, moments, side="right")
    begin = times[np.clip(after - 1, 0, len(times) - 1)]
    end = np.where(after < len(times), times[np.clip(after, 0, len(times) - 1)], begin + spacing)
    between = end - begin <= REACH * spacing
    bridged = np.isnan(means) & (after > 0) & (moments < np.where(between, end, begin + spacing))
    held = values[np.clip(after - 1, 0, len(times) - 1)]
    is_held = ~between | (signal.modality.name == "activity")
    return np.where(bridged, np.where(is_held, held, np.interp(moments, times, values)), means)


def _read(signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    """The finite values of a signal and their times; of several axes the length."""
    values = signal.read(dtype=np.float64)
    times = signal.start + np.arange(len(values)) / signal.rate if signal.times is None else signal.times
    values = np.linalg.norm(values, axis=1) if values.ndim == 2 else values
    known = np.isfinite(values)
    return values[known], times[known]


def _average(values: np.ndarray, times: np.ndarray, n_epochs: int, epoch: float, start: float) -> np.ndarray:
    place = np.floor((times - start) / epoch + 1e-6).astype(int)
    inside = (place >= 0) & (place < n_epochs) & np.isfinite(values)
    count = np.bincount(place[inside], minlength=n_epochs)
    total = np.bincount(place[inside], values[inside], n_epochs)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def describe_sparse_signals(recording: Recording, *, epoch: float = 30.0) -> list[str]:
    """Sentences on signals with less than a sample an epoch: how far they are bridged, and what stays missing.

    Args:
        recording: The recording.
        epoch: Length of an epoch in seconds, by default 30.

    >>> from sharpwave.recordings.modality import MODALITIES
    >>> pulse = Signal("pulse", np.full(60, 60.0), 1 / 60, MODALITIES["heart_rate"])
    >>> describe_sparse_signals(Recording(signals={"pulse": pulse}))
    ['pulse: a sample in 60 s; epochs between samples take the line between them, across at most 150 s']
    """
    said = []
    for modality in SLOW:
        for name, signal in recording.of(modality).items():
            if signal.times is None and signal.rate >= 1:  # read for nothing, in most recordings
                continue
            _, times = _read(signal)
            spacing = compute_spacing(times)
            if not spacing > epoch * 1.01:
                continue
            if spacing > LONGEST_SPACING:
                said.append(
                    f"{name}: a sample in {spacing:.0f} s is too seldom for epochs; between samples all is missing"
                )
                continue
            gaps = np.diff(times)[np.diff(times) > REACH * spacing]
            how = "hold the last one" if modality == "activity" else "take the line between them"
            lost = f"; {gaps.size} longer gaps, {gaps.sum() / 60:.0f} min together, stay missing" if gaps.size else ""
            said.append(
                f"{name}: a sample in {spacing:.0f} s; epochs between samples {how}, across at most"
                f" {REACH * spacing:.0f} s{lost}"
            )
    return said
