from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.benchmarks.continual.blobs import make_blobs
from torch import Tensor

from sharpwave.benchmarks.continual.harness import Outcome, make_setting, run_stream
from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.demonstrations.networks import NarrowResNet18, make_model
from sharpwave.demonstrations.streams import Inputs, Task, split_classes


class Oracle(Learner):
    """Knows only the classes of the task it saw last, and those by heart."""

    n_buffer_bytes = 0

    def __init__(self, model: torch.nn.Module, setting: Setting) -> None:
        super().__init__(model, setting, lr=0.1)
        self.seen: list[tuple[int, int]] = []
        self.deployed = self._answer

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        self.seen.append((index, len(y)))
        self.n_gradient_samples += len(y)

    def end_task(self, task: Task, index: int) -> None:
        self.task, self.known = task, index

    def _answer(self, x: Tensor, index: int) -> Tensor:
        logits = torch.zeros(len(x), self.setting.n_classes)
        logits[:, self.task.classes[0]] = 1
        if index == self.known:
            rows = [torch.nonzero((self.task.x_test.float() / 255 == one).flatten(1).all(1))[0] for one in x]
            logits = torch.nn.functional.one_hot(self.task.y_test[torch.cat(rows)], self.setting.n_classes).float()
        return logits


def test_accuracy_and_forgetting_of_one_who_knows_the_last_task_alone(rng: np.random.Generator) -> None:
    stream = split_classes(make_blobs(rng), n_tasks=3, rng=rng)
    setting = make_setting(stream, batch=8, buffer_items=10, seed=0)
    outcome = run_stream(stream, Oracle, setting, model="mlp")
    assert outcome.just_learned.tolist() == [1, 1, 1]
    assert outcome.at_the_end.tolist() == [0, 0, 1]
    assert outcome.compute_accuracy() == pytest.approx(1 / 3)
    assert outcome.compute_forgetting() == 1
    assert outcome.at_the_end_task_known.tolist() == [0.5, 0.5, 1]
    assert outcome.compute_forgetting(task_known=True) == 0.5
    assert outcome.n_gradient_samples == 3 * setting.n_steps * 8


def test_every_task_is_seen_once_in_order_in_whole_batches(rng: np.random.Generator) -> None:
    stream = split_classes(make_blobs(rng), n_tasks=3, rng=rng, n_train=50)
    setting = make_setting(stream, batch=16, buffer_items=10, seed=0)
    kept = []

    def make(model: torch.nn.Module, setting: Setting) -> Oracle:
        kept.append(Oracle(model, setting))
        return kept[0]

    run_stream(stream, make, setting, model="mlp")
    assert setting.n_steps == 3
    assert kept[0].seen == [(index, 16) for index in range(3) for _ in range(3)]


def test_the_budget_is_that_of_images_in_bytes_with_label_and_logits(rng: np.random.Generator) -> None:
    stream = split_classes(make_blobs(rng), n_tasks=3, rng=rng)
    setting = make_setting(stream, batch=8, buffer_items=10, seed=0)
    assert setting.buffer_bytes == 10 * (16 + 8 + 8 + 6 * 4)


def test_one_task_has_no_forgetting() -> None:
    outcome = Outcome(*(np.array([0.5]) for _ in range(4)), 0.0, 0, 0, 0)
    assert np.isnan(outcome.compute_forgetting())


def test_networks_are_the_seed_s_and_leave_the_generator_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    first, again, other = (make_model("mlp", (1, 4, 4), 3, seed=seed) for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 64)])
def test_the_narrow_resnet_has_eighteen_layers_and_takes_any_image(shape: tuple[int, int, int]) -> None:
    model = NarrowResNet18(shape, 7, width=4)
    assert model(torch.rand(2, *shape)).shape == (2, 7)
    layers = [
        m for m in model.modules() if isinstance(m, torch.nn.Linear) or getattr(m, "kernel_size", 0) in ((3, 3), (7, 7))
    ]
    assert len([layer for layer in layers if hasattr(layer, "weight")]) == 18
