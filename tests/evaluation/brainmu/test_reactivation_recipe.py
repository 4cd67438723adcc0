"""Reactivations on simulated nights: planted ones found, and next to none where nothing is replayed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sharpwave.brainmu.reactivation_frames import FRAME
from sharpwave.brainmu.reactivation_head import (
    compute_reactivation_probability,
    detect_reactivations,
    load_reactivation_head,
)
from sharpwave.evaluation.brainmu.reactivation_nights import (
    IOU,
    ReactivationNight,
    mark_frames,
    score_night,
    select_within,
    simulate_reactivation_night,
)
from sharpwave.evaluation.brainmu.reactivation_recipe import train_reactivation_head
from sharpwave.evaluation.events import score_events


@pytest.fixture(scope="module")
def night() -> ReactivationNight:
    return simulate_reactivation_night("rat", rng=np.random.default_rng(77), hours=0.6)


def read_peaks(probability: np.ndarray, events: pd.DataFrame) -> np.ndarray:
    """Largest probability within each event."""
    spans = events[["onset", "duration"]].to_numpy(float)
    return np.array([probability[int(a / FRAME) : int((a + d) / FRAME) + 2].max() for a, d in spans])


def test_planted_reactivations_are_found(night: ReactivationNight) -> None:
    assert len(night.replays) > 20
    found = detect_reactivations(night.recording, fields=night.fields)
    scores = score_events(night.replays, found, iou=IOU, duration=night.recording.duration)
    assert scores.f1 > 0.6
    assert scores.onset_error < 0.03
    rng = np.random.default_rng(0)
    chance = found.assign(onset=rng.uniform(0, night.recording.duration, len(found)))
    assert score_events(night.replays, chance, iou=IOU).f1 < 0.1


def test_replay_is_told_from_the_same_spikes_in_other_cells(night: ReactivationNight) -> None:
    head = load_reactivation_head().head
    probability = compute_reactivation_probability(head, night.recording, fields=night.fields)
    replayed = read_peaks(probability, night.replays)
    for kind, least in (("shuffled", 0.7), ("ripple", 0.85)):
        other = read_peaks(probability, night.others[night.others["kind"] == kind])
        assert (replayed[:, None] > other).mean() > least, kind


@pytest.mark.parametrize("species", ["rat", "human"])
def test_next_to_nothing_is_found_before_anything_was_learnt(species: str) -> None:
    empty = simulate_reactivation_night(species, rng=np.random.default_rng(5), hours=0.6, replay=False)
    assert len(empty.replays) == 0
    assert len(empty.others) > 50
    scores = score_night(load_reactivation_head(), empty)
    assert scores.n_found <= 1


def test_place_fields_are_where_the_units_fire(night: ReactivationNight) -> None:
    fields = night.fields
    assert fields.rates.shape == (40, 120)
    assert set(fields.track) == set(range(6))
    assert fields.rates.max() > 5
    events = night.recording.events
    lap = events.iloc[3]
    track = sorted(set(zip(events["content"], events["run_direction"], strict=True))).index(
        (lap["content"], lap["run_direction"])
    )
    rates = fields.rates[:, fields.track == track].mean(axis=1)
    span = np.array([[lap["onset"], lap["duration"]]])
    spikes = night.recording.spikes
    fired = np.array([select_within(spikes[unit].t, span).sum() for unit in fields.units])
    assert np.corrcoef(rates, fired)[0, 1] > 0.6


def test_a_little_training_already_helps(night: ReactivationNight) -> None:
    head = train_reactivation_head([night], steps=20, generator=torch.Generator().manual_seed(0))
    probability = compute_reactivation_probability(head, night.recording, fields=night.fields)
    inside = mark_frames(night.replays, len(probability)).astype(bool)
    assert probability[inside].mean() > 3 * probability[~inside].mean()
