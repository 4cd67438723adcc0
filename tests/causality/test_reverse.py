from __future__ import annotations

import numpy as np

from sharpwave.causality import NightCourse
from sharpwave.causality.matching import estimate_matched
from sharpwave.causality.reverse import estimate_reverse


def test_depth_that_raises_the_rate_is_found(reverse_nights: list[NightCourse]) -> None:
    found = estimate_reverse(reverse_nights)
    assert found is not None
    assert found.log_ratio.low > 0
    assert found.log_ratio.value < 0.2  # per measured dB: noise in depth takes some away
    assert found.rate > 0


def test_forward_effects_are_not_read_backwards(planted_nights: list[NightCourse]) -> None:
    found = estimate_reverse(planted_nights)
    assert found is not None
    assert found.log_ratio.low < 0 < found.log_ratio.high
    assert abs(found.log_ratio.value) < 0.03


def test_reverse_effects_are_not_read_forwards(reverse_nights: list[NightCourse]) -> None:
    found = estimate_matched(reverse_nights, outcome="depth", horizon=30)
    assert found is not None
    assert found.difference.low < 0 < found.difference.high


def test_no_reactivation_no_estimate(null_nights: list[NightCourse]) -> None:
    assert estimate_reverse(null_nights, content="unknown") is None
    assert np.isfinite(estimate_reverse(null_nights, content="neutral").log_ratio.p)  # type: ignore[union-attr]
