"""Reactivations on simulated nights: planted ones found, and next to none where nothing is replayed."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from sharpwave.brainmu.reactivation.reactivation_frames import FRAME
from sharpwave.brainmu.reactivation.reactivation_head import (
    compute_reactivation_probability,
    detect_reactivations,
    load_reactivation_head,
)
from sharpwave.evaluation.events import score_events
from sharpwave.reactivation.place_fields import mark_within
from sharpwave.recipes.difficulty import IOU
from sharpwave.recipes.reactivation_recipe import train_reactivation_head
from sharpwave.recipes.replay_nights import (
    ReactivationNight,
    mark_frames,
    simulate_reactivation_night,
)


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
    assert scores.f1 > 0.8
    assert scores.onset_error < 0.01
    rng = np.random.default_rng(0)
    chance = found.assign(onset=rng.uniform(0, night.recording.duration, len(found)))
    assert score_events(night.replays, chance, iou=IOU).f1 < 0.1


def test_replay_is_told_from_the_same_spikes_in_other_cells(night: ReactivationNight) -> None:
    head = load_reactivation_head().head
    probability = compute_reactivation_probability(head, night.recording, fields=night.fields)[:, 0]
    replayed = read_peaks(probability, night.replays)
    for kind, least in (("shuffled", 0.7), ("ripple", 0.85)):
        other = read_peaks(probability, night.others[night.others["kind"] == kind])
        assert (replayed[:, None] > other).mean() > least, kind


@pytest.mark.parametrize("species", ["rat", "human"])
def test_next_to_nothing_is_found_before_anything_was_learnt(species: str) -> None:
    empty = simulate_reactivation_night(species, rng=np.random.default_rng(5), hours=0.6, replay=False)
    assert len(empty.replays) == 0
    assert len(empty.others) > 50
    found = detect_reactivations(empty.recording, fields=empty.fields)
    assert len(found) / (empty.recording.duration / 60) < 0.5


def test_place_fields_are_where_the_units_fire(night: ReactivationNight) -> None:
    fields = night.fields
    assert fields.rates.shape[0] == 40
    assert set(fields.track) == set(range(6))
    assert fields.rates.max() > 5
    lap = night.recording.events.iloc[[3]]
    content = night.maps.contents.index(lap["content"].item())
    places = (night.maps.content == content) & (night.maps.direction == int(lap["run_direction"].item() == "inbound"))
    assert len(set(fields.track[places])) == 1
    spikes = night.recording.spikes
    fired = np.array([mark_within(spikes[unit].t, lap).sum() for unit in fields.units])
    assert np.corrcoef(fields.rates[:, places].mean(axis=1), fired)[0, 1] > 0.6


def test_sources_are_what_they_are_called(night: ReactivationNight) -> None:
    recording, fields = night.restrict_sources("lfp")
    assert (set(recording.modalities) & {"lfp", "spikes"}, fields) == ({"lfp"}, None)
    recording, fields = night.restrict_sources("spikes+places")
    assert not recording.of("lfp")
    assert recording.spikes is not None
    assert fields is not None


def test_a_little_training_already_helps(night: ReactivationNight) -> None:
    head = train_reactivation_head([night], steps=20, generator=torch.Generator().manual_seed(0))
    probability = compute_reactivation_probability(head, night.recording, fields=night.fields)[:, 0]
    inside = mark_frames(night.replays, len(probability)).astype(bool)
    assert probability[inside].mean() > 3 * probability[~inside].mean()
