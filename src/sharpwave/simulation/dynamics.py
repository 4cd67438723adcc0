"""The night second by second: stage, depth, ripples, spindles, each acting on the next second and on nothing before.

Every second, in this order: depth moves; the hazards of leaving the stage and of a brief arousal are formed from the
architecture, the common causes and the reactivations so far; a change is drawn; then spindles, ripples and what the
ripples carry are drawn. So a planted effect truly acts, and nothing else does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, log10

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.simulation.effects import (
    AROUSALS_BY_INFRASLOW,
    CONTENTS,
    RIPPLES_BY_INFRASLOW,
    SPINDLES_BY_INFRASLOW,
    Effects,
    Nuisance,
    compute_infraslow_phase,
    compute_rate_modulation,
    compute_wander,
)
from sharpwave.simulation.hypnograms import Architecture, SleepClock
from sharpwave.simulation.species import Species

REFRESH = 5
"""Seconds between updates of the architecture's hazards within a bout (they move slowly)."""

SLEEP_KEEPS, WAKE_KEEPS = exp(-1 / (2.5 * 3600)), exp(-1 / (18 * 3600))
"""What a second leaves of sleep pressure, and of its distance from the top: decay 2.5 h, rise 18 h (in the ranges of
Rusterholz et al. 2010, PMC2849788)."""

REPLAY_HALF_LIFE = 6 * 3600.0
"""Half-life of the share of NREM ripples that carry a reactivation (Giri 2019: about 6 h)."""

FORWARD_SHARE = 0.65
"""Forward exceeds reverse replay in sleep after the task (PMC3774294)."""


@dataclass(frozen=True, eq=False)
class Dynamics:
    """What happened, one value a second, and when.

    Attributes:
        stage: Stage code, shape (second,).
        depth: Slow-wave power in dB relative to N2 (human) or NREM (rodent), shape (second,).
        departure: The part of depth that stage and time do not explain, in dB, shape (second,).
        infraslow: Phase of the infraslow rhythm (rad; 0 at the peak of sigma power), shape (second,).
        drift: Slow drift shared by the log rates, shape (second,).
        lightening_hazard: Hazard (1/s) of a move to a lighter stage or a brief arousal that would hold without any
            reactivation, shape (second,).
        lightened: Whether one came in that second, shape (second,).
        arousing: Whether a brief arousal is on, shape (second,).
        ripples: onset, stage, kind ("ripple", "replay", "shuffled"), content, direction.
        spindles: onset, stage.
        arousals: onset, duration, stage.
    """

    stage: Int[np.ndarray, " second"]
    depth: Float[np.ndarray, " second"]
    departure: Float[np.ndarray, " second"]
    infraslow: Float[np.ndarray, " second"]
    drift: Float[np.ndarray, " second"]
    lightening_hazard: Float[np.ndarray, " second"]
    lightened: np.ndarray
    arousing: np.ndarray
    ripples: pd.DataFrame
    spindles: pd.DataFrame
    arousals: pd.DataFrame


def simulate_dynamics(
    n_seconds: int,
    *,
    species: Species,
    architecture: Architecture,
    effects: Effects,
    nuisance: Nuisance,
    contents: tuple[str, ...] = CONTENTS,
    task: tuple[float, float],
    rng: np.random.Generator,
) -> Dynamics:
    """Simulate the hidden course of a night.

    Args:
        n_seconds: Length.
        species: Preset.
        architecture: Odds of stage changes.
        effects: What reactivation does, and what is done to it.
        nuisance: Common causes.
        contents: Contents that reactivations can have, equally often.
        task: Start and end of the task on the tracks (s): awake throughout, and no replay before its end.
        rng: Random generator.

    Returns:
        The dynamics.
    """
    phase = compute_infraslow_phase(n_seconds, spread=species.infraslow_spread, rng=rng)
    drift = nuisance.drift * compute_wander(n_seconds, time_constant=2400.0, rng=rng)
    wobble = (1.2 * compute_wander(n_seconds, time_constant=20.0, rng=rng)).tolist()
    shared = drift - nuisance.trend * (np.arange(n_seconds) - n_seconds / 2) / 3600

    def modulate(size: float, lag: float = 0.0) -> list[float]:
        return compute_rate_modulation(phase, size=size * nuisance.infraslow, lag=lag).tolist()

    by_ripple, by_spindle = modulate(RIPPLES_BY_INFRASLOW), modulate(SPINDLES_BY_INFRASLOW)
    by_arousal = modulate(AROUSALS_BY_INFRASLOW, np.pi / 2)
    bias = nuisance.drift**2 / 2  # so that both factors have mean 1
    up, down = np.exp(shared - bias).tolist(), np.exp(-shared - bias).tolist()
    draw = rng.random((7, n_seconds)).tolist()
    log_ratio = {c: log(effects.hazard_ratio.get(c, 1.0)) for c in contents}

    stage_of = np.zeros(n_seconds, dtype=np.int8)
    depth_of, departure_of = np.zeros(n_seconds, np.float32), np.zeros(n_seconds, np.float32)
    hazard_of = np.zeros(n_seconds, np.float32)
    lightened, arousing = np.zeros(n_seconds, bool), np.zeros(n_seconds, bool)
    ripples: list[tuple[float, int, str, str, str]] = []
    spindles: list[tuple[float, int]] = []
    arousals: list[tuple[float, float, int]] = []

    stage, pressure, clock = 0, 1.0, SleepClock(species.rem)
    hazards: list[tuple[int, float]] = []
    total = lightening = 0.0
    base, kick, last_spindle, arousal_end = species.depth[0], 0.0, -1e9, -1.0
    last = {c: -1e9 for c in contents}
    keep_kick, keep_base = exp(-1 / effects.depth_decay), exp(-1 / 40.0)

    for t in range(n_seconds):
        asleep_now = stage > 0
        on_task = task[0] <= t < task[1]
        pressure = pressure * SLEEP_KEEPS if asleep_now else 1 - (1 - pressure) * WAKE_KEEPS
        target = species.depth[stage] + (10 * log10(0.35 + 0.65 * pressure) + 1.5 if stage in species.nrem else 0.0)
        base = target + (base - target) * keep_base
        departure = wobble[t] + kick
        kick *= keep_kick
        depth_of[t], departure_of[t] = base + departure, departure

        if clock.age % REFRESH == 0 or clock.age < REFRESH * 3:
            hazards = architecture.compute_hazards(stage, clock)
            total = sum(h for _, h in hazards)
            lightening = sum(h for k, h in hazards if k in species.lighter[stage])
        gate = species.infraslow_gate[stage]
        common = (1 + gate * (by_arousal[t] - 1)) * down[t] if asleep_now else 1.0
        lighter = species.lighter[stage]
        free = common * lightening
        arousal = common * species.arousal_rate[stage] / 3600 if t >= arousal_end else 0.0
        hazard_of[t] = free + arousal
        push = effects.hazard_per_db * departure
        for content, value in log_ratio.items():
            if value and t - last[content] <= effects.window:
                push += value
        factor = common * exp(push)
        stage_of[t] = stage

        chosen, draw_left = None, draw[0][t]
        if draw_left < total + lightening * factor:  # else no change can come
            for k, h in hazards:
                draw_left -= 1 - exp(-(h * factor if k in lighter else h))
                if draw_left < 0:
                    chosen = k
                    break
        if chosen is not None:
            lightened[t] = chosen in lighter
        if task[0] <= t + 1 < task[1]:  # kept awake for the task
            chosen = 0 if stage else None
        if arousal and draw[1][t] < 1 - exp(-arousal * exp(push)) and chosen is None and asleep_now:
            lasting = 3 + 12 * draw[2][t]
            arousals.append((t + draw[3][t], lasting, stage))
            arousal_end, lightened[t] = t + lasting, True
        arousing[t] = t < arousal_end

        quiet = t >= arousal_end
        rate = species.spindle_rate[stage] / 60
        if rate and quiet:
            since = t - last_spindle
            recurrence = 0.0 if since < 3 else 3.0 if since <= 6 else 0.85
            if draw[4][t] < rate * up[t] * recurrence * (1 + gate * (by_spindle[t] - 1)):
                last_spindle = t
                spindles.append((t + draw[3][t], stage))

        if not on_task and quiet:
            rate = species.ripple_rate[stage] / 60 * up[t] * (1 + gate * (by_ripple[t] - 1))
            rate *= exp(effects.rate_per_db * departure) * (1.35 if 0 <= t - last_spindle <= 1 else 0.97)
            if draw[5][t] < rate:
                kind, content, direction = _carry(
                    draw[6][t], t, stage, departure, species, effects, nuisance, contents, task[1], rng
                )
                ripples.append((t + draw[2][t], stage, kind, content, direction))
                if kind == "replay":
                    last[content] = t
                    kick += effects.depth_gain.get(content, 0.0)

        clock.advance(stage)
        if t + 1 == task[1] and stage == 0:
            clock.age = 0.0  # lights out
        if chosen is not None:
            stage, clock.age = chosen, 0.0

    return Dynamics(
        stage=stage_of,
        depth=depth_of,
        departure=departure_of,
        infraslow=phase.astype(np.float32),
        drift=drift.astype(np.float32),
        lightening_hazard=hazard_of,
        lightened=lightened,
        arousing=arousing,
        ripples=pd.DataFrame(ripples, columns=["onset", "stage", "kind", "content", "direction"]),
        spindles=pd.DataFrame(spindles, columns=["onset", "stage"]),
        arousals=pd.DataFrame(arousals, columns=["onset", "duration", "stage"]),
    )


def _carry(
    draw: float,
    t: int,
    stage: int,
    departure: float,
    species: Species,
    effects: Effects,
    nuisance: Nuisance,
    contents: tuple[str, ...],
    task_end: float,
    rng: np.random.Generator,
) -> tuple[str, str, str]:
    """What a ripple carries: (kind, content, direction)."""
    share = effects.preplay if t < task_end else effects.replay_share * 0.5 ** ((t - task_end) / REPLAY_HALF_LIFE)
    if stage not in species.nrem:
        share = 0.0
    if share and effects.share_per_db:
        odds = share / (1 - share) * exp(effects.share_per_db * departure)
        share = odds / (1 + odds)
    content, direction = (
        contents[int(rng.integers(len(contents)))],
        "forward" if rng.random() < FORWARD_SHARE else "reverse",
    )
    if draw < share:
        return "replay", content, direction
    if draw < share + nuisance.decoys and stage in species.nrem and t >= task_end:
        return "shuffled", content, direction
    return "ripple", "", ""
