"""Label noise: the same course again with a share of the labels it learns from wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sharpwave.benchmarks.continual.streams import Stream
from sharpwave.benchmarks.resilience.courses import Course
from sharpwave.benchmarks.resilience.network import DOSES
from sharpwave.benchmarks.resilience.perturbations import flip_labels
from sharpwave.resilience.robustness import DoseCurve, summarise_doses

KIND = "label_noise"


def mislabel(stream: Stream, share: float, *, rng: np.random.Generator) -> Stream:
    """A stream in which this share of the training labels is wrong: each of another class, whichever, of the stream."""
    tasks = [
        replace(task, y_train=flip_labels(task.y_train, share, n_classes=stream.n_classes, rng=rng))
        for task in stream.tasks
    ]
    return replace(stream, tasks=tuple(tasks))


def measure_label_noise(learn: Callable[[Stream], Course], stream: Stream, clean: Course) -> DoseCurve:
    """Accuracy at the end on all tasks, against the share of wrong training labels.

    Args:
        learn: A whole course through a stream.
        stream: With the right labels; test labels always are.
        clean: The course through it.
    """
    courses = [clean] + [
        learn(mislabel(stream, share, rng=np.random.default_rng(clean.seed))) for share in DOSES[KIND][1:]
    ]
    scores = np.array([[course.accuracy[-1].mean()] for course in courses])
    return summarise_doses(np.array(DOSES[KIND]), scores, chance=1 / stream.n_classes)
