"""Places from spikes: a path by brute force, block by block, and told from exchanged cells."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.brainmu.reactivation.reactivation_places import JUMP, SPAN, SPEED, PlaceFields, PlaceTracker

FRAME = 0.005


@pytest.fixture
def fields() -> PlaceFields:
    position = np.tile(np.linspace(0, 2, 20), 2)
    centres = np.linspace(0, 2, 8)
    track = np.repeat([0, 1], 20)
    rates = 12 * np.exp(-0.5 * ((position - np.where(track == 0, centres[:, None], centres[::-1, None])) / 0.15) ** 2)
    return PlaceFields(tuple(range(8)), rates, track, position)


def track_by_hand(counts: np.ndarray, fields: PlaceFields) -> np.ndarray:
    """The path's log ratios with dense matrices: a filter over places, spikes given their number."""
    rates = np.maximum(fields.rates, 0.05)
    share, base = rates / rates.sum(axis=0), rates.mean(axis=1) / rates.mean(axis=1).sum()
    distance = np.abs(fields.position[:, None] - fields.position)
    step = np.where(fields.track[:, None] == fields.track, np.exp(-0.5 * (distance / (SPEED * FRAME)) ** 2), 0)
    step[step < 1e-3] = 0
    step = (1 - JUMP) * step / step.sum(axis=0) + JUMP / len(distance)
    path, out = np.full(len(distance), 1 / len(distance)), []
    for spikes in counts:
        ahead = step @ path
        likelihood = np.prod((share / base[:, None]) ** spikes[:, None], axis=0)
        path = ahead * likelihood / (ahead @ likelihood)
        out.append((np.log(ahead @ likelihood), np.log(ahead @ likelihood) - np.log(likelihood.mean())))
    return np.array(out)


def test_the_path_is_that_of_a_dense_filter(fields: PlaceFields) -> None:
    counts = np.random.default_rng(0).poisson(0.2, (60, 8)).astype(float)
    counts[20:25] = 0
    measured = PlaceTracker(fields, frame=FRAME).measure(np.concatenate([np.zeros((2 * SPAN, 8)), counts]))
    np.testing.assert_allclose(measured[:, 2:], track_by_hand(counts, fields), atol=1e-9)


def test_blocks_are_the_whole(fields: PlaceFields) -> None:
    counts = np.random.default_rng(1).poisson(0.1, (2 * SPAN + 90, 8)).astype(float)
    whole = PlaceTracker(fields, frame=FRAME).measure(counts)
    tracker = PlaceTracker(fields, frame=FRAME)
    parts = [tracker.measure(counts[first : first + 2 * SPAN + 30]) for first in (0, 30, 60)]
    np.testing.assert_allclose(np.concatenate(parts), whole, atol=1e-9)


def test_a_trajectory_explains_more_than_exchanged_cells(fields: PlaceFields) -> None:
    rng = np.random.default_rng(0)
    path = np.linspace(0, 19, 32).astype(int)
    quiet = np.zeros((2 * SPAN, 8))
    planted, exchanged = [], []
    for _ in range(30):
        counts = rng.poisson(0.075 * fields.rates[:, path].T).astype(float)
        planted.append(PlaceTracker(fields, frame=FRAME).measure(np.concatenate([quiet, counts])).sum(axis=0))
        counts = counts[:, rng.permutation(8)]
        exchanged.append(PlaceTracker(fields, frame=FRAME).measure(np.concatenate([quiet, counts])).sum(axis=0))
    assert (np.array(planted) > np.array(exchanged)).mean(axis=0).min() > 0.7
    assert (np.array(planted) > np.array(exchanged)).mean(axis=0)[2] > 0.9
    assert not PlaceTracker(fields, frame=FRAME).measure(np.zeros((30, 8))).any()
