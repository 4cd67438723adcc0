from __future__ import annotations

import numpy as np
from tests.modalities import make_recording

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.electrophysiology import normalise_to_level
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
