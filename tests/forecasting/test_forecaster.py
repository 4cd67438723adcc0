"""What ships: weights that load without pickle, and forecasts of any hypnogram."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.forecaster import forecast_night, forecast_with_best
from sharpwave.forecasting.shipped import (
    TRAINED_ON,
    WEIGHTS,
    calibrate,
    fit_calibration,
    load_shipped_forecaster,
    train_shipped_forecaster,
)
from sharpwave.recordings.hypnogram import Hypnogram


@pytest.fixture
def hypnogram(rng: np.random.Generator) -> Hypnogram:
    return Hypnogram(np.repeat(rng.integers(0, 5, 90), rng.integers(1, 15, 90)), start=60.0)


@pytest.mark.parametrize("horizon", [30.0, 60.0, 300.0])
def test_columns_and_probabilities(hypnogram: Hypnogram, horizon: float) -> None:
    forecast = forecast_night(hypnogram, horizon=horizon)
    assert list(forecast.columns) == [
        "onset", "stage", "p_change", "p_W", "p_N1", "p_N2", "p_N3", "p_R",
        "persistence_p_change", "markov_p_change", "semi_markov_p_change",
    ]  # fmt: skip
    np.testing.assert_array_equal(forecast["onset"], hypnogram.onsets)
    np.testing.assert_allclose(forecast[[f"p_{name}" for name in hypnogram.names]].sum(axis=1), 1)
    assert forecast["p_change"].between(0, 1).all()
    assert forecast.attrs["horizon"] == horizon


def test_nothing_after_t_moves_a_forecast(hypnogram: Hypnogram, rng: np.random.Generator) -> None:
    before = forecast_night(hypnogram)
    stages = np.array(hypnogram.stages)
    stages[100:] = rng.integers(0, 5, len(stages) - 100)
    after = forecast_night(replace(hypnogram, stages=stages))
    np.testing.assert_allclose(after.iloc[:100, 2:], before.iloc[:100, 2:])


def test_unscored_epochs_have_no_forecast(hypnogram: Hypnogram) -> None:
    stages = np.array(hypnogram.stages)
    stages[5:8] = -1
    forecast = forecast_night(replace(hypnogram, stages=stages))
    assert forecast["p_change"].isna().to_numpy().nonzero()[0].tolist() == [5, 6, 7]


def test_a_soft_hypnogram_keeps_its_doubt(hypnogram: Hypnogram) -> None:
    hard = np.eye(5)[np.asarray(hypnogram.stages)]
    same = forecast_night(replace(hypnogram, probabilities=hard))
    np.testing.assert_allclose(same.iloc[:, 2:], forecast_night(hypnogram).iloc[:, 2:])
    soft = forecast_night(replace(hypnogram, probabilities=0.7 * hard + 0.06))
    columns = [f"p_{name}" for name in hypnogram.names]
    np.testing.assert_allclose(soft[columns].sum(axis=1), 1)
    assert soft[columns].max(axis=1).mean() < same[columns].max(axis=1).mean()


def test_short_epochs_are_brought_to_30_s() -> None:
    forecast = forecast_night(Hypnogram(np.repeat([0, 2, 3], 60), 5.0))
    assert len(forecast) == 30
    assert np.diff(forecast["onset"]).tolist() == [30.0] * 29


def test_rodents_get_a_chain_learned_from_the_night_and_are_told_so(rng: np.random.Generator) -> None:
    stages = np.repeat(np.tile([0, 1, 2], 100), 4)
    forecast = forecast_night(Hypnogram(stages, 10.0, 3), horizon=10.0)
    assert "night so far" in forecast.attrs["method"]
    assert "calibrated_on" in forecast.attrs
    assert forecast["p_change"].iloc[-100:].mean() == pytest.approx(0.25, abs=0.03)
    spoilt = np.r_[stages[:200], rng.integers(0, 3, len(stages) - 200)]
    again = forecast_night(Hypnogram(spoilt, 10.0, 3), horizon=10.0)
    np.testing.assert_allclose(again["p_change"].iloc[:200], forecast["p_change"].iloc[:200])


def test_an_untrained_horizon_is_refused(hypnogram: Hypnogram) -> None:
    with pytest.raises(SharpwaveError, match="a horizon of 30, 60, 300 s"):
        forecast_night(hypnogram, horizon=90.0)


def test_what_ships_is_small_and_says_where_it_comes_from() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 3.6e6
    card = json.loads((WEIGHTS / "forecast.json").read_text())
    assert set(card["trained_on"]) <= set(TRAINED_ON)
    assert {subject.split("/")[0] for subject in card["subjects"]} == set(card["trained_on"])
    assert {path.suffix for path in WEIGHTS.glob("forecast*")} == {".txt", ".json"}


def test_calibration_undoes_a_distortion(rng: np.random.Generator) -> None:
    p = rng.uniform(0.02, 0.6, 20_000)
    truth = (rng.random(p.size) < p).astype(float)
    logit = np.log(p / (1 - p))
    distorted = 1 / (1 + np.exp(-(0.5 * logit + 1)))
    slope, intercept = fit_calibration(distorted, truth)
    assert slope == pytest.approx(2, rel=0.1)
    np.testing.assert_allclose(calibrate(distorted, (slope, intercept)), p, atol=0.03)


def test_training_writes_what_loading_reads(make_nights: Callable, rng: np.random.Generator, tmp_path: Path) -> None:
    nights = [replace(night, cohort="dod") for night in make_nights(6, n_epochs=300)]
    train_shipped_forecaster(nights, rng=rng, folder=tmp_path, horizons=(30.0,))
    loaded = load_shipped_forecaster(30.0, folder=tmp_path)
    assert loaded.has_seen(nights[0])
    assert not loaded.has_seen(replace(nights[0], subject="new"))
    change = loaded.predict(nights[0]).change
    truth = np.diff(nights[0].stages) != 0
    assert change[:-1][truth].mean() > change[:-1][~truth].mean()


@pytest.mark.parametrize("cohort", ["dreams", "simulated"])
def test_what_may_not_be_trained_on_is_refused(
    cohort: str, make_nights: Callable, rng: np.random.Generator, tmp_path: Path
) -> None:
    nights = [replace(night, cohort=cohort) for night in make_nights(2, n_epochs=50)]
    with pytest.raises(SharpwaveError, match="nights of dod, walch, ucddb, pd-lfp"):
        train_shipped_forecaster(nights, rng=rng, folder=tmp_path)


def test_a_night_without_a_stage_has_no_forecast_and_says_so() -> None:
    frame, reasons = forecast_with_best(Hypnogram(np.full(12, -1, dtype=np.int8)))
    assert len(frame) == 12
    assert frame[frame.columns[2:]].isna().all(axis=None)
    assert "no epoch" in reasons[0]


def test_the_mean_of_both_forecasts_and_each_alone_can_be_had(hypnogram: Hypnogram) -> None:
    frames = {name: forecast_with_best(hypnogram, forecaster=name)[0] for name in (None, "brainmu", "lightgbm")}
    both, ours, trees = (frames[name].iloc[:, 2:8].to_numpy(dtype=float) for name in frames)
    np.testing.assert_allclose(both, (ours + trees) / 2, atol=1e-6)
    assert np.abs(ours - trees).max() > 0.02
    assert frames[None].attrs["method"].startswith("mean of Brainµ lite on stage history and LightGBM")
    with pytest.raises(SharpwaveError, match="a forecaster among brainmu"):
        forecast_with_best(hypnogram, forecaster="oracle")
