"""What a scoring file gives: stages, and what is known of when they were."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sharpwave.recordings.hypnogram import Hypnogram


@dataclass(frozen=True)
class Scoring:
    """A hypnogram and what is known of where it came from.

    Attributes:
        hypnogram: Its start counts from `clock`, or from the start of the recording where `placed`.
        clock: Clock time from which the file counts, where it has one.
        dated: Whether `clock` has a date.
        placed: Whether `hypnogram.start` counts from the start of the recording.
        repairs: What was repaired, one sentence each.
    """

    hypnogram: Hypnogram
    clock: datetime | None = None
    dated: bool = False
    placed: bool = False
    repairs: tuple[str, ...] = ()
