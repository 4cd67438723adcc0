from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from sharpwave.consolidation import Probe
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.agents import (
    compute_cloning_losses,
    compute_replay_loss,
    make_agent_memory,
    make_agent_sleep,
    remember,
    split_output,
)


def make_agent() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))


def test_cloning_is_the_divergence_of_policies_and_the_error_of_values() -> None:
    taught = torch.tensor([[1.0, 0.0, 2.0], [0.0, 0.0, 4.0]])
    output = torch.tensor([[0.0, 0.0, 2.5], [0.0, 0.0, 4.0]])
    losses = compute_cloning_losses(output, {"taught": taught}, n_actions=2, value_weight=0.5)
    old = torch.distributions.Categorical(logits=taught[:, :2])
    new = torch.distributions.Categorical(logits=output[:, :2])
    expected = torch.distributions.kl_divergence(old, new) + torch.tensor([0.5 * 0.25 / 1.0, 0.0])
    assert torch.allclose(losses, expected)


def test_values_of_any_scale_weigh_alike() -> None:
    taught, output = torch.randn(8, 3), torch.randn(8, 3)
    scale = torch.tensor([1.0, 1.0, 100.0])
    first, second = (
        compute_cloning_losses(o, {"taught": t}, n_actions=2)
        for o, t in ((output, taught), (output * scale, taught * scale))
    )
    assert torch.allclose(first, second, rtol=1e-4)


def test_a_night_brings_back_what_an_agent_did() -> None:
    model, memory = make_agent(), make_agent_memory(128)
    optimiser = torch.optim.Adam(model.parameters(), lr=0.01)
    sleep = make_agent_sleep(model, memory, optimiser, n_actions=2)
    generator = torch.Generator().manual_seed(1)
    for task in (0, 1):
        remember(memory, model, torch.randn(200, 4, generator=generator) + 3 * task, task=task)
    seen = torch.randn(100, 4, generator=generator)

    @torch.no_grad()
    def think() -> torch.Tensor:
        output = model(seen)
        return torch.cat([output[:, :2].softmax(dim=1), output[:, 2:]], dim=1)

    before = think()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    moved = (think() - before).square().mean()
    report = sleep.night(150)
    assert report.committed
    assert (think() - before).square().mean() < 0.3 * moved
    assert report.groups.query("kind == 'task'")["n"].unique().tolist() == [64]


def test_a_return_may_decide_whether_a_night_is_kept() -> None:
    model, memory = make_agent(), make_agent_memory(32)
    scores = iter([100.0, 50.0])
    probe = Probe(lambda network: next(scores))
    sleep = make_agent_sleep(model, memory, torch.optim.SGD(model.parameters(), lr=0.1), n_actions=2, probe=probe)
    remember(memory, model, torch.randn(32, 4), task=0)
    with torch.no_grad():
        model[2].bias += 1.0  # type: ignore[index, operator]
    weights = copy.deepcopy(model.state_dict())
    report = sleep.night(5)
    assert not report.committed
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())


def test_replay_while_awake_is_the_same_loss_and_nothing_without_memories() -> None:
    model, memory = make_agent(), make_agent_memory(32)
    assert compute_replay_loss(model, memory, 8, n_actions=2) == 0
    remember(memory, model, torch.randn(32, 4), task=0, action=torch.zeros(32, dtype=torch.int64))
    assert compute_replay_loss(model, memory, 8, n_actions=2) < 1e-6
    with torch.no_grad():
        model[2].bias += torch.tensor([1.0, 0.0, 0.0])  # type: ignore[index, operator]
    assert compute_replay_loss(model, memory, 8, n_actions=2) > 0.01
    assert memory.sample(4)["action"].shape == (4,)


def test_outputs_without_a_value_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="a value for each observation"):
        split_output(torch.zeros(4, 2), n_actions=2)


def test_carts_are_steered_and_resets_are_no_steps() -> None:
    pytest.importorskip("gymnasium")
    from sharpwave.benchmarks import agents

    model, carts = agents.Actor(), agents.make_carts(1)
    assert carts.unwrapped.force_mag == -10
    state, _ = carts.reset(seed=0)
    import numpy as np

    recent: list[float] = []
    rollout, _ = agents.play(model, carts, state, 1, recent, np.zeros(agents.N_ENVS))
    n_resets = agents.N_STEPS * agents.N_ENVS - len(rollout["x"])
    assert len(recent) - agents.N_ENVS <= n_resets <= len(recent)
    assert np.mean(recent) > 8
    assert bool((rollout["x"][:, 5] == 1).all())
    loss = agents.compute_surrogate(model, rollout, normalise=True).detach()
    assert float(loss) == pytest.approx(0.5 * float((rollout["gain"]).square().mean()), abs=1e-4)  # ratios of 1
