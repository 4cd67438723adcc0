"""Where the animal was, from spikes: bin by bin, and with memory.

Bin by bin (Zhang et al. 1998, doi:10.1152/jn.1998.79.2.1017) the posterior is the Poisson likelihood times a prior,

    p(x | n_t) ∝ p(n_t | x) p(x).

With memory it is a hidden Markov model whose place walks by the transition A (Brown et al. 1998). With L_t(x) =
p(n_t | x), the filter predicts, weighs and scales to 1; the smoother then runs back over what the filter found:

    α_t(x) ∝ L_t(x) Σ_x' α_(t-1)(x') A(x', x),        α_1(x) ∝ L_1(x)
    β_t(x) ∝ Σ_x' A(x, x') L_(t+1)(x') β_(t+1)(x'),   β_T(x) = 1
    p(x_t | n_1 … n_t) = α_t(x),   p(x_t | n_1 … n_T) ∝ α_t(x) β_t(x).

A is assumed (`compute_running_walk`) or learnt from the run (`learn_running_walk`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sharpwave.reactivation.counts import count_spikes, mark_observed
from sharpwave.reactivation.place_fields import PlaceFields, compute_log_likelihood, mark_within
from sharpwave.reactivation.position import GAP, Position, compute_velocity, mark_running
from sharpwave.reactivation.state_space import compute_squared, square_metre

RUNNING = 0.03
"""Variance in m² per s of an animal that runs and rests: 9 cm in 0.25 s."""

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
) -> Posterior:
    """Where the animal was, from the spikes of each bin and of those before: p(x_t | n_1 … n_t).

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        fields: Place fields of the units.
        bin_size: Length of a bin, in s.
        start: Start of the first bin, in s.
        end: End of the last bin, in s.
        transition: Chance to be at one place (row) and a bin later at another (column): `learn_running_walk` of the run
            that the fields come from does best; `compute_running_walk` where omitted.

    Returns:
        The posterior at each bin; nothing later than the bin's end enters.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> fields = make_fields(np.array([[9.0, 1.0], [1.0, 9.0]]), units=(0, 1))
    >>> spikes = {0: np.array([0.1, 0.2, 0.3]), 1: np.array([1.1, 1.2, 1.3])}
    >>> posterior = filter_position(spikes, fields, bin_size=1.0, start=0.0, end=2.0)
    >>> posterior.probability.argmax(axis=1).tolist()
    [0, 1]
    """
    times, likelihood, transition = _prepare(spikes, fields, bin_size, start, end, transition)
    return Posterior(times, run_filter(likelihood, transition))


def smooth_position(
    spikes: Any,
    fields: PlaceFields,
    *,
    bin_size: float,
    start: float,
    end: float,
    transition: Transition | None = None,
) -> Posterior:
    """As `filter_position`, but with the spikes of all bins, the later ones too: p(x_t | n_1 … n_T)."""
    times, likelihood, transition = _prepare(spikes, fields, bin_size, start, end, transition)
    return Posterior(times, run_smoother(likelihood, transition))


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
    spikes: Any, fields: PlaceFields, bin_size: float, start: float, end: float, transition: Transition | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    times, counts = count_spikes(spikes, bin_size=bin_size, start=start, end=end, units=fields.units)
    observed = mark_observed(spikes, times - bin_size / 2, times + bin_size / 2, fields.units)
    logs = compute_log_likelihood(counts, fields, bin_size=bin_size, observed=observed)
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    return times, likelihood, compute_running_walk(fields, seconds=bin_size) if transition is None else transition


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
    place = _find_places(position, fields, epochs)
    later = np.searchsorted(position.times, position.times + seconds - 1e-9)
    known = later < len(place)
    known[known] &= position.times[later[known]] - position.times[known] < seconds + GAP
    known[known] &= (place[known] >= 0) & (place[later[known]] >= 0)
    n = len(fields.content)
    pairs = place[known] * n + place[later[known]]
    counts = np.bincount(pairs, weights=position.steps[known], minlength=n * n).reshape(n, n)
    code = fields.content * 3 + fields.direction
    near = np.exp(-0.5 * compute_squared(fields) / fields.bin_size**2) * (code[:, None] == code[None])
    spread = near / near.sum(axis=1, keepdims=True)
    smooth = spread.T @ counts @ spread
    return (smooth + DOUBT * compute_running_walk(fields, seconds=seconds)) / (
        smooth.sum(axis=1, keepdims=True) + DOUBT
    )


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
