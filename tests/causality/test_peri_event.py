from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sharpwave.causality.peri_event import compute_peri_event
from sharpwave.causality.series import NightSeries


def make_series(rng: np.random.Generator, *, step: float, n: int = 4000, night: str = "a") -> NightSeries:
    """NREM throughout; depth steps up for 30 s after each reactivation, on top of noise."""
    onsets = np.sort(rng.choice(np.arange(150, n - 150), 25, replace=False)).astype(float)
    depth = rng.normal(0, 0.5, n)
    for onset in onsets.astype(int):
        depth[onset : onset + 30] += step
    table = pd.DataFrame({"onset": onsets + 0.4, "content": np.where(np.arange(25) % 2, "aversive", "neutral")})
    return NightSeries(
        night=night,
        time=np.arange(n, dtype=float),
        stage=np.ones(n, dtype=np.int8),
        n_stages=3,
        depth=depth,
        emg=None,
        infraslow=None,
        reactivations=table,
        usable=np.ones(n, dtype=bool),
    )


def test_a_planted_step_shows_after_events_and_not_around_control_moments(rng):
    nights = [make_series(rng, step=2.0, night=str(i)) for i in range(4)]
    table = compute_peri_event(nights, rng=rng, contents=["any"])
    after = table[(table["lag"] > 0) & (table["lag"] < 30)]
    before = table[(table["lag"] > -30) & (table["lag"] < 0)]
    assert after["low"].min() > 0.5
    assert abs(before["value"]).max() < 0.6
    assert abs(table["control"]).max() < 0.7
    assert set(table["n"]) == {100}


def test_without_a_step_the_interval_holds_zero_nearly_everywhere(rng):
    nights = [make_series(rng, step=0.0, night=str(i)) for i in range(4)]
    table = compute_peri_event(nights, rng=rng, contents=["any"])
    assert ((table["low"] <= 0) & (table["high"] >= 0)).mean() > 0.8


def test_each_content_has_its_own_course_and_unusable_seconds_are_left_out(rng):
    series = make_series(rng, step=1.0)
    table = compute_peri_event([series], rng=rng)
    assert list(dict.fromkeys(table["content"])) == ["any", "aversive", "neutral"]
    blind = replace(series, usable=np.zeros(len(series.time), dtype=bool))
    assert not len(compute_peri_event([blind], rng=rng))


def test_a_night_that_is_too_short_gives_nothing(rng):
    series = make_series(rng, step=1.0)
    short = replace(
        series,
        **{name: getattr(series, name)[:100] for name in ("time", "stage", "depth", "usable")},
    )
    assert not len(compute_peri_event([short], rng=rng))
