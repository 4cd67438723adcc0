"""The table of the reactivation benchmark, on one short night that stands for all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.reactivation import benchmark as reactivation
from sharpwave.benchmarks.reactivation.benchmark import score_reactivations
from sharpwave.recipes.difficulty import NULLS, simulate_declared_night, simulate_null_night

METHODS = {"brainmu-lite", "brainmu-lite, LFP only", "state-space", "hand-crafted", "ripples alone"}


@pytest.mark.slow
def test_every_method_has_its_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    night = simulate_declared_night(rng=np.random.default_rng(8), hours=0.4)
    empty = simulate_null_night(NULLS[1], rng=np.random.default_rng(8), hours=0.3)

    def give_night(*, rng: np.random.Generator) -> Any:
        return night

    def give_null(kind: str, *, rng: np.random.Generator) -> Any:
        return empty

    monkeypatch.setattr(reactivation, "simulate_declared_night", give_night)
    monkeypatch.setattr(reactivation, "simulate_null_night", give_null)
    monkeypatch.setattr(reactivation, "NIGHTS_PER_SEED", 1)
    monkeypatch.setattr(reactivation, "NULLS", NULLS[1:2])
    config, rows = reactivation.run(None, seeds=1)
    assert config["difficulty"]["n_units"] == 56
    table = {(row.data, row.method, row.metric): row.value for row in rows}
    declared, null = reactivation.DECLARED_DATA, reactivation.NULL_DATA
    assert {method for data, method, _ in table if data == declared} == METHODS
    assert {method for data, method, _ in table if data == null} == METHODS
    assert {metric for data, _, metric in table if data == null} == {"false_positives_per_minute"}
    ours, theirs = (table[declared, method, "f1"] for method in ("brainmu-lite", "hand-crafted"))
    assert ours > theirs
    assert table[null, "brainmu-lite", "false_positives_per_minute"] < 0.5
    assert table[declared, "brainmu-lite", "latency"] < 0.3


def test_figures_by_hand() -> None:
    replays = pd.DataFrame(
        {
            "onset": [1.0, 5.0, 9.0],
            "duration": 0.1,
            "content": ["a", "b", "a"],
            "direction": ["forward", "reverse", "forward"],
        }
    )
    found = pd.DataFrame(
        {
            "onset": [1.01, 5.0, 7.0, 9.06],
            "duration": 0.1,
            "content": ["a", "a", "a", "a"],
            "direction": ["forward", "reverse", "forward", "forward"],
            "known": [1.2, 5.1, 7.1, 9.1],
        }
    )
    figures = score_reactivations(replays, found, duration=120.0)
    assert figures["precision"] == 0.5
    assert figures["recall"] == pytest.approx(2 / 3)
    assert figures["f1"] == pytest.approx(4 / 7)
    assert figures["false_positives_per_minute"] == 1.0
    assert figures["onset_error"] == pytest.approx(0.005)
    assert figures["content_accuracy"] == 0.5
    assert figures["direction_accuracy"] == 1.0
    assert figures["latency"] == pytest.approx(0.15)


def test_what_was_not_read_has_no_figure() -> None:
    replays = pd.DataFrame({"onset": [1.0], "duration": [0.1], "content": ["a"], "direction": ["forward"]})
    figures = score_reactivations(replays, replays[["onset", "duration"]], duration=60.0)
    assert (figures["precision"], figures["recall"]) == (1.0, 1.0)
    assert np.isnan([figures["content_accuracy"], figures["direction_accuracy"], figures["latency"]]).all()
    nothing = score_reactivations(replays.iloc[:0], replays, duration=60.0)
    assert nothing["false_positives_per_minute"] == 1.0
    assert np.isnan(nothing["recall"])
