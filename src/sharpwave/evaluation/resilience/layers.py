"""Which layers of a network lose most when they alone are damaged."""

from __future__ import annotations

import numpy as np

from sharpwave.evaluation.continual.streams import Stream
from sharpwave.evaluation.resilience.courses import Course, gather_tests
from sharpwave.evaluation.resilience.network import NetworkSubject
from sharpwave.resilience.brittleness import BrittlenessMap, map_brittleness


def map_layers(course: Course, stream: Stream, *, dose: float = 1.0, n_repeats: int = 5) -> BrittlenessMap:
    """Loss of accuracy under weight noise in one layer at a time, and per share of all weights.

    Args:
        course: Whose network.
        stream: On whose test items.
        dose: In standard deviations of each layer's weights.
        n_repeats: Draws of the noise.
    """
    subject = NetworkSubject(course.network, *gather_tests(stream))

    def score(part: str | None, rng: np.random.Generator) -> float:
        copy = subject.copy()
        if part is not None:
            copy.damage("weight_noise", dose, rng=rng, part=part)
        return copy.score()

    rng = np.random.default_rng(course.seed)
    return map_brittleness(score, subject.parts, rng=rng, damage=subject.parts.__getitem__, n_repeats=n_repeats)
