"""Probabilities that can be taken at their word: calibrated logits, and sets of stages with a stated coverage.

Temperature (Guo et al. 2017) leaves the order of the stages as it is. Platt's scaling (1999) also mends a forecast of
change that is too rare or too frequent throughout. Sets are split-conformal, with the subject as the unit: steps of a
night are not exchangeable, people are (pooled distributions of Dunn, Wasserman & Ramdas 2023, here with one further
subject counted as never covered, which makes the coverage hold for any number of subjects).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.brainmu.presets import HORIZONS, check_card
from sharpwave.errors import SharpwaveError

BOUNDS = (-4.0, 4.0)
"""Range of the logarithm of a temperature."""


@dataclass(frozen=True)
class Calibration:
    """How logits become probabilities.

    Attributes:
        temperature: Temperature by which the stage logits are divided.
        slopes: Factor of the change logit of each horizon.
        offsets: Term that is added to it after.
    """

    temperature: float = 1.0
    slopes: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()

    def stages(self, logits: Float[np.ndarray, "*step stage"]) -> Float[np.ndarray, "*step stage"]:
        """Probability of each stage."""
        scaled = np.asarray(logits, dtype=float) / self.temperature
        scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
        return np.asarray(scaled / scaled.sum(axis=-1, keepdims=True))

    def changes(self, logits: Float[np.ndarray, "*step horizon"]) -> Float[np.ndarray, "*step horizon"]:
        """Probability of a change at each horizon."""
        return _sigmoid(self.change_logits(logits))

    def change_logits(self, logits: Float[np.ndarray, "*step horizon"]) -> Float[np.ndarray, "*step horizon"]:
        """Calibrated log-odds of a change at each horizon."""
        if not self.slopes:
            return np.asarray(logits, dtype=float)
        return np.asarray(logits, dtype=float) * np.array(self.slopes) + np.array(self.offsets)

    @classmethod
    def from_card(
        cls, card: dict[str, Any], *, protocol: str = "observed", horizons: Sequence[float] = HORIZONS
    ) -> Self:
        """What a checkpoint's card says under "calibration"; logits as they are where it says nothing.

        Args:
            card: Its "calibration" holds slope and offset by protocol and horizon ("observed +30").
            protocol: "observed" where the model sees stages, else "signal-only".
            horizons: The model's, in seconds.

        Raises:
            SharpwaveError: If what it says is no calibration.
        """
        check_card(card)
        found = card.get("calibration", {})
        lines = [found.get(name_calibration(protocol, horizon), (1.0, 0.0)) for horizon in horizons]
        slopes, offsets = zip(*lines, strict=True)
        return cls(float(found.get("temperature", 1.0)), tuple(slopes), tuple(offsets))


def fit_calibration(
    stage_logits: Float[np.ndarray, "step stage"],
    stages: Int[np.ndarray, " step"],
    *,
    change_logits: Float[np.ndarray, "step horizon"],
    changed: Float[np.ndarray, "step horizon"],
) -> Calibration:
    """Temperature and Platt scaling from held-out predictions, by maximum likelihood.

    Args:
        stage_logits: Logits of the stages as the model gives them.
        stages: True stages, -1 where unknown.
        change_logits: Logits of a change as the model gives them.
        changed: 1 where the stage changed, 0 where not, NaN where unknown.

    Raises:
        SharpwaveError: If no step is labelled, or the change of a horizon is always or never there.
    """
    from scipy.optimize import minimize_scalar

    known = stages >= 0
    if not known.any():
        raise SharpwaveError(
            "held-out steps with a stage", got="none", fix="predict nights that were scored and not trained on"
        )
    logits, truth = np.asarray(stage_logits, dtype=float)[known], stages[known]

    def loss(log_temperature: float) -> float:
        scaled = logits / np.exp(log_temperature)
        return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(truth)), truth]).mean())

    temperature = float(np.exp(minimize_scalar(loss, bounds=BOUNDS, method="bounded").x))
    pairs = [fit_platt(column, outcome) for column, outcome in zip(np.asarray(change_logits).T, changed.T, strict=True)]
    return Calibration(temperature, tuple(slope for slope, _ in pairs), tuple(offset for _, offset in pairs))


def fit_platt(logits: Float[np.ndarray, " step"], outcomes: Float[np.ndarray, " step"]) -> tuple[float, float]:
    """Slope (not below 0) and offset that make logits likeliest; outcomes 0 or 1, NaN where unknown.

    Raises:
        SharpwaveError: If outcomes are all the same.
    """
    from scipy.optimize import minimize

    known = np.isfinite(outcomes)
    x, y = np.asarray(logits, dtype=float)[known], np.asarray(outcomes, dtype=float)[known]
    if not ((y == 0).any() and (y == 1).any()):
        raise SharpwaveError(
            "steps with a change and steps without", got=f"{len(y)} steps of one kind", fix="add held-out nights"
        )

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        z = weights[0] * x + weights[1]
        error = _sigmoid(z) - y
        return float((np.logaddexp(0, z) - y * z).mean()), np.array([(error * x).mean(), error.mean()])

    fitted = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B", bounds=[(0.0, None), (None, None)]).x
    return float(fitted[0]), float(fitted[1])


@dataclass(frozen=True)
class StageSets:
    """Which stages to name so that the true one is among them as often as stated.

    Attributes:
        thresholds: A stage is named where its probability is at least 1 - threshold; one per stage.
        coverage: Share of the steps of a new subject whose true stage is in the set, on average over subjects.
        n_subjects: Subjects that it was fitted on.
        by_stage: Whether the coverage holds in each stage by itself.
    """

    thresholds: tuple[float, ...]
    coverage: float
    n_subjects: int
    by_stage: bool = False

    def predict(self, probabilities: Float[np.ndarray, "*step stage"]) -> Bool[np.ndarray, "*step stage"]:
        """Stages in the set; the likeliest one always is, which can only raise the coverage."""
        likeliest = probabilities >= probabilities.max(axis=-1, keepdims=True)
        return np.asarray((1 - probabilities <= np.array(self.thresholds) + 1e-12) | likeliest)

    def to_dict(self) -> dict[str, Any]:
        return {
            "thresholds": list(self.thresholds),
            "coverage": self.coverage,
            "n_subjects": self.n_subjects,
            "by_stage": self.by_stage,
        }

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> Self | None:
        """What a checkpoint's card says under "stage_sets", or None."""
        found = card.get("stage_sets")
        if found is None:
            return None
        check_card(card)
        return cls(tuple(found["thresholds"]), found["coverage"], found["n_subjects"], found["by_stage"])


def fit_stage_sets(
    probabilities: Sequence[Float[np.ndarray, "step stage"]],
    stages: Sequence[Int[np.ndarray, " step"]],
    *,
    coverage: float = 0.9,
    by_stage: bool = False,
) -> StageSets:
    """Split-conformal thresholds from held-out subjects.

    Args:
        probabilities: One array per subject, of a model that never saw them.
        stages: True stages of each subject, -1 where unknown.
        coverage: Wanted share of steps, from 0 to 1.
        by_stage: Hold the coverage in each stage by itself; needs subjects who have every stage.

    Returns:
        The thresholds. With fewer subjects than 1 / (1 - coverage) - 1 nothing short of all stages is safe, and all
        stages are what the sets then hold.

    Raises:
        SharpwaveError: If coverage is not between 0 and 1, or no subject has a scored step.
    """
    if not 0 < coverage < 1:
        raise SharpwaveError("a coverage between 0 and 1", got=f"{coverage:g}", fix="0.9 is usual")
    scores = [1 - p[np.flatnonzero(s >= 0), s[s >= 0]] for p, s in zip(probabilities, stages, strict=True)]
    truths = [s[s >= 0] for s in stages]
    if not any(len(score) for score in scores):
        raise SharpwaveError("held-out subjects with scored steps", got="none", fix="predict scored nights")
    n_stages = probabilities[0].shape[1]
    if by_stage:
        groups = [[s[t == stage] for s, t in zip(scores, truths, strict=True)] for stage in range(n_stages)]
        thresholds = tuple(pool_quantile(group, coverage) for group in groups)
    else:
        thresholds = (pool_quantile(scores, coverage),) * n_stages
    return StageSets(thresholds, coverage, sum(len(score) > 0 for score in scores), by_stage)


def pool_quantile(groups: Sequence[Float[np.ndarray, " step"]], level: float) -> float:
    """Smallest score that covers `level` of a new group's, each group with the same weight; 1 where none does."""
    some = [np.sort(group) for group in groups if len(group)]
    if not some:
        return 1.0
    values = np.concatenate(some)
    weights = np.concatenate([np.full(len(group), 1 / len(group)) for group in some]) / (len(some) + 1)
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order]) >= level - 1e-12
    return float(values[order][reached.argmax()]) if reached.any() else 1.0


def _sigmoid(values: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -values))


def name_calibration(protocol: str, horizon: float) -> str:
    """Key of a calibration: "observed +30"."""
    return f"{protocol} +{horizon:g}"
