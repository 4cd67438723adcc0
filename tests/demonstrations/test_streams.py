from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.benchmarks.continual.blobs import make_blobs

from sharpwave.demonstrations.streams import join, permute_images, split_classes, take
from sharpwave.errors import SharpwaveError


def test_each_task_permutes_the_pixels_of_the_same_test_images(rng: np.random.Generator) -> None:
    stream = permute_images(make_blobs(rng), n_tasks=3, rng=rng, n_train=50, n_test=30)
    first, second = (task.x_test.flatten(1) for task in stream.tasks[:2])
    assert not torch.equal(first, second)
    assert torch.equal(first.sort(dim=1).values, second.sort(dim=1).values)
    assert torch.equal(stream.tasks[0].y_test, stream.tasks[1].y_test)
    assert len({task.classes for task in stream.tasks}) == 1
    assert {len(task.y_train) for task in stream.tasks} == {50}


def test_one_permutation_serves_training_and_testing(rng: np.random.Generator) -> None:
    stream = permute_images(make_blobs(rng), n_tasks=2, rng=rng)
    task = stream.tasks[1]
    means = [
        [x[y == label].float().mean(0).argmax() for label in range(6)]
        for x, y in ((task.x_train, task.y_train), (task.x_test, task.y_test))
    ]
    assert means[0] == means[1]


def test_classes_come_once_each_numbered_in_their_order(rng: np.random.Generator) -> None:
    stream = split_classes(make_blobs(rng), n_tasks=3, rng=rng)
    assert [task.classes for task in stream.tasks] == [(0, 1), (2, 3), (4, 5)]
    for task in stream.tasks:
        for labels in (task.y_train, task.y_test):
            assert set(labels.tolist()) == set(task.classes)
    bright = {
        int(label): int(task.x_test[task.y_test == label].float().mean(0).argmax())
        for task in stream.tasks
        for label in task.classes
    }
    assert sorted(bright.values()) == [0, 2, 4, 6, 8, 10]
    assert len({task.classes for task in stream.tasks}) > 1


def test_the_seed_makes_the_stream() -> None:
    images = make_blobs(np.random.default_rng(0))
    first, again, other = (split_classes(images, n_tasks=3, rng=np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert torch.equal(first.tasks[0].x_train, again.tasks[0].x_train)
    assert not torch.equal(first.tasks[0].x_train, other.tasks[0].x_train)


def test_too_many_tasks_are_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="two classes or more in each task; got 6 classes for 4 tasks"):
        split_classes(make_blobs(rng), n_tasks=4, rng=rng)


def test_bytes_become_shares_and_tokens_stay() -> None:
    assert take(torch.tensor([[0, 255]], dtype=torch.uint8), slice(1)).tolist() == [[0.0, 1.0]]
    words = {"tokens": torch.tensor([[3, 4], [5, 6]]), "length": torch.tensor([2, 1])}
    assert take(words, torch.tensor([1]))["tokens"].tolist() == [[5, 6]]
    assert join([words, words])["length"].tolist() == [2, 1, 2, 1]
