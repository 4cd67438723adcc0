"""A sink that gives nothing to anyone, and says when it would have."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

Hear = Callable[[float, float], object]


class NullSink:
    """Takes every cue and gives none.

    Args:
        clock: Gives the loop time in seconds.
        log: File to which each order is appended as a line of JSON, for tests; None for none.
        duration: How long its cues would sound, in seconds.
        hear: Is told onset and level in dB(A) of each cue that is no sham: the ear of a simulated sleeper.

    >>> sink = NullSink(clock=lambda: 2.5)
    >>> sink.play(1, "pink", 40.0, gain=1.0), sink.given
    (2.5, [(1, 'pink', 40.0, 1.0, 2.5)])
    """

    name, latency, sounds = "null", 0.0, False

    def __init__(
        self, *, clock: Callable[[], float], log: Path | None = None, duration: float = 0.05, hear: Hear | None = None
    ) -> None:
        self._clock, self._log, self.duration, self._hear = clock, log, duration, hear
        self.given: list[tuple[int, str, float, float, float]] = []
        self._sounding_until = float("-inf")
        self._write({"order": "open"})

    def play(self, trial: int, cue_ref: str, level_db: float, *, gain: float) -> float | None:
        """Remember that a cue was asked for; it began now."""
        onset = self._clock()
        self.given.append((trial, cue_ref, level_db, gain, onset))
        del self.given[:-1000]
        self._sounding_until = onset + self.duration
        if self._hear is not None and gain > 0:
            self._hear(onset, level_db)
        self._write({"order": "play", "trial": trial, "cue": cue_ref, "level_db": level_db, "gain": gain})
        return onset

    @property
    def sounding(self) -> bool:
        """Whether a cue would sound at this moment."""
        return self._clock() < self._sounding_until

    def poll(self) -> list[tuple[int, float | None, str]]:
        """Nothing: `play` has told everything."""
        return []

    def silence(self) -> None:
        """What would sound ends."""
        self._sounding_until = float("-inf")
        self._write({"order": "silence"})

    def close(self) -> None:
        """Nothing is held."""
        self._write({"order": "close"})

    def _write(self, order: dict[str, object]) -> None:
        if self._log is None:
            return
        line = json.dumps({**order, "at": self._clock()}) + "\n"
        handle = os.open(self._log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)
