"""A night in which a cue may be given at every moment, and what breaks it: what the tests of the gate begin from."""

from __future__ import annotations

from dataclasses import replace

from sharpwave.live.clock import ClockState
from sharpwave.live.decision import Command, Decision, Estimates, StageResult
from sharpwave.live.gate import RECHECK, LiveState, init_gate, step_gate
from sharpwave.live.protocol import Protocol

DEEP = (0.01, 0.01, 0.08, 0.89, 0.01)
AWAKE = (0.95, 0.02, 0.01, 0.01, 0.01)


def estimate(now: float, **changes: object) -> Estimates:
    """What the filters say in quiet deep sleep, the target 0.1 s ahead."""
    good = Estimates(
        until=now - 0.03,
        phase=0.1,
        amplitude=50e-6,
        amplitude_ratio=1.5,
        crossing=now + 0.1,
        arousal_ratio=1.0,
        movement_ratio=1.0,
        flat_share=0.0,
        saturated_share=0.0,
        mains_ratio=0.1,
        polarity="as declared",
        spindle=False,
        ripple=False,
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def step(
    protocol: Protocol,
    state: LiveState,
    now: float,
    *,
    stage: tuple[float, ...] | None = DEEP,
    commands: tuple[Command, ...] = (),
    clock: dict[str, object] | None = None,
    **changes: object,
) -> tuple[Decision, LiveState]:
    """One step of the gate; `changes` are of the estimates, `stage` None brings no result."""
    steady = ClockState(next_index=1, rate=protocol.signal.rate, gap_at=0.0)
    state = replace(state, clock=replace(steady, **(clock or {})), estimates=estimate(now, **changes))  # type: ignore
    stages = () if stage is None else (StageResult(now - 0.01, now - 0.1, stage),)  # type: ignore[arg-type]
    return step_gate(protocol, state, now=now, stages=stages, commands=commands)


def fall_asleep(protocol: Protocol, *, until: float = 200.0, armed: bool = True) -> LiveState:
    """The state after minutes of deep sleep without a target, every 0.25 s a step."""
    state = init_gate(protocol, start=0.0)
    now = 0.25
    while now < until:
        commands = (Command("arm", now),) if armed and now == 1.0 else ()
        stage = DEEP if now % 5 == 0 else None
        _, state = step(protocol, state, now, stage=stage, commands=commands, crossing=None)
        now += 0.25
    return state


def give(protocol: Protocol, state: LiveState, now: float) -> tuple[Decision, LiveState]:
    """Intend a trial at `now` and release it 20 ms before its onset."""
    decision, state = step(protocol, state, now)
    assert decision.pending is not None, decision.action
    return step(protocol, state, decision.pending.onset - RECHECK, stage=None)
