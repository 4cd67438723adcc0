"""Hidden courses of simulated nights, without signals, and what a laboratory would measure of them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.causality.series import DEPTH_WINDOW, NightSeries, estimate_infraslow_phase
from sharpwave.errors import SharpwaveError
from sharpwave.simulation.dynamics import Dynamics, simulate_dynamics
from sharpwave.simulation.effects import CONTENTS, Effects
from sharpwave.simulation.hypnograms import load_architecture
from sharpwave.simulation.nuisance import Nuisance
from sharpwave.simulation.species import get_species

DEPTH_NOISE = 1.2
"""Standard deviation in dB of slow-wave power over 4 s: 3.5 Hz for 4 s are 28 degrees of freedom."""

SPINDLE_POWER, SPINDLE_LENGTH = 6.0, 0.75
"""Sigma power of a spindle relative to the background, and its length in seconds."""

PHASES = ("estimated", "true", "none")


def simulate_course(
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
    """One night as a laboratory sees it, and its hidden course.

    Depth is the true one averaged over epochs of 4 s with the noise of a spectral estimate. The infraslow phase is
    estimated from sigma power that spindles and a noisy background make, from the past alone, unless asked otherwise.
    Stages are scored second by second, brief arousals as wake. Reactivations are those that happened: detection is
    judged elsewhere.

    Args:
        species: "mouse", "rat" or "human".
        hours: Length.
        rng: Random generator; the course depends on nothing else but the effects.
        effects: What is planted; nothing by default.
        nuisance: Common causes; realistic by default.
        phase: "estimated", "true" (what no laboratory has) or "none".
        candidates: Whether the ripples without a reactivation are known too.
        night: Its name.

    Returns:
        The course and the dynamics behind it.

    Raises:
        SharpwaveError: If `phase` is none of these.
    """
    if phase not in PHASES:
        raise SharpwaveError(f"phase among {', '.join(PHASES)}", got=repr(phase), fix="choose one of these")
    preset = get_species(species)
    hidden, seen = rng.spawn(2)
    dynamics = simulate_dynamics(
        round(hours * 3600),
        species=preset,
        architecture=load_architecture(species),
        effects=effects or Effects(),
        nuisance=nuisance or Nuisance(),
        contents=CONTENTS,
        task=(0.0, preset.task_length),
        rng=hidden,
    )
    awake = np.r_[False, dynamics.arousing[:-1]]  # an arousal that comes within a second shows in the next
    stage = np.where(awake, 0, dynamics.stage).astype(np.int8)
    asleep = np.isin(stage, preset.nrem)
    replays = dynamics.ripples[dynamics.ripples["kind"] == "replay"]
    course = NightSeries(
        night=night,
        time=np.arange(len(stage), dtype=float),
        stage=stage,
        n_stages=preset.n_stages,
        depth=_average(dynamics.depth, noise=DEPTH_NOISE, rng=seen),
        emg=_average(np.where(stage == 0, 8.0, 0.0), noise=1.0, rng=seen),
        infraslow=_see_phase(phase, dynamics, asleep, seen),
        reactivations=replays[["onset", "content"]].reset_index(drop=True),
        usable=np.ones(len(stage), bool),
        candidates=np.sort(dynamics.ripples["onset"].to_numpy(dtype=float)) if candidates else None,
    )
    return course, dynamics


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
