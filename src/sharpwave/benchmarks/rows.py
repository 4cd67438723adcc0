"""Rows of a benchmark's table: one estimate each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.intervals import Estimate, bootstrap_mean

DECIMALS = 5
"""Of numbers in the JSON."""


@dataclass(frozen=True)
class Row:
    """One estimate.

    Attributes:
        data: Data set.
        setting: Question that was asked, and how.
        method: Method that answered.
        metric: Quantity that was measured.
        value: The estimate; NaN where it is undefined.
        low: Lower end of its interval; NaN where there is none.
        high: Upper end of its interval.
        n: Number of what the interval is over, such as subjects or seeds.
        values: What the estimate was made of, one for each of the n, where the benchmark has them.

    Raises:
        SharpwaveError: If a name is empty, a number is none, or the interval is upside down.
    """

    data: str
    setting: str
    method: str
    metric: str
    value: float
    low: float = math.nan
    high: float = math.nan
    n: int = 1
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        names = (self.data, self.setting, self.method, self.metric)
        numbers = (self.value, self.low, self.high)
        if not all(isinstance(name, str) and name for name in names):
            raise SharpwaveError(
                "a row with names of data, setting, method and metric", got=repr(names), fix="name all four"
            )
        if not all(isinstance(number, int | float) for number in numbers):
            raise SharpwaveError(
                "numbers for value, low and high", got=repr(numbers), fix="use NaN where one is undefined"
            )
        if self.low > self.high:
            raise SharpwaveError("low at most high", got=f"{self.low} and {self.high}", fix="exchange the two")
        if not isinstance(self.n, int) or self.n < 0:
            raise SharpwaveError("a count n of 0 or more", got=repr(self.n), fix="give the number of subjects or runs")

    def __getitem__(self, name: str) -> Any:
        """A field by its name, from when rows were dictionaries; to be deleted with version 0.3."""
        moved.warn(f'row["{name}"]', f"row.{name}")
        return asdict(self)[name]

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: undefined numbers are None, others have five decimals; `values` only where there are some."""
        content = {name: _to_json(value) for name, value in asdict(self).items() if name != "values"}
        return content | ({"values": [_to_json(value) for value in self.values]} if self.values else {})


def _to_json(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return round(value, DECIMALS) if math.isfinite(value) else None


def estimate_row(
    data: str, setting: str, method: str, metric: str, values: Sequence[float], *, rng: np.random.Generator
) -> Row:
    """The mean over subjects with its interval.

    Args:
        data: Data set.
        setting: Question that was asked, and how.
        method: Method that answered.
        metric: Quantity that was measured.
        values: One per subject; NaN where undefined.
        rng: Random generator of the bootstrap.
    """
    row = to_row(data, setting, method, metric, bootstrap_mean(values, rng=rng))
    return replace(row, values=tuple(map(float, values)))


def to_row(data: str, setting: str, method: str, metric: str, estimate: Estimate) -> Row:
    """An estimate as a row.

    Args:
        data: Data set.
        setting: Question that was asked, and how.
        method: Method that answered.
        metric: Quantity that was measured.
        estimate: The value with its interval.
    """
    return Row(data, setting, method, metric, estimate.value, estimate.low, estimate.high, estimate.n)


def range_row(data: str, setting: str, method: str, metric: str, values: Sequence[float]) -> Row:
    """The mean of some runs, with the smallest and the largest of them in place of an interval."""
    return Row(
        data, setting, method, metric, float(np.mean(values)), min(values), max(values), len(values), tuple(values)
    )


def resampled_row(
    data: str, setting: str, method: str, metric: str, draws: Float[np.ndarray, " draw"], *, n: int
) -> Row:
    """A value with the interval that its resamples give; without one where there is one subject.

    Args:
        data: Data set.
        setting: Question that was asked, and how.
        method: Method that answered.
        metric: Quantity that was measured.
        draws: The value first, then one draw per resample, as from `bootstrap_metrics`.
        n: Number of subjects.
    """
    low, high = np.nanquantile(draws[1:], [0.025, 0.975]) if n > 1 else (np.nan, np.nan)
    return Row(data, setting, method, metric, float(draws[0]), float(low), float(high), n)
