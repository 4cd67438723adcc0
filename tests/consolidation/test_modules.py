from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import copy_weights, learn, make_network, make_points, make_sleeper, same_weights
from torch import nn

from sharpwave.consolidation import NREM, Probe, Wake
from sharpwave.consolidation.modules import (
    find_head,
    find_plastic,
    perturb_weights,
    update_batch_norm_statistics,
    watch_hidden,
)
from sharpwave.errors import SharpwaveError


def test_norms_embeddings_biases_and_the_head_are_left_alone() -> None:
    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(6, 3)
            self.embed = nn.Embedding(5, 6)
            self.norm = nn.LayerNorm((4, 6))
            self.middle = nn.Linear(6, 6)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return self.head(self.middle(self.norm(self.embed(tokens))).mean(dim=1))

    reader = Reader()
    head = find_head(reader, lambda: reader(torch.zeros(2, 4, dtype=torch.int64)))
    assert head == "head"
    assert list(find_plastic(reader, head)) == ["middle.weight"]


def test_a_tied_embedding_is_left_alone() -> None:
    network = nn.Sequential(nn.Embedding(6, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 2))
    network[1].weight = network[0].weight
    assert not find_plastic(network, "2")


def test_a_network_without_parameters_has_no_head() -> None:
    with pytest.raises(SharpwaveError, match="whose modules hold parameters"):
        find_head(nn.ReLU(), lambda: nn.ReLU()(torch.zeros(1)))


def test_noise_is_as_large_as_it_is_asked_to_be() -> None:
    network, (points, _) = make_network(), make_points(200, seed=1)
    with torch.no_grad(), watch_hidden(network, "4") as clean:
        network(points)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad(), watch_hidden(network, "4", noise=0.5, generator=generator) as noisy:
        network(points)
    assert clean.value is not None
    assert noisy.value is not None
    ratio = (noisy.value - clean.value).std() / clean.value.std()
    assert float(ratio) == pytest.approx(0.5, rel=0.02)
    assert not network[4]._forward_pre_hooks


def test_noise_is_in_the_weights_for_the_length_of_a_pass() -> None:
    layer = nn.Linear(100, 100)
    before = copy_weights(layer)
    with perturb_weights(dict(layer.named_parameters()), {"weight": 0.5}, generator=torch.Generator().manual_seed(0)):
        moved = (layer.weight.detach() - before["weight"]).std() / before["weight"].std()
        assert abs(float(moved) - 0.5) < 0.02
        assert torch.equal(layer.bias, before["bias"])
    assert same_weights(before, layer.state_dict())


def test_statistics_are_plain_averages_of_the_passes() -> None:
    norm = nn.BatchNorm1d(3)
    batches = torch.randn(4, 50, 3) * 2 + 1
    norm(torch.full((10, 3), 100.0))
    passes = iter(batches)
    update_batch_norm_statistics(norm, lambda: norm(next(passes)), n_batches=4)
    torch.testing.assert_close(norm.running_mean, batches.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.running_var, batches.var(dim=1).mean(dim=0))
    assert norm.momentum == 0.1


def test_after_sleep_they_are_those_of_balanced_memories() -> None:
    sleep = make_sleeper(norm=True, wake=Wake("none"), nrem=NREM(rate=0.0), probe=Probe(tolerance=1.0), capacity=60)
    learn(sleep, sleeps=False)
    network = sleep.learner.model
    latest = network[1].running_mean.clone()
    items = sleep.learner.sample(600, balanced=True)
    expected = network[0](items["x"]).mean(dim=0)
    sleep.night(2)
    after = (network[1].running_mean - expected).norm()
    assert after < 0.35 * (latest - expected).norm()


def test_a_network_without_batch_norm_is_not_run() -> None:
    update_batch_norm_statistics(nn.Linear(2, 2), lambda: 1 / 0)
