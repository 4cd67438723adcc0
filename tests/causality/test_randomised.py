from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.trials import add_cues
from sharpwave.causality import NightSeries
from sharpwave.causality.randomised import estimate_randomised
from sharpwave.night.planted import simulate_night_series


def make_cued(ratio: float, n: int = 3) -> list[NightSeries]:
    nights = [simulate_night_series("mouse", 3.0, rng=rng) for rng in np.random.default_rng(5).spawn(n)]
    return [
        add_cues(series, dynamics, hazard_ratio=ratio, rng=np.random.default_rng(index))
        for index, (series, dynamics) in enumerate(nights)
    ]


def test_cues_that_wake_are_found() -> None:
    found = estimate_randomised(make_cued(3.0), outcome="wake", rng=np.random.default_rng(0), horizon=30)
    assert found is not None
    assert found.difference.value > 0.1
    assert found.difference.p < 0.01
    assert found.difference.low > 0
    assert found.exposed - found.control == pytest.approx(found.difference.value)


def test_cues_that_do_nothing_are_not() -> None:
    nights = make_cued(1.0)
    for outcome in ("wake", "depth"):
        found = estimate_randomised(nights, outcome=outcome, rng=np.random.default_rng(0), horizon=30)
        assert found is not None
        assert found.difference.p > 0.05


def test_the_permutation_is_exact_on_a_night_by_hand() -> None:
    """Depth is 1 after both cues and 0 after both shams: one of six labellings, and its mirror, are as extreme."""
    n = 900
    depth = np.zeros(n)
    depth[:400] = 1.0
    onsets = [100.0, 200.0, 600.0, 700.0]
    cues = pd.DataFrame({"onset": onsets, "condition": ["cue", "cue", "sham", "sham"], "content": "sound"})
    events = pd.DataFrame({"onset": [], "content": []})
    series = NightSeries(
        "x", np.arange(n, dtype=float), np.ones(n, np.int8), 2, depth, None, None, events, np.ones(n, bool), cues
    )
    found = estimate_randomised([series], outcome="depth", rng=np.random.default_rng(0), horizon=30)
    assert found is not None
    assert (found.exposed, found.control) == (1.0, 0.0)
    assert found.difference.p == pytest.approx(1 / 3, abs=0.04)
    alone = replace(series, cues=cues[cues["condition"] == "cue"])
    assert estimate_randomised([alone], outcome="depth", rng=np.random.default_rng(0)) is None
