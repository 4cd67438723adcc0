"""Small data sets of two worlds that share no code: the simulator of this package, and `second_world.nights`.

Where nothing is planted, what a ripple carries moves nothing; so one night serves for every way of drawing it
(`mark_again`). `coarsen` and `mislabel` make of a night what a laboratory with 30-s epochs, or with a decoder that
errs, would have of it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.benchmarks.second_world import nights as second
from sharpwave.causality.series import NightSeries
from sharpwave.night.planted import simulate_night_series
from sharpwave.simulation.effects import CONTENTS, Effects

WORLDS = {"simulated": CONTENTS, "second world": second.CONTENTS}
"""Contents of each world: where effects are planted the first lightens, the second does nothing, the third deepens."""

N_NIGHTS, HOURS = 4, 2.0
RATIO, GAIN = 2.0, 1.0
STRENGTH = 1.0
"""Log odds, per standard deviation of a cause, that a ripple carries a memory."""

COUNTS = {"few": 60, "200": 200, "many": 800}
"""Reactivations of each content in a data set, about."""

CAUSES = ("time", "phase", "vigilance", "depth")
HALF_LIFE = {"simulated": 6 * 3600.0, "second world": second.HALF_LIFE}
EPOCH = 30


@dataclass(frozen=True, eq=False)
class WorldNight:
    """A night of either world.

    Attributes:
        series: What a laboratory sees.
        causes: What may decide which ripples carry a memory, each with a variance of about one, one value a second:
            "phase" and "vigilance", which are hidden, and "depth" (what stage and time do not explain of it).
        lightening_hazard: Hazard (1/s) of waking without any reactivation, one value a second.
    """

    series: NightSeries
    causes: dict[str, Float[np.ndarray, " second"]]
    lightening_hazard: Float[np.ndarray, " second"]


def draw_set(world: str, *, planted: bool, count: str, rng: np.random.Generator) -> list[WorldNight]:
    """The nights of one data set.

    Args:
        world: A key of `WORLDS`.
        planted: Whether effects are planted (`RATIO` and its inverse, `GAIN` dB).
        count: A key of `COUNTS`.
        rng: Random generator.
    """
    draw = _draw_first if world == "simulated" else _draw_second
    return [draw(planted, COUNTS[count], str(night), stream) for night, stream in enumerate(rng.spawn(N_NIGHTS))]


def _draw_first(planted: bool, count: int, night: str, rng: np.random.Generator) -> WorldNight:
    share = 3 * count / 6000
    effects = replace(Effects.planted(hazard_ratio=RATIO, depth=GAIN) if planted else Effects(), replay_share=share)
    series, dynamics = simulate_night_series("mouse", HOURS, rng=rng, effects=effects, night=night)
    causes = {
        "phase": np.sqrt(2) * np.cos(dynamics.infraslow.astype(float) - 0.6),
        "vigilance": dynamics.drift.astype(float) / 0.2,
        "depth": dynamics.departure.astype(float) / 1.2,
    }
    return WorldNight(series, causes, dynamics.lightening_hazard.astype(float))


def _draw_second(planted: bool, count: int, night: str, rng: np.random.Generator) -> WorldNight:
    first, _, last = second.CONTENTS
    plan = second.Plan(
        hours=HOURS,
        ripples=20.0,
        share=3 * count / 5000,
        ratio={first: RATIO, last: 1 / RATIO} if planted else {},
        gain={first: -GAIN, last: GAIN} if planted else {},
    )
    series, hidden = second.draw_night(plan, rng=rng, night=night)
    causes = {
        "phase": np.sqrt(2) * np.cos(hidden.phase - 0.6),
        "vigilance": hidden.vigilance,
        "depth": hidden.wobble,
    }
    return WorldNight(series, causes, hidden.lightening_hazard)


def mark_again(
    world: str, nights: list[WorldNight], *, cause: str, count: str, rng: np.random.Generator
) -> list[NightSeries]:
    """The same nights, each ripple of NREM sleep drawn again to carry a memory or none.

    Args:
        world: The world of the nights.
        nights: Nights in which nothing is planted.
        cause: Something among `CAUSES` that decides beside the time since the night began.
        count: A key of `COUNTS`.
        rng: Random generator.
    """
    drawn = []
    for night in nights:
        series = night.series
        ripples = np.empty(0) if series.candidates is None else series.candidates
        ripples = ripples[np.isin(series.stage[ripples.astype(int)], series.nrem)]
        odds = 0.5 ** (ripples / HALF_LIFE[world])
        if cause != "time":
            odds = odds * np.exp(STRENGTH * night.causes[cause][ripples.astype(int)])
        share = np.minimum(odds * 3 * COUNTS[count] / N_NIGHTS / max(odds.sum(), 1e-9), 0.95)
        mine = rng.random(len(ripples)) < share
        content = rng.choice(np.array(WORLDS[world]), int(mine.sum()))
        drawn.append(replace(series, reactivations=pd.DataFrame({"onset": ripples[mine], "content": content})))
    return drawn


def coarsen(series: NightSeries) -> NightSeries:
    """The night scored in epochs of 30 s (the stage that fills most of each), with one value of depth an epoch."""
    n = len(series.time) // EPOCH * EPOCH
    counts = np.stack([(series.stage[:n] == code).reshape(-1, EPOCH).sum(axis=1) for code in range(series.n_stages)])
    stage = np.repeat(counts.argmax(axis=0), EPOCH).astype(np.int8)
    depth = np.repeat(series.depth[:n].reshape(-1, EPOCH).mean(axis=1), EPOCH)
    return replace(
        series, time=series.time[:n], stage=stage, depth=depth, usable=series.usable[:n], emg=None, infraslow=None
    )


def mislabel(series: NightSeries, names: tuple[str, ...], *, share: float, rng: np.random.Generator) -> NightSeries:
    """The night with that share of its contents exchanged for one of the others."""
    content = series.reactivations["content"].astype(str).to_numpy()
    place = np.array([names.index(name) for name in content], dtype=int)
    wrong = rng.random(len(place)) < share
    place = np.where(wrong, (place + rng.integers(1, len(names), len(place))) % len(names), place)
    return replace(series, reactivations=series.reactivations.assign(content=np.array(names)[place]))
