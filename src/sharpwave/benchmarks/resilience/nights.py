"""Nights whose dynamics are compared between states: which recordings, which signal, which stages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects

NREM, WAKE, REM = ("N2", "N3", "NREM"), ("W",), ("R",)
"""Stages of each state. N1 is none of them."""

LEFT_OUT = {"dreams": ("excerpt7",)}
"""Excerpt 7's hypnogram contradicts its EEG."""

BLOCK = 2400.0
"""Length in s of the pieces in which the one mouse is counted."""


@dataclass(frozen=True, eq=False)
class StagedSignal:
    """One signal of one subject, with its stages.

    Attributes:
        subject: Who; a piece of a night is named by its place.
        signal: The signal.
        hypnogram: Stages on the same clock; None where the subject did not sleep.
    """

    subject: str
    signal: Signal
    hypnogram: Hypnogram | None


def load_staged(name: str, data: Path | None) -> list[StagedSignal]:
    """The staged signals of a data set: "ucddb", "dreams", "mouse-fmri" or "rest-bold"; none where it is absent.

    Args:
        name: Of the data set.
        data: Folder of data sets; `data_root()` where omitted.
    """
    try:
        subjects = list_subjects(name, data)
    except SharpwaveError:
        return []
    if name == "mouse-fmri":
        return list(_cut_mouse(load_dataset("mouse-fmri/session", data))) if "session" in subjects else []
    chosen = [subject for subject in subjects if subject not in LEFT_OUT.get(name, ())]
    return [_pick(subject, load_dataset(f"{name}/{subject}", data)) for subject in chosen]


def _pick(subject: str, recording: Recording) -> StagedSignal:
    """The first EEG, or the BOLD."""
    found = {**recording.of("eeg"), **recording.of("bold")}
    return StagedSignal(subject, next(iter(found.values())), recording.hypnogram)


def _cut_mouse(recording: Recording) -> Iterator[StagedSignal]:
    """The 4 h of the one mouse in pieces, so that an interval can be given: over pieces, not over animals."""
    signal, hypnogram = recording.signals["bold"], recording.hypnogram
    for start in np.arange(0, signal.end - BLOCK + 1, BLOCK).tolist():
        piece = replace(signal.restrict(start, start + BLOCK), start=start)
        yield StagedSignal(f"minute {start / 60:g}", piece, hypnogram)


def simulate_staged(n: int, modality: str, *, hours: float, seed: int = 0) -> list[StagedSignal]:
    """Simulated human nights: "eeg" (its channels side by side) or "bold" (parcels)."""
    from sharpwave.simulation import simulate_night

    staged = []
    for index, stream in enumerate(np.random.default_rng(seed).spawn(n)):
        recording, _ = simulate_night("human", hours, rng=stream, modalities=(modality,))
        signals = list(recording.of(modality).values())
        first = signals[0]
        if len(signals) > 1:
            samples = np.stack([signal.read() for signal in signals], axis=1)
            names = tuple(signal.name for signal in signals)
            first = Signal(modality, samples, first.rate, first.modality, start=first.start, channels=names)
        staged.append(StagedSignal(f"simulated-{index}", first, recording.hypnogram))
    return staged


def load_transitions(data: Path | None) -> dict[str, Recording]:
    """The mean BOLD of some 140 regions of the mouse round each type of transition, by its name."""
    try:
        subjects = [name for name in list_subjects("mouse-fmri", data) if name != "session"]
    except SharpwaveError:
        return {}
    return {name: load_dataset(f"mouse-fmri/{name}", data) for name in subjects}
