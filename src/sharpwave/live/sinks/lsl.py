"""Markers on a stream of LSL: each trial as one line of JSON, the same for cue and sham.

The stream says *trial 41*, never what it was: who watches it stays blind, and what it triggers must not sound.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from sharpwave.errors import MissingExtraError, SharpwaveError


def load_pylsl() -> Any:
    """The library for LSL, or one clear sentence.

    Raises:
        SharpwaveError: If the library is missing.
    """
    try:
        import pylsl
    except ModuleNotFoundError:
        raise MissingExtraError("pylsl", extra="live") from None
    except (OSError, RuntimeError) as error:
        raise SharpwaveError(
            "the library liblsl", got=str(error)[:200], fix="reinstall pylsl, or install liblsl of the system"
        ) from None
    return pylsl


class LslSink:
    """A stream of markers.

    Args:
        clock: Gives the loop time in seconds.
        name: Name of the stream.
        library: What opens streams: `pylsl`, or a stand-in in tests.

    >>> class Outlet:
    ...     def __init__(self, info): pass
    ...     def push_sample(self, sample): print(sample[0])
    >>> class Library:
    ...     StreamInfo, StreamOutlet = (lambda *given, **named: None), Outlet
    >>> LslSink(clock=lambda: 2.5, library=Library).play(41, "pink", 40.0, gain=0.0)
    {"trial": 41, "cue": "pink"}
    2.5
    """

    latency, sounds = 0.0, False

    def __init__(self, *, clock: Callable[[], float], name: str = "sharpwave-cues", library: Any = None) -> None:
        library = library or load_pylsl()
        self.name, self._clock = f"lsl:{name}", clock
        info = library.StreamInfo(name, "Markers", 1, 0, "string", f"sharpwave-{name}")
        self._outlet = library.StreamOutlet(info)

    def play(self, trial: int, cue_ref: str, level_db: float, *, gain: float) -> float | None:
        """One marker, the same whatever the gain."""
        onset = self._clock()
        self._outlet.push_sample([json.dumps({"trial": trial, "cue": cue_ref})])
        return onset

    def poll(self) -> list[tuple[int, float | None, str]]:
        """Nothing: `play` has told everything."""
        return []

    def silence(self) -> None:
        """A marker cannot be taken back; one says that everything stopped."""
        self._outlet.push_sample([json.dumps({"silence": True})])

    def close(self) -> None:
        """Take the stream off the network."""
        del self._outlet
