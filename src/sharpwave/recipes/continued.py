"""How `lite` went on learning: from weights that shipped, on what is new among what was known, and back half way.

    python -m sharpwave.recipes.continued FROM TO

`train_twice` makes both trainings anew, of any seed and without people who are kept for testing.

A night of sleep for the model itself: the old cohorts are replayed among the new ones, so that nothing is forgotten,
and in the end old and new weights are averaged (Wortsman et al. 2022, doi:10.48550/arXiv.2109.01903; one half each):
between weights of which one was trained from the other the loss is low all the way, and what fine-tuning on few people
did at the expense of others is taken back.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import load_brainmu, save_brainmu
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.crops import Source
from sharpwave.brainmu.training.finetuning import average_weights
from sharpwave.brainmu.training.training import train
from sharpwave.recipes.band_nights import load_band_nights
from sharpwave.recipes.files_beside_weights import write_files_beside_weights
from sharpwave.recipes.recipe import EVERYTHING, LAST, SECOND, describe_training, train_in_parts
from sharpwave.recipes.sources import (
    POLYSOMNOGRAM,
    Forecasting,
    SamplingWeights,
    combine_sources,
    load_forecasting,
    load_unlabelled,
    simulate_training_nights,
)
from sharpwave.recipes.staging_training import make_staging_source

BEGUN = (
    (SamplingWeights(forecasting=0.2, staging=0.5, unlabelled=0.03, human=0.17, rodent=0.05), SECOND),
    (SamplingWeights(forecasting=0.65, staging=0.21, unlabelled=0.01, human=0.09, rodent=0.02), LAST),
)
"""Parts of the training that the weights went on from, as of commit ffdc56d; machines' histories and nights known by
band power came later."""
MIXED = SamplingWeights(forecasting=0.3, staging=0.5, unlabelled=0.02, human=0.12, rodent=0.03)
PARTS = (
    (MIXED, replace(SECOND, steps=700, learning_rate=1.2e-3, seed=1)),
    (EVERYTHING, replace(LAST, steps=220, learning_rate=7e-4, seed=2)),
)
SHARE = 0.5
"""Share of the new weights in the average with the old ones; fixed beforehand."""


def continue_lite(
    start: str | Path,
    folder: str | Path,
    *,
    data: str | Path | None = None,
    simulated: Iterable[EpochedRecording] | None = None,
    scale: float = 1.0,
    seed: int = 0,
    runs: str | Path | None = None,
    finish: bool = True,
) -> Path:
    """Train weights that exist on old and new nights, average both, and write the result with its card.

    The calibration stays: it was fitted on forecasts for people whom the model of each fold had not seen.

    Args:
        start: Folder of the weights to start from.
        folder: Folder to write into.
        data: Folder of data sets; `data_root()` where omitted.
        simulated: Simulated nights, if they were made before.
        scale: Updates as a share of the recipe's.
        seed: Seed of the simulation and of the people drawn from it.
        runs: Folder for the checkpoints of each part; what is found there goes on. None are kept where omitted.
        finish: Whether to fit what lies beside the weights.

    Returns:
        The folder.
    """
    forecasting, unlabelled = load_forecasting(data), list(load_unlabelled(data))
    nights = list(simulate_training_nights(rng=np.random.default_rng([seed, 1])) if simulated is None else simulated)
    staging = make_staging_source(nights, rng=np.random.default_rng([seed, 2]), data=data, modalities=POLYSOMNOGRAM)
    model, card = load_brainmu(start)
    sources = [
        combine_sources(forecasting, weights, staging=staging, unlabelled=unlabelled, simulated=nights)
        for weights, _ in PARTS
    ]
    _go_on(model, sources, scale=scale, seed=0, runs=runs)
    new = describe_training(forecasting, [*unlabelled, *nights], banded=load_band_nights(data))
    save_brainmu(model, folder, card=join_cards(card, new))
    return write_files_beside_weights(folder, data=data) if finish else Path(folder)


def train_twice(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    leave_out: Collection[str] = (),
    seed: int = 0,
    scale: float = 1.0,
    simulated: Iterable[EpochedRecording] | None = None,
    runs: str | Path | None = None,
) -> Path:
    """Train from nothing and go on as the shipped weights did, without some people, and write the result.

    The settings are those of the shipped weights; the loop is today's, which shows the clock in half of the crops. In
    the first training of the shipped weights all crops had it.

    Args:
        folder: Folder to write into.
        data: Folder of data sets; `data_root()` where omitted.
        leave_out: People ("ucddb/ucddb022") whom neither training meets.
        seed: Seed of the simulation, the first weights and the draws; the weights that ship have 0.
        scale: Updates as a share of the recipe's.
        simulated: Simulated nights, if they were made before.
        runs: Folder for the checkpoints of each part; what is found there goes on. None are kept where omitted.

    Returns:
        The folder.
    """
    forecasting, unlabelled = load_forecasting(data).without(leave_out), list(load_unlabelled(data))
    nights = list(simulate_training_nights(rng=np.random.default_rng([seed, 1])) if simulated is None else simulated)
    others = [name.removeprefix("ucddb/") for name in leave_out if name.startswith("ucddb/")]
    places = (None, None) if runs is None else (Path(runs) / "first", Path(runs) / "second")

    def make_staging(**sets: Any) -> Source:
        rng = np.random.default_rng([seed, 2])
        return make_staging_source(nights, rng=rng, data=data, leave_out=others, modalities=POLYSOMNOGRAM, **sets)

    def combine(people: Forecasting, weights: SamplingWeights, staging: Source) -> Source:
        return combine_sources(people, weights, staging=staging, unlabelled=unlabelled, simulated=nights)

    known, staging = replace(forecasting, machines=()), make_staging(sets=())
    parts = [(combine(known, weights, staging), options) for weights, options in BEGUN]
    model, _ = train_in_parts(known.make_source(), parts, scale=scale, seed=seed, runs=places[0])
    del parts, staging  # before the next people take as much memory
    staging = make_staging()
    sources = [combine(forecasting, weights, staging) for weights, _ in PARTS]
    _go_on(model, sources, scale=scale, seed=seed, runs=places[1])
    card = describe_training(forecasting, [*unlabelled, *nights], banded=load_band_nights(data))
    save_brainmu(model, folder, card=card | {"seed": seed, "scale": scale, "averaged": SHARE})
    return Path(folder)


def _go_on(model: BrainMu, sources: Sequence[Source], *, scale: float, seed: int, runs: str | Path | None) -> None:
    """The second training, part by part, and back half way; each seed has draws of its own."""
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for index, (source, (_, options)) in enumerate(zip(sources, PARTS, strict=True)):
        steps, shifted = max(1, round(scale * options.steps)), options.seed + len(PARTS) * seed
        place = None if runs is None else Path(runs) / f"part-{index}"
        train(model, source, options=replace(options, steps=steps, seed=shifted), show=False, folder=place)
    average_weights(model, before, share=SHARE)


def join_cards(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The card of weights that went on from others: everyone in either, and both trainings."""
    return {
        **old,
        "trained_on": sorted({*old["trained_on"], *new["trained_on"]}),
        "licences": dict(sorted({**old["licences"], **new["licences"]}.items())),
        "training": [*old["training"], *(options.to_dict() for _, options in PARTS)],
        "averaged": SHARE,
        "reproduce": "python -m sharpwave.recipes.continued FROM TO, FROM being the weights of commit ffdc56d",
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    continue_lite(sys.argv[1], sys.argv[2])
