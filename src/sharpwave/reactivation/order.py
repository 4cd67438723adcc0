"""How much an event's order adds: its score against shuffles of its own bursts, under the true and other fields.

A score says that an event looks like a path; it is also high where cells of one place fire together, or where a cell's
spikes follow one another. The gain takes that out: it is the score in standard deviations of the same event with its
bursts shuffled in time, which leaves who fires, how often, in which bursts, and the event's rate over time. An event
that stays at one place gains nothing. Where order has another cause than place (bursting cells, another track's
paths), the gain is high under any labelling of the cells, so that surrogates with exchanged cells are as high.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents, bin_events, get_trains
from sharpwave.reactivation.packets import RATIO, Packets, select_events
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import (
    CROSSING,
    JUMP,
    STATISTICS,
    Neighbours,
    measure_along,
    score_events,
)
from sharpwave.reactivation.significance import get_field_surrogate, scale_rates

N_SHUFFLES = 5
"""Shuffles of each event's bursts, under every labelling of the cells."""

USUAL = 10
"""Shuffles that the usual variance of an event's shuffles, over all labellings, is worth beside its own."""

POOLED = 2
"""Places of a straight map that are pooled for the gains: 8 cm, less than half a field's width, in half the time."""

FURTHER = 19
"""Further surrogates of a promising event, as a multiple of the session's: 20 times as many in all."""

STOP = 10
"""An event with this many surrogates as high as itself gets no further ones: its p is known well enough.

Stopping keeps p valid: an event that is stopped had a chance of its p, and one that goes on is counted over all draws.
"""

LEAST = 1e-9
"""Variance of shuffles below which nothing can be said of the order: the gain is 0."""


@dataclass(frozen=True, eq=False)
class OrderScores:
    """Gains of every event and of its surrogates.

    Attributes:
        observed: Gain of each event: its score in standard deviations of shuffles of its own bursts.
        surrogates: The same under exchanged fields; one surrogate is one labelling of the whole session.
        further: For each event, how many of the surrogates that were drawn for it alone have as high a gain.
        n_draws: Surrogates of each event, those of the whole session and its own.
        raw: Scores that were not measured against any order, columns as `STATISTICS`.
        statistic: The score whose gain it is, one of `STATISTICS`.
        surrogate: Kind of surrogate, a key of `FIELD_SURROGATES`.
    """

    observed: Float[np.ndarray, " event"]
    surrogates: Float[np.ndarray, "surrogate event"]
    further: Int[np.ndarray, " event"]
    n_draws: Int[np.ndarray, " event"]
    raw: Float[np.ndarray, "event statistic"]
    statistic: str
    surrogate: str

    @property
    def p(self) -> Float[np.ndarray, " event"]:
        """(1 + surrogates with as high a gain) / (1 + surrogates), over all that were drawn for the event."""
        return (1 + (self.surrogates >= self.observed).sum(axis=0) + self.further) / (1 + self.n_draws)


def score_order(
    spikes: Any,
    events: pd.DataFrame,
    fields: PlaceFields,
    *,
    statistic: str = "correlation",
    surrogate: str = "cell-identity",
    n_surrogates: int = 500,
    n_shuffles: int = N_SHUFFLES,
    further: int = FURTHER,
    bin_size: float = 0.02,
    crossing: float = CROSSING,
    jump: float = JUMP,
    rng: np.random.Generator,
) -> OrderScores:
    """Gains of events and of surrogates of the session; events that look significant get further surrogates.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        events: Table of events: onset and duration in s.
        fields: Place fields.
        statistic: Score whose gain is wanted, one of `STATISTICS`.
        surrogate: Kind of surrogate, a key of `FIELD_SURROGATES`.
        n_surrogates: Number of surrogates of the whole session; 500 by default.
        n_shuffles: Number of shuffles of each event's bursts under each labelling; 5 by default.
        further: Most further surrogates of a promising event, as a multiple of `n_surrogates`; 19 by default. All of
            them together take half as long as those of the session, so that few events get many, and many few.
        bin_size: Length of the bins of the scores, in s; 0.02 s by default.
        crossing: Time in which the typical random walk crosses a map, in s; 0.25 s by default.
        jump: Chance per bin that a path jumps anywhere; 0.01 by default.
        rng: Random generator; the same seed gives the same gains on any number of cores.

    Returns:
        The gains.

    Raises:
        SharpwaveError: If the surrogate or the statistic is unknown, or fewer than one surrogate is asked for.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - np.linspace(0, 19, 10)[:, None]) / 1.5) ** 2)
    >>> fields = make_fields(rates, units=tuple(range(10)))
    >>> spikes = {unit: np.array([0.01 + 0.02 * unit]) for unit in range(10)}  # each fires as the path comes by
    >>> events = pd.DataFrame({"onset": [0.0], "duration": [0.2]})
    >>> scores = score_order(spikes, events, fields, n_surrogates=99, rng=np.random.default_rng(0))
    >>> bool(scores.p[0] <= 0.05), int(scores.n_draws[0])
    (True, 99)
    """
    destroy = get_field_surrogate(surrogate)
    if statistic not in STATISTICS:
        raise SharpwaveError(f"a statistic among {', '.join(STATISTICS)}", got=repr(statistic), fix="choose one")
    if n_surrogates < 1:
        raise SharpwaveError("one surrogate or more", got=str(n_surrogates), fix="use 500")
    pooled = pool_places(fields)
    lengths = np.maximum(np.rint(events["duration"].to_numpy(dtype=float) / bin_size), 1)
    events = events[["onset"]].assign(duration=lengths * bin_size)
    fine = bin_events(spikes, events, bin_size=bin_size / RATIO, units=fields.units)
    if fine.observed is not None:
        how: dict[str, Any] = {"statistic": statistic, "surrogate": surrogate, "n_surrogates": n_surrogates, "rng": rng}
        how |= {"n_shuffles": n_shuffles, "further": further, "bin_size": bin_size, "crossing": crossing, "jump": jump}
        return _score_observed(spikes, events, fields, fine, how)
    scorer = _Scorer(pooled, Neighbours.of(pooled, spread=bin_size / crossing), bin_size, statistic, jump, n_shuffles)
    scored = scorer.score_labellings(fine, lengths, destroy, n_surrogates, further * n_surrogates, rng)
    coarse = bin_events(spikes, events, bin_size=bin_size, units=fields.units)
    raw = score_events(coarse, fields, crossing=crossing, jump=jump)
    return OrderScores(*scored, raw, statistic, surrogate)


def _score_observed(
    spikes: Any, events: pd.DataFrame, fields: PlaceFields, fine: BinnedEvents, how: dict[str, Any]
) -> OrderScores:
    """Gains where some units were not observed in some events: each event by the units that were, exchanged alone."""
    n_events = len(events)
    observed, raw = np.zeros(n_events, np.float32), np.zeros((n_events, len(STATISTICS)), np.float32)
    surrogates = np.zeros((how["n_surrogates"], n_events), np.float32)
    further, n_draws = np.zeros(n_events, np.int64), np.zeros(n_events, np.int64)
    for chosen, units in fine.group_observed():
        names = tuple(fields.units[unit] for unit in units)
        own = replace(fields, units=names, rates=fields.rates[units])
        trains = dict(zip(names, get_trains(spikes, names), strict=True))
        found = score_order(trains, events.iloc[chosen], own, **how)
        observed[chosen], surrogates[:, chosen], raw[chosen] = found.observed, found.surrogates, found.raw
        further[chosen], n_draws[chosen] = found.further, found.n_draws
    return OrderScores(observed, surrogates, further, n_draws, raw, how["statistic"], how["surrogate"])


def _compute_gains(
    scored: Float[np.ndarray, "labelling event 3"], usual: Float[np.ndarray, " event"], n_shuffles: int
) -> Float[np.ndarray, "labelling event"]:
    """Scores less the mean of their shuffles, in standard deviations.

    Few shuffles give a poor deviation: it is averaged with the event's usual one, over all labellings.
    """
    own = max(n_shuffles - 1, 0)
    variance = (own * scored[:, :, 2] + USUAL * usual) / (own + USUAL)
    return np.where(variance > LEAST, (scored[:, :, 0] - scored[:, :, 1]) / np.sqrt(np.maximum(variance, LEAST)), 0.0)


@dataclass(frozen=True, eq=False)
class _Scorer:
    """What stays the same from one labelling to the next."""

    fields: PlaceFields
    neighbours: Neighbours
    bin_size: float
    statistic: str
    jump: float
    n_shuffles: int

    def score(
        self,
        packets: Packets,
        lengths: Float[np.ndarray, " event"],
        seeds: UInt[np.ndarray, " event"],
        tables: Iterator[Float[np.ndarray, "lane unit place"]],
    ) -> Float[np.ndarray, "labelling event 3"]:
        """Score of every event under each labelling of the tables, and mean and variance of its shuffles."""
        import numba

        first_bin = np.r_[0, np.cumsum(lengths)].astype(np.int64)
        map_first = np.r_[0, np.cumsum([len(places) for places in self.fields.maps])]
        along = measure_along(self.fields)
        arranged = packets.arrange(first_bin, seeds, self.n_shuffles)

        def work(block: Float[np.ndarray, "lane unit place"]) -> np.ndarray:
            from sharpwave.reactivation._order_kernels import LANES, score_gains

            n_lanes = len(block)
            rates, base = scale_rates(block[np.minimum(np.arange(LANES), n_lanes - 1)], self.bin_size)
            scores = np.zeros((len(lengths), LANES, 3), np.float32)
            score_gains(
                first_bin,
                *arranged,
                np.ascontiguousarray(rates.transpose(1, 2, 0)).reshape(rates.shape[1], -1),
                np.ascontiguousarray(np.broadcast_to(base, (LANES, base.shape[1])).T).reshape(-1),
                map_first,
                along,
                self.neighbours.order,
                self.neighbours.starts,
                self.neighbours.weight,
                self.neighbours.decay,
                np.float32(self.jump),
                self.statistic == "trajectory",
                scores,
            )
            return scores[:, :n_lanes].transpose(1, 0, 2)

        with ThreadPoolExecutor(numba.get_num_threads()) as pool:
            return np.concatenate(list(pool.map(work, tables)))

    def score_labellings(
        self,
        fine: BinnedEvents,
        lengths: Float[np.ndarray, " event"],
        destroy: Callable[[PlaceFields, int, np.random.Generator], Float[np.ndarray, "lane unit place"]],
        n_surrogates: int,
        most_further: int,
        rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Gains as they are, and under surrogates; for each event, further draws as high, and the number of draws."""
        seeds = rng.integers(1, 2**63, size=len(fine), dtype=np.uint64)
        first, later = rng.spawn(2)
        tables = _iter_tables(self.fields, destroy, 1 + n_surrogates, first)
        scored = self.score(Packets.of(fine), lengths, seeds, tables)
        usual = scored[:, :, 2].mean(axis=0)
        gains = _compute_gains(scored, usual, self.n_shuffles)
        observed, surrogates = gains[0], gains[1:]
        counted, n_draws = np.zeros(len(fine), np.int64), np.full(len(fine), n_surrogates)
        chosen = np.flatnonzero((surrogates >= observed).sum(axis=0) < STOP)
        own = select_events(fine, chosen)
        cost, cost_of_all = (float(each.counts.sum() + len(each.counts)) for each in (own, fine))
        n_further = min(most_further, int(n_surrogates * cost_of_all / max(2 * cost, 1)))
        if len(chosen) and n_further >= n_surrogates:
            tables = _iter_tables(self.fields, destroy, n_further, later, true=False)
            more = self.score(Packets.of(own), lengths[chosen], seeds[chosen], tables)
            counted[chosen] = (_compute_gains(more, usual[chosen], self.n_shuffles) >= observed[chosen]).sum(axis=0)
            n_draws[chosen] += n_further
        return observed, surrogates, counted, n_draws


def _iter_tables(
    fields: PlaceFields,
    destroy: Callable[[PlaceFields, int, np.random.Generator], Float[np.ndarray, "lane unit place"]],
    n: int,
    rng: np.random.Generator,
    *,
    true: bool = True,
) -> Iterator[Float[np.ndarray, "lane unit place"]]:
    """Rates under `n` labellings in blocks, the first of them the true one."""
    from sharpwave.reactivation._order_kernels import LANES

    for low in range(0, n, LANES):
        block = destroy(fields, min(LANES, n - low), rng)
        if true and not low:
            block[0] = fields.rates
        yield block


def pool_places(fields: PlaceFields, size: int = POOLED) -> PlaceFields:
    """Fields with neighbouring places of straight maps pooled, and the places of each map next to each other.

    Args:
        fields: Place fields.
        size: Number of places that become one; 2 by default. Maps of two dimensions, or with gaps, stay as they are.
    """
    order = np.concatenate(fields.maps)
    groups = order[:, None]
    steps = [np.diff(fields.position[places, 0]) for places in fields.maps]
    straight = fields.position.shape[1] == 1 and all(np.allclose(each, fields.bin_size) for each in steps)
    if straight and min(map(len, fields.maps)) >= 8 * size:
        kept = [places[: len(places) // size * size].reshape(-1, size) for places in fields.maps]
        groups = np.concatenate(kept)
    first = groups[:, 0]
    return replace(
        fields,
        rates=fields.rates[:, groups].mean(axis=2),
        content=fields.content[first],
        direction=fields.direction[first],
        position=fields.position[groups].mean(axis=1),
        occupancy=fields.occupancy[groups].sum(axis=1),
        bin_size=fields.bin_size * groups.shape[1],
    )
