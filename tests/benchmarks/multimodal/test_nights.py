"""Simulated nights in both forms hold the same night, and only the planted sign differs between on and off."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.benchmarks.multimodal.nights import (
    N_BUNDLES,
    N_FRAMES,
    SIMULATED,
    PairedViews,
    average_frames,
    bundle_units,
    normalise_rates,
    simulate_paired_nights,
    summarise_windows,
)
from sharpwave.benchmarks.multimodal.splits import hide_labels, pair_night, split_subjects
from sharpwave.brainmu.epochs import ModalityEpochs


@pytest.fixture(scope="module")
def simulated() -> dict[float, PairedViews]:
    return {
        size: next(iter(simulate_paired_nights(1, rng=np.random.default_rng(3), hours=0.4, precursor=size)))
        for size in (0.0, 1.0)
    }


def test_both_forms_have_the_same_stages(simulated: dict[float, PairedViews]) -> None:
    for paired in simulated.values():
        np.testing.assert_array_equal(paired.windowed.stages, paired.night.stages)
        assert tuple(paired.windowed.epochs) == SIMULATED
        assert paired.windowed.epochs["eeg"].values.shape[1:3] == (1, N_FRAMES)
        assert len(paired.summarised()) == len(paired.night)


def test_the_course_is_the_same_with_and_without_a_precursor(simulated: dict[float, PairedViews]) -> None:
    on, off = simulated[1.0], simulated[0.0]
    np.testing.assert_array_equal(on.night.stages, off.night.stages)
    for name in ("eeg", "spikes", "heart_rate"):
        assert not np.array_equal(on.windowed.epochs[name].values, off.windowed.epochs[name].values)


def test_summaries_use_one_step_alone(simulated: dict[float, PairedViews]) -> None:
    windowed = simulated[1.0].windowed
    whole, names = summarise_windows(windowed)
    assert whole.shape[1] == len(names)
    np.testing.assert_array_equal(summarise_windows(windowed.restrict(0, 20))[0], whole[:20])


def test_bundles_keep_every_spike(rng: np.random.Generator) -> None:
    counts = rng.poisson(1.0, size=(4, 7, 30, 1))
    windows = ModalityEpochs(np.sqrt(counts).astype(np.float32), np.ones((4, 7), bool), tuple("abcdefg"))
    bundled = bundle_units(windows)
    assert bundled.values.shape == (4, N_BUNDLES, N_FRAMES, 1)
    np.testing.assert_allclose((bundled.values**2).sum(axis=(1, 2)), counts.sum(axis=(1, 2)), rtol=1e-5)


def test_rates_are_told_against_the_level_so_far(rng: np.random.Generator) -> None:
    """Two cells of different rate look alike, and nothing later moves what was."""
    counts = np.stack([rng.poisson(rate, size=(300, 10, 1)) for rate in (4.0, 40.0)], axis=1)
    windows = ModalityEpochs(np.sqrt(counts).astype(np.float32), np.ones((300, 2), bool), ("slow", "fast"))
    related = normalise_rates(windows).values
    np.testing.assert_allclose(related[100:].mean(axis=(0, 2, 3)), 0, atol=0.1)
    np.testing.assert_allclose(related[100:].std(axis=(0, 2, 3)), 1, atol=0.15)
    np.testing.assert_array_equal(normalise_rates(windows.restrict(0, 50)).values, related[:50])


def test_a_bundle_with_a_lost_unit_is_absent(rng: np.random.Generator) -> None:
    present = np.ones((3, 4), bool)
    present[1, 0] = False
    windows = ModalityEpochs(np.ones((3, 4, 30, 1), np.float32), present, tuple("abcd"))
    np.testing.assert_array_equal(bundle_units(windows).present, [[True, True], [False, True], [True, True]])


def test_averaged_frames_keep_the_mean(rng: np.random.Generator) -> None:
    values = rng.normal(size=(2, 1, 30, 5))
    np.testing.assert_allclose(average_frames(values).mean(axis=2), values.mean(axis=2))


def test_no_subject_is_on_both_sides(pair_nights: Callable) -> None:
    nights = pair_nights(7, n_epochs=30)
    split = split_subjects("made-up", nights, rng=np.random.default_rng(0))
    sides = [{paired.night.subject for paired in side} for side in (split.training, split.testing)]
    assert not sides[0] & sides[1]
    assert [len(side) for side in sides] == [5, 2]


def test_a_share_of_the_labels_is_that_share(pair_nights: Callable) -> None:
    nights = [paired.windowed for paired in pair_nights(4, n_epochs=100)]
    for share, steps in ((0.01, 4), (0.05, 20), (0.5, 200), (1.0, 400)):
        kept = hide_labels(nights, share, rng=np.random.default_rng(0))
        assert sum(map(len, kept)) == steps


def test_heart_rate_and_activity_are_modalities_of_their_own(make_nights: Callable) -> None:
    night = make_nights(1, n_epochs=20)[0]
    named = replace(night, names=("heart_rate", "activity_level"))
    assert tuple(pair_night(named).windowed.epochs) == ("stages", "heart_rate", "activity")
    assert tuple(pair_night(night).windowed.epochs) == ("stages", "features")
