"""Rows of a benchmark's table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sharpwave.evaluation.intervals import bootstrap_mean

Row = dict[str, Any]


def estimate_row(
    data: str, setting: str, method: str, metric: str, values: Sequence[float], *, rng: np.random.Generator
) -> Row:
    """The mean over subjects with its interval.

    Args:
        data: Data set.
        setting: What was asked.
        method: What answered.
        metric: Of what.
        values: One per subject; NaN where undefined.
        rng: For the bootstrap.
    """
    estimate = bootstrap_mean(values, rng=rng)
    row = {"data": data, "setting": setting, "method": method, "metric": metric}
    return row | {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
