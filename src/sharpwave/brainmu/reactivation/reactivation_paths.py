"""Whether what a burst decodes to moves along a track, stays at a place, or jumps: measures of each burst.

All measures are log ratios given the number of spikes. A spike that follows another of its unit within a complex spike
says little that the first did not, and weighs less. What a path explains is held against the same trains in exchanged
cells, which keeps their number, their bursts and their group, and takes away the order alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import gammaln

from sharpwave.brainmu.reactivation.reactivation_cells import CELL_MEASURES, CellMaps, weigh_kinds
from sharpwave.brainmu.reactivation.reactivation_places import LEAST_RATE, PlaceFields
from sharpwave.moved import rename

BIN = 0.005
"""Seconds of a bin in which spikes are counted."""
STEP = 0.1
"""Metres from one path to the next, in start and displacement."""
FASTEST = 25.0
"""Metres per second of the fastest path."""
LEAST_MOVE, MOST_STAY = 3, 1
"""Steps: a path that moves covers at least the first; one that stays at most the second."""
COMPLEX, FOLLOWER = 0.010, 0.35
"""Seconds within which a spike follows another of its unit, and how much it then weighs."""
FOREIGN = 0.1
"""Share of spikes that come from anywhere: errors of sorting, remapping and background."""
LEAP, HOP = 0.2, 0.07
"""Chance per bin with which a jumping place leaps: after 25 ms on average, or after 70."""
BREAKS = np.array([0.35, 0.5, 0.65])
"""Shares of an event at which a path may leap once."""
LEAST_EVIDENCE = 2.0
"""Log ratio of a path to no place below which cells are not exchanged."""
N_EXCHANGES = 40
N_SHUFFLES = 20
"""Shuffles of the times of single cells' bursts within an event: places stay, their order goes."""
FAR_FROM_PATHS = (-5.0,) * (len(CELL_MEASURES) - 1)
"""What stands for the likelihoods cell by cell of spans that no path explains better than no place does."""
PRIOR = 6.0
"""Spikes that the prior of a group of cells without order is worth."""
MEASURES = (
    "moving", "staying", "jumping", "group", "moving per spike", "moving against staying", "moving against jumping",
    "moving against group", "staying against jumping", "order", "order rank", "stretch", "speed", "spread", "fit",
    "largest leap", "spikes", "active", "duration", "units", "order of place", "moving raw",
    "leaping", "leaping against jumping", "leaping against staying", "leaping against group", "hopping",
    "moving against hopping", "leaping against hopping", "raw against staying", "raw against hopping",
    "order of bursts", "rank of the order of bursts", "bursts", "order against hopping",
    "line", "leap", "hop", "stay", "foreign", "line against hop", "line against stay", "leap against hop",
    "line against foreign",
)  # fmt: skip
__getattr__ = rename(__name__, {"PathJudge": "brainmu.reactivation.reactivation_judge:PathJudge"})
PATHS = ("moves", "stays", "jumps", "none")
"""What a burst does: a path along a track; one place; place after place at random, as sequences of exchanged or
remapped cells also decode; nothing that is known of places."""


@dataclass(frozen=True, eq=False)
class PathMaps:
    """Place fields as log ratios, map by map.

    Attributes:
        ratio: Log of each unit's share of all spikes at a place to its mean share, shape (unit, place).
        mean: Mean share of each unit.
        first: First place of each map.
        last: Place after the last.
        step: Places in `STEP` metres.
        cells: The same fields cell by cell.
    """

    ratio: Float[np.ndarray, "unit place"]
    mean: Float[np.ndarray, " unit"]
    first: np.ndarray
    last: np.ndarray
    step: np.ndarray
    cells: CellMaps


def prepare_maps(fields: PlaceFields) -> PathMaps:
    """The place fields, sorted along each track, as `measure_paths` takes them."""
    order = np.lexsort([fields.position, fields.track])
    rates = np.maximum(fields.rates, LEAST_RATE)[:, order]
    mean = rates.mean(axis=1) / rates.mean(axis=1).sum()
    share = (1 - FOREIGN) * rates / rates.sum(axis=0) + FOREIGN * mean[:, None]
    track, position = fields.track[order], fields.position[order]
    first = np.flatnonzero(np.r_[True, track[1:] != track[:-1]])
    last = np.r_[first[1:], len(track)]
    gaps = [np.median(np.diff(position[a:b])) if b - a > 1 else STEP for a, b in zip(first, last, strict=True)]
    step = STEP / np.maximum(np.array(gaps, dtype=float), 1e-6)
    ratio = np.log(share / mean[:, None])
    cells = CellMaps(np.ascontiguousarray(rates.T), ratio, mean, first, last, STEP / step)
    return PathMaps(ratio, mean, first, last, step, cells)


def measure_paths(
    spikes: Any, events: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator
) -> Float[np.ndarray, "event measure"]:
    """Measures of every burst, in the order of `MEASURES`.

    Args:
        spikes: Trains by unit, as in `Recording.spikes`.
        events: onset and duration in s.
        fields: What the units fire where.
        rng: Random generator of the exchanges of cells.
    """
    maps = prepare_maps(fields)
    trains = [np.asarray(spikes[unit].t, dtype=float) for unit in fields.units]
    weights = [np.where(np.diff(t, prepend=-np.inf) < COMPLEX, FOLLOWER, 1.0) for t in trains]
    out = np.zeros((len(events), len(MEASURES)))
    for row, (onset, duration) in enumerate(events[["onset", "duration"]].to_numpy(float)):
        inside = [slice(*np.searchsorted(t, [onset, onset + duration])) for t in trains]
        active = np.flatnonzero([part.stop > part.start for part in inside])
        if len(active):
            times = [trains[unit][inside[unit]] - onset for unit in active]
            out[row] = _measure(times, [weights[unit][inside[unit]] for unit in active], active, duration, maps, rng)
    return out


def _measure(
    times: list[np.ndarray],
    weights: list[np.ndarray],
    active: np.ndarray,
    duration: float,
    maps: PathMaps,
    rng: np.random.Generator,
) -> Float[np.ndarray, " measure"]:
    from sharpwave.brainmu.reactivation._path_kernels import sum_moving, weigh_broken, weigh_hops, weigh_lines

    n_bins = max(int(np.ceil(duration / BIN - 1e-9)), 1)
    counts, raw = np.zeros((n_bins, len(active))), np.zeros((n_bins, len(active)))
    for column, (when, weight) in enumerate(zip(times, weights, strict=True)):
        bins = np.clip((when / BIN).astype(int), 0, n_bins - 1)
        np.add.at(counts[:, column], bins, weight)
        np.add.at(raw[:, column], bins, 1.0)
    full = counts.sum(axis=1) > 0
    share = ((np.arange(n_bins) + 0.5) / n_bins)[full]
    counts, raw = counts[full], raw[full]
    longest = int(((maps.last - maps.first - 1) / maps.step).max() + 1e-6)
    n_half = int(min(longest, max(np.ceil(FASTEST * duration / STEP), LEAST_MOVE + 1)))
    lines = np.empty((len(maps.first), longest + 1, 2 * n_half + 1))

    def weigh(gain: np.ndarray) -> np.ndarray:
        weigh_lines(gain, share, maps.first, maps.last, maps.step, float(n_half), lines)
        return np.asarray(sum_moving(lines, n_half, LEAST_MOVE, MOST_STAY))

    gain_raw = raw @ maps.ratio[active]
    moved_raw, stayed_raw = weigh(gain_raw)
    gain = counts @ maps.ratio[active]
    moving, staying = weigh(gain)
    best = _describe_best(lines, gain, share, duration, n_half, maps)
    jumping, hopping = weigh_hops(gain, LEAP), weigh_hops(gain, HOP)
    leaping = weigh_broken(gain, share, maps.first, maps.last, maps.step, n_half, LEAST_MOVE, BREAKS)
    total = counts.sum(axis=0)
    group = _weigh_group(total, maps.mean[active], len(maps.mean))
    n_exchanges = N_EXCHANGES if max(moving, leaping) >= LEAST_EVIDENCE else 1
    orders = (rng.permutation(active) if n_exchanges > 1 else active for _ in range(n_exchanges))
    chance = np.array([weigh(counts @ maps.ratio[order]) for order in orders])
    spread = max(float(chance[:, 0].std()), 0.5)
    order = (moving - chance[:, 0].mean()) / spread
    contrast = chance[:, 0] - chance[:, 1]
    rank = (1 + (chance[:, 0] >= moving).sum()) / (1 + n_exchanges)
    stretch, speed, width, fit, leap = best
    more = _measure_packets(
        _Packets.of(times, weights), active, duration, lines, maps, n_half, (moving, hopping), n_exchanges > 1, rng
    )
    n = total.sum()
    return np.array(
        [
            moving, staying, jumping, group, moving / n, moving - staying, moving - jumping, moving - group,
            staying - jumping, order, np.log(rank), stretch, speed, width, fit, leap, np.sqrt(n),
            np.sqrt(len(active)), np.log(duration), np.log(len(maps.mean)),
            ((moving - staying) - contrast.mean()) / max(float(contrast.std()), 0.5), moved_raw,
            leaping, leaping - jumping, leaping - staying, leaping - group,
            hopping, moving - hopping, leaping - hopping, moved_raw - stayed_raw,
            moved_raw - weigh_hops(gain_raw, HOP),
            *more,
        ]
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Packets:
    """Bursts of single cells within an event: `new` says which spikes begin one, `which` names each spike's."""

    when: Float[np.ndarray, " spike"]
    weight: Float[np.ndarray, " spike"]
    unit: np.ndarray
    new: np.ndarray
    which: np.ndarray
    first: Float[np.ndarray, " packet"]

    @classmethod
    def of(cls, times: list[np.ndarray], weights: list[np.ndarray]) -> _Packets:
        when, unit = np.concatenate(times), np.repeat(np.arange(len(times)), [len(each) for each in times])
        new = np.r_[True, (np.diff(unit) != 0) | (np.diff(when) > COMPLEX)]
        return cls(when, np.concatenate(weights), unit, new, np.cumsum(new) - 1, when[new])


def _measure_packets(
    packets: _Packets,
    active: np.ndarray,
    duration: float,
    lines: np.ndarray,
    maps: PathMaps,
    n_half: int,
    evidence: tuple[float, float],
    worth: bool,
    rng: np.random.Generator,
) -> list[float]:
    """The measures from "order of bursts" on; what stands for them where a closer look is not `worth` its time."""
    n_bins = max(int(np.ceil(duration / BIN - 1e-9)), 1)
    n_shuffles = N_SHUFFLES if worth else 0
    order, rank, beyond = _shuffle_packets(
        packets, maps.ratio[active], n_bins, lines, (maps, n_half), *evidence, n_shuffles, rng
    )
    kinds = np.array(FAR_FROM_PATHS)
    if worth:
        cells = active[packets.unit[packets.new]]
        kinds = weigh_kinds(cells, packets.first, duration, maps.cells, bin_size=BIN, rng=rng)
    line, leap, hop, stay, foreign = kinds[: len(FAR_FROM_PATHS)].tolist()
    root = float(np.sqrt(len(packets.first)))
    return [
        order,
        rank,
        root,
        beyond,
        line,
        leap,
        hop,
        stay,
        foreign,
        line - hop,
        line - stay,
        leap - hop,
        line - foreign,
    ]


def _shuffle_packets(
    packets: _Packets,
    ratio: Float[np.ndarray, "unit place"],
    n_bins: int,
    lines: np.ndarray,
    grid: tuple[PathMaps, int],
    moving: float,
    hopping: float,
    n_shuffles: int,
    rng: np.random.Generator,
) -> Float[np.ndarray, " 3"]:
    """How far a path's evidence, its rank, and what it has beyond hops, are above those of shuffled times."""
    from sharpwave.brainmu.reactivation._path_kernels import sum_moving, weigh_hops, weigh_lines

    if not n_shuffles:
        return np.zeros(3)
    maps, n_half = grid
    found = np.zeros((n_shuffles, 2))
    for row in range(n_shuffles):
        at = rng.permutation(packets.first)[packets.which] + packets.when - packets.first[packets.which]
        bins = np.clip((at / BIN).astype(int), 0, n_bins - 1)
        gain = np.zeros((n_bins, ratio.shape[1]))
        np.add.at(gain, bins, packets.weight[:, None] * ratio[packets.unit])
        full = np.bincount(bins, minlength=n_bins) > 0
        share = ((np.arange(n_bins) + 0.5) / n_bins)[full]
        gain = gain[full]
        weigh_lines(gain, share, maps.first, maps.last, maps.step, float(n_half), lines)
        moved = sum_moving(lines, n_half, LEAST_MOVE, MOST_STAY)[0]
        found[row] = moved, moved - weigh_hops(gain, HOP)
    middle, spread = found.mean(axis=0), np.maximum(found.std(axis=0), 0.5)
    rank = (1 + (found[:, 0] >= moving).sum()) / (1 + n_shuffles)
    return np.array([(moving - middle[0]) / spread[0], np.log(rank), (moving - hopping - middle[1]) / spread[1]])


def _weigh_group(total: np.ndarray, mean: np.ndarray, n_units: int) -> float:
    """Log ratio of a group of cells of any composition to the mean shares, given the number of spikes."""
    prior = PRIOR * n_units / 20
    each = gammaln(prior * mean + total) - gammaln(prior * mean) - total * np.log(mean)
    return float(gammaln(prior) - gammaln(prior + total.sum()) + each.sum())


def _describe_best(
    lines: np.ndarray, gain: np.ndarray, share: np.ndarray, duration: float, n_half: int, maps: PathMaps
) -> tuple[float, float, float, float, float]:
    """Displacement (m), speed (m/s), uncertainty of the displacement (m), share that the best path explains, leap."""
    chance = np.exp(lines - lines.max())
    by_move = chance.sum(axis=(0, 1))
    by_move /= by_move.sum()
    distance = np.abs(np.arange(-n_half, n_half + 1)) * STEP
    stretch = float(by_move @ distance)
    width = float(np.sqrt(max(by_move @ distance**2 - stretch**2, 0.0)))
    which, start, move = np.unravel_index(int(lines.argmax()), lines.shape)
    step, first, last = float(maps.step[which]), int(maps.first[which]), int(maps.last[which])
    at = np.clip((start + (move - n_half) * share) * step, 0, last - first - 1)
    place = np.exp(gain - gain.max(axis=1, keepdims=True))
    place /= place.sum(axis=1, keepdims=True)
    near = np.abs(np.arange(last - first) - at[:, None]) <= 2 * step
    fit = float((place[:, first:last] * near).sum(axis=1).mean())
    smooth = np.apply_along_axis(np.convolve, 0, gain[:, first:last], np.ones(3), "same")
    peaks = smooth.argmax(axis=1) / step * STEP
    leap = float(np.abs(np.diff(peaks)).max()) if len(peaks) > 1 else 0.0
    return stretch, stretch / duration, width, fit, leap
