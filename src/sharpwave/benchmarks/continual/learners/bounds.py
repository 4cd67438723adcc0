"""Bounds: fine-tuning below, joint training above, and progressive networks, which grow and know the task."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.demonstrations.streams import Inputs, Task, join, take


class Finetune(Learner):
    """Each batch once, then forgotten."""

    n_buffer_bytes = 0

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.update(cross_entropy(self.model(x), y), len(y))

    def end_task(self, task: Task, index: int) -> None:
        """Nothing is kept."""


class Joint(Learner):
    """Learns nothing before the last task is over, so that its forgetting is undefined."""

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.tasks: list[Task] = []

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        """Waits."""

    def end_task(self, task: Task, index: int) -> None:
        self.tasks.append(task)
        if index + 1 < self.setting.n_tasks:
            return
        x, y = join([each.x_train for each in self.tasks]), torch.cat([each.y_train for each in self.tasks])
        n_steps = round(self.setting.n_tasks * self.setting.n_steps * (1 + self.setting.replay))
        for number in range(n_steps):
            self.progress = number / n_steps
            rows = torch.randint(len(y), (self.setting.batch,), generator=self.generator)
            self.update(cross_entropy(self.model(take(x, rows)), y[rows]), len(rows))

    @property
    def n_buffer_bytes(self) -> int:
        return sum(
            part.nbytes
            for task in self.tasks
            for part in (task.y_train, *([task.x_train] if isinstance(task.x_train, Tensor) else task.x_train.values()))
        )


class Progressive(Learner):
    """Progressive networks: a new column per task beside frozen ones (Rusu et al. 2016, arXiv:1606.04671).

    Columns are joined at the head: each task's head reads the hidden layer of its own column and of all before it. The
    network grows with every task and has to know which task it is in, so it has no equal number of parameters.

    Args:
        model: A network with `hidden` and a linear `head`; copied as it is at the start for every column.
        setting: Setting that is equal for all learners.
        lr: Step size.
        anneal: As for `Learner`.
    """

    n_buffer_bytes = 0
    knows_task = True

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.fresh = copy.deepcopy(model.get_submodule("hidden"))
        self.columns, self.heads = nn.ModuleList(), nn.ModuleList()
        self.deployed = self._answer
        self._grow()

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.update(cross_entropy(self._answer(x, index), y), len(y))

    def end_task(self, task: Task, index: int) -> None:
        self.columns[index].requires_grad_(False).eval()
        self.heads[index].requires_grad_(False)
        if index + 1 < self.setting.n_tasks:
            self._grow()

    def _grow(self) -> None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.setting.seed + len(self.heads))
            self.columns.append(copy.deepcopy(self.fresh))
            width = self.model.get_submodule("head").in_features
            self.heads.append(nn.Linear(len(self.columns) * int(width), self.setting.n_classes))  # type: ignore[arg-type]
        trained = [*self.columns[-1].parameters(), *self.heads[-1].parameters()]
        self.optimiser = torch.optim.SGD(trained, lr=self.lr)

    def _answer(self, x: Inputs, index: int) -> Tensor:
        hidden = [column(x) for column in self.columns[: index + 1]]
        return self.heads[index](torch.cat(hidden, dim=1))
