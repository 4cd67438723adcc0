"""What replay and nights within a budget cost, and what shallow nights change."""

from __future__ import annotations

import copy

import pytest
import torch
from tests.consolidation.planted import make_points, measure_accuracy
from torch import Tensor, nn

from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.consolidation.budget import Budget, find_top
from sharpwave.errors import SharpwaveError


def make_deep(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 6))


def learn(sleep: Sleep, *, n_tasks: int = 3, nights: bool = True) -> list:
    """Three tasks of two classes, one after another."""
    points, labels = make_points(100, seed=1)
    reports = []
    for task in range(n_tasks):
        mine = torch.nonzero(labels // 2 == task)[:, 0].repeat(8)
        mine = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(task))]
        for part in mine.split(16):
            sleep.learner.optimiser.zero_grad()
            sleep.wake({"x": points[part], "y": labels[part]}).backward()
            sleep.learner.optimiser.step()
        if nights:
            reports.append(sleep.night())
    return reports


def make_sleep(model: nn.Module, share: float | Budget | None, **options) -> Sleep:
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    buffer = ReplayBuffer(60, generator=torch.Generator().manual_seed(0))
    return Sleep(model, buffer, optimiser, budget=share, **options)


@pytest.mark.parametrize("share", [0.05, 0.15, 0.5, 2.0])
def test_replay_and_nights_stay_within_the_budget(share: float) -> None:
    sleep = make_sleep(make_deep(), share)
    reports = learn(sleep)
    new = sum(report.cost["new"] for report in reports)
    added = sum(report.cost["added_passes"] for report in reports)
    assert 0.5 * share * new < added < 1.06 * share * new
    assert sleep.budget is not None
    assert sleep.budget.replayed + sleep.budget.slept == pytest.approx(added)


def test_fifteen_per_cent_keep_the_old_tasks_that_plain_training_loses() -> None:
    plain, slept = make_deep(), make_deep()
    learn(make_sleep(plain, None, wake="none"), nights=False)
    learn(make_sleep(slept, 0.15))
    assert measure_accuracy(plain) < 0.6
    assert measure_accuracy(slept) > 0.8


def test_a_shallow_night_changes_the_top_alone_and_passes_memories_once() -> None:
    model = make_deep()
    sleep = make_sleep(model, 0.15)
    learn(sleep, nights=False)
    before = copy.deepcopy(model.state_dict())
    seen: list[int] = []
    model[0].register_forward_hook(lambda module, inputs, output: seen.append(len(output)))
    sleep.budget.earned = sleep.budget.replayed + sleep.budget.slept + 40  # too little for a full step
    report = sleep.night()
    moved = [name for name, value in model.state_dict().items() if not torch.equal(value, before[name])]
    assert moved == ["4.weight", "4.bias"]
    assert len(report.losses) > 5
    assert sum(size for size in seen if size > 2) == 60  # besides the two items that the top is found with
    buffer = sleep.learner.buffer
    stored = buffer.read(torch.arange(len(buffer)))
    torch.testing.assert_close(model(stored["x"]).detach(), stored["logits"])  # all came since the night before


def test_a_shallow_night_learns_what_the_same_steps_on_the_whole_network_with_its_bottom_frozen_do() -> None:
    """Cached features change nothing: the gradients of the top are those of a pass through everything."""
    first, second = make_deep(), make_deep()
    losses = []
    for model, frozen in ((first, False), (second, True)):
        sleep = make_sleep(model, 0.15)
        learn(sleep, nights=False)
        sleep.budget.earned = sleep.budget.replayed + 40
        sleep.fall_asleep()
        if frozen:  # the same night, without the cache
            for parameter in list(model.parameters())[:4]:
                parameter.requires_grad_(False)
            memories = sleep.learner.memories
            memories.run = lambda rows, _, model=model, memories=memories: model(memories.items["x"][rows])
        losses.append(sleep.night().losses.tolist())
    assert losses[0] == pytest.approx(losses[1])
    torch.testing.assert_close(first[4].weight, second[4].weight)


class Squashed(nn.Module):
    """A network whose output is not what its last layer gives."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = make_deep()

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(self.layers(x)) * 5


def test_a_network_without_a_separate_top_takes_full_steps_and_says_so() -> None:
    sleep = make_sleep(Squashed(), 0.3)
    with pytest.warns(UserWarning, match="full steps, and so fewer of them, since its output is not what"):
        reports = learn(sleep)
    assert sum(len(report.losses) for report in reports) > 3
    assert sum(r.cost["added_passes"] for r in reports) < 1.06 * 0.3 * sum(r.cost["new"] for r in reports)


class Tied(nn.Module):
    """An embedding whose transpose gives the output."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 6, bias=False)
        self.last = nn.Linear(6, 6, bias=False)
        self.last.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(x)))


def test_the_top_is_found_or_refused_in_words() -> None:
    batch = {"x": torch.rand(4, 8)}
    learner = make_sleep(make_deep(), 0.1).learner
    top = find_top(learner, batch)
    assert not isinstance(top, str)
    assert top.name == "4"
    assert top.share == pytest.approx(64 * 6 / (8 * 64 + 64 * 64 + 64 * 6))
    assert "shares weights" in find_top(make_sleep(Tied(), 0.1).learner, {"x": torch.rand(4, 6)})
    frozen = make_deep()
    frozen[4].requires_grad_(False)
    assert "nothing in '4' is trained" in find_top(make_sleep(frozen, 0.1).learner, batch)
    with pytest.raises(SharpwaveError, match="a top among"):
        find_top(learner, batch, name="head")


def test_a_night_within_a_budget_is_resumed_exactly() -> None:
    straight, broken = (make_sleep(make_deep(), 0.15) for _ in range(2))
    for sleep in (straight, broken):
        learn(sleep, n_tasks=2)
        sleep.fall_asleep()
        for _ in range(3):
            sleep.step()
    state = broken.state_dict()
    weights = copy.deepcopy(broken.learner.module.state_dict())
    moments = copy.deepcopy(broken.learner.optimiser.state_dict())
    resumed = make_sleep(make_deep(seed=5), 0.15)
    resumed.learner.module.load_state_dict(weights)
    resumed.learner.optimiser.load_state_dict(moments)
    resumed.load_state_dict(state)
    for sleep in (straight, resumed):
        sleep.night()
    for one, other in zip(straight.learner.module.parameters(), resumed.learner.module.parameters(), strict=True):
        assert torch.equal(one, other)


def test_without_a_budget_nothing_is_counted_out() -> None:
    sleep = make_sleep(make_deep(), None)
    reports = learn(sleep)
    assert sleep.budget is None
    assert reports[-1].cost["replayed"] == reports[-1].cost["new"]
    assert "of its passes" in str(reports[-1])


def test_a_budget_of_nothing_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="above 0"):
        make_sleep(make_deep(), 0.0)


@pytest.mark.parametrize("share", [0.02, 0.15])
def test_a_night_that_cannot_be_paid_for_costs_nothing(share: float) -> None:
    """Nothing is scored or stored anew where there is no step."""
    torch.manual_seed(0)
    sleep = make_sleep(nn.Sequential(nn.Linear(8, 6), nn.Tanh()), share)
    sleep.wake({"x": torch.rand(8, 8), "y": torch.arange(8) % 6})
    with pytest.warns(UserWarning, match="full steps"):
        report = sleep.night()
    assert len(report.losses) == 0
    assert sleep.budget.slept < 5  # the passes of two items that look for the top


class Attention(nn.Module):
    """Attention over tokens, which has a shortcut without gradients."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(16, 2, 64, dropout=0.0, batch_first=True)
        self.embedding, self.layers = nn.Embedding(20, 16), nn.TransformerEncoder(layer, 2)
        self.head = nn.Linear(16, 6)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(tokens)).mean(dim=1))


def test_the_operations_of_attention_are_counted() -> None:
    learner = make_sleep(Attention(), 0.1).learner
    top = find_top(learner, {"x": torch.randint(20, (2, 12))})
    assert not isinstance(top, str)
    assert top.name == "head"
    assert top.share < 0.01


def test_few_items_are_replayed_beside_many_steps_but_where_batch_norm_takes_its_statistics_from_them() -> None:
    plain, normed = torch.nn.Linear(2, 2), torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))

    def plan(model: torch.nn.Module) -> list[int]:
        budget, planned = Budget(0.15), []
        for _ in range(20):
            planned.append(budget.plan_replay(32, model))
            budget.replayed += planned[-1]
        return planned

    assert sum(n > 0 for n in plan(plain)) > 12 > sum(n > 0 for n in plan(normed)) > 2
    assert all(n == 0 or n + 1 > 0.3 * 32 for n in plan(normed))
    assert sum(plan(normed)) > 0
    assert plan(normed.eval()) == plan(plain)
    assert abs(sum(plan(plain)) - sum(plan(normed))) < 0.3 * 32
