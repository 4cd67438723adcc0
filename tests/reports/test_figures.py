from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import matplotlib.image as mpimg
import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight
from sharpwave.reports import plot_night


def test_picture_holds_the_stage_colours(night: DecodedNight, tmp_path: Path) -> None:
    picture = mpimg.imread(plot_night(night, tmp_path / "night.png", dpi=60))[..., :3]
    for colour in ("#B67416", "#2960AD", "#051738", "#931755"):
        code = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        assert (np.abs(picture - code).max(axis=2) < 0.01).sum() > 50, colour


@pytest.mark.parametrize("case", ["minimal", "hostile"])
def test_odd_nights_are_drawn(case: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = plot_night(request.getfixturevalue(case), tmp_path / "night.svg")
    assert "<script" not in path.read_text(encoding="utf-8")


def test_simulated_is_said_in_the_picture(simulated: DecodedNight, tmp_path: Path) -> None:
    assert "SIMULATED" in plot_night(simulated, tmp_path / "night.svg").read_text(encoding="utf-8")


def test_rows_with_nothing_to_show_are_left_out(night: DecodedNight, tmp_path: Path) -> None:
    bare = replace(night, expert=None, spectrogram=None, depth=pd.DataFrame())
    words = plot_night(bare, tmp_path / "night.svg").read_text(encoding="utf-8")
    assert "Probability of each stage" in words
    assert "Spectrogram" not in words
    assert "Expert" not in words
