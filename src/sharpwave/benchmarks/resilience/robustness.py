"""What a trained network loses: with wrong labels, with one layer damaged, with one unit silent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sharpwave.demonstrations.damage import DOSES, flip_labels, list_layers, silence_units
from sharpwave.demonstrations.streams import Stream, StreamTestSet
from sharpwave.demonstrations.subject import NetworkSubject
from sharpwave.demonstrations.training_runs import TrainingRun
from sharpwave.resilience.brittleness import BrittlenessMap, map_brittleness
from sharpwave.resilience.robustness import DoseCurve, summarise_doses


def map_layers(run: TrainingRun, stream: Stream, *, dose: float = 1.0, n_repeats: int = 5) -> BrittlenessMap:
    """Loss of accuracy under weight noise in one layer at a time, and per share of all weights.

    Args:
        run: Training run whose network is damaged.
        stream: Stream on whose test set it is scored.
        dose: Size of the noise, in standard deviations of each layer's weights.
        n_repeats: Number of draws of the noise.
    """
    test_set = StreamTestSet.of(stream)
    subject = NetworkSubject(run.network, test_set.inputs, test_set.labels)

    def score(part: str | None, rng: np.random.Generator) -> float:
        copy = subject.copy()
        if part is not None:
            copy.damage("weight_noise", dose, rng=rng, part=part)
        return copy.score()

    rng = np.random.default_rng(run.seed)
    return map_brittleness(score, subject.parts, rng=rng, damage=subject.parts.__getitem__, n_repeats=n_repeats)


def map_units(run: TrainingRun, stream: Stream, layer: str) -> BrittlenessMap:
    """Loss of accuracy with one unit of a layer silenced at a time; units are named by their number.

    Args:
        run: Training run whose network is damaged.
        stream: Stream on whose test set it is scored.
        layer: Name of a linear or convolutional layer.
    """
    test_set = StreamTestSet.of(stream)
    subject = NetworkSubject(run.network, test_set.inputs, test_set.labels)

    def score(part: str | None, rng: np.random.Generator) -> float:
        patient = subject.copy()
        if part is not None:
            silence_units(list_layers(patient.model)[layer], [int(part)])
        return patient.score()

    n_units = len(list_layers(run.network)[layer].weight)  # type: ignore[arg-type]
    rng = np.random.default_rng(run.seed)
    return map_brittleness(score, [str(unit) for unit in range(n_units)], rng=rng, n_repeats=1)


KIND = "label_noise"


def mislabel(stream: Stream, share: float, *, rng: np.random.Generator) -> Stream:
    """A stream in which this share of the training labels is wrong: each of another class, whichever, of the stream."""
    tasks = [
        replace(task, y_train=flip_labels(task.y_train, share, n_classes=stream.n_classes, rng=rng))
        for task in stream.tasks
    ]
    return replace(stream, tasks=tuple(tasks))


def measure_label_noise(learn: Callable[[Stream], TrainingRun], stream: Stream, clean: TrainingRun) -> DoseCurve:
    """Accuracy at the end on all tasks, against the share of wrong training labels.

    Args:
        learn: A whole run through a stream.
        stream: Stream with the right labels; test labels always are right.
        clean: The run through it.
    """
    runs = [clean] + [
        learn(mislabel(stream, share, rng=np.random.default_rng(clean.seed))) for share in DOSES[KIND][1:]
    ]
    scores = np.array([[run.accuracy[-1].mean()] for run in runs])
    return summarise_doses(np.array(DOSES[KIND]), scores, chance=1 / stream.n_classes)
