"""What YASA's stager knows of an epoch: amplitude, shape, spectrum, entropy and fractal dimension.

The definitions are those of Vallat & Walker 2021 (doi:10.7554/eLife.70092), as YASA 0.8 and antropy 0.2 compute them;
the arithmetic is ours, over many epochs at once and without a compiler, and a test holds both to the same numbers.
"""

from __future__ import annotations

import numpy as np
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


def compute_epoch_features(epochs: Float[np.ndarray, "epoch time"], *, kind: str) -> dict[str, Float[np.ndarray, " epoch"]]:
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
    third = np.einsum("et,et->e", squared, centred) / n_times
    fourth = np.einsum("et,et->e", squared, squared) / n_times
    low, high = np.quantile(epochs, (0.25, 0.75), axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            "std": np.sqrt(variance * n_times / (n_times - 1)),
            "iqr": high - low,
            "skew": third / variance**1.5,
            "kurt": fourth / variance**2 - 3,
        }


def _compute_shape(epochs: np.ndarray) -> dict[str, np.ndarray]:
    """Zero crossings, Hjorth mobility and complexity (Hjorth 1970), Petrosian fractal dimension."""
    first = np.diff(epochs, axis=1)
    second = np.diff(first, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mobility = np.sqrt(first.var(axis=1) / epochs.var(axis=1))
        complexity = np.sqrt(second.var(axis=1) / first.var(axis=1)) / mobility
    n_times = epochs.shape[1]
    turns = _count_sign_changes(first)
    petrosian = np.log10(n_times) / (np.log10(n_times) + np.log10(n_times / (n_times + 0.4 * turns)))
    return {"nzc": _count_sign_changes(epochs), "hmob": mobility, "hcomp": complexity, "petrosian": petrosian}


def _count_sign_changes(values: np.ndarray) -> np.ndarray:
    negative = np.signbit(values)
    return np.count_nonzero(negative[:, 1:] != negative[:, :-1], axis=1)


def _compute_powers(epochs: np.ndarray, *, kind: str) -> dict[str, np.ndarray]:
    """Share of each band (Simpson's rule on the median Welch spectrum), their ratios, and the broad power (trapezium)."""
    from scipy.integrate import simpson, trapezoid
    from scipy.signal import welch

    frequencies, density = welch(epochs, RATE, window="hamming", nperseg=WELCH_SECONDS * RATE, average="median")
    step = frequencies[1] - frequencies[0]
    broad = (frequencies >= BROAD[0]) & (frequencies <= BROAD[1])
    powers = {}
    if kind != "emg":
        total = simpson(density[:, broad], dx=step, axis=1)
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
    powers["abspow"] = trapezoid(density[:, broad], dx=step, axis=1)
    return powers


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
    buffer = np.zeros((n_epochs, n_times + HIGUCHI_LAG))
    for lag in range(1, HIGUCHI_LAG + 1):
        steps = n_times - lag
        rows = -(-steps // lag)
        padded = buffer[:, : rows * lag]
        np.subtract(epochs[:, lag:], epochs[:, :-lag], out=padded[:, :steps])
        np.abs(padded[:, :steps], out=padded[:, :steps])
        padded[:, steps:] = 0
        sums = padded.reshape(n_epochs, rows, lag).sum(axis=1)
        n_steps = (n_times - 1 - np.arange(lag)) // lag
        lengths[lag - 1] = (sums / lag * (n_times - 1) / (lag * n_steps)).mean(axis=1)
    x = -np.log(np.arange(1, HIGUCHI_LAG + 1))
    with np.errstate(divide="ignore"):
        y = np.log(lengths)
    centred = x - x.mean()
    return centred @ y / (centred @ centred)
