"""Damage is as large as it says, where it says."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from sharpwave.demonstrations.damage import add_weight_noise, corrupt_inputs, flip_labels, lesion_units, list_layers
from sharpwave.demonstrations.networks import record_hidden_states
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.entropy import compute_spectral_entropy


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


class Tagger(nn.Module):
    """A recurrent layer and an answer per token."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.RNN(1, 2, batch_first=True, bias=False)
        self.head = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x)[0])


def test_a_ringing_layer_rings() -> None:
    model = Tagger().train()
    turn = 2 * np.pi / 8
    with torch.no_grad():
        model.body.weight_hh_l0.copy_(
            1.05 * torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        )
    pulse = torch.zeros(1, 400, 1)
    pulse[0, 0] = 1.0
    ringing = record_hidden_states(model, pulse, layer="body")
    assert ringing.shape == (400, 2)
    assert model.training
    driven = record_hidden_states(
        Tagger(), torch.randn(1, 400, 1, generator=torch.Generator().manual_seed(0)), layer="body"
    )
    assert compute_spectral_entropy(ringing[50:, 0], 1.0, window=64) < 0.5
    assert compute_spectral_entropy(driven[:, 0], 1.0, window=64) > 0.6


def test_what_has_no_tokens_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="a layer among body, head"):
        record_hidden_states(Tagger(), torch.zeros(1, 4, 1), layer="tail")
    with pytest.raises(SharpwaveError, match=r"hidden states \(token, unit\)"):
        record_hidden_states(Tagger(), torch.zeros(2, 4, 1), layer="body")
