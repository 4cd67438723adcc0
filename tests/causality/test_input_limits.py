from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sharpwave.causality import NightSeries
from sharpwave.causality.input_limits import describe_inputs
from sharpwave.causality.series import find_step


def make_night(name: str, *, epoch: int, contents: tuple[str, ...] = ("maze",)) -> NightSeries:
    rng = np.random.default_rng(0)
    stage = np.repeat(rng.integers(0, 5, 1200 // epoch), epoch)
    depth = np.repeat(rng.normal(size=1200 // max(epoch, 4)), max(epoch, 4))
    onsets = np.linspace(10, 1100, 20)
    found = pd.DataFrame({"onset": onsets, "content": np.resize(contents, 20)})
    usable = np.ones(1200, bool)
    return NightSeries(name, np.arange(1200.0), stage, 5, depth, None, None, found, usable, candidates=onsets)


def test_what_lacks_nothing_says_nothing():
    assert describe_inputs([make_night("a", epoch=1)]) == []


def test_epochs_of_30_s_say_what_they_take_from_hazards_and_from_depth():
    stages, depth = describe_inputs([make_night("a", epoch=1), make_night("b", epoch=30)])
    assert stages.startswith("Stages come in epochs of 30 s")
    assert depth.startswith("Depth has one value every 30 s")


def test_nights_without_candidates_are_named_also_where_others_have_them():
    nights = [make_night("a", epoch=1), replace(make_night("b", epoch=1), candidates=None)]
    (said,) = describe_inputs(nights)
    assert "not known of b, so those of the other 1 nights were not used either" in said
    assert "candidates.tsv" in said


def test_two_contents_may_have_been_told_wrongly():
    (said,) = describe_inputs([make_night("a", epoch=1, contents=("maze", "box"))])
    assert "told wrongly" in said


def test_the_step_of_a_series_is_that_of_its_changes():
    assert find_step(np.repeat([1.0, 2.0, 4.0, 4.0, 3.0], 30)) == 30
    assert find_step(np.r_[np.nan, np.nan, np.repeat([1.0, 2.0, 4.0], 4)]) == 4
    assert find_step(np.zeros(10)) == 1
