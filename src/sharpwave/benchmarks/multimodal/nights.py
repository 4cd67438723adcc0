"""One night in two forms: as Brainµ sees it, step by step and modality by modality, and as the baselines do.

Brainµ sees fewer numbers per step here than elsewhere, so that a model learns in a minute on one core.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.encoders.electrophysiology import normalise_to_level
from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs, epoch_recording
from sharpwave.forecasting.cohorts import EPOCH, EpochTable, compute_night
from sharpwave.recordings.recording import Recording

SIMULATED = ("stages", "eeg", "spikes", "heart_rate", "activity")
"""Modalities of a simulated night: stage history, and at least one that shows each of the three precursors."""

PRECURSORS = {
    "electrophysiology": ("eeg", "spikes"),
    "hippocampus": ("spikes",),
    "behaviour": ("heart_rate", "activity"),
}
"""Modalities by what is lost when they are left out."""

N_UNITS = 40
N_GROUPS = 6


@dataclass(frozen=True, eq=False)
class PairedViews:
    """A night in both forms, with the same stages.

    Attributes:
        windowed: Windows that Brainµ sees.
        night: Table that the baselines see.
    """

    windowed: EpochedRecording
    night: EpochTable

    def summarised(self) -> EpochTable:
        """The baselines' night with summaries of every modality instead of the usual features."""
        values, names = summarise_windows(self.windowed)
        return replace(self.night, features=values, names=names)


def simulate_paired_nights(
    n: int,
    *,
    rng: np.random.Generator,
    hours: float = 6.0,
    precursor: float = 1.0,
    modalities: Collection[str] = SIMULATED,
) -> Iterator[PairedViews]:
    """Simulated human nights of several modalities, with the true stage that holds most of each 30 s.

    What a night does next is the truth here, not the experts' view of it, which adds flips that nothing foretells.

    Args:
        n: Number of subjects.
        rng: Random generator; the same one gives the same courses with the precursor on and off.
        hours: Length of each night, in h.
        precursor: Size of the planted signs before transitions; 0 is off.
        modalities: Keys of `ENCODERS`; "stages" is the stage history.
    """
    from sharpwave.simulation import Effects, simulate_cohort

    signals = tuple(name for name in modalities if name != "stages")
    needed = dict.fromkeys([*signals, "eeg", "heart_rate", "activity"])
    options = {"hours": hours, "effects": Effects(precursor=precursor), "modalities": tuple(needed), "n_units": N_UNITS}
    for recording, truth in simulate_cohort(n, rng=rng, **options):
        known = replace(recording, hypnogram=truth.hypnogram.resample(EPOCH))
        yield pair_recording(known, "simulated", modalities=modalities)


def pair_recording(recording: Recording, cohort: str, *, modalities: Collection[str] | None = None) -> PairedViews:
    """Both forms of a recording whose hypnogram has epochs of 30 s from the start; Brainµ's is coarse."""
    windowed = epoch_recording(recording, modalities=modalities, cohort=cohort, every_channel=True)
    night = compute_night(recording, cohort)
    rows = min(len(windowed), len(night))
    night = replace(night, stages=night.stages[:rows], features=night.features[:rows], votes=None)
    return PairedViews(coarsen(windowed.restrict(0, rows)), night)


def summarise_windows(windowed: EpochedRecording) -> tuple[Float[np.ndarray, "epoch feature"], tuple[str, ...]]:
    """Every modality but the stage history in a few numbers per step, over its channels.

    Where a step has frames: their mean and that of the last third, in up to six groups of bands. Else the measures.
    """
    columns, names = [], []
    for name, windows in windowed.epochs.items():
        if name == "stages":
            continue
        weight = windows.present / np.maximum(windows.present.sum(axis=1, keepdims=True), 1)
        values = np.einsum("sc,sc...->s...", weight, windows.values)
        if values.ndim == 3:
            bands = np.stack([part.mean(axis=2) for part in np.array_split(values, _count_groups(values), axis=2)], 2)
            late = bands[:, -max(bands.shape[1] // 3, 1) :].mean(axis=1)
            values = np.concatenate([bands.mean(axis=1), late], axis=1)
        columns.append(values)
        names += [f"{name} {index}" for index in range(values.shape[1])]
    return np.concatenate(columns, axis=1).astype(float), tuple(names)


def _count_groups(values: np.ndarray) -> int:
    return min(N_GROUPS, values.shape[2])


N_FRAMES = 10
N_BUNDLES = 2
ROOT_DEVIATION = 0.5
"""Of the square root of a Poisson count, whatever its mean (Anscombe 1948)."""


def coarsen(windowed: EpochedRecording) -> EpochedRecording:
    """One channel of EEG, ten frames per step of what has frames, units in two bundles against their level so far."""
    windows = dict(windowed.epochs)
    for name, part in windowed.epochs.items():
        if name == "spikes":
            windows[name] = normalise_rates(bundle_units(part))
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


def normalise_rates(windows: ModalityEpochs) -> ModalityEpochs:
    """Root counts against each channel's mean so far, in standard deviations of Poisson counts: cells differ."""
    related, _ = normalise_to_level(windows)
    return replace(windows, values=related.values[..., windows.values.shape[3] :] / ROOT_DEVIATION)


def average_frames(
    values: Float[np.ndarray, "step channel frame band"],
) -> Float[np.ndarray, "step channel short band"]:
    """Means of neighbouring frames."""
    return np.stack([part.mean(axis=2) for part in np.array_split(values, N_FRAMES, axis=2)], axis=2)
