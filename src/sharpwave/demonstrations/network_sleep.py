"""A small network that forgets without sleep and not with it: every table of its card, in some ten seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.demonstrations.networks import DOSES, NetworkSubject
from sharpwave.demonstrations.recovery import make_remedies, recover_network
from sharpwave.demonstrations.streams import Exam, Stream, stream_digits
from sharpwave.demonstrations.training_runs import Course, run_course
from sharpwave.evaluation.intervals import bootstrap_mean
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.resilience.recovery import Recovery
from sharpwave.resilience.robustness import DoseCurve, measure_robustness
from sharpwave.resilience.stability import compute_stability

SHOWN = ("fine-tuning", "replay", "sleep", "joint")
TESTED = ("replay", "sleep")
DAMAGES = ("weight_noise", "lesion", "input_noise")
REMEDIES = ("sleep, NREM only", "wake")
BATCH, RATE, N_REMEMBERED = 8, 0.1, 100


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What was found; the tables are those of `sharpwave.reports.network_run.NetworkRun`.

    Attributes:
        hypnogram: Of the first seed, with sleep.
        losses: Of the same: step, loss.
        tables: The others, by name.
        n_seeds: Networks of each way.
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
        n_seeds: Networks of each way.
        make_stream: From a seed; handwritten digits where omitted.
        progress: Told what is done next.
    """
    rng = np.random.default_rng(0)
    streams = {seed: make_stream(seed=seed) for seed in range(n_seeds)}
    courses: list[Course] = []
    for way in SHOWN:
        progress(f"learning, {way}")
        courses += [
            run_course(stream, way, seed=seed, batch=BATCH, rate=RATE, n_remembered=N_REMEMBERED)
            for seed, stream in streams.items()
        ]
    progress("damage and recovery")
    curves: dict[tuple[str, str], list[DoseCurve]] = {}
    recoveries: dict[str, list[Recovery]] = {}
    remedies = make_remedies(BATCH)
    for course in courses:
        stream = streams[course.seed]
        if course.way in TESTED:
            for damage in DAMAGES:
                curves.setdefault((damage, course.way), []).append(measure_doses(course, stream, damage))
        if course.way == TESTED[0]:
            for name in REMEDIES:
                recovery = recover_network(
                    course, stream, remedies[name], shock="weight_noise", seed=course.seed, batch=BATCH, rate=RATE
                )
                recoveries.setdefault(name, []).append(recovery)
    asleep = [course for course in courses if course.way == "sleep"]
    tables = {
        "summary": summarise_ways(courses, awake="replay", rng=rng),
        "curves": tabulate_curves(courses),
        "matrix": tabulate_matrix(asleep),
        "doses": tabulate_doses(curves),
        "recovery": tabulate_recovery(recoveries),
        "resilience": tabulate_resilience(curves, recoveries, rng=rng),
        "hurt": find_harm(courses, sleeping="sleep", awake="replay"),
        "long": tabulate_long(courses),
    }
    first = asleep[0]
    losses = pd.DataFrame({"step": np.arange(len(first.losses)) + 0.5, "loss": first.losses})
    return Demonstration(first.hypnogram, losses, tables, n_seeds)


def measure_doses(course: Course, stream: Stream, damage: str, *, n_repeats: int = 3) -> DoseCurve:
    """Accuracy on all tasks against the dose of one kind of damage."""
    exam = Exam.of(stream)
    subject = NetworkSubject(course.network, exam.inputs, exam.labels)

    def score(dose: float, rng: np.random.Generator) -> float:
        copy = subject.copy()
        if dose > 0:
            copy.damage(damage, dose, rng=rng)
        return copy.score()

    rng = np.random.default_rng(course.seed)
    return measure_robustness(score, DOSES[damage], rng=rng, n_repeats=n_repeats, chance=subject.chance)


LEAST_HARM = 0.005
"""Fall of accuracy below which sleep is not said to have hurt."""


def summarise_ways(courses: Sequence[Course], *, awake: str, rng: np.random.Generator) -> pd.DataFrame:
    """One row a way: forgetting with its interval over seeds, accuracy at the end, and what it cost.

    Args:
        courses: Of every way and seed.
        awake: Way that extra time is relative to.
        rng: For the bootstrap.
    """
    times = {way: np.mean([one.seconds for one in mine]) for way, mine in _by_way(courses).items()}
    rows = []
    for way, mine in _by_way(courses).items():
        stability = [compute_stability(one.accuracy, learned=one.learned) for one in mine]
        forgetting = bootstrap_mean([one.forgetting for one in stability], rng=rng)
        rows.append(
            {
                "way": way,
                "forgetting": forgetting.value,
                "forgetting_low": forgetting.low,
                "forgetting_high": forgetting.high,
                "final": float(np.mean([one.final for one in stability])),
                "minimum": float(np.mean([one.minimum for one in stability])),
                "n": len(mine),
                "gradient_samples": float(np.mean([one.n_gradient_samples for one in mine])),
                "extra_time": float(times[way] / times[awake] - 1),
                "memory": float(np.mean([one.n_buffer_bytes for one in mine])),
            }
        )
    return pd.DataFrame(rows)


def tabulate_curves(courses: Sequence[Course]) -> pd.DataFrame:
    """Accuracy on each task over steps, mean over seeds: columns task, way, step, accuracy."""
    rows = []
    for way, mine in _by_way(courses).items():
        mean = np.mean([one.accuracy for one in mine], axis=0)
        for task in range(mean.shape[1]):
            rows += [
                {"task": task + 1, "way": way, "step": step, "accuracy": value}
                for step, value in zip(mine[0].at.tolist(), mean[:, task].tolist(), strict=True)
            ]
    return pd.DataFrame(rows).sort_values("task", kind="stable", ignore_index=True)


def tabulate_matrix(courses: Sequence[Course]) -> pd.DataFrame:
    """Accuracy on each task after each, mean over seeds: columns after, task, accuracy."""
    mean = np.mean([one.accuracy for one in courses], axis=0)
    return pd.DataFrame(
        [
            {"after": after + 1, "task": task + 1, "accuracy": float(mean[row, task])}
            for after, row in enumerate(courses[0].learned)
            for task in range(mean.shape[1])
        ]
    )


def find_harm(courses: Sequence[Course], *, sleeping: str, awake: str) -> pd.DataFrame:
    """Where sleep hurt: tasks that ended lower with it than without, and classes that a night lowered on average."""
    ways = _by_way(courses)
    rows: list[dict[str, Any]] = []
    ends = {way: np.mean([one.accuracy[-1] for one in ways[way]], axis=0) for way in (awake, sleeping)}
    for task, (before, after) in enumerate(zip(ends[awake], ends[sleeping], strict=True), start=1):
        if before - after > LEAST_HARM:
            what = f"task {task} at the end, without sleep and with it"
            rows.append({"what": what, "before": float(before), "after": float(after), "n": len(ways[sleeping])})
    nights = [night.groups for one in ways[sleeping] for night in one.nights]
    table = pd.concat(nights) if nights else pd.DataFrame(columns=["kind", "value", "n", "before", "after"])
    for value, group in table[table["kind"] == "y"].groupby("value"):
        if (group["before"] - group["after"]).mean() > LEAST_HARM:
            what = f"class {value!s} of what is remembered, before and after a night"
            rows.append(
                {"what": what, "before": group["before"].mean(), "after": group["after"].mean(), "n": len(group)}
            )
    return pd.DataFrame(rows)


def tabulate_doses(curves: Mapping[tuple[str, str], Sequence[DoseCurve]]) -> pd.DataFrame:
    """Score against dose, mean over seeds, by damage and way: columns damage, way, dose, score."""
    return pd.DataFrame(
        [
            {"damage": damage, "way": way, "dose": dose, "score": score}
            for (damage, way), mine in curves.items()
            for dose, score in zip(mine[0].doses, np.mean([one.scores for one in mine], axis=0), strict=True)
        ]
    )


def tabulate_recovery(found: Mapping[str, Sequence[Recovery]]) -> pd.DataFrame:
    """Scores after the shock, mean over seeds, by remedy: columns remedy, copy, step, score."""
    return pd.DataFrame(
        [
            {"remedy": remedy, "copy": copy, "step": step, "score": score}
            for remedy, mine in found.items()
            for copy in ("perturbed", "twin")
            for step, score in zip(mine[0].steps, np.mean([getattr(one, copy) for one in mine], axis=0), strict=True)
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

    def add(test: str, way: str, measure: str, values: list[float]) -> None:
        found = bootstrap_mean(values, rng=rng)
        row = {"test": test, "way": way, "measure": measure, "value": found.value}
        rows.append(row | {"low": found.low, "high": found.high, "n": found.n})

    for (damage, way), mine in curves.items():
        add(damage.replace("_", " "), way, "share kept", [one.kept for one in mine])
    for remedy, back in recoveries.items():
        add("after the shock", remedy, "recovered fraction", [one.fraction for one in back])
        add("after the shock", remedy, "steps to half", [one.half_step for one in back])
        add("after the shock", remedy, "residual deficit", [one.residual for one in back])
    return pd.DataFrame(rows)


def tabulate_long(courses: Sequence[Course]) -> pd.DataFrame:
    """Everything: columns run, seed, step, task, metric, value."""
    return pd.DataFrame(list(_iter_long(courses)), columns=["run", "seed", "step", "task", "metric", "value"])


def _iter_long(courses: Sequence[Course]) -> Iterator[tuple[str, int, float, Any, str, float]]:
    for one in courses:
        for step, row in zip(one.at.tolist(), one.accuracy.tolist(), strict=True):
            for task, value in enumerate(row, start=1):
                yield one.way, one.seed, step, task, "accuracy", value
        for step, value in enumerate(one.losses.tolist()):
            yield one.way, one.seed, float(step), pd.NA, "loss", value


def _by_way(courses: Sequence[Course]) -> dict[str, list[Course]]:
    return {way: [one for one in courses if one.way == way] for way in dict.fromkeys(one.way for one in courses)}
