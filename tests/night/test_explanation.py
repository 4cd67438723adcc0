"""A recording explained with whatever lies beside the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.brainmu.planted import NAMES, TELLING, simulate_pieces, simulate_recording, train_model

from sharpwave.brainmu import save_brainmu
from sharpwave.brainmu.explanation.latents import fit_directions, save_directions
from sharpwave.brainmu.explanation.occlusion import pass_over_night
from sharpwave.brainmu.explanation.out_of_distribution import fit_out_of_distribution, save_out_of_distribution
from sharpwave.errors import SharpwaveError
from sharpwave.night.explanation import explain_forecasts, explain_recording
from sharpwave.night.options import DecodeOptions
from sharpwave.night.prepare import prepare_night
from sharpwave.recordings import Hypnogram


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = save_brainmu(train_model(), tmp_path_factory.mktemp("weights") / "planted", card={})
    pieces = simulate_pieces(6, seed=5)
    latents = [pass_over_night(train_model(), piece).latents for piece in pieces]
    levels = [{"level": piece.epochs[TELLING].values[:, 1, 0].astype(float)} for piece in pieces]
    save_directions(fit_directions(latents, levels, rng=np.random.default_rng(0)), folder)
    save_out_of_distribution(fit_out_of_distribution(pieces, rng=np.random.default_rng(0)), folder)
    return folder


def test_explanation_with_directions_and_doubts(weights):
    recording = simulate_recording(np.random.default_rng(9))
    found = explain_recording(recording, weights=weights, n_forecasts=2)
    assert len(found.forecasts) == 2
    assert set(found.modalities["modality"]) == set(NAMES)
    assert len(found.latents) == len(found.out_of_distribution) == len(recording.hypnogram)
    assert found.directions["name"].tolist() == ["level"]
    assert found.out_of_distribution["abstain"].mean() < 0.2


def test_explanation_of_a_prepared_night(weights):
    recording = simulate_recording(np.random.default_rng(9))
    stages = np.asarray(recording.hypnogram.stages)
    found = {}
    for n_stages in (5, 3):
        scored = replace(recording, hypnogram=Hypnogram(np.minimum(stages, n_stages - 1), 30.0, n_stages))
        prepared = prepare_night(scored, DecodeOptions(weights=weights), prefer_given=True, events=())
        found[n_stages], why_not = explain_forecasts(replace(prepared, choice=replace(prepared.choice, picks={})))
        assert why_not == []
    five, three = found[5], found[3]
    assert all(len(table) for table in (five.forecasts, five.parts, five.modalities, five.out_of_distribution))
    assert not len(three.forecasts)


def test_missing_weights_are_refused(tmp_path):
    with pytest.raises(SharpwaveError, match="belong together"):
        explain_recording(simulate_recording(np.random.default_rng(9)), weights=tmp_path)
