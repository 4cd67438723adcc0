"""Without sleep the network forgets, with it not; all methods but two cost as much memory and as many gradients."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.demonstrations.streams import Stream
from sharpwave.demonstrations.training_runs import METHODS, train_network
from sharpwave.resilience.stability import compute_stability


def test_sleep_keeps_what_fine_tuning_forgets(stream: Stream) -> None:
    found = {
        method: compute_stability(run.accuracy, learned=run.learned)
        for method in ("fine-tuning", "sleep")
        if (run := train_network(stream, method, seed=0, batch=8, n_remembered=60))
    }
    assert found["fine-tuning"].forgetting > 0.8
    assert found["sleep"].forgetting < 0.3
    assert found["sleep"].final > found["fine-tuning"].final + 0.3


def test_cost_is_equal(stream: Stream) -> None:
    runs = {method: train_network(stream, method, seed=0, batch=32, n_remembered=60) for method in METHODS}
    samples = {method: run.n_gradient_samples for method, run in runs.items()}
    for method in set(METHODS) - {"fine-tuning"}:
        assert samples[method] == pytest.approx(samples["sleep"], rel=0.05)
    assert samples["fine-tuning"] < 0.35 * samples["sleep"]
    stored = {runs[method].n_buffer_bytes for method in set(METHODS) - {"fine-tuning", "joint"}}
    assert len(stored) == 1


def test_a_run_is_written_down(stream: Stream) -> None:
    run = train_network(stream, "sleep, NREM and REM", seed=1, batch=8, n_remembered=60)
    assert run.accuracy.shape == (len(run.at), 3)
    assert len(run.losses) == len(run.hypnogram) == run.at[-1]
    assert set(run.hypnogram.labels) == {"W", "NREM", "R"}
    assert run.hypnogram.unit == "step"
    assert len(run.nights) == len(run.learned) == 3
    again = train_network(stream, "sleep, NREM and REM", seed=1, batch=8, n_remembered=60)
    assert np.array_equal(run.accuracy, again.accuracy)
