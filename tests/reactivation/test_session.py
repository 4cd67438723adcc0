"""Sessions from their spikes to their tests: planted replay is found after the experience, and nothing before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.events import match_events
from sharpwave.reactivation.session import (
    ReplaySession,
    analyse_session,
    find_experience,
)
from sharpwave.recordings import Recording, load_dataset
from sharpwave.simulation import simulate_night
from sharpwave.simulation.truth import Truth


@pytest.fixture(scope="module")
def night() -> tuple[Recording, Truth]:
    """Sleep, the task from 25 min on, and sleep again; each ripple is a candidate."""
    rng = np.random.default_rng(11)
    return simulate_night("rat", 1.1, rng=rng, modalities=("spikes", "position"), n_units=40, task_start=1500.0)


@pytest.fixture(scope="module")
def session(night: tuple[Recording, Truth]) -> ReplaySession:
    recording, truth = night
    return analyse_session(recording, rng=np.random.default_rng(0), events=truth.ripples, n_surrogates=200)


def test_planted_replays_are_found_after_the_experience_and_none_before(
    session: ReplaySession, night: tuple[Recording, Truth]
) -> None:
    truth = night[1]
    tests = session.tests.set_index("epoch")
    assert tests.loc["before", "n_significant"] == 0
    assert tests.loc["before", "p"] > 0.05
    assert tests.loc["after", "p"] < 0.01
    assert tests.loc["after less before", "p"] < 0.01
    events = session.events
    found = events[events["significant"] & (events["epoch"] == "after")].reset_index(drop=True)
    pairs = match_events(truth.reactivations, found, iou=0.5)
    assert len(pairs) / len(found) > 0.85
    assert len(pairs) / len(truth.reactivations) > 0.5
    planted, ours = truth.reactivations.iloc[pairs[:, 0]], found.iloc[pairs[:, 1]]
    assert (planted["content"].to_numpy() == ours["content"].to_numpy()).mean() > 0.95
    assert (planted["run_direction"].to_numpy() == ours["run_direction"].to_numpy()).mean() > 0.9


def test_shuffled_sequences_and_plain_bursts_are_not_replays(
    session: ReplaySession, night: tuple[Recording, Truth]
) -> None:
    truth, events = night[1], session.events
    pairs = match_events(truth.ripples, events, iou=0.5)
    kind = truth.ripples["kind"].to_numpy()[pairs[:, 0]]
    p = events["p"].to_numpy()[pairs[:, 1]]
    assert (p[kind != "replay"] <= 0.05).mean() == pytest.approx(0.05, abs=0.03)
    assert (p[kind == "replay"] <= 0.05).mean() > 0.7


def test_promising_events_are_drawn_further_and_the_resolution_is_said(session: ReplaySession) -> None:
    drawn = session.events["n_surrogates"]
    assert drawn.min() == 200
    assert (drawn > 200).any()
    assert (session.events["significant"][drawn == 200]).sum() == 0
    assert session.notes[0].startswith("Resolution of p: with 200 surrogates it is never below 0.005")
    with pytest.warns(DeprecationWarning, match="evidence.order"):
        assert session.scores is session.evidence.order


def test_control_of_the_sleep_before(session: ReplaySession) -> None:
    events = session.events
    before = events["epoch"] == "before"
    assert events["p_control"][before].isna().all()
    assert (events["p_control"][(events["epoch"] == "after") & events["significant"]] < 0.05).mean() > 0.8


def test_experience_is_found_from_laps_and_from_the_position_alone(night: tuple[Recording, Truth]) -> None:
    recording, truth = night
    known = find_experience(recording)
    assert known.start == pytest.approx(truth.laps["onset"].min())
    assert known.fields.contents == ("aversive", "neutral", "rewarding")
    bare = Recording(signals=recording.signals, spikes=recording.spikes, species="rat")
    alone = find_experience(bare)
    assert alone.start == pytest.approx(known.start, abs=1.0)
    assert alone.end == pytest.approx(known.end, abs=1.0)
    assert set(alone.fields.direction) == {0, 1}
    given = find_experience(bare, run=(1500.0, 1800.0))
    assert (given.start, given.end) == (1500.0, 1800.0)
    with pytest.raises(SharpwaveError, match="--run START END"):
        find_experience(bare, run=(5000.0, 6000.0))


def test_no_candidates_is_said(night: tuple[Recording, Truth]) -> None:
    recording, _ = night
    quiet = pd.DataFrame({"onset": [10.0], "duration": [0.005]})
    with pytest.raises(SharpwaveError, match="candidate events in which 5 place cells fire"):
        analyse_session(recording, rng=np.random.default_rng(0), events=quiet, n_surrogates=20)


@pytest.mark.data
def test_sleep_events_at_chance_give_no_discovery(data_root: Path) -> None:
    recording = load_dataset("rat-ca1-events", data_root)
    session = analyse_session(recording, rng=np.random.default_rng(0), n_surrogates=200)
    assert not session.events["significant"].any()
    assert session.tests["p"].iloc[0] > 0.01
    assert session.tests["share"].iloc[0] < 0.08
