"""Rows of the benchmark of explanations, on nights whose truth is planted."""

from __future__ import annotations

import numpy as np
import pytest
from tests.brainmu.planted import LENGTH, TELLING, make_model, simulate_recording, train_model

from sharpwave.benchmarks.explanations.abstention import change_eeg, judge_coverage, make_faults
from sharpwave.benchmarks.explanations.benchmark import judge_directions, judge_occlusion
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu import epoch_recording
from sharpwave.brainmu.explanation.latents import fit_directions
from sharpwave.brainmu.explanation.occlusion import pass_over_night
from sharpwave.recipes.files_beside_weights import MeasuredRecording
from sharpwave.recordings import Recording
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal


def _simulate(rng: np.random.Generator) -> MeasuredRecording:
    recording = simulate_recording(rng)
    piece = epoch_recording(recording, modalities=("heart_rate", "activity", "temperature"))
    level = recording[TELLING].read()[:, 1].reshape(LENGTH, 3).mean(axis=1)
    return MeasuredRecording(recording, piece, {"level": level, "dice": rng.normal(size=LENGTH)})


@pytest.fixture(scope="module")
def nights():
    return [_simulate(rng) for rng in np.random.default_rng(3).spawn(6)]


@pytest.fixture(scope="module")
def passed(nights):
    return [pass_over_night(train_model(), night.piece) for night in nights]


def test_deletion_of_a_trained_model_and_of_a_blank_one(nights, rng: np.random.Generator):
    pieces = [night.piece for night in nights[:4]]
    ours = judge_occlusion(train_model(), pieces, rng=rng)
    blank = judge_occlusion(make_model(), pieces, rng=rng, name="random-init")
    assert all(isinstance(row, Row) for row in ours + blank)

    def find(rows: list[Row], method: str) -> Row:
        wanted = (method, "log_odds_above_random", "deletion of 10 %")
        return next(row for row in rows if (row.method, row.metric, row.setting) == wanted)

    assert find(ours, "spans").low > 0.5
    assert abs(find(ours, "shuffled").value) < 0.5 * find(ours, "spans").value
    assert find(blank, "random-init, spans").value < 0.1


def test_directions_beside_other_nights_and_a_blank_model(nights, passed, rng: np.random.Generator):
    directions = fit_directions([n.latents for n in passed], [n.measures for n in nights], rng=rng)
    blank = [pass_over_night(make_model(), night.piece) for night in nights]
    rows = judge_directions(passed, blank, nights, directions, rng=rng)
    values = {(row.setting, row.method): row.value for row in rows}
    assert values["direction: level", "brainmu-lite"] > 0.5
    assert abs(values["direction: level", "other subjects' nights"]) < 0.2
    assert ("direction: dice (not named)", "random-init") in values


def test_coverage_is_reported_beside_the_size_of_the_sets(nights, passed, rng: np.random.Generator):
    rows = judge_coverage(passed, nights, rng=rng)
    values = {(row.setting, row.metric): row.value for row in rows}
    assert values["sets at 80 %", "coverage"] > 0.75
    assert 1 <= values["sets at 80 %", "stages_named"] <= 5


def test_faults_change_the_eeg_and_nothing_else(rng: np.random.Generator):
    samples = rng.normal(0, 1e-5, 1000)
    signals = {name: Signal(name, samples, 256.0, MODALITIES["eeg"]) for name in ("C4-M1", "F4-M1")}
    recording = Recording(signals=signals)
    for change in make_faults(rng).values():
        changed = change_eeg(recording, change)
        assert not np.allclose(changed["C4-M1"].read(), samples, atol=1e-7)
        np.testing.assert_allclose(changed["F4-M1"].read(), samples, rtol=1e-5)
