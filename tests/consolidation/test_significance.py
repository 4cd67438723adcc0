from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import make_network
from torch import nn

from sharpwave.consolidation import significance as module
from sharpwave.consolidation.significance import compute_fisher, compute_significance
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
