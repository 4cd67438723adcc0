"""Whether a run can be decoded at all: without that no replay can be read.

Traversals are left out in folds; place fields and the walk come from the others. The error in the fold, past spikes
only and smoothed, stands beside two that know nothing: cells exchanged, and always the place where the animal was most.
The scan over lags moves the position against the spikes: two clocks that disagree look like cells without places.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.reactivation.counts import count_spikes, get_trains
from sharpwave.reactivation.decoding import (
    Posterior,
    Running,
    learn_running,
    learn_running_walk,
    locate,
    run_filter,
    run_smoother,
)
from sharpwave.reactivation.environments import Environment
from sharpwave.reactivation.place_fields import (
    PlaceFields,
    compute_log_likelihood,
    estimate_place_fields,
    mark_within,
)
from sharpwave.reactivation.position import GAP, Position, convert_metres, mark_running

BIN = 0.25
FOLDS = 5
LEAST_TRAVERSALS = 4
N_EXCHANGES = 19
"""Exchanges of cells: a run counts as decoded where it errs less than all of them, which is p = .05."""

MOST_PLACES = 250
LAGS = np.arange(-15.0, 15.01, 0.5)
FINE = 0.1
MOST_BINS = 4000
CLOCKS_APART = 0.5
"""Best lag in s from which the clocks are said to disagree."""

MUCH_BETTER = 0.75
"""Error at the best lag, as a share of that at none, from which it is believed."""


@dataclass(frozen=True)
class RunError:
    """How well the run on one track was decoded; errors are medians while the animal moves, as shares of the track.

    Attributes:
        content: Name of the track.
        length: Length of the track; in an open field its diagonal.
        unit: Unit of that length.
        past_only: Error with the spikes up to each moment.
        smoothed: Error with all spikes of the fold.
        exchanged: Mean error of decoders whose cells were exchanged.
        exchanged_least: The smallest of these errors.
        most_occupied: Error of always the place where the animal was most.
        n_bins: Bins of `BIN` s that were decoded.
        n_folds: Folds of traversals.
    """

    content: str
    length: float
    unit: str
    past_only: float
    smoothed: float
    exchanged: float
    exchanged_least: float
    most_occupied: float
    n_bins: int
    n_folds: int

    @property
    def decoded(self) -> bool:
        """Whether the run errs less than every decoder that knows nothing."""
        return self.past_only < min(self.exchanged_least, self.most_occupied)


@dataclass(frozen=True, eq=False)
class RunCheck:
    """Whether the run was decoded, and whether the clocks of spikes and position agree.

    Attributes:
        errors: One per track that has traversals enough.
        lags: Lags that were tried, in s: how late the clock of the position is.
        lag_errors: Error of a memoryless decoder at each lag, as a share of the track.
        best_lag: The lag with the least error, in s; NaN where none could be tried.
        best_error: The error there.
    """

    errors: tuple[RunError, ...]
    lags: Float[np.ndarray, " lag"]
    lag_errors: Float[np.ndarray, " lag"]
    best_lag: float
    best_error: float

    @property
    def decoded(self) -> bool | None:
        """Whether a run was decoded above chance; None where there were too few traversals to tell."""
        return any(error.decoded for error in self.errors) if self.errors else None

    @property
    def error_without_lag(self) -> float:
        return float(self.lag_errors[np.argmin(np.abs(self.lags))]) if len(self.lags) else float("nan")

    @property
    def clocks_apart(self) -> bool:
        """Whether another lag fits so much better than none that the clocks seem to disagree."""
        return bool(abs(self.best_lag) >= CLOCKS_APART and self.best_error < MUCH_BETTER * self.error_without_lag)

    def to_dict(self) -> dict[str, Any]:
        """For `summary.json`; lengths in the unit of the position."""
        return {
            "decoded_above_chance": self.decoded,
            "tracks": [asdict(error) | {"decoded_above_chance": error.decoded} for error in self.errors],
            "best_lag_s": self.best_lag,
            "error_at_best_lag": self.best_error,
            "error_without_lag": self.error_without_lag,
            "clocks_apart": self.clocks_apart,
            "lags_s": self.lags.tolist(),
            "error_by_lag": self.lag_errors.tolist(),
        }


def check_run(
    spikes: Any, environments: Sequence[Environment], *, rng: np.random.Generator, scan: bool = True
) -> RunCheck:
    """Decode the run from its own spikes, traversals left out in turn, and scan lags between the clocks.

    Args:
        spikes: Trains by unit.
        environments: Environments of the experience.
        rng: Random generator of the exchanges of cells.
        scan: Whether lags are scanned.

    >>> from sharpwave.simulation import simulate_night
    >>> from sharpwave.reactivation.environments import find_experience
    >>> recording, _ = simulate_night("rat", 0.3, rng=np.random.default_rng(0), modalities=("spikes", "position"))
    >>> environments = find_experience(recording).environments
    >>> check = check_run(recording.spikes, environments, rng=np.random.default_rng(0))
    >>> check.decoded, check.clocks_apart
    (True, False)
    """
    tracks = [track for environment in environments for track in _split_contents(environment)]
    errors = tuple(_decode_track(spikes, track, rng) for track in tracks)
    lags, curve, best, least = (
        scan_lags(spikes, tracks) if scan and tracks else (np.empty(0), np.empty(0), np.nan, np.nan)
    )
    return RunCheck(errors, lags, curve, best, least)


@dataclass(frozen=True, eq=False)
class _Track:
    """One track with its folds.

    Attributes:
        name: Name of the content.
        path: Position on it.
        laps: Its traversals; None in an open field.
        fold: Fold of each sample of the path, -1 where it is not scored.
    """

    name: str
    path: Position
    laps: pd.DataFrame | None
    fold: Int[np.ndarray, " time"]

    @property
    def length(self) -> float:
        if self.path.graph is not None:
            return self.path.graph.length
        return float(np.linalg.norm(np.ptp(self.path.values, axis=0)))

    @property
    def bin_size(self) -> float:
        """Size of a place: the usual one, or larger where there were too many of them."""
        extent = np.ptp(self.path.values, axis=0)
        usual = convert_metres(0.04, self.path)
        if self.path.dimension == 1:
            return max(usual, float(extent[0]) / MOST_PLACES)
        return max(usual, float(np.sqrt(np.prod(extent) / MOST_PLACES)))

    def measure(self, first: np.ndarray, second: np.ndarray) -> Float[np.ndarray, " bin"]:
        """Distance between places, as a share of the track."""
        if self.path.graph is not None:
            return self.path.graph.measure(first[:, 0], second[:, 0]) / self.length
        return np.linalg.norm(first - second, axis=1) / self.length


def _split_contents(environment: Environment) -> list[_Track]:
    """The tracks of an environment that have enough traversals, each with its folds: contiguous in time."""
    path, laps = environment.path, environment.laps
    if laps is None:
        moving = np.flatnonzero(mark_running(path))
        fold = np.full(len(path.times), -1)
        for number, part in enumerate(np.array_split(moving, FOLDS)):
            fold[part] = number
        long_enough = float(path.steps[moving].sum()) >= 20 * BIN * FOLDS
        return [_Track(environment.name, path, None, fold)] if long_enough else []
    tracks = []
    named = laps["content"].astype(str) if "content" in laps else pd.Series(environment.name, index=laps.index)
    for name in dict.fromkeys(named):
        own = laps[named == name].drop(columns="content", errors="ignore").sort_values("onset", ignore_index=True)
        if len(own) < LEAST_TRAVERSALS:
            continue
        fold = np.full(len(path.times), -1)
        pairs = np.arange(len(own)) // 2  # there and back stay together, or one direction would be missing
        for number, part in enumerate(np.array_split(np.unique(pairs), min(FOLDS, int(pairs[-1]) + 1))):
            fold[mark_within(path.times, own[np.isin(pairs, part)])] = number
        tracks.append(_Track(name, path, own, fold))
    return tracks


def _decode_track(spikes: Any, track: _Track, rng: np.random.Generator) -> RunError:
    path, parts = track.path, []
    units = list(spikes.keys())
    orders = np.stack([rng.permutation(len(units)) for _ in range(N_EXCHANGES)])
    for fold in range(track.fold.max() + 1):
        inside = np.flatnonzero(track.fold == fold)
        if not len(inside):
            continue
        start, end = float(path.times[inside[0]]), float(path.times[inside[-1]])
        rest = _leave_out(track, fold, start, end)
        fields = estimate_place_fields(spikes, path, epochs=rest, bin_size=track.bin_size)
        outside = _outside(path, start, end)
        walk = learn_running_walk(path, fields, seconds=BIN, epochs=outside)
        running = learn_running(spikes, path, fields, seconds=BIN, epochs=outside)
        times, counts = count_spikes(spikes, bin_size=BIN, start=start, end=end, units=fields.units)
        scored, truth = _find_truth(track, fold, times)
        if not scored.any():
            continue
        found = [*_decode_run(counts, fields, running), *_decode_exchanged(counts, fields, walk, orders)]
        places = [locate(Posterior(times, each), fields)[scored] for each in found]
        most = fields.position[np.argmax(_sum_directions(fields))]
        places.append(np.broadcast_to(most, truth[scored].shape))
        parts.append(np.stack([track.measure(each, truth[scored]) for each in places]))
    errors = np.median(np.concatenate(parts, axis=1), axis=1)
    exchanged = errors[2:-1]
    return RunError(
        content=track.name,
        length=track.length,
        unit=path.unit,
        past_only=float(errors[0]),
        smoothed=float(errors[1]),
        exchanged=float(exchanged.mean()),
        exchanged_least=float(exchanged.min()),
        most_occupied=float(errors[-1]),
        n_bins=sum(part.shape[1] for part in parts),
        n_folds=len(parts),
    )


def _outside(path: Position, start: float, end: float) -> pd.DataFrame:
    """The path's time but for a stretch of it."""
    first, last = float(path.times[0]), float(path.times[-1]) + GAP
    return pd.DataFrame({"onset": [first, end], "duration": [start - first, last - end]})


def _leave_out(track: _Track, fold: int, start: float, end: float) -> pd.DataFrame:
    """The traversals outside a fold, or in an open field the time outside it."""
    if track.laps is None:
        return _outside(track.path, start, end)
    laps = track.laps
    return laps[(laps["onset"] + laps["duration"] <= start + 1e-9) | (laps["onset"] >= end)]


def _find_truth(track: _Track, fold: int, times: np.ndarray) -> tuple[np.ndarray, Float[np.ndarray, "bin dimension"]]:
    """Bins of the fold in which the animal moves, and where it was in the middle of each bin."""
    path = track.path
    nearest = np.clip(np.searchsorted(path.times, times), 1, len(path.times) - 1)
    nearest -= times - path.times[nearest - 1] < path.times[nearest] - times
    near = np.abs(path.times[nearest] - times) < BIN
    return near & (track.fold[nearest] == fold) & mark_running(path)[nearest], path.values[nearest]


def _decode_run(
    counts: np.ndarray, fields: PlaceFields, running: Running
) -> tuple[Float[np.ndarray, "bin place"], Float[np.ndarray, "bin place"]]:
    """Posterior with the past alone, and with all spikes."""
    likelihood = running.compute_likelihood(counts, fields, bin_size=BIN)
    past, both = run_filter(likelihood, running.transition), run_smoother(likelihood, running.transition)
    return running.sum_paces(past), running.sum_paces(both)


def _decode_exchanged(
    counts: np.ndarray, fields: PlaceFields, walk: np.ndarray, orders: Int[np.ndarray, "decoder unit"]
) -> list[Float[np.ndarray, "bin place"]]:
    """Posterior with the past alone, of cells in other orders."""
    likelihoods = []
    for order in orders:
        logs = compute_log_likelihood(counts, replace(fields, rates=fields.rates[order]), bin_size=BIN)
        likelihoods.append(np.exp(logs - logs.max(axis=1, keepdims=True)))
    past = _filter_together(np.stack(likelihoods, axis=1), walk)
    return [past[:, each] for each in range(len(orders))]


def _filter_together(likelihood: Float[np.ndarray, "bin decoder place"], walk: np.ndarray) -> np.ndarray:
    """Forward recursion of several decoders at once, as `run_filter` does for one."""
    found = np.empty_like(likelihood)
    expected = np.full(likelihood.shape[1:], 1 / likelihood.shape[2])
    for t, weight in enumerate(likelihood):
        joint = expected * weight
        found[t] = joint / joint.sum(axis=1, keepdims=True)
        expected = found[t] @ walk
    return found


def _sum_directions(fields: PlaceFields) -> Float[np.ndarray, " place"]:
    """Time spent at each place, running directions together."""
    same = np.abs(fields.position[:, None] - fields.position[None]).max(axis=2) < fields.bin_size / 2
    return same @ fields.occupancy


def scan_lags(
    spikes: Any, tracks: Sequence[_Track]
) -> tuple[Float[np.ndarray, " lag"], Float[np.ndarray, " lag"], float, float]:
    """Median error of a memoryless decoder by lag, first in coarse steps, then (by the mean) finer about the best.

    Returns:
        Lags and errors of the coarse scan, the best lag in s and its error.
    """
    pieces = [_LagTrack.of(spikes, track) for track in tracks]

    def measure(lag: float) -> Float[np.ndarray, " bin"]:
        return np.concatenate([piece.measure(lag) for piece in pieces])

    curve = np.array([np.median(measure(lag)) for lag in LAGS])
    fine = LAGS[np.argmin(curve)] + FINE * np.arange(-5, 6)
    finer = [measure(lag) for lag in fine]
    best = int(np.argmin([errors.mean() for errors in finer]))
    return LAGS, curve, float(np.round(fine[best], 3)) + 0.0, float(np.median(finer[best]))


@dataclass(frozen=True, eq=False)
class _LagTrack:
    """What the scan needs of one track: times and places of bins in which the animal moves, and their folds."""

    track: _Track
    fields: PlaceFields
    trains: list[np.ndarray]
    times: Float[np.ndarray, " bin"]
    truth: Float[np.ndarray, "bin dimension"]
    place: Int[np.ndarray, " bin"]
    fold: Int[np.ndarray, " bin"]
    near: Float[np.ndarray, "place place"]

    @classmethod
    def of(cls, spikes: Any, track: _Track) -> _LagTrack:
        from scipy.spatial import cKDTree

        path = track.path
        fields = estimate_place_fields(spikes, path, epochs=track.laps, bin_size=track.bin_size, directional=False)
        grid = np.arange(path.times[0], path.times[-1], BIN)
        nearest = np.clip(np.searchsorted(path.times, grid), 0, len(path.times) - 1)
        scored = (track.fold[nearest] >= 0) & mark_running(path)[nearest] & (np.abs(path.times[nearest] - grid) < BIN)
        chosen = np.flatnonzero(scored)
        chosen = chosen[:: max(-(-len(chosen) // MOST_BINS), 1)]
        truth = path.values[nearest[chosen]]
        place = cKDTree(fields.position).query(truth)[1]
        along = fields.position
        apart = fields.distances if fields.distances is not None else np.linalg.norm(along[:, None] - along, axis=2)
        near = np.exp(-0.5 * (apart / convert_metres(0.05, path)) ** 2)
        fold = track.fold[nearest[chosen]]
        return cls(track, fields, get_trains(spikes), grid[chosen], truth, place, fold, near)

    def measure(self, lag: float) -> Float[np.ndarray, " bin"]:
        """Errors where the spikes are taken `lag` s before the position, as shares of the track."""
        from scipy.sparse import coo_array

        low = self.times - lag - BIN / 2
        counts = np.stack(
            [np.searchsorted(each, low + BIN) - np.searchsorted(each, low) for each in self.trains], axis=1
        )
        n_places = len(self.near)
        errors = np.empty(len(self.times))
        for fold in np.unique(self.fold):
            test = self.fold == fold
            time = np.bincount(self.place[~test], minlength=n_places) * BIN
            seen = counts[~test]
            visits = coo_array((np.ones(len(seen)), (self.place[~test], np.arange(len(seen)))), (n_places, len(seen)))
            sums = visits @ seen
            rates = np.maximum(self.near @ sums / np.maximum(self.near @ time, 0.1)[:, None], 0.05)
            logs = counts[test] @ np.log(rates).T - BIN * rates.sum(axis=1)
            found = self.fields.position[logs.argmax(axis=1)]
            errors[test] = self.track.measure(found, self.truth[test])
        return errors
