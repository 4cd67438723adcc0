"""The night second by second: stage, depth, ripples, spindles, each acting on the next second and on nothing before.

Every second, in this order: depth changes; the hazards of leaving the stage and of a brief arousal are formed from the
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
"""Seconds between updates of the architecture's hazards within a bout (they change slowly)."""

SLEEP_KEEPS, WAKE_KEEPS = exp(-1 / (2.5 * 3600)), exp(-1 / (18 * 3600))
"""What a second leaves of sleep pressure, and of its distance from the top: decay 2.5 h, rise 18 h (in the ranges of
Rusterholz et al. 2010, PMC2849788)."""

DEPTH_KEEPS = exp(-1 / 40.0)
"""What a second leaves of the distance of depth from where its stage and pressure draw it."""

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
        lightening_hazard: Hazard (1/s) of a transition to a lighter stage or a brief arousal that would hold without
            any reactivation, shape (second,).
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
    """Simulate the hidden side of a night.

    Args:
        n_seconds: Length of the night in seconds.
        species: Preset of the species.
        architecture: Odds of stage changes.
        effects: What reactivation does, and what is done to it.
        nuisance: Common causes of arousals, ripples and spindles.
        contents: Contents that reactivations can have, equally often.
        task: Start and end of the task on the tracks (s): awake throughout, and no replay before its end.
        rng: Random generator.

    Returns:
        The dynamics.
    """
    simulation = _Simulation(
        n_seconds,
        species=species,
        architecture=architecture,
        effects=effects,
        nuisance=nuisance,
        contents=contents,
        task=task,
        rng=rng,
    )
    for t in range(n_seconds):
        simulation.live_through(t)
    return simulation.to_dynamics()


class _Simulation:
    """A night in the making: what was drawn for all of it beforehand, what happened so far, and the sleeper's state."""

    def __init__(
        self,
        n_seconds: int,
        *,
        species: Species,
        architecture: Architecture,
        effects: Effects,
        nuisance: Nuisance,
        contents: tuple[str, ...],
        task: tuple[float, float],
        rng: np.random.Generator,
    ) -> None:
        self.species, self.architecture, self.effects, self.nuisance = species, architecture, effects, nuisance
        self.contents, self.task, self.rng = contents, task, rng
        self._draw_common_causes(n_seconds)
        self.log_ratio = {c: log(effects.hazard_ratio.get(c, 1.0)) for c in contents}
        self.keep_kick = exp(-1 / effects.depth_decay)

        self.stage_of = np.zeros(n_seconds, dtype=np.int8)
        self.depth_of, self.departure_of = np.zeros(n_seconds, np.float32), np.zeros(n_seconds, np.float32)
        self.hazard_of = np.zeros(n_seconds, np.float32)
        self.lightened, self.arousing = np.zeros(n_seconds, bool), np.zeros(n_seconds, bool)
        self.ripples: list[tuple[float, int, str, str, str]] = []
        self.spindles: list[tuple[float, int]] = []
        self.arousals: list[tuple[float, float, int]] = []

        self.stage, self.pressure, self.clock = 0, 1.0, SleepClock(species.rem)
        self.hazards: list[tuple[int, float]] = []
        self.total = self.lighter_hazard = 0.0
        self.base, self.kick = species.depth[0], 0.0
        self.last_spindle, self.arousal_end = -1e9, -1.0
        self.last_replay = {c: -1e9 for c in contents}

    def _draw_common_causes(self, n_seconds: int) -> None:
        """Infraslow rhythm, drift, wobble of depth, and the uniform numbers that every second will use."""
        nuisance, rng = self.nuisance, self.rng
        self.phase = compute_infraslow_phase(n_seconds, spread=self.species.infraslow_spread, rng=rng)
        self.drift = nuisance.drift * compute_wander(n_seconds, time_constant=2400.0, rng=rng)
        self.wobble = (1.2 * compute_wander(n_seconds, time_constant=20.0, rng=rng)).tolist()
        shared = self.drift - nuisance.trend * (np.arange(n_seconds) - n_seconds / 2) / 3600

        def modulate(size: float, lag: float = 0.0) -> list[float]:
            return compute_rate_modulation(self.phase, size=size * nuisance.infraslow, lag=lag).tolist()

        self.by_ripple, self.by_spindle = modulate(RIPPLES_BY_INFRASLOW), modulate(SPINDLES_BY_INFRASLOW)
        self.by_arousal = modulate(AROUSALS_BY_INFRASLOW, np.pi / 2)
        bias = nuisance.drift**2 / 2  # so that both factors have mean 1
        self.up, self.down = np.exp(shared - bias).tolist(), np.exp(-shared - bias).tolist()
        self.draw = rng.random((7, n_seconds)).tolist()

    def live_through(self, t: int) -> None:
        """Second `t`: depth, hazards, a change of stage or a brief arousal, then spindles and ripples."""
        departure = self._move_depth(t)
        common, push, arousal = self._form_hazards(t, departure)
        self.stage_of[t] = self.stage
        chosen = self._draw_change(t, common * exp(push))
        self._draw_arousal(t, arousal * exp(push), stays=chosen is None)
        if t >= self.arousal_end:
            self._draw_spindle(t)
            self._draw_ripple(t, departure)
        self.clock.advance(self.stage)
        if t + 1 == self.task[1] and self.stage == 0:
            self.clock.age = 0.0  # lights out
        if chosen is not None:
            self.stage, self.clock.age = chosen, 0.0

    def _move_depth(self, t: int) -> float:
        """Depth follows stage and sleep pressure, wobbles, and returns from what replays did to it; its departure."""
        species, stage = self.species, self.stage
        self.pressure = self.pressure * SLEEP_KEEPS if stage > 0 else 1 - (1 - self.pressure) * WAKE_KEEPS
        risen = 10 * log10(0.35 + 0.65 * self.pressure) + 1.5 if stage in species.nrem else 0.0
        target = species.depth[stage] + risen
        self.base = target + (self.base - target) * DEPTH_KEEPS
        departure = self.wobble[t] + self.kick
        self.kick *= self.keep_kick
        self.depth_of[t], self.departure_of[t] = self.base + departure, departure
        return departure

    def _form_hazards(self, t: int, departure: float) -> tuple[float, float, float]:
        """Factor of the common causes, log factor of what was planted, and hazard of a brief arousal without it."""
        species, stage, clock = self.species, self.stage, self.clock
        if clock.age % REFRESH == 0 or clock.age < REFRESH * 3:
            self.hazards = self.architecture.compute_hazards(stage, clock)
            self.total = sum(h for _, h in self.hazards)
            self.lighter_hazard = sum(h for k, h in self.hazards if k in species.lighter[stage])
        common = (1 + species.infraslow_gate[stage] * (self.by_arousal[t] - 1)) * self.down[t] if stage > 0 else 1.0
        arousal = common * species.arousal_rate[stage] / 3600 if t >= self.arousal_end else 0.0
        self.hazard_of[t] = common * self.lighter_hazard + arousal
        push = self.effects.hazard_per_db * departure
        for content, value in self.log_ratio.items():
            if value and t - self.last_replay[content] <= self.effects.window:
                push += value
        return common, push, arousal

    def _draw_change(self, t: int, factor: float) -> int | None:
        """The stage that follows, None where this one stays; `factor` acts on the hazards of lighter stages."""
        lighter, draw_left, chosen = self.species.lighter[self.stage], self.draw[0][t], None
        if draw_left < self.total + self.lighter_hazard * factor:  # else no change can come
            for k, h in self.hazards:
                draw_left -= 1 - exp(-(h * factor if k in lighter else h))
                if draw_left < 0:
                    chosen = k
                    break
        if chosen is not None:
            self.lightened[t] = chosen in lighter
        if self.task[0] <= t + 1 < self.task[1]:  # kept awake for the task
            chosen = 0 if self.stage else None
        return chosen

    def _draw_arousal(self, t: int, hazard: float, *, stays: bool) -> None:
        if hazard and self.draw[1][t] < 1 - exp(-hazard) and stays and self.stage > 0:
            lasting = 3 + 12 * self.draw[2][t]
            self.arousals.append((t + self.draw[3][t], lasting, self.stage))
            self.arousal_end, self.lightened[t] = t + lasting, True
        self.arousing[t] = t < self.arousal_end

    def _draw_spindle(self, t: int) -> None:
        rate = self.species.spindle_rate[self.stage] / 60
        since = t - self.last_spindle
        recurrence = 0.0 if since < 3 else 3.0 if since <= 6 else 0.85
        gate = self.species.infraslow_gate[self.stage]
        if rate and self.draw[4][t] < rate * self.up[t] * recurrence * (1 + gate * (self.by_spindle[t] - 1)):
            self.last_spindle = t
            self.spindles.append((t + self.draw[3][t], self.stage))

    def _draw_ripple(self, t: int, departure: float) -> None:
        """A ripple and what it carries; a replay changes the hazards and the depth of the seconds to come."""
        if self.task[0] <= t < self.task[1]:
            return
        gate = self.species.infraslow_gate[self.stage]
        rate = self.species.ripple_rate[self.stage] / 60 * self.up[t] * (1 + gate * (self.by_ripple[t] - 1))
        rate *= exp(self.effects.rate_per_db * departure) * (1.35 if 0 <= t - self.last_spindle <= 1 else 0.97)
        if self.draw[5][t] < rate:
            kind, content, direction = self._draw_content(t, departure)
            self.ripples.append((t + self.draw[2][t], self.stage, kind, content, direction))
            if kind == "replay":
                self.last_replay[content] = t
                self.kick += self.effects.depth_gain.get(content, 0.0)

    def _draw_content(self, t: int, departure: float) -> tuple[str, str, str]:
        """What a ripple carries: (kind, content, direction)."""
        effects, task_end, in_nrem = self.effects, self.task[1], self.stage in self.species.nrem
        share = effects.preplay if t < task_end else effects.replay_share * 0.5 ** ((t - task_end) / REPLAY_HALF_LIFE)
        if not in_nrem:
            share = 0.0
        if share and effects.share_per_db:
            odds = share / (1 - share) * exp(effects.share_per_db * departure)
            share = odds / (1 + odds)
        content = self.contents[int(self.rng.integers(len(self.contents)))]
        direction = "forward" if self.rng.random() < FORWARD_SHARE else "reverse"
        if self.draw[6][t] < share:
            return "replay", content, direction
        if self.draw[6][t] < share + self.nuisance.decoys and in_nrem and t >= task_end:
            return "shuffled", content, direction
        return "ripple", "", ""

    def to_dynamics(self) -> Dynamics:
        return Dynamics(
            stage=self.stage_of,
            depth=self.depth_of,
            departure=self.departure_of,
            infraslow=self.phase.astype(np.float32),
            drift=self.drift.astype(np.float32),
            lightening_hazard=self.hazard_of,
            lightened=self.lightened,
            arousing=self.arousing,
            ripples=pd.DataFrame(self.ripples, columns=["onset", "stage", "kind", "content", "direction"]),
            spindles=pd.DataFrame(self.spindles, columns=["onset", "stage"]),
            arousals=pd.DataFrame(self.arousals, columns=["onset", "duration", "stage"]),
        )
