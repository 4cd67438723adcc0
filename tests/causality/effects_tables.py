"""Tables of effects with known contents, for tests of what is said about them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

EFFECT: dict[str, Any] = {
    "outcome": "wake",
    "horizon": 30.0,
    "content": "aversive",
    "stage": "N2",
    "period": "any",
    "direction": "forward",
    "estimator": "hazard",
    "exposed": 0.040,
    "control": 0.021,
    "value": 0.019,
    "low": 0.010,
    "high": 0.031,
    "ratio": 1.9,
    "ratio_low": 1.5,
    "ratio_high": 2.5,
    "p": 0.0004,
    "q": 0.002,
    "n_events": 412,
    "n_nights": 9,
    "e_value": 3.2,
    "control_p": 0.41,
    "note": "",
}


def make_effects(*changes: dict[str, Any]) -> pd.DataFrame:
    """One row a change to `EFFECT`."""
    return pd.DataFrame([EFFECT | change for change in changes])


NULL = {"content": "neutral", "exposed": 0.022, "value": 0.001, "low": -0.004, "high": 0.006, "p": 0.7, "q": 0.8}
REVERSE = {
    "outcome": "rate",
    "direction": "reverse",
    "value": 0.01,
    "low": -0.02,
    "high": 0.04,
    "ratio": 1.01,
    "ratio_low": 0.98,
    "ratio_high": 1.04,
    "p": 0.6,
    "q": 0.7,
    "e_value": np.nan,
}
