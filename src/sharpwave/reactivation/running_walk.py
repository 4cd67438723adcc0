"""How an animal on a track moves from one bin to the next: assumed, or learnt from its run."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.spatial import cKDTree

from sharpwave.reactivation.place_fields import PlaceFields, mark_within
from sharpwave.reactivation.position import GAP, Position, compute_velocity, mark_running
from sharpwave.reactivation.random_walk import compute_squared, square_metre

RUNNING = 0.03
"""Variance in m² per s of an animal that runs and rests: 9 cm in 0.25 s."""

DOUBT = 0.2
"""Seconds of behaviour that the assumed walk counts for where the run is learnt from."""


def compute_running_walk(
    fields: PlaceFields, *, seconds: float, diffusion: float | None = None, turn: float = 0.2, jump: float = 1e-3
) -> Float[np.ndarray, "place place"]:
    """A random walk for an animal that runs: it may turn round, and now and then the walk is wrong.

    Args:
        fields: Whose places.
        seconds: Length of the step.
        diffusion: Variance per second, in unit²; 0.03 m²/s where omitted (as in `compute_random_walk`).
        turn: Turns per second where running directions are told apart.
        jump: Chance of a jump to any place of any track.
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
        position: What the fields come from.
        fields: Whose places.
        seconds: Length of the step.
        epochs: When to learn: onset, duration, and content where there are several tracks; always where omitted.
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
