from __future__ import annotations

import numpy as np
import torch
from scipy import stats

from sharpwave.consolidation.admission import BalancedReservoir, ClassIndex, Reservoir


def keep(kind: type, keys: list[int], *, capacity: int, seed: int, batch: int) -> list[int]:
    """Which items of a stream are in the slots at its end."""
    admission, index, held = kind(capacity), ClassIndex(), {}
    generator = torch.Generator().manual_seed(seed)
    for first in range(0, len(keys), batch):
        part = [(key,) for key in keys[first : first + batch]]
        for row, slot in admission.offer(len(part), lambda part=part: part, index, generator=generator):
            held[slot] = first + row
    assert sorted(held) == list(range(min(capacity, len(keys))))
    assert all(index.keys[slot] == (keys[item],) for slot, item in held.items())
    return list(held.values())


def test_a_reservoir_is_uniform_over_the_stream() -> None:
    counts = np.zeros(60)
    for seed in range(600):
        counts[keep(Reservoir, [0] * 60, capacity=10, seed=seed, batch=7)] += 1
    assert stats.chisquare(counts).pvalue > 1e-3


def test_a_reservoir_skips_what_it_does_not_keep() -> None:
    admission, index = Reservoir(10), ClassIndex()
    generator = torch.Generator().manual_seed(0)
    placed = sum(len(admission.offer(100, lambda: [(0,)] * 100, index, generator=generator)) for _ in range(100))
    expected = 10 * (1 + np.log(10_000 / 10))
    assert abs(placed - expected) < 4 * np.sqrt(expected)


def test_a_balanced_reservoir_is_even_and_uniform_within_a_class() -> None:
    keys = [0] * 60 + [1] * 30 + [2] * 3 + [0] * 30
    counts = np.zeros(len(keys))
    for seed in range(400):
        held = keep(BalancedReservoir, keys, capacity=15, seed=seed, batch=9)
        assert np.bincount(np.array(keys)[held], minlength=3).tolist() == [6, 6, 3]
        counts[held] += 1
    assert stats.chisquare(counts[np.array(keys) == 0]).pvalue > 1e-3
    assert stats.chisquare(counts[np.array(keys) == 1]).pvalue > 1e-3
