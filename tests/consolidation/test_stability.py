"""Steps that would diverge: bright inputs, rates that are too high, an explosion that is noticed, said and undone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from sharpwave.consolidation import NREM, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.gradients import centre_gradients
from sharpwave.errors import SharpwaveError


def make_batches(n_batches: int, *, brightness: float = 0.0, seed: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Two classes that differ in a direction of 64 inputs, about a common level."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.randn(64, generator=generator) / 8
    for _ in range(n_batches):
        y = torch.randint(2, (16,), generator=generator)
        x = torch.randn(16, 64, generator=generator) / 4 + (2 * y[:, None] - 1) * direction
        yield x + brightness, y


def make_sleeper(rate: float, *, depth: int = 1, **options: float | bool | None) -> tuple[nn.Module, Sleep]:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 2)] if depth else [nn.Linear(64, 2)]
        model = nn.Sequential(*layers)
    optimiser = torch.optim.SGD(model.parameters(), lr=rate)
    wake = Wake(**options)  # type: ignore[arg-type]
    return model, Sleep(model, ReplayBuffer(50), optimiser, wake=wake, nrem=NREM(centre=wake.centre))


def learn(sleep: Sleep, batches: Iterator[tuple[Tensor, Tensor]]) -> list[float]:
    losses = []
    for x, y in batches:
        sleep.learner.optimiser.zero_grad()
        loss = sleep.wake({"x": x, "y": y})
        loss.backward()
        sleep.learner.optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def measure_accuracy(model: nn.Module, *, brightness: float) -> float:
    right = [float((model(x).argmax(1) == y).float().mean()) for x, y in make_batches(20, brightness=brightness)]
    return sum(right) / len(right)


def test_the_common_part_of_a_gradient_is_no_steeper_than_the_rest() -> None:
    network = nn.Sequential(nn.Linear(16, 2), nn.Linear(16, 1), nn.Conv1d(1, 1, 9), nn.Linear(1, 3), nn.Embedding(3, 4))
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    rest = torch.tensor([1.0, -1.0]).repeat(8)
    network[0].weight.grad = 2 + torch.stack([rest, rest])
    network[1].weight.grad = 0.5 + rest[None]
    centre_gradients(network)
    torch.testing.assert_close(network[0].weight.grad, 2 / 4 + torch.stack([rest, rest]))  # (1 / 2) squared
    torch.testing.assert_close(network[1].weight.grad, 0.5 + rest[None])
    torch.testing.assert_close(network[2].weight.grad, torch.full((1, 1, 9), 1 / 3))
    for kept in (network[0].bias, network[3].weight, network[4].weight):
        assert bool((kept.grad == 1).all())


def test_what_is_tied_to_an_embedding_or_not_asked_for_is_left() -> None:
    table, head, other = nn.Embedding(3, 4), nn.Linear(4, 3, bias=False), nn.Linear(4, 1, bias=False)
    head.weight = table.weight
    for weight in (table.weight, other.weight):
        weight.grad = torch.ones_like(weight)
    centre_gradients(nn.ModuleList([table, head, other]), [table.weight])
    assert bool((table.weight.grad == 1).all())
    assert bool((other.weight.grad == 1).all())


def test_a_bright_input_is_learned_at_the_same_rate() -> None:
    found = {}
    for centre in (True, False):
        model, sleep = make_sleeper(0.2, centre=centre, clip=None, rescue=None)
        learn(sleep, make_batches(60, brightness=1.5))
        sleep.night()
        found[centre] = measure_accuracy(model, brightness=1.5)
    assert found[True] > 0.95
    assert found[False] < 0.7


def test_a_single_layer_learns_what_all_inputs_share() -> None:
    generator = torch.Generator().manual_seed(0)
    model, sleep = make_sleeper(0.1, depth=0)
    for _ in range(60):
        y = torch.randint(2, (16,), generator=generator)
        x = torch.randn(16, 64, generator=generator) + y[:, None] - 0.5
        learn(sleep, iter([(x, y)]))
    assert float((model(x).argmax(1) == y).float().mean()) > 0.9


def break_network(model: nn.Module, *, value: float) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(value)


@pytest.mark.parametrize("value", [100.0, float("nan")])
def test_an_explosion_is_said_and_undone(value: float) -> None:
    model, sleep = make_sleeper(0.1)
    optimiser = sleep.learner.optimiser
    healthy = learn(sleep, make_batches(30))[-1]
    break_network(model, value=value)
    with pytest.warns(UserWarning, match=r"expected a loss .*; got .* put back; steps are 0.5 as long .* Fix: a lower"):
        again = learn(sleep, make_batches(1))
    assert again[0] < 2 * healthy + 0.5
    assert sleep.learner.caution == 0.5
    assert optimiser.param_groups[0]["lr"] == 0.1
    report = sleep.night()
    assert report.cost["undone"] == 1
    assert "steps of wake were undone once" in str(report)
    assert "rates are 0.5 of" in report.note
    assert "undone" not in sleep.night(2).note
    learn(sleep, make_batches(250))
    assert sleep.learner.caution == 1.0


def test_steps_after_an_explosion_are_half_as_long() -> None:
    model, sleep = make_sleeper(0.1, method="er", centre=False)
    sleep.learner.caution = 0.5
    before = model[0].weight.detach().clone()
    x, y = next(make_batches(1))
    sleep.learner.optimiser.zero_grad()
    sleep.wake({"x": x, "y": y}).backward()
    gradient = model[0].weight.grad.clone()
    sleep.learner.optimiser.step()
    torch.testing.assert_close(before - model[0].weight, 0.05 * gradient, atol=1e-6, rtol=1e-4)


def test_the_batch_that_is_at_fault_undoes_nothing() -> None:
    model, sleep = make_sleeper(0.01)
    learn(sleep, make_batches(30))
    (x, y), before = next(make_batches(1)), [p.detach().clone() for p in model.parameters()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert float(sleep.wake({"x": 1000 * x, "y": 1 - y}).detach()) > 10
    assert sleep.learner.caution == 1
    assert all(torch.equal(mine, kept) for mine, kept in zip(model.parameters(), before, strict=True))


def test_without_rescue_nothing_is_copied_or_undone() -> None:
    model, sleep = make_sleeper(0.1, rescue=None)
    learn(sleep, make_batches(30))
    break_network(model, value=100.0)
    assert learn(sleep, make_batches(1))[0] > 10
    assert sleep.learner.caution == 1
    assert sleep.stability._copy is None
    with pytest.raises(SharpwaveError, match="not negative"):
        Wake(rescue=-1)


def test_a_network_that_has_grown_is_not_gone_back_to() -> None:
    model, sleep = make_sleeper(0.1, method="er")
    learn(sleep, make_batches(30))
    model[2] = nn.Linear(32, 4)
    sleep.use(torch.optim.SGD(model.parameters(), lr=0.1))
    break_network(model, value=1000.0)
    learn(sleep, make_batches(1))
    assert sleep.learner.caution == 1


def test_what_was_undone_is_in_the_state() -> None:
    model, sleep = make_sleeper(0.1)
    learn(sleep, make_batches(30))
    sleep.learner.caution, sleep.learner.n_undone = 0.25, 2
    other_model, other = make_sleeper(0.1)
    other_model.load_state_dict(model.state_dict())
    other.load_state_dict(sleep.state_dict())
    assert (other.learner.caution, other.learner.n_undone) == (0.25, 2)
    assert learn(other, make_batches(3)) == learn(sleep, make_batches(3))


def test_a_layer_that_takes_the_place_of_another_is_centred_too() -> None:
    network = nn.Sequential(nn.Linear(4, 1))
    for _ in range(3):
        network[0] = nn.Linear(4, 1)
        network[0].weight.grad = torch.tensor([[1.0, 1.0, 1.0, 5.0]])
        centre_gradients(network)
        assert torch.allclose(network[0].weight.grad, torch.tensor([[0.5, 0.5, 0.5, 4.5]]))


def test_a_batch_that_is_at_fault_may_yet_go_backward_and_gradients_before_it_stay() -> None:
    network, sleep = make_sleeper(0.01)
    learn(sleep, make_batches(5))
    for (x, y), odd in zip(make_batches(2, seed=1), (torch.nan, 1e6), strict=True):
        sleep.wake({"x": x, "y": y}).backward()
        before = [parameter.grad.clone() for parameter in network.parameters()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what is not stored is said
            loss = sleep.wake({"x": x * odd, "y": 1 - y})
        assert all(torch.equal(p.grad, kept) for p, kept in zip(network.parameters(), before, strict=True))
        loss.backward()  # not the weights' change beneath it
        sleep.learner.clear_gradients()
