"""`Recording`: one session of one subject. Frozen; times in seconds from its start; values in SI units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES, Modality
from sharpwave.recordings.sliced import Sliced
from sharpwave.reprs import describe

if TYPE_CHECKING:
    import pynapple as nap

EVENT_COLUMNS = ("onset", "duration", "label")


@dataclass(frozen=True, eq=False)
class Signal:
    """A regularly sampled signal, in memory or on disk, that hands out pynapple objects window by window.

    pynapple keeps one float64 timestamp per sample: 1.2 GB for a week of one 256 Hz channel. So a signal keeps its
    clock as (start, rate) and its samples as anything that slices like an array (NumPy, Zarr, HDF5).

    Attributes:
        name: Channel name, as recognised (`C4-M1`), or the name of a frame of channels.
        samples: Array-like, shape (time,), (time, channel) or (time, x, y, z); stored values.
        rate: Sampling rate in Hz.
        modality: What it is; `samples * scale + offset` is in `modality.unit`.
        start: Time of the first sample, in seconds from the start of the recording.
        scale: Factor from stored values to the modality's unit.
        offset: Offset in the modality's unit, added after `scale`.
        channels: Names along the second axis; empty for one channel.
        times: Time of each sample in seconds, only where sampling is irregular (`rate` is then the median rate).

    >>> signal = Signal("C4-M1", np.arange(1000), 100.0, MODALITIES["eeg"], scale=1e-6)
    >>> signal.duration, (1e6 * signal.read(2.0, 2.03)).round().tolist()
    (10.0, [200.0, 201.0, 202.0])
    """

    name: str
    samples: Any
    rate: float
    modality: Modality
    start: float = 0.0
    scale: float = 1.0
    offset: float = 0.0
    channels: tuple[str, ...] = ()
    times: np.ndarray | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.rate) and self.rate > 0):
            raise SharpwaveError(
                f"a positive sampling rate for {self.name!r}", got=f"{self.rate} Hz", fix="check the file's header"
            )
        if not hasattr(self.samples, "shape") or len(self.samples.shape) < 1:
            raise SharpwaveError(
                f"an array of samples for {self.name!r}",
                got=type(self.samples).__name__,
                fix="pass an array, time first",
            )
        kind = np.dtype(getattr(self.samples, "dtype", np.float64))
        if kind.kind not in "biuf":
            raise SharpwaveError(
                f"numbers as samples of {self.name!r}",
                got=f"values of type {kind}",
                fix="convert the samples to float32",
            )
        if not np.isfinite([self.start, self.scale, self.offset]).all():
            raise SharpwaveError(
                f"a finite start, scale and offset of {self.name!r}",
                got=f"start {self.start} s, scale {self.scale}, offset {self.offset}",
                fix="check what the file says of the channel",
            )
        if self.channels and (len(self.samples.shape) != 2 or self.samples.shape[1] != len(self.channels)):
            raise SharpwaveError(
                f"{len(self.channels)} columns in {self.name!r}, one per channel name",
                got=f"shape {tuple(self.samples.shape)}",
                fix="give time along the first axis and channels along the second",
            )
        if self.times is not None and len(self.times) != self.samples.shape[0]:
            raise SharpwaveError(
                f"one time per sample in {self.name!r}",
                got=f"{len(self.times)} times for {self.samples.shape[0]} samples",
                fix="check that the time and value columns belong together",
            )

    def __repr__(self) -> str:
        channels = f", {len(self.channels)} channels" if self.channels else ""
        unit = f" in {self.modality.unit}" if self.modality.unit else ""
        return f"<Signal {self.name!r}: {self.modality.name}{unit}, {self.rate:g} Hz, {self.duration:g} s{channels}>"

    def __len__(self) -> int:
        return int(self.samples.shape[0])

    @property
    def duration(self) -> float:
        """Seconds from the first sample to the end of the last."""
        if self.times is not None:
            return float(self.times[-1] - self.times[0] + 1 / self.rate) if len(self) else 0.0
        return len(self) / self.rate

    @property
    def end(self) -> float:
        start = float(self.times[0]) if self.times is not None and len(self) else self.start
        return start + self.duration

    def _bounds(self, start: float | None, end: float | None) -> tuple[int, int]:
        if self.times is not None:
            low = 0 if start is None else int(np.searchsorted(self.times, start, side="left"))
            high = len(self) if end is None else int(np.searchsorted(self.times, end, side="left"))
            return low, max(low, high)
        low = 0 if start is None else int(np.ceil((start - self.start) * self.rate - 1e-6))
        high = len(self) if end is None else int(np.ceil((end - self.start) * self.rate - 1e-6))
        low = min(max(low, 0), len(self))
        return low, min(max(high, low), len(self))

    def read(self, start: float | None = None, end: float | None = None, *, dtype: type = np.float32) -> np.ndarray:
        """Samples in [start, end), in the modality's unit, shape as `samples`.

        Only what exists is returned: nothing is padded where the window reaches past the recording.
        """
        return self._scaled(*self._bounds(start, end), dtype)

    def _scaled(self, low: int, high: int, dtype: type) -> np.ndarray:
        raw = np.asarray(self.samples[low:high])
        if self.scale == 1.0 and self.offset == 0.0:
            return raw.astype(dtype, copy=False)
        values: np.ndarray = np.multiply(raw, dtype(self.scale), dtype=dtype, casting="same_kind")
        if self.offset != 0.0:
            values += dtype(self.offset)  # in place: another array of this size takes longer than all the rest
        return values

    def chunks(self, seconds: float) -> Iterator[tuple[float, np.ndarray]]:
        """Consecutive pieces, each as (time of its first sample, samples): reads a night piece by piece.

        A piece has as many samples as fit `seconds` at the signal's rate, also where sampling is irregular.
        """
        step = max(1, round(seconds * self.rate))
        for low in range(0, len(self), step):
            begin = self.start + low / self.rate if self.times is None else float(self.times[low])
            yield begin, self._scaled(low, min(low + step, len(self)), np.float32)

    def to_pynapple(
        self, start: float | None = None, end: float | None = None
    ) -> nap.Tsd | nap.TsdFrame | nap.TsdTensor:
        """The window [start, end) as a pynapple object, in the modality's unit and in seconds."""
        import pynapple as nap

        low, high = self._bounds(start, end)
        values = self.read(start, end)
        times = self.start + np.arange(low, high) / self.rate if self.times is None else self.times[low:high]
        if values.ndim == 1:
            return nap.Tsd(t=times, d=values)
        if values.ndim == 2:
            return nap.TsdFrame(t=times, d=values, columns=list(self.channels) or None)
        return nap.TsdTensor(t=times, d=values)

    def restrict(self, start: float, end: float) -> Self:
        """The samples in [start, end), still unread where they are on disk (as a view by bounds)."""
        low, high = self._bounds(start, end)
        times = None if self.times is None else self.times[low:high]
        return replace(
            self, samples=_Slice.of(self.samples, low, high), start=self.start + low / self.rate, times=times
        )


@dataclass(frozen=True)
class _Slice(Sliced):
    """Rows low..high of an array-like that stays on disk."""

    array: Any
    low: int
    high: int

    @classmethod
    def of(cls, array: Any, low: int, high: int) -> Any:
        if isinstance(array, np.ndarray):
            return array[low:high]
        if isinstance(array, cls):
            return cls(array.array, array.low + low, array.low + high)
        return cls(array, low, high)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.high - self.low, *self.array.shape[1:])

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    def _take(self, low: int, high: int) -> np.ndarray:
        return np.asarray(self.array[self.low + low : self.low + high])


def empty_events() -> pd.DataFrame:
    """An events table without rows: columns onset (s), duration (s), label."""
    return pd.DataFrame(
        {"onset": pd.Series(dtype=float), "duration": pd.Series(dtype=float), "label": pd.Series(dtype=str)}
    )


@dataclass(frozen=True, eq=False)
class Recording:
    """One session of one subject.

    Attributes:
        signals: Signals by name.
        spikes: Units as a pynapple `TsGroup`, times in seconds from the start; optional.
        hypnogram: Expert or declared stages; optional.
        events: Table with columns onset (s), duration (s), label, and whatever else the source gives.
        subject: Subject identifier; "unknown" where the source has none.
        species: "human", "mouse", "rat" or "unknown".
        start: Local clock time of the first sample, where known.
        source: Where it came from (a file name, a data-set name, "simulated").
        absent: Channels that the source declares but does not hold: absent, never padded with zeros.
        repairs: What was repaired in reading, one sentence each. Shown in every report.
        metadata: Anything else of the source (age, sex, lights_off, lights_on in seconds from the start ...).

    >>> eeg = Signal("C4-M1", np.zeros(1000), 100.0, MODALITIES["eeg"])
    >>> recording = Recording(signals={"C4-M1": eeg}, subject="s1", species="human")
    >>> recording.modalities, recording["C4-M1"].rate, recording.duration
    (('eeg',), 100.0, 10.0)
    """

    signals: Mapping[str, Signal] = field(default_factory=dict)
    spikes: nap.TsGroup | None = None
    hypnogram: Hypnogram | None = None
    events: pd.DataFrame = field(default_factory=empty_events)
    subject: str = "unknown"
    species: str = "unknown"
    start: datetime | None = None
    source: str = ""
    absent: tuple[str, ...] = ()
    repairs: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = [column for column in EVENT_COLUMNS if column not in self.events.columns]
        if missing:
            raise SharpwaveError(
                f"events with columns {', '.join(EVENT_COLUMNS)}",
                got=f"no {', '.join(missing)}",
                fix="rename the columns",
            )
        object.__setattr__(self, "signals", MappingProxyType(dict(self.signals)))
        object.__setattr__(self, "metadata", MappingProxyType(dict(self.metadata)))

    def __repr__(self) -> str:
        kinds = [f"{len(self.of(name)) or len(self.spikes or ())} {name}" for name in self.modalities]
        parts = [f"{self.duration / 3600:.2f} h", self.species, ", ".join(kinds) or "no signal"]
        parts += [] if self.hypnogram is None else [f"{len(self.hypnogram)} scored epochs"]
        parts += [f"{len(self.events)} events"] if len(self.events) else []
        parts += [f"{len(self.repairs)} repairs"] if self.repairs else []
        name = self.subject if self.subject != "unknown" else self.source or self.subject
        return f"<Recording {describe(str(name))}: {'; '.join(parts)}>"

    def __getitem__(self, name: str) -> Signal:
        if name not in self.signals:
            raise SharpwaveError(
                f"one of the signals {', '.join(self.signals) or '(none)'}",
                got=repr(name),
                fix="see recording.signals for the names",
            )
        return self.signals[name]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities present, in the order of `MODALITIES`."""
        present = {signal.modality.name for signal in self.signals.values()}
        if self.spikes is not None:
            present.add("spikes")
        return tuple(name for name in MODALITIES if name in present)

    def of(self, modality: str) -> dict[str, Signal]:
        """The signals of one modality, by name."""
        return {name: signal for name, signal in self.signals.items() if signal.modality.name == modality}

    @property
    def duration(self) -> float:
        """Seconds from the start to the end of the longest part."""
        ends = [signal.end for signal in self.signals.values()]
        if self.hypnogram is not None:
            ends.append(self.hypnogram.end)
        if self.spikes is not None and len(self.spikes):
            ends.append(float(self.spikes.time_support.end[-1]))
        return max(ends, default=0.0)

    def restrict(self, start: float | nap.IntervalSet, end: float | None = None) -> Self:
        """The part in [start, end), on the same clock; also takes one pynapple interval."""
        import pynapple as nap

        if isinstance(start, nap.IntervalSet):
            if len(start) != 1:
                raise SharpwaveError("one interval", got=f"{len(start)}", fix="restrict to each interval in turn")
            return self.restrict(*map(float, start.values[0]))
        if end is None or end <= start:
            raise SharpwaveError("an end after the start", got=f"start={start}, end={end}", fix="give both in seconds")

        onset = self.events["onset"].to_numpy(dtype=float)
        return replace(
            self,
            signals={name: signal.restrict(start, end) for name, signal in self.signals.items()},
            spikes=None if self.spikes is None else self.spikes.restrict(nap.IntervalSet(start, end)),
            hypnogram=None if self.hypnogram is None else self.hypnogram.restrict(start, end),
            events=self.events[(onset >= start) & (onset < end)].reset_index(drop=True),
        )
