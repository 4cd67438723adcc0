from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.consolidation.planted import copy_weights, learn, make_sleeper, same_weights
from torch import Tensor

from sharpwave.consolidation import Phase, Recipe, Wake
from sharpwave.consolidation.learner import Learner


class Counting(Phase):
    """A phase with nothing but what it must have; it is also its own options."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def make_phase(self, learner: Learner, recipe: Recipe) -> Phase:
        return self

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        self.calls.append(f"prepare with {len(weights)}")

    def step(self, plan: Sequence[int], position: int) -> float:
        self.calls.append(f"step {position + 1} of {len(plan)}")
        return 0.5

    def finish(self) -> None:
        self.calls.append("finish")


def test_a_phase_of_ones_own() -> None:
    mine = Counting()
    sleep = make_sleeper(wake=Wake("er"), nrem=mine)
    learn(sleep, n_steps=20, n_tasks=1, sleeps=False)
    before = copy_weights(sleep.learner.model)
    report = sleep.night(2)
    assert mine.calls == ["prepare with 6", "step 1 of 2", "step 2 of 2", "finish"]
    assert report.losses.tolist() == [0.5, 0.5]
    assert report.committed
    assert same_weights(before, sleep.learner.model.state_dict())
    assert "logits" not in sleep.learner.buffer.entries
