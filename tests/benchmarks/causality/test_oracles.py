from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.baselines import estimate_naive
from sharpwave.benchmarks.causality.oracles import compute_oracle_depth, pool_oracle_risk, tabulate_oracle_risk
from sharpwave.causality import NightSeries
from sharpwave.errors import SharpwaveError
from sharpwave.night.planted import simulate_night_series
from sharpwave.simulation import Effects


def test_oracle_depth_by_hand() -> None:
    """A reactivation in the first second of an epoch of a long sleep, measured over the next whole epoch."""
    n = 200
    events = pd.DataFrame({"onset": [100.5], "content": ["x"]})
    course = NightSeries(
        "x", np.arange(n, dtype=float), np.ones(n, np.int8), 2, np.zeros(n), None, None, events, np.ones(n, bool)
    )
    found = compute_oracle_depth(course, "x", gain=2.0, decay=30.0, horizon=4)
    assert found == pytest.approx([2 * np.mean(np.exp(-np.arange(3, 7) / 30))])


def test_oracle_risk_is_a_weighted_difference() -> None:
    table = pd.DataFrame(
        {"stratum": [0, 0, 1, 1, 2], "exposed": [0, 1, 0, 1, 0], "n": [100, 10, 100, 30, 5], "moved": [10, 3, 20, 6, 5]}
    )
    assert pool_oracle_risk(table) == pytest.approx((0.2 * 10 + 0.0 * 30) / 40)


def test_naive_is_fooled_by_a_night_without_effects() -> None:
    courses = [simulate_night_series("mouse", 3.0, rng=rng)[0] for rng in np.random.default_rng(0).spawn(3)]
    assert estimate_naive(courses, outcome="depth").p < 0.01


def test_views_of_a_night() -> None:
    seen, hidden = simulate_night_series("mouse", 1.0, rng=np.random.default_rng(0), effects=Effects.planted())
    again, _ = simulate_night_series(
        "mouse", 1.0, rng=np.random.default_rng(0), effects=Effects.planted(), phase="true"
    )
    np.testing.assert_array_equal(seen.stage, again.stage)
    assert again.infraslow == pytest.approx(np.angle(np.exp(1j * hidden.infraslow.astype(float))), abs=1e-5)
    assert len(seen.reactivations) == (hidden.ripples["kind"] == "replay").sum()
    blind, _ = simulate_night_series("mouse", 1.0, rng=np.random.default_rng(0), phase="none", candidates=False)
    assert blind.infraslow is None
    with pytest.raises(SharpwaveError, match="a night that knows its candidates"):
        tabulate_oracle_risk(blind, "aversive")
    with pytest.raises(SharpwaveError, match="phase among estimated, true, none"):
        simulate_night_series("mouse", 1.0, rng=np.random.default_rng(0), phase="guessed")
