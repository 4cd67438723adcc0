"""The plugin within a loop that calls what Avalanche 0.6.0 calls, in its order (`SGDUpdate.training_epoch`)."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import torch
from tests.consolidation.planted import make_network, make_points
from torch import Tensor, nn

from sharpwave.consolidation import FixedRatio, Objective, ReplayBuffer, Wake
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.avalanche import SleepPlugin


class Strategy:
    """The public face of a supervised strategy: its attributes, and callbacks of plugins by name."""

    def __init__(self, model: nn.Module, plugins: list, *, criterion: nn.Module | None = None, epochs: int = 1) -> None:
        self.model, self.plugins, self.epochs = model, plugins, epochs
        self.optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        self._criterion = criterion or nn.CrossEntropyLoss()
        self.passes = 0

    mb_x = property(lambda self: self.mbatch[0])
    mb_y = property(lambda self: self.mbatch[1])
    mb_task_id = property(lambda self: self.mbatch[-1])

    def criterion(self) -> Tensor:
        return self._criterion(self.mb_output, self.mb_y)

    def call(self, event: str) -> None:
        for plugin in self.plugins:
            if hasattr(plugin, event):
                getattr(plugin, event)(self)

    def forward(self) -> Tensor:
        if hasattr(self.model, "forward_single_task"):
            return self.model(self.mb_x, self.mb_task_id)
        return self.model(self.mb_x)

    def train(self, batches: list[tuple[Tensor, ...]]) -> None:
        self.model.train()
        self.call("before_training")
        self.call("before_training_exp")
        for _ in range(self.epochs):
            self.call("before_training_epoch")
            for batch in batches:
                self.mbatch = list(batch)
                self.call("before_training_iteration")
                self.optimizer.zero_grad()
                self.loss: Any = torch.zeros(())
                self.call("before_forward")
                self.mb_output = self.forward()
                self.call("after_forward")
                self.loss = self.loss + self.criterion()
                self.call("before_backward")
                self.loss.backward()
                self.call("after_backward")
                self.call("before_update")
                self.optimizer.step()
                self.call("after_update")
                self.call("after_training_iteration")
            self.call("after_training_epoch")
        self.call("after_training_exp")
        self.call("after_training")


def make_batches(task: int, *, size: int = 16, tasks: bool = True) -> list[tuple[Tensor, ...]]:
    points, labels = make_points(100, seed=1)
    mine = torch.nonzero(labels // 2 == task)[:, 0].repeat(3)
    order = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(task))]
    label = (torch.tensor(task),) if tasks else ()
    return [
        (points[rows], labels[rows], *(each.expand(len(rows)) for each in label))
        for rows in order.split(size)
        if len(rows) == size
    ]


def score(model: nn.Module) -> float:
    points, labels = make_points(50, seed=2)
    model.eval()
    return float((model(points).argmax(1) == labels).float().mean())


@pytest.mark.parametrize("tasks", [True, False])
def test_experiences_one_after_the_other_are_kept(tasks: bool) -> None:
    asleep, awake = make_network(), make_network()
    plugin = SleepPlugin(ReplayBuffer(48))
    with_sleep, without = Strategy(asleep, [plugin]), Strategy(awake, [])
    for task in range(3):
        with_sleep.train(make_batches(task, tasks=tasks))
        without.train(make_batches(task, tasks=tasks))
    assert score(asleep) > 0.8
    assert score(awake) < 0.5
    assert [report.committed for report in plugin.reports] == [True] * 3
    assert ("task_label" in plugin.buffer.entries) == tasks


def test_new_items_pass_once_and_what_others_add_to_the_loss_stays() -> None:
    class Counting(nn.Sequential):
        rows = 0

        def forward(self, x: Tensor) -> Tensor:
            Counting.rows += len(x) if self.training else 0
            return super().forward(x)

    class Anchor:
        def before_backward(self, strategy: Strategy) -> None:
            strategy.loss = strategy.loss + 7.0

    model = Counting(*make_network())
    plugin = SleepPlugin(48, every="schedule", wake=Wake("er", n_replay=8))
    strategy = Strategy(model, [Anchor(), plugin, Losses()])
    strategy.train(make_batches(0)[:3])
    assert not plugin.reports
    assert Counting.rows == 16 + 2 * (16 + 8)
    # the first step had nothing to replay: its loss is the criterion and what the other plugin added
    assert strategy.plugins[2].found[0] == pytest.approx(7 + strategy.plugins[2].plain[0])


class Losses:
    """Notes the loss that goes backward, and that of the new items alone."""

    def __init__(self) -> None:
        self.found: list[float] = []
        self.plain: list[float] = []

    def before_backward(self, strategy: Strategy) -> None:
        self.found.append(float(strategy.loss.detach()))
        self.plain.append(float(strategy.criterion().detach()))


def test_a_model_with_a_head_per_task_is_replayed_through_the_head_of_each_item() -> None:
    class Heads(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.heads = make_network()[:-1], nn.ModuleList(nn.Linear(32, 6) for _ in range(2))
            self.asked: list[int] = []

        def forward_single_task(self, x: Tensor, task: int) -> Tensor:
            return self.heads[task](self.trunk(x))

        def forward(self, x: Tensor, tasks: Tensor) -> Tensor:
            self.asked += sorted(set(tasks.tolist()))
            hidden = self.trunk(x)
            each = torch.stack([head(hidden) for head in self.heads], dim=1)
            return each[torch.arange(len(x)), tasks]

    torch.manual_seed(0)
    model = Heads()
    model.heads = nn.ModuleList(nn.Linear(make_width(model.trunk), 6) for _ in range(2))
    strategy = Strategy(model, [SleepPlugin(48)])
    for task in range(2):
        strategy.train(make_batches(task))
    model.asked.clear()
    strategy.train(make_batches(1)[:2])
    assert set(model.asked) == {0, 1}


def make_width(trunk: nn.Module) -> int:
    return trunk(make_points(1, seed=0)[0]).shape[1]


def test_a_schedule_or_an_epoch_decides() -> None:
    plugin = SleepPlugin(48, every="schedule", schedule=FixedRatio(0.1, every=10))
    Strategy(make_network(), [plugin]).train(make_batches(0)[:30])
    assert len(plugin.reports) == 3
    plugin = SleepPlugin(48, every="epoch")
    Strategy(make_network(), [plugin], epochs=2).train(make_batches(0)[:5])
    assert len(plugin.reports) == 2


def test_a_pickled_strategy_goes_on_bit_for_bit() -> None:
    def begin() -> Strategy:
        torch.manual_seed(0)
        strategy = Strategy(make_network(), [SleepPlugin(ReplayBuffer(24))])
        strategy.train(make_batches(0)[:8])
        return strategy

    whole, again = begin(), pickle.loads(pickle.dumps(begin()))
    for strategy in (whole, again):
        strategy.train(make_batches(1)[:8])
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, again.model.state_dict()[name]), name
    assert len(again.plugins[0].reports) == 2


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(SharpwaveError, match="a time to sleep among experience, epoch, schedule"):
        SleepPlugin(9, every="day")
    with pytest.raises(SharpwaveError, match="the strategy's criterion"):
        Strategy(make_network(), [SleepPlugin(9)], criterion=nn.MSELoss()).train(make_batches(0)[:1])
    objective = Objective.classification()
    plugin = SleepPlugin(9, objective=objective)
    strategy = Strategy(make_network(), [plugin], criterion=nn.CrossEntropyLoss(label_smoothing=0.1))
    strategy.train(make_batches(0)[:2])
    strategy.model = make_network()
    with pytest.raises(SharpwaveError, match="the same model in every experience"):
        strategy.train(make_batches(0)[:1])
