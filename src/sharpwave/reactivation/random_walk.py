"""How a replayed place moves from one bin to the next: a Gaussian random walk within each map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.position import TRACK_METRES

DIFFUSION = 0.3
"""Variance in m² per s of the continuous walk: 6 cm² per 2 ms (Denovellis et al. 2021)."""

REACH = 4.0
"""Standard deviations after which a step has no probability."""


def compute_random_walk(
    fields: PlaceFields, *, seconds: float, diffusion: float | None = None
) -> Float[np.ndarray, "place place"]:
    """Chance to be in one place (row) and, `seconds` later, in another (column); 0 between maps.

    Args:
        fields: Whose places.
        seconds: Length of the step.
        diffusion: Variance per second, in unit²; `DIFFUSION` where omitted, in another unit than the metre that of a
            track 2 m long.

    Raises:
        SharpwaveError: If the diffusion is negative.
    """
    if diffusion is None:
        diffusion = DIFFUSION * square_metre(fields)
    if diffusion < 0:
        raise SharpwaveError("a diffusion of at least 0", got=f"{diffusion:g}", fix="give unit² per s")
    deviation = max(np.sqrt(diffusion * seconds), 1e-6 * fields.bin_size)
    squared = compute_squared(fields) / deviation**2
    code = fields.content * 3 + fields.direction
    walk = np.where((squared <= REACH**2) & (code[:, None] == code[None]), np.exp(-0.5 * squared), 0.0)
    return walk / walk.sum(axis=1, keepdims=True)


def find_diagonals(
    walk: Float[np.ndarray, "place place"],
) -> tuple[Int[np.ndarray, " diagonal"], Float[np.ndarray, "diagonal place"]]:
    """The diagonals of a matrix that are not 0: how far each is from the main one, and its values by row."""
    rows, columns = np.nonzero(walk)
    offsets, index = np.unique(columns - rows, return_inverse=True)
    weights = np.zeros((len(offsets), len(walk)), dtype=np.float32)
    weights[index, rows] = walk[rows, columns]
    return offsets, weights


def square_metre(fields: PlaceFields) -> float:
    """A square metre in the fields' unit; where that is not the metre, a track is taken to be 2 m long."""
    extent = float(np.ptp(fields.position, axis=0).max()) + fields.bin_size
    return 1.0 if fields.unit == "m" else (extent / TRACK_METRES) ** 2


def compute_squared(fields: PlaceFields) -> Float[np.ndarray, "place place"]:
    """Squared distances between places."""
    return ((fields.position[:, None] - fields.position[None]) ** 2).sum(axis=-1)
