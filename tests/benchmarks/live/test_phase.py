"""The benchmark of phase: its arithmetic in bulk is that of the live step, and it scores planted waves as they are."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.live.phase import (
    OURS,
    cue_runs,
    find_cues,
    keep_apart,
    measure,
    predict_runs,
    score,
)
from sharpwave.benchmarks.live.phase_runs import MAIN, Run, prepare_run
from sharpwave.live.phase import GRID, PhaseState, load_predictor, step_phase

RATE = 128.0


def make_run(seconds: float = 90.0, *, frequency: float = 0.85) -> tuple[np.ndarray, Run]:
    rng = np.random.default_rng(6)
    times = np.arange(round(seconds * RATE)) / RATE
    samples = 60 * np.cos(2 * np.pi * frequency * times) + rng.normal(0, 4, times.size)
    return samples, prepare_run(samples, RATE, load_predictor())


def test_cues_in_bulk_come_when_the_live_step_would_give_them() -> None:
    samples, run = make_run()
    aim = -np.pi / 4
    bulk = cue_runs([run], predict_runs([run], OURS, lead=0.05), target=aim, gate=0.0, lead=0.05, delay=0.0)[0]
    state, live = PhaseState(), []
    for first in range(0, samples.size, 4):
        phase, state = step_phase(state, samples[first : first + 4].tolist(), rate=RATE, target=aim, latency=0.05)
        now = (first + 3) / RATE
        if phase is not None and phase.wait is not None and phase.wait < 1 / GRID:
            live.append(now + phase.wait + 0.05)
    kept = keep_apart(np.array(live))
    distances = np.abs(bulk[:, None] - np.array(live)[None, :]).min(axis=1)
    assert kept.size > 20
    assert np.median(distances) < 0.01


def test_the_ratio_in_bulk_is_that_of_the_live_step() -> None:
    samples, run = make_run(30.0)
    state, phase = PhaseState(), None
    for first in range(0, samples.size - 4, 4):
        phase, state = step_phase(state, samples[first : first + 4].tolist(), rate=RATE, target=0.0, latency=0.05)
    assert phase is not None
    place = (samples.size - 4) // 4 - 1
    assert phase.amplitude_ratio == pytest.approx(run.ratio[place], rel=1e-9)


def test_a_late_sound_is_measured_late() -> None:
    _, run = make_run()
    cues = np.arange(20.0, 70.0, 1 / 0.85)
    phases, frequencies = measure(cues, run, MAIN)
    later, _ = measure(cues, run, MAIN, late=0.1)
    turned = np.degrees(np.angle(np.exp(1j * (later - phases))))
    assert turned.mean() == pytest.approx(360 * 0.85 * 0.1, abs=3.0)
    assert np.median(frequencies) == pytest.approx(0.85, abs=0.03)


def test_scores_of_phases_that_are_known() -> None:
    rng = np.random.default_rng(0)
    scores = score(np.radians(-45.0 + rng.normal(10.0, 20.0, 4000)), target=np.radians(-45.0), minutes=100.0)
    assert scores.bias == pytest.approx(10.0, abs=1.5)
    assert scores.spread == pytest.approx(20.0, abs=1.0)
    assert scores.within_45 == pytest.approx(0.957, abs=0.02)
    assert scores.per_minute == 40.0


def test_cues_are_apart_and_pass_the_target() -> None:
    phases = 2 * np.pi * 0.8 * np.arange(640) / GRID
    now, following = np.exp(1j * phases), np.exp(1j * (phases + 2 * np.pi * 0.8 / GRID))
    cues = find_cues(now, following, np.full(640, 2.0), target=1.0, gate=1.0, lead=0.05)
    assert np.diff(cues).min() >= 2.5
    assert np.angle(np.exp(1j * (2 * np.pi * 0.8 * (cues - 0.05) - 1.0))) == pytest.approx(
        np.zeros(cues.size), abs=1e-6
    )
