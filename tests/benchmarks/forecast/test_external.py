"""Histories of the external benchmark: one scorer is forecast from, another judged."""

from __future__ import annotations

import numpy as np

from sharpwave.benchmarks.forecast.external import make_history
from sharpwave.recordings.hypnogram import Hypnogram


def test_a_history_is_told_by_one_and_judged_by_another() -> None:
    told = Hypnogram(np.array([-1, 0, 1, -1, 2, 2, 3], dtype=np.int8), 30.0)
    expert = Hypnogram(np.array([0, 0, 2, 2, 2, -1], dtype=np.int8), 30.0)
    history = make_history("s", told, expert)
    assert history.seen.stages.tolist() == [0, 1, -1, 2]
    assert history.truth.stages.tolist() == [0, 2, -1, 2]
