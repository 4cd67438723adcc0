"""Candidates: planted bursts are found where they are, and nothing while the animal runs."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation import candidates as module
from sharpwave.reactivation.candidates import (
    count_activity,
    describe_uncoupled,
    detect_bursts,
    find_candidates,
    find_rest,
    mark_moving,
    merge_events,
)
from sharpwave.reactivation.position import Position
from sharpwave.recordings import Recording


def make_spikes(rng: np.random.Generator, *, end: float = 120.0, bursts: bool = True) -> dict[int, np.ndarray]:
    """Twenty units at 0.5 Hz; a burst of 0.15 s at 40 Hz each ten seconds."""
    trains = {}
    for unit in range(20):
        times = [rng.uniform(0, end, rng.poisson(0.5 * end))]
        if bursts:
            times += [rng.uniform(onset, onset + 0.15, rng.poisson(6)) for onset in np.arange(5, end, 10)]
        trains[unit] = np.sort(np.concatenate(times))
    return trains


def test_planted_bursts_are_found_with_their_edges(rng: np.random.Generator) -> None:
    found = detect_bursts(make_spikes(rng))
    np.testing.assert_allclose(found["onset"], np.arange(5, 120, 10), atol=0.08)
    np.testing.assert_allclose(found["duration"], 0.15, atol=0.15)
    assert (found["n_active_units"] >= 15).all()
    assert (found["z"] > 3).all()


def test_pieces_give_what_the_whole_gives(rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    spikes = make_spikes(rng)
    whole = detect_bursts(spikes)
    monkeypatch.setattr(module, "CHUNK", 5.05)
    pd.testing.assert_frame_equal(detect_bursts(spikes), whole, rtol=1e-3, atol=1e-2)


def test_spans_limit_the_search(rng: np.random.Generator) -> None:
    spans = pd.DataFrame({"onset": [0.0, 60.0], "duration": [30.0, 20.0]})
    found = detect_bursts(make_spikes(rng), spans=spans)
    np.testing.assert_allclose(found["onset"], [5, 15, 25, 65, 75], atol=0.08)
    with pytest.raises(SharpwaveError, match="share a clock"):
        detect_bursts(make_spikes(rng), spans=spans.assign(onset=1e6))


def test_activity_is_counted_as_by_hand(rng: np.random.Generator) -> None:
    spikes = make_spikes(rng, end=20)
    events = pd.DataFrame({"onset": [5.0, 7.3, 19.5], "duration": [0.1, 2.0, 0.4]})
    counted = count_activity(spikes, events)
    for row in counted.itertuples():
        inside = [((t >= row.onset) & (t < row.onset + row.duration)).sum() for t in spikes.values()]
        assert (row.n_spikes, row.n_active_units) == (sum(inside), sum(n > 0 for n in inside))


def test_events_of_several_channels_are_merged() -> None:
    events = pd.DataFrame({"onset": [3.0, 1.0, 1.05, 1.2], "duration": [0.1, 0.1, 0.2, 0.01]})
    merged = merge_events(events)
    np.testing.assert_allclose(merged, [[1.0, 0.25], [3.0, 0.1]])


def test_nothing_while_the_animal_runs(rng: np.random.Generator) -> None:
    import pynapple as nap

    times = np.arange(0, 120, 1 / 30)
    where = np.where(times < 60, 1.0 + np.sin(times), 1.0 + np.sin(60.0))
    position = Position(times, where[:, None])
    spikes = nap.TsGroup({unit: nap.Ts(train) for unit, train in make_spikes(rng).items()})
    recording = Recording(spikes=spikes, species="rat")
    found = find_candidates(recording, position=position)
    assert (found["onset"] > 50).all()
    assert len(found) >= 6
    given = find_candidates(recording, given=pd.DataFrame({"onset": [5.0, 65.0, 68.0], "duration": 0.15}))
    assert given["source"].tolist() == ["given"] * 2
    assert mark_moving(np.array([10.5, 100.0, 500.0]), position).tolist() == [True, False, False]
    rest = find_rest(position, 150.0)
    assert rest["onset"].iloc[-1] == pytest.approx(60, abs=1)
    assert (rest["onset"] + rest["duration"]).iloc[-1] == 150


def test_messages(rng: np.random.Generator) -> None:
    import pynapple as nap

    spikes = nap.TsGroup({0: nap.Ts(np.array([1.0, 2.0]))})
    with pytest.raises(SharpwaveError, match="sorted units"):
        find_candidates(Recording())
    with pytest.raises(SharpwaveError, match="fast enough for ripples; got no LFP"):
        find_candidates(Recording(spikes=spikes), source="ripples")
    with pytest.raises(SharpwaveError, match="ripples, bursts or auto"):
        find_candidates(Recording(spikes=spikes), source="spindles")
    with pytest.raises(SharpwaveError, match="no duration"):
        find_candidates(Recording(spikes=spikes), given=pd.DataFrame({"onset": [1.0]}))


def test_ripples_of_another_clock_are_told() -> None:
    """Ripples that lie beside the spikes, in a part of the session or in all of it, or where no unit was recorded."""
    rng = np.random.default_rng(0)
    onsets = np.arange(0.0, 400.0, 2.0)
    ripples = pd.DataFrame({"onset": onsets, "duration": 0.1})
    bursts = [np.sort(np.r_[onsets + rng.uniform(0, 0.1, len(onsets)), rng.uniform(0, 400, 800)]) for _ in range(8)]
    there = dict(enumerate(bursts))
    assert describe_uncoupled(there, ripples) == []
    half = {unit: np.sort(np.where(train > 200, train + 0.7, train)) for unit, train in there.items()}
    assert "ripples from 2" in describe_uncoupled(half, ripples)[0]
    assert "not on one clock" in describe_uncoupled({unit: t + 0.7 for unit, t in there.items()}, ripples)[0]
    assert "do not meet" in describe_uncoupled({unit: t + 1e6 for unit, t in there.items()}, ripples)[0]


def test_bursts_before_0_are_found_as_those_after() -> None:
    """Sleep from -200 s on, a run at 0, sleep again: candidates on both sides."""
    import pynapple as nap

    rng = np.random.default_rng(1)
    onsets = np.r_[np.arange(-195.0, -5, 4), np.arange(105.0, 295, 4)]
    support = nap.IntervalSet(-200, 300)
    trains = [
        np.sort(np.r_[(onsets[:, None] + rng.uniform(0, 0.1, (len(onsets), 4))).ravel(), rng.uniform(-200, 300, 100)])
        for _ in range(10)
    ]
    spikes = nap.TsGroup({unit: nap.Ts(train, time_support=support) for unit, train in enumerate(trains)})
    times = np.arange(0, 100, 0.05)
    run = Position(times, np.abs(2 - times % 4)[:, None])
    found = find_candidates(Recording(spikes=spikes), source="bursts", position=run)
    before, after = (found["onset"] < 0).sum(), (found["onset"] > 100).sum()
    assert before == pytest.approx(48, abs=3)
    assert after == pytest.approx(48, abs=3)
