"""Place fields, runs and events whose truth is known, for the tests of this room."""

from __future__ import annotations

import numpy as np

from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.position import Position


def make_fields(
    rng: np.random.Generator, *, n_units: int = 30, n_places: int = 25, contents: tuple[str, ...] = ("a", "b")
) -> PlaceFields:
    """Tracks of 2 m, two directions each, one field of 15 Hz per unit and map."""
    middles = (np.arange(n_places) + 0.5) * 2 / n_places
    n_maps = 2 * len(contents)
    centres = rng.uniform(0, 2, (n_units, n_maps, 1))
    rates = 0.1 + 15 * np.exp(-0.5 * ((middles - centres) / 0.12) ** 2)
    return PlaceFields(
        tuple(range(n_units)),
        rates.reshape(n_units, -1),
        contents,
        np.repeat(np.arange(len(contents)), 2 * n_places),
        np.tile(np.repeat([0, 1], n_places), len(contents)),
        np.tile(middles, n_maps)[:, None],
        np.ones(n_maps * n_places),
        2 / n_places,
    )


def plant_events(
    fields: PlaceFields, paths: np.ndarray, maps: np.ndarray, *, bin_size: float, gain: float, rng: np.random.Generator
) -> BinnedEvents:
    """Events along paths in m, shape (event, bin), each on one map."""
    n_places = len(fields.maps[0])
    places = np.clip((paths / 2 * n_places).astype(int), 0, n_places - 1) + n_places * maps[:, None]
    counts = rng.poisson(gain * bin_size * fields.rates[:, places.ravel()]).T.astype(np.int16)
    n_events, n_bins = paths.shape
    return BinnedEvents(counts, np.arange(n_events + 1) * n_bins, bin_size, np.arange(n_events, dtype=float))


def run_to_and_fro(seconds: float, *, rate: float = 30.0, speed: float = 0.4, length: float = 2.0) -> Position:
    """Position of an animal that never rests."""
    times = np.arange(int(seconds * rate)) / rate
    phase = (speed * times / length) % 2
    return Position(times, length * np.where(phase < 1, phase, 2 - phase)[:, None])


def fire(rates: np.ndarray, times: np.ndarray, *, rng: np.random.Generator) -> dict[int, np.ndarray]:
    """Poisson trains from rates in Hz, shape (unit, time), at regular times."""
    step = float(times[1] - times[0])
    trains = {}
    for unit, rate in enumerate(rates):
        sample = np.repeat(np.arange(len(times)), rng.poisson(rate * step))
        trains[unit] = np.sort(times[sample] + step * rng.random(len(sample)))
    return trains
