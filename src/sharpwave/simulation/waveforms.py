"""What signals are made of: noise whose spectrum changes with the stage, and shapes of single events.

Noise is made in blocks, so that a night of any length fits in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

BLOCK = 2**16
MARGIN = 2**12
"""Samples made at once, and samples on either side that the filters may reach."""


def compute_spectrum(
    frequencies: Float[np.ndarray, " frequency"],
    *,
    level: float,
    exponent: float,
    steep: float,
    knee: float = 22.0,
    bumps: Sequence[tuple[float, float, float]] = (),
    floor: float = 0.0,
    highpass: float = 0.3,
) -> Float[np.ndarray, " frequency"]:
    """A 1/f spectrum with a knee and bumps.

    Args:
        frequencies: Frequencies in Hz.
        level: Power density at 10 Hz, in unit²/Hz.
        exponent: Exponent of 1/f below the knee.
        steep: Exponent of 1/f above the knee.
        knee: Frequency of the knee, in Hz.
        bumps: (centre Hz, width Hz, power density) each.
        floor: Power density of white noise (the amplifier's).
        highpass: Corner of the amplifier's first-order high-pass filter, in Hz.

    Returns:
        Power density, in unit²/Hz.
    """
    f = np.maximum(frequencies, 1e-3)
    power = level * (f / 10) ** -exponent * (1 + (f / knee) ** 4) ** (-(steep - exponent) / 4)
    for centre, width, height in bumps:
        power += height * np.exp(-0.5 * ((f - centre) / width) ** 2)
    return (power + floor) * f**2 / (f**2 + highpass**2)


def shape_noise(
    n_samples: int,
    *,
    rate: float,
    spectra: Sequence[Float[np.ndarray, " frequency"]],
    compute_weights: Callable[[np.ndarray], Float[np.ndarray, "state time"]],
    white: Callable[[int], Float[np.ndarray, " time"]],
) -> Iterator[tuple[int, Float[np.ndarray, " time"]]]:
    """Filter one white noise by several spectra and mix them over time.

    The noise is continuous over blocks: each block is filtered with what comes before and after it.

    Args:
        n_samples: Length of the noise in samples.
        rate: Sampling rate in Hz.
        spectra: Power density of each state at `compute_frequencies(rate)`, in unit²/Hz.
        compute_weights: Amplitude of each state at given times (s); called once a block.
        white: Draws that many standard normal samples.

    Yields:
        (first sample, block of noise).
    """
    from scipy import fft

    size = BLOCK + 2 * MARGIN
    gains = [np.sqrt(power * rate / 2).astype(np.float32) for power in spectra]
    window = white(2 * MARGIN)
    for first in range(0, n_samples, BLOCK):
        window = np.concatenate([window[-2 * MARGIN :], white(BLOCK)])
        length = min(BLOCK, n_samples - first)
        weights = compute_weights((first + np.arange(length)) / rate)
        spectrum = fft.rfft(window)
        block = np.zeros(length, dtype=np.float32)
        for gain, weight in zip(gains, weights, strict=True):
            if weight.any():
                block += weight * fft.irfft(spectrum * gain, size)[MARGIN : MARGIN + length]
        yield first, block


def make_noise(
    n_samples: int,
    *,
    rate: float,
    spectra: Sequence[Float[np.ndarray, " frequency"]],
    amplitudes: Float[np.ndarray, "state second"],
    white: Callable[[int], Float[np.ndarray, " time"]],
) -> Float[np.ndarray, " time"]:
    """The whole of `shape_noise`, single precision.

    Args:
        n_samples: Length of the noise in samples.
        rate: Sampling rate in Hz.
        spectra: Power spectra, as in `shape_noise`.
        amplitudes: Amplitude of each state, one value a second.
        white: Source of white noise, as in `shape_noise`.

    Returns:
        Noise, in the unit of the spectra.
    """
    signal = np.empty(n_samples, dtype=np.float32)

    def weigh(times: np.ndarray) -> np.ndarray:
        return interpolate_states(amplitudes, times)

    for first, block in shape_noise(n_samples, rate=rate, spectra=spectra, compute_weights=weigh, white=white):
        signal[first : first + len(block)] = block
    return signal


def compute_frequencies(rate: float) -> Float[np.ndarray, " frequency"]:
    """Frequencies (Hz) at which `shape_noise` wants its spectra."""
    return np.fft.rfftfreq(BLOCK + 2 * MARGIN, 1 / rate)


def draw_white(rng: np.random.Generator) -> Callable[[int], Float[np.ndarray, " time"]]:
    """A source of standard normal samples in single precision."""
    return lambda n: rng.standard_normal(n, dtype=np.float32)


def add_at(signal: Float[np.ndarray, " time"], wave: Float[np.ndarray, " sample"], first: int) -> None:
    """Add a waveform in place, cut off at the ends of the signal."""
    low, high = max(first, 0), min(first + len(wave), len(signal))
    if high > low:
        signal[low:high] += wave[low - first : high - first]


def interpolate_seconds(
    values: Float[np.ndarray, " second"], times: Float[np.ndarray, " time"]
) -> Float[np.ndarray, " time"]:
    """Values given once a second (at its middle), at finer times."""
    low = max(int(times[0]) - 1, 0)
    high = min(int(times[-1]) + 3, len(values))
    return np.interp(times, np.arange(low, high) + 0.5, values[low:high]).astype(np.float32)


def interpolate_states(
    values: Float[np.ndarray, "state second"], times: Float[np.ndarray, " time"]
) -> Float[np.ndarray, "state time"]:
    """Rows given once a second, at finer times; rows that are zero there stay exactly zero."""
    low, high = max(int(times[0]) - 1, 0), int(times[-1]) + 3
    return np.stack(
        [interpolate_seconds(row, times) if row[low:high].any() else np.zeros(len(times), np.float32) for row in values]
    )


def make_slow_oscillation(duration: float, *, rate: float) -> Float[np.ndarray, " sample"]:
    """One cycle, down-state first, entered more steeply than it is left (Menicucci et al. 2009).

    Args:
        duration: Length of the cycle in seconds.
        rate: Sampling rate in Hz.

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
        duration: Length in seconds.
        frequency: Frequency at the middle, in Hz.
        chirp: Change of frequency, in Hz per second.
        phase: Phase at the middle, in radians.
        rate: Sampling rate in Hz.
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
        duration: Length of the movement itself, in seconds.
        decay: Time constant of the return, in seconds.
        rate: Sampling rate in Hz.
    """
    t = np.arange(int((duration + 4 * decay) * rate)) / rate
    rise = np.clip(t / duration, 0, 1)
    smooth = rise * rise * (3 - 2 * rise)
    return (smooth * np.exp(-np.maximum(t - duration, 0) / decay)).astype(np.float32)


def make_blink(duration: float, *, rate: float) -> Float[np.ndarray, " sample"]:
    """A lid artefact of unit peak, quick to rise and slower to fall."""
    x = np.arange(int(duration * rate)) / (duration * rate)
    return (np.sin(np.pi * x**0.7) ** 2).astype(np.float32)
