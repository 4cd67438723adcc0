"""What a probe says of a night; and that sleep does not consolidate a shortcut: a cue that nearly always fits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from sharpwave.consolidation import NREM, FixedRatio, Probe, ReplayBuffer, Sleep, SleepReport, Wake
from sharpwave.consolidation.probe import Scores, compare_groups, judge


def make_cued(n_items: int, *, agreement: float, seed: int) -> dict[str, Tensor]:
    """A faint true sign of the class, a strong cue that agrees with it in a share of items, and the cue as group."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n_items,), generator=generator)
    cue = torch.where(torch.rand(n_items, generator=generator) < agreement, labels, 1 - labels)
    x = torch.randn(n_items, 8, generator=generator)
    x[:, :4] += 1.0 * (2 * labels - 1)[:, None]
    x[:, 4] += 4 * (2 * cue - 1)
    return {"x": x, "y": labels, "group": (cue == labels).long()}


def sleep_on_the_cue(policy: str, *, probe: Probe | None = None) -> tuple[float, SleepReport]:
    """Accuracy where cue and class disagree, after a night; and its report."""
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 2))
    generator = torch.Generator().manual_seed(0)
    sleep = Sleep(
        network,
        ReplayBuffer(120, policy=policy, generator=generator),
        torch.optim.SGD(network.parameters(), lr=0.2),
        wake=Wake("none"),
        nrem=NREM(distillation=0.0, batch_size=60),
        schedule=FixedRatio(1.0),
        probe=probe or Probe(tolerance=1.0),
        generator=generator,
    )
    stream = make_cued(4000, agreement=0.97, seed=1)
    for first in range(0, 4000, 40):
        sleep.learner.optimiser.zero_grad()
        sleep.wake({name: value[first : first + 40] for name, value in stream.items()}).backward()
        sleep.learner.optimiser.step()
    report = sleep.night(150)
    fair = make_cued(2000, agreement=0.0, seed=2)
    return (network(fair["x"]).argmax(dim=1) == fair["y"]).float().mean().item(), report


def test_a_group_balanced_buffer_does_not_consolidate_the_shortcut() -> None:
    plain, report = sleep_on_the_cue("reservoir")
    balanced, fair = sleep_on_the_cue("group-balanced")
    assert balanced > plain + 0.1
    for table in (report.groups, fair.groups):
        assert set(table["kind"]) == {"all", "y", "group"}
    against = fair.groups.query("kind == 'group' and value == 0").iloc[0]
    assert against["after"] > against["before"] + 0.1


def test_the_report_shows_the_group_that_sleep_hurts_and_the_probe_can_undo_it() -> None:
    held_out = make_cued(600, agreement=0.5, seed=5)
    _, report = sleep_on_the_cue("reservoir", probe=Probe(held_out, tolerance=1.0))
    groups = report.groups.query("kind == 'group'").set_index("value")
    assert groups.loc[0, "after"] < groups.loc[1, "after"] - 0.1
    held_out["y"][held_out["group"] == 0] = 1 - held_out["y"][held_out["group"] == 0]
    _, undone = sleep_on_the_cue("group-balanced", probe=Probe(held_out, tolerance=1.0, group_tolerance=0.05))
    assert not undone.committed
    assert "group 0 fell" in undone.reason


def make_scores(right: list[int], labels: list[int]) -> Scores:
    items = pd.DataFrame({"score": np.array(right, dtype=float), "y": labels})
    return Scores(float(items.groupby("y")["score"].mean().mean()), items, False)


def test_chance_on_a_few_items_undoes_no_night() -> None:
    labels = [0] * 25 + [1] * 25
    good = make_scores([1] * 50, labels)
    assert not judge(good, make_scores([0] * 2 + [1] * 48, labels), Probe())
    assert "fell from 1 to 0.7" in judge(good, make_scores([0] * 15 + [1] * 35, labels), Probe())
    assert judge(good, Scores(np.nan, good.items, False), Probe()) == "the score is not finite"
    many = make_scores([1] * 5000, labels * 100)
    assert judge(many, make_scores([0] * 200 + [1] * 4800, labels * 100), Probe())


def test_the_table_of_groups_and_the_score_are_means_over_classes() -> None:
    before, after = make_scores([1, 1, 1, 0], [0, 0, 0, 1]), make_scores([1, 0, 0, 1], [0, 0, 0, 1])
    assert before.score == 0.5
    table = compare_groups(before, after).set_index(["kind", "value"])
    assert table.loc[("all", 0)].tolist() == [4, 0.75, 0.5]
    assert table.loc[("y", 0), "after"] == 1 / 3
    assert table.loc[("y", 1), "before"] == 0
    assert compare_groups(Scores(0.5, pd.DataFrame(), True), after).empty
