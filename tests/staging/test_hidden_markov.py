"""States that were planted are found, with their meaning."""

from __future__ import annotations

import numpy as np

from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging.hidden_markov import HiddenMarkovStager, fit_states


def planted(rng: np.random.Generator) -> np.ndarray:
    return np.repeat(np.tile([0, 1], 6), rng.integers(15, 40, 12))


def test_planted_states_are_found_and_keep_the_order_of_the_guess() -> None:
    rng = np.random.default_rng(0)
    states = planted(rng)
    features = np.c_[states, -states] + 0.4 * rng.standard_normal((len(states), 2))
    guess = np.where(features[:, 0] > np.median(features[:, 0]), 1, 0)
    found = fit_states(features, guess, n_states=2)
    assert (found.argmax(axis=1) == states).mean() > 0.97
    swapped = fit_states(features, 1 - guess, n_states=2)
    assert (swapped.argmax(axis=1) == states).mean() < 0.03


def test_missing_epochs_are_nan() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((60, 2))
    features[7] = np.nan
    found = fit_states(features, (features[:, 0] > 0).astype(int), n_states=2)
    assert np.isnan(found[7]).all()
    assert np.isfinite(np.delete(found, 7, axis=0)).all()


def test_too_few_epochs_give_nothing() -> None:
    assert np.isnan(fit_states(np.zeros((2, 1)), np.zeros(2), n_states=2)).all()


def test_quiet_wrist_is_sleep() -> None:
    rng = np.random.default_rng(1)
    states = planted(rng)
    counts = np.where(states == 0, rng.gamma(2, 40, len(states)), rng.gamma(1, 2, len(states)))
    recording = Recording({"act": Signal("act", counts, 1 / 30, MODALITIES["activity"])}, species="human")
    found = HiddenMarkovStager().stage(recording, {})
    assert (found.stages == states).mean() > 0.9
