"""The benchmark of the gate: what it counts is what was there, and the future is really replaced."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.live.events import compute_f1, find_polarity, match, tell_burst
from sharpwave.benchmarks.live.gate import Staged, check_causality, score_gate, score_stages, tell_stages
from sharpwave.live.oscillations import SPINDLES


def test_a_gate_is_scored_by_what_it_lets_through() -> None:
    stages = np.array([0, 0, 1, 2, 2, 3, 3, 4])
    is_open = np.array([False, True, False, True, False, True, True, False])
    scores = score_gate(is_open, stages)
    assert scores["precision"] == pytest.approx(0.75)
    assert scores["recall"] == pytest.approx(0.75)
    assert scores["open_in_wake"] == pytest.approx(0.5)
    assert scores["open_in_rem"] == 0.0


def test_perfect_probabilities_score_one() -> None:
    stages = np.array([0, 1, 2, 3, 4, 3])
    scores = score_stages(Staged("x", np.eye(5)[stages], stages))
    assert scores == {"kappa": 1.0, "n3_sensitivity": 1.0, "n3_specificity": 1.0}


def test_noise_after_t_changes_nothing_before_t_and_a_cheat_is_seen() -> None:
    pytest.importorskip("yasa")
    samples = np.random.default_rng(1).normal(0, 20e-6, 100 * 480)
    said = tell_stages(samples, rate=100.0, every=30.0, rescale=True)
    rows = check_causality("x", samples, rate=100.0, said=said, rng=np.random.default_rng(2), cuts=(0.8,))
    assert rows[0].value == 0.0
    assert rows[0].n >= 3
    assert rows[1].value > 0.5
    other = tell_stages(samples[::-1].copy(), rate=100.0, every=30.0, rescale=True)
    cheated = check_causality("x", samples, rate=100.0, said=other, rng=np.random.default_rng(2), cuts=(0.8,))
    assert cheated[0].value > 0.0


def test_bursts_are_matched_once_and_while_under_way() -> None:
    spans = np.array([[1.5, 2.5], [4.0, 4.5], [8.5, 9.0]])
    found = match(spans, np.array([1.0, 5.0, 8.9]), np.array([2.0, 6.0, 9.5]))
    assert found[[0, 2]].tolist() == [1.5, 8.5]
    assert np.isnan(found[1])
    assert compute_f1(2, 3, 3) == pytest.approx(2 / 3)


def test_a_planted_spindle_has_a_beginning_and_an_end() -> None:
    rng = np.random.default_rng(3)
    samples = rng.normal(0, 1, 4000).cumsum() * 0.2 + rng.normal(0, 2, 4000)
    samples[3000:3120] += 40 * np.hanning(120) * np.sin(2 * np.pi * 13 * np.arange(120) / 100)
    spans = tell_burst(SPINDLES, samples, rate=100.0)
    assert len(spans) == 1
    assert 30.0 < spans[0, 0] < spans[0, 1] < 32.0


def test_mirrored_waves_have_the_other_polarity() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(360 * 64) / 64.0
    phase = 2 * np.pi * 0.9 * times + rng.normal(0, 0.05, times.size).cumsum()
    waves = 40 * np.cos(phase) + 14 * np.cos(2 * phase + np.pi)
    assert find_polarity([waves], rate=64.0)[0] == "as declared"
    assert find_polarity([-waves], rate=64.0)[0] == "inverted"
