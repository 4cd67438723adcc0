"""The gate: the only file that can say "cue". A pure step: no clock, thread, file or chance inside.

    state = init_live(protocol, start=t0)
    decision, state = step_live(protocol, state, chunk, now=t)

A step without new samples takes `None` as its chunk: the loop steps at least every 100 ms whether samples come or not.
A trial goes through three steps. *Intended* (`decision.action`): every condition holds and the target lies ahead; the
loop writes that durably. *Checked*: every condition again, in each step until the onset; where one no longer holds, the
trial is cancelled. *Released* (`decision.release`): at most 20 ms before the onset every condition holds still; only
this may be handed to the interlock. So the loop makes a step at `onset - RECHECK`, and one that comes too late cancels.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field, replace
from math import inf, isfinite
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.clock import ClockState, step_clock
from sharpwave.live.conditions import Facts, find_conditions, sum_stages
from sharpwave.live.decision import (
    Cancelled,
    Chunk,
    Command,
    Decision,
    Estimates,
    Hold,
    Intend,
    Outcome,
    StageResult,
)
from sharpwave.live.estimates import init_estimates, step_estimates
from sharpwave.live.protocol import Protocol
from sharpwave.live.schedule import choose_cue
from sharpwave.live.trials import HOUR, Trials, follow_trials, give_trial

RECHECK = 0.02
"""Seconds before the onset at which every condition must hold again."""
STALL = 0.5
"""Seconds without a step after which the loop stood still."""
UNHEARD = 100


@dataclass(frozen=True)
class Sleeper:
    """What stager and guard said of the sleeper so far; times in seconds of loop time.

    Attributes:
        stage: The last result that made sense; None before one, and after one that made none.
        asleep_since: Since when every result allowed cues; None where the last did not.
        woke_at: When wake was last seen; the start of the night counts.
        aroused_at: When an arousal or movement was last suspected; the start of the night counts.
    """

    stage: StageResult | None
    asleep_since: float | None
    woke_at: float
    aroused_at: float


@dataclass(frozen=True)
class LiveState:
    """Everything that is carried from step to step; never changed in place, so an old one can be gone back to.

    Attributes:
        start: Loop time at which the night began, in seconds.
        last_now: Loop time of the last step.
        stalled_at: When the loop last stood still or its clock went back; the start counts.
        operator: `waiting`, `armed`, `paused` or `stopped`.
        sleeper: What was said of the sleeper.
        trials: What was given.
        pending: The trial that is intended and neither given nor cancelled.
        clock: Of the source.
        estimates: What the filters said last.
        filters: What the filters carry.
        unheard: Results of the stager that came without samples, for the filters at the next chunk.

    >>> state = init_live(Protocol("mine"), start=0.0)
    >>> state.operator, state.pending is None
    ('waiting', True)
    """

    start: float
    last_now: float
    stalled_at: float
    operator: str
    sleeper: Sleeper
    trials: Trials
    pending: Intend | None = None
    clock: ClockState = field(default_factory=ClockState)
    estimates: Estimates = field(default_factory=lambda: Estimates(until=-inf))
    filters: Any = None
    unheard: tuple[StageResult, ...] = ()


def init_live(protocol: Protocol, *, start: float) -> LiveState:
    """The state before anything has arrived: not armed, and the sleeper awake.

    Args:
        protocol: Of the night.
        start: Loop time at which the night begins, in seconds.

    Raises:
        SharpwaveError: If the start is no number.

    >>> init_live(Protocol("mine"), start=0.0).operator
    'waiting'
    """
    if not isfinite(start):
        raise SharpwaveError(
            "a start in seconds of loop time", got=repr(start), fix="pass the time of the loop's clock"
        )
    return init_gate(protocol, start=start, filters=init_estimates(protocol))


def init_gate(protocol: Protocol, *, start: float, filters: Any = None) -> LiveState:
    """The state of a gate that is fed with estimates (`step_gate`) instead of samples."""
    sleeper = Sleeper(None, None, woke_at=start, aroused_at=start)
    trials = Trials(level_db=protocol.limits.level_first_db)
    return LiveState(float(start), float(start), float(start), "waiting", sleeper, trials, filters=filters)


def step_live(
    protocol: Protocol,
    state: LiveState,
    chunk: Chunk | None,
    *,
    now: float,
    stages: tuple[StageResult, ...] = (),
    commands: tuple[Command, ...] = (),
) -> tuple[Decision, LiveState]:
    """Take in what is new, look at every condition, and decide.

    Args:
        protocol: The same as in `init_live`.
        state: State from `init_live` or the last call.
        chunk: Samples that have arrived since; None where none have.
        now: Loop time in seconds; it never goes back, and where it does nothing is given until it settled.
        stages: Results of the stager that have come since.
        commands: Of the operator, in their order.

    Returns:
        What was decided, and the state for the next call.

    Raises:
        SharpwaveError: If `now` is no number, a command is unknown, or the chunk has other channels than the protocol.

    >>> protocol = Protocol("mine")
    >>> decision, state = step_live(protocol, init_live(protocol, start=0.0), None, now=0.1)
    >>> decision.action.why[:2]
    ('armed', 'loop running')
    """
    if chunk is not None and len(chunk.samples):
        if chunk.samples.ndim != 2 or chunk.samples.shape[1] != len(protocol.signal.channels):
            raise SharpwaveError(
                f"samples of {len(protocol.signal.channels)} channels",
                got=f"an array of shape {chunk.samples.shape}",
                fix="let the source deliver the channels of the protocol, in their order",
            )
        clocked, clock = step_clock(protocol.signal.rate, state.clock, chunk)
        heard = (*state.unheard, *stages)
        estimates, filters = step_estimates(protocol, state.filters, chunk, clocked, heard)
        state = replace(state, clock=clock, estimates=estimates, filters=filters, unheard=())
    elif stages:
        state = replace(state, unheard=(*state.unheard, *stages)[-UNHEARD:])
    return step_gate(protocol, state, now=now, stages=stages, commands=commands)


def step_gate(
    protocol: Protocol,
    state: LiveState,
    *,
    now: float,
    stages: tuple[StageResult, ...] = (),
    commands: tuple[Command, ...] = (),
) -> tuple[Decision, LiveState]:
    """The decision alone, from `state.clock` and `state.estimates` as they are.

    Args:
        protocol: Of the night.
        state: State so far, with what clock and filters said last.
        now: Loop time in seconds.
        stages: Results of the stager that have come since.
        commands: Of the operator.

    Returns:
        What was decided, and the state for the next call.
    """
    if not isfinite(now):
        raise SharpwaveError("now in seconds of loop time", got=repr(now), fix="pass the time of the loop's clock")
    stood_still = now - state.last_now > STALL or now < state.last_now
    stalled_at = max(now, state.last_now) if stood_still else state.stalled_at
    estimates = state.estimates
    sleeper = _hear_sleeper(protocol, state.sleeper, estimates, stages, state.start, max(now, state.last_now))
    trials, outcomes = follow_trials(
        protocol, state.trials, woke_at=sleeper.woke_at, aroused_at=sleeper.aroused_at, now=now
    )
    operator = state.operator
    for command in commands:
        operator = _obey(operator, command)
    state = LiveState(
        state.start,
        max(now, state.last_now),
        stalled_at,
        operator,
        sleeper,
        trials,
        state.pending,
        state.clock,
        estimates,
        state.filters,
        state.unheard,
    )
    conditions = find_conditions(protocol, _collect(state, now), estimates)
    return _decide(protocol, state, now, conditions, outcomes)


def _decide(
    protocol: Protocol, state: LiveState, now: float, conditions: tuple[Any, ...], outcomes: tuple[Outcome, ...]
) -> tuple[Decision, LiveState]:
    why = tuple(one.name for one in conditions if not one.holds)
    pending, estimates = state.pending, state.estimates
    if pending is None:
        if why:
            return Decision(now, conditions, Hold(why), estimates, outcomes=outcomes), state
        assert estimates.crossing is not None
        onset, trial = float(estimates.crossing), state.trials.next_trial
        level, deadline = state.trials.level_db, onset + protocol.target.late_most
        intend = Intend(onset, trial, choose_cue(protocol.schedule, trial), level, deadline)
        state = replace(state, pending=intend, trials=replace(state.trials, next_trial=trial + 1))
        return Decision(now, conditions, intend, estimates, pending=intend, outcomes=outcomes), state
    why_not = tuple(name for name in why if name != "no trial under way")
    if why_not or now > pending.deadline:
        cancelled = Cancelled(pending.trial, why_not or ("target ahead",))
        state = replace(state, pending=None)
        return Decision(now, conditions, Hold(why), estimates, cancelled=cancelled, outcomes=outcomes), state
    if now < pending.onset - RECHECK:
        return Decision(now, conditions, Hold(why), estimates, pending=pending, outcomes=outcomes), state
    state = replace(state, pending=None, trials=give_trial(state.trials, pending))
    return Decision(now, conditions, Hold(why), estimates, release=pending, outcomes=outcomes), state


def _hear_sleeper(
    protocol: Protocol,
    before: Sleeper,
    estimates: Estimates,
    stages: tuple[StageResult, ...],
    start: float,
    now: float,
) -> Sleeper:
    """What is known of the sleeper after new results of the stager and new estimates."""
    sleep, guard, sleeper = protocol.sleep, protocol.guard, before
    for result in stages:
        p = result.probabilities
        if len(p) == 5 and p[0] > sleep.wake_probability:  # believed even where the rest makes no sense
            sleeper = replace(sleeper, woke_at=now)
        if result == sleeper.stage:
            continue
        if not makes_sense(result, sleeper.stage, start, now):
            sleeper = replace(sleeper, stage=None, asleep_since=None)
            continue
        since = sleeper.asleep_since
        if sum_stages(result, sleep.stages) < sleep.probability:
            since = None
        elif since is None or sleeper.stage is None or result.heard_until - sleeper.stage.heard_until > sleep.age_most:
            since = result.heard_until
        sleeper = replace(sleeper, stage=result, asleep_since=since)
    if _exceeds(estimates.arousal_ratio, guard.arousal_ratio) or _exceeds(
        estimates.movement_ratio, guard.movement_ratio
    ):
        sleeper = replace(sleeper, aroused_at=now)
    return sleeper


def makes_sense(result: StageResult, before: StageResult | None, start: float, now: float) -> bool:
    """Whether a result of the stager can be one: of this night, not of the future, newer than the one before.

    Args:
        result: What came.
        before: The result before; None where there is none.
        start: Loop time at which the night began.
        now: Loop time.

    >>> makes_sense(StageResult(5.0, 5.0, (0.0, 0.0, float("nan"), 1.0, 0.0)), None, 0.0, 6.0)
    False
    """
    p = result.probabilities
    return (
        len(p) == 5
        and all(0.0 <= one <= 1.0 for one in p)
        and abs(p[0] + p[1] + p[2] + p[3] + p[4] - 1.0) <= 0.01
        and start <= result.heard_until <= result.made_at <= now
        and (before is None or result.heard_until > before.heard_until)
    )


def _exceeds(value: float | None, limit: float) -> bool:
    return value is not None and value > limit


def _obey(operator: str, command: Command) -> str:
    if command.name not in ("arm", "pause", "resume", "stop"):
        raise SharpwaveError("a command among arm, pause, resume, stop", got=repr(command.name), fix="use one of these")
    if operator == "stopped" or command.name == "stop":
        return "stopped"
    after = {("waiting", "arm"): "armed", ("armed", "pause"): "paused", ("paused", "resume"): "armed"}
    return after.get((operator, command.name), operator)


def _collect(state: LiveState, now: float) -> Facts:
    sleeper, trials, clock, pending = state.sleeper, state.trials, state.clock, state.pending
    onset = pending.onset if pending is not None else state.estimates.crossing
    reference = now if onset is None else onset
    hour = len(trials.onsets) - bisect_right(trials.onsets, reference - HOUR)
    arousals = sum(trials.last_ten) + sum(one.disturbed != "no" for one in trials.open)
    return Facts(
        now,
        state.start,
        state.operator,
        state.stalled_at,
        clock.fault,
        clock.fault_at,
        clock.gap_at,
        clock.rate,
        sleeper.stage,
        sleeper.asleep_since,
        sleeper.woke_at,
        sleeper.aroused_at,
        onset,
        trials.last_onset,
        hour,
        trials.given,
        trials.level_db if pending is None else pending.level_db,
        arousals,
        trials.wakings,
        pending is not None,
    )
