"""How much each candidate event looks like a path through the place fields, and how much its surrogates do.

Two scores, both from the posterior over all places of all maps:

- `trajectory`: log p(spikes | continuous) - log p(spikes | fragmented). Continuous is a random walk within a map,
  fragmented jumps anywhere at each bin (Denovellis et al. 2021, doi:10.7554/eLife.64505; marginal likelihood as score:
  Krause & Drugowitsch 2022, doi:10.1016/j.neuron.2021.11.014). The walk has two-sided geometric steps, which costs the
  same whatever the step; a small chance to jump keeps one stray spike from ruling a path out.
- `correlation`: the weighted correlation of place with time over the memoryless posterior, in the best map, times that
  map's share of the posterior (Wu & Foster 2014, doi:10.1523/JNEUROSCI.3414-13.2014).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.significance import Lanes, get_surrogate

CROSSING = 0.25
"""Seconds in which a replay crosses a map: at 8 m/s, the speed of long replays (Davidson et al. 2009), 2 m."""

JUMP = 0.01
"""Chance per bin that a path jumps anywhere."""

STATISTICS = ("trajectory", "correlation")


@dataclass(frozen=True, eq=False)
class SequenceScores:
    """Scores of every event and of its surrogates.

    Attributes:
        observed: Scores of the events, columns as `STATISTICS`.
        surrogates: Scores of each surrogate; one surrogate is one night, scored whole.
        surrogate: Kind of surrogate, a key of `SURROGATES`.
    """

    observed: Float[np.ndarray, "event statistic"]
    surrogates: Float[np.ndarray, "surrogate event statistic"]
    surrogate: str

    def of(self, statistic: str) -> tuple[Float[np.ndarray, " event"], Float[np.ndarray, "surrogate event"]]:
        """Observed and surrogates' values of one statistic.

        Raises:
            SharpwaveError: If there is none of this name.
        """
        if statistic not in STATISTICS:
            raise SharpwaveError(f"a statistic among {', '.join(STATISTICS)}", got=repr(statistic), fix="choose one")
        column = STATISTICS.index(statistic)
        return self.observed[:, column], self.surrogates[:, :, column]


def score_sequences(
    binned: BinnedEvents,
    fields: PlaceFields,
    *,
    surrogate: str = "cell-identity",
    n_surrogates: int = 500,
    rng: np.random.Generator,
    crossing: float = CROSSING,
    jump: float = JUMP,
    only: str | None = None,
) -> SequenceScores:
    """Score events and surrogates of them; memory grows with events times surrogates, and with nothing else.

    Args:
        binned: Spikes of each event, columns as `fields.units`.
        fields: Place fields.
        surrogate: Kind of surrogate, a key of `SURROGATES`.
        n_surrogates: Number of surrogates; 500 by default.
        rng: Random generator; the same seed gives the same scores on any number of cores.
        crossing: Time in which the typical random walk crosses a map, in s; 0.25 s by default.
        jump: Chance per bin that a path jumps anywhere; 0.01 by default.
        only: Name of the one statistic that surrogates are wanted of; leaving the trajectory out halves the time.

    Returns:
        The scores; what surrogates were not wanted of is NaN.

    Raises:
        SharpwaveError: If the counts are not of these units, or no surrogate is asked for.

    >>> import pandas as pd
    >>> from sharpwave.reactivation.counts import bin_events
    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - np.linspace(0, 19, 10)[:, None]) / 1.5) ** 2)
    >>> fields = make_fields(rates, units=tuple(range(10)))
    >>> spikes = {unit: np.array([0.01 + 0.02 * unit]) for unit in range(10)}  # each fires as the path comes by
    >>> binned = bin_events(spikes, pd.DataFrame({"onset": [0.0], "duration": [0.2]}), bin_size=0.02)
    >>> scores = score_sequences(binned, fields, n_surrogates=50, rng=np.random.default_rng(0))
    >>> observed, surrogates = scores.of("correlation")
    >>> bool(observed[0] > surrogates.max())
    True
    """
    _check(binned, fields, n_surrogates)
    if binned.observed is not None:
        how = {"surrogate": surrogate, "rng": rng, "crossing": crossing, "jump": jump, "only": only}
        return _score_observed(binned, fields, n_surrogates, how)
    import numba

    from sharpwave.reactivation._sequence_kernels import LANES

    destroy = get_surrogate(surrogate)
    lanes, n_blocks = Lanes.of(binned, fields, LANES), -(-n_surrogates // LANES)
    neighbours = Neighbours.of(fields, spread=binned.bin_size / crossing)

    def score(generator: np.random.Generator | None) -> np.ndarray:
        own = lanes if generator is None else destroy(lanes, fields, binned.bin_size, generator)
        return _score_lanes(own, fields, neighbours, jump, path=generator is None or only != "correlation")

    with ThreadPoolExecutor(numba.get_num_threads()) as pool:
        blocks = list(pool.map(score, [None, *rng.spawn(n_blocks)]))
    return SequenceScores(blocks[0][0], np.concatenate(blocks[1:])[:n_surrogates], surrogate)


def _score_observed(
    binned: BinnedEvents, fields: PlaceFields, n_surrogates: int, how: dict[str, Any]
) -> SequenceScores:
    """Scores where some units were not observed in some events: each event by the units that were."""
    observed = np.full((len(binned), len(STATISTICS)), np.nan, np.float32)
    surrogates = np.full((n_surrogates, len(binned), len(STATISTICS)), np.nan, np.float32)
    for events, units in binned.group_observed():
        own = replace(fields, units=tuple(fields.units[unit] for unit in units), rates=fields.rates[units])
        found = score_sequences(binned.select(events, units), own, n_surrogates=n_surrogates, **how)
        observed[events], surrogates[:, events] = found.observed, found.surrogates
    return SequenceScores(observed, surrogates, how["surrogate"])


def score_events(
    binned: BinnedEvents, fields: PlaceFields, *, crossing: float = CROSSING, jump: float = JUMP
) -> Float[np.ndarray, "event statistic"]:
    """Scores of events as they are, columns as `STATISTICS`; arguments as in `score_sequences`.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - np.linspace(0, 19, 10)[:, None]) / 1.5) ** 2)
    >>> one_after_the_other = BinnedEvents(np.eye(10, dtype=int), np.array([0, 10]), 0.02, np.zeros(1))
    >>> trajectory, correlation = score_events(one_after_the_other, make_fields(rates, units=tuple(range(10))))[0]
    >>> bool(trajectory > 1), bool(correlation > 0.9)
    (True, True)
    """
    _check(binned, fields, 1)
    neighbours = Neighbours.of(fields, spread=binned.bin_size / crossing)
    return _score_lanes(Lanes.of(binned, fields, 1), fields, neighbours, jump, path=True)[0]


def _check(binned: BinnedEvents, fields: PlaceFields, n_surrogates: int) -> None:
    if binned.counts.shape[1] != len(fields.units):
        raise SharpwaveError(
            f"counts of the {len(fields.units)} units of the place fields",
            got=f"{binned.counts.shape[1]} columns",
            fix="call bin_events(..., units=fields.units)",
        )
    if n_surrogates < 1:
        raise SharpwaveError("one surrogate or more", got=str(n_surrogates), fix="use 500")


@dataclass(frozen=True, eq=False)
class Neighbours:
    """Along which chains of places a path moves, one set of chains per axis.

    Attributes:
        order: Places in the order of their chains.
        starts: Whether a chain starts at the place.
        weight: 1 over the sum of all steps from the place, so that no path is lost at an end.
        decay: Factor by which a step of one more place is rarer.
    """

    order: Int[np.ndarray, "axis place"]
    starts: Bool[np.ndarray, "axis place"]
    weight: Float[np.ndarray, "axis place"]
    decay: Float[np.ndarray, " axis"]

    @classmethod
    def of(cls, fields: PlaceFields, *, spread: float) -> Self:
        """Chains of neighbouring places; `spread` is the standard deviation of a step as a share of the map."""
        n_axes, n_places = fields.position.shape[1], len(fields.position)
        which = index_maps(fields)
        cell = np.rint((fields.position - fields.position.min(axis=0)) / fields.bin_size).astype(int)
        order, starts = np.empty((n_axes, n_places), np.int64), np.empty((n_axes, n_places), bool)
        weight, decay = np.empty((n_axes, n_places), np.float32), np.empty(n_axes, np.float32)
        for axis in range(n_axes):
            others = [cell[:, other] for other in range(n_axes) if other != axis]
            order[axis] = np.lexsort([cell[:, axis], *others, which])
            ranked = order[axis]
            same = np.ones(n_places, bool)
            for key in (which, *others):
                same[1:] &= np.diff(key[ranked]) == 0
            starts[axis] = np.r_[True, ~(same[1:] & (np.diff(cell[ranked, axis]) == 1))]
            longest = np.diff(np.r_[np.flatnonzero(starts[axis]), n_places]).max()
            variance = max(spread * longest, 1e-3) ** 2
            decay[axis] = 1 + 1 / variance - np.sqrt((1 + 1 / variance) ** 2 - 1)
            weight[axis] = 1 / _sum_steps(starts[axis], float(decay[axis]))
        return cls(order, starts, weight, decay)


def index_maps(fields: PlaceFields) -> Int[np.ndarray, " place"]:
    """For each place, the number of its map."""
    which = np.empty(len(fields.position), dtype=np.int64)
    for index, places in enumerate(fields.maps):
        which[places] = index
    return which


def measure_along(fields: PlaceFields) -> Float[np.ndarray, " place"]:
    """For each place, its position along the first axis of its map, -0.5 to 0.5."""
    along = np.empty(len(fields.position), np.float32)
    for places in fields.maps:
        values = fields.position[places, 0]
        along[places] = (values - values.min()) / max(float(np.ptp(values)), 1e-12) - 0.5
    return along


def _sum_steps(starts: Bool[np.ndarray, " place"], decay: float) -> Float[np.ndarray, " place"]:
    """Sum of decay^distance over the place's chain."""
    first = np.maximum.accumulate(np.where(starts, np.arange(len(starts)), 0))
    ends = np.r_[np.flatnonzero(starts)[1:], len(starts)]
    last = ends[np.cumsum(starts) - 1] - 1
    before, after = np.arange(len(starts)) - first, last - np.arange(len(starts))
    return (1 + decay - decay ** (before + 1) - decay ** (after + 1)) / (1 - decay)


def _score_lanes(lanes: Lanes, fields: PlaceFields, neighbours: Neighbours, jump: float, *, path: bool) -> np.ndarray:
    from sharpwave.reactivation._sequence_kernels import score_block

    which, along = index_maps(fields), measure_along(fields)
    scores = np.zeros((len(lanes.units), len(lanes.first_bin) - 1, 2), np.float32)
    score_block(
        lanes.first_bin,
        lanes.first_spike,
        lanes.units,
        lanes.bins,
        lanes.rates,
        lanes.base,
        neighbours.order,
        neighbours.starts,
        neighbours.weight,
        neighbours.decay,
        np.float32(jump),
        which,
        along,
        int(which.max()) + 1,
        path,
        scores,
    )
    return scores
