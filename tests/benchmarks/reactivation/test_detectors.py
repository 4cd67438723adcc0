"""The hand-crafted detector: orders told from chance, candidates by hand, planted replays found."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.reactivation.benchmark import score_reactivations
from sharpwave.benchmarks.reactivation.detectors import (
    compare_rank_order,
    detect_by_state_space,
    detect_hand_crafted,
    detect_ripples_alone,
    find_rippled_bursts,
    keep_touching,
    read_contents,
)
from sharpwave.recipes.replay_nights import ReactivationNight


@pytest.fixture(scope="module")
def candidates(declared: ReactivationNight) -> pd.DataFrame:
    return find_rippled_bursts(declared.recording, detect_ripples_alone(declared.recording))


def test_an_order_is_found_on_its_map_and_chance_is_uniform() -> None:
    rng = np.random.default_rng(0)
    peaks = np.stack([rng.permutation(10), np.arange(10)]).astype(float)
    times = np.arange(10) / 100
    best, r, p = compare_rank_order(times, np.arange(10), peaks, rng=rng)
    assert (best, r) == (1, pytest.approx(1.0))
    assert p < 0.02
    assert compare_rank_order(times, np.arange(10)[::-1], peaks, rng=rng)[1] == pytest.approx(-1.0)
    chance = [
        compare_rank_order(np.sort(rng.random(12)), rng.integers(0, 10, 12), peaks, rng=rng)[2] for _ in range(300)
    ]
    assert 0.02 < np.mean(np.array(chance) < 0.05) < 0.09
    assert compare_rank_order(times[:3], np.arange(3), peaks, rng=rng) == (0, 0.0, 1.0)


def test_events_that_touch_by_hand() -> None:
    events = pd.DataFrame({"onset": [1.0, 2.0, 3.0], "duration": [0.1, 0.1, 0.5]})
    others = pd.DataFrame({"onset": [0.9, 2.2, 3.1], "duration": [0.15, 0.1, 0.05]})
    assert keep_touching(events, others)["onset"].tolist() == [1.0, 3.0]
    assert not len(keep_touching(events, others.iloc[:0]))


def test_planted_replays_are_found_and_read(declared: ReactivationNight, candidates: pd.DataFrame) -> None:
    duration = declared.recording.duration
    for detect in (detect_hand_crafted, detect_by_state_space):
        found = detect(declared.recording, candidates, declared.maps, rng=np.random.default_rng(0))
        assert set(found["content"]) <= set(declared.maps.contents)
        figures = score_reactivations(declared.replays, found, duration=duration)
        assert figures["precision"] > 0.45
        assert figures["recall"] > 0.4
        assert figures["content_accuracy"] > 0.7
        assert figures["direction_accuracy"] > 0.6
    everything = score_reactivations(declared.replays, candidates, duration=duration)
    assert everything["precision"] < 0.4


def test_contents_of_planted_events_are_read(declared: ReactivationNight) -> None:
    figures = score_reactivations(
        declared.replays,
        read_contents(declared.recording, declared.replays[["onset", "duration"]], declared.maps),
        duration=1800.0,
    )
    assert figures["content_accuracy"] > 0.9
    assert figures["direction_accuracy"] > 0.85
    nothing = read_contents(declared.recording, declared.replays[["onset", "duration"]].iloc[:0], declared.maps)
    assert {"content", "direction"} <= set(nothing)
