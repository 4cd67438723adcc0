"""Damage is as large as it says, where it says."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sharpwave.benchmarks.resilience.perturbations import (
    add_weight_noise,
    corrupt_inputs,
    flip_labels,
    lesion_units,
    list_layers,
)
from sharpwave.errors import SharpwaveError


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(200, 100), nn.LayerNorm(100), nn.ReLU(), nn.Linear(100, 50))


def test_noise_is_in_deviations_of_each_layer(network: nn.Module) -> None:
    before = copy.deepcopy(network)
    add_weight_noise(network, 0.5, rng=np.random.default_rng(0))
    for name, layer in list_layers(before).items():
        weight, noisy = layer.weight, list_layers(network)[name].weight
        assert float((noisy - weight).detach().std()) == pytest.approx(0.5 * float(weight.detach().std()), rel=0.05)
    assert torch.equal(network[1].weight, before[1].weight)  # type: ignore[index, arg-type]


def test_one_part_alone(network: nn.Module) -> None:
    before = copy.deepcopy(network)
    add_weight_noise(network, 0.5, rng=np.random.default_rng(0), part="3")
    assert torch.equal(network[0].weight, before[0].weight)  # type: ignore[index, arg-type]
    with pytest.raises(SharpwaveError, match="a layer among 0, 3"):
        add_weight_noise(network, 0.5, rng=np.random.default_rng(0), part="1")


def test_lesion_silences_its_share_and_spares_the_answer(network: nn.Module) -> None:
    last = network[3].weight.clone()  # type: ignore[index, operator, union-attr]
    lesion_units(network, 0.3, rng=np.random.default_rng(0))
    silent = (network[0].weight == 0).all(dim=1) & (network[0].bias == 0)  # type: ignore[index, union-attr]
    assert int(silent.sum()) == 30
    assert torch.equal(network[3].weight, last)  # type: ignore[index, arg-type]


def test_labels_and_inputs() -> None:
    rng = np.random.default_rng(0)
    labels = torch.arange(10_000) % 7
    wrong = flip_labels(labels, 0.25, n_classes=7, rng=rng)
    assert float((wrong != labels).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert set(wrong.tolist()) == set(range(7))
    inputs = torch.rand(1000, 20)
    noisy = corrupt_inputs(inputs, 2.0, rng=rng)
    assert float((noisy - inputs).std()) == pytest.approx(2 * float(inputs.std()), rel=0.05)
