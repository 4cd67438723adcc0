"""Where cues go: a loudspeaker, markers of LSL, a trigger line, nowhere. All live inside the interlock's process.

A sham takes the same path as a cue, down to the last line of a sink, with a gain of 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from sharpwave.errors import SharpwaveError

Clock = Callable[[], float]
"""Gives the loop time in seconds."""


class Sink(Protocol):
    """What every sink can do.

    Attributes:
        name: What it is, for the audit.
        latency: Time from `play` to the sound, in seconds, as calibrated.
        sounds: Whether somebody can hear it, so that consent is needed.
    """

    name: str
    latency: float
    sounds: bool

    def play(self, trial: int, cue_ref: str, level_db: float, *, gain: float) -> float | None:
        """Give a cue now.

        Args:
            trial: Number of the trial.
            cue_ref: Which cue.
            level_db: Level in dB(A) at the sleeper's ear.
            gain: 1, or 0 for a sham.

        Returns:
            Loop time at which it began, in seconds; None where `poll` will tell.

        Raises:
            SharpwaveError: If it cannot.
        """

    def poll(self) -> Sequence[tuple[int, float | None, str]]:
        """Trial, measured onset in loop time and, where it failed, why: of cues that have begun since."""

    def silence(self) -> None:
        """Nothing sounds from now on until the next `play`."""

    def close(self) -> None:
        """Let go of the device."""


SINKS = {"audio": "a loudspeaker", "lsl": "markers on a stream of LSL", "trigger:FILE": "a byte to a device",
         "null": "nowhere"}  # fmt: skip
"""What `--sink` takes."""


def needs_consent(name: str) -> bool:
    """Whether a sink reaches a person, so that a consent is needed; the null sink alone does not.

    Args:
        name: As `--sink` takes it.

    >>> needs_consent("audio"), needs_consent("null")
    (True, False)
    """
    return name.partition(":")[0] != "null"


def check_sink(name: str) -> None:
    """Refuse a name that is no sink, before anything is opened.

    Args:
        name: As `--sink` takes it.

    Raises:
        SharpwaveError: If there is no such sink.

    >>> check_sink("trigger:/dev/ttyUSB0")
    """
    kind, _, rest = name.partition(":")
    if kind not in ("audio", "lsl", "null", "trigger") or (kind == "trigger" and not rest):
        raise SharpwaveError(f"a sink among {', '.join(SINKS)}", got=repr(name), fix="choose one of these")


def open_sink(
    name: str, *, clock: Clock, cues: dict[str, str], calibration: Path | None = None, log: Path | None = None
) -> Sink:
    """The sink of that name.

    Args:
        name: One of `SINKS`.
        clock: Gives the loop time.
        cues: Each consented cue's name, and the file of its sound or `builtin:…`.
        calibration: Record of `sharpwave live --calibrate-sink`; audio does not open without one.
        log: File to which the null sink writes what it was asked to do, for tests.

    Raises:
        SharpwaveError: If there is no such sink, or its library or device is missing.

    >>> open_sink("null", clock=lambda: 2.5, cues={}).play(1, "pink", 40.0, gain=1.0)
    2.5
    """
    check_sink(name)
    kind, _, rest = name.partition(":")
    options: dict[str, Any] = {"clock": clock}
    if kind == "null":
        from sharpwave.live.sinks.null import NullSink

        return NullSink(**options, log=log)
    if kind == "audio":
        from sharpwave.live.sinks.audio import open_audio

        return open_audio(**options, cues=cues, calibration=calibration, device=rest or None)
    if kind == "lsl":
        from sharpwave.live.sinks.lsl import LslSink

        return LslSink(**options, name=rest or "sharpwave-cues")
    from sharpwave.live.sinks.trigger import TriggerSink

    return TriggerSink(rest, **options)
