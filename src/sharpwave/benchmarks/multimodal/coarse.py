"""Fewer numbers per step, so that a model of these benchmarks learns in a minute on one core."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.encoders.electrophysiology import normalise_to_level
from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs

N_FRAMES = 10
N_BUNDLES = 2
ROOT_DEVIATION = 0.5
"""Of the square root of a Poisson count, whatever its mean (Anscombe 1948)."""


def coarsen(windowed: EpochedRecording) -> EpochedRecording:
    """One channel of EEG, ten frames per step of what has frames, units in two bundles against their level so far."""
    windows = dict(windowed.epochs)
    for name, part in windowed.epochs.items():
        if name == "spikes":
            windows[name] = relate_rates(bundle_units(part))
        elif part.values.ndim == 4:
            windows[name] = ModalityEpochs(average_frames(part.values[:, :1]), part.present[:, :1], part.channels[:1])
    return replace(windowed, epochs=windows)


def bundle_units(windows: ModalityEpochs) -> ModalityEpochs:
    """Multi-unit activity: root counts of each bundle's units together, in wider bins."""
    counts = np.rint(windows.values**2)
    parts = np.array_split(np.arange(counts.shape[1]), N_BUNDLES)
    summed = np.stack([counts[:, part].sum(axis=1) for part in parts], axis=1)
    bins = [part.sum(axis=2) for part in np.array_split(summed, N_FRAMES, axis=2)]
    present = np.stack([windows.present[:, part].all(axis=1) for part in parts], axis=1)
    values = np.sqrt(np.stack(bins, axis=2)).astype(np.float32)
    return ModalityEpochs(values, present, tuple(f"bundle {index + 1}" for index in range(N_BUNDLES)))


def relate_rates(windows: ModalityEpochs) -> ModalityEpochs:
    """Root counts against each channel's mean so far, in standard deviations of Poisson counts: cells differ."""
    related, _ = normalise_to_level(windows)
    return replace(windows, values=related.values[..., windows.values.shape[3] :] / ROOT_DEVIATION)


def average_frames(
    values: Float[np.ndarray, "step channel frame band"],
) -> Float[np.ndarray, "step channel short band"]:
    """Means of neighbouring frames."""
    return np.stack([part.mean(axis=2) for part in np.array_split(values, N_FRAMES, axis=2)], axis=2)
