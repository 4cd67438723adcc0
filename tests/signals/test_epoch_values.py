"""Values per epoch: what is sampled seldom is bridged up to a stated gap, what is missing stays missing and is said."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.signals.epoch_values import compute_epoch_values, compute_spacing, describe_sparse_signals
from sharpwave.staging.lightgbm_stagers import WearableStager


def make(values: np.ndarray, step: float, kind: str = "heart_rate", times: np.ndarray | None = None) -> Signal:
    return Signal(kind, np.asarray(values, dtype=float), 1 / step, MODALITIES[kind], times=times)


def test_dense_signals_are_averaged_as_they_are() -> None:
    values = np.random.default_rng(0).normal(60, 5, 600)
    np.testing.assert_allclose(compute_epoch_values(make(values, 1), 20), values.reshape(20, 30).mean(1), rtol=1e-6)
    values[90:150] = np.nan
    found = compute_epoch_values(make(values, 1), 22)
    assert np.flatnonzero(np.isnan(found)).tolist() == [3, 4, 20, 21]


def test_axes_give_movement_and_not_posture() -> None:
    rng = np.random.default_rng(0)
    axes = np.stack([np.ones(600), rng.normal(0, 0.01, 600), np.zeros(600)], axis=1)
    axes[300:, 0] += rng.normal(0, 0.3, 300)
    still, moving = compute_epoch_values(make(axes, 1, "activity"), 20).reshape(2, 10).mean(axis=1)
    assert still < 0.01 < 0.1 < moving


def test_between_samples_heart_rate_is_drawn_and_counts_are_held() -> None:
    assert compute_epoch_values(make([60, 64, 62], 60), 6).tolist() == [60, 62, 64, 63, 62, 62]
    assert compute_epoch_values(make([10, 0, 40], 60, "activity"), 6).tolist() == [10, 10, 0, 0, 40, 40]


@pytest.mark.parametrize("step", [60, 120, 300])
def test_one_lost_sample_is_bridged_and_a_gap_is_not(step: float) -> None:
    values = np.full(60, 60.0)
    values[20] = np.nan
    values[40:50] = np.nan
    found = compute_epoch_values(make(values, step), int(2 * step))
    missing = np.flatnonzero(np.isnan(found)) * 30 / step
    assert missing.size
    assert missing.min() == 40  # the sample before speaks until the next is due
    assert missing.max() == 50 - 30 / step
    said = describe_sparse_signals(Recording(signals={"pulse": make(values, step)}))
    assert f"across at most {2.5 * step:.0f} s" in said[0]
    assert f"1 longer gaps, {11 * step / 60:.0f} min together, stay missing" in said[0]


def test_samples_in_bursts_have_the_spacing_of_their_pauses() -> None:
    times = np.concatenate([start + np.arange(0, 30, 5) for start in range(0, 28_800, 300)]).astype(float)
    assert compute_spacing(times) == 275
    found = compute_epoch_values(make(np.full(times.size, 60.0), 5, times=times), 960)
    assert np.isfinite(found).all()


def test_hourly_samples_say_nothing_of_epochs() -> None:
    pulse = make(np.full(8, 60.0), 3600)
    assert np.isfinite(compute_epoch_values(pulse, 960)).sum() == 8
    assert "too seldom" in describe_sparse_signals(Recording(signals={"pulse": pulse}))[0]
    recording = Recording(signals={"pulse": pulse, "steps": make(np.full(8, 9.0), 3600, "activity")})
    assert "too seldom" in str(WearableStager().accepts(recording, {}))


def make_night(step: int) -> Recording:
    """Eight hours, awake in the first and last half hour, sampled from the same 30 s."""
    rng = np.random.default_rng(3)
    seconds = np.arange(960) * 30.0
    awake = (seconds < 1800) | (seconds >= 27_000)
    heart = 58 + 12 * awake + 3 * np.sin(seconds / 2700) + rng.normal(0, 1, 960)
    moved = np.where(awake, rng.gamma(2, 30, 960), rng.gamma(0.3, 3, 960))
    heart, moved = (values.reshape(-1, step // 30).mean(axis=1) for values in (heart, moved))
    return Recording(signals={"pulse": make(heart, step), "moved": make(moved, step, "activity")})


@pytest.mark.parametrize(("step", "within"), [(60, 5), (120, 10), (300, 15)])
def test_a_night_sampled_seldom_has_as_much_sleep(step: int, within: float) -> None:
    often, seldom = (WearableStager().stage(make_night(each), {}) for each in (30, step))
    assert seldom.scored.all()
    assert abs(int((often.stages > 0).sum()) - int((seldom.stages > 0).sum())) / 2 <= within
