from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import copy_weights, learn, make_sleeper
from torch import nn

from sharpwave.consolidation import NREM, Homeostasis, Probe
from sharpwave.consolidation.anatomy import find_head, find_plastic
from sharpwave.consolidation.homeostasis import apply_homeostasis, find_extreme
from sharpwave.errors import SharpwaveError


def apply(homeostasis: Homeostasis) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, int]]:
    weight = nn.Parameter(torch.randn(20, 20, generator=torch.Generator().manual_seed(1)))
    scores = torch.rand(20, 20, generator=torch.Generator().manual_seed(2))
    before = weight.detach().clone()
    counts = apply_homeostasis({"w": weight}, {"w": scores}, homeostasis, generator=torch.Generator().manual_seed(3))
    return before, weight.detach(), scores, counts


def test_the_least_significant_weights_are_pruned() -> None:
    before, after, scores, counts = apply(Homeostasis(prune=0.1))
    pruned = after == 0
    assert int(pruned.sum()) == counts["pruned"] == 40
    assert scores[pruned].max() < scores[~pruned].min()
    assert torch.equal(after[~pruned], before[~pruned])


def test_some_regrow_small() -> None:
    before, after, scores, counts = apply(Homeostasis(prune=0.1, regrow=0.5))
    lowest = torch.zeros(400, dtype=torch.bool)
    lowest[find_extreme(scores.flatten(), 0.1, largest=False)] = True
    grown = after.flatten()[lowest]
    assert int((grown != 0).sum()) == counts["regrown"] == 20
    assert grown.abs().max() < before.std()


def test_the_most_significant_are_strengthened_and_the_rest_downscaled() -> None:
    before, after, scores, counts = apply(Homeostasis(strengthen=0.05, gain=0.1, downscale=0.02))
    ratio = after / before
    top, strong = scores >= scores.flatten().topk(20).values.min(), scores >= scores.flatten().topk(40).values.min()
    torch.testing.assert_close(ratio[top], torch.full((20,), 1.1))
    torch.testing.assert_close(ratio[strong & ~top], torch.ones(20))
    torch.testing.assert_close(ratio[~strong], torch.full((360,), 0.98))
    assert (counts["strengthened"], counts["downscaled"]) == (20, 360)


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


def test_a_night_prunes_what_it_may() -> None:
    sleep = make_sleeper(nrem=NREM(rate=0.0), homeostasis=Homeostasis(prune=0.1), probe=Probe(tolerance=1.0))
    learn(sleep, n_tasks=1, sleeps=False)
    network = sleep.body.model
    before = copy_weights(network)
    report = sleep.night(3)
    assert report.homeostasis["pruned"] == int(0.1 * 8 * 24) + int(0.1 * 24 * 24)
    assert int((network[0].weight == 0).sum()) == int(0.1 * 8 * 24)
    assert torch.equal(network[4].weight, before["4.weight"])
    assert torch.equal(network[0].bias, before["0.bias"])


def test_limits() -> None:
    with pytest.raises(SharpwaveError, match="raise `limit`"):
        Homeostasis(prune=0.3)
    assert Homeostasis(prune=0.3, limit=0.5).prune == 0.3
    with pytest.raises(SharpwaveError, match="regrow from 0 to 1"):
        Homeostasis(regrow=2.0)
    with pytest.raises(SharpwaveError, match="a significance among"):
        Homeostasis(significance="hessian")


def test_a_network_without_parameters_has_no_head() -> None:
    with pytest.raises(SharpwaveError, match="whose modules hold parameters"):
        find_head(nn.ReLU(), lambda: nn.ReLU()(torch.zeros(1)))
