"""Nights whose dynamics are compared, and the differences between states within one subject and in its surrogates."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.resilience.transitions import measure_transitions
from sharpwave.resilience.windows import Windows, WindowSettings, measure_windows

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
        subject: Name of the subject; a piece of a night is named by its place.
        signal: The signal.
        hypnogram: Stages on the same clock; None where the subject did not sleep.
    """

    subject: str
    signal: Signal
    hypnogram: Hypnogram | None


def load_staged(name: str, data: Path | None) -> list[StagedSignal]:
    """The staged signals of a data set: "ucddb", "dreams", "mouse-fmri" or "rest-bold"; none where it is absent.

    Args:
        name: Name of the data set.
        data: Folder of data sets; `data_root()` where omitted.
    """
    subjects = list_subjects(name, data, required=False)
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


FEWEST_WINDOWS = 3
"""Windows of a state below which a subject says nothing about it."""

STATES: dict[str, tuple[str, ...]] = {"NREM": NREM, "wake": WAKE, "REM": REM}


def measure_subject(
    staged: StagedSignal,
    *,
    rng: np.random.Generator,
    most: int,
    n_surrogates: int,
    settings: WindowSettings | None = None,
) -> Windows | None:
    """Windows of one subject; None where no window is whole."""
    signal = staged.signal
    try:
        return measure_windows(
            lambda begin, end: signal.read(begin, end),
            signal.rate,
            span=(signal.start, signal.end),
            rng=rng,
            hypnogram=staged.hypnogram,
            settings=settings,
            most=most,
            n_surrogates=n_surrogates,
            modality=signal.modality.name,
        )
    except SharpwaveError:
        return None


def contrast_states(windows: Sequence[Windows], state: str, other: str) -> dict[str, dict[str, list[float]]]:
    """Mean of each measure in one state minus another, one value per subject that has both.

    Args:
        windows: One per subject.
        state: Key of `STATES`.
        other: Key of `STATES`.

    Returns:
        Values by measure, for "measured", "phase-randomised" and, of several channels, "coupling kept" and "measured
        minus coupling kept": what is more than spectra and linear coupling.
    """
    found: dict[str, dict[str, list[float]]] = {"measured": {}, "phase-randomised": {}}
    for one in windows:
        inside, outside = one.of(*STATES[state]), one.of(*STATES[other])
        if min(inside.sum(), outside.sum()) < FEWEST_WINDOWS:
            continue
        for method, values in (("measured", one.values), ("phase-randomised", one.surrogates)):
            _append(found[method], _subtract(values, inside, outside))
        kept = one.draws.get("coupling kept")
        if kept:
            linear = _subtract({name: draws.mean(axis=1) for name, draws in kept.items()}, inside, outside)
            measured = _subtract(one.values, inside, outside)
            beyond = {name: measured[name] - value for name, value in linear.items()}
            _append(found.setdefault("coupling kept", {}), linear)
            _append(found.setdefault("measured minus coupling kept", {}), beyond)
    return found


def contrast_draws(windows: Sequence[Windows], state: str, other: str) -> dict[str, dict[str, np.ndarray]]:
    """The same of each draw of the surrogates, mean over subjects: what chance does to that mean.

    Args:
        windows: One per subject.
        state: Key of `STATES`.
        other: Key of `STATES`.

    Returns:
        By kind of surrogate and measure, shape (draw).
    """
    found: dict[str, dict[str, list[np.ndarray]]] = {}
    for one in windows:
        inside, outside = one.of(*STATES[state]), one.of(*STATES[other])
        if min(inside.sum(), outside.sum()) < FEWEST_WINDOWS:
            continue
        for kind, measures in one.draws.items():
            for name, draws in measures.items():
                gap = np.nanmean(draws[inside], axis=0) - np.nanmean(draws[outside], axis=0)
                found.setdefault(kind, {}).setdefault(name, []).append(gap)
    return {kind: {name: np.mean(rows, axis=0) for name, rows in mine.items()} for kind, mine in found.items()}


def contrast_surrogates(windows: Sequence[Windows]) -> dict[str, list[float]]:
    """Mean of each measure minus that of its surrogates, one value per subject."""
    found: dict[str, list[float]] = {}
    for one in windows:
        gaps = {name: float(np.nanmean(one.values[name] - values)) for name, values in one.surrogates.items()}
        _append(found, gaps)
    return found


def contrast_transitions(
    staged: Sequence[StagedSignal], *, rng: np.random.Generator, most: int
) -> dict[str, dict[str, list[float]]]:
    """Metastability left after a fitted course, round transitions minus inside the states on either side.

    Args:
        staged: One per subject; those of one channel, or without stages, are passed by.
        rng: Random generator of the choice of windows.
        most: Largest number of transitions, and of windows inside each state.

    Returns:
        One value per subject, of the excess and of the same relative to that inside the states.
    """
    found: dict[str, list[float]] = {}
    for one in staged:
        signal, hypnogram = one.signal, one.hypnogram
        if hypnogram is None or len(signal.channels) < 2:
            continue
        settings = WindowSettings.for_rate(signal.rate, signal.modality.name)
        span = (signal.start, signal.end)
        peak = measure_transitions(
            signal.read, signal.rate, span=span, hypnogram=hypnogram, rng=rng, settings=settings, most=most
        )
        if np.isfinite(peak.excess):
            _append(found, {"metastability": peak.excess, "metastability_relative": peak.relative})
    return {"minus inside the states": found}


def _subtract(values: Mapping[str, np.ndarray], inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    return {name: float(np.nanmean(row[inside]) - np.nanmean(row[outside])) for name, row in values.items()}


def _append(found: dict[str, list[float]], row: Mapping[str, float]) -> None:
    for name, value in row.items():
        found.setdefault(name, []).append(value)
