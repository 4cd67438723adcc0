from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.causality.oracles import compute_oracle_depth
from sharpwave.causality import NightSeries
from sharpwave.causality.matching import estimate_matched


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
