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
from sharpwave.live.oscillations import RIPPLES, SPINDLES, BurstState, step_bursts
from sharpwave.live.phase import PhaseState, step_phase
from sharpwave.live.polarity import PolarityState, note_stages, step_polarity, tell_polarity
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
        polarity: Of the measurement of polarity.
        spindle: Of the detector of spindles.
        ripple: Of the detector of ripples.

    >>> EstimatesState().last.amplitude is None
    True
    """

    last: Estimates = field(default_factory=lambda: Estimates(until=-math.inf))
    held: float = 0.0
    phase: PhaseState = field(default_factory=PhaseState)
    guard: GuardState = field(default_factory=GuardState)
    polarity: PolarityState = field(default_factory=PolarityState)
    spindle: BurstState = field(default_factory=BurstState)
    ripple: BurstState = field(default_factory=BurstState)


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
    filled, held = [], state.held
    for value in samples:
        held = value if math.isfinite(value) else held
        filled.append(held)
    state = _begin_anew(state, gap=clocked.gap, broken=not all(map(math.isfinite, samples)))
    rate, polarity = signal.rate, note_stages(state.polarity, stages)
    aim = math.radians(target.phase_deg)
    phase, phases = step_phase(state.phase, filled, rate=rate, target=aim, latency=signal.latency)
    if phases.new:
        polarity = step_polarity(polarity, phases.past.tolist(), phases.new, until=clocked.until)
    guard, guards = step_guard(state.guard, samples, rate=rate, limit=signal.limit_uv, mains=signal.mains)
    spindle, spindles = step_bursts(SPINDLES, state.spindle, filled, rate=rate)
    ripple, ripples = step_bursts(RIPPLES, state.ripple, filled, rate=rate)
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
        polarity=tell_polarity(polarity),
        spindle=spindle,
        ripple=ripple,
    )
    return estimates, EstimatesState(estimates, held, phases, guards, polarity, spindles, ripples)


def _begin_anew(state: EstimatesState, *, gap: float, broken: bool) -> EstimatesState:
    """The state without what cannot be carried over a gap, or over samples that are no numbers."""
    if gap > KEPT:
        return EstimatesState(state.last, state.held)
    if gap > 0.0 or broken:
        return replace(state, phase=PhaseState(), spindle=BurstState(), ripple=BurstState())
    return state
