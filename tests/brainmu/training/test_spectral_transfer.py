"""Epochs moved to the band power of another night: exact, causal, and with stages where they belong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.nights import simulate_short_night

from sharpwave.brainmu.encoders.electrophysiology import EEG
from sharpwave.brainmu.epochs import STEP, EpochedRecording, epoch_recording
from sharpwave.brainmu.training.spectral_transfer import (
    BandNight,
    Templates,
    TransferredNights,
    compute_averaging,
    lend_contrasts,
    mix_channels,
    transfer,
)
from sharpwave.errors import SharpwaveError

EDGES = ((0.5, 4.0), (4.0, 8.0), (8.0, 13.0), (13.0, 30.0), (30.0, 50.0))
N_BANDS = EEG.frames.n_bands


@pytest.fixture(scope="module")
def night() -> EpochedRecording:
    return epoch_recording(simulate_short_night()[0], modalities=("eeg",))


@pytest.fixture
def templates(rng: np.random.Generator) -> Templates:
    """Epochs of five stages, each with a burst in another frame."""
    power = rng.normal(0, 0.3, (50, 29, N_BANDS)).astype(np.float32)
    stages = np.repeat(np.arange(5), 10)
    power[np.arange(50), 5 * stages] += 3
    return Templates.collect([(power, stages, 1.0)])


@pytest.fixture
def banded(rng: np.random.Generator) -> BandNight:
    stages = rng.integers(0, 5, 60).astype(np.int8)
    power = rng.normal(0, 0.2, (60, 2, 5)) + np.array([2, 1, 0, -1, -2.0])
    power[7], power[9, 0, 4] = np.nan, np.nan
    return BandNight(power, EDGES, stages, ("EEG Fpz-Cz", "EEG Pz-Oz"), "SC400", "sleep-edf-bands")


def measure(night: EpochedRecording) -> np.ndarray:
    """Log10 mean power of the wide bands, by NumPy alone: the spectrum in straight lines between its frequencies."""
    power = (10.0 ** night.epochs["eeg"].values[..., :N_BANDS]).mean(axis=2)
    means = []
    for low, high in EDGES:
        places = np.linspace(low, high, 400)
        flat = power.reshape(-1, N_BANDS)
        fine = [np.interp(places, EEG.frames.centres, one).mean() for one in flat]
        means.append(np.reshape(fine, power.shape[:2]))
    return np.log10(np.stack(means, axis=2))


def test_bands_are_those_of_the_night(banded: BandNight, templates: Templates, rng: np.random.Generator) -> None:
    made = transfer(banded, templates, rng=rng)
    known = np.isfinite(banded.log_power)
    assert np.abs(measure(made) - banded.log_power)[known].max() < 0.03
    assert np.array_equal(made.epochs["eeg"].present, known.any(axis=2))
    assert np.array_equal(made.stages, banded.stages)
    assert np.array_equal(made.votes.argmax(axis=1), banded.stages)


def test_what_happens_within_an_epoch_is_the_templates(
    banded: BandNight, templates: Templates, rng: np.random.Generator
) -> None:
    made = transfer(banded, templates, rng=rng, same_stage=1.0).epochs["eeg"].values[..., :N_BANDS]
    there = np.isfinite(banded.log_power).all(axis=(1, 2))
    assert np.array_equal(made.mean(axis=3)[there, 0].argmax(axis=1), 5 * banded.stages[there])
    other = transfer(banded, templates, rng=rng, same_stage=0.0).epochs["eeg"].values[..., :N_BANDS]
    same = other.mean(axis=3)[there, 0].argmax(axis=1) == 5 * banded.stages[there]
    assert same.mean() < 0.5


def test_levels_come_from_the_past_alone(banded: BandNight, templates: Templates) -> None:
    cut = replace_power(banded, np.where(np.arange(60)[:, None, None] < 30, banded.log_power, 9.0))
    made = [transfer(each, templates, rng=np.random.default_rng(1)).epochs["eeg"].values for each in (banded, cut)]
    np.testing.assert_array_equal(made[0][:30], made[1][:30])


def replace_power(night: BandNight, power: np.ndarray) -> BandNight:
    return replace(night, log_power=power)


def test_crops_keep_their_place_and_their_stages(banded: BandNight, templates: Templates) -> None:
    source = TransferredNights([banded], templates)
    for seed in range(12):
        crop = source.draw(np.random.default_rng(seed), 20)
        first = round(crop.grid.start / STEP)
        assert len(crop) == 20
        assert np.array_equal(crop.stages, banded.stages[first : first + 20])
        assert np.isfinite(crop.epochs["eeg"].values).all()
    again = source.draw(np.random.default_rng(11), 20).epochs["eeg"].values
    np.testing.assert_array_equal(again, crop.epochs["eeg"].values)


def test_mixed_channels_lie_between_two(banded: BandNight, rng: np.random.Generator) -> None:
    power = np.nan_to_num(banded.log_power)
    mixed = mix_channels(replace_power(banded, power), 0, 60, rng).log_power
    assert (mixed <= power.max(axis=1, keepdims=True) + 1e-9).all()
    assert (mixed >= power.min(axis=1, keepdims=True) - 1e-9).all()


def test_a_night_takes_the_contrasts_of_a_person(night: EpochedRecording, rng: np.random.Generator) -> None:
    stages = np.repeat(np.arange(5), 20).astype(np.int8)
    spectra = rng.normal(0, 0.3, (5, 5))
    person = BandNight(spectra[stages][:, None], EDGES, stages, ("EEG",))
    lent = lend_contrasts(night, person)
    bands, own = measure(lent)[:, 0], measure(night)[:, 0]
    there = [stage for stage in range(5) if (night.stages == stage).sum() >= 5]
    assert len(there) >= 2
    means = np.array([bands[night.stages == stage].mean(axis=0) for stage in there])
    wanted = spectra[there]
    np.testing.assert_allclose(means - means.mean(axis=0), wanted - wanted.mean(axis=0), atol=0.15)
    assert np.abs(own - bands).max() > 0.1


def test_a_person_without_other_stages_changes_nothing(night: EpochedRecording) -> None:
    stages = np.full(20, 4 if 4 not in night.stages else -1, dtype=np.int8)
    person = BandNight(np.ones((20, 1, 5)), EDGES, stages, ("EEG",))
    lent = lend_contrasts(night, person)
    np.testing.assert_allclose(lent.epochs["eeg"].values, night.epochs["eeg"].values, atol=1e-5)


def test_a_stage_without_templates_takes_those_most_like_it() -> None:
    power = np.stack([np.zeros((29, N_BANDS)), np.ones((29, N_BANDS))])
    found = Templates.collect([(power, np.array([0, 3]), 1.0)]).power
    assert [found[stage].mean() for stage in range(5)] == [0, 0, 1, 1, 0]
    with pytest.raises(SharpwaveError, match="epochs with stages"):
        Templates.collect([])
    with pytest.raises(SharpwaveError, match="at least one night"):
        TransferredNights([], Templates({}, {}))


def test_weights_of_bands_average(rng: np.random.Generator) -> None:
    weights = compute_averaging(EDGES)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
