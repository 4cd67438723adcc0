from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import copy_weights, learn, make_network, make_points, make_sleeper
from torch import nn

from sharpwave.consolidation import NREM, Homeostasis, Probe
from sharpwave.consolidation import significance as module
from sharpwave.consolidation.modules import perturb_weights
from sharpwave.consolidation.significance import (
    apply_homeostasis,
    compute_brittleness,
    compute_fisher,
    compute_significance,
    find_extreme,
)
from sharpwave.errors import SharpwaveError


def make_batch(n_items: int = 12) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return {"x": torch.randn(n_items, 8, generator=generator), "y": torch.arange(n_items) % 6}


def compute_by_hand(network: nn.Module, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    total = {name: torch.zeros_like(value) for name, value in network.named_parameters()}
    for x, y in zip(batch["x"], batch["y"], strict=True):
        network.zero_grad()
        nn.functional.cross_entropy(network(x[None]), y[None]).backward()
        for name, value in network.named_parameters():
            total[name] += value.grad**2 / len(batch["y"])
    network.zero_grad()
    return total


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("chunk_bytes", [2**27, 0])
def test_fisher_information_is_that_of_single_items(norm: bool, chunk_bytes: int, monkeypatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", chunk_bytes)
    network = make_network(norm=norm)
    batch = make_batch()
    fisher = compute_fisher(network, batch)
    assert network.training
    network.eval()
    for name, expected in compute_by_hand(network, batch).items():
        torch.testing.assert_close(fisher[name], expected, rtol=1e-4, atol=1e-8)


def test_removing_a_weight_costs_what_its_significance_says() -> None:
    network, batch = make_network(), make_batch(6)
    optimiser = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(batch["x"]), batch["y"]).backward()
        optimiser.step()
    significance = compute_significance(network, batch)["2.weight"].flatten()
    weight = network.get_parameter("2.weight").detach().view(-1)
    with torch.no_grad():
        base = nn.functional.cross_entropy(network(batch["x"]), batch["y"])
        rises = []
        for place in range(0, weight.numel(), 7):
            value = weight[place].clone()
            weight[place] = 0
            rises.append(float(nn.functional.cross_entropy(network(batch["x"]), batch["y"]) - base))
            weight[place] = value
    ranks = [torch.tensor(v).abs().argsort().argsort().float() for v in (rises, significance[::7].tolist())]
    assert torch.corrcoef(torch.stack(ranks))[0, 1] > 0.7


def test_kinds() -> None:
    network, batch = make_network(), make_batch()
    fisher = compute_significance(network, batch, kind="fisher")["0.weight"]
    weight = network.get_parameter("0.weight").detach()
    torch.testing.assert_close(compute_significance(network, batch)["0.weight"], fisher * weight**2)
    assert torch.equal(compute_significance(network, batch, kind="magnitude")["0.weight"], weight.abs())
    assert set(compute_significance(network, batch, names=["2.weight"])) == {"2.weight"}
    with pytest.raises(SharpwaveError, match="a significance among fisher-w2, fisher, magnitude"):
        compute_significance(network, batch, kind="hessian")


def test_the_layer_that_is_said_to_be_brittle_is_the_one_that_breaks() -> None:
    sleep = make_sleeper()
    learn(sleep, n_tasks=3)
    network = sleep.learner.model
    points, labels = make_points(60, seed=2)
    fisher = compute_fisher(network, {"x": points, "y": labels})
    weights = {name: value for name, value in network.named_parameters() if value.ndim > 1}
    said = compute_brittleness(fisher, weights)
    assert max(said.values()) == 1.0
    generator = torch.Generator().manual_seed(0)
    lost = {}
    for name in weights:
        losses = []
        for _ in range(40):
            with torch.no_grad(), perturb_weights(weights, {name: 0.2}, generator=generator):
                losses.append(float(nn.functional.cross_entropy(network(points), labels)))
        lost[name] = sum(losses)
    assert max(said, key=said.__getitem__) == max(lost, key=lost.__getitem__)


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


def test_a_night_prunes_what_it_may() -> None:
    sleep = make_sleeper(nrem=NREM(rate=0.0), homeostasis=Homeostasis(prune=0.1), probe=Probe(tolerance=1.0))
    learn(sleep, n_tasks=1, sleeps=False)
    network = sleep.learner.model
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
