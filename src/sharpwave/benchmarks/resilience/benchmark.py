"""`sharpwave benchmark resilience`: do networks that sleep keep more, stand more, and come back sooner?

Small perceptrons learn MNIST subsets, split by class or permuted. Recovery is judged beside an unperturbed twin given
the same steps, and sleep against as many gradient samples awake. Nothing is tuned here: recipe and doses are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.continual.images import load_images, vary_images
from sharpwave.benchmarks.resilience.robustness import map_layers, map_units, measure_label_noise
from sharpwave.benchmarks.resilience.shocks import (
    ARMS,
    PARTS_SHOCKS,
    Train,
    Values,
    compare_shocks,
    make_parts,
)
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.demonstrations.network_sleep import measure_doses
from sharpwave.demonstrations.recovery import N_DAY, make_remedies
from sharpwave.demonstrations.shocks import SHOCK_DOSES, SHOCKS
from sharpwave.demonstrations.streams import ImageSet, Stream, load_digits, permute_images, split_classes
from sharpwave.demonstrations.training_runs import PLAIN, SLEEP_RATIO, TrainingRun, train_network
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root
from sharpwave.resilience.stability import compute_stability

N_TASKS, N_TRAIN, N_TEST, BATCH, RATE, N_REMEMBERED, N_STEPS = 5, 1500, 300, 32, 0.1, 200, 40
EVERY = 4
"""Steps between scores after a shock."""
DAMAGES = ("weight_noise", "lesion", "input_noise")
BASELINE = "replay"
MLP = "mlp"
"""Network of the streams; shocks that need BatchNorm have one with it."""
N_PARTS = 3
"""Seeds of the parts of sleep, and of wrong labels."""
UNTUNED = ("blurred",)
"""Changes of the images that nothing here was tuned on."""
MISLABELLED = (BASELINE, PLAIN, "sleep")
"""Methods that learn again from wrong labels."""
LEARNING = ("fine-tuning", "replay", PLAIN, "sleep", "joint")
"""Methods that learn the streams; alternation with REM and steering gained nothing, and are left out for their time."""
CONTROLLED = tuple(method for method in LEARNING if method.startswith("sleep"))
"""Methods compared with plain, balanced replay of the same memory, which separates sleep from replay."""

UNITS_OF = "hidden.3"
"""Layer whose units are silenced one at a time: the second hidden one."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Measure stability, robustness, recovery and brittleness of networks with sleep and without.

    Args:
        data: Folder of data sets (then `images/mnist.npz` in it), or images as `load_images` reads them.
        seeds: Networks of each method.
        train: Not used: every network is trained here.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there are no images.
    """
    images = _find_images(data)
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    arms = {arm: make_remedies(BATCH)[arm] for arm in ARMS}
    compare = partial(compare_shocks, rng=rng, n_steps=N_STEPS, every=EVERY, batch=BATCH, rate=RATE)
    for name in ("split", "permuted"):
        runs = {
            method: [train_on_stream(images, name, method, seed=seed) for seed in range(seeds)] for method in LEARNING
        }
        rows += _compare_methods(images, name, runs, rng=rng)
        if name == "split":
            some = {method: mine[:N_PARTS] for method, mine in runs.items()}
            rows += _compare_label_noise(images, name, some, rng=rng)
        find_runs = _remember_runs(images, name, runs[BASELINE])
        rows += compare(images, name, find_runs, remedies=make_remedies(BATCH), shocks=PARTS_SHOCKS)
        others = [shock for shock in SHOCKS if shock not in PARTS_SHOCKS]
        rows += compare(images, name, find_runs, remedies=arms, shocks=others)
        few = {MLP: find_runs(MLP)[:N_PARTS]}
        parts, setting = make_parts(BATCH), "parts of sleep, after"
        rows += compare(images, name, few.__getitem__, remedies=parts, shocks=PARTS_SHOCKS, setting=setting)
        rows += _tabulate_brittleness(images, name, runs, rng=rng)
    untuned = find_untuned(images) if images.name == "mnist" else []
    for other in untuned:
        for name in ("split", "permuted"):
            known = [train_on_stream(other, name, BASELINE, seed=seed) for seed in range(seeds)]
            rows += compare(other, name, _remember_runs(other, name, known), remedies=arms)
    return _describe_run(images, untuned, seeds=seeds), rows


def _describe_run(images: ImageSet, untuned: Sequence[ImageSet], *, seeds: int) -> dict[str, Any]:
    return {
        "images": images.name,
        "tasks": N_TASKS,
        "train_per_task": N_TRAIN,
        "test_per_task": N_TEST,
        "network": "perceptron, two hidden layers of 100",
        "batch": BATCH,
        "rate": RATE,
        "remembered": N_REMEMBERED,
        "sleep_ratio": SLEEP_RATIO,
        "recovery_steps": N_STEPS,
        "shocks": list(SHOCKS),
        "doses": SHOCK_DOSES,
        "day_in_a_changed_world": N_DAY,
        "images_that_nothing_was_tuned_on": [other.name for other in untuned],
        "seeds_of_parts_and_wrong_labels": min(seeds, N_PARTS),
        "seeds": seeds,
        "interval": "95 %, bootstrap over seeds; differences paired by seed",
        "half_step": "step from which half of the gap to the twin stays closed, and the score is above where the shock"
        f" left it; networks that never came back count as {N_STEPS} (restricted mean); half_reached: the rest",
        "half_step_over_items": "the same, with its interval over seeds and test items; never: share without it",
        "plain replay": "control: as many samples of the same memory, as many of each class, at a constant rate",
        "tuned": "nothing",
    }


def find_untuned(images: ImageSet) -> list[ImageSet]:
    """Image sets that no option of sleep was chosen on: those images blurred, and scikit-learn's digits."""
    return [*(vary_images(images, how) for how in UNTUNED), load_digits()]


def _remember_runs(images: ImageSet, name: str, known: Sequence[TrainingRun]) -> Train:
    """Runs with their streams by network; those that are not known are trained once."""
    streams = [make_stream(images, name, seed=run.seed) for run in known]
    runs = {MLP: list(zip(known, streams, strict=True))}

    def train(model: str) -> Sequence[tuple[TrainingRun, Stream]]:
        if model not in runs:
            fresh = [train_on_stream(images, name, BASELINE, seed=run.seed, model=model) for run in known]
            runs[model] = list(zip(fresh, streams, strict=True))
        return runs[model]

    return train


def _find_images(data: Path | None) -> ImageSet:
    root = data_root() if data is None else data
    if root is None:
        raise SharpwaveError("a folder of images", got="none", fix="pass --data with MNIST or any labelled images")
    known = root / "images" / "mnist.npz"
    return load_images(known if known.is_file() else root)


def make_stream(images: ImageSet, name: str, *, seed: int) -> Stream:
    """The stream of a seed: "split" by class or "permuted"."""
    make = {"split": split_classes, "permuted": permute_images}[name]
    return make(images, n_tasks=N_TASKS, rng=np.random.default_rng(seed), n_train=N_TRAIN, n_test=N_TEST)


def train_on_stream(images: ImageSet, name: str, method: str, *, seed: int, model: str = MLP) -> TrainingRun:
    """One network through the stream of its seed."""
    stream = make_stream(images, name, seed=seed)
    return train_network(stream, method, seed=seed, batch=BATCH, rate=RATE, n_remembered=N_REMEMBERED, model=model)


def _compare_methods(
    images: ImageSet, name: str, runs: Mapping[str, Sequence[TrainingRun]], *, rng: np.random.Generator
) -> list[Row]:
    """Stability, robustness and cost of each method, and differences from the baseline and from plain replay."""
    found: Values = {}
    for method, mine in runs.items():
        for one in mine:
            stability = compute_stability(one.accuracy, learned=one.learned)
            values = {
                "final_accuracy": stability.final,
                "forgetting": stability.forgetting,
                "minimum_accuracy": stability.minimum,
                "worst_case_accuracy": stability.worst_case,
                "windowed_fall": stability.windowed_fall,
                "time_ratio": one.seconds / runs[BASELINE][one.seed].seconds,
                "gradient_samples": float(one.n_gradient_samples),
            }
            stream = make_stream(images, name, seed=one.seed)
            values |= {f"kept_{damage}": measure_doses(one, stream, damage).kept for damage in DAMAGES}
            _append(found, method, values)
    setting = f"{name}, learning"
    rows = _estimate(images.name, setting, found, rng=rng)
    for method in runs:
        if method != BASELINE:
            rows += _subtract(images.name, setting, found, method, BASELINE, rng=rng)
    for method in CONTROLLED:
        rows += _subtract(images.name, setting, found, method, PLAIN, rng=rng)
    return rows


def _compare_label_noise(
    images: ImageSet, name: str, runs: Mapping[str, Sequence[TrainingRun]], *, rng: np.random.Generator
) -> list[Row]:
    """Share of the accuracy above chance that is kept as more and more training labels are wrong."""
    found: Values = {}
    for method in MISLABELLED:
        for one in runs[method]:

            def learn(stream: Stream, method: str = method, seed: int = one.seed) -> TrainingRun:
                return train_network(stream, method, seed=seed, batch=BATCH, rate=RATE, n_remembered=N_REMEMBERED)

            curve = measure_label_noise(learn, make_stream(images, name, seed=one.seed), one)
            values = {"kept_label_noise": curve.kept, "area_label_noise": curve.area}
            values |= {f"accuracy_at_{dose:g}": score for dose, score in zip(curve.doses, curve.scores, strict=True)}
            _append(found, method, values)
    setting = f"{name}, wrong labels"
    rows = _estimate(images.name, setting, found, rng=rng)
    for other in (BASELINE, PLAIN):
        rows += _subtract(images.name, setting, found, "sleep", other, rng=rng)
    return rows


def _tabulate_brittleness(
    images: ImageSet, name: str, runs: Mapping[str, Sequence[TrainingRun]], *, rng: np.random.Generator
) -> list[Row]:
    """Loss of accuracy with each layer damaged alone, plain and per share of all weights, and with one unit silent."""
    found: Values = {}
    for method in (BASELINE, PLAIN, "sleep"):
        for one in runs[method]:
            stream = make_stream(images, name, seed=one.seed)
            layers = map_layers(one, stream)
            values = {f"loss_{part}": loss for part, loss in zip(layers.parts, layers.loss.tolist(), strict=True)}
            values |= {
                f"loss_per_weight_{part}": loss
                for part, loss in zip(layers.parts, layers.per_damage.tolist(), strict=True)
            }
            units = np.sort(map_units(one, stream, UNITS_OF).loss)[::-1]
            values["loss_worst_unit"] = float(units[0])
            values["loss_tenth_worst_unit"] = float(units[len(units) // 10])
            _append(found, method, values)
    return _estimate(images.name, f"{name}, one part damaged", found, rng=rng)


def _append(found: Values, method: str, values: Mapping[str, float]) -> None:
    for metric, value in values.items():
        found.setdefault(metric, {}).setdefault(method, []).append(value)


def _estimate(data: str, setting: str, found: Values, *, rng: np.random.Generator) -> list[Row]:
    return [
        estimate_row(data, setting, method, metric, values, rng=rng)
        for metric, methods in found.items()
        for method, values in methods.items()
    ]


def _subtract(
    data: str, setting: str, found: Values, method: str, other: str, *, rng: np.random.Generator
) -> list[Row]:
    """Differences paired by seed."""
    pairs = {metric: np.subtract(methods[method], methods[other]).tolist() for metric, methods in found.items()}
    return [
        estimate_row(data, f"{setting}, minus {other}", method, metric, values, rng=rng)
        for metric, values in pairs.items()
    ]
