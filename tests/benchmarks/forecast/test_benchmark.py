"""The forecasting benchmark finds what is there, nothing where nothing is, and says who was trained on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.benchmarks.forecast import benchmark
from sharpwave.benchmarks.forecast.benchmark import Task, score_task
from sharpwave.forecasting import FORECASTERS
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import split_by_subject

QUICK = ("persistence", "markov", "semi-markov", "hmm", "lightgbm", "lightgbm-signals")


def make_task(nights: list[EpochTable], protocol: str) -> Task:
    return Task(
        "made-up", protocol, 30.0, "cross-validated", nights, lambda rng: split_by_subject(nights, n_folds=3, rng=rng)
    )


def score(nights: list[EpochTable], protocol: str, methods: tuple[str, ...] = QUICK) -> dict[tuple[str, str], dict]:
    members = {name: make for name, make in FORECASTERS[protocol].items() if name in methods}
    rows = score_task(make_task(nights, protocol), members, seeds=1)
    return {(row.method, row.metric): row for row in rows}


@pytest.mark.parametrize("protocol", FORECASTERS)
def test_no_baseline_beats_persistence_on_shuffled_labels(
    protocol: str, make_nights: Callable, rng: np.random.Generator
) -> None:
    """Changes that nothing foretells: stages drawn anew, so that whether they change depends on nothing known."""
    nights = []
    for night in make_nights(8, n_epochs=600, informative=True):
        steps = np.where(rng.random(len(night)) < 0.15, rng.integers(1, 5, len(night)), 0)
        nights.append(replace(night, stages=(np.cumsum(steps) % 5).astype(np.int8)))
    rows = score(nights, protocol)
    for (method, metric), row in rows.items():
        if metric == "auprc_gain_over_persistence":
            assert row.low < 0.01, f"{method}: {row}"
            assert abs(row.value) < 0.03, f"{method}: {row}"


def test_a_planted_sign_is_found_and_only_by_who_sees_it(make_nights: Callable) -> None:
    rows = score(make_nights(6, informative=True), "observed", ("persistence", "lightgbm", "lightgbm-signals"))
    assert rows["lightgbm-signals", "auprc_change"].low > rows["lightgbm", "auprc_change"].high + 0.1
    alone = score(make_nights(6, informative=True), "signal-only", ("persistence", "lightgbm-signals"))
    assert alone["lightgbm-signals", "auprc_gain_over_persistence"].low > 0.2
    off = score(make_nights(6), "signal-only", ("persistence", "lightgbm-signals"))
    assert off["lightgbm-signals", "auprc_gain_over_persistence"].low < 0.02


def test_persistence_scores_at_chance(make_nights: Callable) -> None:
    rows = score(make_nights(4), "observed", ("persistence", "markov"))
    assert rows["persistence", "auprc_change"].value == rows["persistence", "prevalence_change"].value
    assert rows["persistence", "balanced_accuracy_change"].value == 0.5
    assert rows["markov", "auprc_gain_over_persistence"].low > 0


def test_people_never_trained_on_are_held_out(make_nights: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    development = [replace(night, cohort="dod") for night in make_nights(4, n_epochs=200)]
    new = [replace(night, cohort="dod", subject=f"new-{night.subject}") for night in make_nights(3, n_epochs=200)]
    monkeypatch.setattr(benchmark, "HORIZONS", (30.0,))
    members = {"observed": {name: FORECASTERS["observed"][name] for name in ("persistence", "markov")}}
    monkeypatch.setattr(benchmark, "FORECASTERS", members)
    rows = benchmark._run_cohort("dod", new, new, development, 1)
    assert {row.setting for row in rows} == {"observed, +30 s, shipped, held out", "observed, +30 s, held out"}
    assert {row.n for row in rows} == {3}
    assert {row.method for row in rows} >= {"sharpwave", "markov", "persistence"}
