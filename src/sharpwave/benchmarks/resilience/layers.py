"""Which layers and which units of a network lose most when they alone are damaged."""

from __future__ import annotations

import numpy as np

from sharpwave.benchmarks.continual.streams import Stream
from sharpwave.benchmarks.resilience.courses import Course
from sharpwave.benchmarks.resilience.exam import Exam
from sharpwave.benchmarks.resilience.network import NetworkSubject
from sharpwave.benchmarks.resilience.perturbations import list_layers, silence_units
from sharpwave.resilience.brittleness import BrittlenessMap, map_brittleness


def map_layers(course: Course, stream: Stream, *, dose: float = 1.0, n_repeats: int = 5) -> BrittlenessMap:
    """Loss of accuracy under weight noise in one layer at a time, and per share of all weights.

    Args:
        course: Whose network.
        stream: On whose test items.
        dose: In standard deviations of each layer's weights.
        n_repeats: Draws of the noise.
    """
    exam = Exam.of(stream)
    subject = NetworkSubject(course.network, exam.inputs, exam.labels)

    def score(part: str | None, rng: np.random.Generator) -> float:
        copy = subject.copy()
        if part is not None:
            copy.damage("weight_noise", dose, rng=rng, part=part)
        return copy.score()

    rng = np.random.default_rng(course.seed)
    return map_brittleness(score, subject.parts, rng=rng, damage=subject.parts.__getitem__, n_repeats=n_repeats)


def map_units(course: Course, stream: Stream, layer: str) -> BrittlenessMap:
    """Loss of accuracy with one unit of a layer silenced at a time; units are named by their number.

    Args:
        course: Whose network.
        stream: On whose test items.
        layer: Name of a linear or convolutional layer.
    """
    exam = Exam.of(stream)
    subject = NetworkSubject(course.network, exam.inputs, exam.labels)

    def score(part: str | None, rng: np.random.Generator) -> float:
        patient = subject.copy()
        if part is not None:
            silence_units(list_layers(patient.model)[layer], [int(part)])
        return patient.score()

    n_units = len(list_layers(course.network)[layer].weight)  # type: ignore[arg-type]
    rng = np.random.default_rng(course.seed)
    return map_brittleness(score, [str(unit) for unit in range(n_units)], rng=rng, n_repeats=1)
