"""What the page on sleep says runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from tests.consolidation.planted import make_network, make_points, measure_accuracy

from sharpwave.consolidation import Sleep, recipe

PAGE = (Path(__file__).parents[2] / "docs" / "let-your-model-sleep.md").read_text(encoding="utf-8")


def test_five_lines_keep_the_old_tasks(capsys) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert blocks[0].count("  # ") == 5
    model = make_network()
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    points, labels = make_points(100, seed=1)
    tasks = []
    for task in range(3):
        mine = torch.nonzero(labels // 2 == task)[:, 0].repeat(4)
        mine = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(task))]
        tasks.append([(points[part], labels[part]) for part in mine.split(16)])
    space = {"model": model, "optimiser": optimiser, "tasks": tasks}
    exec(compile(blocks[0], "let-your-model-sleep.md", "exec"), space)
    assert measure_accuracy(model) > 0.85
    assert capsys.readouterr().out.count("NREM and 0 REM steps in") == 3
    exec(compile(blocks[1], "let-your-model-sleep.md", "exec"), space)
    assert isinstance(space["sleep"], Sleep)
    exec(compile(blocks[2], "let-your-model-sleep.md", "exec"), space)
    assert (space["sleep"].recipe.rem.share, space["other"].recipe.rem) == (0.5, None)
    exec(compile(blocks[3], "let-your-model-sleep.md", "exec"), space)
    before = model[0].weight.detach().clone()
    space["sleep"].night(2)
    torch.testing.assert_close(model[0].weight.detach(), before * 0.999**2)


def test_a_budget_of_the_page_keeps_the_old_tasks_and_is_kept(capsys) -> None:
    block = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)[4]
    points, labels = make_points(100, seed=1)
    tasks = []
    for task in range(3):
        mine = torch.nonzero(labels // 2 == task)[:, 0].repeat(6)
        mine = mine[torch.randperm(len(mine), generator=torch.Generator().manual_seed(task))]
        tasks.append([(points[part], labels[part]) for part in mine.split(16)])
    model = make_network()
    space = {"model": model, "optimiser": torch.optim.SGD(model.parameters(), lr=0.1), "tasks": tasks}
    exec(compile("from sharpwave.consolidation import ReplayBuffer, Sleep\n" + block, "page", "exec"), space)
    budget = space["sleep"].budget
    assert measure_accuracy(model) > 0.75
    assert budget.replayed + budget.slept < 1.06 * budget.earned
    assert capsys.readouterr().out.count("of its passes") == 3


@pytest.mark.parametrize("reading", list(recipe.READINGS))
def test_the_page_names_both_readings(reading: str) -> None:
    assert f'reading="{reading}"' in PAGE


def test_the_defaults_are_those_of_the_page() -> None:
    sleep = Sleep(make_network(), None)
    options = vars(sleep.recipe)
    for name in ("rem", "homeostasis", "protection", "steer"):
        assert f"| `{name}=None` |" in PAGE
        assert options[name] is None
    assert options["wake"].method == "der++"
    assert sleep.schedule.plan(200) == 20
