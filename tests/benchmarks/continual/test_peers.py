"""Rules of the published peers against values worked out by hand."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.bounds import Finetune
from sharpwave.benchmarks.continual.learners.contract import Setting
from sharpwave.benchmarks.continual.learners.exemplars import (
    ClassMemory,
    ExtendedReplay,
    GreedyDumb,
    ICaRL,
    compute_constraint,
    herd,
    write_logits,
)
from sharpwave.benchmarks.continual.learners.replay import ComplementaryReplay, MetricReplay, compute_metric_loss
from sharpwave.demonstrations.streams import Task


class Flat(nn.Module):
    """Two inputs, passed on as they are to a linear head of zeros."""

    def __init__(self, n_classes: int = 4) -> None:
        super().__init__()
        self.hidden = nn.Linear(2, 2, bias=False)
        nn.init.eye_(self.hidden.weight)
        self.head = nn.Linear(2, n_classes)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.hidden(x))


def make_setting(n_items: int, *, n_classes: int = 4, logits: bool = False) -> Setting:
    item = 2 * 4 + 8 + (4 * n_classes if logits else 0)
    return Setting(2, n_classes, 4, 2, n_items * item, 0, images=False)


def test_herding_takes_what_keeps_the_running_mean_nearest() -> None:
    states = torch.tensor([[0.0], [1.0], [2.0], [9.0]])  # mean 3
    # 2 is nearest to 3; then (2 + x)/2 nearest to 3: x = 1 gives 1.5, 9 gives 5.5, so 1; then (3 + x)/3: 9 gives 4
    assert herd(states, 3).tolist() == [2, 1, 3]
    assert herd(states, 9).tolist() == [2, 1, 3, 0]


def test_the_metric_loss_of_three_new_and_two_stored_samples() -> None:
    east, north, west = [1.0, 0.0], [0.0, 2.0], [-3.0, 0.0]
    states = torch.tensor([east, east, north, west, west])
    labels = torch.tensor([0, 0, 1, 0, 2])
    # Of class 0 the first two (new) have each other (cosine 1) and the stored west (cosine −1) as positives, and north
    # (cosine 0) as their only negative: class 2 is not among the new samples. North has no positive and counts nothing.
    near, far = (math.log(math.exp(c) + 1) - c for c in (1.0, -1.0))
    assert float(compute_metric_loss(states, labels, n_new=3, temperature=1.0)) == pytest.approx((near + far) / 2)
    softer = compute_metric_loss(states, labels, n_new=3, temperature=2.0)
    halves = [math.log(math.exp(c) + 1) - c for c in (0.5, -0.5)]
    assert float(softer) == pytest.approx(sum(halves) / 2)


def test_stored_classes_are_no_negatives_and_one_class_alone_gives_finite_gradients() -> None:
    states = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]], requires_grad=True)
    loss = compute_metric_loss(states, torch.tensor([0, 0, 1]), n_new=2, temperature=0.1)
    assert float(loss.detach()) == pytest.approx(0.0, abs=1e-6)
    loss.backward()
    assert torch.isfinite(states.grad).all()


def test_er_aml_learns_its_head_from_stored_samples_alone() -> None:
    learner = MetricReplay(Flat(), make_setting(4), lr=0.5)
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    learner.observe(x, y, 0)
    assert not learner.model.head.weight.any()
    learner.observe(x, y, 0)
    assert learner.model.head.weight.any()
    assert learner.n_gradient_samples == 2 + 2 + 2 * 2


def test_the_greedy_sampler_makes_room_for_new_classes_and_refuses_full_ones() -> None:
    learner = GreedyDumb(Flat(), make_setting(6), lr=0.1)
    show(learner, [0, 0, 0, 0, 0, 0, 0])
    assert count(learner) == {0: 6}
    show(learner, [1])  # the largest class gives up one
    assert count(learner) == {0: 5, 1: 1}
    show(learner, [1, 1, 1, 1])  # until each has 6/2
    assert count(learner) == {0: 3, 1: 3}
    show(learner, [2, 0, 2, 2])
    assert count(learner)[2] == 2
    assert sum(count(learner).values()) == 6
    stored = learner.memory.read(range(6))
    assert sorted(stored["y"].tolist()) == sorted(label for label, n in count(learner).items() for _ in range(n))
    assert torch.equal(stored["x"][:, 0].long(), stored["y"])


def test_gdumb_learns_from_the_start_and_from_its_memory_alone() -> None:
    learner = GreedyDumb(Flat(), make_setting(2), lr=1.0)
    show(learner, [1, 1])
    with torch.no_grad():
        learner.model.head.weight.fill_(7.0)
    task = Task(torch.zeros(2, 2), torch.zeros(2, dtype=torch.int64), torch.zeros(1, 2), torch.zeros(1), (0, 1))
    learner.end_task(task, 0)
    # 2 steps · 3.3 on two items of class 1 at (1, 0), from zeros: column 1 of the weights alone was ever raised
    assert learner.n_gradient_samples == round(2 * 3.3) * 2
    assert learner.model.head.weight[1, 0] > 0.5
    assert learner.model.head.weight[:, 1].abs().max() == 0


def test_icarl_teaches_old_classes_what_the_network_said_before() -> None:
    learner = ICaRL(Flat(), make_setting(4), lr=0.5)
    learner.means, learner.present = {0: torch.tensor([1.0, 0.0])}, {1}
    learner.before = Flat()
    with torch.no_grad():
        learner.before.head.bias[0] = math.log(3)  # sigmoid .75
    found = learner.compute_loss(torch.zeros(1, 2), torch.tensor([1]))
    # all logits are 0, so that each of the two classes costs ln 2 whatever its target
    assert float(found.detach()) == pytest.approx(2 * math.log(2))
    found.backward()
    # gradient of the bias: sigmoid − target = .5 − .75 for the old class, .5 − 1 for the new one, 0 for those to come
    assert learner.model.head.bias.grad.tolist() == pytest.approx([-0.25, -0.5, 0.0, 0.0])


def test_icarl_answers_by_the_nearest_mean_of_its_exemplars() -> None:
    learner = ICaRL(Flat(), make_setting(4), lr=0.0)
    x, y = torch.tensor([[3.0, 0.0], [4.0, 3.0], [0.0, 2.0], [0.0, 5.0]]), torch.tensor([0, 0, 1, 1])
    learner.observe(x, y, 0)
    learner.end_task(Task(x, y, x, y, (0, 1)), 0)
    mean = torch.nn.functional.normalize(torch.tensor([0.9, 0.3]), dim=0)
    torch.testing.assert_close(learner.means[0], mean)
    answer = learner.predict(torch.tensor([[0.0, 9.0]]), 0)
    assert answer.argmax() == 1
    assert float(answer[0, 0]) == pytest.approx(-float((torch.tensor([0.0, 1.0]) - mean).square().sum()))
    assert answer[0, 2] < -1e5


def test_icarl_keeps_the_first_exemplars_when_classes_come() -> None:
    learner = ICaRL(Flat(), make_setting(4), lr=0.0)
    for index, labels in enumerate(((0, 1), (2, 3))):
        angle = torch.arange(6) / 10
        x = torch.stack([angle.cos(), angle.sin()], dim=1)
        y = torch.tensor([labels[0]] * 3 + [labels[1]] * 3)
        learner.observe(x, y, index)
        learner.end_task(Task(x, y, x, y, labels), index)
        kept = {label: len(slots) for label, slots in learner.memory.slots.items()}
        assert kept == ({0: 2, 1: 2} if index == 0 else {0: 1, 1: 1, 2: 1, 3: 1})
    # the middle one of .0, .1, .2 is nearest to their mean, and was first
    first = learner.memory.read(learner.memory.slots[0])["x"]
    torch.testing.assert_close(first, torch.tensor([[math.cos(0.1), math.sin(0.1)]]))


def test_logits_written_into_a_memory_stay_below_those_of_the_item_s_class() -> None:
    stored = torch.tensor([[4.0, 1.0, 9.0, 9.0], [4.0, 1.0, 9.0, 9.0]])
    now = torch.tensor([[0.0, 0.0, 2.0, 3.0], [0.0, 0.0, 8.0, 2.0]])
    columns = torch.tensor([False, False, True, True])
    found = write_logits(stored, now, torch.tensor([0, 0]), columns=columns)
    # first: 3 < 4, taken as it is; second: 8 > 4, so all are scaled by .85 · 4/8
    assert found[0].tolist() == pytest.approx([4, 1, 2, 3])
    assert found[1].tolist() == pytest.approx([4, 1, 8 * 0.425, 2 * 0.425])
    assert stored[0, 2] == 9


def test_constraints_count_only_who_comes_within_the_margin() -> None:
    own, other = torch.tensor([1.0, 1.0, 0.0]), torch.tensor([0.0, 0.9, 0.5])
    assert float(compute_constraint(own, other)) == pytest.approx((0.2 + 0.8) / 2)
    assert float(compute_constraint(own, own - 1)) == 0


def test_the_loss_of_x_der_in_its_first_step() -> None:
    learner = ExtendedReplay(Flat(), make_setting(4, logits=True), lr=1.0, alpha=1.0, beta=1.0)
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    learner.observe(x, y, 0)
    # cross-entropy among classes 0 and 1 alone, whose gradients on the biases cancel; hinge of classes to come, η = .1:
    # the largest logit of the task (equals share it) against the largest to come, all within the margin
    weight = learner.model.head.weight.detach()
    assert weight[0, 0] - weight[1, 0] == pytest.approx(0.5)
    bias = learner.model.head.bias.detach()
    assert float(bias[:2].sum()) == pytest.approx(0.1)
    assert float(bias[2:].sum()) == pytest.approx(-0.1)


def test_x_der_stores_logits_at_the_end_of_a_task_and_writes_later_ones() -> None:
    learner = ExtendedReplay(Flat(), make_setting(4, logits=True), lr=0.0, alpha=1.0, beta=1.0)
    x, y = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 1])
    learner.observe(x, y, 0)
    with torch.no_grad():
        learner.model.head.bias.copy_(torch.tensor([4.0, 3.0, 0.0, 0.0]))
    learner.end_task(Task(x, y, x, y, (0, 1)), 0)
    assert learner.memory.values["logits"][:2].tolist() == [[4, 3, 0, 0]] * 2
    with torch.no_grad():
        learner.model.head.bias.copy_(torch.tensor([0.0, 0.0, 8.0, 1.0]))
    learner.observe(x, torch.tensor([2, 3]), 1)
    # of class 0: 8 tops 4, so .85 · 4/8; of class 1: .85 · 3/8; columns of the past stay
    written = learner.memory.values["logits"][[learner.memory.slots[label][0] for label in (0, 1)]]
    torch.testing.assert_close(written, torch.tensor([[4, 3, 3.4, 0.425], [4, 3, 2.55, 0.31875]]))


def test_each_copy_of_cls_er_counts_its_own_moves() -> None:
    learner = ComplementaryReplay(Flat(), make_setting(4), lr=0.1, strength=0.1, horizon=1000.0)
    with torch.no_grad():
        learner.model.head.bias.fill_(1.0)
    follow = partial(learner._follow, rate=1e-6)
    follow(learner.plastic)
    follow(learner.plastic)
    # first move by 1/2, second by 1/3: 1/2 + 1/2 · 1/3 = 2/3
    assert learner.plastic.head.bias.tolist() == pytest.approx([2 / 3] * 4)
    follow(learner.stable)
    # the other's first move is by 1/2 again; one counter for both would give 1/4
    assert learner.stable.head.bias.tolist() == pytest.approx([1 / 2] * 4)


def test_the_step_size_falls_over_the_last_share_of_a_task() -> None:
    learner = Finetune(Flat(), make_setting(4), lr=0.2, anneal=0.4)
    rates = []
    for progress in (0.0, 0.6, 0.8, 0.9, 0.0):
        learner.progress = progress
        learner.observe(torch.eye(2), torch.tensor([0, 1]), 0)
        rates.append(learner.optimiser.param_groups[0]["lr"])
    assert rates == pytest.approx([0.2, 0.2, 0.1, 0.2 * (1 + math.cos(math.pi * 0.75)) / 2, 0.2])


def test_images_come_back_from_their_bytes() -> None:
    setting = Setting(1, 2, 2, 1, 3 * (16 + 8), 0)
    memory = ClassMemory(setting)
    x = torch.randint(0, 256, (2, 1, 4, 4)) / 255
    memory.open(x)
    memory.put(x, torch.tensor([1, 0]), [2, 0])
    assert (memory.capacity, memory.n_bytes, memory.find_free()) == (3, 72, [1])
    torch.testing.assert_close(memory.read([2, 0])["x"], x)


def show(learner: GreedyDumb, labels: list[int]) -> None:
    y = torch.tensor(labels)
    x = torch.stack([y.float(), torch.zeros(len(y))], dim=1)
    learner.observe(x, y, 0)


def count(learner: GreedyDumb) -> dict[int, int]:
    return {label: len(slots) for label, slots in learner.memory.slots.items()}
