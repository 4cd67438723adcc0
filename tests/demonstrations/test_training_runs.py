"""Without sleep the network forgets, with it not; all ways but two cost as much memory and as many gradients."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.demonstrations.streams import Stream
from sharpwave.demonstrations.training_runs import WAYS, run_course
from sharpwave.resilience.stability import compute_stability


def test_sleep_keeps_what_fine_tuning_forgets(stream: Stream) -> None:
    found = {
        way: compute_stability(course.accuracy, learned=course.learned)
        for way in ("fine-tuning", "sleep")
        if (course := run_course(stream, way, seed=0, batch=8, n_remembered=60))
    }
    assert found["fine-tuning"].forgetting > 0.8
    assert found["sleep"].forgetting < 0.3
    assert found["sleep"].final > found["fine-tuning"].final + 0.3


def test_cost_is_equal(stream: Stream) -> None:
    courses = {way: run_course(stream, way, seed=0, batch=32, n_remembered=60) for way in WAYS}
    samples = {way: course.n_gradient_samples for way, course in courses.items()}
    for way in set(WAYS) - {"fine-tuning"}:
        assert samples[way] == pytest.approx(samples["sleep"], rel=0.05)
    assert samples["fine-tuning"] < 0.35 * samples["sleep"]
    stored = {courses[way].n_buffer_bytes for way in set(WAYS) - {"fine-tuning", "joint"}}
    assert len(stored) == 1


def test_course_is_written_down(stream: Stream) -> None:
    course = run_course(stream, "sleep, NREM and REM", seed=1, batch=8, n_remembered=60)
    assert course.accuracy.shape == (len(course.at), 3)
    assert len(course.losses) == len(course.hypnogram) == course.at[-1]
    assert set(course.hypnogram.labels) == {"W", "NREM", "R"}
    assert course.hypnogram.unit == "step"
    assert len(course.nights) == len(course.learned) == 3
    again = run_course(stream, "sleep, NREM and REM", seed=1, batch=8, n_remembered=60)
    assert np.array_equal(course.accuracy, again.accuracy)
