from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.reports.formats import show, show_duration, show_interval


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
