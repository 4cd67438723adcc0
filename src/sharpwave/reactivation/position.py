"""Where the animal was: position over time, along the track, and how fast it moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter1d

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.tracking import check_clocks, read_track
from sharpwave.reactivation.tracks import TrackGraph
from sharpwave.recordings import Recording

TRACK_METRES = 2.0
"""Length that a track is taken to have where the unit is not the metre, so that defaults in metres mean something."""

LEAST_SPEED = 0.05
"""Metres per second from which an animal runs."""

GAP = 0.5
"""Seconds without a sample after which position counts as unknown."""

SIDEWAYS = 0.25
"""Share of the track's length that a sample may lie beside its axis; further away the animal is not on the track."""

JUMP = 10.0
"""A step this many times longer than the 95th percentile of all steps is a jump of the tracker, not of the animal."""

MOSTLY_JITTER = 0.5
"""Share of all steps, by their length, that fall at rest: beyond it they are the tracker's jitter, not the animal's."""


@dataclass(frozen=True, eq=False)
class Position:
    """Positions of the animal.

    Attributes:
        times: Times of the samples, in s, rising.
        values: Position, without NaN.
        unit: "m"; another ("pixels") where the scale is unknown.
        explained: Share of the variance that lies along the track, where `linearise` made it.
        notes: Sentences that say which series it is, and what of it was left out.
        velocity: Velocity along the track, where it branches: the values alone, which jump between its arms, do not
            give it.
        graph: The track, where it branches; the values are positions on its line.
    """

    times: Float[np.ndarray, " time"]
    values: Float[np.ndarray, "time dimension"]
    unit: str = "m"
    explained: float = 1.0
    notes: tuple[str, ...] = ()
    velocity: Float[np.ndarray, "time dimension"] | None = None
    graph: TrackGraph | None = None

    @property
    def dimension(self) -> int:
        return self.values.shape[1]

    @property
    def steps(self) -> Float[np.ndarray, " time"]:
        """Seconds that each sample lasts: to the next one, but none longer than twice the median."""
        if len(self.times) < 2:
            return np.zeros(len(self.times))
        gaps = np.diff(self.times, append=self.times[-1] + np.median(np.diff(self.times)))
        return np.minimum(gaps, 2 * np.median(gaps))


def get_position(recording: Recording) -> Position:
    """The recording's position; samples without a value, and those that mark a lost animal, are left out.

    Where there are several series, the best is taken and those of other epochs are joined to it (`read_track`); to
    choose another, call `choose_position` first.

    Args:
        recording: Recording with a signal "position", shape (time,) or (time, dimension).

    Raises:
        SharpwaveError: If there is none, no sample with a value, or none on the clock of the spikes.

    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> signal = Signal("position", np.array([0.0, np.nan, 0.4]), 2.0, MODALITIES["position"])
    >>> position = get_position(Recording(signals={"position": signal}))
    >>> position.times.tolist(), position.values[:, 0].tolist(), position.unit
    ([0.0, 1.0], [0.0, 0.4], 'm')
    """
    if not recording.of("position"):
        raise SharpwaveError(
            "a recording with position",
            got=", ".join(recording.signals) or "no signals",
            fix="read a session with tracking, or name its series with --position (`choose_position` in Python)",
        )
    track = read_track(recording)
    check_clocks(recording.spikes, track.times)
    return Position(track.times, track.values, track.unit, notes=track.notes)


def restrict_position(position: Position, start: float, end: float) -> Position:
    """The samples in [start, end)."""
    return select_samples(position, (position.times >= start) & (position.times < end))


def select_samples(position: Position, chosen: Bool[np.ndarray, " time"]) -> Position:
    """The samples that are chosen."""
    velocity = None if position.velocity is None else position.velocity[chosen]
    return replace(position, times=position.times[chosen], values=position.values[chosen], velocity=velocity)


def convert_metres(length: float, position: Position) -> float:
    """A length in metres in the position's unit; where that is not the metre, a track is taken to be 2 m long."""
    return length if position.unit == "m" else length / TRACK_METRES * measure_length(position)


def measure_length(position: Position) -> float:
    """Extent of the movement; where the track branches, the longest of the shortest ways between two of its nodes."""
    if position.graph is not None:
        return float(position.graph.node_distances.max())
    return float(np.ptp(position.values, axis=0).max())


def linearise(position: Position) -> Position:
    """Position along a straight track, from its start at 0: the projection on the principal axis of the movement.

    Every sample counts by how far the animal had moved since the one before, so that long rests, in or beside the
    track, do not turn the axis; jumps of the tracker do not count, nor does its jitter at rest where that is most of
    the way. Samples far to the side are left out. The axis
    points the way in which its larger coordinate grows.

    Args:
        position: Position in two or more dimensions; in one dimension it is returned, counted from its least value.

    Returns:
        Position in one dimension, and the share of the movement's variance along the axis (`explained`).

    Raises:
        SharpwaveError: If the animal never moves.
    """
    if position.dimension == 1:
        return replace(position, values=position.values - position.values.min())
    travelled = np.linalg.norm(np.diff(position.values, axis=0, prepend=position.values[:1]), axis=1)
    usual_extent = float(np.ptp(np.percentile(position.values, [1, 99], axis=0), axis=0).max())
    least = LEAST_SPEED * (1.0 if position.unit == "m" else usual_extent / TRACK_METRES)
    running = mark_running(position, min_speed=least)
    if running.any() and travelled[~running].sum() > MOSTLY_JITTER * travelled.sum():
        travelled = np.where(running, travelled, 0.0)
    moving = travelled[travelled > 0]
    if not moving.size:
        raise SharpwaveError("an animal that moves", got="one place throughout", fix="check the tracking")
    usual = float(np.quantile(moving, 0.95))
    weights = np.where(travelled < JUMP * usual, np.minimum(travelled, 2 * usual), 0.0)
    centre = np.average(position.values, axis=0, weights=weights)
    spread = np.cov(position.values.T, aweights=weights)
    variances, axes = np.linalg.eigh(spread)
    axis = axes[:, -1] * np.sign(axes[np.argmax(np.abs(axes[:, -1])), -1])
    along = (position.values - centre) @ axis
    beside = np.linalg.norm(position.values - centre - along[:, None] * axis, axis=1)
    order = np.argsort(along)
    share = np.cumsum(weights[order]) / weights.sum()
    low, high = np.interp([0.005, 0.995], share, along[order])
    length = high - low
    on_track = (beside < SIDEWAYS * length) & (along > low - 0.1 * length) & (along < high + 0.1 * length)
    values = np.clip(along[on_track] - low, 0, length)
    return Position(position.times[on_track], values[:, None], position.unit, float(variances[-1] / variances.sum()))


def compute_velocity(position: Position, *, smoothing: float = 0.25) -> Float[np.ndarray, "time dimension"]:
    """Velocity of the smoothed position, per second; 0 beside gaps of the tracking.

    Args:
        position: Position in any number of dimensions.
        smoothing: Standard deviation of the Gaussian that smooths the position, in s; 0.25 s by default.
    """
    if position.velocity is not None:
        return position.velocity
    if len(position.times) < 3:
        return np.zeros_like(position.values)
    steps = np.diff(position.times)
    smooth = gaussian_filter1d(position.values, smoothing / float(np.median(steps)), axis=0)
    velocity = np.gradient(smooth, position.times, axis=0)
    velocity[np.r_[False, steps > GAP] | np.r_[steps > GAP, False]] = 0.0
    return velocity


def mark_running(
    position: Position, *, min_speed: float | None = None, smoothing: float = 0.25
) -> Bool[np.ndarray, " time"]:
    """Samples at which the animal is faster than `min_speed` (per second; 0.05 m/s where omitted)."""
    least = convert_metres(LEAST_SPEED, position) if min_speed is None else min_speed
    return np.linalg.norm(compute_velocity(position, smoothing=smoothing), axis=1) > least


def find_runs(position: Position, *, min_speed: float | None = None, min_distance: float | None = None) -> pd.DataFrame:
    """Traversals: stretches of movement in one direction along the track.

    Args:
        position: Position in one dimension.
        min_speed: Least speed that counts as running, per second; 0.05 m/s where omitted.
        min_distance: Length of the shortest traversal; 30 % of the track where omitted.

    Returns:
        onset and duration in s, direction (+1 outbound, -1 inbound), start and end of the path.

    Raises:
        SharpwaveError: If position has more than one dimension.
    """
    if position.dimension != 1:
        raise SharpwaveError(
            "position along a track", got=f"{position.dimension} dimensions", fix="call linearise(position) first"
        )
    values = position.values[:, 0]
    way = values if position.velocity is None else np.cumsum(position.velocity[:, 0] * position.steps)
    least = 0.3 * measure_length(position) if min_distance is None else min_distance
    running = mark_running(position, min_speed=min_speed)
    sign = np.where(running, np.sign(compute_velocity(position)[:, 0]), 0).astype(int)
    breaks = (np.diff(sign) != 0) | (np.diff(position.times) > GAP)
    edges = np.r_[0, np.flatnonzero(breaks) + 1, len(sign)]
    rows = [
        (position.times[low], position.times[high - 1] - position.times[low], sign[low], values[low], values[high - 1])
        for low, high in pairwise(edges.tolist())
        if high > low and sign[low] and abs(way[high - 1] - way[low]) >= least
    ]
    return pd.DataFrame(rows, columns=["onset", "duration", "direction", "start", "end"])
