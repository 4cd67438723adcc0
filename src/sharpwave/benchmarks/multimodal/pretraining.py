"""Whether learning without labels helps staging, by what is predicted and from how many nights.

`pretraining`: recorded people, Sleep-EDF's band power: learned from 50 without labels, from some of their nights with
them, tested on eight others a seed, and on HMC's patients, of whom nothing was learned. `pretraining-nights`: simulated
people, 10 to 390 of them without labels; tested on others, and on recorded people.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.multimodal.nights import summarise_windows
from sharpwave.benchmarks.multimodal.starts import (
    FINETUNING,
    PRETRAINING,
    SHAPE,
    Night,
    Study,
    run_seeds,
)
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.staging.left_out import make_night
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import EpochedRecording, EpochGrid, ModalityEpochs
from sharpwave.errors import SharpwaveError

N_TESTED, N_SEEDS, N_TUNED = 8, 3, 10
"""People tested a seed, seeds at most, and people on whom settings were chosen, who are never tested."""
N_HMC = 16


def run(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Recorded people by their bands.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds, each with other people tested; at most three are used.
        train: No meaning here.
        methods: Not taken: all starts are compared.
        parts: Folder that keeps each seed's.

    Raises:
        SharpwaveError: If sleep-edf-78-bands is not there.
    """
    _refuse(methods)
    n_seeds = min(seeds, N_SEEDS)
    nights, patients = load_bands(data), load_patients(data)
    found = run_seeds(lambda seed: split_people(nights, patients, place=seed), seeds=n_seeds, parts=parts)
    return _configure(n_seeds, "bands against the night's median, as spectra of EEG and EOG"), found.tabulate()


def _refuse(methods: Sequence[str] | None) -> None:
    if methods:
        raise SharpwaveError("all starts, which are compared", got="--methods", fix="leave --methods out")


def _configure(n_seeds: int, inputs: str) -> dict[str, Any]:
    return {
        "task": "stage now and change within 30 s from signals alone, from the past of each step",
        "inputs": inputs,
        "shape": SHAPE,
        "updates": {"without labels": PRETRAINING.steps, "with labels": FINETUNING.steps},
        "crops": {"batch": PRETRAINING.batch, "steps": PRETRAINING.piece},
        "seeds": n_seeds,
        "interval": "95 %, bootstrap over tested people of their means over seeds; by seed: smallest and largest",
    }


def split_people(nights: Sequence[Night], patients: Sequence[Night], *, place: int) -> Study:
    """Eight people tested and the others learned from; place -1 tests those on whom settings are chosen."""
    people = np.random.default_rng(78).permutation(sorted({night.seen.subject for night in nights}))
    first = N_TUNED + N_TESTED * place
    tested = set(people[:N_TUNED] if place < 0 else people[first : first + N_TESTED])
    learned = [night for night in nights if night.seen.subject not in tested]
    others: dict[str, Sequence[Night]] = {"Sleep-EDF": [night for night in nights if night.seen.subject in tested]}
    if patients:
        others["HMC"] = patients
    counts = {f"{len({n.seen.subject for n in learned})} people": [night.seen for night in learned]}
    return Study("Sleep-EDF", counts, learned, others, {"HMC": (1, 2, 3, 4)})


EDGES = {"delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 12.0), "sigma": (12.0, 16.0), "beta": (16.0, 30.0)}
"""Bands in Hz; HMC has the first three."""


def to_night(
    subject: str, power: Float[np.ndarray, "epoch channel band"], stages: np.ndarray, places: Sequence[str]
) -> Night:
    """A night of band power (log10), each band against the night's median: as a spectrum a step of EEG and EOG, with
    its level so far taken off beside it, and as LightGBM's table.
    """
    here = np.isfinite(power).all(axis=(1, 2))
    power, stages = power[here], np.asarray(stages)[here].astype(np.int8)
    names = [f"{place}_{band}" for place in places for band in list(EDGES)[: power.shape[2]]]
    table = make_night(subject, power.reshape(len(power), -1), stages, names)
    votes = np.eye(5, dtype=np.float32)[np.maximum(stages, 0)] * (stages >= 0)[:, None]
    epochs = {}
    for modality in ("eeg", "eog"):
        rows = [index for index, place in enumerate(places) if (place == "eye") == (modality == "eog")]
        if rows:
            relative = power[:, rows] - np.median(power[:, rows], axis=0)
            spectrum = to_spectrum(relative, cast(Any, ENCODERS[modality]).frames.centres)
            present = np.ones(spectrum.shape[:2], dtype=bool)
            whole = ModalityEpochs(spectrum, present, tuple(places[row] for row in rows))
            epochs[modality] = ENCODERS[modality].normalise(whole)[0]
    grid = EpochGrid(0.0, 30.0, len(stages))
    return Night(EpochedRecording(grid, epochs, stages, votes, cohort="bands", subject=subject), table)


def to_spectrum(
    power: Float[np.ndarray, "epoch channel band"], centres: Float[np.ndarray, " centre"]
) -> Float[np.ndarray, "epoch channel frame centre"]:
    """The power at an encoder's centres, one frame: that of the band that holds each, 0 where none does."""
    edges = list(EDGES.values())[: power.shape[2]]
    values = np.zeros((*power.shape[:2], 1, len(centres)), dtype=np.float32)
    for index, (low, high) in enumerate(edges):
        inside = (centres >= low) & (centres < high)
        values[:, :, 0, inside] = power[:, :, index, None]
    return values


def load_bands(data: Path | None) -> list[Night]:
    """Nights of sleep-edf-78-bands: five bands of two EEG channels and the EOG."""
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    nights = []
    for one in list_subjects("sleep-edf-78-bands", data):
        recording = load_dataset(f"sleep-edf-78-bands/{one}", data)
        power = np.stack([s.read(dtype=np.float64)[:, : len(EDGES)] for s in recording.signals.values()], axis=1)
        if recording.hypnogram is not None:
            stages = np.asarray(recording.hypnogram.stages)
            nights.append(to_night(recording.subject, power, stages, ("front", "back", "eye")))
    return nights


def load_patients(data: Path | None) -> list[Night]:
    """Sleep of HMC's patients: three of these bands of two channels; none where the data set is not there."""
    from sharpwave.recipes.band_nights import take_bands
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    nights: list[Night] = []
    for name in list_subjects("hmc-bands", data, required=False):
        recording = load_dataset(f"hmc-bands/{name}", data)
        night = take_bands(recording) if recording.signals else None
        if night is not None and len(nights) < N_HMC:
            asleep = night.stages > 0
            power = night.log_power[asleep][:, [0, 2], :3]
            nights.append(to_night(night.subject, power, night.stages[asleep], ("front", "back")))
    return nights


N_PEOPLE = {"tested": 20, "labelled": 40}
SCALES = (10, 100, 390)
"""Simulated people without labels."""


def run_nights(
    data: Path | None,
    *,
    seeds: int,
    train: bool = False,
    methods: Sequence[str] | None = None,
    parts: Path | None = None,
) -> tuple[dict[str, Any], list[Row]]:
    """Simulated people, from 10 to 390 without labels; tested on others and on recorded people.

    Args:
        data: Folder of data sets, for the recorded people; `data_root()` where omitted.
        seeds: Seeds of weights, crops and labelled nights; at most three are used.
        train: No meaning here.
        methods: Not taken: all starts are compared.
        parts: Folder that keeps each seed's.
    """
    from sharpwave.benchmarks.multimodal.unlabelled import HOURS, RATE, SIGNALS, load_recorded, load_simulated

    _refuse(methods)
    n_seeds, first = min(seeds, N_SEEDS), sum(N_PEOPLE.values())
    nights = load_simulated(first + SCALES[-1])
    recorded = [measure_night(night) for night in load_recorded(data)]
    known = [measure_night(night) for night in nights[:first]]
    study = Study(
        "simulated",
        {f"{n:,} nights": nights[first : first + n] for n in SCALES},
        known[N_PEOPLE["tested"] :],
        {"simulated": known[: N_PEOPLE["tested"]], **({"recorded": recorded} if recorded else {})},
    )
    found = run_seeds(lambda _: study, seeds=n_seeds, parts=parts)
    inputs = f"{', '.join(SIGNALS)} of {HOURS:g} h, EEG at {RATE:g} Hz; recorded people: one EEG channel alone"
    return {**_configure(n_seeds, inputs), "people": N_PEOPLE}, found.tabulate()


def measure_night(seen: EpochedRecording) -> Night:
    """A night with LightGBM's table: summaries of every modality, against the night's median."""
    values, names = summarise_windows(seen)
    values = np.where(np.isfinite(values), values, 0.0)
    return Night(seen, make_night(seen.subject, values, np.asarray(seen.stages), names))
