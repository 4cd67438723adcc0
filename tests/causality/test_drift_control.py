from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.causality.test_exposure_control import wander

from sharpwave.causality import NightSeries
from sharpwave.causality.drift_control import check_drift


def draw(seed: int, cause: str, *, n: int = 7200) -> tuple[NightSeries, np.ndarray, np.ndarray]:
    """A night of two stages, which of its events carry a memory, and their seconds."""
    rng = np.random.default_rng(seed)
    stage = np.where(np.arange(n) // 600 % 2, 2, 1).astype(np.int8)
    second = np.flatnonzero(rng.random(n) < 0.25)
    time = np.arange(n) / n
    logit = (
        -2.0
        + {
            "nothing": np.zeros(n),
            "time": 1.5 * (time - 0.5) ** 2 - 3 * time,
            "stage": 1.5 * (stage == 2),
            "drift": wander(n, 2400, seed),
        }[cause]
    )
    carries = rng.random(len(second)) < 1 / (1 + np.exp(-logit[second]))
    none = pd.DataFrame({"onset": [], "content": []})
    series = NightSeries(str(seed), np.arange(float(n)), stage, 4, rng.normal(size=n), None, None, none, stage > 0)
    return series, carries, second


def repeat(carries: np.ndarray, second: np.ndarray, seed: int) -> np.ndarray:
    """Half of the carriers, each followed by the next event as a second one: trains without a common cause."""
    first = carries & (np.random.default_rng(seed).random(len(carries)) < 0.5)
    return first | np.r_[False, first[:-1] & (np.diff(second) < 10)]


def share(cause: str, sets: int) -> float:
    found = []
    for s in range(sets):
        drawn = [draw(100 * s + k, cause.replace("trains", "nothing")) for k in range(3)]
        nights, carries, seconds = zip(*drawn, strict=True)
        if cause == "trains":
            carries = tuple(repeat(mine, second, s) for _, mine, second in drawn)
        found.append(check_drift(nights, carries, seconds, rng=np.random.default_rng(s))[0])
    return float(np.mean(np.array(found) <= 0.05))


@pytest.mark.parametrize("cause", ["nothing", "time", "stage", "trains"])
def test_what_time_and_stage_explain_is_no_drift(cause: str) -> None:
    assert share(cause, 40) <= 0.15, "six of forty are the most that .05 brings in 98 of 100 such series"


def test_odds_that_wander_are_a_drift() -> None:
    assert share("drift", 20) >= 0.8


def test_planted_drifts_are_seen_more_often_with_more_events() -> None:
    series, carries, second = draw(3, "nothing", n=14400)
    few = carries & (np.random.default_rng(0).random(len(carries)) < 0.1)
    many, less = (
        np.mean(check_drift([series], [mine], [second], rng=np.random.default_rng(1), n_planted=60)[1] <= 0.05)
        for mine in (carries, few)
    )
    assert many > less + 0.2


def test_a_night_without_carriers_says_nothing() -> None:
    series, carries, second = draw(1, "nothing")
    p, planted = check_drift([series], [np.zeros_like(carries)], [second], rng=np.random.default_rng(0), n_planted=3)
    assert p == 1.0
    assert planted.tolist() == [1.0, 1.0, 1.0]


def test_a_night_of_few_events_is_fitted_by_its_level() -> None:
    """Of fewer than ten events the time of the night has no spline, only constants."""
    series, _, second = draw(1, "nothing")
    many = draw(2, "nothing")
    few = np.array([True, False, True, False, False, True])
    p, planted = check_drift(
        [series, many[0]], [few, many[1]], [second[:6], many[2]], rng=np.random.default_rng(0), n_planted=5
    )
    assert 0 < p <= 1
    assert ((planted > 0) & (planted <= 1)).all()
