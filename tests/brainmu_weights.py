"""Small weights of Brainµ for tests of what uses them."""

from __future__ import annotations

from pathlib import Path

import torch

from sharpwave.brainmu.checkpoints import save_brainmu
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure


def write_small_weights(folder: Path, **card: object) -> Path:
    """An untrained model that knows stages, EEG and heart rate."""
    torch.manual_seed(0)
    config = configure("lite", modalities=["stages", "eeg", "heart_rate"], width=16, n_layers=1, n_heads=2)
    return save_brainmu(BrainMu(config), folder, card=dict(card))
