from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality import NightCourse
from sharpwave.causality.hazards import estimate_hazards
from sharpwave.causality.moves import find_moves

CONTENTS = ("aversive", "neutral", "rewarding")


def make_night(seed: int, *, ratio: float, n: int = 20_000) -> NightCourse:
    """Sleep that is left for one second at 1 % a second, times `ratio` for 30 s after a reactivation."""
    rng = np.random.default_rng(seed)
    stage, onsets, last = np.ones(n, np.int8), [], -1e9
    for t in range(n - 1):
        if stage[t] == 1 and rng.random() < -np.expm1(-0.01 * (ratio if t - last <= 30 else 1.0)):
            stage[t + 1] = 0
        if stage[t] == 1 and rng.random() < 0.02:
            last = t
            onsets.append(t + 0.5)
    return NightCourse(
        night=str(seed),
        time=np.arange(n, dtype=float),
        stage=stage,
        n_stages=2,
        depth=np.zeros(n),
        emg=None,
        infraslow=None,
        reactivations=pd.DataFrame({"onset": onsets, "content": "x"}),
        usable=np.ones(n, bool),
    )


@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_closed_form(ratio: float) -> None:
    nights = [make_night(seed, ratio=ratio) for seed in range(6)]
    found = estimate_hazards(nights, outcome="wake", contents=[None], horizon=30)
    assert found is not None
    assert found[0].log_ratio.value == pytest.approx(np.log(ratio), abs=0.15)
    assert found[0].log_ratio.low < np.log(ratio) < found[0].log_ratio.high
    assert found[0].hazard == pytest.approx(0.01, rel=0.2)
    assert found[0].n_events == pytest.approx(sum(len(night.reactivations) for night in nights), abs=12)


def test_sign_by_content(planted_nights: list[NightCourse]) -> None:
    found = estimate_hazards(planted_nights, outcome="wake", contents=CONTENTS, horizon=30)
    assert found is not None
    aversive, neutral, rewarding = (effect.log_ratio for effect in found)
    assert aversive.low > 0
    assert rewarding.high < 0
    assert neutral.low < 0 < neutral.high


def test_nothing_planted_nothing_found(null_nights: list[NightCourse]) -> None:
    found = estimate_hazards(null_nights, outcome="wake", contents=CONTENTS, horizon=30)
    assert found is not None
    assert all(effect.log_ratio.p > 0.01 for effect in found)


def test_what_never_happens_has_no_estimate(null_nights: list[NightCourse]) -> None:
    assert estimate_hazards(null_nights, outcome="deeper", contents=[None], horizon=30) is None


def test_moves_of_five_stages() -> None:
    stage = np.array([0, 1, 2, 3, 2, 4, 2, 0, -1], np.int8)
    n = len(stage)
    events = pd.DataFrame({"onset": [], "content": []})
    course = NightCourse("x", np.arange(n, dtype=float), stage, 5, np.zeros(n), None, None, events, np.ones(n, bool))
    assert np.flatnonzero(find_moves(course, outcome="deeper")).tolist() == [1, 2]
    assert np.flatnonzero(find_moves(course, outcome="lighter")).tolist() == [3, 6]
    assert np.flatnonzero(find_moves(course, outcome="wake")).tolist() == [6]
