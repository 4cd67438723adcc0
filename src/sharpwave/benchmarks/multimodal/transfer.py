"""From the simulated rodent to people: trained on rodent nights and fine-tuned, against from scratch."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.multimodal.learning import Budget, fit, judge_forecasts, judge_staging, make_model
from sharpwave.benchmarks.multimodal.nights import coarsen
from sharpwave.benchmarks.multimodal.scores import Score, tabulate
from sharpwave.benchmarks.multimodal.splits import Split, hide_labels, load_splits
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.objective import Objective

RODENTS = ("mouse", "rat")
N_EACH = 3
RODENT_HOURS = 3.0
RODENT_SIGNALS = ("eeg", "spikes", "heart_rate", "activity")
SHARES = (0.05, 1.0)
TRAINING = Budget(steps=100)
FINETUNING = Budget(steps=40)
EVERYTHING = Objective(next_step=0.3, stage=1.0, change=1.0, depth=0.0, drop_modality=0.3, drop_channel=0.0)
LABELS = Objective(next_step=0.0, stage=1.0, change=1.0, depth=0.0, drop_modality=0.0, drop_channel=0.0)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Fine-tune rodent weights and random weights on people, with few labels and with all.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of the learners; at most three are used.
        train: No meaning here.
    """
    n_seeds = min(seeds, 3)
    splits = load_splits(data, rng=np.random.default_rng(0))
    names = tuple(dict.fromkeys(name for split in splits for name in split.modalities))
    rodents = simulate_rodents(rng=np.random.default_rng(11))
    rows: list[Row] = []
    for seed_rows in _compare(splits, rodents, names, seeds=n_seeds):
        rows += seed_rows
    config = {
        "source": f"{N_EACH} simulated nights of {RODENT_HOURS:g} h of each of {', '.join(RODENTS)}, three stages",
        "task": "observed: change within 30 s; signal-only: stage now; people not trained on",
        "shares_of_labels": list(SHARES),
        "updates": {"rodents": TRAINING.steps, "fine-tuning": FINETUNING.steps},
        "shape": FINETUNING.shape,
        "seeds": n_seeds,
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, rows


def simulate_rodents(
    *, rng: np.random.Generator, n: int = N_EACH, hours: float = RODENT_HOURS
) -> list[EpochedRecording]:
    """Simulated rodents, by day, with nothing planted."""
    from sharpwave.simulation import simulate_cohort

    nights = []
    for species in RODENTS:
        for recording, _ in simulate_cohort(n, rng=rng, species=species, hours=hours, modalities=RODENT_SIGNALS):
            windowed = epoch_recording(
                recording, modalities=("stages", *RODENT_SIGNALS), cohort=species, every_channel=True
            )
            nights.append(coarsen(windowed))
    return nights


def _compare(
    splits: list[Split], rodents: list[EpochedRecording], names: tuple[str, ...], *, seeds: int
) -> list[list[Row]]:
    starts = []
    for seed in range(seeds):
        fresh = make_model([name for name in ENCODERS if name in names], FINETUNING, seed=seed)
        trained = fit(deepcopy(fresh), rodents, TRAINING, seed=seed, objective=EVERYTHING)
        starts.append({"from rodents": trained, "random-init": fresh})
    return [compare_start(split, starts, share) for split in splits for share in SHARES]


def compare_start(split: Split, starts: list[dict[str, BrainMu]], share: float) -> list[Row]:
    """Rows of both starts on one cohort with a share of its labels."""
    signals = tuple(name for name in split.modalities if name != "stages")
    rows = []
    for setting, modalities in (("observed", split.modalities), ("signal-only", signals)):
        nights = [paired.windowed.only(modalities) for paired in split.training]
        runs: dict[str, list[Score]] = {method: [] for method in starts[0]}
        for seed, weights in enumerate(starts):
            labelled = hide_labels(nights, share, rng=np.random.default_rng([seed, round(1000 * share)]))
            for method, start in weights.items():
                model = fit(deepcopy(start), labelled, FINETUNING, seed=seed, objective=LABELS)
                if setting == "observed":
                    score: Score = judge_forecasts(model, split.training, split.testing, modalities=modalities)
                else:
                    score = judge_staging(model, split.testing, modalities=modalities)
                runs[method].append(score)
        rows += tabulate(split.data, f"{setting}, {share:.0%} of labels", runs, against=("random-init",))
    return rows
