from __future__ import annotations

import pytest

from sharpwave.night.planted import compare_planted_nights, compute_planted_depth
from sharpwave.simulation import Effects


def read_interval(words: str) -> tuple[float, float]:
    low, high = words.replace("−", "-").partition("(")[2].rstrip(")").split(" to ")
    return float(low), float(high)


def test_a_planted_effect_is_recovered_by_its_sign_and_nothing_is_found_without_it():
    table = compare_planted_nights(n_nights=4, hours=3.0, effects=Effects.planted(hazard_ratio=3.0, depth=3.0))
    depth = table[table["what"] == "depth, dB"].set_index("content")
    assert read_interval(depth.loc["aversive", "with_effect"])[1] < 0
    assert read_interval(depth.loc["rewarding", "with_effect"])[0] > 0
    for words in depth["without_effect"]:
        low, high = read_interval(words)
        assert low - 0.1 < 0 < high + 0.1
    chance = table[table["what"].str.startswith("chance")].set_index("content")
    assert read_interval(chance.loc["aversive", "with_effect"])[0] > 1
    assert chance.loc["rewarding", "planted"] == "0.33"


def test_the_planted_depth_is_the_mean_of_a_step_that_fades():
    assert compute_planted_depth(Effects.planted(depth=2.0), "rewarding") == pytest.approx(1.11, abs=0.01)
    assert compute_planted_depth(Effects(), "rewarding") == 0.0
