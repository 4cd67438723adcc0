from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.second_world import nights
from sharpwave.benchmarks.second_world.nights import CONTENTS, N2, N3, Plan, draw_night
from sharpwave.errors import SharpwaveError


def test_the_second_world_takes_nothing_from_the_first():
    tree = ast.parse(Path(nights.__file__).read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert not any("simulation" in str(module) or "planted" in str(module) for module in modules)


def test_a_night_is_its_seed_and_has_cycles_and_every_stage():
    plan = Plan(hours=2.0)
    (night, hidden), (again, _) = (draw_night(plan, rng=np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(night.stage, again.stage)
    np.testing.assert_array_equal(night.candidates, again.candidates)
    assert {0, N2, N3} <= set(night.stage.tolist())
    assert night.depth[night.stage == N3].mean() > night.depth[night.stage == 0].mean() + 2
    asleep = np.isin(night.stage, night.nrem)
    assert np.isin(night.stage[night.candidates.astype(int)], night.nrem).all()
    seen = np.abs(np.mean(np.exp(1j * (hidden.phase - night.infraslow))[asleep]))
    assert 0.2 < seen < 0.8, "the phase that a laboratory estimates is a poor one, but not none"


@pytest.mark.parametrize("cause", ["phase", "vigilance", "depth"])
def test_marks_follow_the_cause_that_is_asked_for_and_nothing_else(cause: str):
    streams = np.random.default_rng(1).spawn(3)
    found = {"phase": [], "vigilance": [], "depth": []}
    for rng in streams:
        night, hidden = draw_night(Plan(hours=2.0, ripples=30.0, cause=cause, strength=1.5), rng=rng)
        second = night.candidates.astype(int)
        carries = np.isin(night.candidates, night.reactivations["onset"])
        values = {"phase": np.cos(hidden.phase - 0.6), "vigilance": hidden.vigilance, "depth": hidden.wobble}
        for name, value in values.items():
            found[name].append(np.corrcoef(value[second], carries)[0, 1])
    means = {name: float(np.mean(values)) for name, values in found.items()}
    assert means[cause] > 0.35
    assert all(abs(value) < 0.15 for name, value in means.items() if name != cause)


def test_what_is_planted_acts():
    first, _, last = CONTENTS
    rng = np.random.default_rng(0)
    awake, moved = [], []
    for _ in range(3):
        night, _ = draw_night(Plan(hours=2.0, ripples=20.0, ratio={first: 6.0}, gain={last: 6.0}), rng=rng)
        changed = np.flatnonzero((night.stage[1:] == 0) & (night.stage[:-1] > 0))
        for name in (first, last):
            at = night.onsets[name].astype(int)
            soon = [np.any((changed > s) & (changed <= s + 30)) for s in at]
            (awake if name == first else moved).append(np.mean(soon))
        after = [
            night.depth[s + 4 : s + 12].mean() - night.depth[s - 12 : s - 4].mean()
            for s in night.onsets[last].astype(int)
            if 12 < s < 7000
        ]
        assert np.mean(after) > 1.5
    assert np.mean(awake) > np.mean(moved) + 0.15


def test_an_unknown_cause_is_refused():
    with pytest.raises(SharpwaveError, match="a cause among time, phase"):
        Plan(cause="moon")
