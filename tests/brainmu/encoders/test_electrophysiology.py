from __future__ import annotations

import numpy as np
import pytest
from tests.modalities import make_recording

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.electrophysiology import _make_bands, compute_frames, normalise_to_level
from sharpwave.brainmu.epochs import EpochGrid, ModalityEpochs


def make_windows(rng: np.random.Generator, n_steps: int = 12) -> ModalityEpochs:
    values = rng.normal(1.0, 0.5, (n_steps, 2, 5, 3)).astype(np.float32)
    present = np.ones((n_steps, 2), dtype=bool)
    present[3:5, 0] = False
    return ModalityEpochs(values * present[..., None, None], present, ("C4-M1", "O2-M1"))


def test_the_level_is_the_mean_of_what_was_there_so_far(rng):
    windows = make_windows(rng)
    related, _ = normalise_to_level(windows)
    assert np.array_equal(related.values[..., :3], windows.values)
    for channel in range(2):
        there = windows.present[:8, channel]
        level = windows.values[:8, channel][there].mean(axis=(0, 1))
        expected = windows.values[7, channel] - level
        np.testing.assert_allclose(related.values[7, channel, :, 3:], expected, atol=1e-5)
    assert not related.values[3:5, 0].any()


def test_a_constant_gain_leaves_the_relative_part_alone(rng):
    windows = make_windows(rng)
    louder = ModalityEpochs(
        (windows.values + 0.7) * windows.present[..., None, None], windows.present, windows.channels
    )
    np.testing.assert_allclose(
        normalise_to_level(louder)[0].values[..., 3:], normalise_to_level(windows)[0].values[..., 3:], atol=1e-5
    )


def test_in_two_stretches_as_at_once_also_where_a_channel_comes_later(rng):
    windows = make_windows(rng)
    whole, _ = normalise_to_level(windows)
    first, past = normalise_to_level(
        ModalityEpochs(windows.values[:6, :1], windows.present[:6, :1], windows.channels[:1])
    )
    second, _ = normalise_to_level(windows.restrict(6, 12), past)
    np.testing.assert_allclose(first.values[:, 0], whole.values[:6, 0], atol=1e-5)
    np.testing.assert_allclose(second.values[:, 0], whole.values[6:, 0], atol=1e-5)
    fresh, _ = normalise_to_level(windows.restrict(6, 12))
    np.testing.assert_allclose(second.values[:, 1], fresh.values[:, 1], atol=1e-5)


def test_bands_that_a_rate_cannot_carry_stay_zero(rng):
    cut = ENCODERS["eeg"].cut(make_recording("eeg", rng, rate=50.0), EpochGrid(0.0, 30.0, 10))
    assert cut is not None
    assert not cut.values[..., [23, 47]].any()
    assert cut.values[..., [10, 34]].any()


@pytest.mark.parametrize(
    ("modality", "rate", "offset"), [("eeg", 256.0, 0.0), ("emg", 200.5, 0.0), ("eog", 128.0, 5e-3)]
)
def test_frames_are_those_of_a_transform_frame_by_frame(rng, modality, rate, offset):
    frames = ENCODERS[modality].frames
    samples = (rng.normal(0, 2e-5, (26, int(30 * rate))) + offset).astype(np.float32)  # more steps than go together
    length, hop = round(2 * rate), round(rate)
    window, bins = np.hanning(length), np.fft.rfftfreq(length, 1 / rate)
    spread = np.maximum(frames.centres * np.log(frames.centres[1] / frames.centres[0]) / 2, 0.5 * rate / length)
    weights = np.exp(-0.5 * ((bins[:, None] - frames.centres) / spread) ** 2)
    weights[0] = 0
    weights /= weights.sum(axis=0)
    cut = samples[:, None, :].astype(float) * 1e6
    for frame in (0, 7, 28):
        part = cut[:, 0, frame * hop : frame * hop + length]
        power = np.abs(np.fft.rfft((part - part.mean(axis=1, keepdims=True)) * window)) ** 2
        expected = np.log10(power @ weights * 2 / (rate * (window**2).sum()) + 1e-8)
        found = compute_frames(samples, rate, frames)[:, frame]
        carried = frames.centres < 0.45 * rate
        np.testing.assert_allclose(found[:, carried], expected[:, carried], atol=1e-3 if offset else 1e-5)


def test_no_weight_of_a_band_is_denormal():
    for modality in ("eeg", "eog", "emg", "ecg", "lfp"):
        for rate in (128.0, 256.0, 1000.0):
            weights, _ = _make_bands(ENCODERS[modality].frames, round(2 * rate), rate)
            assert weights[weights > 0].min() > np.finfo(np.float32).tiny
