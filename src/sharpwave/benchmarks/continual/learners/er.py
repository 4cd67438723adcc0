"""Experience replay: stored samples beside the new ones (Chaudhry et al. 2019, arXiv:1902.10486); and ER-ACE.

In ER-ACE the new samples compete among their own classes alone, so that they do not push the old ones away (Caccia et
al. 2022, arXiv:2104.05025).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.learners.stored import DRAWS, draw_replay, make_buffer
from sharpwave.benchmarks.continual.streams import Inputs, Task
from sharpwave.consolidation.wake import mask_unseen


class ExperienceReplay(Learner):
    """Cross-entropy of new and of replayed samples.

    Args:
        model: The network.
        setting: What is equal for all.
        lr: Step size.
        weight: Of the replayed samples.
        asymmetric: ER-ACE.
    """

    def __init__(
        self, model: nn.Module, setting: Setting, *, lr: float, weight: float = 1.0, asymmetric: bool = False
    ) -> None:
        super().__init__(model, setting, lr=lr)
        self.weight, self.asymmetric = weight, asymmetric
        self.buffer = make_buffer(setting, self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        logits = self.model(x)
        loss = cross_entropy(mask_unseen(logits, y) if self.asymmetric and len(self.buffer) else logits, y)
        n_samples = len(y)
        for old in draw_replay(self.buffer, self.setting):
            loss = loss + self.weight / DRAWS * cross_entropy(self.model(old["x"]), old["y"])
            n_samples += len(old["y"])
        self.update(loss, n_samples)
        self.buffer.add({"x": x, "y": y})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes
