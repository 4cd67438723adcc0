from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.oracles import compute_oracle_depth
from sharpwave.causality import NightSeries
from sharpwave.causality.matching import _average, _correct, _match, estimate_matched


@pytest.mark.parametrize("horizon", [5, 30])
def test_recovers_the_planted_depth(planted_nights: list[NightSeries], horizon: int) -> None:
    for content, gain in (("aversive", -2.0), ("rewarding", 2.0)):
        added = [compute_oracle_depth(night, content, gain=gain, horizon=horizon) for night in planted_nights]
        truth = float(np.concatenate(added).mean())
        found = estimate_matched(planted_nights, outcome="depth", content=content, horizon=horizon)
        assert found is not None
        assert found.difference.value == pytest.approx(truth, abs=0.25)
        assert found.difference.low < truth < found.difference.high
        assert found.difference.value == pytest.approx(found.exposed - found.control)


@pytest.mark.parametrize("outcome", ["depth", "wake"])
def test_nothing_before_the_event_moves(planted_nights: list[NightSeries], outcome: str) -> None:
    found = estimate_matched(planted_nights, outcome=outcome, content="aversive", horizon=30, backwards=True)
    assert found is not None
    assert found.difference.low < 0 < found.difference.high


def test_nothing_planted_nothing_found(null_nights: list[NightSeries]) -> None:
    for outcome in ("depth", "wake"):
        found = estimate_matched(null_nights, outcome=outcome, content="aversive", horizon=30)
        assert found is not None
        assert found.difference.low < 0 < found.difference.high


def test_no_reactivation_no_estimate(null_nights: list[NightSeries]) -> None:
    assert estimate_matched(null_nights, outcome="depth", content="unknown", horizon=30) is None


def make_comb() -> NightSeries:
    """Sleep in which depth follows the time of night by a bend that no line removes, with events every 20 s."""
    time = np.arange(4000.0)
    depth = np.repeat(np.where(np.arange(1000) < 500, 0.0, 4.0), 4)
    events = np.arange(100.5, 3900.0, 20.0)
    found = pd.DataFrame({"onset": events[::9], "content": "maze"})
    stage, usable = np.ones(4000, np.int8), np.ones(4000, bool)
    return NightSeries("comb", time, stage, 2, depth, None, None, found, usable, candidates=events)


def test_controls_in_the_place_of_reactivations_are_taken_away() -> None:
    """By hand: what placebos differ from their matches by, in each stage, shifts the matches of reactivations of it."""
    differs = np.array([[1.0], [3.0], [100.0], [7.0]])
    known, stage = np.array([True, True, False, True]), np.array([2, 2, 2, 3])
    assert _average(differs, known, stage, np.array([2, 3, 1, 2])).ravel().tolist() == [2.0, 7.0, 0.0, 2.0]
    table = _match(make_comb(), "depth", "maze", ["maze"], 30, (1,), "any", False)
    assert table is not None
    assert np.abs(table.placebo).max() > 0
    still = replace(table, placebo=0 * table.placebo, placebo_missed=0 * table.placebo_missed)
    moved = replace(still, placebo=still.placebo + 1.5)
    np.testing.assert_allclose(_correct([moved]) - _correct([still]), 1.5)
    shifted = replace(still, missed=still.missed + 1.0, placebo_missed=still.placebo_missed + 1.0)
    np.testing.assert_allclose(_correct([shifted]), _correct([still]), atol=1e-9)


def test_looking_back_no_placebo_is_needed() -> None:
    table = _match(make_comb(), "depth", "maze", ["maze"], 30, (1,), "any", True)
    assert table is not None
    assert not table.placebo.any()
