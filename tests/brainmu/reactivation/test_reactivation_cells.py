"""Likelihood of bursts cell by cell, against sums by hand; beginnings that are favoured are weighed out again."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import poisson

from sharpwave.brainmu.reactivation._cell_kernels import draw_pieces, weigh_paths
from sharpwave.brainmu.reactivation.reactivation_cells import CELL_MEASURES, CellMaps, weigh_kinds

N_CELLS, N_PLACES = 40, 40
PLACES = (np.arange(N_PLACES) + 0.5) * 0.05


def make_maps() -> CellMaps:
    """One track of 2 m."""
    centres = np.linspace(0.0, 2.0, N_CELLS)[:, None]
    rates = 0.1 + 12 * np.exp(-0.5 * ((PLACES - centres) / 0.12) ** 2)
    mean = rates.mean(axis=1) / rates.mean(axis=1).sum()
    share = 0.9 * rates / rates.sum(axis=0) + 0.1 * mean[:, None]
    ratio = np.log(share / mean[:, None])
    return CellMaps(np.ascontiguousarray(rates.T), ratio, mean, np.array([0]), np.array([N_PLACES]), np.array([0.05]))


def fire(
    path: np.ndarray, maps: CellMaps, rng: np.random.Generator, *, gain: float = 5.0
) -> tuple[np.ndarray, np.ndarray]:
    """Cells and times of spikes along a path in steps of 2 ms; a fifth of the cells take no part."""
    at = np.clip((path / 0.05).astype(int), 0, N_PLACES - 1)
    counts = rng.poisson(gain * maps.rates[at] * 0.002 * (rng.random(N_CELLS) > 0.2))
    step, cell = np.nonzero(counts)
    return np.repeat(cell, counts[step, cell]), 0.002 * np.repeat(step, counts[step, cell]) + 1e-4


def test_a_path_is_as_likely_as_by_hand() -> None:
    maps = make_maps()
    rates, stray = maps.rates * 0.005, np.full(N_CELLS, 0.05)
    path = np.array([[3, 5, 7, 9], [30, 30, 30, 30]])
    cells, bins = np.array([3, 6, 7]), np.array([0, 2, 2])
    counts = np.bincount(cells, minlength=N_CELLS).astype(float)
    found = np.empty(2)
    weigh_paths(rates, stray, cells, bins, counts, path, 0.2, found)
    table = np.zeros((4, N_CELLS))
    table[bins, cells] = 1
    for row, places in enumerate(path):
        expected = rates[places]
        gain = np.clip(max(3 - stray.sum(), 1.0) / (0.8 * expected.sum()), 0.3, 30.0)
        there = poisson.logpmf(table, gain * expected + stray / 4).sum(axis=0)
        alone = poisson.logpmf(table, np.broadcast_to(stray / 4, table.shape)).sum(axis=0)
        assert found[row] == pytest.approx(np.logaddexp(np.log(0.8) + there, np.log(0.2) + alone).sum(), rel=1e-9)


def test_beginnings_that_are_favoured_are_weighed_out(rng: np.random.Generator) -> None:
    n, n_bins = 20_000, 6
    gain = rng.normal(size=(n_bins, N_PLACES))
    pieces = np.tile([0, 0, 0, 1, 1, 1], (n, 1))
    paths, weight = np.empty((n, n_bins), dtype=np.int64), np.empty(n)
    draw_pieces(
        gain, np.array([0]), np.array([N_PLACES]), np.zeros(n, dtype=np.int64), np.full(n, 1.0), pieces,
        rng.random((n, n_bins)), 0.8, paths, weight,
    )  # fmt: skip
    chance = np.exp(weight)
    assert chance.mean() == pytest.approx(1.0, abs=0.03)
    assert (paths.min(), paths.max()) == (0, N_PLACES - 1)
    np.testing.assert_array_equal(paths[:, 2] - paths[:, 0], 2)
    starts = np.arange(N_PLACES - 2)
    by_start = np.bincount(paths[:, 0], chance, len(starts)) / n
    np.testing.assert_allclose(by_start, 1 / len(starts), atol=0.012)


def test_kinds_are_most_likely_as_themselves() -> None:
    maps, rng = make_maps(), np.random.default_rng(3)
    steps = np.arange(60) / 60
    group = rng.permutation(N_CELLS)[:10]
    found: dict[str, list[np.ndarray]] = {"line": [], "stay": [], "hop": [], "group": []}
    for _ in range(12):
        hops = rng.permutation(np.array([0.2, 0.7, 1.2, 1.7]))[(steps * 4).astype(int)]
        for kind, path in (("line", 0.3 + 1.4 * steps), ("stay", np.full(60, rng.uniform(0, 2))), ("hop", hops)):
            found[kind].append(weigh_kinds(*fire(path, maps, rng), 0.12, maps, bin_size=0.005, rng=rng))
        cells = np.repeat(rng.permutation(group)[:8], 2)
        found["group"].append(weigh_kinds(cells, 0.12 * rng.random(16), 0.12, maps, bin_size=0.005, rng=rng))
    middle = {kind: dict(zip(CELL_MEASURES, np.median(rows, axis=0), strict=True)) for kind, rows in found.items()}
    for kind in ("line", "stay", "hop"):
        others = [middle[kind][name] for name in ("line", "stay", "hop", "foreign") if name != kind]
        assert middle[kind][kind] > max(others) + 1, kind
        assert middle[kind][kind] > 5, kind
    assert max(middle["group"][name] for name in ("line", "stay", "hop")) < 0
