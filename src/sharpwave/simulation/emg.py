"""Muscle tone: high in wake, low in NREM, lowest in REM but for twitches; bursts with movement and arousal."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from sharpwave.simulation.noise import compute_frequencies, draw_white, make_noise
from sharpwave.simulation.nuisance import compute_wander
from sharpwave.simulation.scene import Scene

_TONE = {5: (16.0, 7.5, 5.0, 4.0, 1.8), 3: (45.0, 9.0, 3.5)}
_AROUSAL = {5: 18.0, 3: 30.0}
"""Root-mean-square tone by stage and in brief arousal, in µV (defaults without a checked source)."""


def simulate_emg(scene: Scene, *, rng: np.random.Generator) -> Float[np.ndarray, " time"]:
    """EMG of a night.

    Args:
        scene: The hidden side of the night.
        rng: Random generator.

    Returns:
        Signal in µV at the species' EEG rate.
    """
    species, rate, n = scene.species, scene.species.eeg_rate, scene.n_seconds
    tone = scene.compute_level(_TONE[species.n_stages], arousal=_AROUSAL[species.n_stages])
    tone = tone * np.exp(0.25 * compute_wander(n, time_constant=60.0, rng=rng))
    stage = scene.dynamics.stage
    restless = (stage == 0) & (rng.random(n) < 0.12)
    twitch = (stage == species.rem) & (rng.random(n) < 0.04)
    tone = tone * np.where(restless, rng.lognormal(1.0, 0.5, n), 1.0) + np.where(
        twitch, rng.lognormal(1.8, 0.5, n), 0.0
    )
    f = compute_frequencies(rate)
    band = (f / 25) ** 2 / (1 + (f / 25) ** 2) / (1 + (f / 70) ** 4)
    spectrum = band / (band.sum() * (f[1] - f[0]))
    return make_noise(
        round(n * rate),
        rate=rate,
        spectra=[spectrum],
        amplitudes=tone[None].astype(np.float32),
        white=draw_white(rng),
    )
