"""What goes into a step of the live loop, and what comes out: values alone, without clock, thread, file or chance.

All times are seconds of one clock, the *loop time*: that of the machine that runs the loop, which never goes back.
A source stamps its samples in a clock of its own; `Chunk.stamp` keeps that, and `live.clock` brings it into loop time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

STAGES = ("W", "N1", "N2", "N3", "R")
"""Order of the probabilities of a `StageResult`."""


@dataclass(frozen=True)
class Chunk:
    """Samples that arrived together.

    Attributes:
        samples: In volts, shape (sample, channel), channels in the order of the protocol.
        index: Number of the first sample since the stream began, as the source counts them; a gap in it is a gap.
        stamp: When the first sample was taken, in seconds of the source's clock.
        arrival: When the loop got the chunk, in seconds of loop time.

    >>> Chunk(np.zeros((8, 1), np.float32), index=0, stamp=10.0, arrival=0.1).samples.shape
    (8, 1)
    """

    samples: Float32[np.ndarray, "sample channel"]
    index: int
    stamp: float
    arrival: float


@dataclass(frozen=True)
class StageResult:
    """What the stager said, from the past alone.

    Attributes:
        made_at: Loop time at which it was made, in seconds.
        heard_until: Loop time of the last sample that it was made from, in seconds.
        probabilities: Of the five stages in the order of `STAGES`; they sum to 1.

    >>> StageResult(60.2, 60.0, (0.01, 0.01, 0.08, 0.89, 0.01)).probabilities[3]
    0.89
    """

    made_at: float
    heard_until: float
    probabilities: tuple[float, float, float, float, float]


@dataclass(frozen=True)
class Command:
    """What the operator asked for.

    Attributes:
        name: `arm` lets cues be given once every condition holds; `pause` holds them until `resume`; `stop` ends them.
        at: Loop time at which it arrived, in seconds.

    >>> Command("stop", at=12.5).name
    'stop'
    """

    name: Literal["arm", "pause", "resume", "stop"]
    at: float


@dataclass(frozen=True)
class Estimates:
    """What the causal filters know after the last sample; None where nothing is known yet.

    Attributes:
        until: Loop time of the last sample, in seconds.
        phase: Phase of the slow oscillation now, in radians, 0 at the positive peak of declared polarity.
        amplitude: Amplitude of the slow oscillation now, in volts.
        amplitude_ratio: Amplitude over its running mean.
        crossing: Loop time at which the phase will reach the target, in seconds; latency of the chain is counted in.
        arousal_ratio: Power at 16 to 40 Hz of three seconds over its running median of five minutes.
        movement_ratio: Root mean square of a second over its running median.
        flat_share: Share of the last second's samples that repeat the one before.
        saturated_share: Share of the last second's samples at a limit of the amplifier.
        mains_ratio: Amplitude of 50 or 60 Hz over that of the signal of 0.5 to 30 Hz.
        polarity: What minutes of N3 said: `as declared`, `inverted`, or `unknown` until then.
        spindle: Whether a spindle is under way.
        ripple: Whether a ripple is under way.

    >>> Estimates(until=3.0).polarity
    'unknown'
    """

    until: float
    phase: float | None = None
    amplitude: float | None = None
    amplitude_ratio: float | None = None
    crossing: float | None = None
    arousal_ratio: float | None = None
    movement_ratio: float | None = None
    flat_share: float | None = None
    saturated_share: float | None = None
    mains_ratio: float | None = None
    polarity: Literal["as declared", "inverted", "unknown"] = "unknown"
    spindle: bool | None = None
    ripple: bool | None = None


@dataclass(frozen=True)
class Condition:
    """One condition of a cue, as it stood at a step.

    Attributes:
        name: Its name, the same in every step, on the page and in the audit.
        holds: Whether a cue may be given as far as it is concerned. What is unknown does not hold.
        value: What was found; None where it is not known.
        limit: What it is held against.
        unit: Unit of both, such as `s`, `dB(A)` or an empty text.

    >>> Condition("age of data", holds=True, value=0.04, limit=0.25, unit="s").holds
    True
    """

    name: str
    holds: bool
    value: float | str | None
    limit: float | str | None
    unit: str = ""


@dataclass(frozen=True)
class Hold:
    """No cue now.

    Attributes:
        why: Names of the conditions that do not hold, in their order.

    >>> Hold(why=("asleep",)).why
    ('asleep',)
    """

    why: tuple[str, ...]


@dataclass(frozen=True)
class Intend:
    """A cue is to be given; whether it sounds is sealed, and nobody who reads this can tell.

    Attributes:
        onset: Loop time at which it is to be heard, in seconds.
        trial: Number of the trial in this night, from 1.
        cue_ref: Which cue of the consented list.
        level_db: Its level in dB(A) at the sleeper's ear.
        deadline: Loop time after which it must not be given any more, in seconds.

    >>> Intend(onset=100.4, trial=7, cue_ref="cue-03", level_db=40.0, deadline=100.42).trial
    7
    """

    onset: float
    trial: int
    cue_ref: str
    level_db: float
    deadline: float


@dataclass(frozen=True)
class Cancelled:
    """A trial that was intended and is not given.

    Attributes:
        trial: Its number.
        why: Names of the conditions that no longer held.

    >>> Cancelled(trial=7, why=("arousal",)).why
    ('arousal',)
    """

    trial: int
    why: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the sleeper did after a trial, known once its window is over.

    Attributes:
        trial: Its number.
        onset: When it was to be heard, in seconds of loop time.
        disturbed: Whether an arousal was suspected or the stager saw wake within the window.

    >>> Outcome(trial=7, onset=100.4, disturbed="no").disturbed
    'no'
    """

    trial: int
    onset: float
    disturbed: Literal["no", "arousal", "waking"]


@dataclass(frozen=True)
class Decision:
    """What a step of the loop found and decided.

    Attributes:
        now: Loop time of the step, in seconds.
        conditions: Every condition, in a fixed order.
        action: `Hold`, or `Intend`: a new trial, to be written durably at once; nothing sounds yet.
        estimates: What the decision was made from.
        pending: The trial that is intended and neither given nor cancelled.
        release: The trial that may be given now: every condition held again, at most 20 ms before its onset.
        cancelled: The trial that was intended and is not given.
        outcomes: Trials whose window is over.

    >>> Decision(0.0, (), Hold(why=("armed",)), Estimates(until=0.0)).action.why
    ('armed',)
    """

    now: float
    conditions: tuple[Condition, ...]
    action: Hold | Intend
    estimates: Estimates
    pending: Intend | None = None
    release: Intend | None = None
    cancelled: Cancelled | None = None
    outcomes: tuple[Outcome, ...] = ()
