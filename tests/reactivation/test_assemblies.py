"""Assemblies: planted ones are found, with the units they share; none where none is planted."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.assemblies import (
    compute_activation,
    compute_explained_variance,
    find_assemblies,
    read_activity,
)


def simulate_activity(
    rng: np.random.Generator, *, n_bins: int = 4000, strength: float = 6.0, slow: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Twenty units; units 0–4 and 4–8 fire together now and then (unit 4 with both). Counts, or slow traces."""
    active = rng.random((2, n_bins)) < 0.02
    rate = np.full((n_bins, 20), 1.0)
    rate[:, 0:5] += strength * active[0][:, None]
    rate[:, 4:9] += strength * active[1][:, None]
    counts = rng.poisson(rate).astype(float)
    if slow:
        kernel = np.exp(-np.arange(60) / 15)
        counts = np.stack([np.convolve(unit, kernel)[:n_bins] for unit in counts.T], axis=1)
    return counts, active


def test_planted_assemblies_are_found_with_the_unit_they_share(rng: np.random.Generator) -> None:
    activity, _ = simulate_activity(rng)
    found = find_assemblies(activity, rng=rng)
    members = sorted(tuple(np.flatnonzero(pattern > 0.25)) for pattern in found.patterns)
    assert members == [(0, 1, 2, 3, 4), (4, 5, 6, 7, 8)]
    np.testing.assert_allclose(np.linalg.norm(found.patterns, axis=1), 1)


@pytest.mark.parametrize("threshold", ["marchenko-pastur", "circular-shift"])
def test_nothing_is_found_where_nothing_is_planted(threshold: str, rng: np.random.Generator) -> None:
    counts = [len(find_assemblies(rng.poisson(1.0, (2000, 20)) * 1.0, rng=rng, threshold=threshold)) for _ in range(8)]
    assert np.mean(counts) < 0.5


def test_slow_signals_need_shifts(rng: np.random.Generator) -> None:
    """Calcium without any assembly: Marchenko–Pastur takes slow fluctuations for assemblies, shifts do not."""
    activity, _ = simulate_activity(rng, strength=0.0, slow=True)
    assert len(find_assemblies(activity, rng=rng)) > 1
    assert len(find_assemblies(activity, rng=rng, threshold="circular-shift")) <= 1
    planted, _ = simulate_activity(rng, strength=25.0, slow=True)
    assert len(find_assemblies(planted, rng=rng, threshold="circular-shift")) == 2


def test_strength_rises_where_the_assembly_is_active_elsewhere(rng: np.random.Generator) -> None:
    wake, _ = simulate_activity(rng)
    sleep, active = simulate_activity(rng, strength=4.0)
    found = find_assemblies(wake, rng=rng)
    first = int(np.argmax(found.patterns[:, 0]))
    strength = compute_activation(sleep, found)[:, first]
    assert strength[active[0]].mean() > 10 * abs(strength[~active.any(axis=0)].mean())
    alone = np.zeros((1000, 20))
    alone[500, 0] = 30.0
    assert abs(compute_activation(alone, found)[500, first]) < 1e-6 * 30**2


def test_explained_variance_exceeds_its_reverse_only_after_learning(rng: np.random.Generator) -> None:
    before, _ = simulate_activity(rng, strength=0.0)
    task, _ = simulate_activity(rng)
    after, _ = simulate_activity(rng, strength=4.0)
    explained, reverse = compute_explained_variance(before, task, after)
    assert explained > 0.5
    assert reverse < 0.05
    swapped = compute_explained_variance(after, task, before)
    np.testing.assert_allclose(swapped, (reverse, explained))


def test_traces_and_trains_are_read_alike() -> None:
    import pynapple as nap

    times = np.arange(0, 10, 0.1) + 0.05
    frame = nap.TsdFrame(t=times, d=np.stack([times, 2 * times], axis=1))
    traces = read_activity(frame, bin_size=1.0, start=0.0, end=10.0)
    np.testing.assert_allclose(traces[:, 0], np.arange(10) + 0.5, atol=0.06)
    counts = read_activity({0: np.array([0.5, 0.6, 3.2])}, bin_size=1.0, start=0.0, end=4.0)
    assert counts[:, 0].tolist() == [2, 0, 0, 1]


def test_messages(rng: np.random.Generator) -> None:
    activity = rng.poisson(1.0, (100, 5)) * 1.0
    with pytest.raises(SharpwaveError, match="pca or ica"):
        find_assemblies(activity, rng=rng, method="nmf")
    with pytest.raises(SharpwaveError, match="circular-shift"):
        find_assemblies(activity, rng=rng, threshold="guess")
    with pytest.raises(SharpwaveError, match="more bins than units"):
        find_assemblies(activity[:4], rng=rng)
    with pytest.raises(SharpwaveError, match="template's 5 units"):
        compute_activation(activity[:, :4], find_assemblies(activity, rng=rng))
    with pytest.raises(SharpwaveError, match="same units in all three"):
        compute_explained_variance(activity, activity[:, :4], activity)
    with pytest.raises(SharpwaveError, match="at least two bins"):
        read_activity({0: np.array([0.5])}, bin_size=1.0, start=0.0, end=1.5)
