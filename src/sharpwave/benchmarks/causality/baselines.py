"""What the estimators are held against: the peri-event average, and surrogates of unrelated series.

A peri-event average counts each event as independent and adjusts for nothing.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from sharpwave.causality.design import choose_onsets, count_events
from sharpwave.causality.intervals import Interval
from sharpwave.causality.outcomes import compute_outcome
from sharpwave.causality.series import NightSeries
from sharpwave.causality.surrogates import compute_session_p, compute_shift_p


def estimate_naive(
    all_series: Sequence[NightSeries], *, outcome: str, content: str | None = None, horizon: int = 30
) -> Interval:
    """Depth after minus before each reactivation, or the risk after it minus that after any second of NREM sleep.

    Args:
        all_series: Time series of the nights.
        outcome: "depth", "lighter", "deeper" or "wake".
        content: Name; None for any content.
        horizon: Horizon in s.

    Returns:
        The difference, with the interval and p of a t test or of two proportions over events.
    """
    after, reference = [], []
    for series in all_series:
        at_risk = np.isin(series.stage, series.nrem) & np.r_[series.stage[1:] == series.stage[:-1], False]
        events = np.flatnonzero((count_events(series, choose_onsets(series, content)) > 0) & at_risk)
        after.append(compute_outcome(series, events, outcome=outcome, horizon=horizon))
        backwards, moments = (True, events) if outcome == "depth" else (False, np.flatnonzero(at_risk))
        reference.append(compute_outcome(series, moments, outcome=outcome, horizon=horizon, backwards=backwards))
    exposed, control = np.concatenate(after), np.concatenate(reference)
    if outcome == "depth":
        change = exposed - control
        change = change[np.isfinite(change)]
        return _test(float(change.mean()), float(change.std(ddof=1) / np.sqrt(len(change))))
    return _compare_proportions(exposed[np.isfinite(exposed)], control[np.isfinite(control)])


def _compare_proportions(exposed: Float[np.ndarray, " event"], control: Float[np.ndarray, " second"]) -> Interval:
    shares = exposed.mean(), control.mean()
    errors = [share * (1 - share) / n for share, n in zip(shares, (len(exposed), len(control)), strict=True)]
    return _test(float(shares[0] - shares[1]), float(np.sqrt(sum(errors))))


def _test(value: float, error: float) -> Interval:
    from scipy.stats import norm

    return Interval(value, value - 1.96 * error, value + 1.96 * error, float(2 * norm.sf(abs(value) / error)))


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
