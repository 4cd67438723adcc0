from __future__ import annotations

import pytest
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.benchmarks import training_cost
from sharpwave.benchmarks.training_cost import count_operations, find_peak, project_hours


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
