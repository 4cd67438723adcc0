"""Memory: how reactivations sit in spindles and slow waves, and whether sessions with more, or better timed, gain more.

Phase runs through the four times that a slow wave is known by: trough −π, crossing −π/2, crest 0, end π/2, so that 0 is
the top of the up-state (Staresina et al. 2015, 10.1038/nn.4119, nest ripples in spindles in up-states).

For memory the session is the unit. Observational: sessions differ in more than their reactivations, and a score before
that was low by chance comes back by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.recordings.hypnogram import NREM_STAGES

FEWEST_EVENTS = 10
"""Events in slow waves below which no phase locking is given."""

FEWEST_SESSIONS = 5
"""Sessions with both scores below which nothing is estimated."""

PREDICTORS = ("n_reactivations", "reactivation_rate", "in_spindle", "in_slow_wave", "phase_near_up_state", "locking")
MEMORY_COLUMNS = (
    "predictor", "rho", "low", "high", "p", "q", "slope", "slope_low", "slope_high", "n_sessions",
)  # fmt: skip


@dataclass(frozen=True)
class Coupling:
    """How events sit in spindles and slow waves.

    Attributes:
        n_events: Events looked at.
        in_spindle: Share of events within a spindle.
        in_slow_wave: Share within a slow wave.
        phase: Mean phase in slow waves, in rad; 0 is the top of the up-state. NaN without events there.
        locking: Pairwise phase consistency (Vinck et al. 2010, 10.1016/j.neuroimage.2010.01.073): 0 without locking
            whatever the number of events, 1 for perfect locking. NaN with fewer than `FEWEST_EVENTS`.
    """

    n_events: int
    in_spindle: float
    in_slow_wave: float
    phase: float
    locking: float


def compute_coupling(
    times: Float[np.ndarray, " event"], *, slow_waves: pd.DataFrame, spindles: pd.DataFrame
) -> Coupling:
    """Coupling of events to spindles and slow oscillations.

    Args:
        times: Times of the events, in s.
        slow_waves: Table of slow waves as `detect_slow_waves` gives it: onset, duration, negative_peak, mid_crossing,
            positive_peak (s).
        spindles: Table of spindles: onset, duration (s).

    Returns:
        The coupling; shares are NaN without events.
    """
    phases = compute_slow_phase(times, slow_waves)
    inside = phases[np.isfinite(phases)]
    n, share = len(times), np.isfinite(phases)
    mean = np.exp(1j * inside).mean() if len(inside) else np.nan
    locking = (len(inside) * abs(mean) ** 2 - 1) / (len(inside) - 1) if len(inside) >= FEWEST_EVENTS else np.nan
    return Coupling(
        n_events=n,
        in_spindle=float(_lie_within(times, spindles).mean()) if n else np.nan,
        in_slow_wave=float(share.mean()) if n else np.nan,
        phase=float(np.angle(mean)) if len(inside) else np.nan,
        locking=float(locking),
    )


def compute_slow_phase(times: Float[np.ndarray, " event"], slow_waves: pd.DataFrame) -> Float[np.ndarray, " event"]:
    """Phase of the slow oscillation at each time, in rad; NaN outside slow waves.

    Args:
        times: Times of the events, in s.
        slow_waves: Table of slow waves as `detect_slow_waves` gives it.
    """
    phases = np.full(len(times), np.nan)
    if not len(slow_waves) or not len(times):
        return phases
    waves = slow_waves.sort_values("onset", kind="stable")
    onset = waves["onset"].to_numpy(dtype=float)
    named = [waves[name].to_numpy(dtype=float) for name in ("negative_peak", "mid_crossing", "positive_peak")]
    nodes = np.stack([onset, *named, onset + waves["duration"].to_numpy(dtype=float)], axis=1)
    which = np.searchsorted(onset, times, side="right") - 1
    for index in np.flatnonzero((which >= 0) & (times < nodes[np.maximum(which, 0), -1])):
        phases[index] = np.interp(times[index], nodes[which[index]], np.array([-1.5, -1.0, -0.5, 0.0, 0.5]) * np.pi)
    return np.angle(np.exp(1j * phases))


def _lie_within(times: Float[np.ndarray, " event"], spans: pd.DataFrame) -> np.ndarray:
    """Which times lie in one of the spans."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    ordered = spans.sort_values("onset", kind="stable")
    onset = ordered["onset"].to_numpy(dtype=float)
    end = np.maximum.accumulate(onset + ordered["duration"].to_numpy(dtype=float))
    which = np.searchsorted(onset, times, side="right") - 1
    return (which >= 0) & (times < end[np.maximum(which, 0)])


def measure_session(
    reactivations: pd.DataFrame, hypnogram: Hypnogram, *, coupling: Coupling | None = None
) -> dict[str, float]:
    """What a session's reactivations are like.

    Args:
        reactivations: Table of reactivations: onset (s).
        hypnogram: Stages of the session, on the same clock.
        coupling: Coupling of the reactivations to spindles and slow waves, where those were detected.

    Returns:
        n_reactivations and reactivation_rate (1/min) in NREM sleep, and with a coupling in_spindle, in_slow_wave,
        phase_near_up_state (cosine of the mean phase) and locking.
    """
    codes = [code for code, name in enumerate(hypnogram.names) if name in NREM_STAGES]
    minutes = float(np.isin(hypnogram.stages, codes).sum() * hypnogram.epoch_length / 60)
    n = int(np.isin(hypnogram.at(reactivations["onset"].to_numpy(dtype=float)), codes).sum())
    measures = {"n_reactivations": float(n), "reactivation_rate": n / minutes if minutes else np.nan}
    if coupling is not None:
        measures |= {
            "in_spindle": coupling.in_spindle,
            "in_slow_wave": coupling.in_slow_wave,
            "phase_near_up_state": float(np.cos(coupling.phase)),
            "locking": coupling.locking,
        }
    return measures


def correlate_with_memory(
    sessions: pd.DataFrame,
    *,
    rng: np.random.Generator,
    predictors: Sequence[str] = PREDICTORS,
    n_permutations: int = 5000,
) -> pd.DataFrame:
    """Rank correlation and regression of the change in performance on each predictor, across sessions.

    The p-value permutes sessions; the interval of ρ is Fisher's with the variance of Bonett & Wright (2000,
    10.1007/BF02294183); q controls false discoveries over the predictors.

    Args:
        sessions: Table of sessions, one row each: before and after (score of the task, in percent) and the predictors.
        rng: Random generator, which draws the permutations.
        predictors: Names of the columns to correlate; those that are absent or constant are left out.
        n_permutations: Number of permutations of the sessions; 5000 by default.

    Returns:
        predictor, rho with low and high (95 %), p, q, slope with its interval (points per unit of the predictor; in
        n_reactivations per reactivation), n_sessions.

    Raises:
        SharpwaveError: If scores are missing, or fewer than `FEWEST_SESSIONS` sessions have them.
    """
    if not {"before", "after"} <= set(sessions.columns):
        raise SharpwaveError(
            "sessions with the columns before and after",
            got=", ".join(map(str, sessions.columns)) or "no columns",
            fix="give the task's score in percent before and after sleep",
        )
    change = (sessions["after"] - sessions["before"]).to_numpy(dtype=float)
    if np.isfinite(change).sum() < FEWEST_SESSIONS:
        raise SharpwaveError(
            f"at least {FEWEST_SESSIONS} sessions with a score before and after",
            got=str(int(np.isfinite(change).sum())),
            fix="add sessions; a correlation over fewer says nothing",
        )
    rows = []
    for name in (name for name in predictors if name in sessions):
        values = sessions[name].to_numpy(dtype=float)
        known = np.isfinite(values) & np.isfinite(change)
        if known.sum() >= FEWEST_SESSIONS and np.ptp(values[known]) > 0 and np.ptp(change[known]) > 0:
            rows.append({"predictor": name, **_correlate(values[known], change[known], rng, n_permutations)})
    if not rows:
        return pd.DataFrame(columns=MEMORY_COLUMNS)
    from scipy.stats import false_discovery_control

    table = pd.DataFrame(rows)
    return table.assign(q=false_discovery_control(table["p"]))[list(MEMORY_COLUMNS)]


def describe_memory(correlations: pd.DataFrame, *, alpha: float = 0.05) -> str:
    """The relation to memory in one plain sentence; a null is stated as one."""
    if not len(correlations):
        return "No measure of reactivation differed between sessions."
    best = correlations.sort_values("p", kind="stable").iloc[0]
    words = (
        f"ρ = {best['rho']:.2f} between {best['predictor'].replace('_', ' ')} and the change in performance "
        f"(95 % interval {best['low']:.2f} to {best['high']:.2f}, q = {best['q']:.3f}, {best['n_sessions']} sessions)"
    ).replace("-", "−")
    if best["q"] <= alpha:
        return f"Across sessions, {words}. Observational: sessions differ in more than this."
    return f"No relation to memory was shown across sessions; the strongest: {words}."


def _correlate(
    values: Float[np.ndarray, " session"],
    change: Float[np.ndarray, " session"],
    rng: np.random.Generator,
    n_permutations: int,
) -> dict[str, float]:
    from scipy.stats import linregress, rankdata, t

    ranks, gains = rankdata(values), rankdata(change)
    ranks, gains = (ranks - ranks.mean()) / ranks.std(), (gains - gains.mean()) / gains.std()
    n = len(values)
    rho = float(ranks @ gains / n)
    drawn = rng.permuted(np.tile(gains, (n_permutations, 1)), axis=1) @ ranks / n
    p = (1 + int((np.abs(drawn) >= abs(rho) - 1e-12).sum())) / (1 + n_permutations)
    bounded = float(np.clip(rho, -1 + 1e-9, 1 - 1e-9))
    reach = 1.96 * np.sqrt((1 + bounded**2 / 2) / max(n - 3, 1))
    fit = linregress(values, change)
    margin = float(t.ppf(0.975, n - 2)) * fit.stderr
    return {
        "rho": rho,
        "low": float(np.tanh(np.arctanh(bounded) - reach)),
        "high": float(np.tanh(np.arctanh(bounded) + reach)),
        "p": p,
        "slope": fit.slope,
        "slope_low": fit.slope - margin,
        "slope_high": fit.slope + margin,
        "n_sessions": n,
    }


__getattr__ = moved.rename(__name__, {"relate_to_memory": "correlate_with_memory"})
