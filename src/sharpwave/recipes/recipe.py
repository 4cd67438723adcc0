"""The recipe of the shipped `lite`: one model, one source of nights, one run.

    python -m sharpwave.recipes.recipe FOLDER

writes the weights again from the data sets that their licences allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu, make_lite, save_brainmu
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.crops import Source
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.spectral_transfer import BandNight
from sharpwave.brainmu.training.training import train
from sharpwave.forecasting.cohorts import load_cohort
from sharpwave.recipes.band_nights import load_band_nights
from sharpwave.recipes.cross_validation import fit_calibrations, forecast_folds, split_cohorts
from sharpwave.recipes.files_beside_weights import write_files_beside_weights
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

OBJECTIVE = Objective(next_step=0.1, stage=0.5, change=1.0, drop_modality=0.3, drop_channel=0.2)
FIRST = TrainingOptions(
    steps=400, batch=4, piece=1200, learning_rate=3e-3, weight_decay=0.05, average=0.1, objective=OBJECTIVE
)
"""Whole nights of the cohorts, without attention: what the history of stages says takes many nights to learn."""
SECOND = TrainingOptions(
    steps=1200,
    batch=6,
    piece=120,
    learning_rate=2e-3,
    weight_decay=0.05,
    average=0.1,
    objective=replace(OBJECTIVE, stage=1.0, drop_channel=0.4),
)
"""An hour at a time with attention that starts from nothing, mostly EEG: telling stages from signals."""
LAST = TrainingOptions(
    steps=250, batch=8, piece=120, learning_rate=1e-3, weight_decay=0.05, average=0.1, objective=OBJECTIVE
)
"""An hour at a time of everything, mostly what forecasts."""
N_FOLDS = 3
SIGNALS = SamplingWeights(forecasting=0.2, staging=0.56, unlabelled=0.02, human=0.14, rodent=0.04)
EVERYTHING = SamplingWeights(forecasting=0.6, staging=0.27, unlabelled=0.01, human=0.08, rodent=0.02)
LICENCES = {
    "dod": "MIT",
    "walch": "ODC-By 1.0",
    "ucddb": "ODC-By 1.0",
    "pd-lfp": "MIT",
    "boas": "CC0",
    "sleep-edf": "ODC-By 1.0",
    "human-rest-bold": "MIT",
    "rat-ca1-linear-track": "MIT",
    "simulated-human": "simulated here",
    "simulated-mouse": "simulated here",
    "simulated-rat": "simulated here",
}
REPRODUCE = "python -m sharpwave.recipes.recipe src/sharpwave/brainmu/weights/lite"


def train_lite(
    folder: str | Path = WEIGHTS / "lite",
    *,
    data: str | Path | None = None,
    scale: float = 1.0,
    seed: int = 0,
    simulated: Iterable[EpochedRecording] | None = None,
    finish: bool = True,
    show: bool = True,
    runs: str | Path | None = None,
) -> Path:
    """Train `lite` on all of it and write it with its card, its calibration, and what lies beside the weights.

    Args:
        folder: Folder to write into.
        data: Folder of data sets; `data_root()` where omitted.
        scale: Updates as a share of the recipe's.
        seed: Seed of the simulation, the first weights and the draws.
        simulated: Simulated nights, if they were made before.
        finish: Whether to calibrate, which trains again without each fold's subjects, and to fit what lies beside.
        show: Whether to show a bar.
        runs: Folder for the checkpoints of each part; what is found there goes on. None are kept where omitted.

    Returns:
        The folder.
    """
    forecasting, unlabelled = load_forecasting(data), list(load_unlabelled(data))
    nights = list(simulate_training_nights(rng=np.random.default_rng([seed, 1])) if simulated is None else simulated)
    staging = make_staging_source(nights, rng=np.random.default_rng([seed, 2]), data=data, modalities=POLYSOMNOGRAM)
    parts = [
        (combine_sources(forecasting, weights, staging=staging, unlabelled=unlabelled, simulated=nights), options)
        for weights, options in ((SIGNALS, SECOND), (EVERYTHING, LAST))
    ]
    model, losses = train_in_parts(forecasting.make_source(), parts, scale=scale, seed=seed, show=show, runs=runs)
    card = describe_training(forecasting, [*unlabelled, *nights], banded=load_band_nights(data))
    card |= {"seed": seed, "scale": scale, "loss": round(float(np.mean(losses[-50:])), 4)}
    if finish:
        card["calibration"] = calibrate_recipe(forecasting, data=data, seed=seed)
    save_brainmu(model, folder, card=card)
    return write_files_beside_weights(folder, data=data) if finish else Path(folder)


def calibrate_recipe(
    forecasting: Forecasting, *, data: str | Path | None = None, seed: int = 0
) -> dict[str, tuple[float, float]]:
    """Slope and intercept by horizon, from forecasts for those who were left out of training; of observed ones alone.

    From signals alone there is too little to calibrate: the lines would pull everything to the base rate.
    """
    cohorts = {name: load_cohort(name, data) for name in forecasting.nights}
    folds = split_cohorts(cohorts, n_folds=N_FOLDS, rng=np.random.default_rng(seed))
    forecasts, _ = forecast_folds(forecasting, folds, train_model=train_on_cohorts, seed=seed)
    lines = fit_calibrations(forecasts, [night for nights in cohorts.values() for night in nights])
    return {name: line for name, line in lines.items() if name.startswith("observed")}


def train_in_parts(
    histories: Source,
    parts: Sequence[tuple[Source, TrainingOptions]],
    *,
    scale: float = 1.0,
    seed: int = 0,
    show: bool = False,
    runs: str | Path | None = None,
    **shape: Any,
) -> tuple[BrainMu, list[float]]:
    """A model trained on stage histories and features without attention, then part by part with it.

    Args:
        histories: Whole nights of the cohorts.
        parts: Source and options of each further part.
        scale: Updates as a share of the recipe's.
        seed: Seed of the first weights and the draws.
        show: Whether to show bars.
        runs: Folder for the checkpoints of each part; what is found there goes on. None are kept where omitted.
        shape: Changes to `lite`.

    Returns:
        The model, and the losses of the last part.
    """

    def scaled(options: TrainingOptions) -> TrainingOptions:
        return replace(options, steps=max(1, round(scale * options.steps)), seed=seed)

    shallow = make_lite(seed=seed, **{**shape, "n_layers": 0})

    def place(index: int) -> Path | None:
        return None if runs is None else Path(runs) / f"part-{index}"

    losses = train(shallow, histories, options=scaled(FIRST), show=show, folder=place(0))
    model = add_blocks(shallow, make_lite(seed=seed, **shape))
    for index, (source, options) in enumerate(parts, start=1):
        losses = train(model, source, options=scaled(options), show=show, folder=place(index))
    return model, losses


def train_on_cohorts(forecasting: Forecasting, seed: int) -> BrainMu:
    """The recipe on the cohorts' nights alone, for those who were left out of them."""
    source = forecasting.make_source()
    return train_in_parts(source, [(source, LAST)], seed=seed, modalities=("stages", "features"))[0]


def add_blocks(shallow: BrainMu, deep: BrainMu) -> BrainMu:
    """The deep model with the shallow one's weights; its blocks add nothing until they are trained."""
    deep.load_state_dict({**deep.state_dict(), **shallow.state_dict()})
    with torch.no_grad():
        for name, parameter in deep.blocks.named_parameters():
            if name.endswith(("attention.out.weight", "down.weight")):
                parameter.zero_()
    return deep


def describe_training(
    forecasting: Forecasting, others: Iterable[EpochedRecording], *, banded: Iterable[BandNight] = ()
) -> dict[str, Any]:
    """The card's part on what was trained on, and how."""
    subjects = {*forecasting.subjects, *(f"{night.cohort}/{night.subject}" for night in others)}
    subjects |= {f"sleep-edf/{night.subject}" for night in banded}
    cohorts = sorted({subject.partition("/")[0] for subject in subjects})
    return {
        "what": "stages, changes of stage 30, 60 and 300 s ahead, and depth of sleep, from any subset of signals",
        "trained_on": sorted(subjects),
        "licences": {cohort: LICENCES[cohort] for cohort in cohorts},
        "training": [options.to_dict() for options in (FIRST, SECOND, LAST)],
        "reproduce": REPRODUCE,
    }


if __name__ == "__main__":
    import sys

    torch.set_num_threads(2)
    train_lite(sys.argv[1])
    print(load_brainmu(sys.argv[1])[1]["loss"])
