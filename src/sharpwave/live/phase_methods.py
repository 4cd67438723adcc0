"""Published ways to tell the phase of a slow oscillation ahead, to hold the predictor against; none is used live.

Each takes values of a grid of 32 Hz that came without delay and returns, at every value, the analytic signal `lead`
seconds later: `compute_echt` (endpoint-corrected Hilbert transform, Schreglmann et al. 2021), `compute_sine_fit`,
`compute_autoregression` (the scheme of phastimate, Zrenner et al. 2020) and `compute_loop` (a phase-locked loop).
`find_delayed` waits a fixed time after a trough (as Ngo et al. 2013). They are our own, from what the papers say.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Complex, Float

from sharpwave.live.phase import GRID, TAPS

BAND = (0.5, 2.0)
TYPICAL = 0.85
"""Frequency in Hz by which a phase is carried forward where a method has none of its own."""
SINE_SECONDS = 1.6
ORDER = 20
TRIM = 16
"""Values at either end of a window that its filter spoils; autoregression predicts them anew."""
BATCH = 8192

Values = Float[np.ndarray, " grid"]
Analytic = Complex[np.ndarray, " grid"]


def _by_window(values: Values, compute: Callable[[np.ndarray], np.ndarray]) -> Analytic:
    """What `compute` says of the last 4 s at each value; no number where there are not yet 4 s."""
    out = np.full(values.size, np.nan + 0j)
    if values.size < TAPS:
        return out
    windows = np.lib.stride_tricks.sliding_window_view(values, TAPS)
    for first in range(0, len(windows), BATCH):
        part = windows[first : first + BATCH]
        out[TAPS - 1 + first : TAPS - 1 + first + len(part)] = compute(part)
    return out


def compute_echt(values: Values, lead: float) -> Analytic:
    """Endpoint-corrected Hilbert transform of the last 4 s, carried forward at 0.85 Hz.

    Args:
        values: Values of the grid, without delay.
        lead: Seconds ahead.

    >>> wave = np.cos(2 * np.pi * 0.9 * np.arange(320) / GRID)
    >>> bool(abs(np.angle(compute_echt(wave, 0.0)[-1] / np.exp(2j * np.pi * 0.9 * 319 / GRID))) < 0.4)
    True
    """
    from scipy.signal import butter, sosfreqz

    sections = butter(2, BAND, "bandpass", fs=GRID, output="sos")
    _, response = sosfreqz(sections, worN=np.fft.rfftfreq(TAPS, 1 / GRID), fs=GRID)
    turn = np.exp(2j * np.pi * np.fft.rfftfreq(TAPS) * (TAPS - 1)) * response * 2 / TAPS
    ahead = np.exp(2j * np.pi * TYPICAL * lead)
    return _by_window(values, lambda windows: np.fft.rfft(windows, axis=1)[:, 1:] @ turn[1:] * ahead)


def compute_sine_fit(values: Values, lead: float) -> Analytic:
    """The sine of 0.5 to 2 Hz that fits the last 1.6 s best, with a line beneath it, carried forward.

    Args:
        values: Values of the grid, without delay.
        lead: Seconds ahead.

    >>> wave = np.cos(2 * np.pi * 0.9 * np.arange(320) / GRID)
    >>> bool(abs(np.angle(compute_sine_fit(wave, 0.0)[-1] / np.exp(2j * np.pi * 0.9 * 319 / GRID))) < 0.1)
    True
    """
    n = round(SINE_SECONDS * GRID)
    times = (np.arange(n) - n + 1) / GRID
    frequencies = np.arange(0.5, 2.01, 0.05)
    designs = [
        np.stack((np.cos(2 * np.pi * f * times), np.sin(2 * np.pi * f * times), np.ones(n), times), axis=1)
        for f in frequencies
    ]
    bases, solvers = [np.linalg.qr(one)[0] for one in designs], [np.linalg.pinv(one) for one in designs]

    def compute(windows: np.ndarray) -> np.ndarray:
        part = windows[:, -n:]
        explained = np.stack([((part @ basis) ** 2).sum(axis=1) for basis in bases])
        best = explained.argmax(axis=0)
        out = np.empty(len(part), complex)
        for place, frequency in enumerate(frequencies):
            chosen = best == place
            weights = part[chosen] @ solvers[place].T
            out[chosen] = (weights[:, 0] - 1j * weights[:, 1]) * np.exp(2j * np.pi * frequency * lead)
        return out

    return _by_window(values, compute)


def compute_autoregression(values: Values, lead: float) -> Analytic:
    """The last 4 s filtered both ways, their spoilt end predicted anew by autoregression, then a Hilbert transform.

    Args:
        values: Values of the grid, without delay.
        lead: Seconds ahead.

    >>> wave = np.cos(2 * np.pi * 0.9 * np.arange(320) / GRID)
    >>> bool(abs(np.angle(compute_autoregression(wave, 0.0)[-1] / np.exp(2j * np.pi * 0.9 * 319 / GRID))) < 0.6)
    True
    """
    from scipy.signal import butter, hilbert, sosfiltfilt

    sections = butter(2, BAND, "bandpass", fs=GRID, output="sos")
    steps = TRIM + math.ceil(lead * GRID) + TRIM
    places = np.arange(ORDER)
    lags = np.abs(places[:, None] - places[None, :])

    def compute(windows: np.ndarray) -> np.ndarray:
        kept = sosfiltfilt(sections, windows, axis=1)[:, TRIM:-TRIM]
        n = kept.shape[1]
        spread = np.stack([(kept[:, lag:] * kept[:, : n - lag]).sum(axis=1) / n for lag in range(ORDER + 1)], axis=1)
        matrix = spread[:, lags] + 1e-6 * spread[:, :1, None] * np.eye(ORDER)
        weights = np.linalg.solve(matrix, spread[:, 1:, None])[:, :, 0]
        longer = np.concatenate((kept, np.empty((len(kept), steps))), axis=1)
        for step in range(n, n + steps):
            longer[:, step] = (longer[:, step - ORDER : step][:, ::-1] * weights).sum(axis=1)
        analytic = hilbert(longer, axis=1)
        place = n + TRIM - 1 + lead * GRID
        low = int(place)
        return analytic[:, low] + (analytic[:, low + 1] - analytic[:, low]) * (place - low)

    return _by_window(values, compute)


def compute_loop(values: Values, lead: float, *, gain: float = 0.06, pull: float = 0.002) -> Analytic:
    """A phase-locked loop on the causal band of 0.5 to 2 Hz that starts at 0.85 Hz.

    Args:
        values: Values of the grid, without delay.
        lead: Seconds ahead.
        gain: Share of the error that moves its phase at each value.
        pull: Share of the error that moves its frequency, in radians a value.

    >>> wave = np.cos(2 * np.pi * 0.85 * np.arange(1920) / GRID)
    >>> bool(abs(np.angle(compute_loop(wave, 0.0)[-1] / np.exp(2j * np.pi * 0.85 * 1919 / GRID))) < 0.5)
    True
    """
    from scipy.signal import butter, sosfilt

    band = sosfilt(butter(1, BAND, "bandpass", fs=GRID, output="sos"), values)
    phase, speed, size = 0.0, 2 * math.pi * TYPICAL / GRID, 1e-12
    slowest, fastest = (2 * math.pi * one / GRID for one in BAND)
    out = np.empty(values.size, complex)
    for place, value in enumerate(band.tolist()):
        size += (abs(value) - size) / min(place + 1, 10 * GRID)
        phase += speed
        error = -value / max(size, 1e-12) * math.sin(phase)
        phase += gain * error
        speed = min(max(speed + pull * error, slowest), fastest)
        angle = phase + speed * lead * GRID
        out[place] = complex(math.cos(angle), math.sin(angle))
    out[: TAPS - 1] = np.nan
    return out


METHODS: dict[str, Callable[[Values, float], Analytic]] = {
    "ecHT": compute_echt,
    "sine fit": compute_sine_fit,
    "autoregression": compute_autoregression,
    "phase-locked loop": compute_loop,
}


def find_delayed(
    values: Values, is_large: np.ndarray, *, delay: float, lead: float
) -> tuple[Float[np.ndarray, " cue"], np.ndarray]:
    """A fixed time after each trough of the causal band of 0.5 to 2 Hz.

    Args:
        values: Values of the grid, without delay.
        is_large: Whether the oscillation is large enough at each value.
        delay: Seconds from the trough, as it is told, to the cue.
        lead: Seconds that the cue is late anyway; they are taken off the delay.

    Returns:
        Times of cues in seconds from the first value, and the places at which the troughs were told.

    >>> wave = np.cos(2 * np.pi * 0.9 * np.arange(640) / GRID)
    >>> len(find_delayed(wave, np.ones(640, bool), delay=0.5, lead=0.05)[0]) > 10
    True
    """
    from scipy.signal import butter, sosfilt

    band = sosfilt(butter(1, BAND, "bandpass", fs=GRID, output="sos"), values)
    turned = np.flatnonzero((band[1:-1] < band[:-2]) & (band[1:-1] <= band[2:]) & (band[1:-1] < 0)) + 2
    told = turned[(turned >= TAPS) & is_large[turned]]
    return told / GRID + max(delay, lead), told
