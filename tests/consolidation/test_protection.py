from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import learn, make_network, make_sleeper

from sharpwave.consolidation import NREM, Protection, Wake
from sharpwave.consolidation.protection import Guard
from sharpwave.errors import SharpwaveError


def test_the_penalty_is_quadratic_in_the_distance_from_the_anchor() -> None:
    network = make_network()
    guard = Guard(Protection(anchor=3.0))
    assert not guard.is_anchored
    fisher = {name: torch.rand_like(value) for name, value in network.named_parameters()}
    guard.update(network, fisher)
    assert guard.is_anchored
    with torch.no_grad():
        network[0].weight += 0.5
    expected = 1.5 * 0.25 * fisher["0.weight"].sum()
    torch.testing.assert_close(guard.compute_penalty(network).detach(), expected)


def test_fisher_information_adds_up_over_nights() -> None:
    network = make_network()
    guard = Guard(Protection(anchor=1.0, decay=0.5))
    ones = {name: torch.ones_like(value) for name, value in network.named_parameters()}
    for _ in range(3):
        guard.update(network, ones)
    assert guard.fisher["0.weight"].unique().tolist() == [1.75]


def test_significant_weights_take_smaller_steps() -> None:
    network = make_network()
    guard = Guard(Protection(step_size=1.0))
    fisher = {"0.weight": torch.zeros(24, 8)}
    fisher["0.weight"][0, 0] = 192.0
    guard.update(network, fisher)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    guard.shrink_gradients(network)
    grad = network[0].weight.grad
    assert grad is not None
    assert float(grad[0, 0]) == pytest.approx(1 / 193)
    assert grad.flatten()[1:].unique().tolist() == [1.0]


@pytest.mark.parametrize("options", [{"anchor": 100.0}, {"step_size": 5.0}], ids=["anchor", "step_size"])
def test_significant_weights_move_less_while_awake(options: dict[str, float]) -> None:
    moved = {}
    for name, strength in (("free", 1e-9), ("protected", 1.0)):
        protection = Protection(**{key: value * strength for key, value in options.items()})
        sleep = make_sleeper(wake=Wake("none"), protection=protection, nrem=NREM(clip=None))
        learn(sleep, n_steps=10, n_tasks=1)
        learn(sleep, n_steps=10, first_task=1, n_tasks=2, sleeps=False)
        change = {n: p.detach() - sleep.guard.weights[n] for n, p in sleep.learner.model.named_parameters()}
        moved[name] = sum(float((sleep.guard.fisher[n] * value**2).sum()) for n, value in change.items())
    assert moved["protected"] < 0.7 * moved["free"]


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="an anchor and a step_size that are not negative"):
        Protection(anchor=-1.0)


@pytest.mark.parametrize("where", ["in JAX", "of another shape", "gone"])
def test_a_guard_of_another_network_is_refused_before_anything_is_taken_up(where: str) -> None:
    protection = Protection(anchor=1.0)
    mine, other = (make_sleeper(protection=protection, nrem=NREM(clip=None)) for _ in range(2))
    learn(other, n_steps=5, n_tasks=1)
    state = other.state_dict()
    kept = state["guard"]["weights"]
    if where == "in JAX":
        names = {"0.weight": "params/Dense_0/kernel", "0.bias": "params/Dense_0/bias"}
        kept = {names.get(name, name): value for name, value in kept.items()}
    elif where == "of another shape":
        kept = kept | {"0.weight": kept["0.weight"].T}
    state["guard"]["weights"] = kept if where != "gone" else kept | {"4.weight": torch.zeros(2)}
    named = {"in JAX": r"got params/Dense_0/kernel \(24, 8\)", "gone": r"got 4\.weight \(2,\)"}
    with pytest.raises(SharpwaveError, match=named.get(where, r"got 0\.weight \(8, 24\)")) as caught:
        mine.load_state_dict(state)
    assert "such as 0.weight (24, 8)" in caught.value.expected
    assert len(mine.learner.buffer) == 0
    assert not mine.guard.is_anchored
    state["guard"] = None  # the way that the error names
    mine.load_state_dict(state)
    assert len(mine.learner.buffer) > 0
    assert not mine.guard.is_anchored


def test_a_guard_goes_on_where_the_head_has_grown_since() -> None:
    guard, smaller = Guard(Protection(anchor=1.0)), make_network()
    guard.update(smaller, {name: torch.ones_like(value) for name, value in smaller.named_parameters()})
    grown = make_network()
    grown[2] = torch.nn.Linear(24, smaller[2].out_features + 1)
    guard.check(guard.state_dict(), grown)
    grown[2] = torch.nn.Linear(24, smaller[2].out_features - 1)
    with pytest.raises(SharpwaveError, match=r"got 2\.weight"):
        guard.check(guard.state_dict(), grown)
