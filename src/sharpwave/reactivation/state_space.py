"""What an event replays: places under three dynamics at once (Denovellis et al. 2021, doi:10.7554/eLife.64505).

A hidden state is a dynamics (stationary, continuous, fragmented) and a place. From bin to bin the dynamics stays with
chance exp(−bin/`duration`), else it is one of the other two. Under stationary dynamics the place stays; under
continuous it takes a step of a Gaussian random walk within its map; to and from fragmented it jumps anywhere, on any
track. What is known of it given all spikes of the event is the forward–backward posterior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import PlaceFields, compute_log_likelihood
from sharpwave.reactivation.position import TRACK_METRES

DYNAMICS = ("stationary", "continuous", "fragmented")
BLOCK = 16_384
"""Bins whose likelihood is in memory at once (64 kB per place)."""

DIFFUSION = 0.3
"""Variance in m² per s of the continuous walk: 6 cm² per 2 ms (Denovellis et al. 2021)."""

REACH = 4.0
"""Standard deviations after which a step has no probability."""


@dataclass(frozen=True)
class Dynamics:
    """How a replayed place moves.

    Attributes:
        duration: Mean time in s that a dynamics lasts (0.1 s: .98 per 2 ms).
        diffusion: Variance of the continuous walk in unit² per s; where omitted 0.3 m²/s (6 cm² per 2 ms), and in
            another unit that of a track 2 m long.
        gain: Factor by which units fire faster in events than in the place fields; 1 by default.
    """

    duration: float = 0.1
    diffusion: float | None = None
    gain: float = 1.0

    def compute_switch(self, bin_size: float) -> Float[np.ndarray, "from to"]:
        """Chance to go from one dynamics to another within a bin."""
        stay = float(np.exp(-bin_size / self.duration))
        return np.full((3, 3), (1 - stay) / 2) + np.eye(3) * (stay - (1 - stay) / 2)

    def compute_walk(self, fields: PlaceFields, bin_size: float) -> Float[np.ndarray, "place place"]:
        """Random walk of one bin."""
        return compute_random_walk(fields, seconds=bin_size, diffusion=self.diffusion)


@dataclass(frozen=True, eq=False)
class DecodedEvents:
    """What each event says.

    Attributes:
        table: One row per event: onset, duration (s), n_spikes, n_active_units, content and its probability,
            direction of the map (0 outbound, 1 inbound, -1 not distinguished) and its probability, p_stationary,
            p_continuous, p_fragmented (means over bins), `dynamics` (the largest of these), speed (unit/s),
            path_start and path_end (with _x and _y in two dimensions), log_likelihood.
        unit: Unit of positions.
    """

    table: pd.DataFrame
    unit: str


def decode_events(binned: BinnedEvents, fields: PlaceFields, *, dynamics: Dynamics | None = None) -> DecodedEvents:
    """Decode all events; memory holds one block of bins at a time.

    Path and speed are those of the straight line through the posterior of the most probable content, weighted by
    probability.

    Args:
        binned: Counts of units as in the fields (`bin_events(..., units=fields.units)`).
        fields: Place fields.
        dynamics: Parameters of the dynamics; the defaults of `Dynamics` where omitted.

    Raises:
        SharpwaveError: If there are no events, or the counts are of another number of units.

    >>> from sharpwave.reactivation.counts import bin_events
    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - np.linspace(0, 19, 10)[:, None]) / 1.5) ** 2)
    >>> fields = make_fields(rates, units=tuple(range(10)))
    >>> spikes = {unit: np.array([0.01 + 0.02 * unit]) for unit in range(10)}  # each fires as the path comes by
    >>> events = pd.DataFrame({"onset": [0.0], "duration": [0.2]})
    >>> binned = bin_events(spikes, events, bin_size=0.02)
    >>> decoded = decode_events(binned, fields).table
    >>> decoded["content"].tolist(), bool(decoded["path_end"][0] > decoded["path_start"][0] + 10)
    (['track'], True)
    """
    from sharpwave.reactivation._kernels import smooth_events

    if not len(binned):
        raise SharpwaveError("at least one event", got="none", fix="lower the threshold that finds candidate events")
    dynamics = Dynamics() if dynamics is None else dynamics
    switch = dynamics.compute_switch(binned.bin_size).astype(np.float32)
    offsets, weights = find_diagonals(dynamics.compute_walk(fields, binned.bin_size))
    maps = np.zeros(len(fields.content), dtype=np.int64)
    for index, places in enumerate(fields.maps):
        maps[places] = index
    n_events, n_maps, n_dimensions = len(binned), len(fields.maps), fields.position.shape[1]
    chances = np.zeros((n_events, 3))
    mass = np.zeros((n_events, n_maps))
    moments = np.zeros((n_events, n_maps, 3 + 2 * n_dimensions))
    evidence = np.zeros(n_events)
    for low, high in _iter_blocks(binned.offsets):
        first = binned.offsets[low]
        likelihood, peak = _compute_likelihood(binned, low, high, fields, dynamics.gain)
        edges = binned.offsets[low : high + 1] - first
        evidence[low:high] = smooth_events(
            likelihood,
            edges,
            switch,
            offsets,
            weights,
            maps,
            fields.position,
            chances[low:high],
            mass[low:high],
            moments[low:high],
        ) + np.add.reduceat(peak, edges[:-1])
    return DecodedEvents(_summarise(binned, fields, chances, mass, moments, evidence), fields.unit)


def decode_posteriors(
    binned: BinnedEvents, fields: PlaceFields, *, events: Sequence[int] | None = None, dynamics: Dynamics | None = None
) -> list[Float[np.ndarray, "bin 3 place"]]:
    """The whole posterior of some events, for figures; dynamics in the order of `DYNAMICS`.

    Args:
        binned: Counts of units as in the fields.
        fields: Place fields.
        events: Indices of the events; all where omitted.
        dynamics: Parameters of the dynamics; the defaults of `Dynamics` where omitted.

    Returns:
        One array per event, which sums to 1 in each bin.

    Raises:
        SharpwaveError: If there is no such event.
    """
    from sharpwave.reactivation._kernels import smooth

    dynamics = Dynamics() if dynamics is None else dynamics
    switch = dynamics.compute_switch(binned.bin_size).astype(np.float32)
    offsets, weights = find_diagonals(dynamics.compute_walk(fields, binned.bin_size))
    posteriors = []
    for event in range(len(binned)) if events is None else events:
        if not 0 <= event < len(binned):
            raise SharpwaveError(f"an event from 0 to {len(binned) - 1}", got=str(event), fix="count events from 0")
        likelihood, _ = _compute_likelihood(binned, event, event + 1, fields, dynamics.gain)
        posterior = np.empty((len(likelihood), 3, likelihood.shape[1]), dtype=np.float32)
        smooth(likelihood, switch, offsets, weights, posterior)
        posteriors.append(posterior)
    return posteriors


def decode_event(
    binned: BinnedEvents, event: int, fields: PlaceFields, *, dynamics: Dynamics | None = None
) -> Float[np.ndarray, "bin 3 place"]:
    """The whole posterior of one event, as in `decode_posteriors`."""
    return decode_posteriors(binned, fields, events=[event], dynamics=dynamics)[0]


def _compute_likelihood(
    binned: BinnedEvents, low: int, high: int, fields: PlaceFields, gain: float
) -> tuple[np.ndarray, np.ndarray]:
    """Likelihood of each place in the bins of events low to high, as a share of the bin's largest, and its log."""
    counts = binned.counts[binned.offsets[low] : binned.offsets[high]]
    observed = (
        None if binned.observed is None else np.repeat(binned.observed[low:high], binned.lengths[low:high], axis=0)
    )
    logs = compute_log_likelihood(
        counts, fields, bin_size=binned.bin_size, gain=gain, dtype=np.float32, observed=observed
    )
    peak = logs.max(axis=1)
    return np.exp(logs - peak[:, None]), peak.astype(np.float64)


def _iter_blocks(offsets: np.ndarray) -> list[tuple[int, int]]:
    """Ranges of events of at most `BLOCK` bins together, or of one event."""
    blocks, low, n_events = [], 0, len(offsets) - 1
    while low < n_events:
        high = max(int(np.searchsorted(offsets, offsets[low] + BLOCK, side="right")) - 1, low + 1)
        blocks.append((low, high))
        low = high
    return blocks


def _summarise(
    binned: BinnedEvents,
    fields: PlaceFields,
    chances: np.ndarray,
    mass: np.ndarray,
    moments: np.ndarray,
    evidence: np.ndarray,
) -> pd.DataFrame:
    rows = np.arange(len(binned))
    own_content = np.array([fields.content[places[0]] for places in fields.maps])
    own_direction = np.array([fields.direction[places[0]] for places in fields.maps])
    by_content = np.stack([mass[:, own_content == each].sum(axis=1) for each in range(len(fields.contents))], axis=1)
    content = by_content.argmax(axis=1)
    within = np.where(own_content == content[:, None], mass, 0.0)
    best = within.argmax(axis=1)
    sums = np.where((own_content == content[:, None])[..., None], moments, 0.0).sum(axis=1)
    weight, late, later = sums[:, 0], sums[:, 1], sums[:, 2]
    middle = late / weight
    spread = later / weight - middle**2
    lengths = binned.lengths
    slope, start, end = [], [], []
    low, high = fields.position.min(axis=0), fields.position.max(axis=0)
    for d in range(fields.position.shape[1]):
        where, product = sums[:, 3 + 2 * d] / weight, sums[:, 4 + 2 * d] / weight
        tilt = np.where(spread > 1e-9, (product - middle * where) / np.maximum(spread, 1e-9), 0.0)
        slope.append(tilt / binned.bin_size)
        start.append(np.clip(where - tilt * middle, low[d], high[d]))
        end.append(np.clip(where + tilt * (lengths - 1 - middle), low[d], high[d]))
    per_event = np.add.reduceat(binned.counts, binned.offsets[:-1], axis=0, dtype=np.int64)
    suffixes = ("",) if len(slope) == 1 else ("_x", "_y")
    return pd.DataFrame(
        {
            "onset": binned.onsets,
            "duration": lengths * binned.bin_size,
            "n_spikes": per_event.sum(axis=1),
            "n_active_units": (per_event > 0).sum(axis=1),
            "content": np.array(fields.contents, dtype=object)[content],
            "content_probability": by_content[rows, content],
            "direction": own_direction[best],
            "direction_probability": within[rows, best] / by_content[rows, content],
            **{f"p_{name}": chances[:, index] for index, name in enumerate(DYNAMICS)},
            "dynamics": np.array(DYNAMICS, dtype=object)[chances.argmax(axis=1)],
            "speed": np.sqrt(sum(each**2 for each in slope)),
            **{f"path_start{suffix}": each for suffix, each in zip(suffixes, start, strict=True)},
            **{f"path_end{suffix}": each for suffix, each in zip(suffixes, end, strict=True)},
            "log_likelihood": evidence,
        }
    )


def compute_random_walk(
    fields: PlaceFields, *, seconds: float, diffusion: float | None = None
) -> Float[np.ndarray, "place place"]:
    """Chance to be in one place (row) and, `seconds` later, in another (column); 0 between maps.

    Args:
        fields: Place fields whose places the walk joins.
        seconds: Length of a step, in s.
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
    known = fields.distances
    extent = float(np.ptp(fields.position, axis=0).max() if known is None else known[np.isfinite(known)].max())
    extent += fields.bin_size
    return 1.0 if fields.unit == "m" else (extent / TRACK_METRES) ** 2


def compute_squared(fields: PlaceFields) -> Float[np.ndarray, "place place"]:
    """Squared distances between places; along the track where it branches, and infinite between contents."""
    if fields.distances is not None:
        return fields.distances**2
    return ((fields.position[:, None] - fields.position[None]) ** 2).sum(axis=-1)
