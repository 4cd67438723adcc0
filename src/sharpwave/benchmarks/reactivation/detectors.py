"""Detectors that laboratories build by hand, and what found events replay.

Hand-crafted: ripple, multi-unit burst, and rank order of the cells along the track. Candidates are bursts of all units
above 3 standard deviations, reaching to where the rate returns to its mean, 50 to 500 ms long, with five units active
(Davidson et al. 2009, doi:10.1016/j.neuron.2009.07.027), that a ripple touches. A candidate is a replay where spike
times follow the order of the fields on some track and direction better than after exchanging the cells (rank-order
correlation; Foster & Wilson 2006, doi:10.1038/nature04587; Diba & Buzsáki 2007, doi:10.1038/nn1961).

By the state-space model: candidates that a continuous path explains better than after exchanging the cells.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import rankdata

from sharpwave.reactivation.candidates import detect_bursts, find_rest
from sharpwave.reactivation.counts import bin_events, flatten_spikes
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.position import get_position
from sharpwave.reactivation.sequence_scores import score_sequences
from sharpwave.reactivation.significance import compute_p_values
from sharpwave.reactivation.state_space import decode_events
from sharpwave.recordings.recording import Recording
from sharpwave.signals.ripples import detect_ripples

LEAST_ACTIVE = 5
"""Place cells."""
LEAST_RATE = 1.0
"""Hz at the peak of a place field."""
N_SHUFFLES, ALPHA = 300, 0.05


def detect_ripples_alone(recording: Recording) -> pd.DataFrame:
    """Every ripple of the first LFP channel, taken for a replay: onset, duration."""
    lfp = next(iter(recording.of("lfp").values()))
    return detect_ripples(lfp, species=recording.species or "rat")[["onset", "duration"]]


def find_rippled_bursts(recording: Recording, ripples: pd.DataFrame) -> pd.DataFrame:
    """Bursts at rest that a ripple touches: onset, duration; at rest is where `position` does not say otherwise."""
    rest = find_rest(get_position(recording), recording.duration) if "position" in recording.signals else None
    bursts = detect_bursts(recording.spikes, spans=rest)[["onset", "duration"]]
    return keep_touching(bursts, ripples)


def detect_hand_crafted(
    recording: Recording, candidates: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Candidates whose spikes follow the order of the place fields.

    Args:
        recording: Recording with spikes.
        candidates: From `find_rippled_bursts`.
        fields: Place fields of the units.
        rng: Random generator of the exchange of cells.

    Returns:
        onset, duration (s), content, direction ("forward", "reverse"), correlation, p (over all maps at once).
    """
    times, cells = flatten_spikes(recording.spikes, fields.units)
    peaks = np.stack([_find_peaks(fields, places) for places in fields.maps])
    rows = []
    for onset, duration in candidates[["onset", "duration"]].to_numpy(float):
        inside = slice(*np.searchsorted(times, [onset, onset + duration]))
        best, r, p = compare_rank_order(times[inside], cells[inside], peaks, rng=rng)
        first = fields.maps[best][0]
        forward = (r > 0) == (fields.direction[first] == 0)
        content = fields.contents[fields.content[first]]
        rows.append((onset, duration, content, "forward" if forward else "reverse", r, p))
    table = pd.DataFrame(rows, columns=["onset", "duration", "content", "direction", "correlation", "p"])
    return table[table["p"] < ALPHA].reset_index(drop=True)


def keep_touching(events: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """The events that some other event touches."""
    starts = np.sort(others["onset"].to_numpy(float))
    ends = np.sort((others["onset"] + others["duration"]).to_numpy(float))
    onset, duration = events["onset"].to_numpy(float), events["duration"].to_numpy(float)
    touching = np.searchsorted(starts, onset + duration) > np.searchsorted(ends, onset, side="right")
    return events[touching].reset_index(drop=True)


def compare_rank_order(
    times: Float[np.ndarray, " spike"],
    cells: np.ndarray,
    peaks: Float[np.ndarray, "map unit"],
    *,
    rng: np.random.Generator,
) -> tuple[int, float, float]:
    """Rank correlation of spike times with the order of the fields, on the map where it is largest, and its p.

    Args:
        times: Spike times of an event, in s, ascending.
        cells: Unit of each spike.
        peaks: Position of each unit's field on each map; NaN where it has none.
        rng: Random generator of the exchange of the active cells.

    Returns:
        Row of `peaks`, correlation, and the share of exchanges whose largest correlation on any map is as large;
        (0, 0, 1) where too few place cells are active.
    """
    best, strongest, beaten = 0, 0.0, np.zeros(N_SHUFFLES)
    for index, place in enumerate(peaks):
        member = np.isfinite(place[cells])
        active, row = np.unique(cells[member], return_inverse=True)
        if len(active) < LEAST_ACTIVE:
            continue
        first = rankdata(place[active])
        ranks = np.vstack([first, rng.permuted(np.tile(first, (N_SHUFFLES, 1)), axis=1)])
        r = _correlate(ranks, row, times[member])
        beaten = np.maximum(beaten, np.abs(r[1:]))
        if abs(r[0]) > abs(strongest):
            best, strongest = index, float(r[0])
    if not strongest:
        return 0, 0.0, 1.0
    return best, strongest, float((1 + (beaten >= abs(strongest)).sum()) / (1 + N_SHUFFLES))


def _correlate(ranks: Float[np.ndarray, "shuffle cell"], row: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Correlation over spikes of when they come with the rank of the cell that they come from."""
    n_spikes = np.bincount(row, minlength=ranks.shape[1])
    when = rankdata(times) - (len(times) + 1) / 2
    total = np.bincount(row, weights=when, minlength=ranks.shape[1])
    centred = ranks - (ranks @ n_spikes / len(times))[:, None]
    size = np.sqrt((centred**2 @ n_spikes) * (when @ when))
    return np.divide(centred @ total, size, out=np.zeros(len(ranks)), where=size > 0)


def _find_peaks(fields: PlaceFields, places: np.ndarray) -> Float[np.ndarray, " unit"]:
    rates = fields.rates[:, places]
    return np.where(rates.max(axis=1) >= LEAST_RATE, fields.position[places, 0][rates.argmax(axis=1)], np.nan)


BIN = 0.005
"""Seconds."""
N_SURROGATES, ALPHA = 300, 0.05


def read_contents(recording: Recording, events: pd.DataFrame, fields: PlaceFields) -> pd.DataFrame:
    """The events with `content` and `direction` ("forward", "reverse") as the state-space decoder reads them.

    A replay is forward where its path runs as the animal did when the map was made.

    Args:
        recording: Recording with spikes.
        events: onset and duration in s.
        fields: Place fields on tracks, told apart by running direction.
    """
    if not len(events):
        return events.assign(content="", direction="")
    table = decode_events(bin_events(recording.spikes, events, bin_size=BIN, units=fields.units), fields).table
    forward = (table["path_end"] > table["path_start"]) == (table["direction"] == 0)
    return events.assign(
        content=table["content"].to_numpy(), direction=np.where(forward, "forward", "reverse")
    ).reset_index(drop=True)


def detect_by_state_space(
    recording: Recording, candidates: pd.DataFrame, fields: PlaceFields, *, rng: np.random.Generator
) -> pd.DataFrame:
    """Candidates that a continuous path explains better than after exchanging the cells.

    Args:
        recording: Recording with spikes.
        candidates: From `find_rippled_bursts`.
        fields: Place fields of the units.
        rng: Random generator of the exchange of cells.

    Returns:
        onset, duration (s), content, direction, p.
    """
    if not len(candidates):
        return read_contents(recording, candidates, fields).assign(p=1.0)
    binned = bin_events(recording.spikes, candidates, bin_size=BIN, units=fields.units)
    observed, surrogates = score_sequences(binned, fields, n_surrogates=N_SURROGATES, rng=rng).of("trajectory")
    p = compute_p_values(observed, surrogates)
    return read_contents(recording, candidates.assign(p=p)[p < ALPHA], fields)
