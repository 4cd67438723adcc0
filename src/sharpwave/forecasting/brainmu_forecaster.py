"""Brainµ as a forecaster beside the baselines: the shipped weights, or a model trained on the nights it is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu, make_lite
from sharpwave.brainmu.epochs import collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.objective import TrainingOptions
from sharpwave.brainmu.training.training import train
from sharpwave.brainmu.uncertainty import name_calibration
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast, join_targets
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
class BrainMuForecaster:
    """Brainµ under the contract of the baselines: `fit` trains a copy of the preset on these nights alone.

    Attributes:
        options: Options of the training.
        shape: Changes to the preset `lite`.
        calibration: Calibration of the probability of a change.
    """

    options: TrainingOptions = field(default_factory=lambda: TrainingOptions(steps=400, batch=8, piece=120))
    shape: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=dict)

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        """Train on whole nights, for all horizons at once."""
        join_targets(nights, horizon)
        self.horizon = horizon
        windowed = [window_night(night) for night in nights]
        names = dict.fromkeys(name for night in windowed for name in night.epochs)
        seed = int(rng.integers(2**31 - 1))
        self.model = make_lite(seed=seed, modalities=tuple(names), **self.shape)
        train(self.model, RandomCrops(windowed), options=replace(self.options, seed=seed), show=False)
        self.model.eval()
        return self

    def predict(self, night: EpochTable) -> Forecast:
        """Forecast from each epoch of a night."""
        return forecast_night(self.model, night, horizon=self.horizon, calibration=self.calibration)


@dataclass
class ShippedBrainMu:
    """The shipped weights under the same contract; `fit` learns nothing.

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
