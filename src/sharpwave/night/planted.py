"""Simulated nights with an effect planted, and the same nights without it: what the estimators find in either.

No signals are made: a night is its hidden dynamics and what a laboratory would measure of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.causality import estimate_effects
from sharpwave.causality.series import DEPTH_WINDOW, NightSeries, estimate_infraslow_phase
from sharpwave.errors import SharpwaveError
from sharpwave.simulation.dynamics import Dynamics, simulate_dynamics
from sharpwave.simulation.effects import CONTENTS, Effects, Nuisance
from sharpwave.simulation.hypnograms import load_architecture
from sharpwave.simulation.species import Species, get_species

DEPTH_NOISE = 1.2
"""Standard deviation in dB of slow-wave power over 4 s: 3.5 Hz for 4 s are 28 degrees of freedom."""

SPINDLE_POWER, SPINDLE_LENGTH = 6.0, 0.75
"""Sigma power of a spindle relative to the background, and its length in seconds."""

PHASES = ("estimated", "true", "none")


def simulate_night_series(
    species: str = "mouse",
    hours: float = 4.0,
    *,
    rng: np.random.Generator,
    effects: Effects | None = None,
    nuisance: Nuisance | None = None,
    phase: str = "estimated",
    candidates: bool = True,
    night: str = "simulated",
) -> tuple[NightSeries, Dynamics]:
    """One night as a laboratory sees it, and its hidden state.

    Depth is the true one averaged over epochs of 4 s with the noise of a spectral estimate. The infraslow phase is
    estimated from sigma power that spindles and a noisy background make, from the past alone, unless asked otherwise.
    Stages are scored second by second, brief arousals as wake. Reactivations are those that happened: detection is
    judged elsewhere.

    Args:
        species: "mouse", "rat" or "human".
        hours: Length, in h.
        rng: Random generator; the night depends on nothing else but the effects.
        effects: What is planted; nothing by default.
        nuisance: Common causes; realistic by default.
        phase: "estimated", "true" (what no laboratory has) or "none".
        candidates: Whether the ripples without a reactivation are known too.
        night: Its name.

    Returns:
        The time series and the dynamics behind them.

    Raises:
        SharpwaveError: If `phase` is none of these.
    """
    if phase not in PHASES:
        raise SharpwaveError(f"phase among {', '.join(PHASES)}", got=repr(phase), fix="choose one of these")
    hidden, seen = rng.spawn(2)
    dynamics = _simulate_dynamics(species, hours, effects or Effects(), nuisance or Nuisance(), hidden)
    return _observe(dynamics, get_species(species), phase=phase, candidates=candidates, night=night, rng=seen), dynamics


def _simulate_dynamics(
    species: str, hours: float, effects: Effects, nuisance: Nuisance, rng: np.random.Generator
) -> Dynamics:
    """The hidden state of a night that begins with a task."""
    preset = get_species(species)
    return simulate_dynamics(
        round(hours * 3600),
        species=preset,
        architecture=load_architecture(species),
        effects=effects,
        nuisance=nuisance,
        contents=CONTENTS,
        task=(0.0, preset.task_length),
        rng=rng,
    )


def _observe(
    dynamics: Dynamics, preset: Species, *, phase: str, candidates: bool, night: str, rng: np.random.Generator
) -> NightSeries:
    """What a laboratory measures of a hidden state."""
    awake = np.r_[False, dynamics.arousing[:-1]]  # an arousal that comes within a second shows in the next
    stage = np.where(awake, 0, dynamics.stage).astype(np.int8)
    asleep = np.isin(stage, preset.nrem)
    replays = dynamics.ripples[dynamics.ripples["kind"] == "replay"]
    return NightSeries(
        night=night,
        time=np.arange(len(stage), dtype=float),
        stage=stage,
        n_stages=preset.n_stages,
        depth=_average(dynamics.depth, noise=DEPTH_NOISE, rng=rng),
        emg=_average(np.where(stage == 0, 8.0, 0.0), noise=1.0, rng=rng),
        infraslow=_see_phase(phase, dynamics, asleep, rng),
        reactivations=replays[["onset", "content"]].reset_index(drop=True),
        usable=np.ones(len(stage), bool),
        candidates=np.sort(dynamics.ripples["onset"].to_numpy(dtype=float)) if candidates else None,
    )


def compute_sigma(spindles: pd.DataFrame, n_seconds: int, *, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Sigma power in dB over epochs of 4 s: spindles on a background of one unit, with a spectral estimate's noise
    (40 degrees of freedom)."""
    power = np.ones(n_seconds)
    np.add.at(power, spindles["onset"].to_numpy().astype(int), SPINDLE_POWER * SPINDLE_LENGTH)
    epochs = _average(power, noise=0.0, rng=rng)[::DEPTH_WINDOW]
    epochs = epochs * rng.gamma(20.0, 1 / 20.0, len(epochs))
    return 10 * np.log10(np.repeat(epochs, DEPTH_WINDOW)[:n_seconds])


def _average(
    values: Float[np.ndarray, " second"], *, noise: float, rng: np.random.Generator
) -> Float[np.ndarray, " second"]:
    """Each second has the mean of its epoch, with noise."""
    n_epochs = -(-len(values) // DEPTH_WINDOW)
    padded = np.pad(np.asarray(values, dtype=float), (0, n_epochs * DEPTH_WINDOW - len(values)), mode="edge")
    epochs = padded.reshape(-1, DEPTH_WINDOW).mean(axis=1) + noise * rng.standard_normal(n_epochs)
    return np.repeat(epochs, DEPTH_WINDOW)[: len(values)]


def _see_phase(
    phase: str, dynamics: Dynamics, asleep: np.ndarray, rng: np.random.Generator
) -> Float[np.ndarray, " second"] | None:
    if phase == "none":
        return None
    if phase == "true":
        return np.angle(np.exp(1j * dynamics.infraslow.astype(float)))
    sigma = compute_sigma(dynamics.spindles, len(asleep), rng=rng)
    return estimate_infraslow_phase(sigma, asleep=asleep)


N_NIGHTS = 8
HOURS = 3.0
HORIZON = 30
PLANTED_COLUMNS = ("content", "what", "planted", "with_effect", "without_effect", "n_events", "n_nights")
_OUTCOMES = {"lighter": "chance of lighter sleep, ratio", "depth": "depth, dB"}


def compare_planted_nights(
    *,
    seed: int = 0,
    n_nights: int = N_NIGHTS,
    hours: float = HOURS,
    species: str = "mouse",
    effects: Effects | None = None,
) -> pd.DataFrame:
    """Estimate effects in nights with a planted effect, and the same seeds with it off.

    The nights are hidden states with the measurement noise of depth and of the infraslow phase; no signals are made,
    and reactivations are those that happened.

    Args:
        seed: Seed of the first night; each night has the next one.
        n_nights: Number of nights.
        hours: Length of each night, in h.
        species: "mouse", "rat" or "human".
        effects: What is planted; aversive contents lighten and rewarding ones stabilise where omitted.

    Returns:
        One row a content and outcome: content, what, planted, with_effect and without_effect (estimate with 95 %
        interval, in words), n_events, n_nights.
    """
    planted = effects or Effects.planted()
    found = {}
    for name, switched in (("with_effect", planted), ("without_effect", Effects())):
        courses = [
            simulate_night_series(
                species, hours, rng=np.random.default_rng(seed + i), effects=switched, night=f"sim-{i}"
            )[0]
            for i in range(n_nights)
        ]
        found[name] = estimate_effects(
            courses, rng=np.random.default_rng(seed), horizons=(HORIZON,), outcomes=("depth", "lighter")
        )
    rows = []
    for outcome, what in _OUTCOMES.items():
        for content in sorted(planted.hazard_ratio):
            chosen = {name: _choose(table, outcome, content) for name, table in found.items()}
            if all(len(row) for row in chosen.values()):
                rows.append(
                    {
                        "content": content,
                        "what": what,
                        "planted": _plant(planted, outcome, content),
                        **{name: _write(row, outcome) for name, row in chosen.items()},
                        "n_events": chosen["with_effect"]["n_events"],
                        "n_nights": n_nights,
                    }
                )
    return pd.DataFrame(rows, columns=list(PLANTED_COLUMNS))


def compute_planted_depth(effects: Effects, content: str) -> float:
    """Mean depth (dB) that the planted step adds over `HORIZON` s from the first whole window on."""
    fade = effects.depth_decay
    share = np.exp(-DEPTH_WINDOW / fade) - np.exp(-(DEPTH_WINDOW + HORIZON) / fade)
    return float(effects.depth_gain.get(content, 0.0) * fade / HORIZON * share)


def _choose(table: pd.DataFrame, outcome: str, content: str) -> dict[Any, Any]:
    """The row of one effect; empty where it could not be estimated."""
    estimator = "matched" if outcome == "depth" else "hazard"
    rows = table[
        (table["direction"] == "forward")
        & (table["outcome"] == outcome)
        & (table["content"] == content)
        & (table["estimator"] == estimator)
    ]
    return rows.iloc[0].to_dict() if len(rows) else {}


def _plant(effects: Effects, outcome: str, content: str) -> str:
    if outcome == "lighter":
        return f"{effects.hazard_ratio[content]:.2f}"
    return _sign(compute_planted_depth(effects, content))


def _write(row: dict[Any, Any], outcome: str) -> str:
    if outcome == "lighter":
        return f"{row['ratio']:.2f} ({row['ratio_low']:.2f} to {row['ratio_high']:.2f})"
    return f"{_sign(row['value'])} ({_sign(row['low'])} to {_sign(row['high'])})"


def _sign(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
