"""Small nights on which something is to be learned: the heart rate says the stage."""

from __future__ import annotations

import numpy as np

from sharpwave.brainmu import BrainMu, configure, epoch_recording
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

LEVELS = (0.0, 6.0, 12.0, 18.0, 24.0)


def make_recording(
    seed: int, *, n_steps: int = 120, levels: tuple[float, ...] = LEVELS, subject: str = ""
) -> Recording:
    """Stages that last ten steps each, and a heart rate (1 Hz) that goes up by `levels` with them."""
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.integers(0, 5, n_steps // 10 + 1), 10)[:n_steps].astype(np.int8)
    rate = 50 + np.array(levels)[np.repeat(stages, 30)] + rng.standard_normal(30 * n_steps)
    return Recording(
        signals={"pulse": Signal("pulse", rate.astype(np.float32), 1.0, MODALITIES["heart_rate"])},
        hypnogram=Hypnogram(stages, 30.0),
        subject=subject or f"s{seed}",
    )


def make_night(seed: int, **settings: object) -> EpochedRecording:
    """Of heart rate alone."""
    return epoch_recording(make_recording(seed, **settings), modalities=["heart_rate"])


def make_model(seed: int = 0, **settings: object) -> BrainMu:
    """Tiny, for heart rate."""
    import torch

    torch.manual_seed(seed)
    arguments = {"modalities": ["heart_rate"], "width": 16, "n_layers": 1, "n_heads": 2, "dropout": 0.0, **settings}
    return BrainMu(configure("lite", **arguments))
