"""True values of the estimands on simulated nights, from what was planted and never from an estimator."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.causality.design import choose_onsets, count_events
from sharpwave.causality.outcomes import compute_risk, find_next_change
from sharpwave.causality.series import DEPTH_WINDOW, NightSeries
from sharpwave.errors import SharpwaveError

STRATUM = 1800
"""Seconds within which the share of ripples that carry a replay hardly changes."""


def compute_oracle_depth(
    series: NightSeries, content: str, *, gain: float, decay: float = 30.0, horizon: int = 30
) -> Float[np.ndarray, " event"]:
    """What each reactivation added to the mean depth that is measured after it while its stage lasted.

    A reactivation in second s adds gain · exp(-(t - s - 1) / decay) to depth in each second t after it.

    Args:
        series: The night.
        content: Content of the reactivations.
        gain: Planted step in dB.
        decay: Planted time constant in s.
        horizon: Horizon in s.

    Returns:
        In dB, one for each reactivation after which depth was measured.
    """
    seconds = _find_events(series, content)
    change = find_next_change(series)[seconds + 1]
    length = np.minimum(horizon, change + 2 - DEPTH_WINDOW - (seconds + DEPTH_WINDOW))
    seconds, length = seconds[length >= DEPTH_WINDOW], length[length >= DEPTH_WINDOW]
    lag = np.arange(-DEPTH_WINDOW, horizon + 2 * DEPTH_WINDOW)
    kick = np.where(lag > 0, gain * np.exp(-(lag - 1) / decay), 0.0)
    means = []
    for offset in range(DEPTH_WINDOW):  # where in its epoch the reactivation fell
        first = np.arange(DEPTH_WINDOW, DEPTH_WINDOW + horizon)
        first = first - (first + offset) % DEPTH_WINDOW  # first second of the epoch that holds each second
        measured = np.array([kick[f + DEPTH_WINDOW : f + 2 * DEPTH_WINDOW].mean() for f in first])
        means.append(np.cumsum(measured) / np.arange(1, horizon + 1))
    return np.array(means)[seconds % DEPTH_WINDOW, length - 1]


def tabulate_oracle_risk(
    series: NightSeries, content: str, *, outcome: str = "wake", horizon: int = 30
) -> pd.DataFrame:
    """What followed reactivations and ripples without one, counted in strata of time.

    The simulator draws by chance whether a ripple carries a reactivation, at odds that change over hours alone: within
    a stratum the plain difference is the effect. Many nights are needed.

    Args:
        series: A night that knows its candidates.
        content: Content of the reactivations.
        outcome: "lighter", "deeper" or "wake".
        horizon: Horizon in s.

    Returns:
        Columns stratum, exposed (0 or 1), n, moved.

    Raises:
        SharpwaveError: If the night does not know its candidates.
    """
    if series.candidates is None:
        raise SharpwaveError("a night that knows its candidates", got="none", fix="simulate with candidates=True")
    none = (count_events(series, choose_onsets(series, None)) == 0) & (count_events(series, series.candidates) > 0)
    tables = []
    for exposed, seconds in ((1, _find_events(series, content)), (0, np.flatnonzero(none & _find_risk(series)))):
        moved = compute_risk(series, seconds, outcome=outcome, horizon=horizon)
        tables.append(pd.DataFrame({"stratum": series.time[seconds] // STRATUM, "exposed": exposed, "moved": moved}))
    table = pd.concat(tables).dropna()
    return (
        table.groupby(["stratum", "exposed"])["moved"]
        .agg(["size", "sum"])
        .set_axis(["n", "moved"], axis=1)
        .reset_index()
    )


def pool_oracle_risk(tables: pd.DataFrame) -> float:
    """Risk difference over all nights, strata weighed by their reactivations."""
    pooled = tables.groupby(["stratum", "exposed"])[["n", "moved"]].sum().unstack("exposed").dropna()
    risk = pooled["moved"] / pooled["n"]
    weight = pooled["n"][1]
    return float(((risk[1] - risk[0]) * weight).sum() / weight.sum())


def _find_risk(series: NightSeries) -> np.ndarray:
    return np.isin(series.stage, series.nrem) & np.r_[series.stage[1:] == series.stage[:-1], False]


def _find_events(series: NightSeries, content: str) -> np.ndarray:
    return np.flatnonzero((count_events(series, choose_onsets(series, content)) > 0) & _find_risk(series))


def compute_oracle_cue_risk(
    series: NightSeries,
    onsets: Float[np.ndarray, " cue"],
    hazard: Float[np.ndarray, " second"],
    *,
    ratio: float,
    window: int = 30,
) -> Float[np.ndarray, " eligible"]:
    """What a cue that multiplies the hazard of waking adds to the risk of waking within `window` s, for each cue.

    Both outcomes are known: without the cue what happened, with it the same or an arousal before anything else did.

    Args:
        series: The night without any cue.
        onsets: Onsets of cues and shams, in s; those outside NREM sleep are left out.
        hazard: Hazard (1/s) of waking without any reactivation, one value a second.
        ratio: Factor of the cue on it.
        window: How long the cue acts, and the horizon of the risk, in s.
    """
    seconds = np.floor(onsets - series.time[0]).astype(int)
    seconds = seconds[_find_risk(series)[seconds]]
    without = compute_risk(series, seconds, outcome="wake", horizon=window)
    change = find_next_change(series)[seconds + 1]
    room = np.clip(np.minimum(change - seconds - 1, window), 0, None)
    extra = (ratio - 1) * np.array([hazard[s + 1 : s + 1 + n].sum() for s, n in zip(seconds, room, strict=True)])
    added = np.where(without == 1, 0.0, -np.expm1(-extra))
    return added[np.isfinite(without)]
