"""Every condition of a cue, from what is known at a step. A cue is given only where all of them hold.

What is unknown does not hold. The order and the names are the same in every step, on the page and in the audit.
"""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

from sharpwave.live.decision import Condition, Estimates, StageResult
from sharpwave.live.protocol import Protocol

NAMES = (
    "armed",
    "loop running",
    "age of data",
    "stamps",
    "rate",
    "signal unbroken",
    "contact",
    "saturation",
    "mains",
    "arousal",
    "movement",
    "calm",
    "polarity",
    "age of stage",
    "asleep",
    "asleep for",
    "since waking",
    "slow wave",
    "artefact",
    "slow wave ratio",
    "target ahead",
    "target near",
    "spindle",
    "ripple",
    "refractory",
    "trials this hour",
    "trials tonight",
    "level",
    "night begun",
    "night not over",
    "arousals after trials",
    "wakings after trials",
    "no trial under way",
)
"""Names of the conditions, in their order."""


class Facts(NamedTuple):
    """What conditions are found from, beside the estimates; times in seconds of loop time.

    Attributes:
        now: Of the step.
        start: Of the night.
        operator: `waiting`, `armed`, `paused` or `stopped`.
        stalled_at: When the loop last stood still or its clock went back.
        fault: What was last wrong with stamps or count; empty where nothing was.
        fault_at: When that was seen.
        gap_at: After when the signal is unbroken.
        rate: Measured samples a second; None until known.
        stage: The last result of the stager; None where there is none, or where it made no sense.
        asleep_since: Since when every result said that the sleeper is in a stage for cues; None where the last did not.
        woke_at: When wake was last seen.
        aroused_at: When an arousal or movement was last suspected.
        onset: When the cue would be heard; None where no target is predicted.
        last_onset: Of the last trial.
        hour: Trials of the last hour.
        night: Trials of the night.
        level_db: Level that the cue would have.
        arousals: Of the last ten trials, those followed by an arousal.
        wakings: Trials of the night that were followed by waking.
        under_way: Whether a trial is intended and neither given nor cancelled.
    """

    now: float
    start: float
    operator: str
    stalled_at: float
    fault: str
    fault_at: float
    gap_at: float
    rate: float | None
    stage: StageResult | None
    asleep_since: float | None
    woke_at: float
    aroused_at: float
    onset: float | None
    last_onset: float
    hour: int
    night: int
    level_db: float
    arousals: int
    wakings: int
    under_way: bool


def find_conditions(protocol: Protocol, facts: Facts, estimates: Estimates) -> tuple[Condition, ...]:
    """Every condition as it stands.

    Args:
        protocol: Of the night.
        facts: What is known of loop, source, sleeper and earlier trials.
        estimates: What the filters know.

    Returns:
        Conditions in the order of `NAMES`.
    """
    now = facts.now
    return (
        _say("armed", facts.operator == "armed", facts.operator, "armed"),
        *_find_source(protocol, facts, estimates, now),
        *_find_sleeper(protocol, facts, estimates, now),
        *_find_target(protocol, facts, estimates, now),
        *_find_limits(protocol, facts, now),
        _say("no trial under way", not facts.under_way, "trial" if facts.under_way else "none", "none"),
    )


def _find_source(protocol: Protocol, facts: Facts, estimates: Estimates, now: float) -> tuple[Condition, ...]:
    signal, guard = protocol.signal, protocol.guard
    settled = now - facts.fault_at >= signal.settle
    off = None if facts.rate is None else abs(facts.rate / signal.rate - 1.0)
    return (
        _least("loop running", now - facts.stalled_at, signal.settle, "s"),
        _most("age of data", now - estimates.until, guard.age_most, "s"),
        _say("stamps", settled, "steady" if settled else facts.fault, "steady"),
        _most("rate", off, signal.rate_tolerance, ""),
        _least("signal unbroken", now - facts.gap_at, signal.settle, "s"),
        _most("contact", estimates.flat_share, guard.flat_share, ""),
        _most("saturation", estimates.saturated_share, guard.saturated_share, ""),
        _most("mains", estimates.mains_ratio, guard.mains_ratio, ""),
    )


def _find_sleeper(protocol: Protocol, facts: Facts, estimates: Estimates, now: float) -> tuple[Condition, ...]:
    guard, sleep, stage = protocol.guard, protocol.sleep, facts.stage
    age = None if stage is None else now - stage.heard_until
    asleep = None if stage is None else sum_stages(stage, sleep.stages)
    since = None if facts.asleep_since is None else now - facts.asleep_since
    polarity = estimates.polarity
    return (
        _most("arousal", estimates.arousal_ratio, guard.arousal_ratio, ""),
        _most("movement", estimates.movement_ratio, guard.movement_ratio, ""),
        _least("calm", now - facts.aroused_at, guard.arousal_lock, "s"),
        _say("polarity", polarity == "as declared", polarity, "as declared"),
        _most("age of stage", age, sleep.age_most, "s"),
        _least("asleep", asleep, sleep.probability, ""),
        _least("asleep for", since, sleep.stable, "s"),
        _least("since waking", now - facts.woke_at, sleep.wake_lock, "s"),
    )


def _find_target(protocol: Protocol, facts: Facts, estimates: Estimates, now: float) -> tuple[Condition, ...]:
    target = protocol.target
    height = None if estimates.amplitude is None else estimates.amplitude * 1e6
    lead = None if facts.onset is None else facts.onset - now
    least = -target.late_most if facts.under_way else target.lead_least
    return (
        _least("slow wave", height, target.amplitude_least_uv, "µV"),
        _most("artefact", height, target.amplitude_most_uv, "µV"),
        _least("slow wave ratio", estimates.amplitude_ratio, target.amplitude_ratio, ""),
        _least("target ahead", lead, least, "s"),
        _most("target near", lead, target.lead_most, "s"),
        _event("spindle", estimates.spindle, target.spindle),
        _event("ripple", estimates.ripple, target.ripple),
    )


def _find_limits(protocol: Protocol, facts: Facts, now: float) -> tuple[Condition, ...]:
    limits, schedule = protocol.limits, protocol.schedule
    since = (now if facts.onset is None else facts.onset) - facts.last_onset
    return (
        _least("refractory", since, limits.refractory, "s") if facts.night else _first(limits.refractory),
        _most("trials this hour", facts.hour + 1, limits.per_hour, ""),
        _most("trials tonight", facts.night + 1, limits.per_night, ""),
        _most("level", facts.level_db, limits.level_most_db, "dB(A)"),
        _least("night begun", now - facts.start, limits.first_after, "s"),
        _most("night not over", now - facts.start, limits.hours * 3600.0, "s"),
        _most("arousals after trials", facts.arousals, schedule.arousals_of_ten, ""),
        _most("wakings after trials", facts.wakings, schedule.wakings_most, ""),
    )


def sum_stages(stage: StageResult, names: tuple[str, ...]) -> float:
    """Probability of these stages together, added in a fixed order.

    >>> sum_stages(StageResult(1.0, 1.0, (0.0, 0.0, 0.25, 0.5, 0.25)), ("N2", "N3"))
    0.75
    """
    return (stage.probabilities[2] if "N2" in names else 0.0) + (stage.probabilities[3] if "N3" in names else 0.0)


def _most(name: str, value: float | None, limit: float, unit: str) -> Condition:
    if value is None or not isfinite(value):
        return _say(name, False, None, limit, unit)
    return _say(name, value <= limit, float(value), limit, unit)


def _least(name: str, value: float | None, limit: float, unit: str) -> Condition:
    if value is None or not isfinite(value):
        return _say(name, False, None, limit, unit)
    return _say(name, value >= limit, float(value), limit, unit)


def _first(refractory: float) -> Condition:
    return _say("refractory", True, None, refractory, "s")


def _event(name: str, seen: bool | None, wanted: str) -> Condition:
    value = None if seen is None else ("present" if seen else "absent")
    return _say(name, wanted == "any" or value == wanted, value, wanted)


def _say(name: str, holds: bool, value: float | str | None, limit: float | str | None, unit: str = "") -> Condition:
    """A `Condition`, made without the checks of a frozen one, which would cost half of the step's time."""
    made = object.__new__(Condition)
    fields = made.__dict__
    fields["name"], fields["holds"], fields["value"], fields["limit"], fields["unit"] = name, holds, value, limit, unit
    return made
