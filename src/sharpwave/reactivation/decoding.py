"""Where the animal was, from spikes: bin by bin, and with memory.

Bin by bin (Zhang et al. 1998, doi:10.1152/jn.1998.79.2.1017) the posterior is the Poisson likelihood times a prior,

    p(x | n_t) ∝ p(n_t | x) p(x).

With memory it is a hidden Markov model whose place walks by the transition A (Brown et al. 1998). With L_t(x) =
p(n_t | x), the filter predicts, weighs and scales to 1; the smoother then runs back over what the filter found:

    α_t(x) ∝ L_t(x) Σ_x' α_(t-1)(x') A(x', x),        α_1(x) ∝ L_1(x)
    β_t(x) ∝ Σ_x' A(x, x') L_(t+1)(x') β_(t+1)(x'),   β_T(x) = 1
    p(x_t | n_1 … n_t) = α_t(x),   p(x_t | n_1 … n_T) ∝ α_t(x) β_t(x).

A is assumed (`compute_running_walk`) or learnt from the run (`learn_running_walk`). An animal that runs fast goes on
fast, and its cells fire more than at rest: with `learn_running` the hidden state is a pace and a place, and units fire
g_pace λ(x).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy.spatial import cKDTree

from sharpwave.reactivation.counts import count_spikes, mark_observed
from sharpwave.reactivation.place_fields import PlaceFields, compute_log_likelihood, mark_within
from sharpwave.reactivation.position import GAP, Position, compute_velocity, mark_running
from sharpwave.reactivation.state_space import compute_squared, square_metre

RUNNING = 0.03
"""Variance in m² per s of an animal that runs and rests: 9 cm in 0.25 s."""

GAINS = (0.1, 5.0)
"""Least and largest factor on the rates at a pace."""

DOUBT = 0.2
"""Seconds of behaviour that the assumed walk counts for where the run is learnt from."""


@dataclass(frozen=True, eq=False)
class Posterior:
    """Probability of each place over time.

    Attributes:
        times: Middle of each bin in seconds.
        probability: Probability of each place of the fields, summing to 1 in each bin.
    """

    times: Float[np.ndarray, " bin"]
    probability: Float[np.ndarray, "bin place"]


@dataclass(frozen=True, eq=False)
class Running:
    """How an animal runs. Its states are a pace and a place: all places at the first pace, then at the next.

    Attributes:
        transition: Chance to be in one state (row) and a bin later in another (column).
        gains: Factor on the rates of all units at each pace.
    """

    transition: Float[np.ndarray, "state state"]
    gains: Float[np.ndarray, " pace"]

    def compute_likelihood(
        self,
        counts: Int[np.ndarray, "bin unit"],
        fields: PlaceFields,
        *,
        bin_size: float,
        observed: Bool[np.ndarray, "bin unit"] | None = None,
    ) -> Float[np.ndarray, "bin state"]:
        """Likelihood of each state, as a share of the largest in the bin."""
        total = counts.sum(axis=1, keepdims=True)
        plain = compute_log_likelihood(counts, fields, bin_size=bin_size, observed=observed)
        silent = fields.rates.sum(axis=0) * bin_size if observed is None else observed @ (fields.rates * bin_size)
        logs = np.concatenate([plain + total * np.log(gain) - (gain - 1) * silent for gain in self.gains], axis=1)
        return np.exp(logs - logs.max(axis=1, keepdims=True))

    def sum_paces(self, probability: Float[np.ndarray, "bin state"]) -> Float[np.ndarray, "bin place"]:
        """Probability of each place, whatever the pace."""
        return probability.reshape(len(probability), len(self.gains), -1).sum(axis=1)


def decode_position(
    spikes: Any,
    fields: PlaceFields,
    *,
    bin_size: float,
    start: float,
    end: float,
    step: float | None = None,
    prior: Float[np.ndarray, " place"] | None = None,
) -> Posterior:
    """Where the animal was, from the spikes of each bin alone.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        fields: Place fields of the units.
        bin_size: Length of a bin, in s.
        start: Start of the first bin, in s.
        end: End of the last bin, in s.
        step: Time from one bin to the next, in s; `bin_size` where omitted.
        prior: Probability of each place beforehand, above 0 (`fields.occupancy`, say); the same everywhere where
            omitted.

    Returns:
        The posterior; a bin without spikes tells what silence tells.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> fields = make_fields(np.array([[9.0, 1.0], [1.0, 9.0]]), units=(0, 1))
    >>> spikes = {0: np.array([0.1, 0.2, 0.3]), 1: np.array([1.1, 1.2, 1.3])}
    >>> posterior = decode_position(spikes, fields, bin_size=1.0, start=0.0, end=2.0)
    >>> posterior.probability.argmax(axis=1).tolist()
    [0, 1]
    """
    times, counts = count_spikes(spikes, bin_size=bin_size, start=start, end=end, step=step, units=fields.units)
    observed = mark_observed(spikes, times - bin_size / 2, times + bin_size / 2, fields.units)
    logs = compute_log_likelihood(counts, fields, bin_size=bin_size, observed=observed)
    return Posterior(times, normalise_log(logs if prior is None else logs + np.log(prior)))


def normalise_log(logs: Float[np.ndarray, "bin place"]) -> Float[np.ndarray, "bin place"]:
    """Probabilities that sum to 1 in each row, from their logarithms."""
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def locate(posterior: Posterior, fields: PlaceFields) -> Float[np.ndarray, "bin dimension"]:
    """The place that errs least on average: the median along each dimension, running directions pooled.

    Where there are several tracks, the median is taken on the most probable. Where the track branches, it is the place
    from which the way along the track is shortest on average.
    """
    probability = posterior.probability
    if len(fields.contents) > 1:
        mass = np.stack([probability[:, fields.content == each].sum(axis=1) for each in range(len(fields.contents))])
        probability = probability * (fields.content == mass.argmax(axis=0)[:, None])
    if fields.distances is not None:
        far = np.where(np.isfinite(fields.distances), fields.distances, 0.0)
        own = probability @ (fields.content[:, None] == fields.content[None]) > 0
        return fields.position[np.where(own, probability @ far, np.inf).argmin(axis=1)]
    found = []
    for axis in fields.position.T:
        order = np.argsort(axis, kind="stable")
        cumulative = np.cumsum(probability[:, order], axis=1)
        first = np.argmax(cumulative >= 0.5 * cumulative[:, -1:], axis=1)
        found.append(axis[order][first])
    return np.stack(found, axis=-1)


Transition = Float[np.ndarray, "place place"]


def filter_position(
    spikes: Any,
    fields: PlaceFields,
    *,
    bin_size: float,
    start: float,
    end: float,
    transition: Transition | None = None,
    running: Running | None = None,
) -> Posterior:
    """Where the animal was, from the spikes of each bin and of those before: p(x_t | n_1 … n_t).

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        fields: Place fields of the units.
        bin_size: Length of a bin, in s.
        start: Start of the first bin, in s.
        end: End of the last bin, in s.
        transition: Chance to be at one place (row) and a bin later at another (column), such as `learn_running_walk` of
            the run that the fields come from; `compute_running_walk` where omitted.
        running: How the animal runs, in place of a transition: `learn_running` of that run does best.

    Returns:
        The posterior at each bin; nothing later than the bin's end enters.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> fields = make_fields(np.array([[9.0, 1.0], [1.0, 9.0]]), units=(0, 1))
    >>> spikes = {0: np.array([0.1, 0.2, 0.3]), 1: np.array([1.1, 1.2, 1.3])}
    >>> posterior = filter_position(spikes, fields, bin_size=1.0, start=0.0, end=2.0)
    >>> posterior.probability.argmax(axis=1).tolist()
    [0, 1]
    """
    times, likelihood, running = _prepare(spikes, fields, bin_size, start, end, transition, running)
    return Posterior(times, running.sum_paces(run_filter(likelihood, running.transition)))


def smooth_position(
    spikes: Any,
    fields: PlaceFields,
    *,
    bin_size: float,
    start: float,
    end: float,
    transition: Transition | None = None,
    running: Running | None = None,
) -> Posterior:
    """As `filter_position`, but with the spikes of all bins, the later ones too: p(x_t | n_1 … n_T)."""
    times, likelihood, running = _prepare(spikes, fields, bin_size, start, end, transition, running)
    return Posterior(times, running.sum_paces(run_smoother(likelihood, running.transition)))


def run_filter(likelihood: Float[np.ndarray, "bin place"], transition: Transition) -> Float[np.ndarray, "bin place"]:
    """Forward recursion: predict by the transition, weigh by the likelihood, scale to 1; every place alike at first."""
    found = np.empty_like(likelihood)
    expected = np.full(likelihood.shape[1], 1 / likelihood.shape[1])
    for t, weight in enumerate(likelihood):
        joint = expected * weight
        found[t] = joint / joint.sum()
        expected = found[t] @ transition
    return found


def run_smoother(likelihood: Float[np.ndarray, "bin place"], transition: Transition) -> Float[np.ndarray, "bin place"]:
    """Forward recursion, then backward over what it found."""
    found = run_filter(likelihood, transition)
    later = np.ones(likelihood.shape[1])
    for t in range(len(likelihood) - 2, -1, -1):
        later = transition @ (likelihood[t + 1] * later)
        later = later / later.max()
        joint = found[t] * later
        found[t] = joint / joint.sum()
    return found


def _prepare(
    spikes: Any,
    fields: PlaceFields,
    bin_size: float,
    start: float,
    end: float,
    transition: Transition | None,
    running: Running | None,
) -> tuple[np.ndarray, np.ndarray, Running]:
    times, counts = count_spikes(spikes, bin_size=bin_size, start=start, end=end, units=fields.units)
    observed = mark_observed(spikes, times - bin_size / 2, times + bin_size / 2, fields.units)
    if running is None:
        walk = compute_running_walk(fields, seconds=bin_size) if transition is None else transition
        running = Running(walk, np.ones(1))
    return times, running.compute_likelihood(counts, fields, bin_size=bin_size, observed=observed), running


def compute_running_walk(
    fields: PlaceFields, *, seconds: float, diffusion: float | None = None, turn: float = 0.2, jump: float = 1e-3
) -> Float[np.ndarray, "place place"]:
    """A random walk for an animal that runs: it may turn round, and now and then the walk is wrong.

    Args:
        fields: Place fields whose places the walk joins.
        seconds: Length of a step, in s.
        diffusion: Variance per second, in unit²; 0.03 m²/s where omitted (as in `compute_random_walk`).
        turn: Turns per second where running directions are distinguished; 0.2 by default.
        jump: Chance of a jump to any place of any track; 0.001 by default.
    """
    if diffusion is None:
        diffusion = RUNNING * square_metre(fields)
    near = np.exp(-0.5 * compute_squared(fields) / max(diffusion * seconds, 1e-12 * fields.bin_size**2))
    changed = 0.5 * (1 - np.exp(-2 * turn * seconds))
    facing = np.where(fields.direction[:, None] == fields.direction[None], 1 - changed, changed)
    walk = np.where(fields.content[:, None] == fields.content[None], near * facing, 0.0)
    return (1 - jump) * walk / walk.sum(axis=1, keepdims=True) + jump / len(walk)


def learn_running_walk(
    position: Position, fields: PlaceFields, *, seconds: float, epochs: pd.DataFrame | None = None
) -> Float[np.ndarray, "place place"]:
    """Where this animal went from each place and direction, counted over its run: how fast, where it rests and turns.

    Counts of pairs of samples `seconds` apart, smoothed over places by a Gaussian of one place, with what
    `compute_running_walk` assumes as a prior. A resting animal keeps the direction of its last movement.

    Args:
        position: Position that the fields were estimated from.
        fields: Place fields whose places the walk joins.
        seconds: Length of a step, in s.
        epochs: Table of the time to learn from: onset, duration, and content where there are several tracks; all of the
            position where omitted.
    """
    counts = _count_steps(position, _find_places(position, fields, epochs), seconds, len(fields.content))
    spread = _spread_places(fields)
    smooth = spread.T @ counts @ spread
    walk = compute_running_walk(fields, seconds=seconds)
    return (smooth + DOUBT * walk) / (smooth.sum(axis=1, keepdims=True) + DOUBT)


def learn_running(
    spikes: Any,
    position: Position,
    fields: PlaceFields,
    *,
    seconds: float,
    epochs: pd.DataFrame | None = None,
    n_paces: int = 2,
) -> Running:
    """How this animal ran and how much its units fired, at rest and at each pace, counted over its run.

    Paces divide its running into equal shares by speed. Pairs of samples are counted and smoothed as in
    `learn_running_walk`, whose walk (at the chance of each change of pace) is the prior.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        position: Position that the fields were estimated from.
        fields: Place fields whose places the walk joins.
        seconds: Length of a step, in s.
        epochs: Table of the time to learn from: onset, duration, and content where there are several tracks; all of the
            position where omitted.
        n_paces: Number of paces besides rest; 2 by default.

    >>> from sharpwave.reactivation.place_fields import estimate_place_fields
    >>> times = np.arange(0, 60, 0.05)
    >>> position = Position(times, np.abs(2 - times % 4)[:, None])  # to and fro on 2 m at one speed
    >>> spikes = {0: times[np.abs(position.values[:, 0] - 0.5) < 0.1] + 0.01}
    >>> fields = estimate_place_fields(spikes, position)
    >>> running = learn_running(spikes, position, fields, seconds=0.25, n_paces=1)
    >>> len(running.gains), bool(0.8 < running.gains[1] < 1.3)
    (2, True)
    """
    place, running = _find_places(position, fields, epochs), mark_running(position)
    speed = np.linalg.norm(compute_velocity(position), axis=1)
    known = place >= 0
    edges = np.quantile(speed[known & running], np.arange(1, n_paces) / n_paces) if (known & running).any() else []
    pace = np.where(running, 1 + np.searchsorted(edges, speed), 0)
    n, n_all = len(fields.content), n_paces + 1
    counts = _count_steps(position, np.where(known, pace * n + place, -1), seconds, n_all * n)
    counts = counts.reshape(n_all, n, n_all, n)
    spread = _spread_places(fields)
    smooth = np.stack([[spread.T @ counts[a, :, b] @ spread for b in range(n_all)] for a in range(n_all)])
    changes = counts.sum(axis=(1, 3)) + 1e-3
    prior = changes / changes.sum(axis=1, keepdims=True)
    prior = prior[:, :, None, None] * learn_running_walk(position, fields, seconds=seconds, epochs=epochs)
    walk = (smooth + DOUBT * prior) / (smooth.sum(axis=(1, 3), keepdims=True) + DOUBT)
    transition = walk.transpose(0, 2, 1, 3).reshape(n_all * n, n_all * n)
    return Running(transition, _measure_gains(spikes, position, fields, place, pace, seconds, n_all))


def _measure_gains(
    spikes: Any,
    position: Position,
    fields: PlaceFields,
    place: Int[np.ndarray, " time"],
    pace: Int[np.ndarray, " time"],
    seconds: float,
    n_paces: int,
) -> Float[np.ndarray, " pace"]:
    """Spikes at each pace over those that the place fields expect."""
    start, end = float(position.times[0]), float(position.times[-1])
    times, counts = count_spikes(spikes, bin_size=seconds, start=start, end=end, units=fields.units)
    index = np.clip(np.searchsorted(position.times, times), 0, len(place) - 1)
    chosen = (place[index] >= 0) & (np.abs(position.times[index] - times) < seconds)
    own, expected = pace[index[chosen]], seconds * fields.rates.sum(axis=0)[place[index[chosen]]]
    fired = np.bincount(own, weights=counts[chosen].sum(axis=1), minlength=n_paces)
    foreseen = np.bincount(own, weights=expected, minlength=n_paces)
    return np.clip(np.where(foreseen > 0, fired / np.maximum(foreseen, 1e-9), 1.0), *GAINS)


def _count_steps(
    position: Position, state: Int[np.ndarray, " time"], seconds: float, n: int
) -> Float[np.ndarray, "state state"]:
    """Seconds spent in each pair of states `seconds` apart; negative states are not counted."""
    later = np.searchsorted(position.times, position.times + seconds - 1e-9)
    known = later < len(state)
    known[known] &= position.times[later[known]] - position.times[known] < seconds + GAP
    known[known] &= (state[known] >= 0) & (state[later[known]] >= 0)
    pairs = state[known] * n + state[later[known]]
    return np.bincount(pairs, weights=position.steps[known], minlength=n * n).reshape(n, n)


def _spread_places(fields: PlaceFields) -> Float[np.ndarray, "place place"]:
    """A Gaussian of one place, within each map."""
    code = fields.content * 3 + fields.direction
    near = np.exp(-0.5 * compute_squared(fields) / fields.bin_size**2) * (code[:, None] == code[None])
    return near / near.sum(axis=1, keepdims=True)


def _find_places(position: Position, fields: PlaceFields, epochs: pd.DataFrame | None) -> Int[np.ndarray, " time"]:
    """Place of each sample, of the map of its content and direction; -1 outside the epochs."""
    found = np.full(len(position.times), -1)
    heading = _find_headings(position)
    for places in fields.maps:
        content, direction = fields.contents[fields.content[places[0]]], fields.direction[places[0]]
        inside = np.ones(len(found), dtype=bool) if direction < 0 else heading == direction
        if epochs is not None:
            own = epochs if "content" not in epochs else epochs[epochs["content"] == content]
            inside &= mark_within(position.times, own)
        found[inside] = places[cKDTree(fields.position[places]).query(position.values[inside])[1]]
    return found


def _find_headings(position: Position) -> Int[np.ndarray, " time"]:
    """0 outbound, 1 inbound; at rest that of the last movement."""
    heading = (compute_velocity(position)[:, 0] < 0).astype(int)
    last = np.maximum.accumulate(np.where(mark_running(position), np.arange(len(heading)), 0))
    return heading[last]
