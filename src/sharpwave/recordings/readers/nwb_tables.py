"""Tables of an NWB file: units, intervals, and the sleep states among them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup
from sharpwave.recordings.readers.scoring import fill_epochs, name_stage
from sharpwave.recordings.recording import empty_events

if TYPE_CHECKING:
    import pynapple as nap

LABELS = (
    "label",
    "labels",
    "stage",
    "sleep_stage",
    "sleep_state",
    "state",
    "states",
    "tags",
    "epoch_name",
    "name",
    "type",
)
LONGEST_SESSION = 366 * 86_400.0
MOST_ROWS = 10**8
MOSTLY = 0.6
"""Share of a table's labels that must be sleep stages for it to be a hypnogram."""


def read_units(group: InsideGroup, file: str) -> tuple[nap.TsGroup | None, list[str]]:
    """Sorted units as spikes.

    Args:
        group: Group of the `units` table.
        file: Name of the file, for messages.

    Returns:
        The units with their text columns as metadata, and sentences on what was repaired.

    Raises:
        SharpwaveError: If the table contradicts itself, or its times are no seconds.
    """
    import pynapple as nap

    all_times, all_ends = group.array("spike_times"), group.array("spike_times_index")
    if all_times is None or all_ends is None:
        return None, []
    times, ends = _read_numbers(all_times), _read_numbers(all_ends).astype(np.int64)
    if not len(ends):
        return None, []
    if (np.diff(ends, prepend=0) < 0).any() or ends[-1] != len(times):
        raise SharpwaveError(
            f"spike times of each unit in {file}",
            got=f"an index up to {ends[-1]} for {len(times)} spikes",
            fix="write the units again",
        )
    if not np.isfinite(times).all() or (len(times) and times.max() > LONGEST_SESSION):
        raise SharpwaveError(
            f"spike times in seconds in {file}",
            got=f"times up to {times.max() if len(times) else 0:.4g}, probably in samples",
            fix="divide them by the sampling rate",
        )
    numbers = group.array("id")
    identifiers = np.arange(len(ends)) if numbers is None else _read_numbers(numbers).astype(int)
    repairs = []
    if len(identifiers) != len(ends) or len(set(identifiers.tolist())) != len(ends):
        identifiers = np.arange(len(ends))
        repairs.append("units without distinct identifiers were numbered from 0")
    pieces = np.split(times, ends[:-1])
    unsorted = sum(bool((np.diff(piece) < 0).any()) for piece in pieces)
    if unsorted:
        repairs.append(f"the spikes of {unsorted} units were put in order")
    low, high = (float(times.min()), float(times.max())) if len(times) else (0.0, 1.0)
    support = nap.IntervalSet(min(low, 0.0), max(high, low + 1e-6))
    trains = {int(i): nap.Ts(np.sort(p), time_support=support) for i, p in zip(identifiers, pieces, strict=True)}
    taken = {"id", "spike_times", "spike_times_index", "rate"}
    metadata = {}
    for name, array in group.arrays():
        values = [] if name in taken or group.declares(f"{name}_index") else _read_column(array)
        if len(values) == len(ends) and re.fullmatch(r"[A-Za-z]\w*", name):
            metadata[name] = np.array(values)
    return nap.TsGroup(trains, time_support=support, metadata=metadata or None), repairs


def read_intervals(group: InsideGroup, file: str) -> pd.DataFrame:
    """A table of intervals as events: onset, duration, label, and its other plain columns.

    The label of an interval is its stage, state, tags (several are joined by commas), or another text; where the
    table has none, its name. So an epoch of the session ("track1") can be asked for by its label.

    Raises:
        SharpwaveError: If starts and ends do not belong together.
    """
    starts, stops = group.array("start_time"), group.array("stop_time")
    if starts is None or stops is None:
        return empty_events()
    start, stop = _read_numbers(starts), _read_numbers(stops)
    if len(start) != len(stop):
        raise SharpwaveError(
            f"a start and an end of each interval in {file}:/{group.place}",
            got=f"{len(start)} and {len(stop)}",
            fix="correct the file",
        )
    columns = {}
    for name, array in group.arrays():
        is_index = name.endswith("_index") and group.declares(name.removesuffix("_index"))
        if name not in ("start_time", "stop_time", "id") and not is_index:
            index = group.array(f"{name}_index")
            values = _read_column(array) if index is None else _read_ragged_texts(array, index)
            if len(values) == len(start):
                columns[name] = values
    texts = [name for name, values in columns.items() if values and isinstance(values[0], str)]
    chosen = next((name for name in LABELS if name in texts), texts[0] if texts else None)
    table_name = group.place.rsplit("/", 1)[-1]
    label = columns.pop(chosen) if chosen else [table_name] * len(start)
    columns = {name: values for name, values in columns.items() if name not in ("onset", "duration", "label")}
    events = pd.DataFrame({"onset": start, "duration": stop - start, "label": label, **columns})
    return events[np.isfinite(events["onset"])].reset_index(drop=True)


def choose_hypnogram(tables: dict[str, pd.DataFrame]) -> tuple[Hypnogram | None, pd.DataFrame, list[str]]:
    """The hypnogram among tables of intervals, and all other intervals as events.

    Args:
        tables: Events by the name of their table.

    Returns:
        The hypnogram of the table with the most sleep stages (None where no table has two), the rest as events with
        a column `table`, and sentences on what was assumed or repaired.
    """
    repairs: list[str] = []
    named = {name: _name_stages(table) for name, table in tables.items()}
    counts = {name: len({stage for stage in stages if stage not in (None, "?")}) for name, stages in named.items()}
    best = max(counts, key=lambda name: counts[name], default=None)
    hypnogram = None
    if best is not None and counts[best] >= 2:
        table, stages = tables[best], named[best]
        unknown = sorted({str(label) for label, stage in zip(table["label"], stages, strict=True) if stage is None})
        if unknown:
            repairs.append(f"states {', '.join(unknown[:5])} are no sleep stages; unscored")
        order = np.argsort(table["onset"].to_numpy(), kind="stable")
        try:
            hypnogram, notes = fill_epochs(
                table["onset"].to_numpy(dtype=float)[order],
                table["duration"].to_numpy(dtype=float)[order],
                [stages[index] or "?" for index in order],
            )
            repairs += notes
        except SharpwaveError as error:
            repairs.append(f"the sleep states in {best!r} are not used as a hypnogram: {error}")
    rest = [
        table.assign(table=name) for name, table in tables.items() if len(table) and (hypnogram is None or name != best)
    ]
    events = pd.concat(rest, ignore_index=True) if rest else empty_events()
    return hypnogram, events.sort_values("onset", kind="stable", ignore_index=True), repairs


def _name_stages(table: pd.DataFrame) -> list[str | None]:
    stages = [name_stage(label) if isinstance(label, str) else None for label in table["label"]]
    if len(stages) and sum(stage is not None for stage in stages) < MOSTLY * len(stages):
        return [None] * len(stages)
    if not {"N1", "N2"} & set(stages):  # in rodents slow-wave sleep is all of NREM sleep
        slow = [isinstance(label, str) and label.strip().upper() == "SWS" for label in table["label"]]
        stages = ["NREM" if is_slow else stage for is_slow, stage in zip(slow, stages, strict=True)]
    return stages


def _read_numbers(array: InsideArray) -> np.ndarray:
    if len(array.shape) != 1 or array.kind not in "iuf" or array.size > MOST_ROWS:
        raise SharpwaveError(
            f"a column of numbers in {array.where}",
            got=f"shape {array.shape}, type {array.data.dtype}",
            fix="correct the file",
        )
    return array.read()


def _read_column(array: InsideArray) -> list:
    """Texts or numbers of a plain column; empty for anything else."""
    if len(array.shape) != 1 or array.size > 10**6:
        return []
    return array.read().tolist() if array.kind in "biuf" else array.read_texts()


def _read_ragged_texts(array: InsideArray, index: InsideArray) -> list[str]:
    """The texts of each row, joined by commas; empty where the column holds something else."""
    if len(array.shape) != 1 or array.kind not in "OS" or array.size > 10**6:
        return []
    texts, ends = array.read_texts(), _read_numbers(index).astype(np.int64)
    if len(texts) != array.size or (np.diff(ends, prepend=0) < 0).any() or (len(ends) and ends[-1] > len(texts)):
        return []
    return [", ".join(texts[low:high]) for low, high in zip(np.r_[0, ends[:-1]], ends, strict=True)]
