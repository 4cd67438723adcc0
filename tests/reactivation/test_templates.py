"""Cued reactivation: a planted pattern is decoded when it comes, and nothing is where none was planted."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.templates import compute_areas, cut_trials, decode_cued
from sharpwave.recordings import Signal
from sharpwave.recordings.modality import MODALITIES

TIMES = np.arange(20) * 0.05 - 0.2


def simulate_trials(rng: np.random.Generator, n: int, *, at: slice, strength: float) -> tuple[np.ndarray, list[str]]:
    """Noise shared by eight channels, and a pattern that tells two items apart at some moments."""
    labels = ["face", "house"] * (n // 2)
    mixing = np.random.default_rng(3).standard_normal((8, 8))
    trials = np.einsum("ck,nkt->nct", mixing, rng.standard_normal((n, 8, len(TIMES))))
    sign = np.array([1.0 if label == "house" else -1.0 for label in labels])
    trials[:, :, at] += strength * sign[:, None, None] * np.linspace(-1, 1, 8)[None, :, None]
    return trials, labels


def decode(rng: np.random.Generator, *, strength: float):  # type: ignore[no-untyped-def]
    wake, wake_labels = simulate_trials(rng, 80, at=slice(8, 12), strength=1.5)
    cued, cue_labels = simulate_trials(rng, 120, at=slice(13, 17), strength=strength)
    return decode_cued(wake, wake_labels, cued, cue_labels, wake_times=TIMES, times=TIMES, rng=rng, n_permutations=200)


def test_planted_reactivation_is_decoded_when_it_comes(rng: np.random.Generator) -> None:
    found = decode(rng, strength=0.7)
    assert found.wake_auc > 0.85
    assert 0.2 <= found.wake_time < 0.4
    series = found.time_series
    assert (series["p_corrected"][13:17] <= 0.05).all()
    assert (series["p_corrected"][:12] > 0.05).all()
    assert series["auc"][13:17].mean() > 0.65


def test_nothing_is_decoded_where_nothing_is_planted(rng: np.random.Generator) -> None:
    smallest = [decode(rng, strength=0.0).time_series["p_corrected"].min() for _ in range(12)]
    assert np.mean(np.array(smallest) <= 0.05) < 0.3
    assert np.median(smallest) > 0.15


def test_areas_are_those_of_the_library(rng: np.random.Generator) -> None:
    evidence, labels = np.round(rng.standard_normal((30, 2)), 1), rng.random((4, 30)) < 0.4
    expected = [[roc_auc_score(each, evidence[:, time]) for time in range(2)] for each in labels]
    np.testing.assert_allclose(compute_areas(evidence, labels), expected)


def test_trials_are_cut_where_they_are(rng: np.random.Generator) -> None:
    samples = np.zeros(1000, np.float32)
    samples[300:310] = 1.0
    signal = Signal("Cz", samples, 100.0, MODALITIES["eeg"])
    trials, times = cut_trials([signal, signal], [2.5, 6.0], window=(-0.2, 1.0), step=0.1)
    assert trials.shape == (2, 2, 12)
    assert times[np.argmax(trials[0, 0])] == pytest.approx(0.55)
    assert trials[1].max() == 0
    with pytest.raises(SharpwaveError, match="leave out onsets near the ends"):
        cut_trials([signal], [9.5], window=(-0.2, 1.0))
    with pytest.raises(SharpwaveError, match="one sampling rate"):
        cut_trials([signal, Signal("Fz", samples, 50.0, MODALITIES["eeg"])], [2.0])


def test_messages(rng: np.random.Generator) -> None:
    wake, labels = simulate_trials(rng, 20, at=slice(8, 12), strength=1.0)
    arguments = {"wake_times": TIMES, "times": TIMES, "rng": rng}
    with pytest.raises(SharpwaveError, match="two items with at least 5 wake trials"):
        decode_cued(wake, ["face"] * 20, wake, labels, **arguments)
    with pytest.raises(SharpwaveError, match="two items with at least 2 cues"):
        decode_cued(wake, labels, wake, ["chair"] * 20, **arguments)
    with pytest.raises(SharpwaveError, match="8 channels of wake"):
        decode_cued(wake, labels, wake[:, :3], labels, **arguments)
