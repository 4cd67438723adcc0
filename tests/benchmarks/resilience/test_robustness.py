"""Wrong labels in a stream: as many as asked for, in training alone, and they cost what they should."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.resilience.robustness import measure_label_noise, mislabel
from sharpwave.demonstrations.streams import stream_digits
from sharpwave.demonstrations.training_runs import train_network


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_a_share_of_the_training_labels_is_wrong(share: float) -> None:
    stream = stream_digits(seed=0)
    noisy = mislabel(stream, share, rng=np.random.default_rng(0))
    wrong = torch.cat([one.y_train != other.y_train for one, other in zip(noisy.tasks, stream.tasks, strict=True)])
    assert wrong.float().mean().item() == pytest.approx(share, abs=0.04)
    for one, other in zip(noisy.tasks, stream.tasks, strict=True):
        assert torch.equal(one.y_test, other.y_test)
        assert one.y_train.max() < stream.n_classes


def test_the_more_labels_are_wrong_the_less_is_learned() -> None:
    stream = stream_digits(seed=0)
    learn = partial(train_network, method="replay", seed=0, batch=8, n_remembered=100)
    clean = learn(stream)
    curve = measure_label_noise(learn, stream, clean)
    assert curve.scores[0] == clean.accuracy[-1].mean()
    assert curve.scores[0] > curve.scores[2] > curve.scores[4]
    assert curve.scores[4] < 0.3
    assert 0 < curve.kept < 1
