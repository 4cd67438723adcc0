"""How likely the spikes of a burst are along each kind of path, cell by cell.

Unlike the log ratios of `reactivation_paths`, silence counts: a cell whose field the path crosses should fire, unless
it takes no part. Paths are drawn as they are thought to be, and begun where the spikes make them likely; what this
choice favours is weighed out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import logsumexp

ABSENT = 0.2
"""Chance that a cell takes no part in a burst that holds places."""
STRAY = 0.1
"""Share of spikes that no place explains."""
N_LINES, N_LEAPS, N_HOPS, N_STAYS, N_FOREIGN, N_SHUFFLED = 250, 120, 160, 40, 25, 8
"""Paths that are drawn: straight, with one leap, of places that follow each other, of one place; straight ones in each
of so many exchanges of the cells."""
LEAST_WAY, FASTEST = 0.4, 22.0
"""Metres that a path covers at least, and metres per second of the fastest."""
SLOWEST = 2.5
STAYS = (0.02, 0.07)
"""Seconds that a hopping burst stays at a place."""
TEMPER = 0.8
CELL_MEASURES = ("line", "leap", "hop", "stay", "foreign", "group")
JOINED = 0.2
"""Chance of a cell to join a burst without place."""


@dataclass(frozen=True, eq=False)
class CellMaps:
    """Place fields cell by cell.

    Attributes:
        rates: Rate of each cell in Hz, shape (place, cell); places sorted map by map.
        ratio: Log ratio of each cell at each place to no place, shape (cell, place).
        mean: Share of each cell in all spikes.
        first: First place of each map.
        last: Place after the last.
        size: Metres from one place to the next, by map.
    """

    rates: Float[np.ndarray, "place cell"]
    ratio: Float[np.ndarray, "cell place"]
    mean: Float[np.ndarray, " cell"]
    first: np.ndarray
    last: np.ndarray
    size: np.ndarray


def weigh_kinds(
    cells: Int[np.ndarray, " spike"],
    times: Float[np.ndarray, " spike"],
    duration: float,
    maps: CellMaps,
    *,
    bin_size: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, " kind"]:
    """Log likelihood of a burst under each of `CELL_MEASURES`, less that of a group of cells of its size.

    Args:
        cells: Cell of each spike; of a complex spike the first alone.
        times: Seconds from the onset of the burst.
        duration: Length of the burst, in s.
        maps: Place fields.
        bin_size: Seconds of a bin.
        rng: Random generator of paths and exchanges.
    """
    from sharpwave.brainmu.reactivation._cell_kernels import weigh_paths

    n_bins = max(int(np.ceil(duration / bin_size - 1e-9)), 1)
    bins = np.clip((times / bin_size).astype(np.int64), 0, n_bins - 1)
    n_cells = maps.rates.shape[1]
    gain = np.zeros((n_bins, maps.ratio.shape[1]))
    np.add.at(gain, bins, maps.ratio[cells])
    counts = np.bincount(cells, minlength=n_cells).astype(float)
    stray = 0.02 + STRAY * len(cells) * maps.mean
    rates = maps.rates * bin_size
    found = np.empty(len(CELL_MEASURES))
    drawn = [_draw(kind, n, n_bins, bin_size, duration, gain, maps, rng) for kind, n in _KINDS]
    for row, (paths, weight) in enumerate(drawn):
        value = np.empty(len(paths))
        weigh_paths(rates, stray, cells, bins, counts, paths, ABSENT, value)
        found[row] = logsumexp(value + weight) - np.log(len(paths))
    foreign = []
    for _ in range(N_SHUFFLED):
        order = rng.permutation(n_cells)
        gain = np.zeros_like(gain)
        np.add.at(gain, bins, maps.ratio[order[cells]])
        paths, weight = _draw("line", N_FOREIGN, n_bins, bin_size, duration, gain, maps, rng)
        value = np.empty(len(paths))
        weigh_paths(
            rates, stray[np.argsort(order)], order[cells], bins, counts[np.argsort(order)], paths, ABSENT, value
        )
        foreign.append(logsumexp(value + weight) - np.log(len(paths)))
    found[4] = logsumexp(foreign) - np.log(N_SHUFFLED)
    size = max(len(cells) / max((counts > 0).sum(), 1), 1.2)
    each = np.logaddexp(
        np.log(JOINED) + counts * np.log((size + stray) / n_bins) - size - stray,
        np.log(1 - JOINED) + counts * np.log(stray / n_bins) - stray,
    )
    found[5] = each.sum()
    found[:5] -= found[5]
    return found


_KINDS = (("line", N_LINES), ("leap", N_LEAPS), ("hop", N_HOPS), ("stay", N_STAYS))


def _draw(
    kind: str,
    n: int,
    n_bins: int,
    bin_size: float,
    duration: float,
    gain: np.ndarray,
    maps: CellMaps,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Places of each path in each bin, and log weights."""
    from sharpwave.brainmu.reactivation._cell_kernels import draw_pieces

    which = rng.integers(len(maps.first), size=n)
    slopes, pieces = np.zeros(n), np.zeros((n, n_bins), dtype=np.int64)
    if kind in ("line", "leap"):
        length = (maps.last - maps.first)[which] * maps.size[which]
        low = np.maximum(np.log(LEAST_WAY / duration), np.log(SLOWEST))
        high = np.maximum(np.log(np.minimum(0.97 * length / duration, FASTEST)), low + 1e-3)
        speed = np.exp(rng.uniform(low, high)) * rng.choice([-1.0, 1.0], n)
        slopes = speed * bin_size / maps.size[which]
    if kind == "leap":
        pieces = (np.arange(n_bins) >= rng.uniform(0.3, 0.7, (n, 1)) * n_bins).astype(np.int64)
    if kind == "hop":
        stay = rng.uniform(*STAYS, (n, 1))
        moved = rng.random((n, n_bins)) < bin_size / stay
        moved[:, 0] = False
        pieces = moved.cumsum(axis=1)
    paths, weight = np.empty((n, n_bins), dtype=np.int64), np.empty(n)
    uniform = rng.random((n, n_bins))
    draw_pieces(gain, maps.first, maps.last, which, slopes, pieces, uniform, TEMPER, paths, weight)
    return paths, weight
