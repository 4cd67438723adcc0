"""`sharpwave benchmark staging-seeds`: the shipped recipe, trained anew from several seeds without UCDDB's whole night.

Every setting is that of the weights that ship; nothing is chosen here. Nights: the DREAMS excerpts that YASA can stage,
UCDDB's whole night, simulated people, and a simulated laboratory whose people differ as real ones do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row, range_row
from sharpwave.benchmarks.seeds import run_seeds
from sharpwave.benchmarks.staging.cohorts import has_eeg, is_whole, load_recordings, only_eeg, simulate_recordings
from sharpwave.benchmarks.staging.labs import LABS, record_in_lab, simulate_sleepers
from sharpwave.benchmarks.staging.methods import compare
from sharpwave.benchmarks.staging.scores import Scored, score_night, summarise
from sharpwave.benchmarks.staging.use import SIMULATED, WAYS, stage_by_yasa
from sharpwave.brainmu.checkpoints import load_brainmu
from sharpwave.brainmu.shipped import Weights
from sharpwave.errors import SharpwaveError
from sharpwave.recipes.continued import train_twice
from sharpwave.recipes.staging_nights import WHOLE
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.mean_stager import average_hypnograms
from sharpwave.staging.yasa_stager import LEAST_RATE

Setting = tuple[str, str]
"""Data set and question."""
LEFT_OUT = tuple(f"ucddb/{name}" for name in WHOLE)
SCALE = 1.0
"""Updates as a share of the recipe's."""
METHODS = ("yasa", "brainmu-lite", "yasa+brainmu")
TOGETHER = ", mean of seeds"
"""Behind the name of a method: the probabilities of all trainings are averaged, night by night."""
LAB, LAB_HOURS, LAB_SEED = LABS[0], 3.0, 21


def run(
    data: Path | None, *, seeds: int, train: bool = False, parts: Path | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Stage what the trained weights have not seen, by them alone and together with YASA.

    Args:
        data: Folder of data sets; `data_root()` where None.
        seeds: Trainings.
        train: Train what is not in `parts` yet: about 20 min of one core each.
        parts: Folder that keeps each training; one that was stopped goes on. Nothing is kept where omitted.

    Raises:
        SharpwaveError: If there are no nights to stage, a training is missing, or one has learned from a tested person.
    """
    with _keep(parts) as folder:
        missing = [seed for seed in range(seeds) if not (folder / f"seed-{seed}" / "config.json").is_file()]
        if missing and not train:
            raise SharpwaveError(
                f"{seeds} trainings, kept beside --output",
                got=f"none of seed {', '.join(map(str, missing))}",
                fix="add --train (about 20 min of one core each), or take fewer --seeds",
            )
        nights = load_nights(data)
        trained = run_seeds(partial(train_seed, folder=folder, data=data), seeds)
    rng = np.random.default_rng(0)
    rows = [row for setting, people in nights.items() for row in score_trainings(people, trained, setting, rng=rng)]
    config = {
        "seeds": seeds,
        "left_out": LEFT_OUT,
        "scale": SCALE,
        "recipe": "both trainings of the shipped weights, every setting as shipped (recipes/continued.py, train_twice)",
        "unit": "mean over subjects (over the seeds of each first), 95 % bootstrap interval over subjects",
        "kappa_by_seed": "mean over subjects by seed: mean, smallest and largest seed",
    }
    return config, rows


def train_seed(seed: int, *, folder: Path, data: Path | None) -> Weights:
    """The weights of one seed: read where they are, trained and kept where not."""
    home = folder / f"seed-{seed}"
    if not (home / "config.json").is_file():
        train_twice(home, data=data, leave_out=LEFT_OUT, seed=seed, scale=SCALE, runs=home / "runs")
    model, card = load_brainmu(home)
    return Weights(model, card, f"Brainµ lite, seed {seed}")


def load_nights(data: Path | None) -> dict[Setting, list[Recording]]:
    """One EEG channel of everyone who is staged.

    Raises:
        SharpwaveError: If neither DREAMS nor UCDDB is there.
    """
    dreams = [only_eeg(night) for night in load_recordings("dreams", data) if has_eeg(night)]
    ucddb = [only_eeg(night) for night in load_recordings("ucddb", data) if has_eeg(night) and is_whole(night)]
    if not dreams and not ucddb:
        raise SharpwaveError(
            "nights of DREAMS or UCDDB",
            got="none",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    n, hours = SIMULATED
    rng = np.random.default_rng(LAB_SEED)
    sleepers = simulate_sleepers(LAB.n_nights, seed=LAB_SEED, hours=LAB_HOURS)
    nights = {
        ("DREAMS", "30 min excerpts"): [n for n in dreams if n[pick_channels(n)["eeg"]].rate > LEAST_RATE],
        ("UCDDB", "whole nights"): ucddb,
        ("simulated human", "one EEG channel"): [
            only_eeg(night) for night in simulate_recordings("human", n=n, hours=hours)
        ],
        ("simulated laboratory", "one EEG channel"): [record_in_lab(*one, LAB, rng=rng) for one in sleepers],
    }
    return {setting: people for setting, people in nights.items() if people}


def score_trainings(
    people: Sequence[Recording], trained: Sequence[Weights], setting: Setting, *, rng: np.random.Generator
) -> Iterator[Row]:
    """Rows of each method on the same people, over seeds, by seed and by all seeds together, and the gain over YASA.

    Raises:
        SharpwaveError: If one of the trainings has learned from one of the people.
    """
    data, question = setting
    refuse_seen(people, trained, data=data)
    pairs = [(night, theirs) for night in people if (theirs := stage_by_yasa(night)) is not None]
    staged: dict[str, list[list[Hypnogram]]] = {
        method: [
            [WAYS[method](night, theirs, weights) for night, theirs in pairs]
            for weights in (trained[:1] if method == "yasa" else trained)
        ]
        for method in METHODS
    }
    if len(trained) > 1:
        for method in METHODS[1:]:
            staged[method + TOGETHER] = [[average_hypnograms(*seeds) for seeds in zip(*staged[method], strict=True)]]
    found: dict[str, list[list[Scored]]] = {
        method: [[compare(night, one) for (night, _), one in zip(pairs, seed, strict=True)] for seed in seeds]
        for method, seeds in staged.items()
    }
    kappas = {method: np.array([[_kappa(one) for one in seed] for seed in seeds]) for method, seeds in found.items()}
    for method, seeds in found.items():
        scored = [one for seed in seeds for one in seed]
        yield from summarise(scored, n_stages=5, data=data, setting=question, method=method, rng=rng)
        if method != "yasa" and len(pairs):
            gain = (kappas[method] - kappas["yasa"]).mean(axis=0).tolist()
            if len(seeds) > 1:
                yield range_row(data, question, method, "kappa_by_seed", kappas[method].mean(axis=1).tolist())
            yield estimate_row(data, question, method, "kappa_gain_over_yasa", gain, rng=rng)


def refuse_seen(people: Sequence[Recording], trained: Sequence[Weights], *, data: str) -> None:
    """Raise where one of these people is named in the card of a training."""
    names = {f"{data.lower()}/{night.subject}" for night in people}
    seen = sorted(names & {name for weights in trained for name in weights.card.get("trained_on", ())})
    if seen:
        raise SharpwaveError(
            f"trainings that have not met the tested people of {data}",
            got=f"some that learned from {', '.join(seen)}",
            fix="remove their folders, and train again with --train",
        )


def _kappa(scored: Scored) -> float:
    return score_night(scored, n_stages=5)["kappa"]


@contextmanager
def _keep(parts: Path | None) -> Iterator[Path]:
    """The folder of the trainings; one that goes away where none was named."""
    if parts is not None:
        yield parts
        return
    with TemporaryDirectory() as folder:
        yield Path(folder)
