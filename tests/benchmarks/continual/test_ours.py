"""Sleep replay consolidation brings back classes that plain training lost, without a stored item."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.continual.harness import make_setting, run_stream
from sharpwave.benchmarks.continual.learners.bounds import Finetune
from sharpwave.benchmarks.continual.learners.ours import SRCLearner
from sharpwave.demonstrations.streams import stream_digits


@pytest.mark.slow
def test_old_classes_come_back_without_stored_items() -> None:
    gained = []
    for seed in range(3):
        stream = stream_digits(seed=seed)
        setting = make_setting(stream, batch=8, buffer_items=100, seed=seed)
        asleep, awake = (
            run_stream(stream, partial(learner, lr=0.2), setting, model="mlp") for learner in (SRCLearner, Finetune)
        )
        assert asleep.n_buffer_bytes == 0
        gained.append(asleep.compute_accuracy() - awake.compute_accuracy())
    assert np.mean(gained) > 0.1
    assert torch.tensor(gained).min() > 0
