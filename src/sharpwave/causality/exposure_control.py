"""A control that sees hidden causes: does what came before an event tell whether it carries a memory?

Comparing with events that carried none is safe from whatever drives events. It is not safe from what decides which of
them carry a memory, if that also moves sleep: the infraslow rhythm, vigilance. Had time alone decided, the carriers
would lie among the other events of the same ten minutes of a night as if drawn by lot. Two things are held against
lots:

- *the state before*: depth in the 8 s and the 32 s before the event (and so its slope), infraslow phase, muscle tone,
  age of stage and bout, and the events of the last minute, as a quadratic form in the difference of carriers and
  others;
- *runs*: whether carriers follow carriers 10 s to 3 min later more, or less, often than lots would.

Runs see a rhythm that no measured quantity shows. What follows within 10 s is left out, since trains of reactivations
are no sign of a common cause. The smaller of the two ranks is held against its own distribution over the same lots.

What changes over more than ten minutes is asked beside it (`causality.drift_control`): whether the odds drift beyond
the time of the night and the stage, for this content, and for all contents together, which are more events. p is that
of the smallest of these tests, taken for how many they are (Šidák 1967, 10.2307/2283989).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.causality.design import choose_onsets, compute_covariates, count_events, count_past, find_period
from sharpwave.causality.drift_control import check_drift
from sharpwave.causality.series import FREQUENCY, NightSeries

N_DRAWS = 199
"""Lots drawn; p cannot be below 1 in 200."""

N_PLANTED = 100
"""Hidden causes planted to measure the power."""

ODDS = 1.0
"""Log odds, per standard deviation, by which the planted cause decides: odds of 2.7 to 1."""

SEEN = 0.4
"""Correlation of the infraslow phase as it is estimated with the true one, in both simulated worlds."""

FEWEST = 10
"""Carriers, and other events, below which nothing is asked."""

STRATUM = 600
"""Seconds within which lots are drawn; what changes more slowly is asked of the drift. In half hours, odds that fell to
a half in each were taken for a hidden cause."""

GRID = 5
RUNS = ((2, 4), (4, 6), (6, 9), (9, 12), (12, 36))
"""Steps of `GRID` s between two events, from the first to before the second, in which runs are counted."""

NEAR = 0.5
"""Seconds from a reactivation within which the nearest candidate event is that reactivation."""

PAST = (5, 10, 20, 30, 45, 60)
"""Seconds in which past events are counted."""


@dataclass(frozen=True)
class ExposureControl:
    """Whether something other than time decides which events carry a memory.

    Attributes:
        p: Chance of such a difference had lots been drawn.
        seen: What the difference lies in: "state" before the event, "runs" of carriers, or a slow "drift" of their
            share.
        power: Share of planted hidden causes (infraslow, `ODDS` per standard deviation) that this control sees on these
            events.
        slow_power: Share of planted slow causes (a drift of 40 min that decides which events carry any memory) that it
            sees.
    """

    p: float
    seen: str
    power: float
    slow_power: float = np.nan


@dataclass(frozen=True, eq=False)
class _Events:
    """Candidate events of all nights, in strata of a night and ten minutes.

    Attributes:
        carries: Whether each carries the content.
        stratum: Stratum of each, counted from 0, in order.
        night: Night of each.
        second: Second of each within its night.
        state: What was known before it, without the mean of its stratum.
        wave: Infraslow phase (rad) of each as it is estimated; NaN where it is not known.
    """

    carries: Bool[np.ndarray, " event"]
    stratum: Int[np.ndarray, " event"]
    night: Int[np.ndarray, " event"]
    second: Int[np.ndarray, " event"]
    state: Float[np.ndarray, "event feature"]
    wave: Float[np.ndarray, " event"]


def check_exposure(
    nights: Sequence[NightSeries],
    *,
    rng: np.random.Generator,
    content: str | None = None,
    stages: Sequence[int] | None = None,
    period: str = "any",
    n_planted: int = N_PLANTED,
) -> ExposureControl | None:
    """Hold the events that carry a content against lots drawn within ten minutes of a night, and against slow drifts.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        rng: Random generator, which draws the lots.
        content: Name of the content; any content by default. Events that carry another one are left out.
        stages: Codes of the stages whose events are looked at; all NREM stages by default.
        period: Part of each night's sleep: "any" (all of it, the default), "early" or "late" half.
        n_planted: Number of hidden causes planted to measure the power; 100 by default, and 0 measures none.

    Returns:
        The control; None where candidate events are not known, or too few carry the content.

    >>> rng, n = np.random.default_rng(0), 7200
    >>> onsets = np.arange(60.0, 7000.0, 7.0)
    >>> carries = np.cos(2 * np.pi * 0.02 * onsets) > 0.5
    >>> import pandas as pd
    >>> found = pd.DataFrame({"onset": onsets[carries], "content": "maze"})
    >>> night = NightSeries("a", np.arange(7200.0), np.ones(n, int), 2, rng.normal(size=n), None, None, found,
    ...     np.ones(n, bool), candidates=onsets)
    >>> control = check_exposure([night], rng=rng)
    >>> control.p < 0.01, control.seen
    (True, 'runs')
    """
    if any(series.candidates is None for series in nights):
        return None
    events = _gather(nights, content, nights[0].nrem if stages is None else stages, period)
    n = int(events.carries.sum())
    if n < FEWEST or len(events.carries) - n < FEWEST:
        return None
    slow, planted_slow = _check_drifts(nights, events, content, stages, period, rng, n_planted)
    n_tests = 1 + len(slow)
    lots = _draw_lots(events, rng)
    planted = _plant(events, rng, n_planted)
    state, runs = _measure(events, np.column_stack([events.carries, planted, lots]).astype(np.float32))
    first = 1 + planted.shape[1]
    ranks = np.stack([_rank(state, state[first:]), _rank(runs, runs[first:])])
    smaller = ranks.min(axis=0)
    p = (1 + np.sum(smaller[first:] <= smaller[:first, None], axis=1)) / (1 + N_DRAWS)
    seen = "drift" if min(slow) < p[0] - 1 / (1 + N_DRAWS) else "state" if ranks[0, 0] <= ranks[1, 0] else "runs"
    power, slow_power = (
        float(np.mean(_join(values, n_tests) <= 0.05)) if n_planted else np.nan for values in (p[1:], planted_slow)
    )
    return ExposureControl(float(_join(min(p[0], *slow), n_tests)), seen, power, slow_power)


def _join(p: Any, n_tests: int) -> Any:
    """p of the smallest of so many independent tests."""
    return 1 - (1 - np.asarray(p)) ** n_tests


def _check_drifts(
    nights: Sequence[NightSeries],
    events: _Events,
    content: str | None,
    stages: Sequence[int] | None,
    period: str,
    rng: np.random.Generator,
    n_planted: int,
) -> tuple[list[float], Float[np.ndarray, " draw"]]:
    """p of the drift of this content and, where there are others, of all; and of drifts planted in the larger one."""
    asked = [events]
    if content is not None and len({name for series in nights for name in series.contents}) > 1:
        asked.append(_gather(nights, None, nights[0].nrem if stages is None else stages, period))
    slow: list[float] = []
    for number, each in enumerate(asked):
        places = [each.night == night for night in range(len(nights))]
        p, planted = check_drift(
            nights,
            [each.carries[place] for place in places],
            [each.second[place] for place in places],
            rng=rng,
            odds=ODDS,
            n_planted=n_planted if number == len(asked) - 1 else 0,
        )
        slow.append(p)
    return slow, planted


def _gather(nights: Sequence[NightSeries], content: str | None, stages: Sequence[int], period: str) -> _Events:
    parts = []
    first = 0
    for number, series in enumerate(nights):
        onsets = np.empty(0) if series.candidates is None else series.candidates
        second = np.floor(onsets - series.time[0]).astype(int)
        inside = (second >= 0) & (second < len(series.time))
        onsets, second = onsets[inside], second[inside]
        carries = _find_nearest(onsets, choose_onsets(series, content))
        other = _find_nearest(onsets, choose_onsets(series, None)) & ~carries
        wanted = np.isin(series.stage, stages) & series.usable & find_period(series, period)
        kept = wanted[second] & ~other
        carries, second = carries[kept], second[kept]
        labels, stratum = np.unique(second // STRATUM, return_inverse=True)
        wave = np.full(len(second), np.nan) if series.infraslow is None else series.infraslow[second]
        state = _describe_state(series, second)
        parts.append((carries, first + stratum.reshape(-1), np.full(len(second), number), second, state, wave))
        first += len(labels)
    carries, stratum, night, second, state, wave = (np.concatenate(column) for column in zip(*parts, strict=True))
    n = np.maximum(np.bincount(stratum, minlength=1), 1)
    means = np.stack([np.bincount(stratum, weights=column, minlength=1) / n for column in state.T], axis=1)
    return _Events(carries, stratum, night, second, state - means[stratum], wave)


def _find_nearest(onsets: Float[np.ndarray, " event"], chosen: Float[np.ndarray, " chosen"]) -> np.ndarray:
    """Which events are the nearest to one of the chosen onsets, within `NEAR` s."""
    found = np.zeros(len(onsets), bool)
    if len(onsets):
        right = np.clip(np.searchsorted(onsets, chosen), 1, max(len(onsets) - 1, 1))
        left = np.maximum(right - 1, 0)
        right = np.minimum(right, len(onsets) - 1)
        nearest = np.where(np.abs(onsets[left] - chosen) <= np.abs(onsets[right] - chosen), left, right)
        found[nearest[np.abs(onsets[nearest] - chosen) <= NEAR]] = True
    return found


def _describe_state(series: NightSeries, second: Int[np.ndarray, " event"]) -> Float[np.ndarray, "event feature"]:
    """What was known before each event; 0 where a night lacks it."""
    covariates = compute_covariates(series, horizon=PAST[3])
    phase = np.zeros(len(series.time)) if covariates.phase is None else covariates.phase
    counts = count_events(series, np.empty(0) if series.candidates is None else series.candidates)
    total = np.stack([count_past(counts, seconds)[second] for seconds in PAST])
    columns = [
        covariates.depth[second],
        covariates.before[second],
        np.cos(phase[second]),
        np.sin(phase[second]),
        np.zeros(len(second)) if covariates.emg is None else covariates.emg[second],
        np.log(covariates.age[second]),
        np.log(covariates.bout[second]),
        total[0],
        *np.diff(total, axis=0),
    ]
    table = np.column_stack(columns)
    known = np.isfinite(table)
    means = np.where(known, table, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, table, means)


def _draw_lots(events: _Events, rng: np.random.Generator) -> Bool[np.ndarray, "event draw"]:
    """Carriers drawn again, as many in each stratum."""
    lots = np.empty((len(events.carries), N_DRAWS), bool)
    for stratum in np.unique(events.stratum):
        mine = events.stratum == stratum
        lots[mine] = rng.permuted(np.repeat(events.carries[mine, None], N_DRAWS, axis=1), axis=0)
    return lots


def _plant(events: _Events, rng: np.random.Generator, n_planted: int) -> Bool[np.ndarray, "event draw"]:
    """Carriers that a hidden infraslow rhythm decided, seen as poorly as such rhythms are; as many in each stratum."""
    hidden = np.empty((len(events.carries), n_planted))
    for night in np.unique(events.night):
        mine = events.night == night
        hidden[mine] = np.cos(
            _draw_rhythm((int(events.second[mine].max()) // GRID + 1, n_planted), rng)[events.second[mine] // GRID]
        )
    known = np.isfinite(events.wave)[:, None]
    shown = np.cos(np.where(known, events.wave[:, None], 0.0) - rng.uniform(0, 2 * np.pi, n_planted))
    cause = np.sqrt(2) * np.where(known, SEEN * shown + np.sqrt(1 - SEEN**2) * hidden, hidden)
    keys = ODDS * cause + rng.gumbel(size=cause.shape)
    planted = np.empty(keys.shape, bool)
    for stratum in np.unique(events.stratum):
        mine = events.stratum == stratum
        rank = np.argsort(np.argsort(-keys[mine], axis=0), axis=0)
        planted[mine] = rank < events.carries[mine].sum()
    return planted


def _draw_rhythm(shape: tuple[int, int], rng: np.random.Generator) -> Float[np.ndarray, "step draw"]:
    """Phases of rhythms near 0.02 Hz whose frequency wanders by a fifth, a value each `GRID` s."""
    from scipy.signal import lfilter

    keep = np.exp(-GRID / 100)
    wander = lfilter([np.sqrt(1 - keep**2)], [1.0, -keep], rng.standard_normal(shape), axis=0)
    frequency = FREQUENCY * (1 + 0.2 * wander)
    return 2 * np.pi * GRID * np.cumsum(frequency, axis=0) + rng.uniform(0, 2 * np.pi, shape[1])


def _measure(
    events: _Events, draws: Float[np.ndarray, "event draw"]
) -> tuple[Float[np.ndarray, " draw"], Float[np.ndarray, " draw"]]:
    """How far carriers differ in the state before, and how far they come in runs; both grow with the difference."""
    n = np.maximum(np.bincount(events.stratum), 1)
    left = (
        draws - (np.bincount(events.stratum, weights=events.carries) / n).astype(draws.dtype)[events.stratum][:, None]
    )
    spread = events.state.std(axis=0)
    state = (events.state[:, spread > 1e-9] / spread[spread > 1e-9]).astype(draws.dtype)
    moved = state.T @ left
    form = (moved * np.linalg.solve(state.T @ state + 1e-3 * len(state) * np.eye(state.shape[1]), moved)).sum(axis=0)
    runs = np.zeros((len(RUNS), draws.shape[1]))
    for night in np.unique(events.night):
        mine = events.night == night
        step = events.second[mine] // GRID
        total = np.vstack(
            [np.zeros((1, draws.shape[1]), draws.dtype), np.cumsum(left[mine], axis=0)]
        )  # onsets are in order
        for index, (first, last) in enumerate(RUNS):
            begin, end = np.searchsorted(step, step + first), np.searchsorted(step, step + last)
            runs[index] += (left[mine] * (total[end] - total[begin])).sum(axis=0)
    lots = runs[:, -N_DRAWS:]
    scale = np.maximum(lots.std(axis=1, keepdims=True), 1e-12)
    return form, (((runs - lots.mean(axis=1, keepdims=True)) / scale) ** 2).sum(axis=0)


def _rank(values: Float[np.ndarray, " draw"], lots: Float[np.ndarray, " lot"]) -> Float[np.ndarray, " draw"]:
    """Share of lots that are at least as extreme as each value."""
    order = np.sort(lots)
    return (1 + len(order) - np.searchsorted(order, values - 1e-9, side="left")) / (1 + len(order))
