from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.nights import simulate_short_night

from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.training.augmentation import Variation, compute_contrast, draw_curve, vary_person, vary_recording

NOTHING = Variation(person=0, matched=0, gain=0, tilt=0, curve=0, noise=0, lost=0, anonymous=0)
N_BANDS = 24


@pytest.fixture(scope="module")
def night() -> EpochedRecording:
    return epoch_recording(simulate_short_night()[0], modalities=("stages", "eeg", "emg"))


def power(night: EpochedRecording) -> np.ndarray:
    return night.epochs["eeg"].values[..., :N_BANDS]


def test_without_variation_a_night_stays_as_it_is(night, rng):
    same = vary_recording(vary_person(night, rng=rng, variation=NOTHING), rng=rng, variation=NOTHING)
    for name, windows in night.epochs.items():
        np.testing.assert_allclose(same.epochs[name].values, windows.values, atol=1e-5)


def test_another_amplifier_adds_the_same_everywhere_and_cancels_against_the_level(night, rng):
    varied = vary_recording(night, rng=rng, variation=replace(NOTHING, gain=0.3, tilt=0.2, curve=0.2))
    added = power(varied) - power(night)
    assert np.ptp(added, axis=(0, 2)).max() < 1e-4
    assert np.abs(added).mean() > 0.05
    relative = [each.epochs["eeg"].values[..., N_BANDS:] for each in (varied, night)]
    np.testing.assert_allclose(*relative, atol=1e-3)


def test_another_person_differs_by_stage_alone(night, rng):
    varied = vary_person(night, rng=rng, variation=replace(NOTHING, person=0.3))
    added = (power(varied) - power(night)).mean(axis=(1, 2))
    for stage in set(night.stages.tolist()):
        assert np.ptp(added[night.stages == stage], axis=0).max() < 1e-4
    assert np.abs(added[night.stages == 2][0] - added[night.stages == 0][0]).max() > 0.05
    assert varied.epochs["stages"] is night.epochs["stages"]


def test_a_person_takes_on_the_contrast_of_a_real_one(night, rng):
    stages = np.where(np.arange(len(night)) < 20, 0, 3).astype(np.int8)
    night = replace(night, stages=stages)
    wanted = np.linspace(-1, 1, N_BANDS)
    varied = vary_person(night, rng=rng, contrasts=wanted[None], variation=replace(NOTHING, matched=1))
    np.testing.assert_allclose(compute_contrast(varied), wanted, atol=0.02)
    np.testing.assert_allclose(power(varied)[20:], power(night)[20:], atol=1e-5)


def test_a_noise_floor_raises_quiet_bands_most(night, rng):
    varied = vary_recording(night, rng=rng, variation=replace(NOTHING, noise=1))
    added = (power(varied) - power(night)).mean(axis=(0, 1, 2))
    assert (added >= -1e-5).all()
    assert added[-1] > added[0]


def test_lost_bands_are_the_highest_and_zero(night, rng):
    varied = vary_recording(night, rng=rng, variation=replace(NOTHING, lost=1, anonymous=1))
    gone = (power(varied) == 0).all(axis=(0, 1, 2))
    assert 1 <= gone.sum() <= 6
    assert gone[-gone.sum() :].all()
    assert set(varied.epochs["eeg"].channels) == {"EEG"}


def test_no_contrast_where_a_stage_is_rare(night):
    assert compute_contrast(replace(night, stages=np.full(len(night), 2, dtype=np.int8))) is None


def test_nights_without_five_stages_keep_their_spectra(night, rng):
    rodent = replace(night, n_stages=3)
    assert vary_person(rodent, rng=rng) is rodent


def test_curves_are_smooth(rng):
    curves = draw_curve((500,), N_BANDS, rng=rng)
    assert curves.shape == (500, N_BANDS)
    assert 0.5 < curves.std() < 1.1
    assert np.abs(np.diff(curves, axis=1)).mean() < 0.4 * curves.std()
