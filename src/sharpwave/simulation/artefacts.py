"""What electrodes do: movement artefacts, electrode pops, and a lead that falls off."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.scene import Scene
from sharpwave.simulation.waveforms import add_at

_PER_HOUR = {"movement": 12.0, "pop": 3.0}


def draw_artefacts(scene: Scene, *, channels: tuple[str, ...], rng: np.random.Generator) -> pd.DataFrame:
    """Movement artefacts on all channels at arousals and in wake, pops on one channel, lost electrodes.

    Args:
        scene: The hidden side of the night.
        channels: Names of the channels that have electrodes.
        rng: Random generator.

    Returns:
        onset, duration, label ("movement", "pop", "lost"), channel ("all" or a name).
    """
    rows = []
    n, restless = scene.n_seconds, (scene.dynamics.stage == 0) | scene.dynamics.arousing
    candidates = np.flatnonzero(restless)
    n_movements = rng.poisson(_PER_HOUR["movement"] * scene.nuisance.artefacts * n / 3600)
    if len(candidates):
        for second in np.sort(rng.choice(candidates, size=n_movements)):
            rows.append((second + rng.random(), float(rng.lognormal(1.3, 0.6)), "movement", "all"))
    for channel in channels:
        for onset in rng.uniform(0, n, rng.poisson(_PER_HOUR["pop"] * scene.nuisance.artefacts * n / 3600)):
            rows.append((onset, 0.6, "pop", channel))
        if rng.random() < scene.nuisance.electrode_loss:
            onset, share = rng.uniform(0.1, 0.9) * n, rng.uniform(0.02, 0.3)
            rows.append((onset, min(share * n, n - onset), "lost", channel))
    table = pd.DataFrame(rows, columns=["onset", "duration", "label", "channel"])
    return table.sort_values("onset", ignore_index=True)


def add_artefacts(
    signal: Float[np.ndarray, " time"],
    artefacts: pd.DataFrame,
    *,
    channel: str,
    rate: float,
    size: float = 6.0,
    rng: np.random.Generator,
) -> None:
    """Put the artefacts of one channel into it, in place.

    Args:
        signal: Signal of the channel in µV.
        artefacts: Artefacts from `draw_artefacts`.
        channel: Name of this channel.
        rate: Sampling rate in Hz.
        size: Size of the artefacts relative to the robust amplitude of the signal.
        rng: Random generator.
    """
    size = size * float(np.median(np.abs(signal[:: max(len(signal) // 10_000, 1)])) / 0.6745)
    mine = artefacts[artefacts["channel"].isin(["all", channel])]
    mine = mine.sort_values("label", key=lambda label: label == "lost", kind="stable")  # a lost lead shows nothing else
    for onset, duration, label in mine[["onset", "duration", "label"]].itertuples(index=False):
        length = max(int(duration * rate), 4)
        first = round(onset * rate)
        if label == "lost":
            signal[first : first + length] = 0.3 * rng.standard_normal(
                len(signal[first : first + length]), dtype=np.float32
            )
            continue
        if label == "pop":
            wave = np.exp(-np.arange(length) / (0.15 * rate)) * rng.choice([-1.0, 1.0])
        else:
            walk = np.cumsum(rng.standard_normal(length))
            wave = np.hanning(length) * (walk - walk.mean()) / (walk.std() + 1e-9) + 0.5 * np.hanning(
                length
            ) * rng.standard_normal(length)
        add_at(signal, (size * rng.lognormal(0, 0.4) * wave).astype(np.float32), first)
