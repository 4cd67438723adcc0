"""Nights of Sleep-EDF that are known by band power, and the recorded epochs that lend them what happens within 30 s."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import numpy as np

from sharpwave.brainmu.encoders.electrophysiology import EEG
from sharpwave.brainmu.epochs import N_STAGES, EpochedRecording, epoch_recording
from sharpwave.brainmu.training.spectral_transfer import BandNight, Templates
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.recording import Recording

MARGIN = 60
"""Epochs of wake that are kept to either side of sleep: Sleep-EDF's recordings last 20 h."""
RELATIVE_UNIT = 2.2
"""Log10 µV²/Hz of relative power 1 in `sleep-edf-78-bands`: the difference from exact power of the same nights."""
SIMULATED_WEIGHT = 2.0
"""Weight of all simulated epochs of a stage; a recorded person has 1."""
SETS = ("sleep-edf-bands", "sleep-edf-78-bands")
RAW = "sleep-edf-sc4001-raw"


def load_band_nights(
    root: str | Path | None = None, *, sets: Collection[str] = SETS, leave_out: Collection[str] = ()
) -> list[BandNight]:
    """Nights of the named sets without the wake of the day; of a person in both, those with exact power.

    Args:
        root: Folder of data sets.
        sets: Names of data sets; those that are not there are left out.
        leave_out: People ("SC400") that are kept for testing, in all sets.
    """
    nights: list[BandNight] = []
    for name in sets:
        exact = {night.subject for night in nights}
        for one in list_subjects(name, root, required=False):
            recording = load_dataset(f"{name}/{one}", root)
            if recording.subject not in (*leave_out, *exact) and (night := take_bands(recording)) is not None:
                nights.append(night)
    return nights


def take_bands(recording: Recording) -> BandNight | None:
    """Band power of the EEG from `MARGIN` before sleep to `MARGIN` after; None where nobody slept."""
    bands = recording.metadata["bands"]
    signals = {name: signal for name, signal in recording.signals.items() if "EEG" in name}
    power = np.stack([signal.read(dtype=np.float64)[:, : len(bands)] for signal in signals.values()], axis=1)
    if recording.metadata["unit"].startswith("log10 of relative"):
        power = power + RELATIVE_UNIT
    hypnogram = recording.hypnogram
    stages = np.asarray(() if hypnogram is None else hypnogram.stages, dtype=np.int8)
    asleep = np.flatnonzero(stages > 0)
    if not len(asleep):
        return None
    kept = slice(max(asleep[0] - MARGIN, 0), asleep[-1] + MARGIN + 1)
    edges = tuple(bands.values())
    cohort = str(recording.source).partition("/")[0]
    return BandNight(power[kept], edges, stages[kept], tuple(signals), recording.subject, cohort)


def collect_templates(real: Sequence[EpochedRecording], simulated: Iterable[EpochedRecording]) -> Templates:
    """Recorded epochs of each stage, every person alike, and simulated ones.

    Args:
        real: Nights with EEG and stages.
        simulated: Human nights with EEG.
    """
    parts = [(*take_epochs(night), 1.0) for night in real]
    nights = [
        take_epochs(n) for n in simulated if "eeg" in n.epochs and n.n_stages == N_STAGES and n.cohort.endswith("human")
    ]
    return Templates.collect([*parts, *((*night, SIMULATED_WEIGHT / len(nights)) for night in nights)])


def take_epochs(night: EpochedRecording) -> tuple[np.ndarray, np.ndarray]:
    """Log10 power (epoch, frame, centre) and stage of the epochs of a night's first EEG channel that have both."""
    part = night.epochs["eeg"]
    here = np.asarray(part.present)[:, 0] & (np.asarray(night.stages) >= 0)
    return part.values[here, 0, :, : EEG.frames.n_bands], np.asarray(night.stages)[here]


def load_raw_sleep_edf(root: str | Path | None = None, leave_out: Collection[str] = ()) -> list[EpochedRecording]:
    """The hours of raw EEG of Sleep-EDF, as epochs; none where the data set is not there.

    Args:
        root: Folder of data sets.
        leave_out: People ("SC400") that are kept for testing.
    """
    recordings = [load_dataset(f"{RAW}/{name}", root) for name in list_subjects(RAW, root, required=False)]
    kept = [recording for recording in recordings if recording.subject not in leave_out]
    return [epoch_recording(recording, modalities=["eeg"], cohort=RAW, every_channel=True) for recording in kept]
