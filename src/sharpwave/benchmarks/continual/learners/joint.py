"""Joint training: all tasks kept, and learned together at the end with as many gradient samples: a ceiling."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.streams import Inputs, Task, join, take


class Joint(Learner):
    """Learns nothing before the last task is over, so that its forgetting is undefined."""

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.tasks: list[Task] = []

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        """Waits."""

    def end_task(self, task: Task, index: int) -> None:
        self.tasks.append(task)
        if index + 1 < self.setting.n_tasks:
            return
        x, y = join([each.x_train for each in self.tasks]), torch.cat([each.y_train for each in self.tasks])
        for _ in range(round(self.setting.n_tasks * self.setting.n_steps * (1 + self.setting.replay))):
            rows = torch.randint(len(y), (self.setting.batch,), generator=self.generator)
            self.update(cross_entropy(self.model(take(x, rows)), y[rows]), len(rows))

    @property
    def n_buffer_bytes(self) -> int:
        return sum(
            part.nbytes
            for task in self.tasks
            for part in (task.y_train, *([task.x_train] if isinstance(task.x_train, Tensor) else task.x_train.values()))
        )
