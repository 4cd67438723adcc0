"""Heart rate, movement, skin temperature, and a memory task before and after sleep."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.simulation.effects import compute_wander
from sharpwave.simulation.scene import Scene


def simulate_heart_rate(scene: Scene, *, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Heart rate in beats a minute, one value a second: lower in NREM than in REM, falling across the night.

    It is low at the peak of the infraslow rhythm and rises with arousals, and before lighter sleep with a precursor.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.
    """
    species, n, dynamics = scene.species, scene.n_seconds, scene.dynamics
    shares = (1.0, 0.94, 0.91, 0.89, 0.95) if species.n_stages == 5 else (1.0, 0.85, 0.9)
    level = scene.compute_level(shares, arousal=1.08)
    kernel = np.exp(-np.arange(30) / 8.0)
    level = np.convolve(np.pad(level, (29, 0), mode="edge"), kernel / kernel.sum(), mode="valid")
    gate = np.array(species.infraslow_gate)[dynamics.stage] * scene.nuisance.infraslow
    in_rem = dynamics.stage == species.rem
    level = level - 0.02 * gate * np.cos(dynamics.infraslow) - 0.006 * np.arange(n) / 3600
    level = level + 0.05 * scene.precursors["behaviour"]
    noise = compute_wander(n, time_constant=6.0, rng=rng) * np.where(in_rem, 0.03, 0.018)
    subject = rng.normal(1.0, 0.08)
    return (species.wake_heart_rate * subject * (level + noise)).astype(np.float32)


def simulate_activity(scene: Scene, *, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Movement counts, one value a second: frequent in wake, at arousals and stage changes, rare when deep.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.
    """
    dynamics, n = scene.dynamics, scene.n_seconds
    chance = (0.30, 0.03, 0.010, 0.004, 0.015) if scene.species.n_stages == 5 else (0.45, 0.01, 0.02)
    rate = scene.compute_level(chance, arousal=0.35)
    changed = np.r_[False, np.diff(dynamics.stage) != 0]
    rate = (
        rate + np.convolve(changed, np.full(4, 0.1), mode="same") + 0.05 * np.maximum(scene.precursors["behaviour"], 0)
    )
    moving = rng.random(n) < rate
    still = np.repeat(rng.random(n // 120 + 1) < 0.4, 120)[:n] & (dynamics.stage == 0)
    moving &= ~(still & (rng.random(n) < 0.8))
    return np.where(moving, rng.lognormal(2.5, 0.9, n), 0.0).astype(np.float32)


def simulate_temperature(scene: Scene, *, rng: np.random.Generator) -> Float[np.ndarray, " minute"]:
    """Core temperature in °C, one value a minute, falling slowly in sleep and rising in wake.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.
    """
    n = max(scene.n_seconds // 60, 1)
    asleep = (scene.dynamics.stage[: n * 60].reshape(n, -1) > 0).mean(axis=1)
    low, value = 0.4, 0.0
    path = np.empty(n)
    for minute, share in enumerate(asleep):
        value += (-low * share - value) / 60
        path[minute] = value
    base = 36.9 if scene.species.n_stages == 5 else 37.2
    return (base + path + 0.05 * compute_wander(n, time_constant=20.0, rng=rng)).astype(np.float32)


def simulate_memory(scene: Scene, *, rng: np.random.Generator) -> dict[str, float]:
    """Score of a memory task (percent correct) before and after sleep.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.

    Returns:
        "before", "after"; reactivations add `effects.memory_gain` points per hundred.
    """
    skill = float(np.clip(rng.normal(65, 10), 20, 95))
    n_replays = int((scene.ripples["kind"] == "replay").sum())
    before = skill + float(rng.normal(0, 4))
    after = skill + scene.effects.memory_gain * n_replays / 100 + float(rng.normal(0, 4))
    return {"before": float(np.clip(before, 0, 100)), "after": float(np.clip(after, 0, 100))}
