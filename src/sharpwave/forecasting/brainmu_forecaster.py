"""Brainµ as a forecaster beside the baselines: what a model expects of a night, and the shipped weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu
from sharpwave.brainmu.epochs import collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.uncertainty import name_calibration
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast
from sharpwave.forecasting.shipped import calibrate

Calibration = Mapping[str, tuple[float, float]]
"""Slope and intercept on the logit of a change, by `name_calibration`."""


def forecast_night(
    model: BrainMu, night: EpochTable, *, horizon: float, calibration: Calibration | None = None
) -> Forecast:
    """What a model expects of a night `horizon` seconds ahead; see `forecast_horizons`.

    Raises:
        SharpwaveError: If the model has no such horizon.
    """
    if horizon not in model.config.horizons:
        raise SharpwaveError(
            f"a horizon of {', '.join(f'{h:g}' for h in model.config.horizons)} s",
            got=f"{horizon:g} s",
            fix="choose one of these, or train a model for it",
        )
    return forecast_horizons(model, night, calibration=calibration)[horizon]


@torch.inference_mode()
def forecast_horizons(
    model: BrainMu, night: EpochTable, *, calibration: Calibration | None = None
) -> dict[float, Forecast]:
    """What a model expects of a night at each of its horizons; of one whose stages are hidden, from its signals alone.

    Args:
        model: Ready for use.
        night: Whole night of a cohort with stages, votes or features.
        calibration: Calibration of the probability of a change; none where omitted.
    """
    observed = bool((night.stages >= 0).any())
    protocol = "observed" if observed else "signal-only"
    readout = model(collate([window_night(night)])).readout
    changes = torch.sigmoid(readout.change[0].double()).numpy()
    destinations = torch.softmax(readout.destination[0].double(), dim=2).numpy()
    found = {}
    for index, horizon in enumerate(model.config.horizons):
        change, destination = changes[:, index], destinations[:, index]
        key = name_calibration(protocol, horizon)
        if calibration and key in calibration:
            change = calibrate(change, calibration[key])
        known = compose_forecast(carry_stages(night.stages), change, destination)
        found[horizon] = known if observed else Forecast(change, destination)
    return found


@dataclass
class ShippedBrainMu:
    """The shipped weights under the contract of the baselines; `fit` learns nothing.

    Attributes:
        folder: Folder of the weights.
    """

    folder: Path = WEIGHTS / "lite"

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        """Choose the horizon; the nights are not looked at."""
        self.horizon = horizon
        return self

    def predict(self, night: EpochTable) -> Forecast:
        """Forecast from each epoch of a night."""
        model, card = _load(self.folder)
        lines = {key: line for key, line in card.get("calibration", {}).items() if key != "temperature"}
        calibration = {key: (slope, intercept) for key, (slope, intercept) in lines.items()}
        return forecast_night(model, night, horizon=self.horizon, calibration=calibration)

    def has_seen(self, night: EpochTable) -> bool:
        """True if the night's subject was trained on."""
        return f"{night.cohort}/{night.subject}" in _load(self.folder)[1]["trained_on"]


@lru_cache(maxsize=2)
def _load(folder: Path) -> tuple[BrainMu, dict[str, Any]]:
    return load_brainmu(folder)
