"""Reactivations of one night: found from spikes and a track, sorted by content, counted against shuffles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields
from sharpwave.causality.series_files import read_reactivations
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation import place_fields as maps
from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.place_fields import estimate_place_fields, mark_within
from sharpwave.reactivation.position import convert_metres, find_runs, get_position, linearise
from sharpwave.recordings import Hypnogram, Recording

BIN = 0.005
"""Seconds of a bin in which an event is decoded."""
PLACE, SMOOTHING = 0.1, 0.08
"""Metres: size of a place, and standard deviation of the Gaussian over places, as Brainµ's head takes them."""
N_SURROGATES = 200
LEVEL = 0.05
LABEL = "reactivation"
NEEDS = "Not computed: this needs spikes and a track that the animal ran on."


@dataclass(frozen=True, eq=False)
class FoundReactivations:
    """What was found.

    Attributes:
        events: onset, duration (s), label, channel, content, and where they were decoded direction, probability, p
            (against exchanged cells), path ("moves") and the probabilities that an event moves, stays, jumps or holds
            no place (none).
        counts: content, count, per_minute (of NREM), and where they were decoded beyond_shuffles (share of events at
            p ≤ .05), shuffled (the same share of the shuffles) and p (of all events of that content together).
        note: Sentences that say what was done.
    """

    events: pd.DataFrame = field(default_factory=pd.DataFrame)
    counts: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = NEEDS


def look_for_reactivations(
    recording: Recording, hypnogram: Hypnogram, *, given: Path | None, rng: np.random.Generator
) -> tuple[FoundReactivations, list[str]]:
    """The reactivations given, or those found where there are spikes and a track; and why there are none.

    Args:
        recording: One night.
        hypnogram: Stages of the night.
        given: Table of reactivations found elsewhere.
        rng: Random generator of the shuffles.

    Raises:
        SharpwaveError: If the given table cannot be read.
    """
    if given is not None:
        return take_given(read_reactivations(given), hypnogram), []
    if recording.spikes is None or not len(recording.spikes) or "position" not in recording.signals:
        return FoundReactivations(), []
    try:
        return find_reactivations(recording, hypnogram, rng=rng), []
    except SharpwaveError as error:
        return FoundReactivations(), [f"Reactivations were not looked for: {error}"]


def find_reactivations(
    recording: Recording, hypnogram: Hypnogram, *, rng: np.random.Generator, n_surrogates: int = N_SURROGATES
) -> FoundReactivations:
    """Find reactivations with Brainµ's head, read their content from place fields, and hold them against shuffles.

    Args:
        recording: A recording with spikes and position; its events name the laps (content, run_direction) where known.
        hypnogram: Stages on the same clock, for rates.
        rng: Random generator of the shuffles.
        n_surrogates: Number of surrogate nights, in which the cells' identities are exchanged.

    Returns:
        What was found; events while the animal ran are left out.

    Raises:
        SharpwaveError: If the animal never ran.
    """
    from sharpwave.brainmu.reactivation.reactivation_head import detect_reactivations
    from sharpwave.reactivation.order import score_order
    from sharpwave.reactivation.significance import assess_session
    from sharpwave.reactivation.state_space import decode_events

    position = linearise(get_position(recording))
    laps = find_laps(recording, find_runs(position))
    fields = estimate_place_fields(recording.spikes, position, epochs=laps)
    coarse = estimate_place_fields(
        recording.spikes,
        position,
        epochs=laps,
        bin_size=convert_metres(PLACE, position),
        smoothing=convert_metres(SMOOTHING, position),
    )
    events = detect_reactivations(recording, fields=convert_fields(coarse))
    paths = _describe_paths(events.attrs.get("bursts", {}), laps)
    events = events[~mark_within(events["onset"].to_numpy(dtype=float), laps)].reset_index(drop=True)
    head = (
        f"{len(events)} events found by Brainµ's head from spikes and place fields of {_name(fields.contents)}.{paths}"
    )
    if not len(events):
        return FoundReactivations(note=f"{head} No reactivation was found in this night.")
    binned = bin_events(recording.spikes, events, bin_size=BIN, units=fields.units)
    decoded = decode_events(binned, fields).table
    order = score_order(recording.spikes, events, fields, n_surrogates=n_surrogates, rng=rng)
    found = events.assign(
        channel="",
        content=decoded["content"].to_numpy(),
        direction=decoded["direction"].to_numpy(),
        p=order.p,
    )
    rows = []
    for content in _list_contents(found):
        mine = np.ones(len(found), bool) if content == "any" else (found["content"] == content).to_numpy()
        test = assess_session(order.observed[mine], order.surrogates[:, mine], level=LEVEL)
        rows.append({"content": content, "beyond_shuffles": test.share, "shuffled": test.expected, "p": test.p})
    counts = count_by_content(found, hypnogram).merge(pd.DataFrame(rows), on="content")
    note = f"{head} The order of each is held against exchanged cells ({n_surrogates} times)."
    return FoundReactivations(found, counts, note)


def take_given(table: pd.DataFrame, hypnogram: Hypnogram) -> FoundReactivations:
    """Reactivations that the user gave, as they are: nothing here tests them.

    Args:
        table: onset (s), content, and whatever else is known.
        hypnogram: Stages on the same clock, for rates.
    """
    duration = table.get("duration", 0.0)
    events = table.assign(duration=duration, label=LABEL, channel="")
    first = ["onset", "duration", "label", "channel"]
    events = events[[*first, *(name for name in table if name not in first)]]
    return FoundReactivations(
        events, count_by_content(events, hypnogram), f"{len(table)} events as given; not tested against shuffles here."
    )


def convert_fields(fields: maps.PlaceFields) -> PlaceFields:
    """Place fields on tracks as Brainµ's head takes them; a track of the head is a track in one direction.

    Where the position has another unit than the metre, a place is taken to be `PLACE` metres long.
    """
    _, track = np.unique(np.stack([fields.content, fields.direction]), axis=1, return_inverse=True)
    metre = 1.0 if fields.unit == "m" else fields.bin_size / PLACE
    return PlaceFields(fields.units, fields.rates, track.reshape(-1), fields.position[:, 0] / metre)


def find_laps(recording: Recording, runs: pd.DataFrame) -> pd.DataFrame:
    """When the animal ran: the recording's own laps with their content, or the runs found from position."""
    events = recording.events
    if {"content", "run_direction"} <= set(events.columns):
        named = events[events["run_direction"].isin(("outbound", "inbound"))]
        if len(named):
            return named
    return runs.assign(run_direction=np.where(runs["direction"] > 0, "outbound", "inbound"))


def count_by_content(events: pd.DataFrame, hypnogram: Hypnogram) -> pd.DataFrame:
    """Reactivations of each content and of all: content, count, per_minute of NREM sleep."""
    nrem = [code for code, name in enumerate(hypnogram.names) if name not in ("W", "R")]
    minutes = float(np.isin(hypnogram.stages, nrem).sum() * hypnogram.epoch_length / 60)
    inside = np.isin(hypnogram.at(events["onset"].to_numpy(dtype=float)), nrem)
    rows = []
    for content in _list_contents(events):
        mine = np.ones(len(events), bool) if content == "any" else (events["content"] == content).to_numpy()
        rate = float((mine & inside).sum()) / minutes if minutes else np.nan
        rows.append({"content": content, "count": int(mine.sum()), "per_minute": rate})
    return pd.DataFrame(rows)


def _describe_paths(bursts: dict[str, list[float]], laps: pd.DataFrame) -> str:
    """A sentence on what all bursts outside the laps do; nothing where they were not judged."""
    if not bursts:
        return ""
    n = {path: int((~mark_within(np.array(onsets, dtype=float), laps)).sum()) for path, onsets in bursts.items()}
    return (
        f" Of {sum(n.values())} bursts outside the laps {n['moves']} move along a track (these are the events), "
        f"{n['stays']} stay at one place, {n['jumps']} jump, and {n['none']} hold no place that is known."
    )


def _list_contents(events: pd.DataFrame) -> list[str]:
    """The contents in order, and "any" where there are several."""
    contents = sorted({str(content) for content in events["content"]})
    return [*contents, "any"] if len(contents) > 1 else contents


def _name(contents: Sequence[str]) -> str:
    return "one track" if len(contents) == 1 else f"{len(contents)} tracks ({', '.join(contents)})"
