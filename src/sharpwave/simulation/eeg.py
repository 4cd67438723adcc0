"""Scalp EEG: a 1/f background by stage, slow waves that follow depth, slow oscillations, spindles.

Levels are defaults chosen so that the EEG looks right and a stager trained on real nights reads it; what is held to
published numbers is the order of the slopes between 30 and 45 Hz (wake, NREM, REM: Lendner et al. 2020,
10.7554/eLife.55092).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.simulation.noise import add_at, compute_frequencies, compute_spectrum, draw_white, make_noise
from sharpwave.simulation.scene import Scene
from sharpwave.simulation.waveforms import make_slow_oscillation, make_spindle

_FLOOR = 1e-4
"""Power density of the amplifier's noise, in µV²/Hz."""

_HUMAN: tuple[dict[str, Any], ...] = (
    {"level": 1.6, "exponent": 1.1, "steep": 2.0, "bumps": ((10.2, 1.0, 9.0), (20.0, 4.0, 0.35))},  # W
    {"level": 1.1, "exponent": 1.5, "steep": 2.6, "bumps": ((5.5, 1.5, 3.5), (9.0, 1.5, 0.7))},  # N1
    {"level": 0.9, "exponent": 1.8, "steep": 3.2, "bumps": ((5.0, 1.5, 2.0), (13.0, 1.2, 0.6))},  # N2
    {"level": 0.9, "exponent": 2.1, "steep": 3.6, "bumps": ((12.5, 1.2, 0.4),)},  # N3
    {"level": 0.8, "exponent": 1.5, "steep": 5.0, "bumps": ((2.7, 0.4, 2.0), (5.5, 1.3, 1.8), (8.5, 0.9, 0.5))},  # R
    {"level": 1.6, "exponent": 1.2, "steep": 2.0, "bumps": ((9.5, 1.3, 6.0), (20.0, 5.0, 0.8))},  # brief arousal
)
_RODENT: tuple[dict[str, Any], ...] = (
    {"level": 8.0, "exponent": 0.9, "steep": 1.9, "bumps": ((7.0, 1.2, 25.0),)},  # W
    {"level": 12.0, "exponent": 1.8, "steep": 3.3, "bumps": ((11.0, 2.0, 6.0),)},  # NREM
    {"level": 5.0, "exponent": 1.1, "steep": 4.5, "bumps": ((7.5, 0.7, 150.0), (15.0, 1.2, 6.0))},  # R
    {"level": 8.0, "exponent": 0.9, "steep": 1.9, "bumps": ((7.0, 1.2, 25.0),)},  # brief arousal
)
_BACKGROUND = {"human": _HUMAN, "mouse": _RODENT, "rat": _RODENT}
_SLOW_LEVEL = {"human": 40.0, "mouse": 260.0, "rat": 260.0}
"""Power density of slow waves near 1 Hz at a depth of 0 dB, in µV²/Hz."""

_TOPOGRAPHY = {"C4-M1": (1.0, 1.0, 1.0), "F4-M1": (1.2, 0.8, 0.75), "O2-M1": (0.7, 0.5, 1.3), "EEG": (1.0, 1.0, 1.0)}
"""Gain of slow waves, of spindles and of the background by channel."""


def simulate_eeg(
    scene: Scene, *, channels: tuple[str, ...], rng: np.random.Generator
) -> dict[str, Float[np.ndarray, " time"]]:
    """EEG of a night.

    Args:
        scene: The hidden side of the night.
        channels: Any of C4-M1, F4-M1, O2-M1 (human) or EEG (rodent).
        rng: Random generator; the channels share about half of their background.

    Returns:
        Signal in µV by channel, at the species' rate, single precision.
    """
    species, rate = scene.species, scene.species.eeg_rate
    n_samples = round(scene.n_seconds * rate)
    spectra = _make_spectra(scene, rng=rng)
    sources = rng.spawn(len(channels) + 2)
    common_seed = sources[0].integers(2**63)
    out = {}
    for channel, own in zip(channels, sources[2:], strict=True):
        slow, sigma, gain = _TOPOGRAPHY[channel]
        shared, private = draw_white(np.random.default_rng(common_seed)), draw_white(own)

        def mix(n: int, shared: Any = shared, private: Any = private) -> np.ndarray:
            return np.asarray(np.float32(0.8) * shared(n) + np.float32(0.6) * private(n))

        amplitudes = _compute_amplitudes(scene, slow=slow, gain=gain)
        signal = make_noise(
            n_samples,
            rate=rate,
            spectra=spectra,
            amplitudes=amplitudes,
            white=mix,
        )
        _add_slow_oscillations(signal, scene, gain=slow, rate=rate)
        _add_spindles(signal, scene, gain=sigma, rate=rate, rng=np.random.default_rng(common_seed + 1))
        out[channel] = signal
    return out if species.n_stages == 5 else {name: 1.5 * signal for name, signal in out.items()}


def _make_spectra(scene: Scene, *, rng: np.random.Generator) -> list[np.ndarray]:
    """Spectra of the stages, of brief arousal, of slow waves and of the beta activity that precedes lightening."""
    species = scene.species
    f = compute_frequencies(species.eeg_rate)
    shift, loud = rng.normal(0, 0.5), rng.lognormal(0, 0.15)
    spectra = []
    for parameters in _BACKGROUND[species.name]:
        bumps = tuple((c + (shift if 8 < c < 11 else 0.0), w, h) for c, w, h in parameters["bumps"])
        spectra.append(loud * compute_spectrum(f, **{**parameters, "bumps": bumps}, floor=_FLOOR))
    slow = loud * _SLOW_LEVEL[species.name] / (1 + (f / 1.6) ** 4) * f**2 / (f**2 + 0.4**2)
    spectra.append(slow)
    spectra.append(1.2 * np.exp(-0.5 * ((f - 20) / 4) ** 2))
    return spectra


def _compute_amplitudes(scene: Scene, *, slow: float, gain: float) -> Float[np.ndarray, "state second"]:
    """Amplitude of each spectrum of `_make_spectra`, one value a second."""
    shares = np.sqrt(scene.compute_shares()) * np.sqrt(gain)
    sign = scene.precursors["eeg"]
    depth = scene.dynamics.depth - 4.0 * np.where(scene.dynamics.stage > 0, sign, 0.0)
    waves = slow * 10 ** (depth / 20) * np.where(scene.dynamics.arousing, 0.5, 1.0)
    return np.vstack([shares, waves, np.maximum(sign, 0.0)]).astype(np.float32)


def _add_slow_oscillations(signal: np.ndarray, scene: Scene, *, gain: float, rate: float) -> None:
    table = scene.slow_oscillations
    shapes = {length: make_slow_oscillation(length / 100, rate=rate) for length in range(65, 165)}
    columns = (table["onset"].to_numpy(), table["duration"].to_numpy(), table["amplitude_uv"].to_numpy())
    for onset, duration, amplitude in zip(*columns, strict=True):
        add_at(signal, np.float32(gain * amplitude) * shapes[round(duration * 100)], round(onset * rate))


def _add_spindles(signal: np.ndarray, scene: Scene, *, gain: float, rate: float, rng: np.random.Generator) -> None:
    table = scene.spindles
    chirp, phase = rng.normal(-0.6, 0.5, len(table)), rng.uniform(0, 2 * np.pi, len(table))
    columns = (table[name].to_numpy() for name in ("onset", "duration", "frequency", "amplitude_uv"))
    for index, (onset, duration, frequency, amplitude) in enumerate(zip(*columns, strict=True)):
        wave = make_spindle(duration, frequency=frequency, chirp=chirp[index], phase=phase[index], rate=rate)
        add_at(signal, np.float32(gain * amplitude) * wave, round((onset - 0.3 * duration) * rate))
