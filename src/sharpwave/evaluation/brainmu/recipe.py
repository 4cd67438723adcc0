"""The recipe of the shipped `lite`: one model, one mixture, one run.

    python -m sharpwave.evaluation.brainmu.recipe FOLDER

writes the weights again from the data sets that their licences allow.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu, save_brainmu
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.objective import Objective
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.training import train
from sharpwave.brainmu.training_options import TrainingOptions
from sharpwave.brainmu.windows import WindowedRecording
from sharpwave.evaluation.brainmu.mixture import (
    Forecasting,
    load_eeg_stretches,
    load_forecasting,
    load_unlabelled,
    make_mixture,
)
from sharpwave.evaluation.brainmu.simulated import simulate_mixture

OPTIONS = TrainingOptions(
    steps=450,
    batch=8,
    piece=120,
    learning_rate=2e-3,
    weight_decay=0.1,
    average=0.1,
    objective=Objective(next_step=0.3, stage=1.0, change=1.0, drop_modality=0.3, drop_channel=0.2),
)
LICENCES = {
    "dod": "MIT",
    "walch": "ODC-By 1.0",
    "ucddb": "ODC-By 1.0",
    "pd-lfp": "MIT",
    "human-rest-bold": "MIT",
    "rat-ca1-linear-track": "MIT",
    "simulated-human": "simulated here",
    "simulated-mouse": "simulated here",
    "simulated-rat": "simulated here",
}
REPRODUCE = "python -m sharpwave.evaluation.brainmu.recipe src/sharpwave/brainmu/weights/lite"


def train_lite(
    folder: str | Path = WEIGHTS / "lite",
    *,
    data: str | Path | None = None,
    steps: int | None = None,
    seed: int = 0,
    simulated: Iterable[WindowedRecording] | None = None,
    show: bool = True,
) -> Path:
    """Train `lite` on the mixture and write it with its card.

    Args:
        folder: Where to write.
        data: Folder of data sets; `data_root()` where omitted.
        steps: Updates; those of the recipe where omitted.
        seed: Of the simulation, the first weights and the draws.
        simulated: Simulated nights, if they were made before.
        show: Whether to show a bar.

    Returns:
        The folder.
    """
    forecasting = load_forecasting(data)
    eeg, unlabelled = list(load_eeg_stretches(data)), list(load_unlabelled(data))
    nights = list(simulate_mixture(rng=np.random.default_rng([seed, 1])) if simulated is None else simulated)
    options = choose_options(steps=steps, seed=seed)
    model = make_lite(seed=seed)
    source = make_mixture(forecasting, eeg=eeg, unlabelled=unlabelled, simulated=nights)
    losses = train(model, source, options=options, show=show)
    card = describe_training(forecasting, [*eeg, *unlabelled, *nights], options)
    return save_brainmu(model, folder, card={**card, "loss": round(float(np.mean(losses[-50:])), 4)})


def choose_options(*, steps: int | None = None, seed: int = 0) -> TrainingOptions:
    """The recipe's options with another length or seed."""
    return TrainingOptions(**{**vars(OPTIONS), "steps": steps or OPTIONS.steps, "seed": seed})


def make_lite(*, seed: int, **changes: Any) -> BrainMu:
    """A fresh `lite` for every modality; `changes` to its shape."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BrainMu(configure("lite", **changes))


def describe_training(
    forecasting: Forecasting, others: Iterable[WindowedRecording], options: TrainingOptions
) -> dict[str, Any]:
    """The card's part on what was trained on, and how."""
    subjects = {*forecasting.subjects, *(f"{night.cohort}/{night.subject}" for night in others)}
    cohorts = sorted({subject.partition("/")[0] for subject in subjects})
    return {
        "what": "stages, changes of stage 30, 60 and 300 s ahead, and depth of sleep, from any subset of signals",
        "trained_on": sorted(subjects),
        "licences": {cohort: LICENCES[cohort] for cohort in cohorts},
        "training": options.to_dict(),
        "reproduce": REPRODUCE,
    }


if __name__ == "__main__":
    import sys

    torch.set_num_threads(2)
    train_lite(sys.argv[1])
    print(load_brainmu(sys.argv[1])[1]["loss"])
