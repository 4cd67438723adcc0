from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.causality.scores import compute_rows, compute_share
from sharpwave.benchmarks.causality.trials import Scenario, run_trial


def make_trials(scenario: str, truth: float, values: list[float]) -> list[dict[str, object]]:
    return [
        {"scenario": scenario, "n_nights": 4, "method": "hazard", "question": "wake", "content": content}
        | {"value": v, "low": v - 1, "high": v + 1, "p": 0.01 if abs(v) > 1 else 0.5, "truth": truth}
        for content in ("aversive", "rewarding")
        for v in values
    ]


def test_scores_by_hand() -> None:
    trials = make_trials("null", 0.0, [0.5, -2.0, 0.1, 0.2]) + make_trials("planted", 1.0, [1.5, 2.5, -0.5, 0.5])
    trials += make_trials("power 2", 1.0, [2.0, 0.5])
    rows = pd.DataFrame(compute_rows(pd.DataFrame(trials), pd.DataFrame({"scenario": []})))
    rows = rows[rows["setting"].str.contains("aversive")].set_index(["setting", "metric"])["value"]
    assert rows["nothing planted; wake, aversive", "false_positive_rate"] == 0.25
    assert rows["nothing planted; wake, aversive", "coverage"] == 0.75
    planted = "planted: hazard ratio 2, depth 1 dB; wake, aversive"
    assert rows[planted, "coverage"] == 0.5
    assert rows[planted, "power"] == 0.5
    assert rows[planted, "bias"] == pytest.approx(0.0)
    assert rows[planted, "sign_accuracy"] == 0.75
    assert rows["hazard ratio 2; wake, aversive; 4 nights", "power"] == 0.5


def test_shares_have_wilson_intervals() -> None:
    value, low, high = compute_share([True] + [False] * 19)
    assert (value, low, high) == pytest.approx((0.05, 0.00888, 0.23613), abs=1e-4)


def test_a_trial_is_its_seed() -> None:
    scenario = Scenario("power 2", n_nights=3, hours=1.0, questions=("hazard", "naive"), groups=(3,))
    first, again, other = (run_trial(scenario, seed)[0] for seed in ((0, 1), (0, 1), (0, 2)))
    assert [row["value"] for row in first] == [row["value"] for row in again]
    assert not np.allclose([row["value"] for row in first], [row["value"] for row in other])
