"""What no protocol may go beyond: limits that no file and no option lifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.live.protocol import Protocol

MOST_CUES = 1000
"""Cues in a list."""

BOUNDS: dict[str, tuple[float, float]] = {
    "signal.rate": (64.0, 4096.0),
    "signal.limit_uv": (50.0, 1e6),
    "signal.latency": (0.0, 0.3),
    "signal.rate_tolerance": (0.0, 0.01),
    "signal.settle": (1.0, 600.0),
    "target.phase_deg": (-180.0, 180.0),
    "target.amplitude_ratio": (0.5, 10.0),
    "target.amplitude_least_uv": (1.0, 500.0),
    "target.amplitude_most_uv": (1.0, 1000.0),
    "target.lead_least": (0.025, 1.0),
    "target.lead_most": (0.025, 1.0),
    "target.late_most": (0.0, 0.05),
    "sleep.probability": (0.5, 1.0),
    "sleep.stable": (60.0, 3600.0),
    "sleep.age_most": (1.0, 10.0),
    "sleep.wake_probability": (0.01, 0.5),
    "sleep.wake_lock": (120.0, 7200.0),
    "guard.age_most": (0.02, 0.25),
    "guard.arousal_ratio": (1.0, 5.0),
    "guard.arousal_lock": (30.0, 3600.0),
    "guard.movement_ratio": (1.0, 10.0),
    "guard.flat_share": (0.0, 0.9),
    "guard.saturated_share": (0.0, 0.1),
    "guard.mains_ratio": (0.0, 5.0),
    "limits.level_db": (0.0, 55.0),
    "limits.level_first_db": (0.0, 55.0),
    "limits.level_step_db": (0.0, 3.0),
    "limits.level_most_db": (0.0, 55.0),
    "limits.refractory": (6.0, 3600.0),
    "limits.per_hour": (1, 400),
    "limits.per_night": (1, 3000),
    "limits.hours": (0.01, 14.0),
    "limits.first_after": (0.0, 36000.0),
    "schedule.order_seed": (0, 2**63 - 1),
    "schedule.sham_share": (0.0, 1.0),
    "schedule.window": (5.0, 60.0),
    "schedule.arousals_of_ten": (1, 5),
    "schedule.wakings_most": (0, 3),
    "schedule.excess_p": (0.001, 0.2),
}
"""Least and largest value that a protocol may have; that of 55 dB(A) and the locks are limits of safety."""


def check_protocol(protocol: Protocol) -> None:
    """Refuse a protocol whose values are not what they should be, or laxer than allowed.

    Raises:
        SharpwaveError: If so.

    >>> from sharpwave.live.protocol import LimitPart, Protocol
    >>> Protocol("often", limits=LimitPart(refractory=1.0))
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected limits.refractory of at least 6; got 1.0. Fix: ...
    """
    for part in ("signal", "target", "sleep", "guard", "limits", "schedule"):
        for name, value in vars(getattr(protocol, part)).items():
            _check_number(f"{part}.{name}", value)
    _check_choices(protocol)
    _check_order(protocol)


def _check_number(where: str, value: Any) -> None:
    if where not in BOUNDS:
        return
    low, high = BOUNDS[where]
    if type(value) not in (int, float) or not math.isfinite(value):
        raise SharpwaveError(f"a number for {where}", got=repr(value)[:80], fix="correct it")
    if value < low:
        raise SharpwaveError(
            f"{where} of at least {low:g}", got=repr(value), fix="a protocol may be stricter, never laxer"
        )
    if value > high:
        raise SharpwaveError(
            f"{where} of at most {high:g}", got=repr(value), fix="a protocol may be stricter, never laxer"
        )


def _check_choices(protocol: Protocol) -> None:
    signal, target, schedule = protocol.signal, protocol.target, protocol.schedule
    for where, value, choices in (
        ("signal.polarity", signal.polarity, ("positive", "negative")),
        ("signal.mains", signal.mains, (50.0, 60.0)),
        ("target.spindle", target.spindle, ("any", "absent", "present")),
        ("target.ripple", target.ripple, ("any", "absent", "present")),
        ("schedule.order", schedule.order, ("in turn", "shuffled")),
    ):
        if value not in choices:
            raise SharpwaveError(
                f"for {where} one of {', '.join(map(str, choices))}", got=repr(value)[:80], fix="choose one"
            )
    for where, names, most in (("signal.channels", signal.channels, 64), ("schedule.cues", schedule.cues, MOST_CUES)):
        if (
            not 0 < len(names) <= most
            or len(set(names)) < len(names)
            or not all(0 < len(name) <= 100 for name in names)
        ):
            raise SharpwaveError(
                f"for {where} 1 to {most} different names", got=repr(names)[:80], fix="correct the list"
            )
    if not protocol.sleep.stages or not set(protocol.sleep.stages) <= {"N2", "N3"}:
        raise SharpwaveError(
            "for sleep.stages N2, N3 or both", got=repr(protocol.sleep.stages)[:80], fix="choose of these"
        )
    for name in (signal.eog, signal.emg):
        if name and name not in signal.channels:
            raise SharpwaveError("eog and emg among signal.channels", got=repr(name)[:80], fix="add it to the channels")


def _check_order(protocol: Protocol) -> None:
    limits, target = protocol.limits, protocol.target
    for low, high, words in (
        (limits.level_db, limits.level_most_db, "limits.level_db of at most limits.level_most_db"),
        (limits.level_first_db, limits.level_db, "limits.level_first_db of at most limits.level_db"),
        (target.lead_least, target.lead_most, "target.lead_least of at most target.lead_most"),
        (target.amplitude_least_uv, target.amplitude_most_uv, "target.amplitude_least_uv of at most amplitude_most_uv"),
    ):
        if low > high:
            raise SharpwaveError(words, got=f"{low:g} and {high:g}", fix="correct one of them")
