from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.benchmarks import training_cost
from sharpwave.benchmarks.training_cost import count_operations, find_peak, plan_training, project_hours
from sharpwave.brainmu import configure


def test_operations_are_those_of_the_matrices_and_of_attention() -> None:
    """By hand for one block: each weight of its matrices twice per token, keys and values against all tokens."""
    night = make_night(0, n_steps=60)
    one, two = make_model(width=32, n_layers=1), make_model(width=32, n_layers=2)
    block = count_operations(two, night) - count_operations(one, night)
    weights = sum(parameter.numel() for parameter in one.blocks[0].parameters() if parameter.ndim == 2)
    tokens, hours = 2 * 60, 0.5
    linear, attention = 2 * weights * tokens, 2 * 2 * 32 * tokens**2
    assert block == pytest.approx(3 * (linear + attention) / hours, rel=0.01)


def test_hours_are_operations_over_speed() -> None:
    rows = {(row.setting, row.metric): row.value for row in project_hours("base", 3.6e12)}
    assert rows["1000 h of recordings, 100 passes", "A100_hours_at_40%"] == pytest.approx(
        3.6e12 * 1000 * 100 / (312e12 * 0.4) / 3600
    )
    assert rows["10000 h of recordings, 100 passes", "H100_hours_at_20%"] == pytest.approx(
        3.6e12 * 10000 * 100 / (989e12 * 0.2) / 3600
    )


def test_mfu_is_given_for_a_known_card_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make_model()
    monkeypatch.setattr(training_cost, "find_peak", lambda: None)
    assert "mfu" not in {
        row.metric for row in training_cost.describe_machine_rows("lite", model, operations=1e9, speed=2)
    }
    monkeypatch.setattr(training_cost, "find_peak", lambda: 1e12)
    rows = training_cost.describe_machine_rows("lite", model, operations=1e11, speed=4.0)
    assert {row.metric: row.value for row in rows}["mfu"] == pytest.approx(0.4)


def test_an_unknown_card_has_no_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "NVIDIA H100 80GB HBM3")
    assert find_peak() == 989e12
    monkeypatch.setattr("torch.cuda.get_device_name", lambda: "another card")
    assert find_peak() is None


WANTED = {
    ("brainmu-base", "gflop_per_hour"),
    ("brainmu-base", "million_parameters"),
    ("drawing", "hours_per_second"),
}
PLAN = {
    "crops of an hour": "crops",
    "million tokens": "tokens",
    "computing per update": "computing_ms",
    "talk per update": "talk_ms",
    "updates in": "updates",
    "hours of the clock": "hours",
    "hours of cards": "card_hours",
    "cost": "cost",
    "weights and moments": "state_gb",
    "activations a card,": "activations_gb",
    "activations a card with": "recomputed_gb",
    "processes that draw": "processes",
}


def test_the_plan_in_the_docs_is_the_arithmetic() -> None:
    text = (Path(__file__).parents[2] / "docs/several-gpus.md").read_text(encoding="utf-8")
    lines = text.split("### A plan for 8, 64 and 512 cards")[1].split("### ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    assert rows[0] == ["", "8 cards", "64 cards", "512 cards"]
    for begin, name in PLAN.items():
        (row,) = [row for row in rows if row[0].startswith(begin)]
        for n_cards, written in zip((8, 64, 512), row[1:], strict=True):
            shown = written.replace(",", "").lstrip("0.")
            digits = max(len((shown if "." in written else shown.rstrip("0")).replace(".", "")), 2)
            value = float(f"{getattr(plan_training(n_cards), name):.{digits}g}")
            assert float(written.replace(",", "")) == value, (row[0], n_cards)


def test_the_plan_is_of_the_preset() -> None:
    """What the plan takes as given, from the model itself."""
    config = configure("base")
    assert (config.width, config.n_layers, config.n_heads) == (1024, 16, 16)
    given = inspect.signature(plan_training).parameters
    assert (given["width"].default, given["n_layers"].default) == (1024, 16)
    assert given["tokens_per_hour"].default == 120 * (len(training_cost.MODALITIES) + 1)
    rows = json.loads((Path(__file__).parents[2] / "benchmarks/results/training-cost.json").read_text())["rows"]
    found = {row["metric"]: row["value"] for row in rows if (row["method"], row["metric"]) in WANTED}
    assert given["flop_per_hour"].default / 1e9 == pytest.approx(found["gflop_per_hour"], rel=0.01)
    assert given["parameters"].default / 1e6 == pytest.approx(found["million_parameters"], rel=0.01)
    assert given["drawn_per_second"].default == pytest.approx(found["hours_per_second"], rel=0.05)
