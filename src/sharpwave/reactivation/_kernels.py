"""Compiled forward–backward recursion of the state-space decoder; `state_space` says what it computes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

TINY = np.float32(1e-25)
"""Probabilities below are 0: denormal numbers are slow, and change nothing."""


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as machine code, also where a type checker was put around it."""
    return numba.njit(inspect.unwrap(function), cache=True, nogil=True, error_model="numpy")


@compiled
def walk_forward(source: np.ndarray, offsets: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target = source · W, where W[p, p + offsets[k]] = weights[k, p]."""
    n = source.shape[0]
    target[:] = 0
    for k in range(offsets.shape[0]):
        shift = offsets[k]
        for p in range(max(0, -shift), min(n, n - shift)):
            target[p + shift] += weights[k, p] * source[p]


@compiled
def walk_backward(source: np.ndarray, offsets: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target = W · source, with W as in `walk_forward`."""
    n = source.shape[0]
    target[:] = 0
    for k in range(offsets.shape[0]):
        shift = offsets[k]
        for p in range(max(0, -shift), min(n, n - shift)):
            target[p] += weights[k, p] * source[p + shift]


@compiled
def smooth(
    likelihood: np.ndarray, switch: np.ndarray, offsets: np.ndarray, weights: np.ndarray, posterior: np.ndarray
) -> float:
    """Forward–backward over one event; dynamics 0 stationary, 1 continuous, 2 fragmented.

    Args:
        likelihood: Largest 1 in each bin, shape (bin, place).
        switch: Chance to go from one dynamics to another in a bin, shape (3, 3).
        offsets: Of the random walk's diagonals.
        weights: Of the random walk, shape (diagonal, place).
        posterior: Filled with the smoothed posterior, shape (bin, 3, place).

    Returns:
        Log of the evidence of `likelihood`.
    """
    n_bins, n = likelihood.shape
    even = np.float32(1.0 / n)
    mixed = np.empty(n, np.float32)
    walked = np.empty(n, np.float32)
    sums = np.empty(3, np.float32)
    evidence = 0.0
    for t in range(n_bins):
        if t == 0:
            posterior[0, :, :] = even / np.float32(3)
        else:
            before = posterior[t - 1]
            for s in range(3):
                sums[s] = before[s].sum()
            for p in range(n):
                mixed[p] = switch[0, 1] * before[0, p] + switch[1, 1] * before[1, p]
            walk_forward(mixed, offsets, weights, walked)
            jump_0 = even * switch[2, 0] * sums[2]
            jump_1 = even * switch[2, 1] * sums[2]
            jump_2 = even * (switch[0, 2] * sums[0] + switch[1, 2] * sums[1] + switch[2, 2] * sums[2])
            for p in range(n):
                posterior[t, 0, p] = switch[0, 0] * before[0, p] + switch[1, 0] * before[1, p] + jump_0
                posterior[t, 1, p] = walked[p] + jump_1
                posterior[t, 2, p] = jump_2
        total = 0.0
        for s in range(3):
            part = np.float32(0)
            for p in range(n):
                value = posterior[t, s, p] * likelihood[t, p]
                value = value if value > TINY else np.float32(0)
                posterior[t, s, p] = value
                part += value
            total += part
        evidence += np.log(total)
        scale = np.float32(1.0 / total)
        for s in range(3):
            for p in range(n):
                posterior[t, s, p] *= scale
    later = np.ones((3, n), np.float32)
    ahead = np.empty((3, n), np.float32)
    for t in range(n_bins - 2, -1, -1):
        for s in range(3):
            part = np.float32(0)
            for p in range(n):
                value = later[s, p] * likelihood[t + 1, p]
                value = value if value > TINY else np.float32(0)
                ahead[s, p] = value
                part += value
            sums[s] = part * even
        walk_backward(ahead[1], offsets, weights, walked)
        largest = np.float32(0)
        constant = switch[2, 0] * sums[0] + switch[2, 1] * sums[1] + switch[2, 2] * sums[2]
        for p in range(n):
            rest = switch[0, 0] * ahead[0, p] + switch[0, 1] * walked[p] + switch[0, 2] * sums[2]
            move = switch[1, 0] * ahead[0, p] + switch[1, 1] * walked[p] + switch[1, 2] * sums[2]
            later[0, p] = rest
            later[1, p] = move
            later[2, p] = constant
            largest = max(largest, max(rest, max(move, constant)))
        scale = np.float32(1.0) / largest
        total = 0.0
        for s in range(3):
            part = np.float32(0)
            for p in range(n):
                later[s, p] *= scale
                posterior[t, s, p] *= later[s, p]
                part += posterior[t, s, p]
            total += part
        scale = np.float32(1.0 / total)
        for s in range(3):
            for p in range(n):
                posterior[t, s, p] *= scale
    return evidence


@compiled
def smooth_events(
    likelihood: np.ndarray,
    edges: np.ndarray,
    switch: np.ndarray,
    offsets: np.ndarray,
    weights: np.ndarray,
    maps: np.ndarray,
    position: np.ndarray,
    dynamics: np.ndarray,
    mass: np.ndarray,
    moments: np.ndarray,
) -> np.ndarray:
    """`smooth` over many events, of which only sums over the posterior are kept.

    Args:
        likelihood: Bins of all events, shape (bin, place).
        edges: First bin of each event, and the end.
        switch: As in `smooth`.
        offsets: As in `smooth`.
        weights: As in `smooth`.
        maps: Map of each place.
        position: Of each place, shape (place, dimension).
        dynamics: Filled with the mean probability of each dynamics, shape (event, 3).
        mass: Filled with the mean probability of each map, shape (event, map).
        moments: Filled with the sums of 1, t, t², x and t x over bins and places of each map, weighted by the
            posterior, shape (event, map, 3 + 2 dimension); t counts bins from the event's first.

    Returns:
        Log of the evidence of each event.
    """
    n_events = edges.shape[0] - 1
    n = likelihood.shape[1]
    n_dimensions = position.shape[1]
    longest = 0
    for event in range(n_events):
        longest = max(longest, edges[event + 1] - edges[event])
    scratch = np.empty((longest, 3, n), np.float32)
    evidence = np.empty(n_events)
    for event in range(n_events):
        first, last = edges[event], edges[event + 1]
        posterior = scratch[: last - first]
        evidence[event] = smooth(likelihood[first:last], switch, offsets, weights, posterior)
        for t in range(last - first):
            for s in range(3):
                dynamics[event, s] += posterior[t, s].sum() / (last - first)
            for p in range(n):
                share = posterior[t, 0, p] + posterior[t, 1, p] + posterior[t, 2, p]
                own = maps[p]
                mass[event, own] += share / (last - first)
                moments[event, own, 0] += share
                moments[event, own, 1] += share * t
                moments[event, own, 2] += share * t * t
                for d in range(n_dimensions):
                    moments[event, own, 3 + 2 * d] += share * position[p, d]
                    moments[event, own, 4 + 2 * d] += share * position[p, d] * t
    return evidence
