"""Scores are what their definitions say, and rows have the benchmark's form."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.multimodal.scores import ChangeScore, StagingScore, tabulate
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast


@pytest.fixture
def night() -> EpochTable:
    stages = np.array([0, 0, 2, 2, 3, 3, 2], dtype=np.int8)
    return EpochTable("s1", "made-up", stages, np.zeros((7, 1)), ("x",))


def say(change: list[float], places: list[int]) -> Forecast:
    destination = np.full((len(change), 5), 0.01)
    destination[np.arange(len(change)), places] = 0.96
    return Forecast(np.array(change), destination)


def test_balanced_accuracies_by_hand(night: EpochTable) -> None:
    """Changes follow epochs 1 (to 2), 3 (to 3) and 5 (to 2); alarms at 1, 3 and 4, places right at 1 and 5."""
    said = say([0.0, 0.9, 0.0, 0.9, 0.9, 0.0, 0.0], [0, 2, 2, 4, 3, 2, 2])
    values = ChangeScore.of([night], [said], base_rate=0.5).score(np.ones(1))
    assert values["balanced_accuracy_change"] == pytest.approx((2 / 3 + 2 / 3) / 2)
    assert values["balanced_accuracy_destination"] == pytest.approx((1 + 0) / 2)
    assert values["prevalence_change"] == pytest.approx(0.5)


def test_the_present_stage_is_no_destination_where_it_is_known(night: EpochTable) -> None:
    """Epochs 1 and 5 put most on the stage that they are in."""
    said = say([0.5] * 7, [0, 0, 2, 3, 3, 3, 2])
    known = ChangeScore.of([night], [said], base_rate=0.5, observed=True)
    unknown = ChangeScore.of([night], [said], base_rate=0.5, observed=False)
    assert unknown.arrivals[0, 2, 0] == 1
    assert unknown.arrivals[0, 2, 3] == 1
    assert known.arrivals[0, 2, 3] == 0


def test_perfect_stages_agree_perfectly(night: EpochTable) -> None:
    assert StagingScore.of([night], [night.stages]).score(np.ones(1))["kappa"] == pytest.approx(1.0)


def test_rows_and_paired_gains(night: EpochTable) -> None:
    good = say([0.0, 0.9, 0.0, 0.9, 0.0, 0.9, 0.0], [0, 2, 2, 3, 3, 2, 2])
    bad = say([0.9, 0.0, 0.9, 0.0, 0.9, 0.0, 0.0], [0, 2, 2, 3, 3, 2, 2])
    runs = {name: [ChangeScore.of([night], [said], base_rate=0.5)] * 2 for name, said in (("good", good), ("bad", bad))}
    rows = tabulate("made-up", "held out", runs, against=("bad",))
    assert {(row.data, row.setting, row.n) for row in rows} == {("made-up", "held out", 1)}
    values = {(row.method, row.metric): row.value for row in rows}
    assert values["good", "balanced_accuracy_change_gain_over_bad"] == pytest.approx(1.0)
    assert values["good", "log_loss_gain_over_bad"] == pytest.approx(
        values["bad", "log_loss"] - values["good", "log_loss"]
    )
    assert ("bad", "balanced_accuracy_change_gain_over_bad") not in values
