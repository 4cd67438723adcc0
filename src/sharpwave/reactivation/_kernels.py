"""Compiled forward–backward recursion of the state-space decoder; `state_space` says what it models.

The state is a dynamics s (0 stationary, 1 continuous, 2 fragmented) and a place x of n. Z is the chance to go from one
dynamics to another, W the random walk, L_t(x) the likelihood of bin t. When s turns into r, the place moves by M_sr:

    M_s0(y, x) = [x = y]  and  M_s1 = W  for s = 0, 1;   M_s2 = M_2r = 1/n.

Forward,

    α_1(r, x) ∝ L_1(x) / 3n,   α_t(r, x) = c_t⁻¹ L_t(x) Σ_s Z_sr Σ_y α_(t-1)(s, y) M_sr(y, x),

with c_t so that α_t sums to 1; the log evidence is Σ_t log c_t. Backward,

    β_T = 1,   β_t(s, x) ∝ Σ_r Z_sr Σ_y M_sr(x, y) L_(t+1)(y) β_(t+1)(r, y),

and the posterior is p(r, x at t | all bins) ∝ α_t(r, x) β_t(r, x).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import numba
import numpy as np

REORDER = {"reassoc", "contract", "nsz"}
"""Sums may be taken in any order, so that they run several at a time; infinity and NaN keep their meaning."""

TINY = np.float32(1e-25)
"""Probabilities below are 0: denormal numbers are slow, and change nothing."""


def compiled(function: Callable[..., Any], *, inline: Literal["never", "always"] = "never") -> Callable[..., Any]:
    """The function as machine code, also where a type checker was put around it."""
    plain = inspect.unwrap(function)
    return numba.njit(plain, cache=True, nogil=True, error_model="numpy", fastmath=REORDER, inline=inline)


def inlined(function: Callable[..., Any]) -> Callable[..., Any]:
    """A part of compiled functions, which is compiled within each of them.

    Called as a function of its own it has two machine codes, its own and the one that was optimised once more within
    the caller. Which of them runs depends on whether the caller was compiled now or read from the cache, and sums taken
    in another order differ in the last digits.
    """
    return compiled(function, inline="always")


@inlined
def walk_forward(source: np.ndarray, offsets: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target = source · W, where W[p, p + offsets[k]] = weights[k, p]."""
    n = source.shape[0]
    target[:] = 0
    for k in range(offsets.shape[0]):
        shift = offsets[k]
        for p in range(max(0, -shift), min(n, n - shift)):
            target[p + shift] += weights[k, p] * source[p]


@inlined
def walk_backward(source: np.ndarray, offsets: np.ndarray, weights: np.ndarray, target: np.ndarray) -> None:
    """target = W · source, with W as in `walk_forward`."""
    n = source.shape[0]
    target[:] = 0
    for k in range(offsets.shape[0]):
        shift = offsets[k]
        for p in range(max(0, -shift), min(n, n - shift)):
            target[p] += weights[k, p] * source[p + shift]


@inlined
def run_forward(
    likelihood: np.ndarray, switch: np.ndarray, offsets: np.ndarray, weights: np.ndarray, posterior: np.ndarray
) -> float:
    """Fill `posterior` with what the bins up to each one say; arguments and result as in `smooth`."""
    n_bins, n = likelihood.shape
    even = np.float32(1.0 / n)
    mixed, walked = np.empty(n, np.float32), np.empty(n, np.float32)
    sums = np.empty(3, np.float32)
    evidence = 0.0
    for t in range(n_bins):
        now = posterior[t]
        if t == 0:
            now[:, :] = even / np.float32(3)
        else:
            before = posterior[t - 1]
            for s in range(3):
                sums[s] = before[s].sum() * even
            for p in range(n):
                mixed[p] = switch[0, 1] * before[0, p] + switch[1, 1] * before[1, p]
            walk_forward(mixed, offsets, weights, walked)
            scattered = switch[0, 2] * sums[0] + switch[1, 2] * sums[1] + switch[2, 2] * sums[2]
            for p in range(n):
                now[0, p] = switch[0, 0] * before[0, p] + switch[1, 0] * before[1, p] + switch[2, 0] * sums[2]
                now[1, p] = walked[p] + switch[2, 1] * sums[2]
                now[2, p] = scattered
        total = np.float32(0)
        for s in range(3):
            for p in range(n):
                value = now[s, p] * likelihood[t, p]
                now[s, p] = value if value > TINY else np.float32(0)
                total += now[s, p]
        evidence += np.log(total)
        scale = np.float32(1) / total
        for s in range(3):
            for p in range(n):
                now[s, p] *= scale
    return evidence


@inlined
def run_backward(
    likelihood: np.ndarray, switch: np.ndarray, offsets: np.ndarray, weights: np.ndarray, posterior: np.ndarray
) -> None:
    """Weigh what `run_forward` left in `posterior` by what the later bins say."""
    n_bins, n = likelihood.shape
    even = np.float32(1.0 / n)
    later, ahead = np.ones((3, n), np.float32), np.empty((3, n), np.float32)
    walked = np.empty(n, np.float32)
    sums = np.empty(3, np.float32)
    for t in range(n_bins - 2, -1, -1):
        now = posterior[t]
        for s in range(3):
            part = np.float32(0)
            for p in range(n):
                value = later[s, p] * likelihood[t + 1, p]
                ahead[s, p] = value if value > TINY else np.float32(0)
                part += ahead[s, p]
            sums[s] = part * even
        walk_backward(ahead[1], offsets, weights, walked)
        scattered = switch[2, 0] * sums[0] + switch[2, 1] * sums[1] + switch[2, 2] * sums[2]
        for p in range(n):
            later[0, p] = switch[0, 0] * ahead[0, p] + switch[0, 1] * walked[p] + switch[0, 2] * sums[2]
            later[1, p] = switch[1, 0] * ahead[0, p] + switch[1, 1] * walked[p] + switch[1, 2] * sums[2]
            later[2, p] = scattered
        total = np.float32(0)
        for s in range(3):
            for p in range(n):
                now[s, p] *= later[s, p]
                total += now[s, p]
        scale = np.float32(1) / total
        for s in range(3):
            for p in range(n):
                now[s, p] *= scale
                later[s, p] *= scale


@inlined
def smooth(
    likelihood: np.ndarray, switch: np.ndarray, offsets: np.ndarray, weights: np.ndarray, posterior: np.ndarray
) -> float:
    """Forward–backward over one event; dynamics 0 stationary, 1 continuous, 2 fragmented.

    Args:
        likelihood: Largest 1 in each bin, shape (bin, place).
        switch: Chance to go from one dynamics to another in a bin, shape (3, 3).
        offsets: Offsets of the random walk's diagonals from the main one, shape (diagonal,).
        weights: Weights of the random walk, shape (diagonal, place).
        posterior: Filled with the smoothed posterior, shape (bin, 3, place).

    Returns:
        Log of the evidence of `likelihood`.
    """
    evidence = run_forward(likelihood, switch, offsets, weights, posterior)
    run_backward(likelihood, switch, offsets, weights, posterior)
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
        switch, offsets, weights: Dynamics and random walk, as in `smooth`.
        maps: Map of each place.
        position: Position of each place, shape (place, dimension).
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
    sums = np.empty((3, n), np.float32)
    evidence = np.empty(n_events)
    for event in range(n_events):
        first, last = edges[event], edges[event + 1]
        posterior = scratch[: last - first]
        evidence[event] = smooth(likelihood[first:last], switch, offsets, weights, posterior)
        sums[:] = 0
        for t in range(last - first):
            now = np.float32(t)
            for s in range(3):
                dynamics[event, s] += posterior[t, s].sum() / (last - first)
            for p in range(n):
                share = posterior[t, 0, p] + posterior[t, 1, p] + posterior[t, 2, p]
                sums[0, p] += share
                sums[1, p] += share * now
                sums[2, p] += share * now * now
        for p in range(n):
            own = maps[p]
            mass[event, own] += sums[0, p] / (last - first)
            for k in range(3):
                moments[event, own, k] += sums[k, p]
            for d in range(n_dimensions):
                moments[event, own, 3 + 2 * d] += sums[0, p] * position[p, d]
                moments[event, own, 4 + 2 * d] += sums[1, p] * position[p, d]
    return evidence
