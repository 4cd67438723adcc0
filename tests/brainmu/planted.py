"""Nights in which one signal alone tells of a change of stage, and a tiny model that has learnt it."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from sharpwave.brainmu import BrainMu, collate, configure, epoch_recording
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.training.objective import Objective, compute_losses, drop_modalities
from sharpwave.recordings import Hypnogram, Recording
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal

NAMES = ("heart_rate", "activity", "temperature")
TELLING = "heart_rate"
STEP = 30.0
LENGTH = 60
"""Steps of a piece in training, and of a night in a test."""


def simulate_recording(rng: np.random.Generator, *, n_steps: int = LENGTH, subject: str = "planted") -> Recording:
    """Noise, and a heart rate that rises in the last thirty seconds before each change of stage."""
    changes = rng.random(n_steps) < 0.15
    changes[0] = False
    stages = (np.cumsum(changes) % 3).astype(np.int8)
    signals = {}
    for name in NAMES:
        channels = ("C3", "C4") if name == TELLING else ()
        samples = rng.normal(0, 1, (n_steps * 3, 2) if channels else n_steps * 3) + 5
        if channels:
            before = np.repeat(np.r_[changes[1:], False], 3)
            samples[:, 1] += 6 * before
        signals[name] = Signal(name, samples, 0.1, MODALITIES[name], channels=channels)
    hypnogram, known = Hypnogram(stages, STEP), {"lights_off": 0.0}
    return Recording(signals=signals, hypnogram=hypnogram, subject=subject, source="simulated", metadata=known)


def simulate_pieces(n: int, *, seed: int = 0, n_steps: int = LENGTH) -> list[EpochedRecording]:
    """Recordings as the model sees them, without their stages as an input."""
    streams = np.random.default_rng(seed).spawn(n)
    recordings = [simulate_recording(rng, n_steps=n_steps, subject=f"p{i}") for i, rng in enumerate(streams)]
    return [epoch_recording(recording, modalities=NAMES) for recording in recordings]


def make_model(*, seed: int = 0, n_layers: int = 2, pooled_query: bool = False) -> BrainMu:
    """Random weights."""
    torch.manual_seed(seed)
    config = configure(
        "lite",
        modalities=NAMES,
        width=16,
        n_layers=n_layers,
        n_heads=2,
        dropout=0.0,
        pooled_query=pooled_query,
        window=7200.0,
    )
    return BrainMu(config).eval()


@cache
def train_model(*, n_passes: int = 120, seed: int = 0) -> BrainMu:
    """A tiny model that has learnt what is planted."""
    model, pieces = make_model(seed=seed), simulate_pieces(6, n_steps=4 * LENGTH)
    rng = np.random.default_rng(seed)
    generator = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
    objective = Objective(next_step=0.0, stage=0.0)
    for _ in range(n_passes):
        chosen, firsts = rng.choice(len(pieces), 4), rng.integers(0, len(pieces[0]) - LENGTH, 4)
        batch = collate([pieces[i].restrict(f, f + LENGTH) for i, f in zip(chosen, firsts, strict=True)])
        dropped = drop_modalities(batch, modality=0.3, channel=0.2, generator=generator)
        loss = torch.stack(list(compute_losses(model.train(), model(dropped), batch, objective).values())).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model.eval()
