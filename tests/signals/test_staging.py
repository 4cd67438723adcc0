"""Staging: YASA's answers, gaps, units and refusals."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.signals.staging import compute_staging_features, smooth_features, stage_night

from .conftest import make_eeg, make_noise

RATE = 100.0


@pytest.fixture
def night(rng: np.random.Generator) -> Recording:
    """30 min at 100 Hz: EEG, EOG, EMG."""
    n = int(1800 * RATE)
    clock = np.arange(n) / RATE
    eeg = 12 * make_noise(n, rng=rng, rate=RATE) + np.where(clock > 900, 50 * np.sin(2 * np.pi * 0.9 * clock), 0)
    eog, emg = 20 * make_noise(n, rng=rng, rate=RATE), 5 * make_noise(n, rng=rng, rate=RATE, slope=0.0)
    channels = {"eeg": eeg, "eog": eog, "emg": emg}
    return Recording({name: make_eeg(values, rate=RATE, modality=name) for name, values in channels.items()})


def stage_with_yasa(recording: Recording, names: list[str], metadata: dict | None = None):
    import mne
    import yasa

    data = np.stack([recording[name].read(dtype=np.float64) for name in names])
    raw = mne.io.RawArray(data, mne.create_info(names, RATE, names), verbose="error")
    extra = {f"{name}_name": name for name in names if name != "eeg"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        staging = yasa.SleepStaging(raw, "eeg", **extra, metadata=metadata)
        return staging, staging.predict()


@pytest.mark.parametrize("names", [["eeg"], ["eeg", "eog"], ["eeg", "eog", "emg"]])
def test_stages_and_probabilities_are_yasas(night, names):
    _, theirs = stage_with_yasa(night, names)
    ours = stage_night(night, **{name: name for name in names})
    expected = theirs.proba[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy()
    # The first and last filtered samples are 0 but for rounding, so their sign, and with it one zero crossing in the
    # first and last epoch, is chance; smoothing carries it to the neighbours. Everything else is the same.
    inner = slice(8, -8)
    assert ours.stages[inner].tolist() == expected[inner].argmax(axis=1).tolist()
    difference = np.abs(ours.probabilities - expected).max(axis=1)
    assert np.median(difference) < 1e-6
    assert np.mean(ours.stages == expected.argmax(axis=1)) > 0.95


def test_features_are_yasas(night):
    staging, _ = stage_with_yasa(night, ["eeg", "eog", "emg"])
    expected = staging.get_features()
    signals = {name: night[name] for name in ("eeg", "eog", "emg")}
    features, missing = compute_staging_features(signals)
    table = smooth_features(features, missing=missing, demography={})
    assert table.columns.tolist() == expected.columns.tolist()
    raw = [name for name in features if "nzc" not in name]
    spread = expected[raw].quantile(0.95).to_numpy() - expected[raw].quantile(0.05).to_numpy()
    error = np.abs(features[raw].to_numpy() - expected[raw].to_numpy()) / spread
    assert error[1:-1].max() < 1e-4
    assert np.median(error) < 1e-6


def test_age_and_sex_reach_the_classifier(night):
    _, theirs = stage_with_yasa(night, ["eeg"], {"age": 61, "male": True})
    ours = stage_night(night, eeg="eeg", age=61, male=True)
    expected = theirs.proba[["WAKE", "N1", "N2", "N3", "REM"]].to_numpy().argmax(axis=1)
    assert ours.stages[8:-8].tolist() == expected[8:-8].tolist()
    assert (stage_night(night, eeg="eeg").probabilities != ours.probabilities).any()


def test_a_gap_is_unscored_and_leaves_far_epochs_alone(night):
    samples = night["eeg"].samples.copy()
    samples[int(600 * RATE) : int(720 * RATE)] = np.nan
    hypnogram = stage_night(Recording({"eeg": replace(night["eeg"], samples=samples)}), eeg="eeg")
    assert hypnogram.scored.tolist() == [not 20 <= epoch < 24 for epoch in range(60)]
    assert np.isnan(hypnogram.probabilities[20:24]).all()
    assert np.isfinite(hypnogram.probabilities[[*range(20), *range(24, 60)]]).all()


def test_nothing_but_a_gap_is_all_unscored(night):
    signal = replace(night["eeg"], samples=np.full(int(300 * RATE), np.nan, dtype=np.float32))
    assert not stage_night(Recording({"eeg": signal}), eeg="eeg").scored.any()


def test_an_unknown_unit_does_not_matter(night):
    expected = None
    for scale in (1e-6, 7e-4):
        recording = Recording({"eeg": replace(night["eeg"], scale=scale)}, metadata={"amplitude_unit": "unknown"})
        stages = stage_night(recording, eeg="eeg").stages
        assert expected is None or (stages == expected).mean() > 0.98
        expected = stages


def test_low_rates_are_refused(night):
    slow = replace(night["eeg"], rate=50.0)
    with pytest.raises(SharpwaveError, match="above 80 Hz for staging; got 50 Hz"):
        stage_night(Recording({"eeg": slow}), eeg="eeg")


def test_less_than_an_epoch_is_refused(night):
    short = replace(night["eeg"], samples=night["eeg"].samples[:2000])
    with pytest.raises(SharpwaveError, match="at least one whole epoch"):
        stage_night(Recording({"eeg": short}), eeg="eeg")


@pytest.mark.parametrize(
    ("age", "male", "message"), [(30, None, "age and sex together"), (300, True, "an age between 0 and 120")]
)
def test_half_a_demography_is_refused(night, age, male, message):
    with pytest.raises(SharpwaveError, match=message):
        stage_night(night, eeg="eeg", age=age, male=male)
