"""The interlock: between the loop and whatever sounds, it knows little and allows less.

It runs as a process of its own, which holds the sinks: `interlock_process` reads JSON lines from one
end of a socket. It knows the token of this night, how loud and how often a cue may come, until when, a stop that
lasts, and a dead man: without a sign of life of the loop for half a second nothing sounds. When the loop dies its
socket closes, and when this process dies the sound dies with it.

`step_interlock` is the whole of its judgement, without clock, socket or sink.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

HARD_CAP = 55.0
"""Loudest level that anything may ask for, in dB(A); no option lifts it."""
LEAD = 5.0
"""Longest time by which a cue may be asked for ahead, in seconds."""
HOUR = 3600.0


@dataclass(frozen=True)
class InterlockLimits:
    """What a cue is held against, whatever the loop believes.

    Attributes:
        token: Secret of this night; a message without it is refused, but for a stop.
        cues: Names of the cues that were consented to.
        level_db: Loudest level in dB(A); never above `HARD_CAP`.
        spacing: Shortest time between onsets, in seconds.
        per_hour: Most cues in an hour, withheld ones counted.
        per_night: Most cues in a night, withheld ones counted.
        dead_man: Longest time without a sign of life, in seconds.
        latency: Time from asking a sink to the sound, in seconds, as calibrated.

    >>> InterlockLimits("secret", cues=("pink",), level_db=99.0).cap
    55.0
    """

    token: str
    cues: tuple[str, ...]
    level_db: float = 40.0
    spacing: float = 6.0
    per_hour: int = 240
    per_night: int = 1000
    dead_man: float = 0.5
    latency: float = 0.0

    @property
    def cap(self) -> float:
        """What is really held: the lower of the limit and the hard cap, in dB(A)."""
        return min(self.level_db, HARD_CAP)


@dataclass(frozen=True)
class Waiting:
    """A cue whose time has not come.

    Attributes:
        trial: Number of the trial.
        cue_ref: Which cue.
        level_db: Level in dB(A).
        onset: When it is to be heard, in seconds of loop time.
        deadline: After which it must not be, in seconds of loop time.
    """

    trial: int
    cue_ref: str
    level_db: float
    onset: float
    deadline: float


@dataclass(frozen=True)
class InterlockState:
    """What the interlock remembers.

    Attributes:
        beat_at: Loop time of the last sign of life that was sent in time, in seconds.
        beat_number: Its number; numbers only grow.
        dead: Whether the dead man let go.
        stopped: Why everything was stopped for good; empty where it was not.
        waiting: The cue that waits; one at a time.
        last_trial: Highest trial that was asked for.
        onsets: Onsets of the last hour, in seconds.
        given: Number of cues of the night, withheld ones counted.
    """

    beat_at: float = -math.inf
    beat_number: int = -1
    dead: bool = True
    stopped: str = ""
    waiting: Waiting | None = None
    last_trial: int = 0
    onsets: tuple[float, ...] = ()
    given: int = 0


Action = tuple[str, Any]
"""What is to be done: ("play", Waiting), ("silence", why) or ("say", record for the loop)."""


def step_interlock(
    limits: InterlockLimits, state: InterlockState, *, now: float, message: Mapping[str, Any] | None = None
) -> tuple[tuple[Action, ...], InterlockState]:
    """Judge one message, or only the passing of time.

    Args:
        limits: What is allowed.
        state: What is remembered.
        now: Loop time in seconds.
        message: From the loop; None where only time has passed.

    Returns:
        What is to be done, in this order, and what is remembered next.

    >>> limits = InterlockLimits("secret", cues=("pink",))
    >>> beat = {"kind": "beat", "token": "secret", "number": 1, "at": 0.0}
    >>> cue = dict(kind="cue", token="secret", trial=1, cue_ref="pink", level_db=40.0, onset=0.3, deadline=0.32)
    >>> _, state = step_interlock(limits, InterlockState(), now=0.0, message=beat)
    >>> actions, state = step_interlock(limits, state, now=0.0, message=cue)
    >>> actions, state.waiting.onset
    ((), 0.3)
    >>> step_interlock(limits, state, now=0.3)[0][0][0]
    'play'
    >>> step_interlock(limits, state, now=0.6)[0]
    (('silence', 'no sign of life'), ('say', {'kind': 'failed', 'trial': 1, 'why': 'no sign of life'}))
    """
    actions: tuple[Action, ...] = ()
    if now - state.beat_at > limits.dead_man and not state.dead:
        dropped, state = _drop(state, "no sign of life")
        actions, state = (("silence", "no sign of life"), *dropped), replace(state, dead=True)
    if message is not None:
        done, state = _hear(limits, state, now, message)
        actions += done
    done, state = _let_go(limits, state, now)
    return actions + done, state


def _hear(
    limits: InterlockLimits, state: InterlockState, now: float, message: Mapping[str, Any]
) -> tuple[tuple[Action, ...], InterlockState]:
    kind = message.get("kind")
    if kind == "stop":
        why = str(message.get("why", "stop"))[:100]
        dropped, state = _drop(state, why)
        return (("silence", why), *dropped), replace(state, stopped=state.stopped or why)
    if message.get("token") != limits.token:
        return (("say", {"kind": "refused", "why": "wrong token"}),), state
    if kind == "beat":
        number: Any = message.get("number")
        at: Any = message.get("at")
        fresh = _is_number(at) and -1e-3 <= now - at <= limits.dead_man
        if not isinstance(number, int) or number <= state.beat_number or not fresh:
            return (), state
        return (), replace(state, beat_at=now, beat_number=number, dead=False)
    if kind == "cancel":
        if state.waiting is None or state.waiting.trial != message.get("trial"):
            return (), state
        return _drop(state, str(message.get("why", "cancelled"))[:100])
    if kind != "cue":
        return (("say", {"kind": "refused", "why": "unknown message"}),), state
    why = _refuse(limits, state, now, message)
    if why:
        trial = message.get("trial")
        return (("say", {"kind": "failed", "trial": trial if isinstance(trial, int) else None, "why": why}),), state
    cue = Waiting(*(message[name] for name in ("trial", "cue_ref", "level_db", "onset", "deadline")))
    return (), replace(state, waiting=cue, last_trial=cue.trial)


def _refuse(limits: InterlockLimits, state: InterlockState, now: float, cue: Mapping[str, Any]) -> str:
    """Why a cue is not even let to wait; empty where it is."""
    values: list[Any] = [cue.get(name) for name in ("trial", "level_db", "onset", "deadline")]
    trial, level, onset, deadline = values
    if not (isinstance(trial, int) and not isinstance(trial, bool) and all(map(_is_number, (level, onset, deadline)))):
        return "no numbers"
    if state.stopped or state.dead:
        return "stopped" if state.stopped else "no sign of life"
    if state.waiting is not None:
        return "another cue waits"
    if trial <= state.last_trial:
        return "trial was there before"
    if cue.get("cue_ref") not in limits.cues:
        return "cue that nobody agreed to"
    if level > limits.cap:
        return "louder than allowed"
    if not now - 1e-6 <= onset <= deadline or onset - now > LEAD:
        return "onset too late or too far ahead"
    return _refuse_rate(limits, state, onset)


def _refuse_rate(limits: InterlockLimits, state: InterlockState, onset: float) -> str:
    if state.onsets and onset - state.onsets[-1] < limits.spacing - 1e-6:
        return "too soon after the last"
    if sum(one > onset - HOUR for one in state.onsets) >= limits.per_hour:
        return "too many in this hour"
    return "too many in this night" if state.given >= limits.per_night else ""


def _let_go(limits: InterlockLimits, state: InterlockState, now: float) -> tuple[tuple[Action, ...], InterlockState]:
    """The waiting cue, where its time has come: checked once more, then played."""
    cue = state.waiting
    if cue is None or now < cue.onset - limits.latency - 1e-9:
        return (), state
    heard = max(now + limits.latency, cue.onset)
    why = "stopped" if state.stopped else "no sign of life" if state.dead else ""
    why = why or ("too late" if heard > cue.deadline + 1e-9 else _refuse_rate(limits, state, heard))
    if why:
        return _drop(state, why)
    onsets = (*(one for one in state.onsets if one > heard - HOUR), heard)
    return (("play", cue),), replace(state, waiting=None, onsets=onsets, given=state.given + 1)


def _drop(state: InterlockState, why: str) -> tuple[tuple[Action, ...], InterlockState]:
    if state.waiting is None:
        return (), state
    record = {"kind": "failed", "trial": state.waiting.trial, "why": why}
    return (("say", record),), replace(state, waiting=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
