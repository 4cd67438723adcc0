"""A small network that forgets without sleep and not with it: every table of its card, in some ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.demonstrations.damage import DOSES
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.recovery import make_remedies, recover_network
from sharpwave.demonstrations.streams import Stream, StreamTestSet, join, stream_digits, take
from sharpwave.demonstrations.subject import NetworkSubject
from sharpwave.demonstrations.training_runs import PLAIN, TrainingRun, train_network
from sharpwave.evaluation.intervals import bootstrap_mean
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.resilience.recovery import Recovery, summarise_recoveries
from sharpwave.resilience.robustness import DoseCurve, measure_robustness
from sharpwave.resilience.stability import compute_stability

SHOWN = ("fine-tuning", "replay", PLAIN, "sleep", "joint")
TESTED = ("replay", PLAIN, "sleep")
DAMAGES = ("weight_noise", "lesion", "input_noise")
REMEDIES = ("sleep, NREM only", PLAIN, "wake")
BATCH, RATE, N_REMEMBERED = 8, 0.1, 100


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What was found; the tables are those of `sharpwave.reports.network_page.NetworkRun`.

    Attributes:
        hypnogram: Hypnogram of the first network that sleeps.
        losses: Losses of the same network: columns step and loss.
        tables: The others, by name.
        n_seeds: Networks of each method.
    """

    hypnogram: Hypnogram
    losses: pd.DataFrame
    tables: dict[str, Any]
    n_seeds: int


def demonstrate_forgetting(
    *,
    n_seeds: int = 3,
    make_stream: Callable[..., Stream] = stream_digits,
    progress: Callable[[str], Any] = lambda step: None,
) -> Demonstration:
    """Learn five pairs of digits one after another, with sleep and without, and put the networks to the test.

    Args:
        n_seeds: Networks of each method.
        make_stream: From a seed; handwritten digits where omitted.
        progress: Called with what is done next.

    >>> from sharpwave.demonstrations.streams import ImageSet, split_classes
    >>> pixels, labels = np.eye(4, dtype=np.uint8).reshape(4, 1, 2, 2) * 255, np.arange(4)
    >>> images = ImageSet("pixels", pixels.repeat(16, axis=0), labels.repeat(16), pixels, labels)
    >>> stream = split_classes(images, n_tasks=2, rng=np.random.default_rng(0))
    >>> found = demonstrate_forgetting(n_seeds=1, make_stream=lambda seed: stream)
    >>> found.tables["summary"]["way"].tolist()
    ['fine-tuning', 'replay', 'plain replay', 'sleep', 'joint']
    """
    rng = np.random.default_rng(0)
    streams = {seed: make_stream(seed=seed) for seed in range(n_seeds)}
    runs: list[TrainingRun] = []
    for method in SHOWN:
        progress(f"learning, {method}")
        runs += [
            train_network(stream, method, seed=seed, batch=BATCH, rate=RATE, n_remembered=N_REMEMBERED)
            for seed, stream in streams.items()
        ]
    progress("damage and recovery, and all tasks together to the end")
    curves: dict[tuple[str, str], list[DoseCurve]] = {}
    recoveries: dict[str, list[Recovery]] = {}
    remedies = make_remedies(BATCH)
    for run in runs:
        stream = streams[run.seed]
        if run.method in TESTED:
            for damage in DAMAGES:
                curves.setdefault((damage, run.method), []).append(measure_doses(run, stream, damage))
        if run.method == TESTED[0]:
            for name in REMEDIES:
                recovery = recover_network(
                    run, stream, remedies[name], shock="weight_noise", seed=run.seed, batch=BATCH, rate=RATE
                )
                recoveries.setdefault(name, []).append(recovery)
    asleep = [run for run in runs if run.method == "sleep"]
    tables = {
        "summary": summarise_methods(runs, awake="replay", rng=rng),
        "curves": tabulate_curves(runs),
        "matrix": tabulate_matrix(asleep),
        "doses": tabulate_doses(curves),
        "recovery": tabulate_recovery(recoveries),
        "resilience": tabulate_resilience(curves, recoveries, rng=rng),
        "hurt": find_harm(runs, sleeping="sleep", awake="replay"),
        "ceiling": measure_ceiling(streams, rate=RATE),
        "long": tabulate_long(runs),
    }
    first = asleep[0]
    losses = pd.DataFrame({"step": np.arange(len(first.losses)) + 0.5, "loss": first.losses})
    return Demonstration(first.hypnogram, losses, tables, n_seeds)


def measure_ceiling(streams: Mapping[int, Stream], *, rate: float, batch: int = 32, most: int = 100) -> pd.DataFrame:
    """Accuracy on each task of networks that learn all tasks together until they err on no training item.

    Args:
        streams: Stream of each seed.
        rate: Learning rate of plain stochastic gradient descent.
        batch: Items per step.
        most: Passes after which training ends in any case.

    Returns:
        task, accuracy (mean over seeds): what could be kept at most, with as much time as it takes.
    """
    import torch

    scores = []
    for seed, stream in streams.items():
        network = make_model("mlp", stream.shape, stream.n_classes, seed=seed)
        optimiser = torch.optim.SGD(network.parameters(), lr=rate)
        x, y = join([task.x_train for task in stream.tasks]), torch.cat([task.y_train for task in stream.tasks])
        order = torch.Generator().manual_seed(seed)
        for _ in range(most):
            wrong = 0
            for items in torch.randperm(len(y), generator=order).split(batch):
                answers = network(take(x, items))
                wrong += int((answers.argmax(dim=1) != y[items]).sum())
                optimiser.zero_grad()
                torch.nn.functional.cross_entropy(answers, y[items]).backward()
                optimiser.step()
            if not wrong:
                break
        scores.append(StreamTestSet.of(stream).score(network))
    mean = np.mean(scores, axis=0).tolist()
    return pd.DataFrame({"task": range(1, len(mean) + 1), "accuracy": mean})


def measure_doses(run: TrainingRun, stream: Stream, damage: str, *, n_repeats: int = 3) -> DoseCurve:
    """Accuracy on all tasks against the dose of one kind of damage."""
    test_set = StreamTestSet.of(stream)
    subject = NetworkSubject(run.network, test_set.inputs, test_set.labels)

    def score(dose: float, rng: np.random.Generator) -> float:
        copy = subject.copy()
        if dose > 0:
            copy.damage(damage, dose, rng=rng)
        return copy.score()

    rng = np.random.default_rng(run.seed)
    return measure_robustness(score, DOSES[damage], rng=rng, n_repeats=n_repeats, chance=subject.chance)


LEAST_HARM = 0.005
"""Fall of accuracy below which sleep is not said to have hurt."""


def summarise_methods(runs: Sequence[TrainingRun], *, awake: str, rng: np.random.Generator) -> pd.DataFrame:
    """One row a method: forgetting with its interval over seeds, accuracy at the end, and what it cost.

    Args:
        runs: Training runs of every method and seed.
        awake: Method that extra time is relative to.
        rng: Random generator of the bootstrap.
    """
    times = {method: np.mean([one.seconds for one in mine]) for method, mine in _by_method(runs).items()}
    rows = []
    for method, mine in _by_method(runs).items():
        stability = [compute_stability(one.accuracy, learned=one.learned) for one in mine]
        forgetting = bootstrap_mean([one.forgetting for one in stability], rng=rng)
        rows.append(
            {
                "way": method,
                "forgetting": forgetting.value,
                "forgetting_low": forgetting.low,
                "forgetting_high": forgetting.high,
                "final": float(np.mean([one.final for one in stability])),
                "minimum": float(np.mean([one.minimum for one in stability])),
                "n": len(mine),
                "gradient_samples": float(np.mean([one.n_gradient_samples for one in mine])),
                "extra_time": float(times[method] / times[awake] - 1),
                "memory": float(np.mean([one.n_buffer_bytes for one in mine])),
            }
        )
    return pd.DataFrame(rows)


def tabulate_curves(runs: Sequence[TrainingRun]) -> pd.DataFrame:
    """Accuracy on each task over steps: task, way (the method), step, accuracy (mean), low, high (of the seeds)."""
    rows = []
    for method, mine in _by_method(runs).items():
        seeds = np.stack([one.accuracy for one in mine])
        for task in range(seeds.shape[2]):
            rows += [
                {"task": task + 1, "way": method, "step": step, "accuracy": mean, "low": low, "high": high}
                for step, mean, low, high in zip(mine[0].at.tolist(), *_spread(seeds[:, :, task]), strict=True)
            ]
    return pd.DataFrame(rows).sort_values("task", kind="stable", ignore_index=True)


def tabulate_matrix(runs: Sequence[TrainingRun]) -> pd.DataFrame:
    """Accuracy on each task after each, mean over seeds: columns after, task, accuracy."""
    mean = np.mean([one.accuracy for one in runs], axis=0)
    return pd.DataFrame(
        [
            {"after": after + 1, "task": task + 1, "accuracy": float(mean[row, task])}
            for after, row in enumerate(runs[0].learned)
            for task in range(mean.shape[1])
        ]
    )


def find_harm(runs: Sequence[TrainingRun], *, sleeping: str, awake: str) -> pd.DataFrame:
    """Where sleep hurt: tasks that ended lower with it than without, and classes that a night lowered on average."""
    methods = _by_method(runs)
    rows: list[dict[str, Any]] = []
    ends = {method: np.mean([one.accuracy[-1] for one in methods[method]], axis=0) for method in (awake, sleeping)}
    for task, (before, after) in enumerate(zip(ends[awake], ends[sleeping], strict=True), start=1):
        if before - after > LEAST_HARM:
            what = f"task {task} at the end, without sleep and with it"
            rows.append({"what": what, "before": float(before), "after": float(after), "n": len(methods[sleeping])})
    nights = [night.groups for one in methods[sleeping] for night in one.nights]
    table = pd.concat(nights) if nights else pd.DataFrame(columns=["kind", "value", "n", "before", "after"])
    for value, group in table[table["kind"] == "y"].groupby("value"):
        if (group["before"] - group["after"]).mean() > LEAST_HARM:
            what = f"class {value!s} of what is remembered, before and after a night"
            rows.append(
                {"what": what, "before": group["before"].mean(), "after": group["after"].mean(), "n": len(group)}
            )
    return pd.DataFrame(rows)


def tabulate_doses(curves: Mapping[tuple[str, str], Sequence[DoseCurve]]) -> pd.DataFrame:
    """Score against dose: columns damage, way (the method), dose, score (mean), low, high (of the seeds)."""
    return pd.DataFrame(
        [
            {"damage": damage, "way": method, "dose": dose, "score": mean, "low": low, "high": high}
            for (damage, method), mine in curves.items()
            for dose, mean, low, high in zip(mine[0].doses, *_spread([one.scores for one in mine]), strict=True)
        ]
    )


def _spread(seeds: Any) -> tuple[list[float], list[float], list[float]]:
    """Mean, lowest and highest of the seeds at each point."""
    values = np.asarray(seeds, dtype=float)
    return values.mean(axis=0).tolist(), values.min(axis=0).tolist(), values.max(axis=0).tolist()


def tabulate_recovery(found: Mapping[str, Sequence[Recovery]]) -> pd.DataFrame:
    """Scores after the shock by remedy: columns remedy, copy, step, score (mean), low, high (of the seeds)."""
    return pd.DataFrame(
        [
            {"remedy": remedy, "copy": copy, "step": step, "score": mean, "low": low, "high": high}
            for remedy, mine in found.items()
            for copy in ("perturbed", "twin")
            for step, mean, low, high in zip(mine[0].steps, *_spread([getattr(one, copy) for one in mine]), strict=True)
        ]
    )


def tabulate_resilience(
    curves: Mapping[tuple[str, str], Sequence[DoseCurve]],
    recoveries: Mapping[str, Sequence[Recovery]],
    *,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """Share kept under each damage, and recovery beside the twin, with intervals over seeds."""
    rows = []

    def add(test: str, method: str, measure: str, values: list[float]) -> None:
        found = bootstrap_mean(values, rng=rng)
        row = {"test": test, "way": method, "measure": measure, "value": found.value}
        rows.append(row | {"low": found.low, "high": found.high, "n": found.n})

    for (damage, method), mine in curves.items():
        add(damage.replace("_", " "), method, "share kept", [one.kept for one in mine])
    for remedy, back in recoveries.items():
        add("after the shock", remedy, "recovered fraction", [one.fraction for one in back])
        summary = summarise_recoveries(back, rng=rng)
        for name, measure in (("half_step", "steps to half"), ("never", "share that never came back by half")):
            if name in summary.values:
                value, low, high = summary.values[name]
                row = {"test": "after the shock", "way": remedy, "measure": measure, "value": value}
                rows.append(row | {"low": low, "high": high, "n": summary.n})
        add("after the shock", remedy, "returned", [one.returned for one in back])
        add("after the shock", remedy, "gained by the twin", [one.twin_change for one in back])
        add("after the shock", remedy, "residual deficit", [one.residual for one in back])
    return pd.DataFrame(rows)


def tabulate_long(runs: Sequence[TrainingRun]) -> pd.DataFrame:
    """Everything: columns run, seed, step, task, metric, value."""
    return pd.DataFrame(list(_iter_long(runs)), columns=["run", "seed", "step", "task", "metric", "value"])


def _iter_long(runs: Sequence[TrainingRun]) -> Iterator[tuple[str, int, float, Any, str, float]]:
    for one in runs:
        for step, row in zip(one.at.tolist(), one.accuracy.tolist(), strict=True):
            for task, value in enumerate(row, start=1):
                yield one.method, one.seed, step, task, "accuracy", value
        for step, value in enumerate(one.losses.tolist()):
            yield one.method, one.seed, float(step), pd.NA, "loss", value


def _by_method(runs: Sequence[TrainingRun]) -> dict[str, list[TrainingRun]]:
    return {
        method: [one for one in runs if one.method == method] for method in dict.fromkeys(one.method for one in runs)
    }
