"""Tables of an NWB file: units with what is known of each, and intervals of any kind."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup, read_text_value
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
OBSERVED = "obs_intervals"
"""Column of units: start and end of each stretch in which a unit was observed."""
PART = 0.98
"""Share of the session below which a unit was observed in a part of it."""
LEAST_INSIDE = 0.5
"""Share of the spikes that lie in the stretches in which their units were observed."""
MOST_ROWS = 10**8


@dataclass(frozen=True, eq=False)
class Units:
    """Sorted units of a file, on whatever clock it has.

    Attributes:
        trains: Times of each unit, in order.
        observed: Start and end of each stretch in which the unit was observed, shape (stretch, 2), for the units of
            which the file says it.
        metadata: Other columns of the table, one value a unit.
        resolution: Smallest step of the times that the file states, in s; 0 where it states none.
        resolution_of_storage: Smallest step that the type of the stored numbers can tell at the latest spike.
    """

    trains: dict[int, np.ndarray]
    observed: dict[int, np.ndarray] = field(default_factory=dict)
    metadata: dict[str, np.ndarray] = field(default_factory=dict)
    resolution: float = 0.0
    resolution_of_storage: float = 0.0

    @property
    def span(self) -> tuple[float, float] | None:
        """First and last spike; None without any."""
        filled = [train for train in self.trains.values() if len(train)]
        return (min(train[0] for train in filled), max(train[-1] for train in filled)) if filled else None

    @property
    def median_rate(self) -> float:
        """Median over the units that fire of their spikes per unit of time."""
        span = self.span
        counts = [len(train) for train in self.trains.values() if len(train)]
        return float(np.median(counts)) / (span[1] - span[0]) if span is not None and span[1] > span[0] else 0.0

    @property
    def whole(self) -> bool:
        """Whether all times are whole numbers, as samples are."""
        return all(bool((train == np.rint(train)).all()) for train in self.trains.values())

    def moved(self, *, factor: float = 1.0, shift: float = 0.0) -> Units:
        """The units on another clock: their times by a factor, and later by some seconds."""
        if factor == 1.0 and shift == 0.0:
            return self
        trains = {unit: train * factor + shift for unit, train in self.trains.items()}
        observed = {unit: spans * factor + shift for unit, spans in self.observed.items()}
        return replace(self, trains=trains, observed=observed)

    def fit_observed(self) -> tuple[Units, list[str]]:
        """The units, without stretches that do not hold their spikes and so are on another clock; and what was said."""
        n_inside, n_spikes = 0, 0
        for unit, spans in self.observed.items():
            train = self.trains[unit]
            place = np.searchsorted(spans[:, 0], train, side="right") - 1
            n_inside += int((train <= np.r_[spans[:, 1], -np.inf][place]).sum())
            n_spikes += len(train)
        if n_inside >= LEAST_INSIDE * n_spikes:
            return self, self.describe_observed()
        said = (
            f"{100 * n_inside / n_spikes:.3g} % of the spikes lie in the stretches in which their units were observed"
        )
        return replace(self, observed={}), [f"{said} ({OBSERVED}), which do not fit; taken as observed throughout"]

    def describe_observed(self) -> list[str]:
        """A sentence where some units were observed in a part of the session only; none where all were throughout."""
        if not self.observed or self.span is None:
            return []
        low = min(self.span[0], *(spans.min() for spans in self.observed.values()))
        high = max(self.span[1], *(spans.max() for spans in self.observed.values()))
        lengths = [float(np.diff(spans, axis=1).sum()) for spans in self.observed.values()]
        n_part = sum(length < PART * (high - low) for length in lengths)
        if not n_part:
            return []
        return [
            f"{n_part} of {len(self.trains)} units were observed in a part of the session only ({OBSERVED}); outside "
            f"of it they count as unobserved, not as silent"
        ]

    def to_spikes(self) -> nap.TsGroup:
        """The units as pynapple's group; `obs_intervals` holds the stretches in which each was observed."""
        import pynapple as nap

        low, high = self.span or (0.0, 1.0)
        ends = [spans for spans in self.observed.values() if len(spans)]
        low, high = (
            (min([low, *(s.min() for s in ends)]), max([high, *(s.max() for s in ends)])) if ends else (low, high)
        )
        support = nap.IntervalSet(min(low, 0.0), max(high, low + 1e-6))
        trains = {unit: nap.Ts(train, time_support=support) for unit, train in self.trains.items()}
        metadata: dict[str, Any] = dict(self.metadata)
        if self.observed:
            column = np.empty(len(trains), dtype=object)
            for row, unit in enumerate(trains):
                column[row] = (
                    self.observed[unit].tolist() if unit in self.observed else [[support.start[0], support.end[0]]]
                )
            metadata[OBSERVED] = column
        return nap.TsGroup(trains, time_support=support, metadata=metadata or None)


def read_units(group: InsideGroup, file: str) -> tuple[Units | None, list[str]]:
    """Sorted units, on the clock of the file.

    Args:
        group: Group of the `units` table.
        file: Name of the file, for messages.

    Returns:
        The units with their text columns as metadata, and sentences on what was repaired.

    Raises:
        SharpwaveError: If the table contradicts itself, or its times are no numbers.
    """
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
    storage = float(np.spacing(np.abs(times).max())) if len(times) and times.dtype.kind == "f" else 0.0
    times = times.astype(np.float64)
    if not np.isfinite(times).all():
        raise SharpwaveError(f"spike times in {file}", got="some that are no numbers", fix="write the units again")
    identifiers, repairs = _read_identifiers(group, len(ends))
    pieces = np.split(times, ends[:-1])
    unsorted = sum(bool((np.diff(piece) < 0).any()) for piece in pieces)
    if unsorted:
        repairs.append(f"the spikes of {unsorted} units were put in order")
    trains = {int(i): np.sort(piece) for i, piece in zip(identifiers, pieces, strict=True)}
    observed, notes = _read_observed(group, [*trains])
    taken = {"id", "spike_times", "spike_times_index", "rate", OBSERVED}
    metadata = {}
    for name, array in group.arrays():
        values = [] if name in taken or group.declares(f"{name}_index") else _read_column(array)
        if len(values) == len(ends) and re.fullmatch(r"[A-Za-z]\w*", name):
            metadata[name] = np.array(values)
    metadata.update(_read_places(group, len(ends), metadata))
    step = all_times.attribute("resolution", 0.0)
    resolution = float(step) if isinstance(step, int | float | np.number) and 0 < step < 1 else 0.0
    return Units(trains, observed, metadata, resolution, storage), repairs + notes


def _read_places(group: InsideGroup, n_units: int, metadata: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Where the first electrode of each unit lies, as `area`; empty where the file does not say it."""
    rows, ends = group.array("electrodes"), group.array("electrodes_index")
    if rows is None or rows.kind not in "iu" or "area" in metadata:
        return {}
    table = group.root.child("general/extracellular_ephys/electrodes")
    index = _read_numbers(rows).astype(np.int64)
    edges = np.arange(len(index)) + 1 if ends is None else _read_numbers(ends).astype(np.int64)
    first = np.r_[0, edges[:-1]]
    sound = table is not None and len(edges) == n_units and (np.diff(edges, prepend=0) > 0).all()
    if table is None or not sound or edges[-1] > len(index) or index.min() < 0:
        return {}
    place = table.array("location")
    texts = [] if place is None else place.read_texts()
    return {"area": np.array([texts[row] for row in index[first]])} if index.max() < len(texts) else {}


def _read_identifiers(group: InsideGroup, n_units: int) -> tuple[np.ndarray, list[str]]:
    """A number for each unit, and a sentence where those of the file tell no unit from another."""
    numbers = group.array("id")
    identifiers = np.arange(n_units) if numbers is None else _read_numbers(numbers).astype(int)
    if len(identifiers) == n_units == len(set(identifiers.tolist())):
        return identifiers, []
    return np.arange(n_units), ["units without distinct identifiers were numbered from 0"]


def _read_observed(group: InsideGroup, units: list[int]) -> tuple[dict[int, np.ndarray], list[str]]:
    """Stretches in which each unit was observed, and a sentence where they cannot be used; empty without any."""
    spans, ends = group.array(OBSERVED), group.array(f"{OBSERVED}_index")
    if spans is None or ends is None:
        return {}, []
    edges = _read_numbers(ends).astype(np.int64)
    fits = len(spans.shape) == 2 and spans.shape[1] == 2 and spans.kind in "iuf" and len(edges) == len(units)
    values = spans.read().astype(np.float64) if fits else np.empty((0, 2))
    fits = fits and not (np.diff(edges, prepend=0) < 0).any() and (not len(edges) or edges[-1] <= len(values))
    if not fits or not np.isfinite(values).all() or (values[:, 1] < values[:, 0]).any():
        return {}, [f"the column {OBSERVED} of the units does not fit them; taken as observed throughout"]
    found = zip(units, np.split(values, edges)[: len(units)], strict=True)
    return {unit: rows[np.argsort(rows[:, 0], kind="stable")] for unit, rows in found if len(rows)}, []


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
    events = events[np.isfinite(events["onset"])].reset_index(drop=True)
    events.attrs["descriptions"] = [text for text in _read_descriptions(group) if text]
    return events


def read_interval_series(group: InsideGroup, file: str) -> pd.DataFrame:
    """An IntervalSeries as events: a value above 0 opens an interval, one below 0 closes it.

    Args:
        group: Group of the series, whose name is the label of its intervals.
        file: Name of the file, for messages.

    Raises:
        SharpwaveError: If its values and times do not belong together.
    """
    marks, stamps = group.array("data"), group.array("timestamps")
    if marks is None or stamps is None:
        return empty_events()
    values, times = _read_numbers(marks), _read_numbers(stamps).astype(np.float64)
    if len(values) != len(times):
        raise SharpwaveError(
            f"a time of each mark in {file}:/{group.place}",
            got=f"{len(times)} for {len(values)}",
            fix="correct the file",
        )
    order = np.argsort(times, kind="stable")
    opening = order[values[order] > 0]
    closing = times[order[values[order] < 0]]
    place = np.searchsorted(closing, times[opening], side="right")
    ends = np.r_[closing, np.nan][place]
    label = group.place.rsplit("/", 1)[-1]
    return pd.DataFrame({"onset": times[opening], "duration": ends - times[opening], "label": label})


def _read_descriptions(group: InsideGroup) -> list[str]:
    """What the file says of the table and of its columns, where a legend of codes may stand."""
    columns = [array.attribute("description", "") for _, array in group.arrays()]
    return [read_text_value(said) for said in (group.attribute("description", ""), *columns)]


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


__getattr__ = moved.rename(__name__, {"choose_hypnogram": "recordings.readers.nwb_states:choose_hypnogram"})
