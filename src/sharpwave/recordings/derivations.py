"""Derivations: an electrode minus its reference, formed while reading, where a file keeps the two apart."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.sliced import Sliced

LEFT, RIGHT = ("M1", "A1"), ("M2", "A2")
"""Names of the left and of the right mastoid or ear."""

LINKED = {"M1M2": ("M1", "M2"), "A1A2": ("A1", "A2")}
"""References that are the mean of two electrodes."""

SITES = re.compile(r"(Fp|F|C|P|O|T)(\d|z)|E[12]")
"""Electrodes that are referenced unasked: the 10-20 system, and the eyes."""


@dataclass(frozen=True)
class Difference(Sliced):
    """Samples of one channel minus the mean of others, computed as they are read, in V.

    Attributes:
        parts: The channel, then its references; equal in length.

    >>> from sharpwave.recordings import MODALITIES
    >>> c4, m1 = (Signal(name, np.full(4, value), 1.0, MODALITIES["eeg"]) for name, value in (("C4", 5.0), ("M1", 2.0)))
    >>> Difference((c4, m1))[1:3].tolist()
    [3.0, 3.0]
    """

    parts: tuple[Signal, ...]

    @property
    def shape(self) -> tuple[int]:
        return (len(self.parts[0]),)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        values, *references = (
            np.asarray(part.samples[low:high], dtype=np.float64) * part.scale + part.offset for part in self.parts
        )
        difference: np.ndarray = (values - sum(references) / len(references)).astype(np.float32)
        return difference


def derive_channel(recording: Recording, wanted: str) -> Signal | None:
    """The derivation of this name (such as "C4-M1", "C4-M1M2" or "E1-M2"), formed of the recording's own channels.

    Both are taken as they are, or both as measured against one common electrode: C4-REF and M1-REF make C4-M1.

    Args:
        recording: Recording that holds the electrode and its reference apart.
        wanted: Name of the derivation, an electrode and its reference with a dash between them.

    Returns:
        The signal, unread; None where the recording does not hold both, or where they are on different clocks.

    >>> from sharpwave.recordings import MODALITIES
    >>> c4, m1 = (Signal(name, np.zeros(9), 1.0, MODALITIES["eeg"]) for name in ("C4", "M1"))
    >>> derive_channel(Recording(signals={"C4": c4, "M1": m1}), "C4-M1").name
    'C4-M1'
    >>> derive_channel(Recording(signals={"C4": c4}), "C4-M1") is None
    True
    """
    wanted = recognise_channel(wanted).name
    site, dash, reference = wanted.partition("-")
    if not dash:
        return None
    for common, first in _find(recording, site).items():
        for references in ((reference,), LINKED.get(reference, ())):
            parts = [first, *(_find(recording, name).get(common) for name in references)]
            if len(parts) > 1 and all(part is not None and _fits(part, first) for part in parts):
                modality = first.modality
                difference = Difference(tuple(part for part in parts if part is not None))
                return replace(first, name=wanted, samples=difference, modality=modality, scale=1.0, offset=0.0)
    return None


def _find(recording: Recording, site: str) -> dict[str, Signal]:
    """The signals of an electrode that are measured in V, by what they are measured against ("" where not said)."""
    found = {}
    for name, signal in recording.signals.items():
        electrode, _, common = name.partition("-")
        if electrode in (site, _swap(site)) and signal.modality.unit == "V" and not is_derived(signal):
            found[common] = signal
    return found


def _swap(name: str) -> str:
    """The other name of a mastoid: A1 for M1."""
    return {"M": "A", "A": "M"}.get(name[0], name[0]) + name[1:] if name in (*LEFT, *RIGHT) else name


def _fits(part: Signal, first: Signal) -> bool:
    same = (len(part), part.rate, part.start) == (len(first), first.rate, first.start)
    return same and len(part.samples.shape) == 1 and part.times is None


def add_derivations(recording: Recording, *, channels: Sequence[str] = ()) -> Recording:
    """With every derivation that staging can use and that the recording holds in parts, still unread.

    Electrodes without a reference get the mastoid (or ear) of the other side, then that of their own: C4-M1 and C4-M2,
    C3-M2 and C3-M1, E1-M2 and E2-M2. What was measured stays.

    Args:
        recording: The recording.
        channels: Derivations that are wanted by name.

    Returns:
        The recording with more signals; itself where there is nothing to form.

    >>> from sharpwave.recordings import MODALITIES
    >>> signals = {name: Signal(name, np.zeros(9), 1.0, MODALITIES["eeg"]) for name in ("C4", "M1", "M2")}
    >>> list(add_derivations(Recording(signals=signals)).signals)
    ['C4', 'M1', 'M2', 'C4-M1', 'C4-M2']
    """
    wanted = [name for name in channels if name not in recording.signals]
    for name, signal in recording.signals.items():
        site, _, common = name.partition("-")
        if signal.modality.name in ("eeg", "eog") and SITES.fullmatch(site) and not _is_referenced(recording, site):
            wanted += [f"{site}-{reference}" for reference in _list_references(recording, site, common)]
    formed: dict[str, Signal] = {}
    for name in wanted:
        derived = derive_channel(recording, name)
        if derived is not None and derived.name not in recording.signals:
            formed[derived.name] = derived
    return replace(recording, signals={**recording.signals, **formed}) if formed else recording


def _is_referenced(recording: Recording, site: str) -> bool:
    """Whether the recording holds the electrode against a mastoid or an ear already."""
    return any(f"{site}-{reference}" in recording.signals for reference in (*LEFT, *RIGHT, *LINKED))


def _list_references(recording: Recording, site: str, common: str) -> list[str]:
    """Mastoids or ears measured against the same, that of the other side first; eyes are against the right one."""

    def present(names: Iterable[str]) -> list[str]:
        return [name for name in names if (f"{name}-{common}" if common else name) in recording.signals]

    left, right, linked = present(LEFT), present(RIGHT), present(LINKED)
    if site.startswith("E"):
        return [*right, *left, *linked]
    return [*left, *right, *linked] if site[-1] in "2468z" else [*right, *left, *linked]


def is_derived(signal: Signal) -> bool:
    """Whether a signal was formed here of an electrode and its reference.

    >>> from sharpwave.recordings import MODALITIES
    >>> is_derived(Signal("C4", np.zeros(9), 1.0, MODALITIES["eeg"]))
    False
    """
    return isinstance(signal.samples, Difference)


def check_derivable(recording: Recording, wanted: str) -> None:
    """Say why a derivation that was asked for by name cannot be formed.

    Raises:
        SharpwaveError: If the recording holds only one of the two, or both on different clocks.

    >>> from sharpwave.recordings import MODALITIES
    >>> check_derivable(Recording(signals={"C4": Signal("C4", np.zeros(9), 1.0, MODALITIES["eeg"])}), "C4")
    """
    site, dash, reference = recognise_channel(wanted).name.partition("-")
    present = [name for name in (site, *LINKED.get(reference, (reference,))) if dash and _find(recording, name)]
    if not present or recognise_channel(wanted).name in recording.signals or derive_channel(recording, wanted):
        return
    raise SharpwaveError(
        f"{site} and {reference} in the recording, on one clock, to form {wanted}",
        got=f"only {present[0]}" if len(present) == 1 else f"{' and '.join(present)} at different rates or starts",
        fix="choose one of the recording's channels: " + ", ".join(recording.signals),
    )
