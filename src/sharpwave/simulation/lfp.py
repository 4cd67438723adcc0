"""Hippocampal LFP: 1/f, theta in REM, sharp-wave ripples, and fast-gamma bursts that only look like them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.scene import Scene
from sharpwave.simulation.waveforms import (
    add_at,
    compute_frequencies,
    compute_spectrum,
    draw_white,
    make_noise,
    make_sharp_wave,
    make_slow_oscillation,
    make_spindle,
)

_HUMAN: tuple[dict[str, Any], ...] = (
    {"level": 12.0, "exponent": 1.4, "steep": 2.4},
    {"level": 11.0, "exponent": 1.6, "steep": 2.5},
    {"level": 10.0, "exponent": 1.8, "steep": 2.7},
    {"level": 10.0, "exponent": 2.0, "steep": 2.8},
    {
        "level": 9.0,
        "exponent": 1.5,
        "steep": 2.9,
        "bumps": ((2.2, 0.5, 350.0), (5.5, 1.0, 15.0)),
    },  # 1.5–3 Hz, Bódizs 2005
    {"level": 12.0, "exponent": 1.4, "steep": 2.4},
)
_RODENT: tuple[dict[str, Any], ...] = (
    {"level": 60.0, "exponent": 1.1, "steep": 2.3, "bumps": ((7.0, 1.2, 250.0),)},
    {"level": 70.0, "exponent": 1.6, "steep": 2.6},
    {"level": 40.0, "exponent": 1.2, "steep": 2.8, "bumps": ((7.5, 0.4, 4500.0), (15.0, 0.8, 80.0))},
    {"level": 60.0, "exponent": 1.1, "steep": 2.3, "bumps": ((7.0, 1.2, 250.0),)},
)
_BACKGROUND = {"human": _HUMAN, "mouse": _RODENT, "rat": _RODENT}
"""Levels are defaults in µV²/Hz; the last entry is brief arousal."""

GAMMA_BURSTS = 2.0
"""Fast-gamma bursts a minute (90–140 Hz in rodents: Sullivan et al. 2011), the decoys of ripple detection."""


def draw_gamma_bursts(scene: Scene, *, rng: np.random.Generator) -> pd.DataFrame:
    """Fast-gamma bursts without a sharp wave, in every stage, as often as artefacts are realistic.

    Returns:
        onset, duration, frequency, amplitude_uv.
    """
    n = rng.poisson(GAMMA_BURSTS * scene.nuisance.artefacts * scene.n_seconds / 60)
    low, high = (55.0, 75.0) if scene.species.name == "human" else (90.0, 130.0)
    ripple = scene.ripples["amplitude_uv"].median() if len(scene.ripples) else 70.0
    return pd.DataFrame(
        {
            "onset": np.sort(rng.uniform(0, scene.n_seconds - 1, n)),
            "duration": rng.lognormal(np.log(0.07), 0.3, n),
            "frequency": rng.uniform(low, high, n),
            "amplitude_uv": 0.6 * ripple * rng.lognormal(0, 0.3, n),
        }
    )


def simulate_lfp(scene: Scene, bursts: pd.DataFrame, *, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """Hippocampal LFP of a night.

    Args:
        scene: The hidden side of the night.
        bursts: Gamma bursts from `draw_gamma_bursts`.
        rng: Random generator.

    Returns:
        Signal in µV at the species' LFP rate.
    """
    species, rate = scene.species, scene.species.lfp_rate
    f = compute_frequencies(rate)
    spectra = [compute_spectrum(f, **p, floor=1e-3, knee=40.0) for p in _BACKGROUND[species.name]]
    slow = (150.0 if species.name == "human" else 700.0) / (1 + (f / 1.6) ** 4) * f**2 / (f**2 + 0.4**2)
    waves = 10 ** (scene.dynamics.depth / 20) * np.where(scene.dynamics.arousing, 0.5, 1.0)
    amplitudes = np.vstack([np.sqrt(scene.compute_shares()), waves]).astype(np.float32)
    signal = make_noise(
        round(scene.n_seconds * rate),
        rate=rate,
        spectra=[*spectra, slow],
        amplitudes=amplitudes,
        white=draw_white(rng),
    )
    _add_slow_oscillations(signal, scene, rate=rate)
    _add_ripples(signal, scene, rate=rate, rng=rng)
    shape = bursts[["onset", "duration", "frequency", "amplitude_uv"]]
    for onset, duration, frequency, amplitude in shape.itertuples(index=False):
        wave = make_spindle(duration, frequency=frequency, chirp=0.0, phase=0.0, rate=rate)
        add_at(signal, np.float32(amplitude) * wave, round((onset - 0.3 * duration) * rate))
    return signal


def _add_slow_oscillations(signal: np.ndarray, scene: Scene, *, rate: float) -> None:
    shapes = {length: make_slow_oscillation(length / 100, rate=rate) for length in range(65, 165)}
    table = scene.slow_oscillations
    columns = (table["onset"].to_numpy(), table["duration"].to_numpy(), table["amplitude_uv"].to_numpy())
    for onset, duration, amplitude in zip(*columns, strict=True):
        add_at(signal, np.float32(0.8 * amplitude) * shapes[round(duration * 100)], round((onset + 0.05) * rate))


def _add_ripples(signal: np.ndarray, scene: Scene, *, rate: float, rng: np.random.Generator) -> None:
    """Sharp wave and ripple; both weaken while a precursor of lighter sleep is on, and grow before deeper sleep."""
    sign = scene.precursors["hippocampus"]
    chirp = rng.normal(-60.0, 30.0, len(scene.ripples))
    phase = rng.uniform(0, 2 * np.pi, len(scene.ripples))
    columns = (scene.ripples[name].to_numpy() for name in ("onset", "duration", "frequency", "amplitude_uv"))
    for index, (onset, duration, frequency, amplitude) in enumerate(zip(*columns, strict=True)):
        size = np.float32(amplitude * (1 - 0.5 * sign[min(int(onset), len(sign) - 1)]))
        wave = make_spindle(duration, frequency=frequency, chirp=chirp[index], phase=phase[index], rate=rate)
        add_at(signal, size * wave, round((onset - 0.3 * duration) * rate))
        add_at(signal, 2 * size * make_sharp_wave(duration, rate=rate), round((onset - 0.3 * duration) * rate))
