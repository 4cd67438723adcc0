from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.oracles import compute_oracle_cue_risk
from sharpwave.benchmarks.causality.worlds import WORLDS, coarsen, draw_set, mark_again, mislabel
from sharpwave.benchmarks.causality.worlds_benchmark import compute_rows, keep_job, run_job
from sharpwave.causality import NightSeries


@pytest.fixture(scope="module")
def second_set():
    return draw_set("second world", planted=False, count="200", rng=np.random.default_rng(0))


def test_marks_are_drawn_again_about_as_many_and_follow_their_cause(second_set):
    rng = np.random.default_rng(1)
    for count, expected in (("few", 60), ("200", 200)):
        marked = mark_again("second world", second_set, cause="phase", count=count, rng=rng)
        assert sum(len(series.reactivations) for series in marked) == pytest.approx(3 * expected, rel=0.25)
    wave = np.concatenate(
        [
            night.causes["phase"][series.reactivations["onset"].to_numpy().astype(int)]
            for night, series in zip(second_set, marked, strict=True)
        ]
    )
    every = np.concatenate([n.causes["phase"][n.series.candidates.astype(int)] for n in second_set])
    assert wave.mean() > every.mean() + 0.5
    np.testing.assert_array_equal(marked[0].stage, second_set[0].series.stage)


def test_coarse_nights_have_one_value_an_epoch(second_set):
    series = coarsen(second_set[0].series)
    assert (series.stage_epoch, series.depth_window) == (30, 30)
    assert series.infraslow is None
    assert series.depth[29] == pytest.approx(second_set[0].series.depth[:30].mean())


def test_a_share_of_contents_is_exchanged_for_others(second_set):
    series = second_set[0].series
    wrong = mislabel(series, WORLDS["second world"], share=0.2, rng=np.random.default_rng(0))
    changed = (wrong.reactivations["content"] != series.reactivations["content"]).mean()
    assert changed == pytest.approx(0.2, abs=0.1)
    assert set(wrong.contents) == set(series.contents)


def test_the_true_effect_of_cues_by_hand():
    """Two cues in sleep that nothing else ends, one that wakes anyway, and one in wake."""
    stage = np.ones(300, np.int8)
    stage[150:] = 0
    none = pd.DataFrame({"onset": [], "content": []})
    series = NightSeries("a", np.arange(300.0), stage, 2, np.zeros(300), None, None, none, np.ones(300, bool))
    hazard = np.full(300, 0.01)
    found = compute_oracle_cue_risk(series, np.array([20.0, 60.0, 130.0, 200.0]), hazard, ratio=3.0)
    assert found.tolist() == pytest.approx([1 - np.exp(-0.6), 1 - np.exp(-0.6), 0.0])


def test_rows_by_hand():
    base = {"world": "second world", "setting": "nothing planted", "planted": False, "question": "wake"}
    base |= {"content": "shock", "method": "hazard", "truth": 0.0, "detectable": 0.5, "control_power": 0.9}
    base |= {"control_slow_power": 0.8}
    trials = [
        base | {"set": i, "value": v, "low": v - 0.5, "high": v + 0.5, "p": p, "control_p": c}
        for i, (v, p, c) in enumerate([(0.1, 0.6, 0.5), (0.8, 0.01, 0.3), (-0.9, 0.01, 0.01), (0.0, 0.9, 0.02)])
    ]
    rows = {(row.method, row.metric): row.value for row in compute_rows(pd.DataFrame(trials))}
    assert rows["hazard", "false_positive_rate"] == 0.5
    assert rows["hazard", "false_positive_rate_with_control"] == 0.25
    assert rows["hazard", "coverage"] == 0.5
    assert rows["hazard", "bias"] == pytest.approx(0.0)
    assert rows["exposure-control", "control_sees"] == 0.5
    assert rows["exposure-control", "printed_power"] == pytest.approx(0.9)
    assert rows["exposure-control", "printed_power_slow"] == pytest.approx(0.8)
    planted = pd.DataFrame(trials).assign(truth=1.0, planted=True)
    rows = {(row.method, row.metric): row.value for row in compute_rows(planted)}
    assert rows["hazard", "power"] == 0.5
    assert rows["hazard", "sign_accuracy"] == 0.5


def test_a_job_asks_every_view_of_its_world():
    rows = pd.DataFrame(run_job((1, "planted", 0)))
    assert set(rows["setting"]) == {
        "planted; 60 events", "planted; 200 events", "planted; 800 events", "planted; 30-s epochs",
        "planted; 20% of contents mislabelled",
    }  # fmt: skip
    assert rows.loc[rows["method"] == "negative-control", "truth"].eq(0).all()


def test_a_data_set_that_was_kept_is_not_drawn_again(tmp_path, monkeypatch):
    drawn = []

    def draw(job):
        drawn.append(job)
        return [{"set": "0-null-3-0", "p": 0.25, "control_p": float("nan")}]

    monkeypatch.setattr("sharpwave.benchmarks.causality.worlds_benchmark.run_job", draw)
    first, second = (keep_job((0, "null", 3), folder=tmp_path / "kept") for _ in range(2))
    assert first[0]["p"] == second[0]["p"] == 0.25
    assert np.isnan(second[0]["control_p"])
    keep_job((0, "null", 4), folder=tmp_path / "kept")
    keep_job((0, "null", 3), folder=None)
    assert drawn == [(0, "null", 3), (0, "null", 4), (0, "null", 3)]
