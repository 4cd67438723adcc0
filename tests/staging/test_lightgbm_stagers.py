"""Wearable signals as the published features have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging import load_stager
from sharpwave.staging.lightgbm_stagers import add_wearable_context, compute_wearable_features, find_sleep_onset


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
    assert compute_kappa(confusion) > 0.4


def draw_features(n: int = 400, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).random((n, 2))
    features[:60, 1] += 1.0
    features[260:, 1] += 1.0
    return features


def test_wearable_context_does_not_depend_on_unit_or_offset_and_tells_the_sides_apart() -> None:
    features = draw_features()
    table = add_wearable_context(features)
    np.testing.assert_allclose(add_wearable_context(7 * features + 3).to_numpy(), table.to_numpy(), atol=1e-6)
    back = add_wearable_context(features[::-1])[::-1]
    for width in (10, 30, 90):
        np.testing.assert_allclose(back[f"activity_before{width}"], table[f"activity_after{width}"])
        assert abs(table[f"activity_after{width}"].iloc[0] - table["activity"].iloc[:width].mean()) < 1e-9
    np.testing.assert_allclose(back["activity_mean8"], table["activity_mean8"])


def test_wearable_clock_runs_from_stillness_and_not_from_the_start_of_the_file() -> None:
    features = draw_features()
    onset = find_sleep_onset(features[:, 1])
    assert abs(onset - 60) <= 12
    whole, cut = (add_wearable_context(part)["hours_asleep"].to_numpy() for part in (features, features[40:]))
    np.testing.assert_allclose(cut, whole[40:], atol=2 / 120)
    assert find_sleep_onset(np.full(400, np.nan)) == find_sleep_onset(features[:10, 1]) == 0


def test_wearable_epochs_without_signal_stay_missing_and_out_of_their_neighbours() -> None:
    features = draw_features()
    features[200:220] = np.nan
    table = add_wearable_context(features)
    assert table.iloc[200:220].isna().all().all()
    assert table.drop(range(200, 220)).notna().all().all()
    assert abs(table.loc[220, "activity_after10"] - table["activity"].iloc[220:230].mean()) < 1e-9
