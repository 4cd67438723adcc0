"""Position from spikes with memory: a hidden Markov model whose place moves by a random walk (Brown et al. 1998)."""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.reactivation.bayes import Posterior, compute_log_likelihood
from sharpwave.reactivation.counts import count_spikes
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.running_walk import compute_running_walk

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
        fields: Place fields.
        bin_size: Length of a bin in s.
        start: Start of the first bin.
        end: End of the last.
        transition: Chance to be at one place (row) and a bin later at another: `learn_running_walk` of the run that
            the fields come from does best; `compute_running_walk` where omitted.

    Returns:
        The posterior at each bin; nothing later than the bin's end enters.
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
    logs = compute_log_likelihood(counts, fields, bin_size=bin_size)
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    return times, likelihood, compute_running_walk(fields, seconds=bin_size) if transition is None else transition
