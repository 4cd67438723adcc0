"""Dark experience replay, DER++: stored samples, their labels and the logits of when they were stored.

Buzzega et al. 2020, NeurIPS (arXiv:2004.07211), eq. 6. The loss is that of `sharpwave.consolidation` awake.
"""

from __future__ import annotations

from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.learners.stored import DRAWS, count_draw, make_buffer
from sharpwave.benchmarks.continual.streams import Inputs, Task
from sharpwave.consolidation import Wake, compute_wake_loss


class DarkExperienceReplay(Learner):
    """Cross-entropy of new samples, plus alpha times how far logits moved, plus beta times replayed cross-entropy.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        alpha: Weight of the logits.
        beta: Weight of the replayed labels.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, alpha: float, beta: float) -> None:
        super().__init__(model, setting, lr=lr)
        self.wake = Wake("der++", n_replay=count_draw(setting), distillation=alpha, replay=beta)
        self.buffer = make_buffer(setting, self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        drawn = DRAWS * min(len(self.buffer), self.wake.n_replay or 0)
        loss, logits = compute_wake_loss(self.model, {"x": x, "y": y}, self.buffer, wake=self.wake)
        self.update(loss, len(y) + drawn)
        self.buffer.add({"x": x, "y": y, "logits": logits})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes
