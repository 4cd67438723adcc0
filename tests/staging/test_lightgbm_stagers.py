"""Wearable signals as the published features have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging import load_stager
from sharpwave.staging.lightgbm_stagers import compute_wearable_features


def wearable(**signals: tuple[np.ndarray, float]) -> Recording:
    return Recording({n: Signal(n, x, rate, MODALITIES[n]) for n, (x, rate) in signals.items()}, species="human")


def test_published_features_pass_unchanged_with_their_gaps() -> None:
    feature = np.random.default_rng(0).random(50)
    feature[7] = np.nan
    found = compute_wearable_features(wearable(heart_rate=(feature, 1 / 30)))
    np.testing.assert_allclose(found[:, 0], feature.astype(np.float32), rtol=1e-6)
    assert np.isnan(found[:, 1]).all()


def test_an_unsteady_heart_stands_out_and_its_level_does_not() -> None:
    rng = np.random.default_rng(0)
    beats = 60 + 0.2 * rng.standard_normal(7200)
    beats[3600:5400] += 10 * np.sin(np.arange(1800) / 60)
    found = compute_wearable_features(wearable(heart_rate=(beats, 1.0)))[:, 0]
    assert np.nanmean(found[125:175]) > 5 * np.nanmean(found[20:100])
    shifted = compute_wearable_features(wearable(heart_rate=(beats + 25, 1.0)))[:, 0]
    np.testing.assert_allclose(shifted, found, rtol=1e-2, atol=1e-4)


def test_three_axes_count_movement_whatever_the_posture() -> None:
    rng = np.random.default_rng(0)
    still = np.tile([0.0, 0.0, 1.0], (3000, 1)) + 0.001 * rng.standard_normal((3000, 3))
    turned = np.roll(still, 1, axis=1)
    moving = still + 0.3 * rng.standard_normal((3000, 3))
    found = compute_wearable_features(wearable(activity=(np.r_[still, turned, moving], 50.0)))[:, 1]
    assert found[5] > 10 * max(found[1], found[3])
    np.testing.assert_allclose(found[1], found[3], rtol=0.2)


def test_shipped_weights_stage_a_real_night(data_root: Path) -> None:
    subject = list_subjects("walch", data_root)[0]
    recording = load_dataset(f"walch/{subject}", data_root)
    found = load_stager("lightgbm-wearable").stage(recording, {})
    assert recording.hypnogram is not None
    confusion = compute_confusion(recording.hypnogram.stages, found.stages, n_stages=5)
    assert compute_kappa(confusion) > 0.25
