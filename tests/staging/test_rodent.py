"""Simulated rodents, whose stages are known."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.simulation import simulate_night
from sharpwave.staging import load_stager


@pytest.mark.parametrize("species", ["mouse", "rat"])
def test_simulated_stages_are_recovered(species: str) -> None:
    recording, _ = simulate_night(species, 0.7, rng=np.random.default_rng(5), modalities=("eeg", "emg"))
    found = load_stager("rodent").stage(recording, {"eeg": "EEG", "emg": "EMG"})
    assert recording.hypnogram is not None
    assert found.epoch_length == 4.0
    truth = recording.hypnogram.at(found.onsets + found.epoch_length / 2)
    assert compute_kappa(compute_confusion(truth, found.stages, n_stages=3)) > 0.7
    shuffled = np.random.default_rng(0).permutation(truth)
    assert abs(compute_kappa(compute_confusion(shuffled, found.stages, n_stages=3))) < 0.15


def test_without_emg_the_eeg_stands_in() -> None:
    recording, _ = simulate_night("mouse", 0.7, rng=np.random.default_rng(5), modalities=("eeg",))
    found = load_stager("rodent").stage(recording, {"eeg": "EEG"})
    assert recording.hypnogram is not None
    truth = recording.hypnogram.at(found.onsets + found.epoch_length / 2)
    assert compute_kappa(compute_confusion(truth, found.stages, n_stages=3)) > 0.6


def test_an_electrode_that_was_off_for_a_while_is_no_stage() -> None:
    """Muscle tone of a fifth of an hour is the amplifier's own noise: the gap below it is the widest in the tone."""
    recording, _ = simulate_night("rat", 1.0, rng=np.random.default_rng(105), modalities=("eeg", "emg"))
    found = load_stager("rodent").stage(recording, {"eeg": "EEG", "emg": "EMG"})
    assert recording.hypnogram is not None
    truth = recording.hypnogram.at(found.onsets + found.epoch_length / 2)
    assert compute_kappa(compute_confusion(truth, found.stages, n_stages=3)) > 0.6, "0.13 by the widest gap alone"
