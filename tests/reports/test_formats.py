from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.reports.formats import STAGE_COLOURS, order_stages, show, show_duration, show_interval


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0"),
        (-3.25, "−3.25"),
        (0.0461, "0.046"),
        (0.5, "0.50"),
        (12345.6, "12346"),
        (np.float32(0.25), "0.25"),
        (np.int64(7), "7"),
        (True, "yes"),
        (None, "–"),
        (pd.NA, "–"),
        (pd.NaT, "–"),
        (float("inf"), "–"),
        ("", "–"),
        ("N2, N3", "N2, N3"),
    ],
)
def test_values_in_few_digits(value: object, words: str) -> None:
    assert show(value) == words


def test_ends_of_an_interval_have_the_same_decimals() -> None:
    assert show_interval(391.0, 411.5) == "391.0 to 411.5"
    assert show_interval(0.9, 1.0) == "0.90 to 1.00"
    assert show_interval(np.nan, 1.0) == "–"


def test_durations() -> None:
    assert show_duration(59.6 * 60) == "1 h 0 min"
    assert show_duration(50 * 3600) == "2 d 2 h"


def _luminance(code: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_every_stage_has_a_colour_with_contrast() -> None:
    for names in STAGE_SETS.values():
        for name in names:
            assert 1.05 / (_luminance(STAGE_COLOURS[name]) + 0.05) >= 3, name


def test_colours_within_a_set_differ() -> None:
    for names in STAGE_SETS.values():
        assert len({STAGE_COLOURS[name] for name in names}) == len(names)


def test_agreed_palette() -> None:
    chosen = {name: STAGE_COLOURS[name] for name in ("W", "N1", "N2", "N3", "R")}
    assert chosen == {"W": "#B67416", "N1": "#389BD0", "N2": "#2960AD", "N3": "#051738", "R": "#931755"}


def test_wake_is_on_top_and_deep_sleep_below() -> None:
    assert order_stages(STAGE_SETS[4]) == ["W", "R", "LIGHT", "DEEP"]
    assert order_stages(STAGE_SETS[2]) == ["W", "S"]
