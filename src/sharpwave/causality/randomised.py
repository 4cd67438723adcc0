"""Cues against sham: where chance decided, the difference is the effect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.causality.design import find_period
from sharpwave.causality.intervals import Interval, invert_permutations
from sharpwave.causality.outcomes import compute_outcome
from sharpwave.causality.series import NightSeries


@dataclass(frozen=True)
class RandomisedEffect:
    """Difference between cues and sham.

    Attributes:
        exposed: Mean outcome after cues.
        control: Mean outcome after sham.
        difference: Difference of the two; p and interval are those of the permutations.
        spread: Standard deviation of the outcome after sham.
        n_events: Number of cues.
    """

    exposed: float
    control: float
    difference: Interval
    spread: float
    n_events: int


def estimate_randomised(
    nights: Sequence[NightSeries],
    *,
    outcome: str,
    rng: np.random.Generator,
    content: str | None = None,
    horizon: int = 30,
    stages: Sequence[int] | None = None,
    period: str = "any",
    backwards: bool = False,
    n_permutations: int = 1999,
) -> RandomisedEffect | None:
    """Cue minus sham within nights, and the chance of such a difference had the labels been drawn again.

    The difference weighs nights by the number of cues that could be compared (cues · shams / both). The labels are
    permuted within nights, as they were drawn, and the interval holds every effect that this test does not reject: it
    speaks of these cues, and one night is enough.

    Args:
        nights: Time series of each night, one `NightSeries` a night. Those without `cues` are left out.
        outcome: "depth" (dB), or a stage transition: "lighter", "deeper" or "wake".
        rng: Random generator, which draws the permutations.
        content: Name of a content: its cues are compared with sham of the same content; all cues by default.
        horizon: Length of the time after a cue that counts, in s; 30 s by default.
        stages: Codes of the stages that are looked at; all NREM stages by default.
        period: Part of each night's sleep: "any" (all of it, the default), "early" or "late" half.
        backwards: Whether the outcome is taken in the `horizon` s before: a check of the randomisation.
        n_permutations: Number of times that the labels are drawn again; 1999 by default.

    Returns:
        The effect, or None without a night that has both.
    """
    stages = nights[0].nrem if stages is None else stages
    measured = [
        _measure(series, outcome, content, horizon, stages, period, backwards)
        for series in nights
        if series.cues is not None
    ]
    measured = [night for night in measured if 0 < night[1].sum() < len(night[1])]
    if not measured:
        return None
    values, cued = (np.concatenate([night[i] for night in measured]) for i in range(2))
    stratum = np.repeat(np.arange(len(measured)), [len(night[0]) for night in measured])
    means = _compare(values, cued, stratum)
    draws = [_shuffle(cued, stratum, rng) for _ in range(n_permutations)]
    drawn, shares = (
        np.array([np.subtract(*_compare(measure, draw, stratum)) for draw in draws])
        for measure in (values, cued.astype(float))
    )
    return RandomisedEffect(
        exposed=float(means[0]),
        control=float(means[1]),
        difference=invert_permutations(float(means[0] - means[1]), drawn, shares),
        spread=float(values[~cued].std()),
        n_events=int(cued.sum()),
    )


def _measure(
    series: NightSeries,
    outcome: str,
    content: str | None,
    horizon: int,
    stages: Sequence[int],
    period: str,
    backwards: bool,
) -> tuple[Float[np.ndarray, " cue"], Bool[np.ndarray, " cue"], Float[np.ndarray, " cue"]]:
    """Outcome, condition and time of the cues and shams of one night that fell into sleep at risk."""
    table = series.cues if series.cues is not None else pd.DataFrame(columns=["onset", "condition", "content"])
    if content is not None:
        table = table[table["content"].astype(str) == content]
    index = np.floor(table["onset"].to_numpy(dtype=float) - series.time[0]).astype(int)
    cued = (table["condition"] == "cue").to_numpy(dtype=bool)
    inside = (index >= 0) & (index < len(series.time) - 1)
    index, cued = index[inside], cued[inside]
    eligible = np.isin(series.stage, stages) & series.usable & find_period(series, period)
    index, cued = index[eligible[index]], cued[eligible[index]]
    values = compute_outcome(series, index, outcome=outcome, horizon=horizon, backwards=backwards)
    known = np.isfinite(values)
    return values[known], cued[known], series.time[index[known]]


def _compare(
    values: Float[np.ndarray, " cue"], cued: Bool[np.ndarray, " cue"], stratum: Int[np.ndarray, " cue"]
) -> Float[np.ndarray, " two"]:
    """Mean after cues and after sham, nights weighed by what they can compare."""
    n = np.array([np.bincount(stratum, weights=side, minlength=1) for side in (cued, ~cued)])
    total = np.array([np.bincount(stratum, weights=side * values, minlength=1) for side in (cued, ~cued)])
    both = (n > 0).all(axis=0)
    if not both.any():
        return np.full(2, np.nan)
    weight = n[0, both] * n[1, both] / n[:, both].sum(axis=0)
    return (total[:, both] / n[:, both]) @ weight / weight.sum()


def _shuffle(
    cued: Bool[np.ndarray, " cue"], stratum: Int[np.ndarray, " cue"], rng: np.random.Generator
) -> Bool[np.ndarray, " cue"]:
    """The labels, permuted within each night (rows are ordered by night)."""
    return cued[np.lexsort((rng.random(len(cued)), stratum))]
