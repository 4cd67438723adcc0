"""Many cheap simulated nights, kept as a network's inputs in half precision: EEG at 100 Hz, heart rate and movement.

They are made once and kept in a folder, a file for every fifty, so that a run that was stopped goes on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.multimodal.nights import coarsen
from sharpwave.brainmu.epochs import EpochedRecording, EpochGrid, ModalityEpochs, epoch_recording
from sharpwave.brainmu.training.crops import sign_epochs

RATE = 100.0
"""Of the EEG, in Hz: costs half of the usual 256."""
HOURS = 2.0
SIGNALS = ("eeg", "heart_rate", "activity")
SEED = 1818
EACH = 50
"""Nights in a file."""


def load_simulated(n: int, *, folder: Path | None = None) -> list[EpochedRecording]:
    """The first `n` simulated people, a night of two hours each; made where they are not kept yet.

    Args:
        n: Number of people, the same ones whatever the number.
        folder: Where nights are kept; a folder of the user's cache where omitted.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    home = folder or base / "sharpwave" / f"simulated-nights-{sign_epochs(RATE, HOURS, SIGNALS, SEED)}"
    nights: list[EpochedRecording] = []
    for first in range(0, n, EACH):
        path = home / f"{first:05d}.npz"
        if not path.is_file():
            home.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(f".{os.getpid()}.npz")
            packed: Any = _pack([simulate_person(index) for index in range(first, first + EACH)])
            np.savez(partial, **packed)
            partial.replace(path)
        nights += _unpack(path)
    return nights[:n]


def simulate_person(index: int) -> EpochedRecording:
    """Person number `index`, with the stages that most experts gave."""
    from sharpwave.simulation import simulate_night
    from sharpwave.simulation.species import SPECIES

    species = replace(SPECIES["human"], eeg_rate=RATE)
    rng = np.random.default_rng([SEED, index])
    night, _ = simulate_night(species, HOURS, rng=rng, modalities=SIGNALS, subject=f"sim-{index:04d}")
    return coarsen(epoch_recording(night, modalities=SIGNALS, cohort="simulated", every_channel=True))


def _pack(nights: Sequence[EpochedRecording]) -> dict[str, np.ndarray]:
    arrays = {"subject": np.array([night.subject for night in nights]), "stages": np.stack([n.stages for n in nights])}
    arrays["votes"] = np.stack([night.votes for night in nights]).astype(np.float16)
    arrays["lights_off"] = np.array([np.nan if n.lights_off is None else n.lights_off for n in nights])
    for name in SIGNALS:
        arrays[f"{name}.values"] = np.stack([night.epochs[name].values for night in nights]).astype(np.float16)
        arrays[f"{name}.present"] = np.stack([night.epochs[name].present for night in nights])
        arrays[f"{name}.channels"] = np.array(nights[0].epochs[name].channels)
    return arrays


def _unpack(path: Path) -> list[EpochedRecording]:
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    nights = []
    for row, subject in enumerate(arrays["subject"]):
        epochs = {
            name: ModalityEpochs(
                arrays[f"{name}.values"][row],
                arrays[f"{name}.present"][row],
                tuple(str(channel) for channel in arrays[f"{name}.channels"]),
            )
            for name in SIGNALS
        }
        stages = arrays["stages"][row]
        start = float(arrays["lights_off"][row])
        nights.append(
            EpochedRecording(
                EpochGrid(0.0, 30.0, len(stages)),
                epochs,
                stages,
                arrays["votes"][row].astype(np.float32),
                cohort="simulated",
                subject=str(subject),
                lights_off=None if np.isnan(start) else start,
            )
        )
    return nights


def load_recorded(data: Path | None) -> list[EpochedRecording]:
    """Recorded people whose EEG shows every stage: UCDDB's 022, DREAMS' excerpts, SC4001; one channel.

    Args:
        data: Folder of data sets; what is not there is left out.
    """
    from sharpwave.benchmarks.staging.cohorts import is_whole, load_recordings, take_down
    from sharpwave.recipes.band_nights import RAW

    recordings = [recording for recording in load_recordings("ucddb", data) if is_whole(recording)]
    recordings += load_recordings("dreams-spindles", data) + load_recordings(RAW, data)
    taken = [take_down(recording, rate=RATE) for recording in recordings]
    return [coarsen(epoch_recording(one, modalities=("eeg",), cohort="recorded", every_channel=True)) for one in taken]
