"""Which series of a recording is the place of the animal, and which of its frames hold one.

A session may have several series (epochs, lights, a linearised copy, head angles), and a tracker that lost the animal
writes −1, 0, 1023 or 1e9 in its place. What is chosen, joined and left out is said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.recordings.units import convert_unit

PLACE = MODALITIES["position"]

PIXELS = ("pixel", "pixels", "px", "pix", "camera pixels")

OVERLAP = 1.0
"""Seconds by which series that follow each other may overlap."""

MARKS = (-1.0, 0.0, 1023.0, 1024.0, 4095.0, 65535.0, -9999.0, -999.0, 9999.0, 999.0, 1e9, -1e9)
"""Values that trackers write where they lost the animal."""

FEWEST_RETURNS = 3
"""Times that a value that is none of `MARKS` must be jumped to, and back from, before it counts as one."""

MOST_MARKS = 20
"""Values of a column that are looked at, the most frequent first."""

JUMP = 10.0
"""A step this many times longer than the usual one is a jump."""

ABSURD = 20.0
"""A value this many times the range of the others away from their middle is none."""

LONGEST_TRACK, SHORTEST_TRACK = 50.0, 0.1
"""Metres: beyond them the unit that the file states cannot be true."""


@dataclass(frozen=True, eq=False)
class Track:
    """Frames with a place.

    Attributes:
        times: Times in s, rising.
        values: Places, without NaN.
        unit: "m", or the unit of the file where that is no length.
        notes: Sentences that say what was chosen and what was left out.
    """

    times: Float[np.ndarray, " time"]
    values: Float[np.ndarray, "time dimension"]
    unit: str
    notes: tuple[str, ...]


def choose_position(recording: Recording, name: str) -> Recording:
    """The recording with one series as the place of the animal, whatever its modality was; the others are none.

    Args:
        recording: The recording.
        name: Name of the series, as among its signals; capitals and the path before a slash do not matter.

    Raises:
        SharpwaveError: If there is no such series, or it has more than four columns.

    >>> track = Signal("linear", np.array([0.0, 0.2, 0.4]), 2.0, MODALITIES["other"])
    >>> chosen = choose_position(Recording(signals={"linear": track}), "Linear")
    >>> list(chosen.of("position"))
    ['linear']
    """
    names = [key for key in recording.signals if key.lower() == name.lower()]
    names = names or [key for key in recording.signals if key.rsplit("/", 1)[-1].lower() == name.lower()]
    fitting = [key for key, signal in recording.signals.items() if signal.modality.unit != "V" and _width(signal) <= 4]
    if len(names) != 1 or names[0] not in fitting:
        raise SharpwaveError(
            f"--position with one of the series {', '.join(fitting) or '(none)'}",
            got=repr(name),
            fix="give one of these names",
        )
    chosen, metadata = recording[names[0]], dict(recording.metadata)
    signals = {
        key: replace(signal, modality=MODALITIES["other"]) if signal.modality.name == "position" else signal
        for key, signal in recording.signals.items()
    }
    written = str(metadata.get("units", {}).get(names[0], ""))
    converted = (1.0, 0.0) if chosen.modality.name == "position" or not written else convert_unit(written, PLACE)
    if converted is None:
        metadata[f"{names[0]}_unit"], converted = written, (1.0, 0.0)
    scale, offset = chosen.scale * converted[0], chosen.offset * converted[0]
    signals[names[0]] = replace(chosen, modality=PLACE, scale=scale, offset=offset)
    return replace(recording, signals=signals, metadata=metadata)


def read_track(recording: Recording) -> Track:
    """The frames of a recording in which the place of the animal is known.

    The series with most dimensions in a known unit that lasts longest is taken; those of other epochs are joined to it.

    Args:
        recording: Recording with at least one signal of the modality "position".

    Raises:
        SharpwaveError: If no frame has a place.
    """
    taken, notes = _choose_series(recording)
    parts, marked, n_frames, n_missing = [], Counter[float](), 0, 0
    for signal in taken:
        values = signal.read(dtype=np.float64)
        values = values[:, None] if values.ndim == 1 else values
        lost, counts = mark_lost(values, scale=signal.scale, offset=signal.offset)
        n_missing += int((~np.isfinite(values)).any(axis=1).sum())
        values = _join_lights(np.where(lost, np.nan, values))
        times = signal.start + np.arange(len(values)) / signal.rate if signal.times is None else signal.times
        known = np.isfinite(values).all(axis=1)
        parts.append((np.asarray(times, dtype=np.float64)[known], values[known]))
        n_frames += len(values)
        marked.update(counts)
    times, places = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
    names = ", ".join(repr(signal.name) for signal in taken)
    if not len(times):
        raise SharpwaveError(f"positions in {names}", got="no sample with a value", fix="check the tracking")
    notes += [
        f"Position: {100 * count / n_frames:.3g} % of the frames ({count} of {n_frames}) hold {_name_mark(mark)}, "
        f"which stands for a lost animal; left out."
        for mark, count in marked.items()
    ]
    if n_missing:
        notes.append(
            f"Position: {100 * n_missing / n_frames:.3g} % of the frames ({n_missing} of {n_frames}) have no value."
        )
    if places.shape[1] > 2:
        places = places[:, :2]
        notes.append("Position: the third dimension was left out.")
    order = np.argsort(times, kind="stable")
    unit, said = _judge_unit(recording, taken[0].name, places)
    return Track(times[order], places[order], unit, (*notes, *said))


def _width(signal: Signal) -> int:
    return signal.samples.shape[1] if len(signal.samples.shape) == 2 else 1


def _first(signal: Signal) -> float:
    return signal.start if signal.times is None else float(signal.times[0])


def _unit_of(recording: Recording, name: str) -> str:
    return str(recording.metadata.get(f"{name}_unit", recording.metadata.get("position_unit", "m")))


def _choose_series(recording: Recording) -> tuple[list[Signal], list[str]]:
    """The series of the place, in order of time, and what there is to say."""
    found = _pair_axes([signal for signal in recording.of("position").values() if len(signal)])

    def rank(signal: Signal) -> tuple[bool, bool, bool, float]:
        derived = "linear" in signal.name.lower()
        return derived, _unit_of(recording, signal.name) != "m", _width(signal) not in (2, 3), -signal.duration

    ranked = sorted(found, key=rank)
    best, taken = ranked[0], [ranked[0]]
    left: list[Signal] = []
    for signal in ranked[1:]:
        same = _width(signal) == _width(best) and _unit_of(recording, signal.name) == _unit_of(recording, best.name)
        apart = all(_first(signal) > t.end - OVERLAP or signal.end < _first(t) + OVERLAP for t in taken)
        (taken if same and apart else left).append(signal)
    taken.sort(key=_first)
    notes = []
    if len(taken) > 1:
        names = ", ".join(signal.name for signal in taken)
        notes.append(f"Position: {len(taken)} series that follow each other were joined: {names}.")
    if left:
        others = ", ".join(signal.name for signal in left)
        which = "the series above" if len(taken) > 1 else f"the series {best.name}"
        notes.append(f"Position is {which}; also there: {others} (choose with --position NAME).")
    return taken, notes


@dataclass(frozen=True, eq=False)
class _Pair:
    """Two series of one column as one of two, x first; as numbers of the file."""

    first: Any
    second: Any

    @property
    def shape(self) -> tuple[int, int]:
        return self.first.shape[0], 2

    @property
    def dtype(self) -> Any:
        return np.promote_types(self.first.dtype, self.second.dtype)

    def __getitem__(self, key: slice) -> np.ndarray:
        return np.stack([np.asarray(self.first[key]).ravel(), np.asarray(self.second[key]).ravel()], axis=1)


def _pair_axes(signals: Sequence[Signal]) -> list[Signal]:
    """Series named alike but for x and y, which are the two columns of one position, joined; others as they are."""
    left, joined = {signal.name: signal for signal in signals}, []
    for name, signal in list(left.items()):
        twin = next((other for other in _list_twins(name) if other in left), None)
        if twin is None or name not in left or _width(signal) != 1:
            continue
        other = left[twin]
        clock = (len(signal), signal.start, signal.rate, signal.scale, signal.offset)
        if _width(other) == 1 and clock == (len(other), other.start, other.rate, other.scale, other.offset):
            del left[name], left[twin]
            samples = _Pair(signal.samples, other.samples)
            joined.append(replace(signal, samples=samples, channels=("x", "y")))
    return [*joined, *left.values()]


def _list_twins(name: str) -> list[str]:
    """Names of the series of y that may belong to one of x."""
    return [
        f"{name[:at]}{'y' if letter == 'x' else 'Y'}{name[at + 1 :]}"
        for at, letter in enumerate(name)
        if letter in "xX"
    ]


def _join_lights(values: Float[np.ndarray, "time column"]) -> Float[np.ndarray, "time dimension"]:
    """The middle of two lights, x and y of each, or the one that is seen; other positions as they are."""
    if values.shape[1] != 4:
        return values
    first, second = values[:, :2], values[:, 2:]
    middle = (first + second) / 2
    return np.where(np.isfinite(middle), middle, np.where(np.isfinite(first), first, second))


def _name_mark(mark: float) -> str:
    return "a value far beyond all others" if np.isinf(mark) else f"{mark:g}"


def mark_lost(
    values: Float[np.ndarray, "time column"], *, scale: float = 1.0, offset: float = 0.0
) -> tuple[Bool[np.ndarray, "time column"], dict[float, int]]:
    """Where a tracker wrote a mark in place of the animal, or something absurd.

    A mark is one exact value that frames jump to and back from: a place where the animal rests is walked to. Rows are
    judged column by column.

    Args:
        values: Places, shape (time, column).
        scale: Factor from the numbers of the file to these; marks are values of the file.
        offset: Offset from the numbers of the file to these.

    Returns:
        True where a value stands for none, and the number of frames of each mark (infinity for absurd values).

    >>> values = np.linspace(0, 2, 100)[:, None]
    >>> values[[20, 40, 41, 70]] = -1
    >>> mark_lost(values)[1]
    {-1.0: 4}
    """
    lost = np.zeros(values.shape, dtype=bool)
    rows: dict[float, np.ndarray] = {}
    for column in range(values.shape[1]):
        raw = np.round((values[:, column] - offset) / scale, 9)
        for mark in _list_marks(raw):
            here = raw == mark
            lost[:, column] |= here
            rows[mark] = rows.get(mark, False) | here
        far = _mark_absurd(np.where(lost[:, column], np.nan, raw))
        if far.any():
            lost[:, column] |= far
            rows[np.inf] = rows.get(np.inf, False) | far
    return lost, {float(mark): int(np.count_nonzero(found)) for mark, found in rows.items()}


def _list_marks(raw: Float[np.ndarray, " time"]) -> Sequence[float]:
    """Values of a column that frames jump to and back from."""
    finite = raw[np.isfinite(raw)]
    if len(finite) < 10:
        return []
    distinct, counts = np.unique(finite, return_counts=True)
    frequent = distinct[np.argsort(-counts, kind="stable")][:MOST_MARKS]
    candidates = {*frequent[np.sort(counts)[::-1][:MOST_MARKS] >= FEWEST_RETURNS].tolist()}
    candidates |= {mark for mark in MARKS if mark in distinct} | {float(distinct[0]), float(distinct[-1])}
    marks: list[float] = []
    left = raw
    for mark in sorted(candidates, key=lambda value: (value not in MARKS, -int((raw == value).sum()))):
        if _is_jumped_to(left, mark):
            marks.append(mark)
            left = np.where(left == mark, np.nan, left)
    return marks


def _is_jumped_to(raw: Float[np.ndarray, " time"], mark: float) -> bool:
    """Whether frames reach a value, and leave it, by jumps."""
    known = np.flatnonzero(np.isfinite(raw))
    values = raw[known]
    here = values == mark
    others = values[~here]
    if not here.any() or len(others) < 10:
        return False
    steps = np.abs(np.diff(others))
    usual = float(np.median(steps[steps > 0])) if (steps > 0).any() else 0.0
    low, high = np.percentile(others, [2, 98])
    least = max(JUMP * usual, 0.05 * float(high - low), 1e-12)
    edges = np.flatnonzero(np.diff(np.r_[False, here, False])).reshape(-1, 2)
    inner = edges[(edges[:, 0] > 0) & (edges[:, 1] < len(values))]
    into = np.abs(values[edges[edges[:, 0] > 0][:, 0] - 1] - mark) > least
    out = np.abs(values[edges[edges[:, 1] < len(values)][:, 1]] - mark) > least
    jumps = np.r_[into, out]
    outside = mark < low - 0.2 * (high - low) or mark > high + 0.2 * (high - low)
    # a mark inside the range is near the animal now and then, so that some of its returns are short
    needed = 0.9 if outside else 0.7
    enough = len(edges) >= 1 if mark in MARKS and outside else len(inner) >= FEWEST_RETURNS
    return bool(enough and len(jumps) and jumps.mean() >= needed)


def _mark_absurd(raw: Float[np.ndarray, " time"]) -> Bool[np.ndarray, " time"]:
    finite = raw[np.isfinite(raw)]
    if len(finite) < 10:
        return np.zeros(len(raw), dtype=bool)
    low, middle, high = np.percentile(finite, [2, 50, 98])
    with np.errstate(invalid="ignore"):
        return np.abs(raw - middle) > ABSURD * max(float(high - low), 1e-9)


def _judge_unit(recording: Recording, name: str, places: np.ndarray) -> tuple[str, list[str]]:
    """The unit of positions, "m" only where it can be true, and what there is to say."""
    unit = _unit_of(recording, name)
    scaled = "lengths and speeds are those of a track 2 m long"
    if unit != "m":
        unit = "pixels" if unit.lower().strip() in PIXELS else unit
        return unit, [f"Position is in {unit}: {scaled}."]
    low, high = np.percentile(places, [1, 99], axis=0)
    extent = float((high - low).max())
    if extent > LONGEST_TRACK:
        said = f"Position reaches over {extent:.4g} m by the unit of the file, and no track is longer than"
        return "pixels", [f"{said} {LONGEST_TRACK:g} m: taken as pixels; {scaled}."]
    if 0 < extent < SHORTEST_TRACK:
        said = f"Position reaches over {extent:.2g} m by the unit of the file, and no track is shorter than"
        return "units", [f"{said} {SHORTEST_TRACK:g} m: its unit is taken as unknown; {scaled}."]
    return "m", []


def check_clocks(spikes: Any, times: Float[np.ndarray, " time"]) -> None:
    """Raise where spikes and positions have no time in common.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`), or None.
        times: Times of the positions, in s.

    Raises:
        SharpwaveError: If all spikes lie before the first position or after the last, or the times are frames.
    """
    trains = [] if spikes is None else [np.asarray(getattr(spikes[unit], "t", spikes[unit])) for unit in spikes]
    trains = [train for train in trains if len(train)]
    if not trains:
        return
    low, high = min(float(train[0]) for train in trains), max(float(train[-1]) for train in trains)
    steps = np.diff(times)
    if len(steps) and (steps == 1).mean() > 0.9 and times[-1] > 2 * high:
        raise SharpwaveError(
            "times of the position in seconds",
            got=f"steps of 1 up to {times[-1]:.6g} where spikes end at {high:.6g} s, probably numbers of frames",
            fix="divide them by the frame rate of the camera",
        )
    if low > times[-1] or high < times[0]:
        raise SharpwaveError(
            "spikes and position on one clock",
            got=f"spikes from {low:.6g} to {high:.6g} s, position from {times[0]:.6g} to {times[-1]:.6g} s",
            fix="take the offset between the clocks off one of them, or choose another series with --position NAME",
        )
