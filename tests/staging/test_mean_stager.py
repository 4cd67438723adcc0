"""Two stagers averaged: what each says, where one says nothing, and whose epochs count."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from sharpwave.benchmarks.staging.cohorts import cut_start, simulate_recordings
from sharpwave.benchmarks.staging.use import blank_start
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging import load_stager
from sharpwave.staging.mean_stager import average_hypnograms
from sharpwave.staging.yasa_stager import YasaStager


def make(rows: list[list[float]], *, start: float = 0.0, epoch: float = 30.0) -> Hypnogram:
    probabilities = np.array(rows)
    known = np.isfinite(probabilities).all(axis=1)
    stages = np.where(known, np.nan_to_num(probabilities).argmax(axis=1), -1).astype(np.int8)
    return Hypnogram(stages, epoch, 2, start, probabilities, scorer="one")


NOTHING = [np.nan, np.nan]


def test_the_surer_one_decides() -> None:
    mean = average_hypnograms(make([[0.6, 0.4], [0.6, 0.4]]), make([[0.1, 0.9], [0.5, 0.5]]))
    assert mean.stages.tolist() == [1, 0]
    np.testing.assert_allclose(np.asarray(mean.probabilities), [[0.35, 0.65], [0.55, 0.45]])


def test_where_the_second_says_nothing_the_first_stands_alone_and_where_the_first_does_nobody_scores() -> None:
    mean = average_hypnograms(make([[0.6, 0.4], NOTHING, [0.2, 0.8]]), make([NOTHING, [0.1, 0.9]]))
    assert mean.stages.tolist() == [0, -1, 1]
    np.testing.assert_allclose(np.asarray(mean.probabilities)[[0, 2]], [[0.6, 0.4], [0.2, 0.8]])


def test_epochs_meet_in_time_not_by_number() -> None:
    first = make([[0.6, 0.4]] * 4, start=60.0)
    second = make([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    mean = average_hypnograms(first, second)
    assert mean.start == 60.0
    assert mean.stages.tolist() == [1, 0, 1, 1]


@pytest.mark.parametrize(("rate", "slow"), [(256.0, False), (64.0, True)])
def test_its_record_at_50_hz_is_shown_for_slow_eeg_alone(rate: float, slow: bool) -> None:
    recording = Recording({"C4-M1": Signal("C4-M1", np.zeros(9), rate, MODALITIES["eeg"])})
    rows = load_stager("yasa+brainmu").validation(recording, {"eeg": "C4-M1"})
    assert any("DREAMS" in row["data"] for row in rows)
    assert any("at 50 Hz" in row["data"] for row in rows) == slow


def test_a_scorer_without_probabilities_is_sure() -> None:
    hard = Hypnogram(np.array([1, -1], dtype=np.int8), 30.0, 2)
    mean = average_hypnograms(hard, make([[0.9, 0.1], [0.9, 0.1]]))
    np.testing.assert_allclose(np.asarray(mean.probabilities)[0], [0.45, 0.55])
    assert mean.stages.tolist() == [1, -1]


PICKS = {"eeg": "C4-M1"}
CUT = 3600.0


@pytest.fixture(scope="module")
def night() -> Recording:
    return simulate_recordings("human", n=1, hours=2.0, seed=4, modalities=("eeg",))[0]


def test_the_start_of_the_file_moves_neither_yasa_nor_the_mean(night: Recording) -> None:
    blank, cut = blank_start(night, CUT), cut_start(night, CUT)
    row = round(CUT / 30)
    for before in (False, True):
        yasa = YasaStager(from_file_start=before)
        whole, short = (np.asarray(yasa.stage(one, PICKS).probabilities) for one in (blank, cut))
        moved = float(np.abs(whole[row:] - short).mean())
        assert (moved < 0.003) == (not before)
    mean = load_stager("yasa+brainmu")
    parts = YasaStager(from_file_start=False).stage(cut, PICKS), load_stager("brainmu").stage(cut, PICKS)
    np.testing.assert_allclose(
        np.asarray(mean.stage(cut, PICKS).probabilities), np.asarray(average_hypnograms(*parts).probabilities)
    )
    assert night.hypnogram is not None
    truth = np.asarray(night.hypnogram.resample(30.0).stages)[row:]
    found = mean.stage(blank, PICKS).stages[row:], mean.stage(cut, PICKS).stages
    kappas = [compute_kappa(compute_confusion(truth[: len(one)], one, n_stages=5)) for one in found]
    assert abs(kappas[0] - kappas[1]) <= 0.03


@pytest.mark.parametrize(
    ("clock", "same"),
    [
        ({}, False),
        ({"lights_off": 0.0}, True),
        ({"lights_off": 7000.0}, False),
        ({"start": 23}, True),
        ({"start": 13}, False),
    ],
)
def test_a_known_clock_is_taken_and_one_by_day_is_none(night: Recording, clock: dict, same: bool) -> None:
    short = cut_start(night, CUT + 1800)
    start = datetime(2024, 5, 1, clock["start"]) if "start" in clock else None
    timed = replace(short, start=start, metadata={k: v for k, v in clock.items() if k != "start"})
    by_file = YasaStager().stage(short, PICKS).probabilities
    found = YasaStager(from_file_start=False).stage(timed, PICKS).probabilities
    assert np.allclose(np.asarray(found), np.asarray(by_file)) == same
    by_nobody = YasaStager(from_file_start=False).stage(short, PICKS).probabilities
    unknown = clock in ({}, {"lights_off": 7000.0}, {"start": 13})
    assert np.allclose(np.asarray(found), np.asarray(by_nobody)) == unknown
