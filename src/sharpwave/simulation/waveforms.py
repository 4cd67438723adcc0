"""Shapes of single events: slow oscillation, spindle, sharp wave and ripple, eye movement, blink."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def make_slow_oscillation(duration: float, *, rate: float) -> Float[np.ndarray, " sample"]:
    """One cycle, down-state first, entered more steeply than it is left (Menicucci et al. 2009).

    Args:
        duration: Of the cycle, in seconds.
        rate: In Hz.

    Returns:
        Waveform with a trough of −1 and a lower, wider up-state.
    """
    down = _half(0.45 * duration, rate=rate, peak=0.4)
    up = 0.55 * _half(0.55 * duration, rate=rate, peak=0.45)
    return np.concatenate([-down, up]).astype(np.float32)


def _half(duration: float, *, rate: float, peak: float) -> np.ndarray:
    """A half-wave from 0 to 1 to 0 with its peak at that share of its length."""
    x = np.arange(max(int(duration * rate), 4)) / max(int(duration * rate), 4)
    warped = np.where(x < peak, 0.5 * x / peak, 0.5 + 0.5 * (x - peak) / (1 - peak))
    return np.sin(np.pi * warped) ** 1.3


def make_spindle(
    duration: float, *, frequency: float, chirp: float, phase: float, rate: float
) -> Float[np.ndarray, " sample"]:
    """A waxing and waning oscillation of unit peak; `duration` is where its envelope exceeds about a third of its peak.

    Args:
        duration: In seconds.
        frequency: In Hz, at the middle.
        chirp: Change of frequency, in Hz per second.
        phase: In radians, at the middle.
        rate: In Hz.
    """
    t = np.arange(int(1.6 * duration * rate)) / rate - 0.8 * duration
    envelope = np.exp(-0.5 * (t / (0.34 * duration)) ** 2)
    return (envelope * np.cos(2 * np.pi * (frequency * t + 0.5 * chirp * t**2) + phase)).astype(np.float32)


def make_sharp_wave(duration: float, *, rate: float) -> Float[np.ndarray, " sample"]:
    """A negative deflection of unit depth, somewhat longer than its ripple."""
    x = np.linspace(-1, 1, max(int(1.6 * duration * rate), 4))
    return (-((1 - x**2) ** 2)).astype(np.float32)


def make_saccade(duration: float, *, decay: float, rate: float) -> Float[np.ndarray, " sample"]:
    """A step of unit size that the amplifier's high-pass filter draws back to zero.

    Args:
        duration: Of the movement itself, in seconds.
        decay: Time constant of the return, in seconds.
        rate: In Hz.
    """
    t = np.arange(int((duration + 4 * decay) * rate)) / rate
    rise = np.clip(t / duration, 0, 1)
    smooth = rise * rise * (3 - 2 * rise)
    return (smooth * np.exp(-np.maximum(t - duration, 0) / decay)).astype(np.float32)


def make_blink(duration: float, *, rate: float) -> Float[np.ndarray, " sample"]:
    """A lid artefact of unit peak, quick to rise and slower to fall."""
    x = np.arange(int(duration * rate)) / (duration * rate)
    return (np.sin(np.pi * x**0.7) ** 2).astype(np.float32)
