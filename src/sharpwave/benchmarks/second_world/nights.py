"""Nights of a second world, for the causal estimates: five stages, depth, ripples, and what a ripple carries.

Nothing here comes from `sharpwave.simulation`. Depth is a cycle of 90 min, an autoregressive wobble, the infraslow
rhythm, a hidden vigilance and what reactivations add. Waking follows all of them; so do ripples. Which ripples carry a
memory depends on time alone, or on something that also drives waking and depth: the infraslow phase or vigilance, which
are hidden, or the wobble of depth, which is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.causality.series import NightSeries, estimate_infraslow_phase
from sharpwave.errors import SharpwaveError

CONTENTS = ("shock", "empty", "food")
"""Contents of the second world, equally often; where effects are planted the first lightens and the last deepens."""

CAUSES = ("time", "phase", "vigilance", "depth")
CYCLE, REM_SHARE = 5400.0, 0.18
"""Length of a sleep cycle (s), and the share of it, at its end, that is REM."""

EPOCH = 4
WINDOW, DECAY = 30, 30.0
"""Seconds for which a reactivation changes the hazard, and with which what it did to depth fades."""

HALF_LIFE = 3 * 3600.0
PER_DB = 0.4
"""Fall of the log hazard of waking with each dB that depth wobbles upwards."""

WAKE, N2, N3, REM = 0, 2, 3, 4


@dataclass(frozen=True)
class Plan:
    """What a night is like, and what is planted in it.

    Attributes:
        hours: Length of the night, in h; 3 by default.
        ripples: Ripples a minute of NREM sleep; 12 by default.
        share: Share of ripples that carry a memory when the night begins; .3 by default. It halves in 3 h.
        cause: What decides, beside time, which ripples carry a memory: "time" (nothing else, the default), "phase" (of
            the infraslow rhythm) or "vigilance", which are hidden, or "depth", which is measured.
        strength: Log odds per standard deviation of that cause; 1 by default.
        ratio: Factor on the hazard of waking and of lighter sleep for 30 s after a reactivation, by content.
        gain: Step in depth at a reactivation, in dB, by content.
        mediated: Whether what a reactivation did to depth changes the hazard of waking, too; False by default.

    Raises:
        SharpwaveError: If the cause is unknown.

    >>> Plan(ratio={"shock": 2.0}).cause
    'time'
    """

    hours: float = 3.0
    ripples: float = 12.0
    share: float = 0.3
    cause: str = "time"
    strength: float = 1.0
    ratio: Mapping[str, float] = field(default_factory=dict)
    gain: Mapping[str, float] = field(default_factory=dict)
    mediated: bool = False

    def __post_init__(self) -> None:
        if self.cause not in CAUSES:
            raise SharpwaveError(f"a cause among {', '.join(CAUSES)}", got=repr(self.cause), fix="choose one of these")


@dataclass(frozen=True, eq=False)
class Hidden:
    """What no laboratory sees of such a night.

    Attributes:
        phase: Phase of the infraslow rhythm (rad), one value a second, 0 at the peak of sigma power.
        vigilance: Hidden vigilance, in standard deviations, one value a second.
        wobble: What neither cycle nor rhythm explains of depth, in dB, one value a second.
        lightening_hazard: Hazard (1/s) of waking without any reactivation, one value a second.
    """

    phase: Float[np.ndarray, " second"]
    vigilance: Float[np.ndarray, " second"]
    wobble: Float[np.ndarray, " second"]
    lightening_hazard: Float[np.ndarray, " second"]


def draw_night(plan: Plan, *, rng: np.random.Generator, night: str = "second") -> tuple[NightSeries, Hidden]:
    """One night as a laboratory sees it, and what is hidden of it.

    Args:
        plan: What the night is like.
        rng: Random generator; the night depends on nothing else.
        night: Name of the night.

    >>> night, hidden = draw_night(Plan(hours=0.5), rng=np.random.default_rng(0))
    >>> len(night.time) == len(hidden.phase) == 1800
    True
    """
    n = round(plan.hours * 3600)
    phase = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.cumsum(np.clip(0.02 + 0.004 * _wander(n, 90, rng), 0.008, 0.04))
    vigilance, wobble = _wander(n, 150, rng), _wander(n, 15, rng)
    cycle = (np.arange(n) + rng.uniform(0, 600)) % CYCLE / CYCLE
    hazard = 0.01 * np.exp(0.9 * np.cos(phase - 1.4) + 0.45 * vigilance - PER_DB * wobble)
    causes = {"phase": np.sqrt(2) * np.cos(phase - 0.6), "vigilance": vigilance, "depth": wobble}
    odds = np.log(plan.share / (1 - plan.share)) + plan.strength * causes.get(plan.cause, np.zeros(n))
    stage, kick, events = _live(plan, hazard, phase, odds, cycle, rng)
    level = np.where(np.isin(stage, (N2, N3)), 6 + 4 * np.sin(np.pi * cycle / (1 - REM_SHARE)), 2.0)
    depth = level + wobble + 0.6 * np.cos(phase) - 0.5 * vigilance + kick
    asleep = np.isin(stage, (N2, N3))
    carried = events[events["content"] != ""]
    series = NightSeries(
        night=night,
        time=np.arange(n, dtype=float),
        stage=stage,
        n_stages=5,
        depth=_measure(depth, 1.0, rng),
        emg=_measure(np.where(stage == WAKE, 6.0, 0.0), 1.2, rng),
        infraslow=estimate_infraslow_phase(_draw_sigma(phase, asleep, rng), asleep=asleep),
        reactivations=carried.reset_index(drop=True),
        usable=np.ones(n, bool),
        candidates=events["onset"].to_numpy(dtype=float),
    )
    return series, Hidden(phase, vigilance, wobble, np.where(asleep, hazard, 0.0))


def _live(
    plan: Plan, hazard: np.ndarray, phase: np.ndarray, odds: np.ndarray, cycle: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    """Stages, what reactivations added to depth, and ripples with their contents, second by second."""
    n = len(hazard)
    stage, kick = np.zeros(n, np.int8), np.zeros(n)
    rate = (plan.ripples / 60 * np.exp(0.6 * np.cos(phase)) / np.i0(0.6)).tolist()
    logit = (odds - np.log(2) * np.arange(n) / HALF_LIFE).tolist()
    draws, hazards, place = rng.random((5, n)).tolist(), hazard.tolist(), cycle.tolist()
    ratio = {name: np.log(value) for name, value in plan.ratio.items()}
    last = dict.fromkeys(CONTENTS, -(10**6))
    found: list[tuple[float, str]] = []
    now, until, added = WAKE, 60.0, 0.0
    for t in range(n):
        if now == WAKE and t >= until:
            now = N2
        elif now != WAKE:
            push = np.exp(sum(size for name, size in ratio.items() if t - last[name] <= WINDOW)) if ratio else 1.0
            push *= np.exp(-PER_DB * added) if plan.mediated else 1.0
            now, until = _move(now, until, t, place[t], hazards[t] * push, push, draws)
        stage[t], kick[t] = now, added
        added *= np.exp(-1 / DECAY)
        if now in (N2, N3) and draws[2][t] < rate[t]:
            content = CONTENTS[int(3 * draws[4][t])] if draws[3][t] < 1 / (1 + np.exp(-logit[t])) else ""
            found.append((t + (7 * draws[4][t]) % 1, content))
            if content:
                last[content] = t
                added += plan.gain.get(content, 0.0)
    return stage, kick, pd.DataFrame(found, columns=["onset", "content"])


def _move(
    now: int, until: float, t: int, place: float, hazard: float, push: float, draws: list[list[float]]
) -> tuple[int, float]:
    """The stage of second `t` and when wake will end, from the stage of the second before."""
    if draws[0][t] < 1 - np.exp(-hazard):
        brief = draws[1][t] < 0.8
        return WAKE, t + (4 + 12 * draws[1][t] if brief else 30 + 600 * (draws[1][t] - 0.8))
    if place > 1 - REM_SHARE:
        return (REM if now == REM or draws[1][t] < 0.01 else now), until
    if now == REM:
        return N2, until
    deep = np.sin(np.pi * place / (1 - REM_SHARE))
    leave = 0.012 * deep**2 if now == N2 else 0.012 * (1 - deep) * push
    return (N2 + N3 - now if draws[1][t] < leave else now), until


def _wander(n: int, seconds: float, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """An autoregressive path of unit variance that forgets with this time constant."""
    keep, noise = np.exp(-1 / seconds), rng.standard_normal(n)
    path, value = np.empty(n), float(rng.standard_normal())
    for t, shock in enumerate((np.sqrt(1 - keep**2) * noise).tolist()):
        value = keep * value + shock
        path[t] = value
    return path


def _measure(values: np.ndarray, noise: float, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Means of epochs of 4 s with the noise of a spectral estimate."""
    means = np.array([values[first : first + EPOCH].mean() for first in range(0, len(values), EPOCH)])
    return np.repeat(means + noise * rng.standard_normal(len(means)), EPOCH)[: len(values)]


def _draw_sigma(phase: np.ndarray, asleep: np.ndarray, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Sigma power (dB) over epochs of 4 s: spindles that follow the rhythm on a background of one unit."""
    spindles = rng.poisson(np.where(asleep, 0.06 * np.exp(0.9 * np.cos(phase)), 0.0))
    power = np.array([1 + 1.2 * spindles[first : first + EPOCH].sum() for first in range(0, len(phase), EPOCH)])
    return np.repeat(10 * np.log10(power * rng.gamma(20, 1 / 20, len(power))), EPOCH)[: len(phase)]
