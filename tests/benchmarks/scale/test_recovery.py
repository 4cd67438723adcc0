"""Mice of the second world that are kept awake: what is planted, and that the benchmark finds what is true."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.signal import welch

from sharpwave.benchmarks.scale import recovery
from sharpwave.benchmarks.scale.measures import Cost
from sharpwave.benchmarks.second_world import mice
from sharpwave.benchmarks.second_world.mice import DAY, EPOCH, NREM, START, MouseDays, draw_course
from sharpwave.errors import SharpwaveError
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
        assert command[command.index("--light-schedule") + 1] == "07:00-19:00"
        assert command[command.index("--species") + 1] == "mouse"
        spans = pd.read_csv(command[command.index("--spans") + 1], sep="\t")
        pd.testing.assert_frame_equal(spans, recovery.list_spans(plan))
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
    larger = 2 * np.log10(1 + 1.2 * debt)
    hours = [(slice(day * 21_600 + 6 * 900, day * 21_600 + 8 * 900)) for day in (0, 1)]
    before, after = (larger[part][stages[part] == NREM].mean() for part in hours)
    assert after - before > 0.1
    assert found["planted", "recovery, 0 to 2 h, rebound: depth"] == pytest.approx(after - before)


def test_days_that_were_not_decoded_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    eeg = Signal("EEG", np.zeros(40, np.float32), 0.25, MODALITIES["eeg"])
    day = np.zeros(DAY // EPOCH, np.int8), np.zeros(DAY // EPOCH), Recording({"EEG": eeg}, start=START)
    depth = pd.DataFrame({"onset": np.arange(0.0, DAY, EPOCH), "depth": 2.0})
    monkeypatch.setattr(recovery, "draw_days", lambda plan, *, rng: iter([day]))
    monkeypatch.setattr(recovery, "compute_depth", lambda signal: depth)
    monkeypatch.setattr(recovery, "run_measured", lambda command: Cost(3, 1.0, 1.0, 1.0, ""))
    with pytest.raises(SharpwaveError, match="exit code 3"):
        recovery.measure_mouse(tmp_path, MouseDays(days=1, kept_awake=0), rng=np.random.default_rng(0))


def test_stages_are_compared_at_their_times() -> None:
    truth = [np.array([0, 1, 2, 1]), np.array([0, 1])]
    gap = pd.DataFrame({"onset": [0.0, 8.0, 12.0, 16.0], "stage": ["W", "R", "n/a", "W"]})
    wrong = pd.DataFrame({"onset": [0.0, 4.0], "stage": ["NREM", "NREM"]})
    assert recovery.compare_stages(truth[:1], [gap]) == 1.0
    assert recovery.compare_stages(truth, [gap, wrong]) == pytest.approx(7 / 11)


def test_mice_are_pooled_with_the_lowest_and_the_highest() -> None:
    found = [{("decoded", "kappa"): kappa, ("decoded", "depth"): depth} for kappa, depth in ((0.5, 1), (1.0, np.nan))]
    (row,) = recovery.pool(found)  # what one mouse lacks is not averaged
    assert (row.metric, row.value, row.low, row.high, row.n) == ("kappa", 0.75, 0.5, 1.0, 2)
    assert all(np.isnan([row.low, row.high]).all() for row in recovery.pool(found[:1]))


def test_each_day_is_recorded_as_its_part_of_the_course(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = MouseDays(days=2)
    monkeypatch.setattr(mice, "_draw_signals", lambda stages, debt, rng: (stages.astype(np.int16), stages))
    days = list(mice.draw_days(plan, rng=np.random.default_rng(3)))
    stages, debt = draw_course(plan, rng=np.random.default_rng(3))
    assert np.array_equal(np.concatenate([day[0] for day in days]), stages)
    assert np.array_equal(np.concatenate([day[1] for day in days]), debt)
    assert [(day[2].start - START).days for day in days] == [0, 1]
    assert all(np.array_equal(recording["EEG"].samples, part) for part, _, recording in days)


def test_signals_follow_the_state_and_slow_waves_the_debt() -> None:
    stages = np.repeat([0, NREM, NREM, 2], 150)
    debt = np.repeat([0.0, 0.0, 1.0, 0.0], 150)
    eeg, emg = (one * 0.1 for one in mice._draw_signals(stages, debt, np.random.default_rng(0)))  # µV
    parts = np.arange(len(eeg)).reshape(4, -1)[:, 1000:-1000]
    slow, theta = np.array([measure_bands(eeg[part]) for part in parts]).T
    assert slow[1] / max(slow[0], slow[3]) > 5
    assert np.log10(slow[2] / slow[1]) == pytest.approx(2 * np.log10(2.2), abs=0.08)
    assert theta[3] / theta[0] > 5
    tone = [emg[part].std() for part in parts]
    assert tone[0] > 2 * tone[1] > 2 * tone[3]


def measure_bands(samples: np.ndarray) -> tuple[float, float]:
    """Power at 1.5 to 3 Hz, and at 6.5 to 8.5 Hz."""
    frequencies, power = welch(samples, mice.RATE, nperseg=4 * mice.RATE)
    return tuple(
        float(power[(frequencies >= low) & (frequencies <= high)].mean()) for low, high in ((1.5, 3), (6.5, 8.5))
    )
