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
from sharpwave.causality.exposure_control import ExposureControl
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
    "high", "ratio", "ratio_low", "ratio_high", "p", "q", "detectable", "n_events", "n_nights", "e_value", "control_p",
    "exposure_p", "exposure_power", "exposure_slow_power", "exposure_seen", "comparator", "note",
)  # fmt: skip
"""outcome ("depth", "lighter", "deeper", "wake"; "rate" where the direction is reverse), horizon (s; 1 for rates),
content ("any" or its name), stage ("any" or its name), period ("any", "early", "late"), direction ("forward",
"reverse"), estimator ("matched", "hazard", "randomised"), exposed and control (risk, dB, or rate per minute at one dB
more), value (their difference) with its 95 % interval low to high, ratio (of risks, hazards, or rates per dB) with its
own, p, q (Benjamini–Hochberg over the table), detectable (the smallest value that a test at .05 would have shown in 8
of 10 such data sets), n_events, n_nights, e_value (of the end of the interval nearer to no effect; 1 where it includes
none), control_p (of the negative control outcome), exposure_p, exposure_power, exposure_slow_power and exposure_seen
(of the control that sees hidden causes, `ExposureControl`), comparator ("events", "moments", "others", "sham"), note.
The interval, p, the ratio's interval and the E-value of a row are of one test."""

WORDS = ("outcome", "content", "stage", "period", "direction", "estimator", "exposure_seen", "comparator", "note")
"""Columns that hold words; all others hold numbers."""

OBSERVATIONAL = "observational: causal in the statistical sense"
RANDOMISED = "randomised: caused by the cue"
AGAINST = {
    "events": "against events that carried no reactivation",
    "moments": "against moments without one: a common cause that was not measured, or measured badly, is not removed",
    "others": "against reactivations of other contents",
}
FEW = "too few nights: stretches of half an hour are the units, and the interval speaks of these nights alone"
FEW_CUED = "too few nights: the interval speaks of these cues alone"


@dataclass(frozen=True)
class Question:
    """Where an effect is sought: stages (name and codes), period, and what reactivations are compared with."""

    stage: str
    codes: tuple[int, ...]
    period: str
    comparator: str


@dataclass(frozen=True)
class Asked:
    """What one row asks, and the controls that stand beside its answer.

    Attributes:
        question: Where the effect is sought.
        outcome: "depth", "lighter", "deeper", "wake", or "rate" for the reverse direction.
        horizon: Length of the time after an event that counts, in s.
        content: Name of the content; None for any.
        n_nights: Number of nights.
        control_p: p of the negative control outcome; NaN where there is none.
        exposure: The control that sees hidden causes; None where there is none.
    """

    question: Question
    outcome: str
    horizon: int
    content: str | None
    n_nights: int
    control_p: float = np.nan
    exposure: ExposureControl | None = None


def describe_difference(effect: MatchedEffect | RandomisedEffect, asked: Asked) -> dict[str, Any]:
    """The row of a matched or randomised difference; a ratio of risks has the ends of the difference."""
    estimator = "randomised" if isinstance(effect, RandomisedEffect) else "matched"
    interval, control = effect.difference, effect.control
    nearest = _nearest(interval, 0.0)
    if asked.outcome == "depth":
        ratios, e_value = _ratios(None), compute_e_value_of_difference(nearest, effect.spread)
    else:
        ratios = _ratios_of_risks(control, interval)
        e_value = compute_e_value(max(control + nearest, 0.0) / control) if control > 0 else np.nan
    return {
        **_place(asked, estimator),
        "exposed": effect.exposed,
        "control": control,
        **_values(interval),
        **ratios,
        "p": interval.p,
        "detectable": interval.detectable,
        "n_events": effect.n_events,
        "e_value": e_value,
    }


def describe_hazard(effect: HazardEffect, asked: Asked) -> dict[str, Any]:
    """The row of a hazard ratio, with the risks that it makes of the hazard of the exposed seconds."""
    horizon, interval = asked.horizon, effect.log_ratio
    ends = (0.0, interval.value, interval.low, interval.high, interval.detectable)
    control, exposed, low, high, seen = (_risk(effect.hazard, end, horizon) for end in ends)
    bound = float(np.exp(_nearest(interval, 0.0)))
    return {
        **_place(asked, "hazard"),
        "exposed": exposed,
        "control": control,
        "value": exposed - control,
        "low": low - control,
        "high": high - control,
        **_ratios(interval),
        "p": interval.p,
        "detectable": seen - control,
        "n_events": effect.n_events,
        "e_value": compute_e_value(convert_hazard_ratio(bound, risk=control)),
    }


def describe_reverse(effect: ReverseEffect, asked: Asked) -> dict[str, Any]:
    """The row of the reverse direction: rates a minute as they are, and at one dB more."""
    ratios = _ratios(effect.log_ratio)
    return {
        **_place(asked, "hazard"),
        "direction": "reverse",
        "exposed": effect.rate * ratios["ratio"],
        "control": effect.rate,
        "value": effect.rate * (ratios["ratio"] - 1),
        "low": effect.rate * (ratios["ratio_low"] - 1),
        "high": effect.rate * (ratios["ratio_high"] - 1),
        **ratios,
        "p": effect.log_ratio.p,
        "detectable": effect.rate * (float(np.exp(effect.log_ratio.detectable)) - 1),
        "n_events": effect.n_events,
        "e_value": compute_e_value(float(np.exp(_nearest(effect.log_ratio, 0.0)))),
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


def _place(asked: Asked, estimator: str) -> dict[str, Any]:
    question, exposure = asked.question, asked.exposure
    randomised = estimator == "randomised"
    notes = [RANDOMISED] if randomised else [OBSERVATIONAL]
    if not randomised and asked.outcome != "rate":
        notes.append(AGAINST[question.comparator])
    if asked.n_nights < FEWEST_UNITS:
        notes.append(FEW_CUED if randomised else FEW)
    return {
        "outcome": asked.outcome,
        "horizon": asked.horizon,
        "content": asked.content or "any",
        "stage": question.stage,
        "period": question.period,
        "direction": "forward",
        "estimator": estimator,
        "n_nights": asked.n_nights,
        "control_p": asked.control_p,
        "exposure_p": np.nan if exposure is None else exposure.p,
        "exposure_power": np.nan if exposure is None else exposure.power,
        "exposure_slow_power": np.nan if exposure is None else exposure.slow_power,
        "exposure_seen": "" if exposure is None else exposure.seen,
        "comparator": "sham" if randomised else question.comparator if asked.outcome != "rate" else "",
        "note": "; ".join(notes),
    }


def _values(interval: Interval) -> dict[str, float]:
    return {"value": interval.value, "low": interval.low, "high": interval.high}


def _ratios(interval: Interval | None) -> dict[str, float]:
    if interval is None:
        return {"ratio": np.nan, "ratio_low": np.nan, "ratio_high": np.nan}
    ratio, low, high = np.exp([interval.value, interval.low, interval.high]).tolist()
    return {"ratio": ratio, "ratio_low": low, "ratio_high": high}


def _ratios_of_risks(control: float, interval: Interval) -> dict[str, float]:
    """The ends of a difference of risks as ratios to the risk without it, so that both leave out no effect together."""
    if not control > 0:
        return _ratios(None)
    ends = (interval.value, interval.low, interval.high)
    return dict(zip(("ratio", "ratio_low", "ratio_high"), (max(control + e, 0.0) / control for e in ends), strict=True))


def _nearest(interval: Interval, null: float) -> float:
    """The end of the interval nearer to no effect; no effect where the interval includes it."""
    if interval.low <= null <= interval.high or not np.isfinite(interval.low):
        return null
    return interval.low if interval.low > null else interval.high


def _risk(hazard: float, log_ratio: float, horizon: int) -> float:
    return float(-np.expm1(-horizon * hazard * np.exp(log_ratio)))
