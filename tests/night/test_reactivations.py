from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.brainmu.reactivation import reactivation_head
from sharpwave.errors import SharpwaveError
from sharpwave.night.reactivations import (
    NEEDS,
    find_reactivations,
    look_for_reactivations,
    take_given,
)
from sharpwave.recordings import Recording
from sharpwave.simulation import Effects, simulate_night


@pytest.fixture(scope="module")
def night():
    return simulate_night(
        "rat",
        0.8,
        rng=np.random.default_rng(1),
        modalities=("eeg", "spikes", "position"),
        effects=Effects.planted(depth=6.0),
    )


@pytest.fixture
def detected(night, monkeypatch):
    """The head finds what was planted, so that what comes after it is tested alone; returns what it was given."""
    _, truth = night
    seen = {}

    def detect(recording, *, fields):
        seen["fields"] = fields
        return truth.reactivations[["onset", "duration"]].assign(label="reactivation", probability=1.0)

    monkeypatch.setattr(reactivation_head, "detect_reactivations", detect)
    return seen


def test_planted_content_is_read_from_place_fields_and_exceeds_shuffles(night, detected, rng):
    recording, truth = night
    found = find_reactivations(recording, recording.hypnogram, rng=rng, n_surrogates=50)
    right = found.events["content"].to_numpy() == truth.reactivations["content"].to_numpy()
    assert right.mean() > 0.9
    counts = found.counts.set_index("content")
    assert set(counts.index) == {"aversive", "neutral", "rewarding", "any"}
    assert counts.loc["any", "beyond_shuffles"] > 0.6
    assert counts.loc["any", "shuffled"] < 0.1
    assert counts.loc["any", "p"] < 0.05
    assert len(np.unique(detected["fields"].track)) == 6, "three tracks, each in two directions"


def test_shuffled_sequences_do_not_exceed_shuffles(night, monkeypatch, rng):
    recording, truth = night
    decoys = truth.ripples[truth.ripples["kind"] == "shuffled"]
    monkeypatch.setattr(
        reactivation_head,
        "detect_reactivations",
        lambda recording, *, fields: decoys[["onset", "duration"]].assign(label="reactivation", probability=1.0),
    )
    counts = find_reactivations(recording, recording.hypnogram, rng=rng, n_surrogates=50).counts.set_index("content")
    assert counts.loc["any", "beyond_shuffles"] < 0.3


def test_without_spikes_or_a_track_nothing_is_looked_for(night, rng):
    recording, _ = night
    found, why = look_for_reactivations(
        Recording(hypnogram=recording.hypnogram), recording.hypnogram, given=None, rng=rng
    )
    assert (found.note, why) == (NEEDS, [])
    assert not len(found.events)


def test_a_search_that_fails_says_why(night, monkeypatch, rng):
    def refuse(*_, **__):
        raise SharpwaveError("a track", got="none", fix="run")

    recording, _ = night
    monkeypatch.setattr(reactivation_head, "detect_reactivations", refuse)
    found, why = look_for_reactivations(recording, recording.hypnogram, given=None, rng=rng)
    assert not len(found.events)
    assert "Reactivations were not looked for: expected a track" in why[0]


def test_given_reactivations_keep_what_else_is_known_of_them(night):
    recording, _ = night
    table = pd.DataFrame({"onset": [2000.0, 2500.0], "content": "aversive", "score": [1.0, 2.0]})
    found = take_given(table, recording.hypnogram)
    assert list(found.events["score"]) == [1.0, 2.0]
    assert list(found.counts["content"]) == ["aversive"]
    assert found.counts["count"].tolist() == [2]
