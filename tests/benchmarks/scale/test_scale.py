"""The benchmark of scale: what is measured, and what it says of a year."""

from __future__ import annotations

import os
import sys
import time
from multiprocessing import get_context

import numpy as np
import pytest

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.scale import benchmark
from sharpwave.benchmarks.scale.deprivation import (
    DAYS,
    DEPRIVED,
    RECOVERY,
    SPANS,
    choose_seconds,
    compute_gain,
    list_spans,
)
from sharpwave.benchmarks.scale.executors import Killer, count_differing
from sharpwave.benchmarks.scale.lengths import SETTING, compare_lengths, read_outcomes, write_participant
from sharpwave.benchmarks.scale.measures import Cost, run_measured, wait_until, write_night
from sharpwave.benchmarks.scale.stores import STORES
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import open_store, read_recording


def rows_of(name: str, **values: float) -> list[Row]:
    return [Row("simulated", SETTING, name, metric, value) for metric, value in values.items()]


def test_a_year_is_the_measured_slope_and_never_less_than_what_was_measured():
    rows = {"24h": rows_of("24h", peak_mb=600.0, cpu_s_per_hour=2.0, first_process_mb=600.0)}
    rows["72h"] = rows_of("72h", peak_mb=603.0, cpu_s_per_hour=2.2, first_process_mb=300.0)
    rows["7d"] = rows_of("7d", peak_mb=607.0, cpu_s_per_hour=2.1, first_process_mb=296.0)
    found = {(row.method, row.metric): row.value for row in compare_lengths(rows)}
    assert found["7d", "cpu_per_hour_ratio"] == pytest.approx(1.05)
    slope = "slope over 72h, 7d"
    assert found[slope, "peak_mb_per_day"] == pytest.approx(1.0)
    assert found[slope, "peak_mb_of_a_year"] == pytest.approx(600 + 365.25)
    assert found[slope, "first_process_mb_of_a_year"] == 300.0


def test_memory_and_cpu_are_those_of_the_whole_family():
    child = "import sys; x = bytearray(150_000_000); [None for _ in range(10**6)]"
    cost = run_measured(
        [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"]
    )
    assert cost.code == 0
    assert cost.peak > 140
    assert cost.first < 100


def test_a_participant_is_a_stretch_of_the_night_that_the_reader_reads(tmp_path):
    eeg = np.random.default_rng(0).integers(-3000, 3000, 3600 * 256).astype(np.int16)
    write_participant(tmp_path, "07", eeg, first=0.25)
    (path,) = tmp_path.rglob("sub-07_ses-1_task-sleep_eeg.edf")
    signal = read_recording(path)["C4-M1"]
    assert (signal.rate, signal.end - signal.start) == (256.0, 120.0)
    np.testing.assert_allclose(signal.read(dtype=np.float64) * 1e7, eeg[900 * 256 : 1020 * 256], atol=1e-3)


def test_a_store_begins_where_it_is_told(tmp_path):
    eeg = np.arange(3600 * 256, dtype=np.int16)
    stored = open_store(write_night(tmp_path / "n.zarr", eeg, hours=1.5, first=0.25))["C4-M1"].samples
    assert len(stored) == round(1.5 * 3600 * 256)
    np.testing.assert_array_equal(stored[:3], eeg[900 * 256 : 900 * 256 + 3])
    np.testing.assert_array_equal(stored[2700 * 256 : 2700 * 256 + 3], eeg[:3])


def test_a_year_holds_zeros_but_at_its_ends(tmp_path):
    eeg = np.arange(1, 3600 * 256 + 1, dtype=np.int16)
    stored = open_store(write_night(tmp_path / "n.zarr", eeg, hours=6.0, edge=1.0))["C4-M1"].samples
    hours = np.asarray(stored).reshape(6, -1)
    np.testing.assert_array_equal(hours[[0, 5]], [eeg, eeg])
    assert not hours[1:5].any()


def test_answers_are_kept_and_others_join(tmp_path, monkeypatch):
    counts = dict.fromkeys(("24h", "30d"), 0)

    def answer(name: str) -> list[Row]:
        counts[name] += 1
        return rows_of(name, peak_mb=1.0 + counts[name], cpu_s_per_hour=1.0)

    methods = {name: lambda folder, seeds, name=name: answer(name) for name in counts}
    monkeypatch.setattr(benchmark, "METHODS", methods)
    config, _ = benchmark.run(None, seeds=1, parts=tmp_path)
    assert (counts, config["not_run"]) == ({"24h": 1, "30d": 0}, ["30d"])
    benchmark.run(None, seeds=1, parts=tmp_path, methods=["30d"])
    _, rows = benchmark.run(None, seeds=1, parts=tmp_path)
    assert counts == {"24h": 1, "30d": 1}
    assert [row.value for row in rows if row.metric == "peak_ratio"] == [1.0]
    with pytest.raises(SharpwaveError, match="methods among 24h, 30d; got 90d"):
        benchmark.run(None, seeds=1, methods=["90d"])


def test_a_command_that_says_nothing_is_no_measurement():
    with pytest.raises(SharpwaveError, match="exit code 3"):
        read_outcomes(Cost(code=3, cpu=0.0, peak=0.0, first=0.0, stdout=""))


def test_files_of_two_runs_may_differ_in_the_seconds_of_logs_alone(tmp_path):
    for name, seconds, stage in (("one", "1.3", "N2"), ("other", "12.0", "N2"), ("wrong", "1.3", "N3")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "log.txt").write_text(f"sharpwave 0.1\n{seconds:>8} s  stages\ndone\n")
        (tmp_path / name / "hypnogram.tsv").write_text(f"0\t30\t{stage}\n")
    assert count_differing(tmp_path / "one", tmp_path / "other") == (0, 2)
    assert count_differing(tmp_path / "one", tmp_path / "wrong") == (1, 2)
    (tmp_path / "other" / "more.txt").touch()
    assert count_differing(tmp_path / "one", tmp_path / "other") == (1, 3)


def test_no_worker_is_killed_before_nights_are_done(tmp_path):
    killer = Killer(tmp_path, [])
    killer(os.getpid())
    assert not killer.done
    worker = get_context("spawn").Process(target=time.sleep, args=(60,))
    worker.start()
    for index in range(5):
        (tmp_path / str(index)).mkdir()
        (tmp_path / str(index) / "summary.json").touch()
    assert wait_until(lambda: killer(os.getpid()) or killer.done, seconds=60)  # called again and again, as it is used
    worker.join(20)
    assert (killer.done, worker.exitcode) == (True, -9)


@pytest.mark.parametrize("name", STORES)
def test_every_store_gives_the_samples_back(name, tmp_path):
    samples = np.arange(40_000, dtype=np.int16)
    array = STORES[name](samples, tmp_path / "store")
    np.testing.assert_array_equal(np.asarray(array[7680:15360]), samples[7680:15360])


def test_a_mouse_is_kept_awake_and_its_slow_waves_grow_where_that_is_planted_alone():
    rng = np.random.default_rng(1)
    night = np.repeat(rng.permutation(np.r_[np.zeros(120), np.ones(250), 2 * np.ones(60)]).astype(np.int8), 100)
    stages = night[choose_seconds(night, rng=rng)]
    shares = (stages.reshape(24 * DAYS, 3600) > 0).mean(axis=1)
    assert len(stages) == 86_400 * DAYS
    assert not shares[24 : 24 + DEPRIVED].any()
    assert shares[24 + DEPRIVED : 24 + DEPRIVED + RECOVERY].min() > 0.8
    for first in (0, 48):  # days on which nothing was planted: more sleep in the light than in the dark
        assert 0.3 < shares[first + 12 : first + 24].mean() < shares[first : first + 12].mean() < 0.8
    gain = compute_gain(len(stages)).reshape(DAYS, 24, 3600).mean(axis=2)
    assert not gain[[0, 2]].any()
    assert not gain[1, :DEPRIVED].any()
    assert gain[1, DEPRIVED] > gain[1, DEPRIVED + 1] > 0.15
    assert sorted(set(list_spans()["label"])) == sorted(f"{name}, day {day}" for name in SPANS for day in (1, 2, 3))
