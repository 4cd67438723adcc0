"""A toy track: place fields in a row, and events that run along it or do not."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.reactivation.place_fields import PlaceFields

LENGTH = 2.0


def make_fields(rng: np.random.Generator, *, n_units: int = 30, n_places: int = 50, peak: float = 12.0) -> PlaceFields:
    """One track, directions not told apart, one field per unit."""
    places = (np.arange(n_places) + 0.5) * LENGTH / n_places
    centres = rng.uniform(0, LENGTH, n_units)
    rates = 0.1 + peak * np.exp(-0.5 * ((places - centres[:, None]) / 0.12) ** 2)
    return PlaceFields(
        tuple(range(n_units)), rates, ("track",), np.zeros(n_places, int), np.full(n_places, -1), places[:, None],
        np.ones(n_places), LENGTH / n_places,
    )  # fmt: skip


def draw_events(
    rng: np.random.Generator, fields: PlaceFields, n_events: int, *, replay: bool, gain: float = 8.0
) -> tuple[dict[int, np.ndarray], pd.DataFrame]:
    """Events of 0.16 s, a second apart: spikes along a path at 8 m/s, or as many at the mean rates of the cells."""
    duration, step = 0.16, 0.004
    onsets = 1.0 + np.arange(n_events)
    trains: dict[int, list[float]] = {unit: [] for unit in fields.units}
    for onset in onsets:
        start, end = rng.permutation([0.1, 0.1 + 8.0 * duration])
        times = (np.arange(int(duration / step)) + 0.5) * step
        where = ((start + (end - start) * times / duration) / fields.bin_size).astype(int)
        rates = fields.rates[:, where] if replay else np.repeat(fields.rates.mean(axis=1)[:, None], len(times), axis=1)
        unit, index = np.nonzero(rng.poisson(gain * rates * step))
        for each, time in zip(unit, onset + times[index], strict=True):
            trains[fields.units[each]].append(time)
    table = pd.DataFrame({"onset": onsets, "duration": duration})
    return {unit: np.sort(train) for unit, train in trains.items()}, table
