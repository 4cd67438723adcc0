"""EEG, eye movements and muscle tone, as electrodes on the head record them.

The EEG is a 1/f background by stage, slow waves that follow depth, slow oscillations and spindles. Levels are defaults
chosen so that it looks right and a stager trained on real nights reads it; what is held to published numbers is the
order of the slopes between 30 and 45 Hz (wake, NREM, REM: Lendner et al. 2020, 10.7554/eLife.55092). The eyes move
rapidly in REM, roll slowly in N1, blink and jump in wake, over leaking frontal EEG. Muscle tone is high in wake, low in
NREM and lowest in REM but for twitches, with bursts at movements and arousals.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.effects import compute_wander
from sharpwave.simulation.scene import Scene
from sharpwave.simulation.waveforms import (
    add_at,
    compute_frequencies,
    compute_spectrum,
    draw_white,
    make_blink,
    make_noise,
    make_saccade,
    make_slow_oscillation,
    make_spindle,
)

AMPLIFIER_FLOOR = 1e-4
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
BACKGROUND = {"human": _HUMAN, "mouse": _RODENT, "rat": _RODENT}
SLOW_LEVEL = {"human": 40.0, "mouse": 260.0, "rat": 260.0}
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
    """Spectra of the stages, of brief arousal, of slow waves and of the beta activity that precedes lighter sleep."""
    species = scene.species
    f = compute_frequencies(species.eeg_rate)
    shift, loud = rng.normal(0, 0.5), rng.lognormal(0, 0.15)
    spectra = []
    for parameters in BACKGROUND[species.name]:
        bumps = tuple((c + (shift if 8 < c < 11 else 0.0), w, h) for c, w, h in parameters["bumps"])
        spectra.append(loud * compute_spectrum(f, **{**parameters, "bumps": bumps}, floor=AMPLIFIER_FLOOR))
    slow = loud * SLOW_LEVEL[species.name] / (1 + (f / 1.6) ** 4) * f**2 / (f**2 + 0.4**2)
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


def draw_eye_movements(scene: Scene, *, rng: np.random.Generator) -> pd.DataFrame:
    """When the eyes move: REMs in bursts, slow rolling movements in N1, saccades and blinks in wake.

    Returns:
        onset, duration, label ("rem", "slow", "saccade", "blink"), amplitude_uv (signed).
    """
    stage, n = scene.dynamics.stage, scene.n_seconds
    burst = np.repeat(rng.random(n // 5 + 1) < 0.28, 5)[:n]
    rates = {
        "rem": 0.9 * ((stage == scene.species.rem) & burst),
        "slow": 0.16 * (stage == 1) if scene.species.n_stages == 5 else np.zeros(n),
        "saccade": 0.25 * (stage == 0),
        "blink": 0.2 * (stage == 0),
    }
    sizes = {"rem": 75.0, "slow": 60.0, "saccade": 45.0, "blink": 110.0}
    parts = []
    for label, rate in rates.items():
        second = np.repeat(np.arange(n), rng.poisson(rate))
        size = sizes[label] * rng.lognormal(0, 0.4, len(second))
        sign = 1.0 if label == "blink" else rng.choice([-1.0, 1.0], len(second))
        length = {"slow": 2.5, "blink": 0.35}.get(label, 0.06) * rng.lognormal(0, 0.2, len(second))
        parts.append(
            pd.DataFrame(
                {
                    "onset": second + rng.random(len(second)),
                    "duration": length,
                    "label": label,
                    "amplitude_uv": size * sign,
                }
            )
        )
    return pd.concat(parts, ignore_index=True).sort_values("onset", ignore_index=True)


def simulate_eog(
    scene: Scene, movements: pd.DataFrame, frontal: Float[np.ndarray, " time"], *, rng: np.random.Generator
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Both EOG channels: eye movements are of opposite polarity in them, blinks and leaking EEG of the same.

    Args:
        scene: The hidden side of the night.
        movements: From `draw_eye_movements`; amplitudes are those of the left eye.
        frontal: Frontal EEG in µV, which leaks in.
        rng: Random generator; the right eye moves nearly as far as the left.

    Returns:
        Left (LOC-M2) and right (ROC-M2) signal in µV.
    """
    rate = scene.species.eeg_rate
    left, right = (np.float32(0.55) * frontal + rng.standard_normal(len(frontal), dtype=np.float32) for _ in range(2))
    gains = rng.lognormal(-0.05, 0.12, len(movements))
    columns = (movements[name].to_numpy() for name in ("onset", "duration", "label", "amplitude_uv"))
    for onset, duration, label, amplitude, gain in zip(*columns, gains, strict=True):
        if label == "blink":
            wave = make_blink(duration, rate=rate)
        elif label == "slow":
            wave = np.sin(2 * np.pi * np.linspace(0, 1, int(duration * rate))).astype(np.float32)
        else:
            wave = make_saccade(duration, decay=0.6, rate=rate)
        wave = np.float32(amplitude) * wave
        add_at(left, wave, round(onset * rate))
        add_at(right, np.float32(gain if label == "blink" else -gain) * wave, round(onset * rate))
    return left, right


def leak_blinks(frontal: Float[np.ndarray, " time"], movements: pd.DataFrame, *, gain: float, rate: float) -> None:
    """Add the blinks, scaled, to a frontal EEG channel in place."""
    blinks = movements[movements["label"] == "blink"]
    for onset, duration, amplitude in blinks[["onset", "duration", "amplitude_uv"]].itertuples(index=False):
        add_at(frontal, np.float32(gain * amplitude) * make_blink(duration, rate=rate), round(onset * rate))


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
