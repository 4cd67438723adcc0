"""Every method of the simulated forecast is scored on the same held-out nights."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.multimodal import benchmark
from sharpwave.benchmarks.multimodal.learning import Budget
from sharpwave.benchmarks.multimodal.nights import PairedViews, simulate_paired_nights


@pytest.fixture(scope="module")
def nights() -> list[PairedViews]:
    return list(simulate_paired_nights(3, rng=np.random.default_rng(1), hours=1.2, precursor=1.0))


def test_all_methods_and_modalities_left_out(
    nights: list[PairedViews], tiny: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "BASELINES", ("persistence", "markov", "semi-markov", "lightgbm-signals"))
    monkeypatch.setattr(benchmark, "SUMMARISED", {"lightgbm-all": "lightgbm-signals"})
    monkeypatch.setattr(benchmark, "NAMES", {"lightgbm-all": "lightgbm-signals"})
    rows = benchmark.compare_methods(nights[:2], nights[2:], name="precursor on", seeds=1, budget=tiny)
    assert {row.n for row in rows} == {1}
    methods = {row.method for row in rows}
    left_out = {f"brainmu-lite without {what}" for what in benchmark.PRECURSORS}
    assert methods >= {"persistence", "lightgbm-all", "cnn", "brainmu-lite", *left_out}
    value = {row.method: row.value for row in rows if row.metric == "balanced_accuracy_change"}
    assert value["persistence"] == 0.5
    assert {row.data for row in rows} == {"simulated multimodal nights, precursor on"}
