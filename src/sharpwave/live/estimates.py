"""What the causal filters know after each chunk: phase, guard, spindles, ripples and polarity in one step.

The step is pure, and its numbers do not depend on how the stream is cut into chunks. After a gap the filters of phase
begin anew and say nothing for four seconds; what is learned over minutes is kept through gaps of less than a minute.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from sharpwave.live.clock import Clocked
from sharpwave.live.decision import Chunk, Estimates, StageResult
from sharpwave.live.guard import GuardState, step_guard
from sharpwave.live.phase import PhaseState, step_phase
from sharpwave.live.protocol import Protocol

KEPT = 60.0
"""Seconds of a gap after which what was learned of the sleeper is forgotten: electrodes may have been changed."""


@dataclass(frozen=True, eq=False)
class EstimatesState:
    """What is carried from chunk to chunk.

    Attributes:
        last: The estimates before; those of a chunk that brings nothing new.
        held: The last sample that was a number, in µV, of the declared polarity.
        phase: Of the predictor.
        guard: Of the guard.
    """

    last: Estimates = field(default_factory=lambda: Estimates(until=-math.inf))
    held: float = 0.0
    phase: PhaseState = field(default_factory=PhaseState)
    guard: GuardState = field(default_factory=GuardState)


def init_estimates(protocol: Protocol) -> EstimatesState:
    """The state before the first chunk.

    Args:
        protocol: Protocol of the night.

    >>> init_estimates(Protocol("mine")).last.polarity
    'unknown'
    """
    return EstimatesState()


def step_estimates(
    protocol: Protocol, state: EstimatesState, chunk: Chunk, clocked: Clocked, stages: Sequence[StageResult] = ()
) -> tuple[Estimates, EstimatesState]:
    """Take in a chunk.

    Args:
        protocol: Protocol of the night: its `signal` and `target` are read.
        state: State so far, from `init_estimates` at first.
        chunk: What arrived; the first channel is the one that is cued by.
        clocked: Where its samples lie in loop time: `until`, `gap` and `skip` are read.
        stages: Stage results that have come since the last step; without any N3 the polarity stays unknown.

    Returns:
        What is known after the last sample, and the state for the next chunk.

    >>> import numpy as np
    >>> protocol = Protocol("mine")
    >>> chunk = Chunk(np.zeros((8, 1), np.float32), index=0, stamp=0.0, arrival=0.03)
    >>> step_estimates(protocol, init_estimates(protocol), chunk, Clocked(0.0, 0.03, 1 / 256))[0].until
    0.03
    """
    signal, target = protocol.signal, protocol.target
    sign = -1e6 if signal.polarity == "negative" else 1e6
    samples = [sign * value for value in chunk.samples[clocked.skip :, 0].tolist()]
    if not samples:
        return state.last, state
    if clocked.gap > 0.0:
        state = replace(state, phase=PhaseState())
    if clocked.gap > KEPT:
        state = replace(state, guard=GuardState())
    known = [value for value in samples if math.isfinite(value)]
    filled, held = [], state.held
    for value in samples:
        held = value if math.isfinite(value) else held
        filled.append(held)
    before = PhaseState() if len(known) < len(samples) else state.phase
    phase, phase_state = step_phase(
        before,
        filled,
        rate=signal.rate,
        target=math.radians(target.phase_deg),
        latency=signal.latency,
    )
    guard, guard_state = step_guard(state.guard, samples, rate=signal.rate, limit=signal.limit_uv, mains=signal.mains)
    estimates = Estimates(
        until=clocked.until,
        phase=None if phase is None else phase.phase,
        amplitude=None if phase is None else phase.amplitude * 1e-6,
        amplitude_ratio=None if phase is None else phase.amplitude_ratio,
        crossing=None if phase is None or phase.wait is None else clocked.until + phase.wait,
        arousal_ratio=guard.arousal_ratio,
        movement_ratio=guard.movement_ratio,
        flat_share=guard.flat_share,
        saturated_share=guard.saturated_share,
        mains_ratio=guard.mains_ratio,
    )
    return estimates, EstimatesState(estimates, held, phase_state, guard_state)
