"""The judge of paths: what spans are called, what it learns from them, and where its threshold comes to lie."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch

from sharpwave.brainmu.reactivation.reactivation_judge import KINDS as NAMES
from sharpwave.brainmu.reactivation.reactivation_judge import judge_paths
from sharpwave.brainmu.reactivation.reactivation_paths import MEASURES
from sharpwave.recipes.path_recipe import (
    JudgedNight,
    choose_precision,
    find_moving,
    name_spans,
    name_targets,
    train_path_judge,
)

KINDS = ("replay", "stationary", "jumping", "ripple")


def draw_night(rng: np.random.Generator, *, kinds: tuple[str, ...] = KINDS, n: int = 400) -> JudgedNight:
    """Spans whose first three measures say what they are, with noise; each its own event."""
    kind = np.resize(np.array(kinds, dtype=object), n)
    measures = rng.standard_normal((n, len(MEASURES)))
    for index, name in enumerate(KINDS[:3]):
        measures[:, index] += 4.0 * (kind == name)
    spans = pd.DataFrame({"onset": np.arange(n, dtype=float), "duration": 0.1, "kind": kind, "iou": 1.0})
    return JudgedNight(spans, measures, spans.loc[spans["kind"] == "replay", ["onset", "duration"]], float(n))


def test_spans_are_called_what_they_overlap_most() -> None:
    truth = pd.DataFrame({"onset": [1.0, 1.2], "duration": [0.1, 0.1], "kind": ["replay", "shuffled"]})
    spans = pd.DataFrame({"onset": [1.0, 1.0, 1.18, 5.0], "duration": [0.1, 0.04, 0.1, 0.1]})
    named = name_spans(spans, truth)
    assert named["kind"].tolist() == ["replay", "replay", "shuffled", ""]
    np.testing.assert_allclose(named["iou"], [1, 0.4, 2 / 3, 0])
    assert [NAMES[index] for index in name_targets(named)] == ["replay", "part", "foreign", "empty"]
    assert name_spans(spans, truth.iloc[:0])["kind"].tolist() == [""] * 4


def test_what_can_be_told_is_learnt(rng: np.random.Generator) -> None:
    judge = train_path_judge(
        [draw_night(rng, n=1600), draw_night(rng)], steps=150, generator=torch.Generator().manual_seed(0)
    )
    night = draw_night(rng)
    judged = judge_paths(judge, night.measures)
    np.testing.assert_allclose(judged.paths.sum(axis=1), 1)
    path = np.array(("replay", "stays", "jumps", "none"))[judged.paths.argmax(axis=1)]
    wanted = np.array(NAMES)[name_targets(night.spans)]
    assert (path == wanted).mean() > 0.85
    np.testing.assert_allclose(judge.shares[[NAMES.index(name) for name in set(wanted)]], 0.25, atol=0.01)
    found = find_moving(judge, night, precision=0.85)
    assert abs(len(found) - len(night.replays)) < 10


def test_the_threshold_keeps_to_the_worst_assumption(rng: np.random.Generator) -> None:
    judge = train_path_judge([draw_night(rng, n=2000)], steps=100, generator=torch.Generator().manual_seed(0))
    easy, hard = draw_night(rng), draw_night(rng)
    hard.measures[:, 0] += 1.5 * (hard.spans["kind"] != "replay")
    alone = choose_precision(judge, [[easy]])
    both = choose_precision(judge, [[easy], [hard]])
    assert both > alone
    empty = draw_night(rng, kinds=("stationary", "ripple"))
    empty.measures[:, 0] += 2.0
    assert choose_precision(judge, [[easy], [empty]]) > alone
