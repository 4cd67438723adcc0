from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu_weights import write_small_weights
from tests.nights import simulate_short_night

from sharpwave.brainmu import shipped as decoding
from sharpwave.brainmu.shipped import (
    find_refusal,
    forecast_with_brainmu,
    load_weights,
    stage_with_brainmu,
)
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.forecaster import forecast_night, forecast_with_best
from sharpwave.night.trust import was_forecaster_trained_on, was_stager_trained_on
from sharpwave.signals.preparation import keep_picked
from sharpwave.staging import choose_stager, load_stager

PICKS = {"eeg": "C4-M1"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    calibration = {"temperature": 2.0, "observed +30": [0.0, -1.0]}
    folder = tmp_path_factory.mktemp("weights") / "mine"
    return write_small_weights(folder, calibration=calibration, trained_on=["walch/someone"])


@pytest.fixture
def none_shipped(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "SHIPPED", tmp_path / "lite")


def test_a_night_is_staged_from_the_picked_channels(weights):
    recording, _ = simulate_short_night()
    hypnogram = stage_with_brainmu(recording, PICKS, weights=weights)
    assert len(hypnogram) == 180
    assert hypnogram.scorer == "Brainµ of mine"
    alone = replace(recording, signals={"C4-M1": recording["C4-M1"]})
    assert hypnogram == stage_with_brainmu(alone, PICKS, weights=weights)
    assert "F4-M1" not in keep_picked(recording, PICKS).signals


def test_a_forecast_uses_the_cards_calibration_of_its_protocol(weights):
    hypnogram = simulate_short_night()[0].hypnogram
    frame = forecast_with_brainmu(hypnogram, weights=weights)
    np.testing.assert_allclose(frame["p_change"], 1 / (1 + np.e), atol=1e-5)
    assert load_weights(weights).calibrate("signal-only").slopes == (1.0, 1.0, 1.0)
    assert load_weights(weights).calibrate("observed").temperature == 2.0


def test_a_forecast_uses_no_later_stage(weights):
    hypnogram = replace(simulate_short_night()[0].hypnogram, probabilities=None)
    other = np.array(hypnogram.stages)
    other[90:] = (other[90:] + 1) % 5
    frames = [
        forecast_with_brainmu(h, weights=weights, horizon=60.0) for h in (hypnogram, replace(hypnogram, stages=other))
    ]
    columns = ["p_change", "p_W", "p_N2"]
    np.testing.assert_allclose(frames[0][columns][:90], frames[1][columns][:90], atol=1e-6)
    assert np.abs(frames[0][columns][90:] - frames[1][columns][90:]).to_numpy().max() > 1e-4


def test_the_best_forecast_keeps_the_baselines_and_says_who_made_it(weights):
    recording, _ = simulate_short_night()
    frame, why_not = forecast_with_best(recording.hypnogram, recording=recording, weights=weights)
    plain = forecast_night(recording.hypnogram)
    assert why_not == []
    assert list(frame) == list(plain)
    assert frame["markov_p_change"].equals(plain["markov_p_change"])
    assert not frame["p_change"].equals(plain["p_change"])
    np.testing.assert_allclose(frame[["p_W", "p_N1", "p_N2", "p_N3", "p_R"]].sum(axis=1), 1, atol=1e-6)
    assert frame.attrs["method"] == "Brainµ of mine on stage history and signals"


def test_without_weights_lightgbm_forecasts_and_says_so(none_shipped):
    hypnogram = simulate_short_night()[0].hypnogram
    frame, why_not = forecast_with_best(hypnogram)
    assert "LightGBM" in frame.attrs["method"]
    assert "came without weights of Brainµ" in why_not[0]
    assert forecast_with_best(hypnogram.merge(3))[1] == []


def test_without_weights_nobody_asks_brainmu_to_stage(none_shipped):
    recording, _ = simulate_short_night()
    assert "came without weights" in (load_stager("brainmu").accepts(recording, PICKS) or "")
    with pytest.raises(SharpwaveError, match="a recording that brainmu can stage"):
        choose_stager(recording, PICKS, name="brainmu")


def test_a_chosen_stager_with_the_users_weights(weights):
    recording, _ = simulate_short_night()
    stager, refusals = choose_stager(recording, PICKS, name="brainmu", weights=weights)
    assert (stager.name, refusals) == ("brainmu", [])
    assert stager.validation(recording, PICKS) == []
    assert "this is a rat" in (stager.accepts(replace(recording, species="rat"), PICKS) or "")
    assert "no EEG" in (stager.accepts(replace(recording, signals=recording.of("emg")), {}) or "")


def test_damaged_weights_are_refused(tmp_path):
    assert "config.json and model.safetensors" in (find_refusal(tmp_path) or "")
    with pytest.raises(SharpwaveError, match=r"config\.json and model\.safetensors"):
        forecast_with_best(simulate_short_night()[0].hypnogram, weights=tmp_path)


def test_whom_the_weights_have_seen(weights):
    recording = replace(simulate_short_night()[0], source="walch/someone", subject="someone")
    assert was_forecaster_trained_on(recording, weights=weights)
    assert was_stager_trained_on(recording, "brainmu", weights=weights)
    assert not was_stager_trained_on(replace(recording, subject="else"), "brainmu", weights=weights)
