"""Fine-tuning: nothing against forgetting."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner
from sharpwave.benchmarks.continual.streams import Inputs, Task


class Finetune(Learner):
    """Each batch once, then forgotten."""

    n_buffer_bytes = 0

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.update(cross_entropy(self.model(x), y), len(y))

    def end_task(self, task: Task, index: int) -> None:
        """Nothing is kept."""
