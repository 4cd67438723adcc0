"""Rows refuse what is no estimate, and are written with five decimals."""

from __future__ import annotations

import json
import math
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpwave.benchmarks import BENCHMARKS
from sharpwave.benchmarks.rows import Row, estimate_row, range_row, resampled_row
from sharpwave.errors import SharpwaveError

PLACE = ("data", "setting", "method", "metric")


def test_the_keys_of_the_file_and_their_order() -> None:
    row = Row(*PLACE, 1 / 3, n=4)
    assert json.dumps(row.to_dict()) == (
        '{"data": "data", "setting": "setting", "method": "method", "metric": "metric", "value": 0.33333, '
        '"low": null, "high": null, "n": 4}'
    )
    assert Row(*PLACE, 3).to_dict()["value"] == 3
    assert Row(*PLACE, 3, values=(1 / 3, math.nan)).to_dict()["values"] == [0.33333, None]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"method": ""}, "names of data, setting, method and metric"),
        ({"data": 3}, "names of data, setting, method and metric"),
        ({"value": None}, "numbers for value, low and high"),
        ({"value": "0.5"}, "numbers for value, low and high"),
        ({"low": 0.6, "high": 0.4}, "low at most high"),
        ({"n": -1}, "a count n of 0 or more"),
        ({"n": 2.5}, "a count n of 0 or more"),
    ],
)
def test_what_is_no_estimate_is_refused(changes: dict[str, Any], words: str) -> None:
    names = dict(zip(PLACE, PLACE, strict=True))
    with pytest.raises(SharpwaveError, match=words):
        Row(**{**names, "value": 0.5, **changes})


def test_a_row_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        Row(*PLACE, 0.5).value = 1.0  # type: ignore[misc]


def test_a_row_still_answers_like_a_dictionary() -> None:
    with pytest.warns(DeprecationWarning, match=r"row.value"):
        assert Row(*PLACE, 0.5)["value"] == 0.5


@pytest.mark.parametrize("name", BENCHMARKS)
def test_published_rows_are_rows(name: str) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "results" / f"{name}.json"
    if not path.is_file():
        pytest.skip("no published result")
    for published in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        row = Row(**{key: _from_json(value) for key, value in published.items()})
        assert row.to_dict() == published


def _from_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_from_json(one) for one in value)
    return math.nan if value is None else value


def test_intervals_over_subjects_over_runs_and_of_resamples() -> None:
    over_subjects = estimate_row(*PLACE, [0.0, 1.0, math.nan], rng=np.random.default_rng(0))
    assert (over_subjects.value, over_subjects.low, over_subjects.high, over_subjects.n) == (0.5, 0.0, 1.0, 2)
    assert over_subjects.values[:2] == (0.0, 1.0)
    assert math.isnan(over_subjects.values[2])
    over_runs = range_row(*PLACE, [1.0, 2.0, 6.0])
    assert (over_runs.value, over_runs.low, over_runs.high, over_runs.n) == (3.0, 1.0, 6.0, 3)
    assert over_runs.values == (1.0, 2.0, 6.0)
    draws = np.r_[7.0, np.linspace(0, 1, 201)]
    resampled = resampled_row(*PLACE, draws, n=5)
    assert (resampled.value, resampled.n) == (7.0, 5)
    assert (resampled.low, resampled.high) == pytest.approx((0.025, 0.975))
    assert math.isnan(resampled_row(*PLACE, draws, n=1).low)
