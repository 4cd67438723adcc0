"""A night is a transaction: whatever raises, wherever, all is as it was; and it takes its state from the whole day."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import pytest
import torch
from tests.consolidation.planted import copy_weights, learn, make_network, make_points, make_sleeper, same_weights
from torch import Tensor, nn

from sharpwave.consolidation import NREM, FixedRatio, Objective, Phase, Probe, Protection, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.gradients import measure_gradient_norm, measure_length
from sharpwave.errors import SharpwaveError


class Fragile(nn.Module):
    """A network with BatchNorm, a buffer that is not saved, a frozen part, and a pass that can fail."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(8, 24), nn.BatchNorm1d(24), nn.Linear(24, 6)
        self.frozen = nn.Linear(8, 24).requires_grad_(False)
        self.register_buffer("n_passes", torch.zeros(()), persistent=False)
        self.fails_after = math.inf

    def forward(self, x: Tensor) -> Tensor:
        self.fails_after -= 1
        if self.fails_after < 0:
            raise OSError("the machine is gone")
        self.n_passes += 1
        return self.head(torch.relu(self.norm(self.body(x) + self.frozen(x))))


def make_fragile(**options) -> tuple[Fragile, Sleep]:
    torch.manual_seed(0)
    model = Fragile()
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=0.01)
    sleep = Sleep(model, ReplayBuffer(48), optimiser, **options)
    learn(sleep, n_tasks=2, n_steps=15, sleeps=False)
    return model, sleep


def describe(model: nn.Module, sleep: Sleep) -> dict[str, Tensor]:
    state = {name: value.detach().clone() for name, value in (*model.named_parameters(), *model.named_buffers())}
    for place, moments in sleep.learner.optimiser.state_dict()["state"].items():
        state |= {f"{place}/{name}": torch.as_tensor(value).clone() for name, value in moments.items()}
    state["logits"] = sleep.learner.buffer.read(torch.arange(48))["logits"]
    state |= {f"gradient/{n}": p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    return state


@pytest.mark.parametrize("n_good", [*range(14), 20, 100])
def test_wherever_a_pass_fails_all_is_put_back(n_good: int) -> None:
    model, sleep = make_fragile(protection=Protection(step_size=0.3))
    model.eval()
    before, new = describe(model, sleep), sleep.learner.buffer.state_dict()["new"]
    model.fails_after = n_good
    with pytest.raises((OSError, SharpwaveError)):
        sleep.night(3)
    model.fails_after = math.inf
    after = describe(model, sleep)
    assert before.keys() == after.keys()
    assert [name for name in before if not torch.equal(before[name], after[name])] == []
    assert sleep.learner.buffer.state_dict()["new"] == new
    assert not sleep.is_asleep
    assert not any(module.training for module in model.modules())
    assert sleep.guard.fisher == {}
    assert sleep.night(3).committed


@pytest.mark.parametrize("call", [1, 2])
def test_a_probe_that_fails_leaves_the_network_awake(call: int) -> None:
    asked = []

    def probe(_: nn.Module) -> float:
        asked.append(1)
        if len(asked) == call:
            raise RuntimeError("the loader died")
        return 0.5

    model, sleep = make_fragile(probe=Probe(probe))
    before = describe(model, sleep)
    with pytest.raises(RuntimeError, match="the loader died"):
        sleep.night(2)
    assert all(torch.equal(value, before[name]) for name, value in describe(model, sleep).items())
    assert not sleep.is_asleep
    with pytest.raises(SharpwaveError, match="a probe that gives one number"):
        make_fragile(probe=Probe(lambda _: None))[1].night(2)  # type: ignore[arg-type, return-value]


def test_gradients_are_left_as_they_were() -> None:
    model, sleep = make_fragile()
    model.zero_grad()
    points, labels = make_points(5, seed=4)
    sleep.wake({"x": points, "y": labels}, task=1).backward()
    before = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    assert sleep.night(3).committed
    assert {name for name, p in model.named_parameters() if p.grad is not None} == before.keys()
    assert all(torch.equal(p.grad, before[name]) for name, p in model.named_parameters() if p.grad is not None)


def test_a_part_with_another_optimiser_gets_no_gradients_and_several_optimisers_learn() -> None:
    body, head = nn.Sequential(nn.Linear(8, 24), nn.ReLU()), nn.Linear(24, 6)
    optimisers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (body, head)]
    model = nn.Sequential(body, head)
    alone = Sleep(model, ReplayBuffer(48), optimisers[0])
    points, labels = make_points(10, seed=1)
    alone.wake({"x": points, "y": labels}).backward()
    for optimiser in optimisers:
        optimiser.zero_grad()
    head_before = head.weight.detach().clone()
    with pytest.warns(UserWarning, match="in no optimiser of Sleep do not learn asleep: 1.weight, 1.bias"):
        alone.night(3)
    assert torch.equal(head.weight, head_before)
    assert all(parameter.grad is None for parameter in model.parameters())
    both = Sleep(model, ReplayBuffer(48), optimisers)
    learn(both, n_tasks=1, n_steps=10, sleeps=False)
    verdicts = iter([0.9, 0.1])
    both.recipe = copy.copy(both.recipe)
    object.__setattr__(both.recipe, "probe", Probe(lambda _: next(verdicts)))
    before = copy_weights(model)
    assert not both.night(3).committed
    assert same_weights(before, model.state_dict())
    object.__setattr__(both.recipe, "probe", Probe())
    assert both.night(3).committed
    assert not torch.equal(head.weight, before["1.weight"])


class Zeroing(Phase):
    """A phase that writes NaN, or to a frozen weight."""

    def __init__(self, name: str) -> None:
        self.name = name

    def make_phase(self, learner, recipe) -> Phase:
        self.learner = learner
        return self

    def prepare(self, weights: Mapping[str, Tensor]) -> None: ...

    def step(self, plan: Sequence[int], position: int) -> float:
        with torch.no_grad():
            self.learner.module.get_parameter(self.name).fill_(torch.nan)
        return 0.0

    def finish(self) -> None: ...


def test_no_network_of_nan_is_kept() -> None:
    model, sleep = make_fragile(nrem=Zeroing("head.weight"))
    report = sleep.night(1)
    assert not report.committed
    assert report.reason == "head.weight is not finite"
    assert bool(torch.isfinite(model.head.weight).all())
    model, sleep = make_fragile(nrem=Zeroing("frozen.weight"))
    with pytest.raises(SharpwaveError, match=r"a change of frozen\.weight, which cannot be put back"):
        sleep.night(1)
    assert not sleep.is_asleep


def test_a_gradient_that_is_not_finite_ends_the_night() -> None:
    broken = [False]

    def loss(output: Tensor, batch: dict) -> Tensor:
        value = nn.functional.cross_entropy(output, batch["y"], reduction="none")
        return value + (output.sum(1) * 0).sqrt() if broken[0] else value

    sleep = make_sleeper(objective=Objective(loss=loss))
    learn(sleep, n_tasks=1, sleeps=False)
    before = copy_weights(sleep.learner.model)
    broken[0] = True
    report = sleep.night(1)
    assert report.reason == "a gradient was not finite"
    assert same_weights(before, sleep.learner.model.state_dict())


def test_what_is_frozen_or_tied_is_not_copied_twice() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = nn.Linear(8, 1000).requires_grad_(False)
            self.first = nn.Linear(1000, 6)
            self.second = self.first

        def forward(self, x: Tensor) -> Tensor:
            return self.first(self.frozen(x))

    model = Tied()
    sleep = Sleep(model, ReplayBuffer(48), torch.optim.Adam(model.first.parameters(), lr=0.01))
    learn(sleep, n_tasks=1, n_steps=5, sleeps=False)
    sleep.fall_asleep(2)
    night = sleep.state_dict()["night"]
    assert set(night["weights"]) == {"first.weight", "first.bias"}
    held = sum(value.numel() for value in night["weights"].values())
    held += sum(torch.as_tensor(v).numel() for m in night["moments"]["state"].values() for v in m.values())
    assert held <= 3 * (6000 + 6) + 2
    assert sleep.night().committed


# ---- what a night takes from the day


def count_night(sizes: list[int]) -> list[int]:
    """Items of each training pass of a night, after batches of some sizes."""
    sleep = make_sleeper(capacity=90)
    points, labels = make_points(40, seed=1)
    for size in sizes:
        sleep.learner.optimiser.zero_grad()
        sleep.wake({"x": points[:size], "y": labels[:size]}).backward()
        sleep.learner.optimiser.step()
    seen: list[int] = []
    sleep.learner.model.register_forward_hook(lambda m, i, o: seen.append(len(o)) if o.requires_grad else None)
    sleep.night(2)
    return seen


def test_a_ragged_last_batch_does_not_shrink_the_night() -> None:
    assert count_night([32] * 8 + [1]) == count_night([32] * 8) == [64, 64]
    assert count_night([1, 32]) == [64, 64]
    assert count_night([8] * 8 + [32]) == [16, 16]


def test_beside_a_ragged_batch_as_many_items_are_replayed_and_none_weighs_more() -> None:
    sleep = make_sleeper(wake=Wake("er"))
    points, labels = make_points(40, seed=1)
    for _ in range(3):
        sleep.wake({"x": points[:16], "y": labels[:16]})
    seen: list[int] = []
    sleep.learner.model.register_forward_hook(lambda m, i, o: seen.append(len(o)))
    loss = sleep.wake({"x": points[:1], "y": labels[:1]})
    assert seen == [1 + 16]
    replayed = sleep.learner.buffer.read(torch.arange(48))
    assert set(replayed["y"].tolist()) == {0}
    own = nn.functional.cross_entropy(sleep.learner.model(points[:1]), labels[:1])
    assert float(loss) == pytest.approx(float(own) / 16 + float(own), rel=0.6)


def test_the_rate_of_a_night_is_that_of_the_day() -> None:
    sleep = make_sleeper(nrem=NREM(anneal=False))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(sleep.learner.optimiser, 20)
    points, labels = make_points(10, seed=1)
    for _ in range(20):
        sleep.learner.optimiser.zero_grad()
        sleep.wake({"x": points[:16], "y": labels[:16]}).backward()
        sleep.learner.optimiser.step()
        schedule.step()
    rates = []
    sleep.learner.optimiser.register_step_pre_hook(lambda o, *_: rates.append(o.param_groups[0]["lr"]))
    before = copy_weights(sleep.learner.model)
    report = sleep.night(2)
    assert rates == pytest.approx([0.0525] * 2, rel=0.01)
    assert sleep.learner.optimiser.param_groups[0]["lr"] == pytest.approx(0)
    assert report.note == ""
    assert not same_weights(before, sleep.learner.model.state_dict())


def test_a_night_in_which_no_weight_moved_says_so() -> None:
    sleep = make_sleeper(nrem=NREM(rate=0.0))
    learn(sleep, n_tasks=1, sleeps=False)
    with pytest.warns(UserWarning, match="no weight moved"):
        assert "no weight moved" in str(sleep.night(2))
    sleep = make_sleeper()
    sleep.learner.optimiser.param_groups[0]["lr"] = 0.0
    learn(sleep, n_tasks=1, sleeps=False)
    with pytest.warns(UserWarning, match="the learning rate is 0"):
        sleep.night(2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn(make_sleeper(), n_tasks=1)


def test_the_report_says_what_the_day_and_the_night_cost() -> None:
    sleep = make_sleeper(schedule=FixedRatio(0.1))
    (report,) = learn(sleep, n_tasks=1, n_steps=20)
    assert report.cost["new"] == 20 * 16
    assert report.cost["replayed"] == 19 * 16
    assert report.cost["slept"] == 2 * 32
    assert 0 < report.cost["plain_seconds"] < report.cost["awake_seconds"]
    assert report.added_share > 0
    assert "320 new and 304 replayed items" in report.describe_cost()
    assert "of plain training" in str(report)
    assert math.isnan(sleep.night(1).added_share)


def test_the_hypnogram_of_a_long_run_takes_no_room() -> None:
    sleep = make_sleeper(wake=Wake("none"))
    points, labels = make_points(2, seed=1)
    for _ in range(200):
        sleep.wake({"x": points, "y": labels})
    sleep.night(3)
    assert sleep.state_dict()["runs"] == [[0, 200], [1, 3]]
    assert len(sleep.hypnogram) == 203


def test_what_cannot_be_put_back_is_refused() -> None:
    network = make_network()
    with pytest.raises(SharpwaveError, match="LBFGS, whose step computes the loss several times"):
        Sleep(network, ReplayBuffer(5), torch.optim.LBFGS(network.parameters()))

    class Extra(nn.Linear):
        def get_extra_state(self) -> object:
            return {"calls": 3}

    with pytest.raises(SharpwaveError, match="a get_extra_state of its own"):
        Sleep(nn.Sequential(Extra(2, 2)), ReplayBuffer(5))
    with pytest.raises(SharpwaveError, match="give a ReplayBuffer second"):
        Sleep(network, torch.optim.SGD(network.parameters(), lr=0.1), ReplayBuffer(5))  # type: ignore[arg-type]
    with pytest.raises(SharpwaveError, match=r"probe=Probe\(\)"):
        Sleep(network, ReplayBuffer(5), probe={"x": 1})
    assert Sleep(network, ReplayBuffer(5), wake="er").recipe.wake == Wake("er")


# ---- a step of wake that goes astray


def test_a_step_of_wake_whose_gradient_is_not_finite_is_not_taken() -> None:
    sleep = make_sleeper(protection=None)
    points, labels = make_points(4, seed=1)
    learn(sleep, n_tasks=1, n_steps=3, sleeps=False)
    before = copy_weights(sleep.learner.model)
    sleep.learner.optimiser.zero_grad()
    (sleep.wake({"x": points, "y": labels}, task=0) * torch.inf).backward()
    with pytest.warns(UserWarning, match="a step of wake was not taken"):
        sleep.learner.optimiser.step()
    assert same_weights(before, sleep.learner.model.state_dict())


def test_no_step_is_longer_than_the_clip_in_lengths_of_the_weights() -> None:
    sleep = make_sleeper(wake=Wake("er", clip=0.01), nrem=NREM(clip=0.01, anneal=False))
    sleep.learner.optimiser.param_groups[0]["momentum"] = 0
    parameters = list(sleep.learner.model.parameters())
    lengths: list[float] = []

    def measure(*_: object) -> None:
        lengths.append(0.1 * measure_gradient_norm(parameters) / measure_length(parameters))

    sleep.learner.optimiser.register_step_pre_hook(measure)
    points, labels = make_points(4, seed=1)
    for factor in (1e-4, 1000.0):
        sleep.learner.optimiser.zero_grad()
        (factor * sleep.wake({"x": points, "y": labels})).backward()
        sleep.learner.optimiser.step()
    assert lengths[0] < 0.001
    assert lengths[1] == pytest.approx(0.01, rel=1e-4)
    sleep.learner.objective = Objective(
        loss=lambda o, b: 1e3 * nn.functional.cross_entropy(o, b["y"], reduction="none")
    )
    assert sleep.night(2).losses.shape == (2,)
    assert lengths[2:] == pytest.approx([0.01] * 2, rel=1e-4)


@pytest.mark.parametrize("make", [torch.optim.Adam, partial(torch.optim.SGD, momentum=0.9)])
def test_a_head_that_grows_under_an_optimiser_with_moments(make: Callable) -> None:
    network, (points, labels) = make_network(), make_points(40, seed=1)
    optimiser = make(network.parameters(), lr=0.01)
    sleep = Sleep(network, ReplayBuffer(50), optimiser)
    for wider in (0, 2):
        if wider:  # as users do: a new last layer, and the list of parameters written anew
            network[-1] = nn.Linear(network[-1].in_features, network[-1].out_features + wider)
            optimiser.param_groups[0]["params"] = list(network.parameters())
        for _ in range(3):
            optimiser.zero_grad()
            sleep.wake({"x": points, "y": labels}).backward()
            optimiser.step()
        assert len(sleep.night(2).losses) == 2


def test_a_probe_that_never_gives_a_number_keeps_no_night() -> None:
    network, (points, labels) = make_network(), make_points(40, seed=1)
    sleep = Sleep(
        network, ReplayBuffer(50), torch.optim.SGD(network.parameters(), 0.1), probe=Probe(lambda m: math.nan)
    )
    sleep.wake({"x": points, "y": labels}).backward()
    report = sleep.night(2)
    assert (report.committed, report.reason) == (False, "the score is not finite")


def test_a_probe_may_freeze_what_it_looks_at() -> None:
    def look(network: nn.Module) -> float:
        return float(network.requires_grad_(False)(points).mean())

    network, (points, labels) = make_network(), make_points(40, seed=1)
    sleep = Sleep(network, ReplayBuffer(50), torch.optim.SGD(network.parameters(), 0.1), probe=Probe(look, tolerance=9))
    sleep.wake({"x": points, "y": labels}).backward()
    report = sleep.night(2)
    assert (report.committed, len(report.losses)) == (True, 2)
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert "plain training" not in str(report)  # no step was taken, so what one takes is not known


def test_the_generator_of_the_user_is_left_alone() -> None:
    sleep = make_sleeper(nrem=NREM(noise=0.1, reconstruction=1.0))
    points, labels = make_points(8, seed=1)
    before = torch.get_rng_state()
    sleep.wake({"x": points, "y": labels}).backward()
    sleep.night(2)
    assert torch.equal(torch.get_rng_state(), before)
