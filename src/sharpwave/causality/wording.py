"""What an estimated effect says, in one sentence a person can read and another for what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

OBSERVATIONAL = "observational: causal in the statistical sense"
RANDOMISED = "cues were randomised: “caused” may be said"

_CHANCES = {
    "lighter": "the chance of moving to lighter sleep",
    "deeper": "the chance of moving to deeper sleep",
    "wake": "the chance of waking",
}
_PERIODS = {"early": "early in the night", "late": "late in the night"}

Effect = Mapping[Any, Any]
"""One row of the table of effects."""


def describe_effect(effect: Effect, *, shown: bool) -> str:
    """One estimated effect in a sentence.

    Args:
        effect: A row with the columns of `EFFECT_COLUMNS`.
        shown: True for a rule, which says what the effect does; False where that was not shown.

    >>> row = {"outcome": "wake", "horizon": 30.0, "content": "aversive", "stage": "N2", "period": "any"}
    >>> row |= {"direction": "forward", "estimator": "hazard", "control": 0.021, "exposed": 0.04, "value": 0.019}
    >>> row |= {"low": 0.010, "high": 0.031, "n_events": 412, "n_nights": 9}
    >>> print(describe_effect(row, shown=True))
    In N2, an aversive reactivation raises the chance of waking within 30 s from 2.1 % to 4.0 % (95 % interval 3.1–5.2,
    412 events, 9 nights).
    """
    if effect["direction"] == "reverse":
        words = _describe_rate(effect, shown=shown)
    elif effect["outcome"] == "depth":
        words = _describe_depth(effect, shown=shown)
    else:
        words = _describe_chance(effect, shown=shown)
    sentence = f"{_place(effect)}{words}, {_count(effect)})."
    return sentence[:1].upper() + sentence[1:]


def describe_control(effect: Effect, reverse: Effect | None, *, alpha: float) -> str:
    """What was done to prove the effect wrong: the negative control, the reverse direction, a hidden common cause."""
    p = effect["control_p"]
    parts = []
    if np.isfinite(p):
        parts.append(f"negative control {'quiet' if p > alpha else 'not quiet'} ({write_p(p)})")
    elif effect["direction"] == "forward":
        parts.append("the negative control could not be computed")
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


def _describe_chance(effect: Effect, *, shown: bool) -> str:
    what = f"{_CHANCES[effect['outcome']]} within {effect['horizon']:g} s"
    control, exposed = 100 * effect["control"], 100 * effect["exposed"]
    low, high = (max(control + 100 * effect[end], 0.0) for end in ("low", "high"))
    if shown:
        return (
            f"{name_subject(effect)} {_verb(effect)} {what} from {control:.1f} % to {exposed:.1f} % "
            f"(95 % interval {low:.1f}–{high:.1f}"
        )
    low, high = 100 * effect["low"], 100 * effect["high"]
    return (
        f"{name_subject(effect)} is not shown to change {what}: {exposed:.1f} % after it, {control:.1f} % without "
        f"(difference {_signed(low, 1)} to {_signed(high, 1)} points"
    )


def _describe_depth(effect: Effect, *, shown: bool) -> str:
    value, low, high = effect["value"], effect["low"], effect["high"]
    if shown:
        low, high = sorted((abs(low), abs(high)))
        side = "deeper" if value > 0 else "lighter"
        caused = "caused sleep" if effect["estimator"] == "randomised" else "is followed by sleep"
        return (
            f"{name_subject(effect)} {caused} {abs(value):.2f} dB {side} over the next {effect['horizon']:g} s than "
            f"at moments without one (95 % interval {low:.2f}–{high:.2f}"
        )
    return (
        f"{name_subject(effect)} is not shown to change depth over the next {effect['horizon']:g} s: "
        f"{_signed(value, 2)} dB against moments without one (95 % interval {_signed(low, 2)} to {_signed(high, 2)}"
    )


def _describe_rate(effect: Effect, *, shown: bool) -> str:
    kind = "reactivations" if effect["content"] == "any" else f"{effect['content']} reactivations"
    interval = f"(95 % interval × {effect['ratio_low']:.2f} to × {effect['ratio_high']:.2f}"
    if shown:
        side = "rises" if effect["ratio"] > 1 else "falls"
        return f"the rate of {kind} {side} by × {effect['ratio']:.2f} for each dB that sleep is deeper {interval}"
    return f"depth is not shown to change the rate of {kind}: × {effect['ratio']:.2f} per dB {interval}"


def _verb(effect: Effect) -> str:
    up = effect["value"] > 0
    if effect["estimator"] == "randomised":
        return "caused a rise in" if up else "caused a fall in"
    return "raises" if up else "lowers"


def _signed(value: float, digits: int) -> str:
    return f"{value:+.{digits}f}".replace("-", "−")
