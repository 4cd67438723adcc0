"""A small network that forgets without sleep and not with it: every table of its card, in some ten seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.benchmarks.continual.streams import Stream
from sharpwave.benchmarks.resilience import run_tables
from sharpwave.benchmarks.resilience.courses import Course, run_course
from sharpwave.benchmarks.resilience.digits import stream_digits
from sharpwave.benchmarks.resilience.exam import Exam
from sharpwave.benchmarks.resilience.network import DOSES, NetworkSubject
from sharpwave.benchmarks.resilience.recovering import make_remedies, recover_network
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.resilience.recovery import Recovery
from sharpwave.resilience.robustness import DoseCurve, measure_robustness

SHOWN = ("fine-tuning", "replay", "sleep", "joint")
TESTED = ("replay", "sleep")
DAMAGES = ("weight_noise", "lesion", "input_noise")
REMEDIES = ("sleep, NREM only", "wake")
BATCH, RATE, N_REMEMBERED = 8, 0.1, 100


@dataclass(frozen=True, eq=False)
class Demonstration:
    """What was found; the tables are those of `sharpwave.reports.network_page.NetworkRun`.

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
        "summary": run_tables.summarise_ways(courses, awake="replay", rng=rng),
        "curves": run_tables.tabulate_curves(courses),
        "matrix": run_tables.tabulate_matrix(asleep),
        "doses": run_tables.tabulate_doses(curves),
        "recovery": run_tables.tabulate_recovery(recoveries),
        "resilience": run_tables.tabulate_resilience(curves, recoveries, rng=rng),
        "hurt": run_tables.find_harm(courses, sleeping="sleep", awake="replay"),
        "long": run_tables.tabulate_long(courses),
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
