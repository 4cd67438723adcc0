"""A trigger line: one byte to a device file for each trial, the same for cue and sham."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable

from sharpwave.errors import SharpwaveError

WIDTH = 0.01
"""How long the line stays up, in seconds."""


class TriggerSink:
    """Writes 1 when a trial begins and 0 ten milliseconds later; it marks, and must not be wired to what sounds.

    Args:
        path: Device file, such as `/dev/ttyUSB0`; it is never waited for.
        clock: Gives the loop time in seconds.

    Raises:
        SharpwaveError: If there is no such device, or it is a plain file.

    >>> TriggerSink("/nowhere/ttyUSB0", clock=lambda: 0.0)
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected a trigger line at /nowhere/ttyUSB0; got No such file...
    """

    latency, sounds = 0.0, False

    def __init__(self, path: str, *, clock: Callable[[], float]) -> None:
        self.name, self._clock, self._down_at = f"trigger:{path}", clock, float("inf")
        try:
            self._line = os.open(path, os.O_WRONLY | os.O_NONBLOCK | getattr(os, "O_NOCTTY", 0))
        except OSError as error:
            said = os.strerror(error.errno or 0)
            raise SharpwaveError(f"a trigger line at {path}", got=said, fix="plug it in, or name it right") from None
        if stat.S_ISREG(os.fstat(self._line).st_mode):
            os.close(self._line)
            raise SharpwaveError(f"a device at {path}", got="a plain file", fix="name the device file")

    def play(self, trial: int, cue_ref: str, level_db: float, *, gain: float) -> float | None:
        """The line goes up.

        Raises:
            SharpwaveError: If the device takes nothing.
        """
        onset = self._clock()
        try:
            os.write(self._line, b"\x01")
        except OSError as error:
            raise SharpwaveError("a trigger line that takes a byte", got=str(error), fix="check the cable") from None
        self._down_at = onset + WIDTH
        return onset

    def poll(self) -> list[tuple[int, float | None, str]]:
        """The line goes down when its time has come."""
        if self._clock() >= self._down_at:
            self.silence()
        return []

    def silence(self) -> None:
        """The line goes down."""
        self._down_at = float("inf")
        with contextlib.suppress(OSError):
            os.write(self._line, b"\x00")

    def close(self) -> None:
        """Close the device."""
        with contextlib.suppress(OSError):
            os.close(self._line)
