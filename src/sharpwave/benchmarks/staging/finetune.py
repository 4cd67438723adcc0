"""`sharpwave benchmark finetune`: what fine-tuning on a few nights of a laboratory does for its other people.

People are left out, one by one or in groups; everyone else's nights are what each method may learn from:

- `brainmu-lite`: the shipped weights as they are; `fine-tuned`: the same through the function and with the settings of
  `sharpwave finetune`, but half of its updates; `fine-tuned, new weights alone`: before the mean with the old ones;
- `yasa`: YASA's classifier as published;
- `lightgbm`: YASA's features (or the band power, where that is all there is), fitted to the laboratory's nights anew;
- `yasa+brainmu` and `yasa+fine-tuned`: the mean of both, as `sharpwave decode` and `decode --weights` stage.

The laboratories' own settings chose nothing: that was done on another one (`TRIAL`).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.benchmarks.rows import Row, estimate_row, range_row
from sharpwave.benchmarks.staging.baselines import train_lightgbm
from sharpwave.benchmarks.staging.labs import HOURS, LABS, SETS, LabNight, load_banded, open_lab, simulate_sleepers
from sharpwave.brainmu.attention import LayerCache
from sharpwave.brainmu.checkpoints import load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording, collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.runtime.staging import smooth_stages, weigh_night
from sharpwave.brainmu.shipped import load_weights
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.finetuning import FINETUNING, SHARE, average_weights, finetune
from sharpwave.brainmu.training.objective import TrainingOptions
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.signals.stage_smoothing import load_transitions

SEED = 500
OPTIONS = replace(FINETUNING, steps=FINETUNING.steps // 2)
"""Those of the command with half of its updates, for the sake of time."""
ONE_BY_ONE = 7
"""Up to so many people each is left out alone; of more, in `GROUPS` groups."""
GROUPS = 3
PIECE = 240
"""Steps that go through the model at once."""
ALONE = "fine-tuned, new weights alone"
GAINS = {
    "fine-tuned": ("brainmu-lite", "lightgbm"),
    ALONE: ("brainmu-lite",),
    "yasa+fine-tuned": ("yasa+brainmu", "yasa", "lightgbm"),
}
"""Methods that are compared person by person, where both were run."""

Probabilities = Float[np.ndarray, "epoch stage"]


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Fine-tune on simulated laboratories of 5, 10 and 20 nights, and on real people known by band power.

    Args:
        data: Folder of data sets; `data_root()` where None. Real people whose data are not there are left out.
        seeds: No meaning here: one training for each person or group that is left out.
        train: No meaning here.
    """
    sleepers = simulate_sleepers(max(lab.n_nights for lab in LABS), seed=SEED)
    rows, notes = list[Row](), list[str]()
    for index, lab in enumerate(LABS):
        rows += judge_lab(lab.name, open_lab(lab, sleepers, seed=SEED + index))
    for name in SETS:
        nights = load_banded(name, data, [night for night, _ in sleepers])
        notes += [] if nights else [f"{name} left out: {SETS[name]!r} or 'ucddb' is not here"]
        rows += judge_lab(f"{name}, bands", nights)
    config = {
        "unit": "mean over people of κ, 95 % bootstrap interval over people",
        "fine-tuning": OPTIONS.to_dict(),
        "updates_of_the_command": FINETUNING.steps,
        "share_of_new_weights": SHARE,
        "left_out": f"one by one up to {ONE_BY_ONE} people, of more in {GROUPS} groups",
        "simulated_hours": HOURS,
        "labs": [vars(lab) for lab in LABS],
        "chosen_on": "another simulated laboratory",
        "seen": "the shipped weights have learned from the people of Sleep-EDF, not from those of HMC",
        "notes": notes,
    }
    return config, rows


def judge_lab(name: str, nights: Sequence[LabNight], *, options: TrainingOptions = OPTIONS) -> list[Row]:
    """Rows of every method on one laboratory.

    Args:
        name: What the table calls it.
        nights: Its nights; of fewer than three people there is nothing to leave out.
        options: Options of the fine-tuning.
    """
    people = sorted({night.subject for night in nights})
    if len(people) < 3:
        return []
    found: dict[str, dict[str, list[float]]] = {}
    minutes = []
    folds = split_people(people)
    for out in folds:
        learned = [night for night in nights if night.subject not in out]
        begun = time.process_time()
        models = adapt(learned, options=options)
        minutes.append((time.process_time() - begun) / 60)
        refit = train_lightgbm([night.table for night in learned], np.random.default_rng(0))
        for night in (night for night in nights if night.subject in out):
            for method, said in stage_by_all(night, models, refit(night.table)).items():
                found.setdefault(method, {}).setdefault(night.subject, []).append(score(night, said))
    setting = f"learned from the other {'people' if len(folds) == len(people) else 'two thirds'}"
    return summarise(name, setting, people, found, minutes)


def split_people(people: Sequence[str]) -> list[set[str]]:
    """Who is left out together."""
    groups = len(people) if len(people) <= ONE_BY_ONE else GROUPS
    return [set(people[index::groups]) for index in range(groups)]


def adapt(learned: Sequence[LabNight], *, options: TrainingOptions) -> dict[str, BrainMu]:
    """The shipped weights after the fine-tuning that `sharpwave finetune` does, and before their mean with the old."""
    model, _ = load_brainmu(None)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    finetune(model, RandomCrops([night.epochs for night in learned]), options=options, share=1.0)
    kept = deepcopy(model)
    average_weights(kept, before, share=SHARE)
    return {"fine-tuned": kept, ALONE: model}


def stage_by_all(night: LabNight, models: Mapping[str, BrainMu], refitted: Probabilities) -> dict[str, Probabilities]:
    """Probabilities of the stages of one night by every method that can stage it."""
    shipped = load_weights()
    said = {
        "lightgbm": refitted,
        "brainmu-lite": stage(shipped.model, night.tested, calibration=shipped.calibrate("signal-only")),
        **{name: stage(model, night.tested) for name, model in models.items()},
    }
    if night.yasa is not None:
        said["yasa"] = night.yasa
        said["yasa+brainmu"] = (night.yasa + said["brainmu-lite"]) / 2
        said["yasa+fine-tuned"] = (night.yasa + said["fine-tuned"]) / 2
    return said


@torch.no_grad()
def stage(model: BrainMu, night: EpochedRecording, *, calibration: Calibration | None = None) -> Probabilities:
    """Probabilities from the EEG alone, smoothed by the length of the night, as `sharpwave decode` has them."""
    model.eval()
    signals = night.only(("eeg",))
    caches: tuple[LayerCache, ...] | None = None
    logits: list[np.ndarray] = []
    for first in range(0, len(signals), PIECE):
        output = model(collate([signals.restrict(first, min(first + PIECE, len(signals)))]), caches)
        caches = output.caches
        logits.append(output.readout.stage[0].double().numpy())
    stages = (calibration or Calibration()).stages(np.concatenate(logits))
    share = weigh_night(len(signals) * signals.grid.step)
    smoothed = smooth_stages(stages, np.asarray(load_transitions()["transitions"])) if share else stages
    return np.asarray((1 - share) * stages + share * smoothed)


def score(night: LabNight, said: Probabilities) -> float:
    """κ over the epochs that have a stage and that the method staged."""
    truth = np.asarray(night.tested.stages)
    known = (truth >= 0) & np.isfinite(said).all(axis=1)
    return float(compute_kappa(compute_confusion(truth[known], said[known].argmax(axis=1), n_stages=5)))


def summarise(
    data: str, setting: str, people: Sequence[str], found: Mapping[str, Mapping[str, Any]], minutes: Sequence[float]
) -> list[Row]:
    """κ of each method, what is gained person by person, what the worst person loses, and CPU minutes."""
    rng = np.random.default_rng(0)
    means = {method: np.array([np.nanmean(of[one]) for one in people]) for method, of in found.items()}
    rows = [estimate_row(data, setting, method, "kappa", values.tolist(), rng=rng) for method, values in means.items()]
    for method, others in GAINS.items():
        for other in (name for name in others if name in means and method in means):
            gain = (means[method] - means[other]).tolist()
            rows.append(estimate_row(data, setting, method, f"kappa_gain_over_{other}", gain, rng=rng))
            worst = f"kappa_gain_of_the_worst_over_{other}"
            rows.append(Row(data, setting, method, worst, float(np.nanmin(gain)), n=len(people)))
    return [*rows, range_row(data, setting, "fine-tuned", "cpu_minutes", list(minutes))]
