"""Runs a learner through a stream and says what it still knows at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.contract import REPLAY, Learner, Setting
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import Stream, Task, take

EVALUATION_BATCH = 1000
LOGIT_BYTES = 4
LABEL_BYTES = 8
SCALE_BYTES = 8


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        just_learned: Accuracy on each task right after it.
        at_the_end: Accuracy on each task after the last.
        just_learned_task_known: The same where the task is known, and the learner chooses among its classes.
        at_the_end_task_known: The same.
        seconds: Processor time of learning alone.
        n_gradient_samples: Samples of which a gradient was taken.
        n_buffer_bytes: Bytes of stored samples, at the end.
        n_parameters: Number of parameters of every network that is kept.
    """

    just_learned: Float[np.ndarray, " task"]
    at_the_end: Float[np.ndarray, " task"]
    just_learned_task_known: Float[np.ndarray, " task"]
    at_the_end_task_known: Float[np.ndarray, " task"]
    seconds: float
    n_gradient_samples: int
    n_buffer_bytes: int
    n_parameters: int

    def compute_accuracy(self, *, task_known: bool = False) -> float:
        """Mean over tasks at the end."""
        return float((self.at_the_end_task_known if task_known else self.at_the_end).mean())

    def compute_forgetting(self, *, task_known: bool = False) -> float:
        """Mean over all tasks but the last of what was lost since each was learned (Chaudhry et al. 2018, eq. 3)."""
        then, now = (
            (self.just_learned_task_known, self.at_the_end_task_known)
            if task_known
            else (self.just_learned, self.at_the_end)
        )
        return float((then - now)[:-1].mean()) if then.size > 1 else math.nan


def make_setting(stream: Stream, *, batch: int, buffer_items: int, seed: int, replay: float = REPLAY) -> Setting:
    """What is equal for all learners on a stream.

    Args:
        stream: Stream that will be learned.
        batch: New samples per step.
        buffer_items: Items with label and logits, images in one byte a channel, whose bytes make the budget.
        seed: Seed of everything that a learner draws.
        replay: Replayed samples per new sample, sleep included.
    """
    first = stream.tasks[0]
    parts = [first.x_train] if isinstance(first.x_train, Tensor) else list(first.x_train.values())
    item = sum(part[:1].nbytes for part in parts) + SCALE_BYTES + LABEL_BYTES + LOGIT_BYTES * stream.n_classes
    n_steps = max(1, min(len(task.y_train) // batch for task in stream.tasks))
    images = isinstance(first.x_train, Tensor)
    return Setting(len(stream.tasks), stream.n_classes, batch, n_steps, buffer_items * item, seed, replay, images)


def run_stream(
    stream: Stream,
    make_learner: Callable[[nn.Module, Setting], Learner],
    setting: Setting,
    *,
    model: str | Callable[[], nn.Module],
) -> Outcome:
    """Learn every task of a stream once, in order, in one pass.

    Args:
        stream: Tasks.
        make_learner: From the network and the setting.
        setting: Batch, buffer and seed; what is left of a task that fills no batch is left out.
        model: Key of `MODELS`, or what makes a network (for streams of tokens).
    """
    seed, batch = setting.seed, setting.batch
    network = make_model(model, stream.shape, stream.n_classes, seed=seed) if isinstance(model, str) else model()
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = make_learner(network, setting)
        then, seconds = [], 0.0
        for index, task in enumerate(stream.tasks):
            begun = time.process_time()
            rows = torch.randperm(len(task.y_train), generator=order)
            for chosen in rows.split(batch):
                if len(chosen) == batch or len(rows) < batch:
                    learner.observe(take(task.x_train, chosen), task.y_train[chosen], index)
            learner.end_task(task, index)
            seconds += time.process_time() - begun
            then.append(score_task(learner, task, index))
        now = [score_task(learner, task, index) for index, task in enumerate(stream.tasks)]
    sizes = {id(p): p.numel() for network in learner.networks for p in network.parameters()}
    learned, last = np.array(then), np.array(now)
    return Outcome(
        learned[:, 0],
        last[:, 0],
        learned[:, 1],
        last[:, 1],
        seconds,
        learner.n_gradient_samples,
        learner.n_buffer_bytes,
        sum(sizes.values()),
    )


def score_task(learner: Learner, task: Task, index: int) -> tuple[float, float]:
    """Accuracy on the test inputs of a task: among all classes, and among those of the task.

    The first is NaN for a learner that has to know the task.
    """
    right = right_in_task = 0
    others = torch.ones(learner.setting.n_classes, dtype=torch.bool)
    others[list(task.classes)] = False
    for start in range(0, len(task.y_test), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        logits, labels = learner.predict(take(task.x_test, rows), index), task.y_test[rows]
        right += int((logits.argmax(dim=1) == labels).sum())
        right_in_task += int((logits.masked_fill(others, -torch.inf).argmax(dim=1) == labels).sum())
    n_inputs = len(task.y_test)
    return (torch.nan if learner.knows_task else right / n_inputs), right_in_task / n_inputs
