"""Bins over the places of a map, and how counts in them are smoothed: over the plane or line, or along a graph."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float
from scipy.ndimage import gaussian_filter

from sharpwave.reactivation.tracks import TrackGraph

REACH = 3.0
"""Standard deviations after which the Gaussian ends."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Equal bins over a range: lower end, size of a bin, number along each dimension."""

    low: Float[np.ndarray, " dimension"]
    size: float
    shape: tuple[int, ...]

    @classmethod
    def around(cls, values: Float[np.ndarray, "time dimension"], size: float) -> Grid:
        low, high = values.min(axis=0), values.max(axis=0)
        return cls(low, size, tuple(np.maximum(np.ceil((high - low) / size - 1e-9), 1).astype(int).tolist()))

    @property
    def middles(self) -> Float[np.ndarray, "*bins dimension"]:
        axes = [low + self.size * (np.arange(n) + 0.5) for low, n in zip(self.low, self.shape, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)

    def sum(
        self,
        values: Float[np.ndarray, "point dimension"],
        *,
        weights: np.ndarray | None = None,
        index: np.ndarray | None = None,
        n: int = 1,
    ) -> np.ndarray:
        """Points (or their weights) per bin; with `index`, of each of `n` series along the first axis."""
        steps = np.clip(((values - self.low) / self.size).astype(np.int64), 0, np.array(self.shape) - 1)
        cell = np.ravel_multi_index(tuple(steps.T), self.shape)
        size = int(np.prod(self.shape))
        if index is None:
            return np.bincount(cell, weights=weights, minlength=size).reshape(self.shape).astype(np.float64)
        counts = np.bincount(index * size + cell, minlength=n * size).astype(np.float64)
        return counts.reshape(n, *self.shape)


@dataclass(frozen=True, eq=False)
class Smoother:
    """A Gaussian over the bins of a grid.

    Attributes:
        grid: Bins.
        deviation: Standard deviation, in the unit of the grid.
        graph: The track, where it branches: the Gaussian then spreads along it, into all of its arms.
    """

    grid: Grid
    deviation: float
    graph: TrackGraph | None = None

    @property
    def on_track(self) -> Bool[np.ndarray, "*bins"]:
        """Bins that are places of the track: all, or those on an edge of the graph."""
        if self.graph is None:
            return np.ones(self.grid.shape, dtype=bool)
        return self.graph.contains(self.grid.middles[:, 0], tolerance=self.grid.size / 2)

    def smooth(self, values: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """Values by bin, or several series of them along the first axis."""
        axes = len(self.grid.shape)
        if self.graph is not None:
            return values @ self._spread
        deviation = [0.0] * (values.ndim - axes) + [self.deviation / self.grid.size] * axes
        return gaussian_filter(values, deviation, mode="constant", truncate=REACH)

    @cached_property
    def _spread(self) -> Float[np.ndarray, "from to"]:
        """Share of each bin that goes to each other; at a branching point into every arm."""
        assert self.graph is not None
        along = self.grid.middles[:, 0]
        distance = self.graph.measure(along[:, None], along[None])
        near = np.where(distance <= REACH * self.deviation, np.exp(-0.5 * (distance / self.deviation) ** 2), 0.0)
        return near * self.grid.size / (self.deviation * np.sqrt(2 * np.pi))
