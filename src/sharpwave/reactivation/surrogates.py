"""Surrogates: the same events with one thing destroyed, so that what is left of a score is chance.

Each keeps all else. Exchanging cells or shifting their fields asks whether it matters *which* cells fired; permuting
bins or redrawing counts asks whether the *order* matters, given which cells fired.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import PlaceFields


@dataclass(frozen=True, eq=False)
class Lanes:
    """Events as a decoder sees them, in several versions (lanes) at once.

    Attributes:
        rates: Each unit's rate at each place as a share of its highest, one table for all lanes or one each.
        base: Chance of a bin without spikes at each place, the same.
        units: Unit of each spike, in order of bins.
        bins: Which bin of the recording stands at each place in time.
        first_spike: First spike of each bin, and their number.
        first_bin: First bin of each event, and their number.
    """

    rates: Float[np.ndarray, "table unit place"]
    base: Float[np.ndarray, "table place"]
    units: Int[np.ndarray, "lane spike"]
    bins: Int[np.ndarray, "lane bin"]
    first_spike: Int[np.ndarray, " bin_edge"]
    first_bin: Int[np.ndarray, " event_edge"]

    @classmethod
    def of(cls, binned: BinnedEvents, fields: PlaceFields, n_lanes: int) -> Self:
        """The events as they are, in every lane."""
        bin_index, unit = np.nonzero(binned.counts)
        repeats = binned.counts[bin_index, unit]
        units = np.repeat(unit, repeats).astype(np.int32)
        per_bin = np.bincount(np.repeat(bin_index, repeats), minlength=len(binned.counts))
        rates, base = _scale(fields.rates[None], binned.bin_size)
        return cls(
            rates,
            base,
            np.broadcast_to(units, (n_lanes, len(units))).copy(),
            np.broadcast_to(np.arange(len(binned.counts)), (n_lanes, len(binned.counts))).copy(),
            np.r_[0, np.cumsum(per_bin)],
            np.asarray(binned.offsets, dtype=np.int64),
        )


def exchange_cells(lanes: Lanes, fields: PlaceFields, bin_size: float, rng: np.random.Generator) -> Lanes:
    """Every cell gets another cell's fields, the same exchange in all events."""
    n_units = len(fields.units)
    relabel = rng.permuted(np.tile(np.arange(n_units, dtype=np.int32), (len(lanes.units), 1)), axis=1)
    return replace(lanes, units=np.take_along_axis(relabel, lanes.units, axis=1))


def shift_fields(lanes: Lanes, fields: PlaceFields, bin_size: float, rng: np.random.Generator) -> Lanes:
    """Every cell's field is shifted round its map by a random distance of its own, the same in all events.

    Raises:
        SharpwaveError: If maps have two dimensions, which have no circle to shift on.
    """
    if fields.position.shape[1] != 1:
        raise SharpwaveError(
            "maps of one dimension for place-field surrogates",
            got=f"{fields.position.shape[1]} dimensions",
            fix="use cell-identity surrogates in open fields",
        )
    n_units = len(fields.units)
    shifted = np.empty((len(lanes.units), *fields.rates.shape))
    for places in fields.maps:
        shift = rng.integers(len(places), size=(len(lanes.units), n_units, 1))
        source = (np.arange(len(places)) + shift) % len(places)
        shifted[:, :, places] = np.take_along_axis(fields.rates[None][:, :, places], source, axis=2)
    rates, base = _scale(shifted, bin_size)
    return replace(lanes, rates=rates, base=base)


def permute_bins(lanes: Lanes, fields: PlaceFields, bin_size: float, rng: np.random.Generator) -> Lanes:
    """The bins of each event in random order, whole columns together."""
    from sharpwave.reactivation._sequence_kernels import permute_within

    bins = lanes.bins.copy()
    permute_within(bins, lanes.first_bin, rng.random(bins.shape))
    return replace(lanes, bins=bins)


def redraw_counts(lanes: Lanes, fields: PlaceFields, bin_size: float, rng: np.random.Generator) -> Lanes:
    """Independent Poisson counts, given how often each cell fired in the event and how many spikes each bin has.

    Given these two margins, independent Poisson counts are the spikes' cells in random order over the spikes' bins, so
    that the test is exact (as Fisher's is), where counts from estimated rates would only be nearly right.
    """
    from sharpwave.reactivation._sequence_kernels import permute_within

    units = lanes.units.copy()
    permute_within(units, lanes.first_spike[lanes.first_bin], rng.random(units.shape))
    return replace(lanes, units=units)


SURROGATES: dict[str, Callable[[Lanes, PlaceFields, float, np.random.Generator], Lanes]] = {
    "cell-identity": exchange_cells,
    "place-field": shift_fields,
    "time-bin": permute_bins,
    "poisson": redraw_counts,
}
"""Surrogates by name."""


def get_surrogate(name: str) -> Callable[[Lanes, PlaceFields, float, np.random.Generator], Lanes]:
    """The function behind a name.

    Raises:
        SharpwaveError: If there is none of this name.
    """
    if name not in SURROGATES:
        raise SharpwaveError(f"a surrogate among {', '.join(SURROGATES)}", got=repr(name), fix="choose one of these")
    return SURROGATES[name]


def _scale(
    rates: Float[np.ndarray, "table unit place"], bin_size: float
) -> tuple[Float[np.ndarray, "table unit place"], Float[np.ndarray, "table place"]]:
    expected = rates.sum(axis=1) * bin_size
    base = np.exp(expected.min(axis=1, keepdims=True) - expected)
    return (rates / rates.max(axis=2, keepdims=True)).astype(np.float32), base.astype(np.float32)
