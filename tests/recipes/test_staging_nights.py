from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.nights import simulate_short_night

from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs, epoch_recording
from sharpwave.brainmu.training.spectral_transfer import BandNight
from sharpwave.recipes.staging_nights import (
    collect_contrasts,
    hide_unrecorded,
    join_recorded,
    load_raw_ucddb,
    simulate_people,
    vary_recordings,
)
from sharpwave.recipes.staging_training import make_staging_source, train_on_wearables
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal


@pytest.fixture(scope="module")
def night() -> EpochedRecording:
    return epoch_recording(simulate_short_night()[0], modalities=("stages", "eeg"))


def with_gaps(night: EpochedRecording) -> EpochedRecording:
    """EEG in wake and deep sleep only, as in UCDDB."""
    eeg = night.epochs["eeg"]
    there = np.isin(night.stages, (0, 3))
    present = eeg.present & there[:, None]
    return replace(night, epochs={"eeg": ModalityEpochs(eeg.values * present[..., None, None], present, eeg.channels)})


def test_what_was_not_recorded_is_neither_scored_nor_a_gap(night):
    hidden = hide_unrecorded(with_gaps(night))
    assert set(hidden.stages.tolist()) <= {-1, 0, 3}
    joined = join_recorded(hidden)
    assert len(joined) == np.isin(night.stages, (0, 3)).sum()
    assert joined.epochs["eeg"].present.any(axis=1).all()
    assert (joined.stages == -1).all()
    assert np.array_equal(joined.votes, night.votes[np.isin(night.stages, (0, 3))])


def test_people_have_their_stages_as_labels_and_never_as_history(night, rng):
    people = list(simulate_people([night], contrasts=np.zeros((0, 24)), rng=rng, copies=3))
    assert len(people) == 3
    for person in people:
        assert set(person.epochs) == {"eeg"}
        assert np.array_equal(person.stages, night.stages)
    assert not np.array_equal(people[0].epochs["eeg"].values, people[1].epochs["eeg"].values)


def test_real_nights_are_varied_without_gaps(night, rng):
    varied = list(vary_recordings([hide_unrecorded(with_gaps(night))], rng=rng, copies=2))
    assert [len(each) for each in varied] == [np.isin(night.stages, (0, 3)).sum()] * 2


def test_ucddb_gives_contrasts_and_only_what_can_be_scored(data_root: Path):
    nights = load_raw_ucddb(data_root, leave_out=["ucddb022"])
    assert "ucddb022" not in {night.subject for night in nights}
    for night in nights:
        assert night.scorable == (0, 3)
        assert set(np.flatnonzero(night.votes.sum(axis=0))) <= {0, 3}
    contrasts = collect_contrasts(nights)
    assert contrasts.shape[1] == 24
    assert contrasts.mean(axis=0)[0] < -0.3 < 0.3 < contrasts.mean(axis=0)[-1]


def test_pieces_to_learn_staging_from(night, rng, data_root):
    source = make_staging_source([night], rng=rng, data=data_root, leave_out=["ucddb022"])
    scorable = set()
    for _ in range(20):
        piece = source.draw(rng, 40)
        assert set(piece.epochs) == {"eeg"}
        scorable.add(piece.scorable)
    assert scorable == {None, (0, 3)}


def test_half_of_the_people_get_five_real_spectra(night, rng):
    stages = np.tile(np.arange(5), 20).astype(np.int8)
    power = np.where(stages[:, None, None] == 0, 9.0, 0.0) + np.zeros((100, 1, 1))
    loud = BandNight(power, ((0.5, 45.0),), stages, ("EEG",))
    people = list(simulate_people([night], contrasts=np.zeros((0, 24)), rng=rng, copies=12, people=[loud]))
    power = [person.epochs["eeg"].values[..., :24].mean(axis=(1, 2, 3)) for person in people]
    louder = [each[night.stages == 0].mean() - each[night.stages == 2].mean() > 6 for each in power]
    assert 2 <= sum(louder) <= 10


def test_a_small_stager_learns_what_a_wrist_tells(rng):
    def simulate(seed: int) -> Recording:
        stream = np.random.default_rng(seed)
        hypnogram = simulate_short_night()[0].hypnogram
        stages = np.repeat(stream.permutation([0, 2, 0, 2, 0, 2]), 30).astype(np.int8)
        beats = np.where(stages == 0, 80.0, 55.0) + stream.standard_normal(180)
        signal = Signal("heart_rate", beats.astype(np.float32), 1 / 30, MODALITIES["heart_rate"])
        return Recording({"heart_rate": signal}, hypnogram=replace(hypnogram, stages=stages, probabilities=None))

    from sharpwave.brainmu.runtime.staging import run_brainmu

    model = train_on_wearables([simulate(seed) for seed in range(6)], steps=40)
    test = simulate(99)
    found = run_brainmu(test, model).hypnogram.stages
    assert np.mean(np.asarray(found)[5:] == np.asarray(test.hypnogram.stages)[5:]) > 0.8
