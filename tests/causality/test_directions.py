from __future__ import annotations

import importlib.util

import numpy as np
import pytest
from tests.causality.conftest import simulate_nights

from sharpwave.causality import NightSeries
from sharpwave.causality.directions import compute_granger, compute_pcmci, estimate_reverse
from sharpwave.causality.matching import estimate_matched
from sharpwave.errors import SharpwaveError
from sharpwave.simulation import Effects


def test_depth_that_raises_the_rate_is_found(reverse_nights: list[NightSeries]) -> None:
    found = estimate_reverse(reverse_nights)
    assert found is not None
    assert found.log_ratio.low > 0
    assert found.log_ratio.value < 0.2  # per measured dB: noise in depth takes some away
    assert found.rate > 0


def test_forward_effects_are_not_read_backwards(planted_nights: list[NightSeries]) -> None:
    found = estimate_reverse(planted_nights)
    assert found is not None
    assert found.log_ratio.low < 0 < found.log_ratio.high
    assert abs(found.log_ratio.value) < 0.03


def test_reverse_effects_are_not_read_forwards() -> None:
    found = []
    for seed in range(2, 6):
        nights = simulate_nights(Effects(rate_per_db=0.2), seed=seed)
        estimate = estimate_matched(nights, outcome="depth", horizon=30)
        assert estimate is not None
        found.append(estimate.difference)
    assert abs(np.mean([each.value for each in found])) < 0.03
    assert sum(not each.low < 0 < each.high for each in found) <= 1  # one in twenty is expected


def test_no_reactivation_no_estimate(null_nights: list[NightSeries]) -> None:
    assert estimate_reverse(null_nights, content="unknown") is None
    assert np.isfinite(estimate_reverse(null_nights, content="neutral").log_ratio.p)  # type: ignore[union-attr]


def test_granger_finds_the_planted_direction(planted_nights: list[NightSeries]) -> None:
    table = compute_granger(planted_nights, content="rewarding").set_index("direction")
    assert table["low"]["forward"] > 0
    assert table["p"]["reverse"] > 0.01


def test_granger_finds_nothing_where_nothing_is(null_nights: list[NightSeries]) -> None:
    assert (compute_granger(null_nights, content="rewarding")["p"] > 0.01).all()


@pytest.mark.skipif(importlib.util.find_spec("tigramite") is not None, reason="tigramite is installed")
def test_tigramite_is_named_where_it_lacks(null_nights: list[NightSeries]) -> None:
    with pytest.raises(SharpwaveError, match="pip install tigramite, if its licence"):
        compute_pcmci(null_nights)
