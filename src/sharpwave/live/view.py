"""What the page shows of a step: a `Decision`, its trials and its signal as JSON, never the condition of a trial.

Only the fields named here reach a browser. A cue and a sham leave the same bytes: nothing here knows which is which.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Float32

from sharpwave.live.decision import STAGES, Condition, Decision, StageResult

Mode = Literal["disarmed", "armed", "paused", "stopped", "ended"]
"""Where the night stands: nothing is given before `armed`, nor after `stopped` and `ended`."""
Outcome = Literal["intended", "delivered", "failed", "cancelled"]
"""What became of a trial; the same words for a cue and for its sham."""
OUTCOMES: tuple[Outcome, ...] = ("intended", "delivered", "failed", "cancelled")
BIN = 1 / 32
"""Length in seconds of a piece of the shown signal: its lowest and its highest sample are drawn."""
SHOWN_TRIALS = 10
LAST = ("trials tonight", "night not over", "arousals after trials", "wakings after trials")
"""Conditions that, once they do not hold, do not hold again this night."""


@dataclass(frozen=True)
class NightCard:
    """What the page says of a night as a whole.

    Attributes:
        title: Code of the participant, or what is simulated; no name.
        protocol: Name of the protocol.
        protocol_hash: Its hash, as every record of the audit has it.
        source: Where samples come from, such as `simulate` or `lsl:amplifier`.
        sink: Where cues go, such as `null` or `audio`.
        rate: Samples a second of the shown channel.
        channel: Name of the shown channel.
        target: Phase of the slow oscillation at which cues are aimed, in radians; None where phase does not count.
        stage_limit: Age in seconds from which a stage is not believed any more.
        simulated: Whether the sleeper is simulated.
        attended: Whether the night stops when no page is open any more.

    >>> NightCard("sub-01", "up-state", "9f2c", "lsl:amp", "audio", rate=256.0, channel="Fz").simulated
    False
    """

    title: str
    protocol: str
    protocol_hash: str
    source: str
    sink: str
    rate: float
    channel: str
    target: float | None = None
    stage_limit: float = 10.0
    simulated: bool = False
    attended: bool = False


@dataclass(frozen=True)
class Trial:
    """A trial as anyone may see it during the night.

    Attributes:
        trial: Its number in this night, from 1.
        onset: Loop time of its onset in seconds: measured where it was delivered, intended otherwise.
        outcome: What became of it.

    >>> Trial(41, 3020.25, "delivered").outcome
    'delivered'
    """

    trial: int
    onset: float
    outcome: Outcome


def compute_view(
    decision: Decision,
    *,
    mode: Mode,
    ended: str = "",
    stage: StageResult | None = None,
    trials: Sequence[Trial] = (),
    counts: Mapping[Outcome, int] | None = None,
) -> dict[str, Any]:
    """Everything of a step that the page shows, ready for JSON.

    Args:
        decision: What the step found and decided.
        mode: Where the night stands.
        ended: Why it was stopped or has ended; empty where it goes on.
        stage: The newest result of the stager; None where there is none yet.
        trials: Trials so far, oldest first; the last ten are shown.
        counts: Number of trials of the night by outcome; zero where left out.

    >>> from sharpwave.live.decision import Estimates, Hold
    >>> waits = Condition("since last cue", holds=False, value=2.0, limit=6.0, unit="s")
    >>> view = compute_view(Decision(9.0, (waits,), Hold(("since last cue",)), Estimates(9.0)), mode="armed")
    >>> view["next"], view["conditions"][0]["sense"]
    ({'wait': 4.0, 'missing': [], 'over': False}, 'at least')
    """
    found, why = decision.estimates, getattr(decision.action, "why", ())
    return {
        "now": _number(decision.now),
        "age": _number(decision.now - found.until),
        "mode": mode,
        "ended": ended,
        "why": [str(name) for name in why],
        "conditions": [_show_condition(condition) for condition in decision.conditions],
        "stage": None if stage is None else _show_stage(stage, decision.now),
        "phase": None if found.phase is None else _number(math.degrees(found.phase)),
        "amplitude_uv": None if found.amplitude is None else _number(found.amplitude * 1e6),
        "polarity": found.polarity,
        "spindle": found.spindle,
        "ripple": found.ripple,
        "next": _find_next(decision.conditions),
        "counts": {name: int((counts or {}).get(name, 0)) for name in OUTCOMES},
        "trials": [show_trial(trial) for trial in trials[-SHOWN_TRIALS:]],
    }


def show_card(card: NightCard) -> dict[str, Any]:
    """What the page says of the night, ready for JSON.

    >>> show_card(NightCard("sub-01", "up-state", "9f2c", "lsl:amp", "audio", 256.0, "Fz", target=-0.5))["target"]
    -28.6479
    """
    shown = asdict(card)
    return {**shown, "target": None if card.target is None else _number(math.degrees(card.target)), "stages": STAGES}


def show_trial(trial: Trial) -> dict[str, Any]:
    """A trial by the three things that say nothing of its condition.

    >>> show_trial(Trial(7, 100.41, "delivered"))
    {'trial': 7, 'onset': 100.41, 'outcome': 'delivered'}
    """
    return {"trial": int(trial.trial), "onset": _number(trial.onset), "outcome": str(trial.outcome)}


def _show_condition(condition: Condition) -> dict[str, Any]:
    return {
        "name": condition.name,
        "holds": bool(condition.holds),
        "value": _write(condition.value, condition.unit),
        "limit": _write(condition.limit, condition.unit),
        "sense": _find_sense(condition),
    }


def _find_sense(condition: Condition) -> str:
    """Whether a value must stay below its limit, reach it or be it; empty where this step does not tell."""
    value, limit = condition.value, condition.limit
    if isinstance(limit, str):
        return "must be"
    if not isinstance(value, int | float) or limit is None or not math.isfinite(value - limit) or value == limit:
        return ""
    return "at most" if condition.holds == (value < limit) else "at least"


def _find_next(conditions: Sequence[Condition]) -> dict[str, Any]:
    """The wait until a cue may come at the earliest, and what must change before that nobody can foresee."""
    failing = [condition for condition in conditions if not condition.holds]
    waits = [one for one in failing if one.unit == "s" and _find_sense(one) == "at least"]
    wait = max((float(one.limit) - float(one.value) for one in waits), default=0.0)  # type: ignore[arg-type]
    over = any(one.name in LAST and one.value is not None for one in failing)
    return {"wait": _number(wait), "missing": [one.name for one in failing if one not in waits], "over": over}


def _show_stage(stage: StageResult, now: float) -> dict[str, Any]:
    shares = [_number(share) for share in stage.probabilities]
    known = [share for share in shares if share is not None]
    name = STAGES[shares.index(max(known))] if len(known) == len(STAGES) else None
    return {"name": name, "probabilities": shares, "age": _number(now - stage.heard_until)}


def _number(value: float) -> float | None:
    """A number that JSON has, to a tenth of a millisecond; None for one that is none."""
    return round(float(value), 4) if math.isfinite(value) else None


def _write(value: float | str | None, unit: str) -> str | None:
    """A value or limit as the page writes it: three digits that count, its unit; ten minutes on in minutes."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool) or not math.isfinite(value):
        return str(value)
    if unit == "s" and abs(value) >= 600:
        value, unit = value / 60, "min"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:,.{min(digits, 4)}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return f"{text} {unit}".rstrip()


def bin_samples(
    times: Float[np.ndarray, " sample"], samples: Float32[np.ndarray, " sample"]
) -> list[list[float | None]]:
    """Lowest and highest sample of each piece of `BIN` seconds, so that no spike is lost on a small screen.

    Args:
        times: Loop time of each sample, in seconds, rising.
        samples: The samples in volts.

    Returns:
        Time of the middle of the piece in seconds, lowest and highest sample in microvolts; None where a piece holds
        a sample that is no number.

    >>> bin_samples(np.array([0.0, 0.01, 0.04]), np.array([1e-6, -2e-6, 3e-6], np.float32))
    [[0.0156, -2.0, 1.0], [0.0469, 3.0, 3.0]]
    """
    if not len(times):
        return []
    places = np.floor(times / BIN).astype(np.int64)
    starts = np.flatnonzero(np.diff(places, prepend=places[0] - 1))
    low = np.minimum.reduceat(samples.astype(np.float64), starts) * 1e6
    high = np.maximum.reduceat(samples.astype(np.float64), starts) * 1e6
    middles = (places[starts] + 0.5) * BIN
    return [
        [round(float(t), 4), *(round(float(v), 2) if math.isfinite(v) else None for v in (a, b))]
        for t, a, b in zip(middles, low, high, strict=True)
    ]
