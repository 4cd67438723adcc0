"""Series that drift and have nothing to do with each other, through every surrogate."""

from __future__ import annotations

import warnings

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from sharpwave.causality.surrogates import compute_session_p, compute_shift_p

LENGTH = 480
"""Values a series: a night of 8 h by the minute."""

MEMORY = {"AR(.98)": 0.98, "random walk": 1.0}
N_SESSIONS = 6


def draw_false_positives(n: int, *, rng: np.random.Generator) -> dict[tuple[str, str], Float[np.ndarray, " pair"]]:
    """p of the surrogate tests on pairs of independent series.

    Args:
        n: Pairs; every session permutation takes `N_SESSIONS` of them.
        rng: Random generator.

    Returns:
        p by (kind of series, method).
    """
    out = {}
    for name, keep in MEMORY.items():
        x, y = (draw_series(n, keep=keep, rng=rng) for _ in range(2))
        out[name, "linear-shift"] = np.array([compute_shift_p(a, b) for a, b in zip(x, y, strict=True)])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            circular = [compute_shift_p(a, b, method="circular", rng=rng) for a, b in zip(x, y, strict=True)]
        out[name, "circular-shift"] = np.array(circular)
        out[name, "session-permutation"] = np.array(
            [
                compute_session_p(list(zip(x[i : i + N_SESSIONS], y[i : i + N_SESSIONS], strict=True)), rng=rng)
                for i in range(0, n - N_SESSIONS + 1, N_SESSIONS)
            ]
        )
    return out


def draw_series(n: int, *, keep: float, rng: np.random.Generator) -> Float[np.ndarray, "pair time"]:
    """x_t = keep · x_(t-1) + noise, stationary from the start where it can be; from 0 where `keep` is 1."""
    noise = rng.standard_normal((n, LENGTH))
    if keep < 1:
        noise[:, 0] /= np.sqrt(1 - keep**2)
    return np.asarray(lfilter([1.0], [1.0, -keep], noise, axis=1))
