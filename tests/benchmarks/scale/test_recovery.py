"""Mice of the second world that are kept awake: what is planted, and that the benchmark finds what is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.scale import recovery
from sharpwave.benchmarks.scale.measures import Cost
from sharpwave.benchmarks.second_world.mice import DAY, EPOCH, START, MouseDays, draw_course
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal


def test_a_mouse_sleeps_by_light_and_more_after_it_was_kept_awake() -> None:
    plan = MouseDays()
    for seed in range(3):
        stages, debt = draw_course(plan, rng=np.random.default_rng(seed))
        asleep = (stages > 0).reshape(plan.days, 24, -1).mean(axis=-1)
        assert asleep[0, :12].mean() > asleep[0, 12:].mean() + 0.15
        assert asleep[1, :6].max() == 0
        assert asleep[1, 6:8].mean() > asleep[0, 6:8].mean() + 0.1
        assert debt.reshape(plan.days, 24, -1)[1, 6].mean() > 0.5


def test_stages_that_are_decoded_without_error_are_found_to_be_true(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = MouseDays()
    stages, debt = draw_course(plan, rng=np.random.default_rng(0))
    courses = np.split(stages, plan.days)

    def draw_days(plan: MouseDays, *, rng: np.random.Generator):
        for day, course in enumerate(courses):
            eeg = Signal("EEG", np.zeros(DAY // 4, np.float32), 0.25, MODALITIES["eeg"])
            start = START + pd.Timedelta(days=day).to_pytimedelta()
            yield course, np.split(debt, plan.days)[day], Recording({"EEG": eeg}, species="mouse", start=start)

    tables: list[pd.DataFrame] = []
    measure = recovery.measure_day
    depth = pd.DataFrame({"onset": np.arange(0.0, DAY, EPOCH), "depth": 2.0})
    monkeypatch.setattr(recovery, "draw_days", draw_days)
    monkeypatch.setattr(recovery, "compute_depth", lambda signal: depth)
    monkeypatch.setattr(recovery, "measure_day", lambda *a, **k: tables.append(measure(*a, **k)) or tables[-1])

    def decode(command: list[str]) -> Cost:
        assert "--light-schedule" in command
        for day, course in enumerate(courses):
            (tmp_path / f"out/2024-03-0{4 + day}").mkdir(parents=True)
            Hypnogram(course, 4.0, 3).write(tmp_path / f"out/2024-03-0{4 + day}/hypnogram.tsv")
        days = pd.concat([table.assign(day=f"2024-03-0{4 + day}") for day, table in enumerate(tables)])
        days.to_parquet(tmp_path / "out/days.parquet")
        return Cost(0, 30.0, 1.0, 1.0, "")

    monkeypatch.setattr(recovery, "run_measured", decode)
    found = recovery.measure_mouse(tmp_path, plan, rng=np.random.default_rng(0))
    assert found["as decoded", "kappa"] == 1.0
    for method, metric in [place for place in found if place[0] == "true stages"]:
        np.testing.assert_equal(found["as decoded", metric], found[method, metric])
    usual = stages.reshape(plan.days, 24, -1)[0] > 0
    assert found["as decoded", "light: sleep_share"] == pytest.approx(usual[:12].mean())
    assert found["as decoded", "dark: sleep_share"] == pytest.approx(usual[12:].mean())
    assert found["as decoded", "kept awake, that day: sleep_share"] == 0
    rebound = (stages.reshape(plan.days, 24, -1)[:2, 6:8] > 0).mean(axis=(1, 2))
    assert found["as decoded", "recovery, 0 to 2 h, rebound: sleep_share"] == pytest.approx(rebound[1] - rebound[0])
    assert found["planted", "recovery, 0 to 2 h, rebound: depth"] > 0.1
    rows = recovery.pool([found, found])
    assert {row.n for row in rows} == {2}
