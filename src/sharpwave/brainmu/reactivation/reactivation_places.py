"""What spikes say about places on known tracks, frame by frame, with nothing from after the frame.

Every measure is a log ratio given the number of spikes, because replay is faster than experience and denser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

SPAN = 4
"""Frames of spikes that a place is told from at once."""
SPEED = 10.0
"""Metres per second that a replay moves at most: trajectories run at about 8 (Davidson et al. 2009)."""
JUMP = 0.02
"""Chance per frame that a path starts anew anywhere."""
LEAST_RATE = 0.05
"""Hz: floor of the fields."""
N_PLACE_MEASURES = 4


@dataclass(frozen=True, eq=False)
class PlaceFields:
    """What each unit fires where: one row of places after another, along one or more tracks and directions.

    Attributes:
        units: Keys of `Recording.spikes`.
        rates: Firing rate in Hz, shape (unit, place).
        track: Which track and direction a place belongs to, shape (place,).
        position: Along it, in metres, shape (place,).
    """

    units: tuple[int, ...]
    rates: Float[np.ndarray, "unit place"]
    track: Int[np.ndarray, " place"]
    position: Float[np.ndarray, " place"]


class PlaceTracker:
    """Measures of places over consecutive blocks of frames; what it knows of the path goes from block to block.

    Args:
        fields: What the units fire where.
        frame: Length of a frame, in seconds.
    """

    def __init__(self, fields: PlaceFields, *, frame: float) -> None:
        rates = np.maximum(fields.rates, LEAST_RATE)
        mean = rates.mean(axis=1)
        self.ratio = np.log(rates / rates.sum(axis=0)) - np.log(mean / mean.sum())[:, None]
        distance = np.abs(fields.position[:, None] - fields.position)
        same = fields.track[:, None] == fields.track
        self.near = (same & (distance <= SPEED * SPAN * frame)).astype(float)
        self.near = (self.near / self.near.mean()).astype(np.float32)
        self.starts, self.columns, self.weights = _list_neighbours(np.where(same, distance, np.inf), SPEED * frame)
        self.path = np.full(len(fields.track), 1 / len(fields.track))

    def measure(self, counts: Float[np.ndarray, "frame_and_context unit"]) -> Float[np.ndarray, "frame measure"]:
        """How well places explain the spikes, and how well a path does.

        Args:
            counts: Spikes per frame; the first 2 · `SPAN` frames are context.

        Returns:
            Over `SPAN` frames: the log ratio of places to no place, and of the places before and now being near. Over
            the frame: the log ratio of a path (a random walk from what came before) to no place, and to any place.
        """
        from sharpwave.brainmu.reactivation._place_kernels import follow_path

        n_frames = len(counts) - 2 * SPAN
        gains, n_spikes = counts @ self.ratio, counts.sum(axis=1, dtype=float)
        walk = follow_path(
            gains[2 * SPAN :], n_spikes[2 * SPAN :], self.starts, self.columns, self.weights, self.path, JUMP
        )
        gain, spiking = sum_recent(gains.astype(np.float32), SPAN)[1:], (sum_recent(n_spikes, SPAN) > 0)[-n_frames:]
        top = gain.max(axis=1, keepdims=True)
        place = np.exp(np.subtract(gain, top, out=gain), out=gain)
        mass = place.sum(axis=1)
        evidence = (top[:, 0] + np.log(mass / place.shape[1]))[-n_frames:]
        place /= mass[:, None]
        near = np.einsum("fp,fp->f", place[:-SPAN] @ self.near, place[SPAN:])
        overlap = np.log(near + 1e-2)[-n_frames:]
        return np.column_stack([np.where(spiking, evidence, 0.0), np.where(spiking, overlap, 0.0), walk])


def sum_recent(values: Float[np.ndarray, "frame *rest"], n: int) -> Float[np.ndarray, "later_frame *rest"]:
    """Sums over n frames that end with each, from the n-th on; n is a power of two."""
    for shift in (1 << power for power in range(n.bit_length() - 1)):
        values = values[shift:] + values[:-shift]
    return values


def _list_neighbours(distance: np.ndarray, spread: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where a walk comes from in one frame: rows of weights that sum to 1 from each place, as compressed rows."""
    weights = np.exp(-0.5 * (distance / spread) ** 2)
    weights[weights < 1e-3] = 0.0
    weights /= weights.sum(axis=0)
    rows, columns = np.nonzero(weights)
    starts = np.searchsorted(rows, np.arange(len(distance) + 1))
    return starts, columns, weights[rows, columns]
