"""Which events exceed chance: surrogates of the events, one p per event, and a test of the whole session.

A surrogate is the same events with one thing destroyed, so that what is left of a score is chance. Each keeps all else.
Exchanging cells or shifting their fields asks whether it matters *which* cells fired; permuting bins or redrawing
counts asks whether the *order* matters, given which cells fired. False discoveries are held down over events.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import PlaceFields

LEVEL = 0.05


@dataclass(frozen=True, eq=False)
class Lanes:
    """Events as a decoder sees them, in several versions (lanes) at once.

    Attributes:
        rates: Each unit's rate at each place as a share of its highest, one table for all lanes or one each.
        base: Chance of a bin without spikes at each place, one table for all lanes or one each.
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
        rates, base = scale_rates(fields.rates[None], binned.bin_size)
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
    rates, base = scale_rates(draw_shifted(fields, len(lanes.units), rng), bin_size)
    return replace(lanes, rates=rates, base=base)


def draw_exchanged(fields: PlaceFields, n: int, rng: np.random.Generator) -> Float[np.ndarray, "lane unit place"]:
    """Rates of `n` sessions in which every cell has another cell's fields."""
    n_units = len(fields.units)
    return fields.rates[rng.permuted(np.tile(np.arange(n_units), (n, 1)), axis=1)]


def draw_shifted(fields: PlaceFields, n: int, rng: np.random.Generator) -> Float[np.ndarray, "lane unit place"]:
    """Rates of `n` sessions in which every cell's field is shifted round its map, each map by a distance of its own.

    Raises:
        SharpwaveError: If maps have two dimensions, which have no circle to shift on.
    """
    if fields.position.shape[1] != 1:
        raise SharpwaveError(
            "maps of one dimension for place-field surrogates",
            got=f"{fields.position.shape[1]} dimensions",
            fix="use cell-identity surrogates in open fields",
        )
    shifted = np.empty((n, *fields.rates.shape))
    for places in fields.maps:
        shift = rng.integers(len(places), size=(n, len(fields.units), 1))
        source = (np.arange(len(places)) + shift) % len(places)
        shifted[:, :, places] = np.take_along_axis(fields.rates[None][:, :, places], source, axis=2)
    return shifted


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


FIELD_SURROGATES: dict[str, Callable[[PlaceFields, int, np.random.Generator], Float[np.ndarray, "lane unit place"]]] = {
    "cell-identity": draw_exchanged,
    "place-field": draw_shifted,
}
"""Surrogates that change which cell has which fields; the others change the order of spikes."""


def get_field_surrogate(
    name: str,
) -> Callable[[PlaceFields, int, np.random.Generator], Float[np.ndarray, "lane unit place"]]:
    """The function behind the name of a surrogate of fields.

    Raises:
        SharpwaveError: If there is none of this name.
    """
    if name not in FIELD_SURROGATES:
        known = ", ".join(FIELD_SURROGATES)
        raise SharpwaveError(f"a surrogate of fields among {known}", got=repr(name), fix="choose one of these")
    return FIELD_SURROGATES[name]


def get_surrogate(name: str) -> Callable[[Lanes, PlaceFields, float, np.random.Generator], Lanes]:
    """The function behind a name.

    Raises:
        SharpwaveError: If there is none of this name.
    """
    if name not in SURROGATES:
        raise SharpwaveError(f"a surrogate among {', '.join(SURROGATES)}", got=repr(name), fix="choose one of these")
    return SURROGATES[name]


def scale_rates(
    rates: Float[np.ndarray, "table unit place"], bin_size: float
) -> tuple[Float[np.ndarray, "table unit place"], Float[np.ndarray, "table place"]]:
    expected = rates.sum(axis=1) * bin_size
    base = np.exp(expected.min(axis=1, keepdims=True) - expected)
    return (rates / rates.max(axis=2, keepdims=True)).astype(np.float32), base.astype(np.float32)


@dataclass(frozen=True)
class SessionTest:
    """Whether a stretch of the session holds more events beyond chance than its surrogates do.

    Attributes:
        n_events: Events tested.
        share: Share with p at or below the level.
        expected: Mean share of the surrogates, each ranked among the others.
        low: 2.5 % of those shares.
        high: 97.5 % of them.
        p: Share of surrogates with as many; the smallest that n surrogates can give is 1 / (n + 1).
    """

    n_events: int
    share: float
    expected: float
    low: float
    high: float
    p: float


def compute_p_values(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"]
) -> Float[np.ndarray, " event"]:
    """(1 + number of surrogates at least as high) / (1 + number of surrogates): never 0, ties count against.

    Args:
        observed: Score of each event.
        surrogates: Scores of its surrogates.

    Returns:
        One p per event (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    return (1 + (surrogates >= observed).sum(axis=0)) / (1 + len(surrogates))


def control_false_discoveries(p: Float[np.ndarray, " event"]) -> Float[np.ndarray, " event"]:
    """q-values (Benjamini & Hochberg 1995): events at q or below hold a share q of false ones, in expectation.

    Events without a p (NaN) get none and do not count.
    """
    from scipy.stats import false_discovery_control

    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q


def rank_among_controls(
    standardised: Float[np.ndarray, " event"], control: Bool[np.ndarray, " event"]
) -> Float[np.ndarray, " event"]:
    """p of each event among the events of a control epoch, the sleep before the experience.

    Args:
        standardised: Score in standard deviations of the event's own surrogates.
        control: Whether each event is of the control epoch; such an event has no p of its own (NaN).

    Returns:
        (1 + controls at least as high) / (1 + controls).

    Raises:
        SharpwaveError: If there is no control event.
    """
    if not control.any():
        raise SharpwaveError(
            "events before the experience", got="none", fix="leave the control out, or record sleep before the run"
        )
    reference = np.sort(standardised[control])
    higher = len(reference) - np.searchsorted(reference, standardised, side="left")
    return np.where(control, np.nan, (1 + higher) / (1 + len(reference)))


def standardise(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"]
) -> Float[np.ndarray, " event"]:
    """Each event's score in standard deviations from the mean of its surrogates; 0 where these do not vary."""
    spread = surrogates.std(axis=0)
    return np.where(spread > 0, (observed - surrogates.mean(axis=0)) / np.where(spread > 0, spread, 1), 0.0)


def assess_session(
    observed: Float[np.ndarray, " event"],
    surrogates: Float[np.ndarray, "surrogate event"],
    *,
    level: float = LEVEL,
) -> SessionTest:
    """The share of events beyond chance against the same share in each surrogate, ranked among all the others.

    Events are not independent of each other (the same cells and fields serve all of them), so the binomial test would
    be too sure. A surrogate of the whole stretch has the same dependence.

    Args:
        observed: Score of each event.
        surrogates: Scores of surrogates; one row is one surrogate of the whole stretch.
        level: An event counts at this p or below.

    Returns:
        The test.

    Raises:
        SharpwaveError: If there are no events.
    """
    if not len(observed):
        raise SharpwaveError("events to test", got="none in this stretch", fix="lower the thresholds of the candidates")
    return _rank_first(compute_shares(observed, surrogates, level=level), len(observed))


def assess_difference(
    observed: Float[np.ndarray, " event"],
    surrogates: Float[np.ndarray, "surrogate event"],
    *,
    after: Bool[np.ndarray, " event"],
    before: Bool[np.ndarray, " event"],
    level: float = LEVEL,
) -> SessionTest:
    """The share beyond chance after the experience less that before it, against the same difference in surrogates.

    Args:
        observed: Score of each event.
        surrogates: Scores of surrogates, one row a surrogate of the whole session.
        after: Whether each event is after the experience.
        before: Whether each event is before it.
        level: An event counts at this p or below.

    Returns:
        The test; `share` and `expected` are differences.

    Raises:
        SharpwaveError: If either epoch has no events.
    """
    if not (after.any() and before.any()):
        raise SharpwaveError(
            "events before and after the experience",
            got=f"{int(before.sum())} before, {int(after.sum())} after",
            fix="test the epoch that has events on its own",
        )
    late = compute_shares(observed[after], surrogates[:, after], level=level)
    early = compute_shares(observed[before], surrogates[:, before], level=level)
    return _rank_first(late - early, int(after.sum() + before.sum()))


def compute_shares(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"], *, level: float = LEVEL
) -> Float[np.ndarray, " row"]:
    """Share of events at `level` or below: of the data first, then of each surrogate ranked among all the others."""
    scores = np.vstack([observed[None], surrogates])
    allowed = int(np.floor(level * len(scores) + 1e-9))
    if not allowed:
        return np.zeros(len(scores))
    threshold = -np.partition(-scores, allowed - 1, axis=0)[allowed - 1]
    higher = scores >= threshold
    fits = higher.sum(axis=0) <= allowed
    return np.where(fits, higher, scores > threshold).mean(axis=1)


def _rank_first(shares: Float[np.ndarray, " row"], n_events: int) -> SessionTest:
    null = shares[1:]
    return SessionTest(
        n_events=n_events,
        share=float(shares[0]),
        expected=float(null.mean()),
        low=float(np.quantile(null, 0.025)),
        high=float(np.quantile(null, 0.975)),
        p=float((1 + (null >= shares[0]).sum()) / (1 + len(null))),
    )
