"""An amplifier through the Lab Streaming Layer.

LSL hands out the oldest samples first, raises nothing when a stream stops, and goes on without a word when it is back.
So everything that waits is taken at each look, a jump of the stamps is a gap in the count, and a stream that is silent
is looked for again by a thread of its own, under its own identifier alone.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk
from sharpwave.live.sinks.lsl import load_pylsl

MICRO = ("microvolts", "microvolt", "uv", "µv", "μv")
VOLT = ("volts", "volt", "v")
MOST = 4096
"""Samples that are taken at one look."""
SEARCH = 2.0
"""Time without samples after which the stream is looked for again, in seconds."""


class LslSource:
    """A stream of LSL.

    Args:
        name: Name of the stream.
        channels: Channels in the order of the protocol; None for all of the stream. A stream that names none has them
            in its own order.
        unit: `uV` or `V`, where the stream does not say.
        wait: Longest time to look for it, in seconds.
        library: What opens streams: `pylsl`, or a stand-in in tests.

    Attributes:
        last_stamp: Stamp of the last sample that came, in seconds of the stream's clock; None before the first.

    Raises:
        SharpwaveError: If there is no such stream, several, or it lacks a channel, a rate or a unit.
    """

    paced = False

    def __init__(
        self,
        name: str,
        channels: tuple[str, ...] | None = None,
        *,
        unit: str | None = None,
        wait: float = 5.0,
        library: Any = None,
    ) -> None:
        self._library = library or load_pylsl()
        found = self._library.resolve_byprop("name", name, 1, wait)
        if len(found) != 1:
            others = sorted({one.name() for one in self._library.resolve_streams(1.0)})
            raise SharpwaveError(
                f"one stream of LSL with the name {name}",
                got=f"{len(found)}; there are: {', '.join(others) or 'no streams'}",
                fix="start the amplifier's program, let it stream, and name the stream as it does",
            )
        self._source_id = found[0].source_id()
        self._inlet, self._info = self._open(found[0])
        self.name, self.rate = f"lsl:{name}", float(self._info.nominal_srate())
        if self.rate <= 0:
            raise SharpwaveError(
                f"a stream {name} at a steady rate", got="one of markers", fix="name the stream of EEG"
            )
        labels, units = self._described = _read_channels(self._info)
        self.channels, self._columns = _choose(labels, self._info.channel_count(), channels)
        self._scale = np.array([_find_scale(units, index, unit) for index in self._columns], np.float32)
        self._next_index, self._last_arrival = 0, time.monotonic()
        self.last_stamp: float | None = None
        self._searching: threading.Thread | None = None
        self._over = False

    def next_arrival(self) -> float | None:
        """None: only the amplifier knows."""
        return None

    def pull(self, now: float) -> list[Chunk]:
        """Everything that waits, as chunks without a gap inside."""
        try:
            samples, stamps = self._inlet.pull_chunk(timeout=0.0, max_samples=MOST)
        except Exception:  # lost: it is looked for again, and the age of data says the rest
            samples, stamps = [], []
        if not len(stamps):
            self._look_again()
            return []
        self._last_arrival = time.monotonic()
        values = np.asarray(samples, dtype=np.float32).reshape(len(stamps), -1)
        if values.shape[1] != len(self._described[0]):
            return []  # another stream under this name: the age of data says the rest
        values = values[:, self._columns] * self._scale
        times = np.asarray(stamps, dtype=float)
        before = times[0] - 1 / self.rate if self.last_stamp is None else self.last_stamp
        lost = np.round((np.diff(times, prepend=before) - 1 / self.rate) * self.rate)
        lost = np.where(lost > max(0.04 * self.rate, 4), lost, 0).astype(np.int64)
        cuts = [*np.flatnonzero(lost).tolist(), len(times)]
        chunks, low = [], 0
        for cut in cuts if cuts[0] else cuts[1:]:
            self._next_index += int(lost[low])
            chunks.append(Chunk(np.ascontiguousarray(values[low:cut]), self._next_index, float(times[low]), now))
            self._next_index += cut - low
            low = cut
        self.last_stamp = float(times[-1])
        return chunks

    def hear(self, onset: float, level_db: float) -> None:
        """A person hears by himself."""

    def close(self) -> None:
        """Let go of the stream."""
        self._over = True
        self._inlet.close_stream()

    def _open(self, found: Any) -> tuple[Any, Any]:
        """The inlet, opened, and its full description; clocks are never compared here: the loop finds out."""
        inlet = self._library.StreamInlet(found, max_buflen=60, recover=True)
        inlet.open_stream(timeout=5.0)
        return inlet, inlet.info(timeout=5.0)

    def _look_again(self) -> None:
        """In a thread, so that nothing waits: a stream of this very identifier that LSL itself has not found again."""
        busy = self._searching is not None and self._searching.is_alive()
        if self._over or busy or not self._source_id or time.monotonic() - self._last_arrival < SEARCH:
            return

        def search() -> None:
            found = self._library.resolve_byprop("source_id", self._source_id, 1, SEARCH)
            if len(found) != 1 or self._over or time.monotonic() - self._last_arrival < 2 * SEARCH:
                return
            inlet, info = self._open(found[0])
            if _read_channels(info) != self._described:  # channels swapped, renamed or fewer: nothing of it is taken
                inlet.close_stream()
                return
            old, self._inlet = self._inlet, inlet
            old.close_stream()

        self._searching = threading.Thread(target=search, daemon=True)
        self._searching.start()


def _read_channels(info: Any) -> tuple[list[str], list[str]]:
    """Label and unit of each channel, as far as the stream says."""
    labels, units = [], []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        labels.append(channel.child_value("label"))
        units.append(channel.child_value("unit").strip().lower())
        channel = channel.next_sibling()
    return labels, units


def _choose(labels: list[str], count: int, wanted: tuple[str, ...] | None) -> tuple[tuple[str, ...], list[int]]:
    """Names and columns of what is wanted."""
    named = all(labels) and len(set(labels)) == len(labels)
    if wanted is None:
        return tuple(labels) if named else tuple(f"channel {index + 1}" for index in range(count)), list(range(count))
    if named and all(name in labels for name in wanted):
        return wanted, [labels.index(name) for name in wanted]
    if not named and len(wanted) == count:
        return wanted, list(range(count))
    raise SharpwaveError(
        f"a stream with the channels {', '.join(wanted)}",
        got=", ".join(labels) if named else f"{count} channels without names",
        fix="name the channels of the stream in [signal] of the protocol, in the order in which they are wanted",
    )


def _find_scale(units: list[str], index: int, given: str | None) -> float:
    unit = units[index] or (given or "").lower()
    if unit in MICRO:
        return 1e-6
    if unit in VOLT:
        return 1.0
    raise SharpwaveError(
        "the unit of each channel of the stream", got=repr(unit) if unit else "none", fix="pass --unit uV or --unit V"
    )
