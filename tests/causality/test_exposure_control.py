from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality import NightSeries
from sharpwave.causality.exposure_control import check_exposure


def wander(n: int, seconds: float, seed: int) -> np.ndarray:
    """A path of unit variance that forgets with this time constant, one value a second."""
    keep = np.exp(-60 / seconds)
    steps = np.random.default_rng(seed).normal(size=n // 60 + 1) * np.sqrt(1 - keep**2)
    path = [steps[0] / np.sqrt(1 - keep**2)]
    for step in steps[1:]:
        path.append(keep * path[-1] + step)
    return np.repeat(path, 60)[:n]


def make_night(seed: int, cause: str, *, rate: float = 0.2, n: int = 5400) -> NightSeries:
    """Sleep with events in it; which of them carry a memory follows chance, depth, or a rhythm that nothing shows."""
    rng = np.random.default_rng(seed)
    depth = np.repeat(np.convolve(rng.normal(size=n // 4 + 9), np.ones(10) / np.sqrt(10), mode="valid"), 4)
    second = np.flatnonzero(rng.random(n) < rate)
    logit = {
        "lots": np.zeros(n),
        "depth": 1.2 * np.r_[np.zeros(8), depth[:-8]],
        "rhythm": 1.5 * np.cos(2 * np.pi * 0.02 * np.arange(n) + seed),
        "drift": -2.0 * np.arange(n) / n,
        "vigilance": wander(n, 2400, 1000 + seed),
    }[cause]
    carries = rng.random(len(second)) < 1 / (1 + np.exp(1.0 - logit[second]))
    onsets = second + rng.random(len(second))
    found = pd.DataFrame({"onset": onsets[carries], "content": "maze"})
    stage, usable = np.ones(n, np.int8), np.ones(n, bool)
    return NightSeries(str(seed), np.arange(float(n)), stage, 2, depth, None, None, found, usable, candidates=onsets)


@pytest.mark.parametrize(("cause", "seen"), [("depth", "state"), ("rhythm", "runs")])
def test_a_cause_beside_time_is_seen_and_named(cause: str, seen: str) -> None:
    found = check_exposure([make_night(seed, cause) for seed in range(3)], rng=np.random.default_rng(0))
    assert found is not None
    assert found.p < 0.02
    assert found.seen == seen


def test_a_slow_cause_is_seen_and_named_and_its_power_is_printed() -> None:
    """Vigilance that forgets in 40 min: lots within ten minutes hold it for the time of night."""
    found = [
        check_exposure(
            [make_night(10 * s + k, "vigilance", rate=0.1, n=7200) for k in range(4)], rng=np.random.default_rng(s)
        )
        for s in range(6)
    ]
    seen = [control for control in found if control is not None and control.p <= 0.05]
    assert len(seen) >= 5
    assert sum(control.seen == "drift" for control in seen) >= 3
    assert min(control.slow_power for control in found if control is not None) > 0.8


@pytest.mark.parametrize("cause", ["lots", "drift"])
def test_lots_and_the_time_of_night_are_quiet_at_their_level(cause: str) -> None:
    found = [
        check_exposure([make_night(s, cause), make_night(99 + s, cause)], rng=np.random.default_rng(s))
        for s in range(30)
    ]
    share = np.mean([control.p <= 0.05 for control in found if control is not None])
    assert share <= 0.17, "five of thirty are the most that .05 brings in 98 of 100 such series"


def test_power_grows_with_the_number_of_events() -> None:
    few, many = (
        check_exposure([make_night(s, "lots", rate=rate) for s in range(2)], rng=np.random.default_rng(0))
        for rate in (0.01, 0.3)
    )
    assert few is not None
    assert many is not None
    assert few.power < 0.3 < 0.9 < many.power


def test_nothing_is_asked_without_candidates_or_with_too_few() -> None:
    night = make_night(0, "lots")
    rng = np.random.default_rng(0)
    assert check_exposure([replace(night, candidates=None)], rng=rng) is None
    assert check_exposure([replace(night, reactivations=night.reactivations.head(3))], rng=rng) is None
    assert check_exposure([night], rng=rng, content="unknown") is None


def test_a_reactivation_is_the_candidate_next_to_it() -> None:
    """Tables of a laboratory round times: the same lots are drawn whether or not onsets agree to the last digit."""
    night = make_night(0, "rhythm")
    moved = night.reactivations.assign(onset=night.reactivations["onset"] + 0.01)
    first, second = (
        check_exposure([series], rng=np.random.default_rng(1))
        for series in (night, replace(night, reactivations=moved))
    )
    assert first == second
