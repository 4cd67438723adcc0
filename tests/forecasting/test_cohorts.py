"""The leak test of every loader, and the rules of each cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.cohorts import COHORTS, compute_night, delay, fill_forward, load_cohort, standardise_so_far
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

LOOK_AHEAD = {"walch": {"heart_rate": 15, "activity": 10, "circadian": 0}}
"""Epochs that each published feature saw of the future: noise after t reaches that far back into the raw file."""


def spoil(recording: Recording, epoch: int, rng: np.random.Generator, *, reach: dict[str, int]) -> Recording:
    """The recording with everything after `epoch` replaced by noise, as the raw sensors would have it."""
    signals = {}
    for name, signal in recording.signals.items():
        values = np.array(signal.read(dtype=np.float64))
        first = round((epoch + 1 - reach.get(name, 0)) * 30 * signal.rate)
        values[max(first, 0) :] = rng.lognormal(size=values[max(first, 0) :].shape)
        signals[name] = replace(signal, samples=values, scale=1.0, offset=0.0)
    hypnogram = recording.hypnogram
    stages, votes = np.array(hypnogram.stages), hypnogram.probabilities
    stages[epoch + 1 :] = rng.integers(0, 5, len(stages) - epoch - 1)
    if votes is not None:
        votes = np.array(votes)
        votes[epoch + 1 :] = rng.dirichlet(np.ones(5), len(votes) - epoch - 1)
    return replace(recording, signals=signals, hypnogram=replace(hypnogram, stages=stages, probabilities=votes))


def make_recording(cohort: str, rng: np.random.Generator, n: int = 120) -> Recording:
    hypnogram = Hypnogram(rng.integers(0, 5, n), probabilities=rng.dirichlet(np.ones(5), n))
    shapes = {
        "dod": {},
        "walch": {"heart_rate": (n,), "activity": (n,), "circadian": (n,)},
        "ucddb": {"entropy": (n, 3)},
        "pd-lfp": {"power": (n, 18), "power_sd": (n, 18)},
    }[cohort]
    signals = {k: Signal(k, rng.lognormal(size=s), 1 / 30, MODALITIES["features"]) for k, s in shapes.items()}
    if cohort == "ucddb":
        signals["EEG"] = Signal("EEG", rng.normal(size=n * 30), 1.0, MODALITIES["eeg"])
    return Recording(signals=signals, hypnogram=hypnogram, metadata={"scorers": {}} if cohort == "dod" else {})


def check_no_leak(cohort: str, recording: Recording, rng: np.random.Generator) -> None:
    night = compute_night(recording, cohort)
    for epoch in (3, len(night) // 2, len(night) - 2):
        spoilt = compute_night(spoil(recording, epoch, rng, reach=LOOK_AHEAD.get(cohort, {})), cohort)
        np.testing.assert_allclose(spoilt.features[: epoch + 1], night.features[: epoch + 1], atol=1e-5)
        np.testing.assert_array_equal(spoilt.stages[: epoch + 1], night.stages[: epoch + 1])
        if night.features.any() and epoch < len(night) - 20:
            assert not np.allclose(spoilt.features[epoch + 1 :], night.features[epoch + 1 :])


@pytest.mark.parametrize("cohort", COHORTS)
def test_noise_after_t_moves_nothing_up_to_t(cohort: str, rng: np.random.Generator) -> None:
    check_no_leak(cohort, make_recording(cohort, rng), rng)


def test_noise_after_t_in_a_simulated_recording(rng: np.random.Generator) -> None:
    from sharpwave.simulation import simulate_night

    recording, _ = simulate_night("human", 2.0, rng=rng, modalities=("eeg", "heart_rate", "activity"))
    night = compute_night(recording, "simulated")
    assert "sigma" in night.names
    assert "heart_rate" in night.names
    check_no_leak("simulated", recording, rng)


@pytest.mark.parametrize("cohort", COHORTS)
def test_noise_after_t_in_real_recordings(cohort: str, data_root: Path, rng: np.random.Generator) -> None:
    for subject in list_subjects(cohort, data_root)[:3]:
        check_no_leak(cohort, load_dataset(f"{cohort}/{subject}", data_root), rng)


def test_walch_is_delayed_and_leaves_circadian_out(rng: np.random.Generator) -> None:
    night = compute_night(make_recording("walch", rng), "walch")
    assert night.names == ("heart_rate", "activity", "activity_level")
    assert (night.features[:15, 0] == 0).all()
    assert (night.features[12:, 1] != 0).any()


def test_which_epochs_have_eeg_or_entropy_is_no_feature(rng: np.random.Generator) -> None:
    recording = make_recording("ucddb", rng)
    without = replace(recording, signals={"entropy": recording["entropy"]})
    np.testing.assert_array_equal(compute_night(recording, "ucddb").features, compute_night(without, "ucddb").features)
    nothing = compute_night(replace(recording, signals={}), "ucddb")
    assert nothing.names == compute_night(recording, "ucddb").names
    assert (nothing.features == 0).all()


def test_delay_fill_and_standardise() -> None:
    assert delay(np.arange(4.0), 2).tolist()[2:] == [0, 1]
    assert np.isnan(delay(np.arange(2.0), 5)).all()
    np.testing.assert_array_equal(fill_forward(np.array([np.nan, 1, np.nan, 3])), [np.nan, 1, 1, 3])
    scores = standardise_so_far(np.array([np.nan, 5.0, 7.0, 9.0]))
    np.testing.assert_allclose(scores, [0, 0, 1, (9 - 7) / np.std([5, 7, 9])])
    np.testing.assert_allclose(standardise_so_far(np.array([5.0, 7, 9]) * 40), [0, 1, (9 - 7) / np.std([5, 7, 9])])


def test_unknown_cohort_and_missing_hypnogram(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="a cohort among dod, walch"):
        load_cohort("nobody", tmp_path)
    with pytest.raises(SharpwaveError, match="a recording with a hypnogram"):
        compute_night(Recording(), "dod")


def test_real_cohorts_have_no_missing_features(data_root: Path) -> None:
    for cohort in COHORTS:
        nights = load_cohort(cohort, data_root)
        assert all(np.isfinite(night.features).all() for night in nights)
        assert len({night.names for night in nights}) == 1
