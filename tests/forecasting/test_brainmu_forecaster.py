"""Brainµ under the contract of the baselines."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from sharpwave.brainmu.checkpoints import make_lite
from sharpwave.brainmu.uncertainty import name_calibration
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.metrics import compute_auprc
from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu, forecast_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import hide_stages

SMALL = {"width": 32, "n_layers": 1, "n_heads": 2}


def test_contract(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=80)
    model = make_lite(seed=0, modalities=("stages", "features"), **SMALL).eval()
    for horizon in (30.0, 60.0, 300.0):
        observed = forecast_night(model, night, horizon=horizon)
        assert observed.change.shape == (80,)
        assert observed.destination.shape == (80, 5)
        np.testing.assert_allclose(observed.destination.sum(axis=1), 1)
        np.testing.assert_allclose(observed.destination[np.arange(80), night.stages], 1 - observed.change)
        alone = forecast_night(model, hide_stages(night), horizon=horizon)
        np.testing.assert_allclose(alone.destination.sum(axis=1), 1, rtol=1e-5)


def test_calibration_is_that_of_the_protocol(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=40)
    model = make_lite(seed=0, modalities=("stages", "features"), **SMALL).eval()
    calibration = {name_calibration("observed", 30.0): (1.0, 2.0)}
    raw, shifted = (forecast_night(model, night, horizon=30.0, calibration=c) for c in (None, calibration))
    logit = np.log(shifted.change / (1 - shifted.change)) - np.log(raw.change / (1 - raw.change))
    np.testing.assert_allclose(logit, 2.0, atol=1e-6)
    hidden = (forecast_night(model, hide_stages(night), horizon=30.0, calibration=c) for c in (None, calibration))
    np.testing.assert_array_equal(*(forecast.change for forecast in hidden))


def test_another_horizon_is_refused(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=40)
    with pytest.raises(SharpwaveError, match="horizon of 30, 60, 300 s"):
        forecast_night(make_lite(seed=0, modalities=("stages", "features"), **SMALL).eval(), night, horizon=90.0)


def test_shipped_weights_forecast(make_nights: Callable[..., list[EpochTable]], rng: np.random.Generator) -> None:
    nights = make_nights(3, n_epochs=300)
    shipped = ShippedBrainMu().fit([], horizon=30.0, rng=rng)
    change = np.concatenate([shipped.predict(night).change[:-1] for night in nights])
    truth = np.concatenate([np.diff(night.stages) != 0 for night in nights])
    assert compute_auprc(truth, change) > 1.2 * truth.mean()
    assert not shipped.has_seen(nights[0])
