"""Spikes, series and tables of an NWB session on one clock: what its parts say of each other's unit and origin.

A part in milliseconds, microseconds or samples reaches a thousand times as far as the others; one that counts from 1970
lies fifty years after them. Both are recognised from the ranges, mended where one reading fits, and declared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb_tables import Units
from sharpwave.recordings.recording import Signal

LONGEST_SESSION = 366 * 86_400.0
FAR = 20.0
"""A part that ends this many times later than the others is in another unit, or much longer."""
UNIX = 1e8
"""Seconds: a clock beyond this counts from 1970."""
LATE = 86_400.0
"""Seconds: a session whose parts all begin later than this has its zero elsewhere, such as when a machine started."""
TENTHS = "tenths of a millisecond"
UNITS_OF_TIME = {"milliseconds": 1e-3, TENTHS: 1e-4, "microseconds": 1e-6, "nanoseconds": 1e-9}
NEAR_ENDS = (0.6, 1.5)
"""Tenths of a millisecond are told from samples of an amplifier only where all parts end within this ratio."""
USUAL_CAMERA = 40.0
"""Frames a second."""
LONGER_UNITS = {"minutes": 60.0, "hours": 3600.0, "days": 86_400.0}
RATES = {"position": (5.0, 1000.0), "V": (100.0, 200_000.0)}
"""Sampling rates in Hz that tracking and electrodes have."""
USUAL_SPIKING = (0.01, 200.0)
"""Median rate of the units of a session, in Hz."""
SAMPLING_RATES = (30_000.0, 32_000.0, 20_000.0, 25_000.0, 40_000.0, 24_414.0625)
COARSEST = 0.1
"""Seconds: spike times that are stored more coarsely are of no use."""


@dataclass(frozen=True)
class Aligned:
    """Parts of a session on one clock.

    Attributes:
        signals: Signals by name.
        units: Units, where there are any.
        tables: Tables of intervals by name.
        start: Clock time of zero, where known.
        offset: Seconds that were taken off all times; 0 where none were.
        repairs: What was mended, or does not fit, one sentence each.
    """

    signals: dict[str, Signal]
    units: Units | None
    tables: dict[str, pd.DataFrame]
    start: datetime | None
    offset: float
    repairs: tuple[str, ...]


def align_parts(
    signals: Mapping[str, Signal],
    units: Units | None,
    tables: Mapping[str, pd.DataFrame],
    *,
    start: datetime | None,
    file: str,
) -> Aligned:
    """Put the parts of a session on one clock, in seconds.

    Args:
        signals: Signals by name.
        units: Units with their times as stored; None where there are none.
        tables: Tables of intervals by name.
        start: Clock time that the file states for zero.
        file: Name of the file, for messages.

    Raises:
        SharpwaveError: If spike times can be no seconds and nothing says what they are.
    """
    signals, repairs = _scale_signals(dict(signals), units)
    if units is not None:
        units, said = _scale_units(units, signals, tables, file)
        repairs += said
    tables, said = _scale_tables(tables, signals, units)
    repairs += said
    parts = _list_parts(signals, units, tables)
    shifts, start, offset, said = _find_shifts(parts, start)
    repairs += said
    moved = {name: move_signal(signal, shift=shifts.get(("signal", name), 0.0)) for name, signal in signals.items()}
    if units is not None:
        units = units.moved(shift=shifts.get(("spikes", ""), 0.0))
    later = {
        name: table.assign(onset=table["onset"] + shifts.get(("table", name), 0.0)) for name, table in tables.items()
    }
    return Aligned(moved, units, later, start, offset, tuple(repairs))


def move_signal(signal: Signal, *, factor: float = 1.0, shift: float = 0.0) -> Signal:
    """A signal on another clock: its times by a factor, and later by some seconds."""
    if factor == 1.0 and shift == 0.0:
        return signal
    times = None if signal.times is None else signal.times * factor + shift
    return replace(signal, rate=signal.rate / factor, start=signal.start * factor + shift, times=times)


def _kind(signal: Signal) -> str:
    return "position" if signal.modality.name == "position" else signal.modality.unit


def _scale_signals(signals: dict[str, Signal], units: Units | None) -> tuple[dict[str, Signal], list[str]]:
    """Series whose rate makes sense only if their times are in a smaller unit than the second."""
    repairs = []
    span = None if units is None else units.span
    slow_spikes = units is not None and span is not None and 0 < units.median_rate < 2 * USUAL_SPIKING[0]
    for name, signal in signals.items():
        low, high = RATES.get(_kind(signal), (0.0, math.inf))
        if len(signal) < 10:
            continue
        if _kind(signal) == "position" and signal.rate > high:
            signals[name], said = _lengthen(signal, units, low, high)
            repairs += said
        if signal.rate >= low / 5:
            continue
        for unit, factor in _by_fit(signal, span).items():
            if not low <= signal.rate / factor <= high:
                continue
            begin, end = signal.start * factor, signal.end * factor
            same = slow_spikes and span is not None and begin < span[1] * factor and end > span[0] * factor
            apart = span is not None and signal.end > FAR * span[1] and begin < span[1] and end > span[0]
            if same or apart or (span is None and _kind(signal) == "V"):
                signals[name] = move_signal(signal, factor=factor)
                repairs.append(
                    f"{name}: its time stamps are in {unit} ({signal.rate:.3g} samples a second otherwise, "
                    f"{signal.rate / factor:.5g} so); divided by {1 / factor:,.0f}"
                )
                break
        else:
            if _kind(signal) == "position" and span is not None and not slow_spikes:
                signals[name], said = _from_samples(signal, signals, units, span)
                repairs += said
    return signals, repairs


def _by_fit(signal: Signal, span: tuple[float, float] | None) -> dict[str, float]:
    """Units of time, that in which the series ends nearest to the spikes first; those in order where all are alike."""
    if span is None or span[1] <= 0 or signal.end <= FAR * span[1]:
        return {unit: factor for unit, factor in UNITS_OF_TIME.items() if unit != TENTHS}
    ends = {unit: abs(math.log(signal.end * factor / span[1])) for unit, factor in UNITS_OF_TIME.items()}
    known = [unit for unit in sorted(ends, key=lambda unit: ends[unit]) if _are_near(unit, signal.end, span[1])]
    return {unit: UNITS_OF_TIME[unit] for unit in known}


def _are_near(unit: str, end: float, other: float) -> bool:
    return unit != TENTHS or NEAR_ENDS[0] * other <= end * UNITS_OF_TIME[unit] <= NEAR_ENDS[1] * other


def _lengthen(signal: Signal, units: Units | None, low: float, high: float) -> tuple[Signal, list[str]]:
    """A position with more frames a second than any camera has, whose times are in minutes, hours or days."""
    span = None if units is None else units.span
    for unit, factor in sorted(
        LONGER_UNITS.items(), key=lambda each: abs(math.log(signal.rate / each[1] / USUAL_CAMERA))
    ):
        if span is None or units is None or not low <= signal.rate / factor <= high:
            continue
        alike = units.median_rate > USUAL_SPIKING[1] and signal.start < span[1] and signal.end > span[0]
        inside = span[1] > FAR * signal.end and signal.start * factor < span[1]
        if alike or (inside and signal.end * factor > span[0]):
            return move_signal(signal, factor=factor), [
                f"{signal.name}: its time stamps are in {unit} ({signal.rate:.3g} samples a second otherwise, "
                f"{signal.rate / factor:.5g} so); multiplied by {factor:,.0f}"
            ]
    return signal, []


def _from_samples(
    signal: Signal, signals: Mapping[str, Signal], units: Units | None, span: tuple[float, float]
) -> tuple[Signal, list[str]]:
    """A position whose times are whole numbers that are samples of the amplifier.

    Raises:
        SharpwaveError: If they are, and the file does not state the sampling rate.
    """
    stamps = [signal.start, 1 / signal.rate] if signal.times is None else signal.times[:1000].tolist()
    if any(abs(stamp - round(stamp)) > 1e-6 * max(1.0, abs(stamp)) for stamp in stamps):
        return signal, []
    low, high = RATES["position"]

    def fits(rate: float) -> bool:
        return low <= signal.rate * rate <= high and span[0] < signal.end / rate < 5 * span[1]

    stated = [1 / units.resolution] if units is not None and units.resolution > 0 else []
    stated += [other.rate for other in signals.values() if other.modality.unit == "V" and other.rate > 5000]
    known = next((rate for rate in stated if fits(rate)), None)
    if known is not None:
        said = f"{signal.name}: its time stamps are samples; divided by the sampling rate that the file states"
        return move_signal(signal, factor=1 / known), [f"{said}, {known:,.6g} Hz"]
    likely = next((rate for rate in SAMPLING_RATES if fits(rate)), None)
    if likely is None:
        return signal, []
    raise SharpwaveError(
        f"times of the position {signal.name!r} in seconds",
        got=f"whole numbers up to {signal.end:.6g} where spikes end at {span[1]:.6g} s, probably samples",
        fix=f"divide them by the sampling rate (at {likely:,.0f} Hz they would end at {signal.end / likely:.6g} s)",
    )


def _scale_units(
    units: Units, signals: Mapping[str, Signal], tables: Mapping[str, pd.DataFrame], file: str
) -> tuple[Units, list[str]]:
    """Units whose times reach far past everything else: in milliseconds, microseconds or samples."""
    span = units.span
    if span is None:
        return units, []
    if units.resolution_of_storage > COARSEST:
        raise SharpwaveError(
            f"spike times in double precision in {file}",
            got=f"single precision at {span[1]:.6g} s, which tells times {units.resolution_of_storage:.3g} s apart",
            fix="write the units again with float64 times, or counted from the start of the session",
        )
    told = [(signal.start, signal.end) for signal in signals.values() if _kind(signal) in RATES]
    told = told or [(signal.start, signal.end) for signal in signals.values()] or _spans_of(tables)
    end = max((high for _, high in told), default=0.0)
    if told and units.median_rate > USUAL_SPIKING[1]:
        longer = [name for name, factor in LONGER_UNITS.items() if _fits(span, factor, told, units.median_rate)]
        if longer:
            return units.moved(factor=LONGER_UNITS[longer[0]]), [f"spike times are in {longer[0]}; taken as such"]
    if not told or end <= 0 or span[1] <= FAR * end:
        return _check_length(units, file), []
    fitting = {
        name: factor
        for name, factor in UNITS_OF_TIME.items()
        if _are_near(name, span[1], end) and _fits(span, factor, told, units.median_rate)
    }
    if fitting:
        name, factor = next(iter(fitting.items()))
        return units.moved(factor=factor), [
            f"spike times reach {span[1]:.6g} where everything else ends at {end:.6g} s: they are in {name}; "
            f"divided by {1 / factor:,.0f}"
        ]
    if not units.whole:
        return _check_length(units, file), [
            f"spike times reach {span[1]:.6g} s, and everything else ends at {end:.6g} s"
        ]
    stated = [1 / units.resolution] if units.resolution > 0 else []
    stated += [signal.rate for signal in signals.values() if signal.modality.unit == "V" and signal.rate > 5000]
    known = [rate for rate in stated if _fits(span, 1 / rate, told, units.median_rate)]
    if known:
        return units.moved(factor=1 / known[0]), [
            f"spike times are whole numbers up to {span[1]:.6g} where everything else ends at {end:.6g} s: they are in "
            f"samples; divided by the sampling rate that the file states, {known[0]:,.6g} Hz"
        ]
    likely = next((rate for rate in SAMPLING_RATES if _fits(span, 1 / rate, told, units.median_rate)), None)
    if likely is None:
        return _check_length(units, file), [
            f"spike times reach {span[1]:.6g} s, and everything else ends at {end:.6g} s"
        ]
    raise SharpwaveError(
        f"spike times in seconds in {file}",
        got=f"whole numbers up to {span[1]:.6g} where everything else ends at {end:.6g} s, probably in samples",
        fix=f"divide them by the sampling rate (at {likely:,.0f} Hz they would end at {span[1] / likely:.6g} s)",
    )


def _scale_tables(
    tables: Mapping[str, pd.DataFrame], signals: Mapping[str, Signal], units: Units | None
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """Tables of intervals that reach far past the spikes and series, and in a smaller unit end with them."""
    ends = [signal.end for signal in signals.values()]
    ends += [units.span[1]] if units is not None and units.span is not None else []
    end, scaled, repairs = max(ends, default=0.0), dict(tables), list[str]()
    for name, table in tables.items():
        last = _spans_of({name: table})[0][1] if len(table) else 0.0
        fitting = [unit for unit, factor in UNITS_OF_TIME.items() if 0.05 * end < last * factor < 1.5 * end]
        if last > FAR * end > 0 and fitting:
            factor = UNITS_OF_TIME[fitting[0]]
            scaled[name] = table.assign(onset=table["onset"] * factor, duration=table["duration"] * factor)
            repairs.append(
                f"the table {name!r} reaches {last:.6g} where everything else ends at {end:.6g} s: it is in "
                f"{fitting[0]}; divided by {1 / factor:,.0f}"
            )
    return scaled, repairs


def _check_length(units: Units, file: str) -> Units:
    span = units.span
    if span is not None and span[1] - span[0] > LONGEST_SESSION:
        raise SharpwaveError(
            f"spike times in seconds in {file}",
            got=f"times up to {span[1]:.4g}, probably in samples",
            fix="divide them by the sampling rate (those in milliseconds by 1,000)",
        )
    return units


def _fits(span: tuple[float, float], factor: float, told: list[tuple[float, float]], rate: float) -> bool:
    """Whether spikes whose times are shortened so hold what the other parts say, at rates that units have."""
    low, high = span[0] * factor, span[1] * factor
    covered = sum(max(0.0, min(high, end) - max(low, begin)) for begin, end in told)
    whole = sum(end - begin for begin, end in told)
    usual = USUAL_SPIKING[0] <= rate / factor <= USUAL_SPIKING[1]
    return usual and covered >= 0.8 * whole and high <= 5 * max(end for _, end in told)


def _spans_of(tables: Mapping[str, pd.DataFrame]) -> list[tuple[float, float]]:
    return [
        (float(table["onset"].min()), float((table["onset"] + table["duration"].fillna(0.0)).max()))
        for table in tables.values()
        if len(table)
    ]


def _list_parts(
    signals: Mapping[str, Signal], units: Units | None, tables: Mapping[str, pd.DataFrame]
) -> dict[tuple[str, str], tuple[float, float]]:
    """First and last time of each part."""
    parts = {("signal", name): (_first_of(signal), signal.end) for name, signal in signals.items() if len(signal)}
    if units is not None and units.span is not None:
        parts["spikes", ""] = units.span
    named = {name: table for name, table in tables.items() if len(table)}
    return parts | {("table", name): span for name, span in zip(named, _spans_of(named), strict=True)}


def _first_of(signal: Signal) -> float:
    return signal.start if signal.times is None else float(signal.times[0])


def _find_shifts(
    parts: Mapping[tuple[str, str], tuple[float, float]], start: datetime | None
) -> tuple[dict[tuple[str, str], float], datetime | None, float, list[str]]:
    """Seconds to add to each part, the clock time of zero, what was taken off all, and sentences."""
    if not parts:
        return {}, start, 0.0, []
    first = min(low for low, _ in parts.values())
    since_1970 = [key for key, (low, _) in parts.items() if low > UNIX]
    if len(since_1970) == len(parts) and first < datetime.now(UTC).timestamp() + LATE:
        offset = math.floor(first)
        zone = UTC if start is None else start.tzinfo
        said = f"all times count from 1970 (Unix time); {offset} s were taken off, so that they begin at 0"
        return dict.fromkeys(parts, -float(offset)), datetime.fromtimestamp(offset, zone), float(offset), [said]
    if since_1970 and len(since_1970) < len(parts):
        return _join_origins(parts, since_1970, start)
    if first > LATE:
        offset = math.floor(first)
        said = f"no part of the session begins before {first:.6g} s; {offset} s were taken off all times"
        later = None if start is None else start + timedelta(seconds=offset if first < UNIX else 0)
        return dict.fromkeys(parts, -float(offset)), later, float(offset), [said]
    return {}, start, 0.0, []


def _join_origins(
    parts: Mapping[tuple[str, str], tuple[float, float]], since_1970: list[tuple[str, str]], start: datetime | None
) -> tuple[dict[tuple[str, str], float], datetime | None, float, list[str]]:
    """Parts that count from 1970 beside parts that count from the start of the session."""
    names = ", ".join(name or kind for kind, name in since_1970)
    others = [span for key, span in parts.items() if key not in since_1970]
    low, high = min(span[0] for span in others), max(span[1] for span in others)
    zero = math.nan if start is None else start.timestamp()
    inside = [parts[key][0] - zero < high and parts[key][1] - zero > low for key in since_1970]
    if all(inside):
        said = f"{names}: times count from 1970 (Unix time); the session's start, {start}, was taken off them"
        return dict.fromkeys(since_1970, -zero), start, 0.0, [said]
    said = (
        f"{names}: times count from 1970 (Unix time) and those of the rest do not, and the start that the file states "
        f"({start}) does not join them: they were left apart"
    )
    return {}, start, 0.0, [said]
