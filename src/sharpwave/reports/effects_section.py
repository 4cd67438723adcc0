"""What reactivation does to sleep, for a page: rules in words, a forest plot by content, depth around events."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.causality.intervals import FEWEST_UNITS
from sharpwave.night.decoded import ReactivationEffects
from sharpwave.reports import tables
from sharpwave.reports.charts import draw_forest, draw_peri_event
from sharpwave.reports.formats import MISSING, is_number, show, show_interval

LIMITS = (
    "Observational: causal in the statistical sense. Moments with and without a reactivation may differ in something "
    "that nobody measured; only cues given at random let one say “caused”.",
    "Reactivations that were missed count as moments without one, which pulls every effect towards none.",
)

NIGHTS = "Nights are the unit: an effect in few nights says little of other nights and nothing of other subjects."
STRETCHES = (
    "Stretches of half an hour are the units, for want of three nights: the intervals speak of these nights alone, and "
    "say nothing of other nights or subjects."
)

REACTIVATION_HEADS = {
    "per_minute": "per minute of NREM",
    "beyond_shuffles": "share beyond shuffles",
    "shuffled": "the same of shuffles",
    "effect": "depth after, dB against control moments",
    "lighter_after": "lighter or awake within 30 s, %",
    "lighter_control": "at control moments, %",
}

PLANTED_HEADS = {
    "what": "what reactivation does",
    "planted": "put in",
    "with_effect": "effect on: found (95 % interval)",
    "without_effect": "effect off: found (95 % interval)",
    "n_events": "events",
    "n_nights": "nights",
}


def arrange_reactivations(table: pd.DataFrame) -> tables.Table:
    """Counts by content, with p in as many digits as it needs."""
    named = table.assign(p=[show(value) for value in table["p"]]) if "p" in table else table
    return tables.arrange(named, REACTIVATION_HEADS)


def compose_effects(effects: ReactivationEffects, *, memory: pd.DataFrame | None = None) -> dict[str, Any] | None:
    """Everything the template prints of effects; None where there is nothing.

    Args:
        effects: Rules, depth around events, and on simulated nights what was planted.
        memory: Association of reactivations with memory over sessions: predictor, rho, low, high, p, q, n_sessions.
    """
    memory = pd.DataFrame() if memory is None else memory
    if not any(len(part) for part in (effects.rules, effects.peri_event, effects.planted, memory)):
        return None
    rules = effects.rules
    found = rules[rules["verdict"] == "rule"] if len(rules) else rules
    estimated = rules[rules["verdict"] == "too few nights"] if len(rules) else rules
    others = rules[~rules["verdict"].isin(("rule", "too few nights"))] if len(rules) else rules
    return {
        "rules": found.to_dict("records"),
        "estimated": estimated.to_dict("records"),
        "others": others.to_dict("records"),
        "forests": draw_forests(rules),
        "around": draw_depth_around(effects.peri_event),
        "planted": tables.arrange(effects.planted, PLANTED_HEADS),
        "memory": tables.arrange(memory.rename(columns={"rho": "value"}), {"value": "ρ"}),
        "limits": describe_limits(rules),
    }


def describe_limits(rules: pd.DataFrame) -> tuple[str, ...]:
    """What not to conclude from these rules; the unit of the intervals is said as it was in this run.

    >>> describe_limits(pd.DataFrame({"n_nights": [1.0]}))[1][:31]
    'Stretches of half an hour are t'
    """
    if not len(rules) or "n_nights" not in rules:
        return LIMITS
    few = float(pd.to_numeric(rules["n_nights"], errors="coerce").max()) < FEWEST_UNITS
    return (LIMITS[0], STRETCHES if few else NIGHTS, *LIMITS[1:])


OUTCOMES = {
    ("forward", "lighter"): "lighter sleep within {horizon}",
    ("forward", "deeper"): "deeper sleep within {horizon}",
    ("forward", "wake"): "waking within {horizon}",
    ("forward", "depth"): "depth after it, dB",
    ("reverse", "rate"): "reverse: rate of reactivation in deeper sleep",
}
"""What was asked of reactivation, in the order in which it is answered, by direction and outcome."""

VERDICTS = {
    "rule": "shown: passes every check",
    "too few nights": "estimated, too few nights",
    "not shown": "not shown",
}


def tabulate_outcomes(rules: pd.DataFrame) -> pd.DataFrame:
    """One row an outcome, over all contents, all of NREM sleep and the whole night.

    Args:
        rules: The rules, see `ReactivationEffects`.

    Returns:
        outcome, with and without a reactivation (chances in per cent), effect, interval, verdict, reason.

    >>> tabulate_outcomes(pd.DataFrame()).empty
    True
    """
    if not len(rules) or "content" not in rules:
        return pd.DataFrame()
    whole = rules[(rules[["content", "stage", "period"]] == "any").all(axis=1) & (rules["estimator"] != "randomised")]
    rows = []
    for (direction, outcome), words in OUTCOMES.items():
        mine = whole[(whole["direction"] == direction) & (whole["outcome"] == outcome)]
        rows += [_describe_outcome(row, words) for row in mine.head(1).to_dict("records")]
    return pd.DataFrame(rows)


def _describe_outcome(row: dict[Any, Any], words: str) -> dict[str, str]:
    """One row of the table of outcomes."""
    depth = row["outcome"] == "depth"
    names = ("value", "low", "high") if depth else ("ratio", "ratio_low", "ratio_high")
    value, low, high = (float(row[name]) for name in names)
    chance = row["outcome"] in ("lighter", "deeper", "wake")
    after, control = (100 * float(row.get(name, np.nan)) if chance else np.nan for name in ("exposed", "control"))
    return {
        "outcome": words.format(horizon=f"{float(row.get('horizon', 30.0)):g} s"),
        "after a reactivation, %": show(after, like=[control]),
        "without one, %": show(control, like=[after]),
        "effect": show(value, like=[low, high]) + ("" if depth else " times"),
        "95 % interval": show_interval(low, high, like=[value]),
        "no effect is": "0 dB" if depth else "1",
        "verdict": VERDICTS.get(str(row["verdict"]), str(row["verdict"])),
    }


_PANELS = (
    ("forward", "lighter", "Chance of lighter sleep, ratio", True),
    ("forward", "deeper", "Chance of deeper sleep, ratio", True),
    ("forward", "wake", "Chance of waking, ratio", True),
    ("forward", "depth", "Depth after it, dB", False),
    ("reverse", "rate", "Reverse: rate by depth, ratio", True),
)


def draw_forests(rules: pd.DataFrame) -> list[Markup]:
    """One panel an outcome, one row a content, over all stages and the whole night; the reverse direction beside."""
    if not len(rules):
        return []
    whole = rules[(rules["stage"] == "any") & (rules["period"] == "any") & (rules["estimator"] != "randomised")]
    panels = []
    for direction, outcome, title, ratio in _PANELS:
        mine = whole[(whole["direction"] == direction) & (whole["outcome"] == outcome)]
        columns = ["ratio", "ratio_low", "ratio_high"] if ratio else ["value", "low", "high"]
        mine = mine[np.isfinite(mine[columns[0]].astype(float))]
        if len(mine):
            table = mine[columns].set_axis(["value", "low", "high"], axis=1)
            table = table.assign(name=_order_names(mine["content"]), shown=mine["verdict"] == "rule")
            table = table.sort_values("name", key=lambda names: names.map(_rank), kind="stable")
            panels.append(draw_forest(table, title=title, ratio=ratio, summary=_summarise(title, table)))
    return panels


def draw_depth_around(peri_event: pd.DataFrame) -> list[Markup]:
    """Depth around the events of each content beside control moments, all on one scale."""
    if not len(peri_event):
        return []
    drawn = peri_event[["low", "high", "control"]].to_numpy(dtype=float)
    limits = (float(np.nanmin(drawn)), float(np.nanmax(drawn)))
    panels = []
    for content in sorted(set(peri_event["content"]), key=_rank):
        mine = peri_event[peri_event["content"] == content].sort_values("lag")
        name = "all contents" if content == "any" else str(content)
        title = f"{name}, n = {int(mine['n'].max())}"
        after = mine[mine["lag"] > 0]
        summary = (
            f"Depth after {name} reactivations is {show(float(after['value'].mean()))} dB on average, and "
            f"{show(float(after['control'].mean()))} dB at control moments."
        )
        panels.append(draw_peri_event(mine, title=title, unit="dB", limits=limits, summary=summary))
    return panels


def _order_names(contents: pd.Series) -> list[str]:
    return ["all" if content == "any" else str(content) for content in contents]


def _rank(name: str) -> str:
    """Alphabetical, with what holds all contents last."""
    return "~" if name in ("any", "all") else name


def _summarise(title: str, table: pd.DataFrame) -> str:
    rows = [f"{row['name']} {show(row['value'])}" for row in table.to_dict("records") if is_number(row["value"])]
    return f"{title}: {', '.join(rows) or MISSING}."
