"""The forecaster that ships: LightGBM on stage history, trained on every permitted cohort, calibrated, without pickle.

`sharpwave benchmark forecast --train` writes the weights again from the data sets; nothing else goes into them. DREAMS
(no derivatives) and data without a licence are never trained on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

import numpy as np
from jaxtyping import Float

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.forecasting.boosting import Boosting
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast
from sharpwave.forecasting.inputs import compute_history
from sharpwave.forecasting.protocols import HORIZONS, compute_steps, compute_targets, split_by_subject
from sharpwave.forecasting.tables import Markov, Persistence, SemiMarkov
from sharpwave.outputs import READY, replace_files

WEIGHTS = Path(__file__).parents[1] / "weights"
TRAINED_ON = ("dod", "walch", "ucddb", "pd-lfp")
LICENCES = {"dod": "MIT", "walch": "ODC-By 1.0", "ucddb": "ODC-By 1.0", "pd-lfp": "MIT"}


@dataclass(frozen=True)
class ShippedForecaster:
    """Trained models and tables for one horizon.

    Attributes:
        horizon: Seconds ahead.
        change: LightGBM booster, whether the stage will differ.
        destination: LightGBM booster, which stage if it does.
        calibration: Slope and intercept on the logit of `change`, fitted on subjects that the trees had not seen.
        persistence: Base rate of a change.
        markov: Fitted table.
        semi_markov: Fitted table.
        subjects: Subjects that were trained on, as "cohort/subject".
    """

    horizon: float
    change: Any
    destination: Any
    calibration: tuple[float, float]
    persistence: float
    markov: Markov
    semi_markov: SemiMarkov
    subjects: frozenset[str]

    def predict(self, night: EpochTable) -> Forecast:
        """Forecast from each epoch of a night whose stages are known up to it."""
        inputs = compute_history(night.stages)
        raw = np.asarray(self.change.predict(inputs, num_threads=1))
        elsewhere = np.asarray(self.destination.predict(inputs, num_threads=1))
        return compose_forecast(carry_stages(night.stages), calibrate(raw, self.calibration), elsewhere)

    def has_seen(self, night: EpochTable) -> bool:
        """True if the night's subject was trained on."""
        return f"{night.cohort}/{night.subject}" in self.subjects


def calibrate(
    probability: Float[np.ndarray, " epoch"], calibration: tuple[float, float]
) -> Float[np.ndarray, " epoch"]:
    """Probabilities after a line on their logit (Platt 1999)."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    slope, intercept = calibration
    return 1 / (1 + np.exp(-(slope * np.log(p / (1 - p)) + intercept)))


def fit_calibration(
    probability: Float[np.ndarray, " epoch"], truth: Float[np.ndarray, " epoch"], *, n_steps: int = 30
) -> tuple[float, float]:
    """Slope and intercept that minimise the log-loss, by Newton's method from a constant, from where it converges."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    design = np.stack([np.log(p / (1 - p)), np.ones_like(p)], axis=1)
    rate = np.clip(truth.mean(), 1e-6, 1 - 1e-6)
    weights = np.array([0.0, np.log(rate / (1 - rate))])
    for _ in range(n_steps):
        fitted = 1 / (1 + np.exp(-design @ weights))
        curvature = design.T @ (design * (fitted * (1 - fitted))[:, None]) + 1e-6 * np.eye(2)
        weights = weights + np.linalg.solve(curvature, design.T @ (truth - fitted))
    return float(weights[0]), float(weights[1])


def train_shipped_forecaster(
    nights: Sequence[EpochTable],
    *,
    rng: np.random.Generator,
    folder: Path = WEIGHTS,
    horizons: Sequence[float] = HORIZONS,
) -> Path:
    """Train on all nights and write the weights: LightGBM's text format and one JSON.

    Args:
        nights: Nights of the cohorts in `TRAINED_ON`.
        rng: Splits and seeds.
        folder: Folder to write into.
        horizons: Seconds ahead, each its own models.

    Returns:
        The folder.

    Raises:
        SharpwaveError: If a night comes from a cohort that may not be trained on.
    """
    banned = sorted({night.cohort for night in nights} - set(TRAINED_ON))
    if banned:
        raise SharpwaveError(
            f"nights of {', '.join(TRAINED_ON)}",
            got=", ".join(banned),
            fix="keep cohorts whose licence forbids derived works, and simulated nights, out of shipped weights",
        )
    card: dict[str, Any] = {
        "what": "stage history to stage at the horizon, 30 s epochs, five stages",
        "trained_on": {cohort: LICENCES[cohort] for cohort in sorted({night.cohort for night in nights})},
        "subjects": sorted({f"{night.cohort}/{night.subject}" for night in nights}),
        "reproduce": "sharpwave benchmark forecast --train",
        "horizons": {},
    }
    with replace_files(folder, ready=f"{READY}-forecast") as partial:
        for horizon in horizons:
            model = Boosting().fit(nights, horizon=horizon, rng=rng)
            model.change.save_model(partial / f"forecast_{horizon:g}_change.txt")
            model.destination.save_model(partial / f"forecast_{horizon:g}_destination.txt")
            tables: dict[str, Markov | SemiMarkov] = {"markov": Markov(), "semi_markov": SemiMarkov()}
            card["horizons"][f"{horizon:g}"] = {
                "calibration": [round(value, 5) for value in _cross_calibrate(nights, horizon, rng)],
                "persistence": round(Persistence().fit(nights, horizon=horizon, rng=rng).change, 5),
                **{
                    name: np.round(table.fit(nights, horizon=horizon, rng=rng).table, 5).tolist()
                    for name, table in tables.items()
                },
            }
        (partial / "forecast.json").write_text(json.dumps(card, separators=(",", ":")) + "\n", encoding="utf-8")
    load_shipped_forecaster.cache_clear()
    return folder


@lru_cache(maxsize=8)
def load_shipped_forecaster(horizon: float = 30.0, *, folder: Path = WEIGHTS) -> ShippedForecaster:
    """The trained models for 30, 60 or 300 s ahead.

    Raises:
        SharpwaveError: If there are none for this horizon.
        MissingExtraError: If LightGBM is not installed.
    """
    card_path = folder / "forecast.json"
    card = json.loads(card_path.read_text(encoding="utf-8")) if card_path.is_file() else {"horizons": {}}
    if f"{horizon:g}" not in card["horizons"]:
        raise SharpwaveError(
            f"a horizon of {', '.join(card['horizons']) or '(no weights found)'} s",
            got=f"{horizon:g} s",
            fix="choose one of these, or train with `sharpwave benchmark forecast --train`",
        )
    numbers = card["horizons"][f"{horizon:g}"]
    markov, semi_markov = Markov(), SemiMarkov()
    markov.table, semi_markov.table = np.array(numbers["markov"]), np.array(numbers["semi_markov"])
    return ShippedForecaster(
        horizon=horizon,
        change=_load_booster(folder / f"forecast_{horizon:g}_change.txt"),
        destination=_load_booster(folder / f"forecast_{horizon:g}_destination.txt"),
        calibration=(numbers["calibration"][0], numbers["calibration"][1]),
        persistence=numbers["persistence"],
        markov=markov,
        semi_markov=semi_markov,
        subjects=frozenset(card["subjects"]),
    )


@dataclass
class ShippedLightGBM:
    """The shipped trees on stage history under the contract of the baselines; `fit` learns nothing."""

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        """Choose the horizon; the nights are not looked at."""
        self.model: ShippedForecaster = load_shipped_forecaster(horizon)
        return self

    def predict(self, night: EpochTable) -> Forecast:
        return self.model.predict(night)


def _load_booster(path: Path) -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", extra="brain") from error
    return lightgbm.Booster(model_str=path.read_text(encoding="utf-8"))


def _cross_calibrate(nights: Sequence[EpochTable], horizon: float, rng: np.random.Generator) -> tuple[float, float]:
    forecasts, truths = [], []
    for training, testing in split_by_subject(nights, n_folds=5, rng=rng):
        model = Boosting().fit(training, horizon=horizon, rng=rng)
        for night in testing:
            later = compute_targets(night.stages, compute_steps(night, horizon))
            forecasts.append(model.predict(night).change[later >= 0])
            truths.append((later != night.stages)[later >= 0])
    return fit_calibration(np.concatenate(forecasts), np.concatenate(truths).astype(float))
