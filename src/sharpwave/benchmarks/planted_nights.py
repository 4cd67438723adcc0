"""Simulated nights with an effect planted, and the same nights without it: what the estimators find in either."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.causality.nights import simulate_course
from sharpwave.causality import estimate_effects
from sharpwave.causality.series import DEPTH_WINDOW
from sharpwave.simulation.effects import Effects

N_NIGHTS = 8
HOURS = 3.0
HORIZON = 30
PLANTED_COLUMNS = ("content", "what", "planted", "with_effect", "without_effect", "n_events", "n_nights")
_OUTCOMES = {"lighter": "chance of lighter sleep, ratio", "depth": "depth, dB"}


def compare_planted_nights(
    *,
    seed: int = 0,
    n_nights: int = N_NIGHTS,
    hours: float = HOURS,
    species: str = "mouse",
    effects: Effects | None = None,
) -> pd.DataFrame:
    """Relate nights with a planted effect, and the same seeds with it off.

    The nights are hidden courses with the measurement noise of depth and of the infraslow phase; no signals are made,
    and reactivations are those that happened.

    Args:
        seed: Of the first night; each night has the next one.
        n_nights: How many.
        hours: Length of each.
        species: "mouse", "rat" or "human".
        effects: What is planted; aversive contents lighten and rewarding ones stabilise where omitted.

    Returns:
        One row a content and outcome: content, what, planted, with_effect and without_effect (estimate with 95 %
        interval, in words), n_events, n_nights.
    """
    planted = effects or Effects.planted()
    found = {}
    for name, switched in (("with_effect", planted), ("without_effect", Effects())):
        courses = [
            simulate_course(species, hours, rng=np.random.default_rng(seed + i), effects=switched, night=f"sim-{i}")[0]
            for i in range(n_nights)
        ]
        found[name] = estimate_effects(
            courses, rng=np.random.default_rng(seed), horizons=(HORIZON,), outcomes=("depth", "lighter")
        )
    rows = []
    for outcome, what in _OUTCOMES.items():
        for content in sorted(planted.hazard_ratio):
            chosen = {name: _choose(table, outcome, content) for name, table in found.items()}
            if all(len(row) for row in chosen.values()):
                rows.append(
                    {
                        "content": content,
                        "what": what,
                        "planted": _plant(planted, outcome, content),
                        **{name: _write(row, outcome) for name, row in chosen.items()},
                        "n_events": chosen["with_effect"]["n_events"],
                        "n_nights": n_nights,
                    }
                )
    return pd.DataFrame(rows, columns=list(PLANTED_COLUMNS))


def compute_planted_depth(effects: Effects, content: str) -> float:
    """Mean depth (dB) that the planted step adds over `HORIZON` s from the first whole window on."""
    fade = effects.depth_decay
    share = np.exp(-DEPTH_WINDOW / fade) - np.exp(-(DEPTH_WINDOW + HORIZON) / fade)
    return float(effects.depth_gain.get(content, 0.0) * fade / HORIZON * share)


def _choose(table: pd.DataFrame, outcome: str, content: str) -> dict[Any, Any]:
    """The row of one effect; empty where it could not be estimated."""
    estimator = "matched" if outcome == "depth" else "hazard"
    rows = table[
        (table["direction"] == "forward")
        & (table["outcome"] == outcome)
        & (table["content"] == content)
        & (table["estimator"] == estimator)
    ]
    return rows.iloc[0].to_dict() if len(rows) else {}


def _plant(effects: Effects, outcome: str, content: str) -> str:
    if outcome == "lighter":
        return f"{effects.hazard_ratio[content]:.2f}"
    return _sign(compute_planted_depth(effects, content))


def _write(row: dict[Any, Any], outcome: str) -> str:
    if outcome == "lighter":
        return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
    return f"{_sign(row['value'])} ({_sign(row['low'])} to {_sign(row['high'])})"


def _sign(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
