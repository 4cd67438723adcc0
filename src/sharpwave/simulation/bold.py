"""BOLD from the same hidden drive through a haemodynamic response, as parcels or as small volumes."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.simulation.effects import compute_wander
from sharpwave.simulation.scene import Scene

PARCELS = (
    "thalamus", "hippocampus", "amygdala", "brainstem", "visual", "auditory", "motor", "somatosensory", "insula",
    "prefrontal", "cingulate", "precuneus", "parietal", "temporal", "orbitofrontal", "striatum",
)  # fmt: skip
VOLUME_SHAPE = (8, 8, 6)
BASELINE = 1000.0
"""Arbitrary scanner units; signals are percentages of it."""


def compute_haemodynamic_response(step: float, *, time_scale: float = 1.0) -> Float[np.ndarray, " time"]:
    """SPM's canonical response: gammas of delay 6 and 16 s, dispersion 1, ratio 6, onset 0, 32 s long.

    Args:
        step: Time between samples in seconds.
        time_scale: Below 1 for a faster and narrower response (rodents).

    Returns:
        Response with unit sum.
    """
    from scipy.stats import gamma

    t = np.arange(0, 32 * time_scale, step) / time_scale
    response = gamma.pdf(t, 6) - gamma.pdf(t, 16) / 6
    return np.asarray(response / response.sum())


def simulate_parcels(scene: Scene, *, rng: np.random.Generator) -> Float[np.ndarray, "volume parcel"]:
    """BOLD of `PARCELS`, one row each repetition time.

    The drive is stage, depth, spindles with slow oscillations (thalamus and hippocampus up: eLife 103956), ripples, and
    the infraslow rhythm; noise is autocorrelated and drifts.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.

    Returns:
        Signal in scanner units around `BASELINE`, single precision.
    """
    response = compute_haemodynamic_response(1.0, time_scale=scene.species.haemodynamics)
    drive = _compute_drive(scene)
    loadings = _draw_loadings(len(drive), rng=rng)
    evoked = np.stack([np.convolve(row, response)[: scene.n_seconds] for row in drive])
    step = scene.species.repetition_time
    grid = np.arange(int(scene.n_seconds / step)) * step
    sampled = np.stack([np.interp(grid, np.arange(scene.n_seconds), row) for row in evoked])
    percent = sampled.T @ loadings
    shared = 0.3 * compute_wander(len(grid), time_constant=8.0 / step, rng=rng)
    out = np.empty((len(grid), len(PARCELS)), dtype=np.float32)
    for parcel in range(len(PARCELS)):
        own = 0.45 * compute_wander(len(grid), time_constant=2.5 / step, rng=rng) + 0.25 * rng.standard_normal(
            len(grid)
        )
        slow = 0.5 * compute_wander(len(grid), time_constant=1800.0 / step, rng=rng)
        out[:, parcel] = BASELINE * (1 + (percent[:, parcel] + shared + own + slow) / 100)
    return out


def simulate_volumes(
    parcels: Float[np.ndarray, "volume parcel"], *, rng: np.random.Generator
) -> Float[np.ndarray, "volume x y z"]:
    """Small volumes in which each parcel is a blob.

    Args:
        parcels: BOLD of the parcels, from `simulate_parcels`.
        rng: Random generator.

    Returns:
        Volumes of `VOLUME_SHAPE`, single precision.
    """
    axes = np.stack(np.meshgrid(*(np.arange(n) for n in VOLUME_SHAPE), indexing="ij"), axis=-1).reshape(-1, 3)
    centres = axes[rng.choice(len(axes), size=parcels.shape[1], replace=False)]
    distance = ((axes[:, None] - centres[None]) ** 2).sum(axis=-1)
    weights = np.exp(-0.5 * distance / 1.2**2)
    weights = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    volumes = parcels @ weights.T
    volumes += np.float32(0.004 * BASELINE) * rng.standard_normal(volumes.shape, dtype=np.float32)
    return volumes.reshape(len(parcels), *VOLUME_SHAPE)


def _compute_drive(scene: Scene) -> Float[np.ndarray, "drive second"]:
    """Rows: wake, REM, depth, spindles, ripples, infraslow (all about unit size)."""
    n, dynamics = scene.n_seconds, scene.dynamics
    gate = np.array(scene.species.infraslow_gate)[dynamics.stage] * scene.nuisance.infraslow
    return np.stack(
        [
            (dynamics.stage == 0) | dynamics.arousing,
            dynamics.stage == scene.species.rem,
            dynamics.depth / 8,
            _count(scene.spindles["onset"].to_numpy(), n),
            _count(scene.ripples["onset"].to_numpy(), n),
            gate * np.cos(dynamics.infraslow),
        ]
    ).astype(float)


def _count(onset: np.ndarray, n: int) -> np.ndarray:
    return np.bincount(np.clip(onset.astype(int), 0, n - 1), minlength=n)


def _draw_loadings(n_drives: int, *, rng: np.random.Generator) -> Float[np.ndarray, "drive parcel"]:
    """Percent signal change of each parcel per unit of each drive."""
    loadings = rng.normal(0, 0.12, (n_drives, len(PARCELS)))
    at = {name: index for index, name in enumerate(PARCELS)}
    loadings[0, [at["thalamus"], at["precuneus"], at["prefrontal"]]] += 0.7
    loadings[1, [at["visual"], at["amygdala"], at["hippocampus"]]] += 0.7
    loadings[2, [at["thalamus"], at["brainstem"], at["prefrontal"]]] -= 0.4
    loadings[3, [at["thalamus"], at["hippocampus"]]] += 2.0
    loadings[4, [at["hippocampus"], at["prefrontal"]]] += 1.5
    loadings[5, [at["visual"], at["auditory"], at["somatosensory"]]] += 0.5
    return loadings
