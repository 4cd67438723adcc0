"""Rules a person can read, extracted from estimated effects: ranked, each with its control, nulls stated plainly.

Only what holds over several nights, passes false-discovery control, leaves out zero and has quiet controls is called a
rule; the reverse direction has no controls and must pass the others. What was estimated of one or two nights, whose
units are half-hours, is told as an estimate. What is not shown says which effect would have been seen. The second half
of the file is the wording: one sentence for what an effect says, another for what was done to prove it wrong, both made
from the row alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.effects_table import AGAINST, to_numbers
from sharpwave.causality.intervals import FEWEST_UNITS
from sharpwave.errors import SharpwaveError

ALPHA = 0.05
HORIZON = 30.0
"""Seconds: the horizon that rules are about, chosen before looking; all horizons stay in the table of effects."""

PREFERRED = ("hazard", "matched")
"""Estimators of one question, the one that a rule is taken from first; depth has no hazard."""

QUESTION = ["direction", "outcome", "content", "stage", "period"]
NEEDED = (
    *QUESTION, "horizon", "estimator", "exposed", "control", "value", "low", "high", "ratio", "ratio_low",
    "ratio_high", "p", "q", "n_events", "n_nights", "e_value", "control_p", "note",
)  # fmt: skip
OPTIONAL = ("detectable", "exposure_p", "exposure_power", "exposure_slow_power", "exposure_seen", "comparator")
"""Columns that tables written before they existed may lack."""

RULE_COLUMNS = ("rank", "verdict", "rule", "control_of_rule", "reason", "claim", "mark", *NEEDED, *OPTIONAL)

SHOWN, ESTIMATED, NOT_SHOWN = "rule", "too few nights", "not shown"
"""The three outcomes of a question: shown; estimated, but of too few nights to say it of others; not shown."""

OBSERVATIONAL = "observational: causal in the statistical sense"
RANDOMISED = "cues were randomised: “caused” may be said"
BOTH_WAYS = "The reverse direction was found as well: sleep may choose these reactivations, and not they change it."
_CHANCES = {
    "lighter": "the chance of moving to lighter sleep",
    "deeper": "the chance of moving to deeper sleep",
    "wake": "the chance of waking",
}
_COMPARED = {
    "events": "after events that carried none",
    "moments": "at moments without one",
    "others": "after reactivations of other contents",
    "sham": "after sham",
}
_SEEN = {
    "state": "which events carry it follows the state of sleep before them",
    "runs": "the events that carry it come in runs, as if something slow decided it",
    "drift": "the share of events that carry it drifts more than time and stage explain",
}
_PERIODS = {"early": "early in the night", "late": "late in the night"}


def extract_rules(effects: pd.DataFrame, *, alpha: float = ALPHA, horizon: float = HORIZON) -> pd.DataFrame:
    """Rules from a table of effects, and beside them everything that was asked and not shown.

    One row a question (direction, outcome, content, stage, time of night): the estimate at `horizon`, or at the
    nearest one there is, by the first of `PREFERRED`. A randomised estimate has a row of its own; naive ones have none.

    Args:
        effects: Table of effects, as `estimate_effects` gives it, with at least the columns in `NEEDED`.
        alpha: Level of false-discovery control and of the negative control; .05 by default.
        horizon: Horizon that rules are about, in s; 30 s by default.

    Returns:
        rank (from 1), verdict ("rule", "too few nights" or "not shown"), rule (the sentence), control_of_rule (a
        sentence), reason (why it is no rule), claim ("observational: …" or "randomised cues: caused"), mark (a sentence
        where the reverse direction was found as well), and the effect's own columns. Rules come first, the surest at
        the top, then what was estimated of too few nights.

    Raises:
        SharpwaveError: If a column is missing.
    """
    missing = [name for name in NEEDED if name not in effects]
    if missing:
        raise SharpwaveError(
            "a table of effects, as estimate_effects gives it",
            got=f"no column {', '.join(missing)}",
            fix="give the table unchanged",
        )
    effects = to_numbers(effects.assign(**{name: _guess(effects, name) for name in OPTIONAL if name not in effects}))
    asked = effects[effects["estimator"].isin((*PREFERRED, "randomised")) & np.isfinite(effects["value"])]
    rows = [_judge(row, asked, alpha) for row in _choose(asked, horizon)]
    if not rows:
        return pd.DataFrame(columns=RULE_COLUMNS)
    order = {SHOWN: 0, ESTIMATED: 1, NOT_SHOWN: 2}
    table = pd.DataFrame(rows)
    table = table.assign(order=table["verdict"].map(order)).sort_values(
        ["order", "p"], kind="stable", ignore_index=True
    )
    return table.assign(rank=np.arange(1, len(table) + 1))[list(RULE_COLUMNS)]


def describe_rules(rules: pd.DataFrame) -> str:
    """What was found, in one plain sentence; a null is stated as one."""
    if not len(rules):
        return f"Nothing could be estimated: there were too few reactivations. ({OBSERVATIONAL}.)"
    found = rules[rules["verdict"] == SHOWN]
    forward = rules[rules["direction"] == "forward"]
    if len(found):
        head = f"{len(found)} of {len(rules)} questions gave a rule. {found.iloc[0]['rule']}"
        if len(forward) and not (found["direction"] == "forward").any():
            head = f"No effect of reactivation on sleep was shown; of the reverse direction: {found.iloc[0]['rule']}"
        return f"{head} ({found.iloc[0]['claim']}.)"
    estimated = rules[rules["verdict"] == ESTIMATED]
    clear = rules[(rules["low"] > 0) | (rules["high"] < 0)]
    if len(estimated):
        n_nights = int(estimated["n_nights"].max())
        head = (
            f"Estimated, but of too few nights: {len(estimated)} of {len(rules)} questions in {n_nights} "
            f"night{'s' * (n_nights != 1)}, with stretches of half an hour as the units; {FEWEST_UNITS} nights are "
            "needed to say it of others."
        )
    else:
        head = f"No effect was shown: none of {len(rules)} questions passed every check."
        if "detectable" in rules and np.isfinite(rules["detectable"].astype(float)).any():
            head += (
                " Not shown is not absent: beside each question stands the smallest effect that could have been seen."
            )
    if len(clear):
        first = clear.iloc[0]
        head += f" The interval leaves out zero in {len(clear)}: {first['rule']} It is no rule: {first['reason']}."
    return f"{head} ({OBSERVATIONAL}.)"


def _choose(asked: pd.DataFrame, horizon: float) -> Sequence[Mapping[Any, Any]]:
    """One row a question and kind of estimate: the preferred estimator at the horizon nearest to the one wanted."""
    if not len(asked):
        return []
    order = {name: index for index, name in enumerate(("randomised", *PREFERRED))}
    table = asked.assign(
        randomised=asked["estimator"] == "randomised",
        preference=asked["estimator"].map(order),
        distance=(asked["horizon"] - horizon).abs(),
    )
    table = table.sort_values(["preference", "distance"], kind="stable")
    chosen = table.drop_duplicates([*QUESTION, "randomised"], keep="first")
    return chosen[[*NEEDED, *OPTIONAL]].to_dict("records")


def _guess(effects: pd.DataFrame, name: str) -> Any:
    """A column that an older table lacks; what was compared with stands in its note."""
    if name != "comparator":
        return "" if name == "exposure_seen" else np.nan
    known = {words: name for name, words in AGAINST.items()}
    return [
        "sham"
        if estimator == "randomised"
        else next((known[part] for part in str(note).split("; ") if part in known), "")
        for estimator, note in zip(effects["estimator"], effects["note"], strict=True)
    ]


def _judge(row: Mapping[Any, Any], asked: pd.DataFrame, alpha: float) -> dict[str, Any]:
    reasons = _find_reasons(row, alpha)
    same = asked[(asked["direction"] == "reverse") & (asked["estimator"] != "randomised")]
    for name in ("content", "stage", "period"):
        same = same[same[name] == row[name]]
    alike = row["direction"] == "forward" and row["estimator"] != "randomised"
    reverse = same.iloc[0].to_dict() if len(same) and alike else None
    few = row["n_nights"] < FEWEST_UNITS and np.isfinite(row["low"]) and np.isfinite(row["high"])
    both = reverse is not None and reverse["p"] <= alpha and not (reasons and not few)
    return {
        "verdict": ESTIMATED if few else NOT_SHOWN if reasons else SHOWN,
        "rule": describe_effect(row, shown=not reasons, estimated=bool(few)),
        "control_of_rule": describe_control(row, reverse, alpha=alpha),
        "reason": "; ".join(reasons),
        "claim": RANDOMISED if row["estimator"] == "randomised" else OBSERVATIONAL,
        "mark": BOTH_WAYS if both else "",
        **row,
    }


def _find_reasons(row: Mapping[Any, Any], alpha: float) -> list[str]:
    """Why an effect is no rule; none where it is one."""
    reasons = []
    if row["n_nights"] < FEWEST_UNITS:
        reasons.append(f"fewer than {FEWEST_UNITS} nights")
    if not row["low"] > 0 and not row["high"] < 0:
        reasons.append("the interval holds zero")
    if not row["q"] <= alpha:
        reasons.append(f"does not pass false-discovery control ({write_p(row['q']).replace('p', 'q')})")
    if row["direction"] == "forward" and not row["control_p"] > alpha:
        known = np.isfinite(row["control_p"])
        reasons.append("the negative control moved as well" if known else "no negative control")
    if row["exposure_p"] <= alpha:
        seen = _SEEN.get(row["exposure_seen"], _SEEN["state"])
        reasons.append(f"{seen} ({write_p(row['exposure_p'])}): a hidden cause may move both")
    return reasons


Effect = Mapping[Any, Any]
"""One row of the table of effects."""


def describe_effect(effect: Effect, *, shown: bool, estimated: bool = False) -> str:
    """One estimated effect in a sentence.

    Args:
        effect: Row of the table of effects, with the columns of `EFFECT_COLUMNS`.
        shown: Whether the effect is a rule, which says what the effect does; False where that was not shown.
        estimated: Whether too few nights speak for or against it: then only the estimate is said; False by default.

    >>> row = {"outcome": "wake", "horizon": 30.0, "content": "aversive", "stage": "N2", "period": "any"}
    >>> row |= {"direction": "forward", "estimator": "hazard", "control": 0.021, "exposed": 0.04, "value": 0.019}
    >>> row |= {"low": 0.010, "high": 0.031, "n_events": 412, "n_nights": 9}
    >>> print(describe_effect(row, shown=True))
    In N2, an aversive reactivation raises the chance of waking within 30 s from 2.1 % to 4.0 % (95 % interval 3.1–5.2,
    412 events, 9 nights).
    """
    if effect["direction"] == "reverse":
        words = _describe_rate(effect, shown=shown, estimated=estimated)
    elif effect["outcome"] == "depth":
        words = _describe_depth(effect, shown=shown, estimated=estimated)
    else:
        words = _describe_chance(effect, shown=shown, estimated=estimated)
    sentence = f"{_place(effect)}{words}, {_count(effect)}{_describe_limit(effect, shown=shown)})."
    return sentence[:1].upper() + sentence[1:]


def describe_control(effect: Effect, reverse: Effect | None, *, alpha: float) -> str:
    """What was done to prove the effect wrong: the negative control, the reverse direction, a hidden common cause."""
    p = effect["control_p"]
    parts = []
    if np.isfinite(p):
        parts.append(f"negative control {'quiet' if p > alpha else 'not quiet'} ({write_p(p)})")
    elif effect["direction"] == "forward":
        parts.append("the negative control could not be computed")
    parts += _describe_exposure(effect, alpha)
    if reverse is not None and np.isfinite(reverse["ratio"]):
        parts.append(
            f"reverse direction: the rate of these reactivations × {reverse['ratio']:.2f} per dB of depth "
            f"({write_p(reverse['p'])})"
        )
    if np.isfinite(effect["e_value"]) and effect["estimator"] != "randomised":
        parts.append(f"a hidden common cause would have to be tied to both by ratios of {effect['e_value']:.1f}")
    parts += [part for part in str(effect["note"]).split("; ") if part.startswith(("against", "too few"))]
    sentence = "; ".join(parts)
    return f"{sentence[:1].upper()}{sentence[1:]}." if sentence else ""


def _describe_exposure(effect: Effect, alpha: float) -> list[str]:
    """The control that sees hidden causes, with its power on these nights."""
    if effect["direction"] != "forward" or effect["estimator"] == "randomised":
        return []
    p = effect.get("exposure_p", np.nan)
    if not np.isfinite(p):
        blind = "no control could see a hidden cause, as the events that carried none are not known"
        return [blind] if _find_comparator(effect) == "moments" else []
    slow = effect.get("exposure_slow_power", np.nan)
    also = f", one that drifts over 40 min in {100 * slow:.0f} %" if np.isfinite(slow) else ""
    power = (
        f"a hidden infraslow cause would be seen in {100 * effect['exposure_power']:.0f} % of such nights{also}"
        if np.isfinite(effect["exposure_power"])
        else "its power is not known"
    )
    seen = _SEEN.get(effect["exposure_seen"], _SEEN["state"])
    said = (
        f"nothing before an event tells whether it carries this ({write_p(p)}" if p > alpha else f"{seen} ({write_p(p)}"
    )
    return [f"{said}; {power})"]


def _describe_limit(effect: Effect, *, shown: bool) -> str:
    """The smallest effect that could have been seen, beside what was not shown; one test at .05, power .8."""
    seen = effect.get("detectable", np.nan)
    if shown or not np.isfinite(seen) or effect["low"] > 0 or effect["high"] < 0:
        return ""
    if effect["direction"] == "reverse":
        size = f"× {1 + seen / effect['control']:.2f} per dB" if effect["control"] > 0 else ""
    elif effect["outcome"] == "depth":
        size = f"{seen:.2f} dB"
    else:
        size = f"a rise to {100 * (effect['control'] + seen):.1f} %"
    return f"; {size} would have been seen in 8 of 10 such data sets" if size else ""


def _find_comparator(effect: Effect) -> str:
    """What the row says that it was compared with."""
    known = str(effect.get("comparator", "") or "")
    return "sham" if effect["estimator"] == "randomised" else known if known in _COMPARED else "moments"


def write_p(p: float) -> str:
    """A p-value in words.

    >>> write_p(0.0004), write_p(0.034)
    ('p < .001', 'p = .034')
    """
    if not np.isfinite(p):
        return "p unknown"
    return "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def name_subject(effect: Effect) -> str:
    """What acts: a reactivation, or a cue where cues were given at random, with its content."""
    content = "" if effect["content"] == "any" else str(effect["content"])
    if effect["estimator"] == "randomised":
        return f"a cue of the {content} memory" if content else "a cue"
    if not content:
        return "a reactivation"
    return f"{'an' if content[:1].lower() in 'aeiou' else 'a'} {content} reactivation"


def _place(effect: Effect) -> str:
    places = [] if effect["stage"] == "any" else [f"in {effect['stage']}"]
    places += [_PERIODS[effect["period"]]] if effect["period"] in _PERIODS else []
    return f"{' '.join(places)}, " if places else ""


def _count(effect: Effect) -> str:
    events, nights = int(effect["n_events"]), int(effect["n_nights"])
    return f"{events:,} event{'s' * (events != 1)}, {nights} night{'s' * (nights != 1)}"


def _describe_chance(effect: Effect, *, shown: bool, estimated: bool) -> str:
    what = f"{_CHANCES[effect['outcome']]} within {effect['horizon']:g} s"
    without = "without" if effect["estimator"] == "hazard" else _COMPARED[_find_comparator(effect)]
    control, exposed = 100 * effect["control"], 100 * effect["exposed"]
    low, high = (max(control + 100 * effect[end], 0.0) for end in ("low", "high"))
    if shown:
        return (
            f"{name_subject(effect)} {_verb(effect)} {what} from {control:.1f} % to {exposed:.1f} % "
            f"(95 % interval {low:.1f}–{high:.1f}"
        )
    low, high = 100 * effect["low"], 100 * effect["high"]
    if estimated:
        return (
            f"{what} was {exposed:.1f} % after {name_subject(effect)} and {control:.1f} % {without} (difference "
            f"{_signed(low, 1)} to {_signed(high, 1)} points"
        )
    return (
        f"{name_subject(effect)} is not shown to change {what}: {exposed:.1f} % after it, {control:.1f} % {without} "
        f"(difference {_signed(low, 1)} to {_signed(high, 1)} points"
    )


def _describe_depth(effect: Effect, *, shown: bool, estimated: bool) -> str:
    value, low, high = effect["value"], effect["low"], effect["high"]
    compared = _COMPARED[_find_comparator(effect)]
    side = "deeper" if value > 0 else "lighter"
    if shown:
        low, high = sorted((abs(low), abs(high)))
        caused = "caused sleep" if effect["estimator"] == "randomised" else "is followed by sleep"
        return (
            f"{name_subject(effect)} {caused} {abs(value):.2f} dB {side} over the next {effect['horizon']:g} s than "
            f"{compared} (95 % interval {low:.2f}–{high:.2f}"
        )
    ends = f"(95 % interval {_signed(low, 2)} to {_signed(high, 2)}"
    if estimated:
        return (
            f"over the next {effect['horizon']:g} s sleep was {abs(value):.2f} dB {side} after {name_subject(effect)} "
            f"than {compared} {ends}"
        )
    return (
        f"{name_subject(effect)} is not shown to change depth over the next {effect['horizon']:g} s: "
        f"{_signed(value, 2)} dB against depth {compared} {ends}"
    )


def _describe_rate(effect: Effect, *, shown: bool, estimated: bool) -> str:
    kind = "reactivations" if effect["content"] == "any" else f"{effect['content']} reactivations"
    interval = f"(95 % interval × {effect['ratio_low']:.2f} to × {effect['ratio_high']:.2f}"
    if shown:
        side = "rises" if effect["ratio"] > 1 else "falls"
        return f"the rate of {kind} {side} by × {effect['ratio']:.2f} for each dB that sleep is deeper {interval}"
    if estimated:
        return f"the rate of {kind} was × {effect['ratio']:.2f} for each dB that sleep was deeper {interval}"
    return f"depth is not shown to change the rate of {kind}: × {effect['ratio']:.2f} per dB {interval}"


def _verb(effect: Effect) -> str:
    up = effect["value"] > 0
    if effect["estimator"] == "randomised":
        return "caused a rise in" if up else "caused a fall in"
    return "raises" if up else "lowers"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
