"""What latent directions may be named after: measures of a recording that sleep researchers know, step by step."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.epochs import EpochGrid
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals import compute_band_power, compute_depth, detect_spindles
from sharpwave.signals.epoch_values import compute_epoch_values

THETA = {"theta": (4.0, 8.0), "all": (0.5, 30.0)}
MUSCLE = {"muscle": (20.0, 45.0)}
SENSORS: dict[str, tuple[str, ...]] = {
    "depth": ("eeg", "lfp"),
    "theta": ("eeg", "lfp"),
    "spindle rate": ("eeg", "lfp"),
    "movement": ("activity", "acceleration"),
    "muscle tone": ("emg",),
    "heart rate": ("heart_rate", "ecg"),
}
"""Modalities of which one must have been recorded for a measure to be known; time of night needs none."""


def is_measurable(name: str, modalities: Collection[str]) -> bool:
    """Whether a recording with these modalities can show what a direction of the latent is named after.

    Args:
        name: Name of a measure; one that is not in `SENSORS` needs no sensor.
        modalities: Modalities of which something was recorded.

    >>> is_measurable("depth", ["eeg"]), is_measurable("heart rate", ["eeg"]), is_measurable("time of night", [])
    (True, False, True)
    """
    return name not in SENSORS or bool({*SENSORS[name]} & {*modalities})


def compute_measures(recording: Recording, grid: EpochGrid) -> dict[str, Float[np.ndarray, " step"]]:
    """Depth, spindle rate, theta, movement, muscle tone, heart rate and time of night, of whatever was recorded.

    Args:
        recording: Signals may lie on disk.
        grid: Steps to measure.

    Returns:
        By name, one value a step, NaN where unknown: depth (log10 µV² of slow waves), spindle rate (per minute), theta
        (log10 of its share in 0.5–30 Hz), movement (log of counts), muscle tone (log10 of power), heart rate (1/min),
        time of night (h).
    """
    out: dict[str, np.ndarray] = {"time of night": (grid.ends - grid.step / 2) / 3600}
    brain = next(iter({**recording.of("eeg"), **recording.of("lfp")}.values()), None)
    if brain is not None:
        depth = compute_depth(brain, epoch_length=grid.step)
        out["depth"] = _place(depth["onset"].to_numpy(), depth["depth"].to_numpy(), grid)
        power = compute_band_power(brain, epoch_length=grid.step, bands=THETA)
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.log10(power["theta"].to_numpy() / power["all"].to_numpy())
        out["theta"] = _place(power["onset"].to_numpy(), share, grid)
        out |= _count_spindles(brain, grid)
    for modality, name in (("activity", "movement"), ("heart_rate", "heart rate")):
        signal = next(iter(recording.of(modality).values()), None)
        if signal is not None and len(signal.samples.shape) == 1:
            values = compute_epoch_values(signal, len(grid), epoch=grid.step, start=grid.start)
            out[name] = np.log1p(np.maximum(values, 0)) if name == "movement" else values
    muscle = next(iter(recording.of("emg").values()), None)
    if muscle is not None and muscle.rate > 2 * MUSCLE["muscle"][1]:
        power = compute_band_power(muscle, epoch_length=grid.step, bands=MUSCLE)
        with np.errstate(divide="ignore", invalid="ignore"):
            out["muscle tone"] = _place(power["onset"].to_numpy(), np.log10(power["muscle"].to_numpy()), grid)
    return {name: np.where(np.isfinite(values), values, np.nan) for name, values in out.items()}


def _count_spindles(signal: Signal, grid: EpochGrid) -> dict[str, np.ndarray]:
    """Spindles per minute; nothing where the signal cannot be searched."""
    try:
        spindles = detect_spindles(signal)
    except SharpwaveError:
        return {}
    middle = spindles["onset"].to_numpy(dtype=float) + spindles["duration"].to_numpy(dtype=float) / 2
    step = np.floor((middle - grid.start) / grid.step + 1e-9).astype(int)
    counts = np.bincount(step[(step >= 0) & (step < len(grid))], minlength=len(grid))
    return {"spindle rate": counts * 60.0 / grid.step}


def _place(onsets: np.ndarray, values: np.ndarray, grid: EpochGrid) -> Float[np.ndarray, " step"]:
    """Epoch values on the grid: of the epoch that holds the middle of a step."""
    if len(onsets) == 0:
        return np.full(len(grid), np.nan)
    middles = grid.ends - grid.step / 2
    index = np.searchsorted(onsets, middles, side="right") - 1
    inside = (index >= 0) & (middles < onsets[-1] + grid.step)
    return np.where(inside, values[np.maximum(index, 0)], np.nan)
