"""Entropy of one signal: spectral, permutation, and Lempel–Ziv complexity."""

from __future__ import annotations

from math import factorial

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError


def compute_spectral_entropy(
    signal: Float[np.ndarray, " time"], rate: float, *, band: tuple[float, float] | None = None, window: float = 4.0
) -> float:
    """Shannon entropy of the power spectrum relative to that of a flat one: 1 is white, 0 is one frequency.

    `H = -Σ p(f) log p(f) / log F` with `p` the share of power at each of `F` frequencies (Inouye et al. 1991,
    doi:10.1016/0013-4694(91)90138-T); power by Welch's method.

    Args:
        signal: Samples of one channel, shape (time,).
        rate: Sampling rate in Hz.
        band: Lowest and highest frequency in Hz; all but 0 Hz where omitted.
        window: Length of Welch's windows in s, at most the signal's.

    Raises:
        SharpwaveError: If fewer than two frequencies are left.
    """
    from scipy.signal import welch

    signal = _check(signal)
    frequencies, power = welch(signal, rate, nperseg=min(signal.size, max(8, round(window * rate))))
    low, high = band if band is not None else (0.0, np.inf)
    power = power[(frequencies > 0) & (frequencies >= low) & (frequencies <= high)]
    if power.size < 2:
        raise SharpwaveError(
            "at least two frequencies in the band",
            got=f"{power.size} between {low:g} and {high:g} Hz at {rate:g} Hz",
            fix="widen the band or lengthen the window",
        )
    if not power.sum() > 0:
        return float("nan")
    return float(_entropy(power / power.sum()) / np.log(power.size))


def compute_permutation_entropy(signal: Float[np.ndarray, " time"], *, order: int = 3, delay: int = 1) -> float:
    """Shannon entropy of the order of neighbouring samples, relative to its maximum `log order!`.

    Bandt & Pompe 2002, doi:10.1103/PhysRevLett.88.174102. Equal samples rank by their place.

    Args:
        signal: Samples of one channel, shape (time,).
        order: Samples in a pattern, 2 to 8.
        delay: Number of samples between the values of a pattern.

    Raises:
        SharpwaveError: If the signal is shorter than a pattern or the order is out of range.
    """
    signal = _check(signal)
    n_patterns = signal.size - (order - 1) * delay
    if not 2 <= order <= 8 or delay < 1 or n_patterns < 1:
        raise SharpwaveError(
            "patterns of 2 to 8 samples that fit the signal",
            got=f"order={order}, delay={delay} for {signal.size} samples",
            fix="use a lower order or a longer signal",
        )
    patterns = np.stack([signal[place * delay : place * delay + n_patterns] for place in range(order)], axis=1)
    ranks = np.argsort(patterns, axis=1, kind="stable")
    counts = np.bincount(ranks @ (order ** np.arange(order)))
    return float(_entropy(counts[counts > 0] / n_patterns) / np.log(factorial(order)))


def compute_lempel_ziv(signal: Float[np.ndarray, " time"] | Bool[np.ndarray, " time"]) -> float:
    """Lempel–Ziv complexity of the signal above and below its median: 1 is random, near 0 repeats itself.

    The number of phrases `c` of the exhaustive parsing (Lempel & Ziv 1976, doi:10.1109/TIT.1976.1055501), as
    `c log2(n) / n`; a random sequence tends to 1, from above where it is short.

    Args:
        signal: Samples, or the bits themselves.
    """
    signal = np.asarray(signal)
    bits = signal if signal.dtype == bool else _check(signal) > np.median(signal)
    if bits.size < 2:
        return float("nan")
    return count_phrases(bits) * float(np.log2(bits.size)) / bits.size


def count_phrases(bits: Bool[np.ndarray, " time"]) -> int:
    """Phrases of the exhaustive parsing: each is the shortest that did not occur before it.

    >>> count_phrases(np.array([int(bit) for bit in "0001101001000101"], dtype=bool))
    6
    """
    text = np.asarray(bits, dtype=np.uint8).tobytes()
    count, begin, length, seen = 0, 0, 1, 0
    while begin + length <= len(text):
        # What occurred before cannot reoccur earlier than where its beginning did: the search goes on from there.
        seen = text.find(text[begin : begin + length], seen, begin + length - 1)
        if seen < 0:
            count, begin, length, seen = count + 1, begin + length, 1, 0
        else:
            length += 1
    return count + (begin < len(text))


def _check(signal: np.ndarray) -> np.ndarray:
    signal = np.asarray(signal, dtype=float)
    if signal.ndim != 1 or signal.size < 2 or not np.isfinite(signal).all():
        raise SharpwaveError(
            "one channel of at least two finite samples",
            got=f"shape {signal.shape}, {int((~np.isfinite(signal)).sum())} not finite",
            fix="give one channel at a time, and only pieces without gaps",
        )
    return signal


def _entropy(shares: np.ndarray) -> float:
    shares = shares[shares > 0]
    return float(-(shares * np.log(shares)).sum())
