"""Brainµ trained for minutes on a few nights, and judged on others: what the benchmarks of this folder share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import Int

from sharpwave.benchmarks.multimodal.nights import PairedViews
from sharpwave.benchmarks.multimodal.scores import HORIZON, ChangeScore, StagingScore
from sharpwave.brainmu.attention import LayerCache
from sharpwave.brainmu.epochs import EpochedRecording, collate
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.training.objective import Objective
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast
from sharpwave.forecasting.protocols import compute_base_rate

SHAPE = {"width": 48, "n_layers": 2, "window": 150.0, "dropout": 0.1, "pooled_query": True}
"""A `lite` for which a minute is enough. Its attention spans 2.5 min a layer; what came before is in the stage history
and in levels so far."""


CHUNK = 60
"""Steps that go through a model at once when it is tested."""


@dataclass(frozen=True)
class Budget:
    """How much a model of these benchmarks may learn, the same for all that are compared.

    Attributes:
        steps: Updates.
        batch: Pieces per update.
        piece: Steps of 30 s in a piece.
        learning_rate: The highest.
        shape: Changes to the preset `lite`.
    """

    steps: int = 800
    batch: int = 12
    piece: int = 20
    learning_rate: float = 5e-3
    shape: dict[str, Any] = field(default_factory=lambda: dict(SHAPE))


def make_model(modalities: Collection[str], budget: Budget, *, seed: int, **changes: Any) -> BrainMu:
    """A model with random weights that follow from the seed."""
    config = configure("lite", modalities=tuple(modalities), **{**budget.shape, **changes})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BrainMu(config)


def fit(
    model: BrainMu, nights: Sequence[EpochedRecording], budget: Budget, *, seed: int, objective: Objective
) -> BrainMu:
    """Train a model in place on these nights."""
    from sharpwave.brainmu.training.crops import RandomCrops
    from sharpwave.brainmu.training.objective import TrainingOptions
    from sharpwave.brainmu.training.training import train

    options = TrainingOptions(
        steps=budget.steps,
        batch=budget.batch,
        piece=budget.piece,
        learning_rate=budget.learning_rate,
        seed=seed,
        objective=objective,
    )
    train(model, RandomCrops(nights), options=options, show=False)
    return model


def forecast(model: BrainMu, windowed: EpochedRecording, *, horizon: float, observed: bool = True) -> Forecast:
    """What the model expects of a night at the end of each step, given the present stage where that is observed."""
    readouts = read_night(model, windowed)
    index = model.config.horizons.index(horizon)
    change = torch.cat([torch.sigmoid(readout.change[0, :, index].double()) for readout in readouts]).numpy()
    logits = torch.cat([readout.destination[0, :, index].double() for readout in readouts])
    destination = torch.softmax(logits, dim=1).numpy()
    if observed:
        return compose_forecast(carry_stages(windowed.stages), change, destination)
    return Forecast(change, destination)


def find_stages(model: BrainMu, windowed: EpochedRecording) -> Int[np.ndarray, " epoch"]:
    """The most probable stage now, step by step, from what is known by then."""
    return torch.cat([readout.stage[0].argmax(dim=1) for readout in read_night(model, windowed)]).numpy()


def read_night(model: BrainMu, windowed: EpochedRecording) -> list[Readout]:
    """What the heads say of a night, `CHUNK` steps at a time: the same as of the whole, and faster."""
    model.eval()
    caches: tuple[LayerCache, ...] | None = None
    readouts = []
    with torch.inference_mode():
        for first in range(0, len(windowed), CHUNK):
            piece = windowed.restrict(first, min(first + CHUNK, len(windowed)))
            output = model(collate([piece]), caches)
            caches = output.caches
            readouts.append(output.readout)
    return readouts


def judge_forecasts(
    model: BrainMu,
    training: Sequence[PairedViews],
    testing: Sequence[PairedViews],
    *,
    modalities: Collection[str],
    observed: bool | None = None,
) -> ChangeScore:
    """Score forecasts 30 s ahead.

    Args:
        model: The trained model.
        training: Gives the base rate above which a probability is an alarm.
        testing: Nights of other subjects.
        modalities: Those that the model is shown.
        observed: Whether the present stage is known; as the stage history is shown where omitted.
    """
    known = "stages" in modalities if observed is None else observed
    said = [forecast(model, paired.windowed.only(modalities), horizon=HORIZON, observed=known) for paired in testing]
    rate = compute_base_rate([paired.night for paired in training], HORIZON)
    return ChangeScore.of([paired.night for paired in testing], said, base_rate=rate, observed=known)


def judge_staging(model: BrainMu, testing: Sequence[PairedViews], *, modalities: Collection[str]) -> StagingScore:
    """Score the stages that the model finds in these modalities, each step from what is known by its end."""
    found = [find_stages(model, paired.windowed.only(modalities)) for paired in testing]
    return StagingScore.of([paired.night for paired in testing], found)
