"""Matched moments: what follows a reactivation beside what follows moments like it without one.

Each reactivation is matched within its night and stage with the `N_MATCHES` nearest moments in time of night, age of
the bout, infraslow phase, depth, EMG and recent events. Where candidate events are known the moments are events that
carried no reactivation. No moment is matched whose outcome overlaps with that of the reactivation: it would share the
effect. What the matches miss is corrected by a regression within nights (Abadie & Imbens 2011,
10.1198/jbes.2009.07333).

Nearest matches come from where moments are many, and the moments that are looked for do not: what no line removes of
that difference is a bias, whatever the reactivation does. So controls are put in the place of reactivations, matched in
the same way, and what they differ from their own matches by is taken away, within nights and stages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.causality.design import choose_onsets, compute_covariates, count_events, find_exposure, find_period
from sharpwave.causality.intervals import Interval, compute_jackknife, split_units
from sharpwave.causality.outcomes import compute_outcome
from sharpwave.causality.series import NightSeries

N_MATCHES = 5
MOST_CONTROLS = 4000
"""Of more controls in a night every second, third, … is looked at."""

MOST_PLACEBOS = 400
"""Of more controls every second, third, … is put in the place of a reactivation."""


@dataclass(frozen=True)
class MatchedEffect:
    """Difference between reactivations and their matches.

    Attributes:
        exposed: Mean outcome after reactivations: a risk, or dB.
        control: Mean outcome after their matches, corrected by the regression.
        difference: Difference of the two, with its interval.
        spread: Standard deviation of the outcome over all control moments.
        n_events: Number of reactivations that were matched.
    """

    exposed: float
    control: float
    difference: Interval
    spread: float
    n_events: int


def estimate_matched(
    nights: Sequence[NightSeries],
    *,
    outcome: str,
    content: str | None = None,
    horizon: int = 30,
    stages: Sequence[int] | None = None,
    period: str = "any",
    backwards: bool = False,
) -> MatchedEffect | None:
    """Matched difference in what follows a reactivation.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        outcome: "depth" (dB), or a stage transition: "lighter", "deeper" or "wake".
        content: Name of the content whose reactivations are looked at; all contents together by default.
        horizon: Length of the time after a reactivation that counts, in s; 30 s by default.
        stages: Codes of the stages that are looked at; all NREM stages by default.
        period: Part of each night's sleep: "any" (all of it, the default), "early" or "late" half.
        backwards: Whether the outcome is taken in the `horizon` s before instead, given what was known before these:
            the negative control, since no reactivation can have caused it. Every control of the stage counts then:
            matching apart from the reactivation itself would favour controls from long bouts.

    Returns:
        The effect, or None with fewer than two matched reactivations.
    """
    stages = nights[0].nrem if stages is None else stages
    contents = sorted({name for series in nights for name in series.contents})
    tables = [_match(c, outcome, content, contents, horizon, stages, period, backwards) for c in nights]
    matched = [table for table in tables if table is not None]
    if sum(len(table.exposed) for table in matched) < 2:
        return None
    control = _correct(matched)
    exposed = np.concatenate([table.exposed for table in matched])
    units = split_units([table.time for table in matched])
    n_units = int(units.max()) + 1
    n = np.bincount(units, minlength=n_units).astype(float)
    sums = np.array([np.bincount(units, weights=values, minlength=n_units) for values in (exposed, control)])
    means, without = sums.sum(axis=1) / n.sum(), (sums.sum(axis=1, keepdims=True) - sums) / np.maximum(n.sum() - n, 1)
    return MatchedEffect(
        exposed=float(means[0]),
        control=float(means[1]),
        difference=compute_jackknife(float(means[0] - means[1]), without[0] - without[1]),
        spread=float(np.concatenate([table.outcome for table in matched]).std()),
        n_events=len(exposed),
    )


@dataclass(frozen=True, eq=False)
class _Matches:
    """Of one night: each reactivation's outcome, the mean of its matches and what they miss; all controls; and what
    controls in the place of reactivations differ from their matches by, and miss, on the average of each stage, for
    each reactivation."""

    exposed: Float[np.ndarray, " event"]
    time: Float[np.ndarray, " event"]
    missed: Float[np.ndarray, "event feature"]
    matched: Float[np.ndarray, " event"]
    outcome: Float[np.ndarray, " control"]
    features: Float[np.ndarray, "control feature"]
    placebo: Float[np.ndarray, " event"]
    placebo_missed: Float[np.ndarray, "event feature"]


def _match(
    series: NightSeries,
    outcome: str,
    content: str | None,
    contents: Sequence[str],
    horizon: int,
    stages: Sequence[int],
    period: str,
    backwards: bool,
) -> _Matches | None:
    events, pool = _choose_moments(series, content, stages, period)
    pool = pool[:: -(-len(pool) // MOST_CONTROLS) or 1]
    values = [
        compute_outcome(series, index, outcome=outcome, horizon=horizon, backwards=backwards)
        for index in (events, pool)
    ]
    known = [np.isfinite(v) for v in values]
    events, pool = events[known[0]], pool[known[1]]
    if len(events) == 0 or len(pool) < N_MATCHES:
        return None
    features = _compute_features(series, outcome, contents, horizon, np.r_[events, pool], backwards)
    mine, controls = features[: len(events)], features[len(events) :]
    outcomes, apart = values[1][known[1]], 2 * (horizon + series.depth_window)
    weights = _weigh(series, (events, mine), (pool, controls), None if backwards else apart)
    found = weights.sum(axis=1) > 0.5
    if not found.any():
        return None
    placebo = np.zeros((len(events), 1 + controls.shape[1]))
    if not backwards:
        every = slice(None, None, -(-len(pool) // MOST_PLACEBOS))
        others = _weigh(series, (pool[every], controls[every]), (pool, controls), apart)
        differs = np.column_stack([outcomes[every], controls[every]]) - others @ np.column_stack([outcomes, controls])
        placebo = _average(differs, others.sum(axis=1) > 0.5, series.stage[pool[every]], series.stage[events])
    return _Matches(
        exposed=values[0][known[0]][found],
        time=series.time[events][found],
        missed=(mine - weights @ controls)[found],
        matched=(weights @ outcomes)[found],
        outcome=outcomes,
        features=controls,
        placebo=placebo[found, 0],
        placebo_missed=placebo[found, 1:],
    )


def _weigh(
    series: NightSeries,
    wanted: tuple[Int[np.ndarray, " event"], Float[np.ndarray, "event feature"]],
    pool: tuple[Int[np.ndarray, " control"], Float[np.ndarray, "control feature"]],
    apart: int | None,
) -> Float[np.ndarray, "event control"]:
    """Weights of the nearest controls of the stage that lie further apart than this, in s; without, of all of it."""
    same = series.stage[wanted[0]][:, None] == series.stage[pool[0]]
    if apart is None:
        return same / np.maximum(same.sum(axis=1, keepdims=True), 1)
    return _weigh_nearest(wanted[1], pool[1], same & (np.abs(pool[0] - wanted[0][:, None]) > apart))


def _average(
    differs: Float[np.ndarray, "control column"],
    known: Bool[np.ndarray, " control"],
    stage: Int[np.ndarray, " control"],
    wanted: Int[np.ndarray, " event"],
) -> Float[np.ndarray, "event column"]:
    """For each event the mean over the controls of its stage; 0 where there is none."""
    found = np.zeros((len(wanted), differs.shape[1]))
    for code in np.unique(wanted):
        mine = known & (stage == code)
        if mine.any():
            found[wanted == code] = differs[mine].mean(axis=0)
    return found


def _choose_moments(
    series: NightSeries, content: str | None, stages: Sequence[int], period: str
) -> tuple[Int[np.ndarray, " event"], Int[np.ndarray, " control"]]:
    """Seconds with a reactivation of the content, and seconds without any that can be compared with them."""
    eligible = np.isin(series.stage, stages) & series.usable & find_period(series, period)
    eligible &= np.r_[series.stage[1:] == series.stage[:-1], False]  # the next second is still at risk
    carries = count_events(series, choose_onsets(series, content)) > 0
    other: Bool[np.ndarray, " second"] = count_events(series, choose_onsets(series, None)) == 0
    if series.candidates is not None:
        other &= count_events(series, series.candidates) > 0
    return np.flatnonzero(eligible & carries), np.flatnonzero(eligible & other)


def _compute_features(
    series: NightSeries,
    outcome: str,
    contents: Sequence[str],
    horizon: int,
    seconds: Int[np.ndarray, " moment"],
    backwards: bool,
) -> Float[np.ndarray, "moment feature"]:
    """Covariates, scaled so that a difference of 1 is large; those that a night lacks are 0.

    Looking backwards, what the outcome would show in is left out: for a transition, whatever
    distinguishes sleep from wake.
    """
    covariates = compute_covariates(series, horizon=horizon)
    known = np.maximum(seconds - horizon, 0) if backwards else seconds
    wave = np.zeros(len(seconds), complex) if covariates.phase is None else np.exp(1j * covariates.phase[seconds])
    columns = [series.time[seconds] / 1800, np.log1p(covariates.slow[known]), wave.real, wave.imag]
    if outcome == "depth" or not backwards:
        columns += [_fill(covariates.depth[known]) / 2, _fill(covariates.before[known]) / 3]
        columns += [find_exposure(series, content, horizon)[known] for content in contents]
    if not backwards:
        columns += [np.log(covariates.age[seconds]), np.log(covariates.bout[seconds]) / 2]
        columns.append(np.log1p(covariates.recent[seconds]))
        columns.append(np.zeros(len(seconds)) if covariates.emg is None else _fill(covariates.emg[seconds]) / 4)
    return np.column_stack(columns)


def _weigh_nearest(
    mine: Float[np.ndarray, "event feature"],
    controls: Float[np.ndarray, "control feature"],
    allowed: Bool[np.ndarray, "event control"],
) -> Float[np.ndarray, "event control"]:
    """The same weight for the nearest allowed controls of each reactivation; none where there are too few."""
    squares = (mine**2).sum(axis=1)[:, None] + (controls**2).sum(axis=1) - 2 * mine @ controls.T
    squares[~allowed] = np.inf
    nearest = np.argpartition(squares, N_MATCHES - 1, axis=1)[:, :N_MATCHES]
    weights = np.zeros(squares.shape)
    np.put_along_axis(weights, nearest, 1 / N_MATCHES, axis=1)
    weights[allowed.sum(axis=1) < N_MATCHES] = 0
    return weights


def _correct(tables: Sequence[_Matches]) -> Float[np.ndarray, " event"]:
    """Outcome of each reactivation's matches, shifted to its own covariates by a regression on controls, and by what
    controls in its place differ from their matches by once they are shifted as well."""
    width = tables[0].features.shape[1]
    information, moment = 1e-3 * np.eye(width), np.zeros(width)
    for table in tables:
        x = table.features - table.features.mean(axis=0)
        information += x.T @ x
        moment += x.T @ (table.outcome - table.outcome.mean())
    slope = np.linalg.solve(information, moment)
    return np.concatenate([t.matched + t.missed @ slope + t.placebo - t.placebo_missed @ slope for t in tables])


def _fill(values: Float[np.ndarray, " moment"]) -> Float[np.ndarray, " moment"]:
    known = np.isfinite(values)
    return np.where(known, values, values[known].mean() if known.any() else 0.0)
