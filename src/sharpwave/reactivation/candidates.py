"""Candidate events: stretches in which a reactivation may be, from ripples, bursts of the population, or the user."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import flatten_spikes
from sharpwave.reactivation.given_events import fit_events
from sharpwave.reactivation.place_fields import mark_within
from sharpwave.reactivation.position import GAP, Position, mark_running
from sharpwave.recordings import Recording, Signal
from sharpwave.signals.lfp_channels import choose_lfp
from sharpwave.signals.ripples import BANDS, detect_ripples

STEP = 0.002
"""Bin of the population rate in s."""

SMOOTHING = 0.015
"""Standard deviation in s of the Gaussian that smooths it (Davidson et al. 2009, doi:10.1016/j.neuron.2009.07.027)."""

RIPPLES_A_STRETCH = 30
"""Ripples of a stretch in which it is looked whether the units fire in them."""

BESIDE = 1.0
"""Seconds before and after a ripple at which its surroundings are counted."""

LEAST_GAIN = 1.2
"""Firing in ripples over firing beside them, below which units and LFP do not belong together."""

FEWEST_SPIKES = 30
"""Spikes beside the ripples of a stretch that are needed to say so."""

LEAST_MISSING = 0.1
"""Share of a session without LFP from which it is said."""

CHUNK = 3600.0
MARGIN = 2.0
COLUMNS = ("onset", "duration", "n_spikes", "n_active_units", "source")


def detect_bursts(
    spikes: Any,
    *,
    spans: pd.DataFrame | None = None,
    threshold: float = 3.0,
    duration: tuple[float, float] = (0.05, 0.5),
    min_units: int = 5,
) -> pd.DataFrame:
    """Bursts of the whole population (Davidson et al. 2009).

    A burst is where the smoothed rate of all units together rises above mean + `threshold` standard deviations; it
    reaches from where the rate leaves its mean to where it returns there.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        spans: onset and duration in s of the stretches that are searched and set mean and deviation (rest, not
            running); all of the session where omitted.
        threshold: Least height of a burst's peak over the mean rate, in standard deviations; 3 by default.
        duration: Shortest and longest burst, in s; 0.05 to 0.5 s by default.
        min_units: Fewest units that fire; 5 by default.

    Returns:
        onset, duration (s), n_spikes, n_active_units, source "burst", z (of the peak).

    Raises:
        SharpwaveError: If there are no spikes in the spans.
    """
    times, _ = flatten_spikes(spikes)
    count, total, squares = 0, 0.0, 0.0
    for rate, inside, start, core in _iter_rate(times, spans):
        middles = start + (np.arange(len(rate)) + 0.5) * STEP
        found = rate[inside & (middles >= core[0]) & (middles < core[1])].astype(np.float64)
        count, total, squares = count + found.size, total + float(found.sum()), squares + float(found @ found)
    if not total > 0:
        raise SharpwaveError(
            "spikes in the searched stretches", got="none", fix="check that spikes and spans share a clock"
        )
    mean = total / count
    deviation = float(np.sqrt(max(squares / count - mean**2, 1e-12)))
    rows = []
    for rate, inside, start, core in _iter_rate(times, spans):
        above = inside & (rate > mean)
        edges = np.flatnonzero(np.diff(np.r_[False, above, False]))
        for low, high in edges.reshape(-1, 2):
            begin, end = start + low * STEP, start + high * STEP
            peak = rate[low:high].max()
            short = duration[0] <= end - begin <= duration[1]
            if peak > mean + threshold * deviation and short and core[0] <= begin < core[1]:
                rows.append((begin, end - begin, "burst", (peak - mean) / deviation))
    table = pd.DataFrame(rows, columns=["onset", "duration", "source", "z"]).astype({"source": str})
    return keep_active(count_activity(spikes, table), min_units)


def find_candidates(
    recording: Recording,
    *,
    source: str = "auto",
    given: pd.DataFrame | None = None,
    position: Position | None = None,
    spans: pd.DataFrame | None = None,
    min_units: int = 5,
) -> pd.DataFrame:
    """Candidate events of a session.

    Args:
        recording: Recording with spikes, and with LFP where ripples are asked for.
        source: "ripples", "bursts", or "auto": ripples where an LFP is sampled fast enough for them, else bursts.
        given: The user's own events (onset, duration in s); then nothing is detected.
        position: Position of the animal: events while it runs are left out, whatever their source.
        spans: Stretches (onset, duration) in which an event has to begin; the whole session where omitted.
        min_units: Fewest units that fire in an event; 5 by default.

    Returns:
        onset, duration (s), n_spikes, n_active_units, source ("ripple", "burst", "given").

    Raises:
        SharpwaveError: If there are no spikes, no LFP to find ripples in, or the user's table lacks a column.

    >>> import pynapple as nap
    >>> spikes = nap.TsGroup({0: nap.Ts(np.array([0.11, 0.13, 5.01])), 1: nap.Ts(np.array([0.17, 9.0]))})
    >>> given = pd.DataFrame({"onset": [0.1, 5.0], "duration": 0.1})
    >>> found = find_candidates(Recording(spikes=spikes), given=given, min_units=2)
    >>> found[["onset", "n_spikes", "n_active_units"]].to_numpy().tolist()
    [[0.1, 3.0, 2.0]]
    """
    if recording.spikes is None or not len(recording.spikes):
        raise SharpwaveError(
            "a recording with sorted units", got="no spikes", fix="read the session with its spikes, such as an NWB"
        )
    found, notes = None, list[str]()
    if given is not None:
        found, notes = fit_events(given, recording)
        found = found.assign(source="given")
        notes += describe_uncoupled(recording.spikes, found.sort_values("onset"), kind="given events")
    elif choose_source(recording, source) == "ripples":
        found, notes = _find_ripples(recording, strict=source == "ripples")
    if found is None:
        begin = min(0.0, float(recording.spikes.time_support.start[0]))
        quiet = None if position is None else find_rest(position, recording.duration, start=begin)
        found = detect_bursts(recording.spikes, spans=quiet if spans is None else spans, min_units=min_units)
    found = found.sort_values("onset", kind="stable", ignore_index=True)
    keep = np.ones(len(found), dtype=bool)
    middles = found["onset"].to_numpy(float) + found["duration"].to_numpy(float) / 2
    if spans is not None:
        keep &= mark_within(middles, spans)
    if position is not None:
        keep &= ~mark_moving(middles, position)
    kept = keep_active(count_activity(recording.spikes, found[keep]), min_units)
    kept.attrs["notes"] = notes
    return kept


def _find_ripples(recording: Recording, *, strict: bool) -> tuple[pd.DataFrame | None, list[str]]:
    """The ripples, None where they do not belong to the spikes and are not asked for, and what there is to say."""
    chosen = choose_lfp(recording)
    fast = _list_fast(chosen)
    tables = [detect_ripples(signal, species=_band(recording)) for signal in fast]
    found = merge_events(pd.concat(tables, ignore_index=True)).assign(source="ripple")
    notes = list(chosen.repairs[len(recording.repairs) :])
    if not len(found) and not strict:
        return None, [*notes, "No ripple was found in the LFP. Bursts of the units are the candidates instead."]
    apart = describe_uncoupled(recording.spikes, found)
    notes += _describe_cover(recording, fast)
    if apart and not strict:
        return None, [*notes, f"{apart[0]} Bursts of the units are the candidates instead."]
    return found, [*notes, *apart]


def _describe_cover(recording: Recording, signals: Sequence[Signal]) -> list[str]:
    """A sentence where the LFP leaves out a tenth of the session or more: no event can be found there."""
    begin, end = min(signal.start for signal in signals), max(signal.end for signal in signals)
    support = recording.spikes.time_support
    first, last = float(support.start[0]), float(support.end[-1])
    missing = max(begin - first, 0.0) + max(last - end, 0.0)
    if missing < LEAST_MISSING * (last - first):
        return []
    return [
        f"The LFP is of {begin:.0f} to {end:.0f} s of a session of {first:.0f} to {last:.0f} s: outside it no ripple "
        "can be found, and epochs there have no events. --candidates bursts takes bursts of the units instead."
    ]


def describe_uncoupled(spikes: Any, ripples: pd.DataFrame, *, kind: str = "ripples") -> list[str]:
    """A sentence where the units do not fire in ripples, in all of the session or in a stretch of it; else none.

    In the hippocampus units fire several times as fast in ripples as around them. Where they do not, LFP and spikes
    are not on one clock (or the units lie elsewhere), and ripples are no candidates.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        ripples: onset and duration in s, in order of time.
        kind: What they are, in the sentence.

    >>> ripples = pd.DataFrame({"onset": np.arange(100.0), "duration": 0.1})
    >>> there = {0: np.sort(np.concatenate([np.arange(100) + 0.01 * k for k in range(10)]))}
    >>> describe_uncoupled(there, ripples), len(describe_uncoupled({0: there[0] + 0.5}, ripples))
    ([], 1)
    """
    if len(ripples) < RIPPLES_A_STRETCH:
        return []
    other = "LFP" if kind == "ripples" else "events"
    times, _ = flatten_spikes(spikes)
    onset, length = ripples["onset"].to_numpy(float), ripples["duration"].to_numpy(float)
    inside = np.searchsorted(times, onset + length) - np.searchsorted(times, onset)
    around = [
        np.searchsorted(times, onset + shift + length) - np.searchsorted(times, onset + shift)
        for shift in (-BESIDE, -BESIDE / 2, BESIDE / 2, BESIDE)
    ]
    beside = np.mean(around, axis=0)
    if not inside.sum() + beside.sum():
        where = f"from {onset[0]:.0f} to {onset[-1]:.0f} s"
        return [f"No unit fires in or beside {kind}, {where}: {other} and spikes do not meet."]
    stretches = np.array_split(np.arange(len(onset)), min(10, len(onset) // RIPPLES_A_STRETCH))
    silent = [part for part in stretches if beside[part].sum() >= FEWEST_SPIKES]
    silent = [part for part in silent if inside[part].sum() < LEAST_GAIN * beside[part].sum()]
    if sum(map(len, silent)) < 0.25 * len(onset):
        return []
    rows = np.concatenate(silent)
    gain = float(inside[rows].sum() / beside[rows].sum())
    return [
        f"In {kind} from {onset[rows[0]]:.0f} to {onset[rows[-1]]:.0f} s units fire {gain:.1f} times as fast as "
        f"beside them: {other} and spikes are not on one clock there."
    ]


def choose_source(recording: Recording, source: str) -> str:
    """ "ripples" or "bursts".

    Raises:
        SharpwaveError: If it is neither of them nor "auto", or ripples are asked for without an LFP.
    """
    if source not in ("auto", "ripples", "bursts"):
        raise SharpwaveError("candidates from ripples, bursts or auto", got=repr(source), fix="choose one of these")
    fastest = max((signal.rate for signal in recording.of("lfp").values()), default=0.0)
    possible = bool(_list_fast(recording))
    if source == "ripples" and not possible:
        raise SharpwaveError(
            "an LFP that is sampled fast enough for ripples",
            got=f"{fastest:g} Hz" if fastest else "no LFP",
            fix="take bursts of the units as candidates",
        )
    return source if source != "auto" else "ripples" if possible else "bursts"


def count_activity(spikes: Any, events: pd.DataFrame, *, units: Sequence[int] | None = None) -> pd.DataFrame:
    """The events with their number of spikes and of units (all where omitted) that fire; other columns stay."""
    times, unit = flatten_spikes(spikes, units)
    onset = events["onset"].to_numpy(dtype=float)
    low = np.searchsorted(times, onset)
    high = np.maximum(np.searchsorted(times, onset + events["duration"].to_numpy(dtype=float)), low)
    event = np.repeat(np.arange(len(events)), high - low)
    spike = np.arange(len(event)) - np.repeat(np.cumsum(high - low) - (high - low), high - low) + low[event]
    pairs = np.unique(event * (unit.max(initial=0) + 1) + unit[spike])
    active = np.bincount((pairs // (unit.max(initial=0) + 1)).astype(int), minlength=len(events))
    counted = events.reset_index(drop=True).assign(n_spikes=high - low, n_active_units=active)
    first = [name for name in COLUMNS if name in counted]
    return counted[[*first, *(name for name in counted if name not in COLUMNS)]]


def merge_events(events: pd.DataFrame) -> pd.DataFrame:
    """Events that overlap, of several channels, as one from the first onset to the last end."""
    if not len(events):
        return events[["onset", "duration"]]
    ordered = events.sort_values("onset", kind="stable")
    onset = ordered["onset"].to_numpy(float)
    end = np.maximum.accumulate(onset + ordered["duration"].to_numpy(float))
    first = np.r_[True, onset[1:] > end[:-1]]
    last = np.r_[np.flatnonzero(first)[1:] - 1, len(onset) - 1]
    return pd.DataFrame({"onset": onset[first], "duration": end[last] - onset[first]})


def mark_moving(times: Float[np.ndarray, " time"], position: Position) -> Bool[np.ndarray, " time"]:
    """Which times fall while the animal runs; where its position is unknown it is taken to rest."""
    running = mark_running(position)
    index = np.clip(np.searchsorted(position.times, times), 0, len(position.times) - 1)
    before = np.maximum(index - 1, 0)
    nearest = np.where(times - position.times[before] < position.times[index] - times, before, index)
    return running[nearest] & (np.abs(position.times[nearest] - times) <= GAP)


def find_rest(position: Position, duration: float, *, start: float = 0.0) -> pd.DataFrame:
    """onset and duration of all stretches of a session, from `start` on, in which the animal is not known to run."""
    running = mark_running(position)
    edges = np.flatnonzero(np.diff(np.r_[False, running, False]))
    ends = np.minimum(edges[1::2], len(position.times) - 1)
    onset = np.r_[start, position.times[ends]]
    end = np.r_[position.times[edges[::2]], duration]
    kept = end > onset
    return pd.DataFrame({"onset": onset[kept], "duration": (end - onset)[kept]})


def _list_fast(recording: Recording) -> list[Signal]:
    """LFP signals that are sampled regularly, and fast enough for ripples."""
    least = 2.1 * BANDS[_band(recording)][1]
    return [signal for signal in recording.of("lfp").values() if signal.times is None and signal.rate >= least]


def _band(recording: Recording) -> str:
    return recording.species if recording.species in BANDS else "rat"


def keep_active(events: pd.DataFrame, min_units: int) -> pd.DataFrame:
    """The events in which at least so many units fire, as `count_activity` counted."""
    return events[events["n_active_units"] >= min_units].reset_index(drop=True)


def _iter_rate(
    times: np.ndarray, spans: pd.DataFrame | None
) -> Iterator[tuple[np.ndarray, np.ndarray, float, tuple[float, float]]]:
    """Population rate in chunks: rate in Hz, what is searched, time of the first bin, and the chunk's start and end."""
    from scipy.ndimage import gaussian_filter1d

    if not len(times):
        return
    session_end = float(times[-1]) + STEP
    for low in np.arange(np.floor(times[0]), session_end, CHUNK):
        start, stop = low - MARGIN, min(low + CHUNK, session_end) + MARGIN
        n_bins = int(np.ceil((stop - start) / STEP))
        first, last = np.searchsorted(times, [start, start + n_bins * STEP])
        counts = np.bincount(((times[first:last] - start) / STEP).astype(int), minlength=n_bins)[:n_bins]
        rate = gaussian_filter1d((counts / STEP).astype(np.float32), SMOOTHING / STEP, mode="constant")
        middles = start + (np.arange(n_bins) + 0.5) * STEP
        inside = np.ones(n_bins, dtype=bool) if spans is None else mark_within(middles, spans)
        yield rate, inside & (middles >= times[0]) & (middles < session_end), start, (low, low + CHUNK)
