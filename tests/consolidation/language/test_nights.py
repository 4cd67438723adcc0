"""Wake and nights of tiny language models: LLaMA, GPT-2 and BERT keep what they learned."""

from __future__ import annotations

import pytest
import torch
from tests.consolidation.language import tiny

from sharpwave.consolidation import Objective, Sleep
from sharpwave.consolidation.language import TokenMemory

MODELS = {"llama": tiny.make_llama, "gpt2": tiny.make_gpt2, "bert": tiny.make_bert}


def make_sleep(name: str, *, budget: float | None = 0.15, **options) -> Sleep:
    model = MODELS[name]()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    objective = Objective.for_model(model) if name == "bert" else tiny.make_causal_objective()
    memory = options.pop("memory", None) or TokenMemory("100 kB", generator=torch.Generator().manual_seed(0))
    return Sleep(model, memory, optimiser, objective=objective, budget=budget, **options)


def learn(sleep: Sleep, task: int, *, n_items: int = 256, nights: bool = True):
    texts, classes = tiny.make_items(task, n_items, seed=0)
    model = sleep.learner.model
    collate = tiny.collate_classes if hasattr(model, "classifier") else tiny.collate_causal
    for first in range(0, n_items, 16):
        sleep.learner.optimiser.zero_grad()
        batch = collate(texts[first : first + 16], classes[first : first + 16])
        sleep.wake(batch, task=f"task {task}").backward()
        sleep.learner.optimiser.step()
    return sleep.night() if nights else None


@pytest.mark.parametrize("name", MODELS)
def test_a_language_model_learns_and_sleeps(name: str) -> None:
    sleep = make_sleep(name, budget=None)
    for task in range(2):
        learn(sleep, task, n_items=64, nights=False)
        report = sleep.night(4)
    assert report.committed
    assert len(report.losses) == 4
    assert sorted(report.groups.query("kind == 'task'")["value"]) == ["task 0", "task 1"]
