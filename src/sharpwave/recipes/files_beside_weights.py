"""Files beside the weights that make them readable: named directions of the latent, and what was seen in training.

    python -m sharpwave.recipes.files_beside_weights FOLDER

fits both again, on simulated nights of the recipe's kind (what was seen on UCDDB's EEG as well), and writes them into
the folder of the weights.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.brainmu.checkpoints import load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.explanation.latents import Directions, fit_directions, save_directions
from sharpwave.brainmu.explanation.measures import compute_measures
from sharpwave.brainmu.explanation.occlusion import pass_over_night
from sharpwave.brainmu.explanation.out_of_distribution import (
    OutOfDistribution,
    fit_out_of_distribution,
    save_out_of_distribution,
)
from sharpwave.brainmu.model import BrainMu
from sharpwave.recipes.staging_nights import join_recorded, load_raw_ucddb
from sharpwave.recordings.recording import Recording

MODALITIES = ("eeg", "eog", "emg", "heart_rate", "activity", "temperature")
HOURS = 3.0
N_NIGHTS = 14
SEED = 23


@dataclass(frozen=True, eq=False)
class MeasuredRecording:
    """A simulated night, as the model sees it and as sleep researchers measure it.

    Attributes:
        recording: Recording with its signals.
        piece: Its windows, without a stage history.
        measures: From `compute_measures`.
    """

    recording: Recording
    piece: EpochedRecording
    measures: dict[str, np.ndarray]


def simulate_measured(
    n: int, *, rng: np.random.Generator, precursor: float = 0.0, hours: float = HOURS
) -> Iterator[MeasuredRecording]:
    """Simulated human nights with most modalities, one after the other.

    Args:
        n: Number of subjects.
        rng: Random generator.
        precursor: Size of the sign that precedes changes of stage.
        hours: Length of each night, in h.
    """
    from sharpwave.simulation import Effects, simulate_cohort

    options = {"species": "human", "hours": hours, "modalities": MODALITIES, "effects": Effects(precursor=precursor)}
    for recording, _ in simulate_cohort(n, rng=rng, **options):
        piece = epoch_recording(recording, modalities=MODALITIES, cohort="simulated-human", every_channel=True)
        yield MeasuredRecording(recording, piece, compute_measures(recording, piece.grid))


def fit_files_beside_weights(
    model: BrainMu,
    nights: Sequence[MeasuredRecording],
    *,
    rng: np.random.Generator,
    others: Sequence[EpochedRecording] = (),
) -> tuple[Directions, OutOfDistribution]:
    """Directions from measured nights of different subjects; novelty from these and any others trained on."""
    latents = [pass_over_night(model, night.piece).latents for night in nights]
    directions = fit_directions(latents, [night.measures for night in nights], rng=rng)
    return directions, fit_out_of_distribution([*(night.piece for night in nights), *others], rng=rng)


def write_files_beside_weights(
    folder: str | Path, *, data: str | Path | None = None, seed: int = SEED, n_nights: int = N_NIGHTS
) -> Path:
    """Fit directions and novelty for the weights in a folder, and write them beside.

    Args:
        folder: Folder that holds `model.safetensors`.
        data: Folder of data sets, for the EEG of UCDDB, which the weights saw; `data_root()` where omitted.
        seed: Seed of the simulated nights.
        n_nights: Number of nights.
    """
    rng = np.random.default_rng(seed)
    model, _ = load_brainmu(folder)
    others = [join_recorded(night) for night in load_raw_ucddb(data)]
    directions, novelty = fit_files_beside_weights(
        model, list(simulate_measured(n_nights, rng=rng)), rng=rng, others=others
    )
    save_directions(directions, folder)
    save_out_of_distribution(novelty, folder)
    return Path(folder)


if __name__ == "__main__":
    write_files_beside_weights(sys.argv[1])
