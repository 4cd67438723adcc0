"""Eye movements: rapid in REM, slow and rolling in N1, blinks and saccades in wake, over leaking frontal EEG."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.noise import add_at
from sharpwave.simulation.scene import Scene
from sharpwave.simulation.waveforms import make_blink, make_saccade


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
