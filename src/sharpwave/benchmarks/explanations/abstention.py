"""Is stated uncertainty to be trusted: coverage of sets of stages, and abstention from what is out of distribution."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.explanation.occlusion import RecordingPass
from sharpwave.brainmu.explanation.out_of_distribution import OutOfDistribution, fit_out_of_distribution
from sharpwave.brainmu.uncertainty import Calibration, fit_stage_sets
from sharpwave.recipes.files_beside_weights import MODALITIES, MeasuredRecording
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.recording import Recording

COVERAGES = (0.8, 0.9)
N_BROKEN = 6
HUM = 30e-6
NOISE = 30e-6
REAL = ("dreams", "ucddb")
MOST_REAL = 6


def judge_coverage(
    passed: Sequence[RecordingPass], nights: Sequence[MeasuredRecording], *, rng: np.random.Generator
) -> list[Row]:
    """Share of steps whose stage is in the conformal set, each subject in turn left out of the fit; and set size."""
    probabilities = [Calibration().stages(night.readout.stage[0].double().numpy()) for night in passed]
    stages = [np.asarray(night.piece.stages, dtype=int) for night in nights]
    rows = []
    for coverage in COVERAGES:
        covered, sizes = [], []
        for left in range(len(nights)):
            others = [i for i in range(len(nights)) if i != left]
            sets = fit_stage_sets([probabilities[i] for i in others], [stages[i] for i in others], coverage=coverage)
            known = np.flatnonzero(stages[left] >= 0)
            named = sets.predict(probabilities[left])[known]
            covered.append(float(named[np.arange(len(known)), stages[left][known]].mean()))
            sizes.append(float(named.sum(axis=1).mean()))
        for metric, values in (("coverage", covered), ("stages_named", sizes)):
            setting = f"sets at {100 * coverage:g} %"
            rows.append(estimate_row("simulated", setting, "conformal", metric, values, rng=rng))
    return rows


def judge_abstention(
    novelty: OutOfDistribution, nights: Sequence[MeasuredRecording], data: Path | None, *, rng: np.random.Generator
) -> list[Row]:
    """Share of steps at which to abstain: nights as in training, broken ones, another species, real EEG."""
    settings: dict[tuple[str, str], list[float]] = {
        ("simulated", "nights as in training"): [_abstain(novelty, night.piece) for night in nights]
    }
    for fault, change in make_faults(rng).items():
        broken = [change_eeg(night.recording, change) for night in nights[:N_BROKEN]]
        pieces = [epoch_recording(recording, modalities=MODALITIES, every_channel=True) for recording in broken]
        settings["simulated", f"EEG: {fault}"] = [_abstain(novelty, piece) for piece in pieces]
    human = fit_out_of_distribution([night.piece for night in nights], rng=rng)
    settings["simulated", "mouse, where only people were seen"] = [
        _abstain(human, piece) for piece in _simulate_mice(3, rng)
    ]
    for cohort in REAL:
        found = [_abstain(novelty, piece) for piece in _load_eeg(cohort, data)]
        if found:
            settings[cohort, "EEG"] = found
    rows = []
    for (source, setting), values in settings.items():
        rows.append(estimate_row(source, setting, "brainmu-lite", "abstained", values, rng=rng))
        rows.append(estimate_row(source, setting, "nominal", "abstained", [1 - novelty.quantile], rng=rng))
    return rows


def make_faults(rng: np.random.Generator) -> Mapping[str, Callable[[np.ndarray, float], np.ndarray]]:
    """Changes to samples (V) at a rate (Hz), by name."""
    return {
        "white noise": lambda samples, rate: rng.normal(0, NOISE, len(samples)),
        "mV taken for V": lambda samples, rate: 1e3 * samples,
        "V taken for mV": lambda samples, rate: 1e-3 * samples,
        "50 Hz hum": lambda samples, rate: samples + HUM * np.sin(2 * np.pi * 50 * np.arange(len(samples)) / rate),
        "almost flat": lambda samples, rate: rng.normal(0, 1e-9, len(samples)),
    }


def change_eeg(recording: Recording, change: Callable[[np.ndarray, float], np.ndarray]) -> Recording:
    """The recording with its first EEG channel changed."""
    name, signal = next(iter(recording.of("eeg").items()))
    changed = replace(signal, samples=change(signal.read(), signal.rate), scale=1.0, offset=0.0)
    return replace(recording, signals={**recording.signals, name: changed})


def _simulate_mice(n: int, rng: np.random.Generator) -> Iterator[EpochedRecording]:
    from sharpwave.simulation import simulate_cohort

    for recording, _ in simulate_cohort(n, rng=rng, species="mouse", hours=2.0, modalities=("eeg", "emg")):
        yield epoch_recording(recording, modalities=("eeg", "emg"), every_channel=True)


def _load_eeg(cohort: str, data: Path | None) -> Iterator[EpochedRecording]:
    """EEG of real people, in volts or rescaled where the unit is unknown; nobody where the data set is absent."""
    for subject in list_subjects(cohort, data, required=False)[:MOST_REAL]:
        recording = load_dataset(f"{cohort}/{subject}", data)
        if recording.of("eeg"):
            yield epoch_recording(recording, modalities=("eeg",), every_channel=True)


def _abstain(novelty: OutOfDistribution, piece: EpochedRecording) -> float:
    """Share of the recorded steps at which to abstain."""
    table = novelty.score(piece)
    recorded = table["novelty"].notna()
    return float(table.loc[recorded, "abstain"].mean()) if recorded.any() else float("nan")
