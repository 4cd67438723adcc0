"""What YASA's stager knows of an epoch: amplitude, shape, spectrum, entropy and fractal dimension.

The definitions are those of Vallat & Walker 2021 (doi:10.7554/eLife.70092), as YASA 0.8 and antropy 0.2 compute them;
the arithmetic is ours, over many epochs at once and without a compiler, and a test holds both to the same numbers.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from jaxtyping import Bool, Float

RATE = 100
BROAD = (0.4, 30.0)
BANDS = {
    "sdelta": (0.4, 1.0),
    "fdelta": (1.0, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 12.0),
    "sigma": (12.0, 16.0),
    "beta": (16.0, 30.0),
}
WELCH_SECONDS = 5
HIGUCHI_LAG = 10


def compute_epoch_features(
    epochs: Float[np.ndarray, "epoch time"], *, kind: str
) -> dict[str, Float[np.ndarray, " epoch"]]:
    """The features of each epoch, by name without the channel's prefix.

    Args:
        epochs: Signal in µV, filtered 0.4–30 Hz, at 100 Hz, shape (epoch, time).
        kind: "eeg", "eog" or "emg"; band powers are for the first two, their ratios for the EEG.

    Returns:
        Arrays of shape (epoch,).
    """
    features = _compute_moments(epochs) | _compute_shape(epochs) | _compute_powers(epochs, kind=kind)
    features["perm"] = compute_permutation_entropy(epochs)
    features["higuchi"] = compute_higuchi_dimension(epochs)
    return features


def _compute_moments(epochs: np.ndarray) -> dict[str, np.ndarray]:
    """Standard deviation, interquartile range, skewness and excess kurtosis."""
    n_times = epochs.shape[1]
    centred = epochs - epochs.mean(axis=1, keepdims=True)
    squared = centred * centred
    variance = squared.mean(axis=1)
    third, fourth = _mean_product(squared, centred), _mean_product(squared, squared)
    ordered = np.sort(epochs, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "std": np.sqrt(variance * n_times / (n_times - 1)),
            "iqr": _sorted_quantile(ordered, 0.75) - _sorted_quantile(ordered, 0.25),
            "skew": third / variance**1.5,
            "kurt": fourth / variance**2 - 3,
        }


def _compute_shape(epochs: np.ndarray) -> dict[str, np.ndarray]:
    """Zero crossings, Hjorth mobility and complexity (Hjorth 1970), Petrosian fractal dimension."""
    first = np.diff(epochs, axis=1)
    second = np.diff(first, axis=1)
    spread = [np.sqrt(_mean_product(each, each) - each.mean(axis=1) ** 2) for each in (epochs, first, second)]
    with np.errstate(invalid="ignore", divide="ignore"):
        mobility = spread[1] / spread[0]
        complexity = spread[2] / spread[1] / mobility
    n_times = epochs.shape[1]
    turns = _count_sign_changes(first)
    petrosian = np.log10(n_times) / (np.log10(n_times) + np.log10(n_times / (n_times + 0.4 * turns)))
    return {"nzc": _count_sign_changes(epochs), "hmob": mobility, "hcomp": complexity, "petrosian": petrosian}


def _sorted_quantile(ordered: np.ndarray, share: float) -> np.ndarray:
    position = share * (ordered.shape[1] - 1)
    below = int(position)
    above = min(below + 1, ordered.shape[1] - 1)
    return ordered[:, below] + (position - below) * (ordered[:, above] - ordered[:, below])


def _mean_product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("et,et->e", first, second) / first.shape[1]


def _count_sign_changes(values: np.ndarray) -> np.ndarray:
    negative = np.signbit(values)
    return np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)


def _compute_powers(epochs: np.ndarray, *, kind: str) -> dict[str, np.ndarray]:
    """Share of each band (Simpson's rule, median Welch spectrum), their ratios, and the broad power (trapezium)."""
    from scipy.integrate import simpson, trapezoid

    frequencies, density = compute_median_spectrum(epochs)
    step = frequencies[1] - frequencies[0]
    powers = {}
    if kind != "emg":
        total = simpson(density, dx=step, axis=1)
        for name, (low, high) in BANDS.items():
            inside = (frequencies >= low) & (frequencies <= high)
            with np.errstate(invalid="ignore", divide="ignore"):
                powers[name] = simpson(density[:, inside], dx=step, axis=1) / total
    if kind == "eeg":
        delta = powers["sdelta"] + powers["fdelta"]
        with np.errstate(invalid="ignore", divide="ignore"):
            powers |= {
                "dt": delta / powers["theta"],
                "ds": delta / powers["sigma"],
                "db": delta / powers["beta"],
                "at": powers["alpha"] / powers["theta"],
            }
    powers["abspow"] = trapezoid(density, dx=step, axis=1)
    return powers


def compute_median_spectrum(
    epochs: Float[np.ndarray, "epoch time"],
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, "epoch frequency"]]:
    """Welch's spectrum by the median over half-overlapping Hamming windows of 5 s, from 0.4 to 30 Hz.

    The median is divided by its bias, as in SciPy (Allen et al. 2012, doi:10.1103/PhysRevD.85.122006, appendix B).

    Args:
        epochs: Signal at 100 Hz, shape (epoch, time).

    Returns:
        Frequencies in Hz, and the one-sided density in the signal's unit squared per Hz.
    """
    size = WELCH_SECONDS * RATE
    taper = np.hamming(size + 1)[:size]
    # No mean is taken off: what it adds under a Hamming window ends at 0.2 Hz.
    windows = np.lib.stride_tricks.sliding_window_view(epochs, size, axis=1)[:, :: size // 2] * taper
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    inside = (frequencies >= BROAD[0]) & (frequencies <= BROAD[1])
    spectrum = scipy.fft.rfft(windows, axis=2)[:, :, inside]
    power = np.sort((spectrum.real**2 + spectrum.imag**2).transpose(0, 2, 1), axis=2)
    n_windows = power.shape[2]
    median = (power[:, :, (n_windows - 1) // 2] + power[:, :, n_windows // 2]) / 2
    even = 2.0 * np.arange(1, (n_windows - 1) // 2 + 1)
    bias = 1 + np.sum(1 / (even + 1) - 1 / even)
    return frequencies[inside], median * 2 / (RATE * (taper @ taper) * bias)


def compute_permutation_entropy(epochs: Float[np.ndarray, "epoch time"]) -> Float[np.ndarray, " epoch"]:
    """Permutation entropy of order 3, 0 to 1 (Bandt & Pompe 2002): how evenly the six orders of three samples occur.

    Args:
        epochs: Shape (epoch, time), any unit.

    Returns:
        Shape (epoch,).
    """
    rises = epochs[:, :-1] <= epochs[:, 1:]
    rises_over_two = epochs[:, :-2] <= epochs[:, 2:]
    first, second = rises[:, :-1], rises[:, 1:]
    up = _count(first & second)
    peak = first & ~second
    trough = second & ~first
    high_peak, high_trough = _count(peak & rises_over_two), _count(trough & rises_over_two)
    counts = np.stack(
        (
            up,
            first.shape[1] - up - _count(first ^ second),
            high_peak,
            _count(peak) - high_peak,
            high_trough,
            _count(trough) - high_trough,
        ),
        axis=1,
    )
    shares = counts / first.shape[1]
    logs = np.log2(shares, out=np.zeros_like(shares), where=shares > 0)
    return np.clip(-(shares * logs).sum(axis=1) / np.log2(6), 0, 1)


def _count(mask: Bool[np.ndarray, "epoch time"]) -> np.ndarray:
    return np.count_nonzero(mask, axis=1)


def compute_higuchi_dimension(epochs: Float[np.ndarray, "epoch time"]) -> Float[np.ndarray, " epoch"]:
    """Higuchi's fractal dimension with lags 1 to 10 (Higuchi 1988): the slope of log curve length against log 1/lag.

    Args:
        epochs: Shape (epoch, time), any unit.

    Returns:
        Shape (epoch,).
    """
    n_epochs, n_times = epochs.shape
    lengths = np.empty((HIGUCHI_LAG, n_epochs))
    buffer = np.empty((n_epochs, n_times))
    for lag in range(1, HIGUCHI_LAG + 1):
        steps = buffer[:, : n_times - lag]
        np.abs(np.subtract(epochs[:, lag:], epochs[:, :-lag], out=steps), out=steps)
        lengths[lag - 1] = steps @ _step_weights(n_times, lag)
    x = -np.log(np.arange(1, HIGUCHI_LAG + 1))
    centred = x - x.mean()
    with np.errstate(divide="ignore", invalid="ignore"):  # a flat epoch has no dimension
        return centred @ np.log(lengths) / (centred @ centred)


@lru_cache(maxsize=32)
def _step_weights(n_times: int, lag: int) -> np.ndarray:
    """What each step of `lag` samples adds to the mean length of Higuchi's `lag` curves."""
    start = np.arange(n_times - lag) % lag
    return (n_times - 1) / (lag**3 * ((n_times - 1 - start) // lag))
