"""An epoch's features with their surroundings, relative to the night: what every learned stager here is given."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float


def add_context(
    features: Float[np.ndarray, "epoch feature"], names: Sequence[str], *, windows: Sequence[int] = (3, 9, 21, 61)
) -> pd.DataFrame:
    """Features relative to the night, with centred means and spreads over several windows and the time of night.

    Centred windows look ahead: for staging recorded nights, never for a forecast.

    Args:
        features: One row per epoch; NaN where absent. Missing epochs stay out of their neighbours' means.
        names: Name of each column.
        windows: Lengths in epochs.

    Returns:
        One row per epoch; rows without any feature are NaN throughout.
    """
    relative = _relative(pd.DataFrame(np.asarray(features, dtype=float), columns=list(names)))
    parts = [relative]
    for window in windows:
        rolling = relative.rolling(window, center=True, min_periods=1)
        parts.append(rolling.mean().add_suffix(f"_mean{window}"))
        parts.append(rolling.std().add_suffix(f"_std{window}"))
    for shift in (-2, -1, 1, 2):
        parts.append(relative.shift(shift).add_suffix(f"_shift{shift}"))
    table = pd.concat(parts, axis=1)
    table["hours"] = np.arange(len(table)) * 30.0 / 3600
    return table.mask(relative.isna().all(axis=1))


def _relative(frame: pd.DataFrame) -> pd.DataFrame:
    """Centred on the night's median, in units of its 5–95 % range."""
    spread = frame.quantile(0.95) - frame.quantile(0.05)
    return (frame - frame.median()) / spread.where(spread > 0)
