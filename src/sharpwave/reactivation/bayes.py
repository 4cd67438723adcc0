"""Position from spikes bin by bin, without memory (Zhang et al. 1998, doi:10.1152/jn.1998.79.2.1017)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import count_spikes
from sharpwave.reactivation.place_fields import PlaceFields


@dataclass(frozen=True, eq=False)
class Posterior:
    """Probability of each place over time.

    Attributes:
        times: Middle of each bin in seconds.
        probability: Sums to 1 over the places of the fields.
    """

    times: Float[np.ndarray, " bin"]
    probability: Float[np.ndarray, "bin place"]


def compute_log_likelihood(
    counts: Int[np.ndarray, "bin unit"],
    fields: PlaceFields,
    *,
    bin_size: float,
    gain: float = 1.0,
    dtype: type = np.float64,
) -> Float[np.ndarray, "bin place"]:
    """Log of the Poisson probability of the counts at each place, but for the factorials, which no place changes.

    log p(n | x) = Σ_i n_i log(g λ_i(x) τ) − g τ Σ_i λ_i(x).

    Args:
        counts: Spikes by bin, units in the order of `fields.units`.
        fields: Rates λ in Hz.
        bin_size: τ in s.
        gain: g, by how much faster the units fire than where the fields were measured.
        dtype: Precision; in short bins float32 is enough, and faster.

    Raises:
        SharpwaveError: If the counts are of another number of units.
    """
    if counts.shape[1] != len(fields.units):
        raise SharpwaveError(
            f"counts of {len(fields.units)} units, as the place fields have",
            got=f"{counts.shape[1]}",
            fix="bin the spikes with units=fields.units",
        )
    expected = gain * bin_size * fields.rates
    return counts.astype(dtype) @ np.log(expected).astype(dtype) - expected.sum(axis=0).astype(dtype)


def decode_position(
    spikes: Any,
    fields: PlaceFields,
    *,
    bin_size: float,
    start: float,
    end: float,
    step: float | None = None,
    prior: Float[np.ndarray, " place"] | None = None,
) -> Posterior:
    """Where the animal was, from the spikes of each bin alone.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        fields: Place fields.
        bin_size: Length of a bin in s.
        start: Start of the first bin.
        end: End of the last.
        step: From one bin to the next in s; `bin_size` where omitted.
        prior: How likely each place is beforehand, above 0 (`fields.occupancy`, say); all alike where omitted.

    Returns:
        The posterior; a bin without spikes tells what silence tells.
    """
    times, counts = count_spikes(spikes, bin_size=bin_size, start=start, end=end, step=step, units=fields.units)
    logs = compute_log_likelihood(counts, fields, bin_size=bin_size)
    return Posterior(times, normalise_log(logs if prior is None else logs + np.log(prior)))


def normalise_log(logs: Float[np.ndarray, "bin place"]) -> Float[np.ndarray, "bin place"]:
    """Probabilities that sum to 1 in each row, from their logarithms."""
    shares = np.exp(logs - logs.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def locate(posterior: Posterior, fields: PlaceFields) -> Float[np.ndarray, "bin dimension"]:
    """The place that errs least on average: the median along each dimension, running directions pooled.

    Where there are several tracks, the median is taken on the most probable.
    """
    probability = posterior.probability
    if len(fields.contents) > 1:
        mass = np.stack([probability[:, fields.content == each].sum(axis=1) for each in range(len(fields.contents))])
        probability = probability * (fields.content == mass.argmax(axis=0)[:, None])
    found = []
    for axis in fields.position.T:
        order = np.argsort(axis, kind="stable")
        cumulative = np.cumsum(probability[:, order], axis=1)
        first = np.argmax(cumulative >= 0.5 * cumulative[:, -1:], axis=1)
        found.append(axis[order][first])
    return np.stack(found, axis=-1)
