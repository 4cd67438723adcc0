"""Estimates as rows of the table of effects.

>>> EFFECT_COLUMNS[:3]
('outcome', 'horizon', 'content')
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.directions import ReverseEffect
from sharpwave.causality.hazards import HazardEffect
from sharpwave.causality.intervals import (
    FEWEST_UNITS,
    Interval,
    compute_e_value,
    compute_e_value_of_difference,
    convert_hazard_ratio,
)
from sharpwave.causality.matching import MatchedEffect
from sharpwave.causality.randomised import RandomisedEffect

EFFECT_COLUMNS = (
    "outcome", "horizon", "content", "stage", "period", "direction", "estimator", "exposed", "control", "value", "low",
    "high", "ratio", "ratio_low", "ratio_high", "p", "q", "n_events", "n_nights", "e_value", "control_p", "note",
)  # fmt: skip
"""outcome ("depth", "lighter", "deeper", "wake"; "rate" where the direction is reverse), horizon (s; 1 for rates),
content ("any" or its name), stage ("any" or its name), period ("any", "early", "late"), direction ("forward",
"reverse"), estimator ("matched", "hazard", "randomised"), exposed and control (risk, dB, or rate per minute at one dB
more), value (their difference) with its 95 % interval low to high, ratio (of risks, hazards, or rates per dB) with its
own, p, q (Benjamini–Hochberg over the table), n_events, n_nights, e_value (of the end of the interval nearer to no
effect; 1 where it includes none), control_p (of the negative control outcome), note."""

WORDS = ("outcome", "content", "stage", "period", "direction", "estimator", "note")
"""Columns that hold words; all others hold numbers."""

OBSERVATIONAL = "observational: causal in the statistical sense"
RANDOMISED = "randomised: caused by the cue"
AGAINST = {
    "events": "against events that carried no reactivation",
    "moments": "against moments without one: a common cause that was not measured, or measured badly, is not removed",
    "others": "against reactivations of other contents",
}
FEW = "too few nights: stretches of half an hour are the units, and the interval speaks of these nights alone"


@dataclass(frozen=True)
class Question:
    """Where an effect is sought: stages (name and codes), period, and what reactivations are compared with."""

    stage: str
    codes: tuple[int, ...]
    period: str
    comparator: str


def describe_difference(
    effect: MatchedEffect | RandomisedEffect,
    question: Question,
    estimator: str,
    n_nights: int,
    outcome: str,
    horizon: int,
    content: str | None,
    control_p: float,
) -> dict[str, Any]:
    """The row of a matched or randomised difference."""
    nearest = _nearest(effect.difference, 0.0)
    e_value = compute_e_value_of_difference(nearest, effect.spread)
    if effect.log_ratio is not None:
        e_value = compute_e_value(float(np.exp(_nearest(effect.log_ratio, 0.0))))
    return {
        **_place(question, n_nights, outcome, horizon, content, estimator=estimator),
        "exposed": effect.exposed,
        "control": effect.control,
        **_values(effect.difference),
        **_ratios(effect.log_ratio),
        "p": effect.difference.p,
        "n_events": effect.n_events,
        "e_value": e_value,
        "control_p": control_p,
    }


def describe_hazard(
    effect: HazardEffect,
    question: Question,
    n_nights: int,
    outcome: str,
    horizon: int,
    content: str | None,
    control_p: float,
) -> dict[str, Any]:
    """The row of a hazard ratio, with the risks that it makes of the hazard of the exposed seconds."""
    control, interval = _risk(effect.hazard, 0.0, horizon), effect.log_ratio
    exposed, low, high = (_risk(effect.hazard, x, horizon) for x in (interval.value, interval.low, interval.high))
    bound = float(np.exp(_nearest(interval, 0.0)))
    return {
        **_place(question, n_nights, outcome, horizon, content, estimator="hazard"),
        "exposed": exposed,
        "control": control,
        "value": exposed - control,
        "low": low - control,
        "high": high - control,
        **_ratios(interval),
        "p": interval.p,
        "n_events": effect.n_events,
        "e_value": compute_e_value(convert_hazard_ratio(bound, risk=control)),
        "control_p": control_p,
    }


def describe_reverse(effect: ReverseEffect, question: Question, n_nights: int, content: str | None) -> dict[str, Any]:
    """The row of the reverse direction: rates a minute as they are, and at one dB more."""
    ratios = _ratios(effect.log_ratio)
    return {
        **_place(question, n_nights, "rate", 1, content, estimator="hazard"),
        "direction": "reverse",
        "exposed": effect.rate * ratios["ratio"],
        "control": effect.rate,
        "value": effect.rate * (ratios["ratio"] - 1),
        "low": effect.rate * (ratios["ratio_low"] - 1),
        "high": effect.rate * (ratios["ratio_high"] - 1),
        **ratios,
        "p": effect.log_ratio.p,
        "n_events": effect.n_events,
        "e_value": compute_e_value(float(np.exp(_nearest(effect.log_ratio, 0.0)))),
        "control_p": np.nan,
    }


def to_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """The table with numbers in every column of `EFFECT_COLUMNS` that is no word, also where it has no rows.

    >>> to_numbers(pd.DataFrame([], columns=["outcome", "value"])).dtypes["value"]
    dtype('float64')
    """
    names = [name for name in EFFECT_COLUMNS if name in table and name not in WORDS]
    return table.assign(**{name: pd.to_numeric(table[name], errors="coerce").astype(float) for name in names})


def adjust(table: pd.DataFrame) -> pd.DataFrame:
    """The table with q: p after Benjamini & Hochberg (1995) over all rows that have one."""
    from scipy.stats import false_discovery_control

    table = to_numbers(table)
    p = table["p"].to_numpy(dtype=float)
    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return table.assign(q=q)


def _place(
    question: Question, n_nights: int, outcome: str, horizon: int, content: str | None, *, estimator: str
) -> dict[str, Any]:
    notes = [RANDOMISED] if estimator == "randomised" else [OBSERVATIONAL]
    if estimator != "randomised" and outcome != "rate":
        notes.append(AGAINST[question.comparator])
    if n_nights < FEWEST_UNITS:
        notes.append(FEW)
    return {
        "outcome": outcome,
        "horizon": horizon,
        "content": content or "any",
        "stage": question.stage,
        "period": question.period,
        "direction": "forward",
        "estimator": estimator,
        "n_nights": n_nights,
        "note": "; ".join(notes),
    }


def _values(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _ratios(interval: Interval | None) -> dict[str, float]:
    if interval is None:
        return {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan}
    ratio, low, high = np.exp([interval.value, interval.low, interval.high]).tolist()
    return {"ratio": ratio, "ratio_low": low, "ratio_high": high}


def _nearest(interval: Interval, null: float) -> float:
    """The end of the interval nearer to no effect; no effect where the interval includes it."""
    if interval.low <= null <= interval.high or not np.isfinite(interval.low):
        return null
    return interval.low if interval.low > null else interval.high


def _risk(hazard: float, log_ratio: float, horizon: int) -> float:
    return float(-np.expm1(-horizon * hazard * np.exp(log_ratio)))
