"""Dynamics of a recording, window by window, by state and round transitions, beside surrogates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.dynamics import measure_dynamics


def randomise_phases(
    signals: Float[np.ndarray, "time channel"], *, rng: np.random.Generator, keep_coupling: bool = True
) -> Float[np.ndarray, "time channel"]:
    """Random phases at every frequency: the same power spectra, and nothing that is not linear and stationary.

    Theiler et al. 1992, doi:10.1016/0167-2789(92)90102-S; with `keep_coupling` the same random phase is added to all
    channels (Prichard & Theiler 1994, doi:10.1103/PhysRevLett.73.951), so that their correlations stay as they are.

    Args:
        signals: Signals, time first.
        rng: Source of the random phases.
        keep_coupling: Keep the correlations between channels; otherwise destroy them too.
    """
    signals = np.asarray(signals, dtype=float)
    spectrum = np.fft.rfft(signals, axis=0)
    shape = (len(spectrum), 1 if keep_coupling else signals.shape[1])
    turns = np.exp(2j * np.pi * rng.random(shape))
    turns[0] = 1
    if len(signals) % 2 == 0:
        turns[-1] = 1
    return np.fft.irfft(spectrum * turns, n=len(signals), axis=0)


TRANSITION, UNKNOWN = "transition", "all"
"""States of a window that holds two stages, and of one for which no stage is known."""

Read = Callable[[float, float], np.ndarray]


@dataclass(frozen=True)
class WindowSettings:
    """How a recording is cut and filtered.

    Attributes:
        length: Length of a window in seconds.
        band: Band whose phases are compared, in Hz.
        spectrum: Band of the spectral entropy, in Hz.
    """

    length: float
    band: tuple[float, float]
    spectrum: tuple[float, float]

    @classmethod
    def for_rate(cls, rate: float) -> WindowSettings:
        """30 s and slow waves for electrical signals; 30 volumes and their slow fluctuations for BOLD."""
        if rate >= 20:
            return cls(30.0, (0.5, 4.0), (0.5, min(40.0, 0.45 * rate)))
        return cls(30 / rate, (0.02 * rate, 0.2 * rate), (0.0, 0.5 * rate))


@dataclass(frozen=True, eq=False)
class Windows:
    """Measures of each window.

    Attributes:
        onsets: Onset of each window in seconds, shape (window,).
        states: Stage of each window, `TRANSITION` where it holds two, `UNKNOWN` without a hypnogram.
        before: Stage at the start of each window.
        after: Stage at the end of each window.
        values: Each measure, shape (window,); NaN where the channels do not allow it.
        surrogates: The same, averaged over phase-randomised surrogates of the window.
    """

    onsets: Float[np.ndarray, " window"]
    states: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    values: Mapping[str, Float[np.ndarray, " window"]]
    surrogates: Mapping[str, Float[np.ndarray, " window"]] = field(default_factory=dict)

    def of(self, *states: str) -> np.ndarray:
        """True where a window is in one of the states."""
        return np.isin(np.array(self.states, dtype=object), states)


def measure_windows(
    read: Read,
    rate: float,
    *,
    span: tuple[float, float],
    rng: np.random.Generator,
    hypnogram: Any = None,
    settings: WindowSettings | None = None,
    most: int | None = None,
    n_surrogates: int = 0,
) -> Windows:
    """Measure a recording window by window.

    Args:
        read: Samples between two times in s, time first; NaN in gaps (such windows are left out).
        rate: Sampling rate in Hz.
        span: First and last second to measure.
        rng: Source of randomness for surrogates, groups and the choice of windows.
        hypnogram: Anything with `at(times)` that gives codes and `names`; None where no stage is known.
        settings: How windows are cut and filtered; `WindowSettings.for_rate` where omitted.
        most: Largest number of windows per state, drawn at random where there are more; all where omitted.
        n_surrogates: Number of phase-randomised surrogates per window, which keep the spectra and destroy the coupling.

    Raises:
        SharpwaveError: If no window is free of gaps.

    >>> rng = np.random.default_rng(0)
    >>> samples = rng.normal(size=(9000, 2))
    >>> found = measure_windows(
    ...     lambda begin, end: samples[max(0, int(np.ceil(begin * 100))) : int(np.ceil(end * 100))],
    ...     100.0,
    ...     span=(0.0, 90.0),
    ...     rng=rng,
    ... )
    >>> found.onsets.tolist(), found.states[0]
    ([0.0, 15.0, 30.0, 45.0, 60.0], 'all')
    """
    settings = settings or WindowSettings.for_rate(rate)
    chosen = _choose(list(_cut(span, settings, hypnogram)), most=most, rng=rng)
    rows: list[tuple[float, str, str, str]] = []
    found: list[dict[str, float]] = []
    random: list[dict[str, float]] = []
    for onset, state, before, after in chosen:
        piece, margin = read_window(read, rate, onset, span=span, settings=settings)
        if piece is None:
            continue
        options: dict[str, Any] = {"band": settings.band, "spectrum": settings.spectrum, "rng": rng}
        measures = measure_dynamics(piece, rate, margin=margin, **options)
        if not measures:
            continue
        rows.append((onset, state, before, after))
        found.append(measures)
        core = piece[margin : len(piece) - margin]
        drawn = [randomise_phases(core, rng=rng, keep_coupling=False) for _ in range(n_surrogates)]
        random.append(_average([measure_dynamics(one, rate, **options) for one in drawn]))
    if not rows:
        raise SharpwaveError(
            f"at least one window of {settings.length:g} s without gaps",
            got=f"none between {span[0]:g} and {span[1]:g} s",
            fix="shorten the windows, or give a recording with longer pieces",
        )
    onsets, states, before_all, after_all = zip(*rows, strict=True)
    return Windows(np.array(onsets), states, before_all, after_all, _stack(found), _stack(random))


def _cut(span: tuple[float, float], settings: WindowSettings, hypnogram: Any) -> Iterator[tuple[float, str, str, str]]:
    """Onset of each window, its state, and the stages at its start and end; unscored ones are left out.

    Windows overlap by half, so that some hold a transition in their middle where the stages are those of long epochs.
    """
    for onset in np.arange(span[0], span[1] - settings.length + 1e-6, settings.length / 2).tolist():
        if hypnogram is None:
            yield onset, UNKNOWN, UNKNOWN, UNKNOWN
            continue
        codes = np.asarray(hypnogram.at(np.linspace(onset, onset + settings.length - 1e-3, 61)))
        if (codes < 0).any():
            continue
        before, after = hypnogram.names[codes[0]], hypnogram.names[codes[-1]]
        yield onset, before if (codes == codes[0]).all() else TRANSITION, before, after


def _choose(
    windows: list[tuple[float, str, str, str]], *, most: int | None, rng: np.random.Generator
) -> list[tuple[float, str, str, str]]:
    if most is None:
        return windows
    kept: list[tuple[float, str, str, str]] = []
    for state in dict.fromkeys(window[1] for window in windows):
        mine = [window for window in windows if window[1] == state]
        places = rng.choice(len(mine), size=min(most, len(mine)), replace=False)
        kept += [mine[place] for place in places.tolist()]
    return sorted(kept)


def read_window(
    read: Read, rate: float, onset: float, *, span: tuple[float, float], settings: WindowSettings
) -> tuple[np.ndarray | None, int]:
    """A window with as much margin for the filter as there is without gaps, and how much that is."""
    width = round(settings.length * rate)
    for seconds in (2 / settings.band[0], 0.0):
        margin = round(seconds * rate)
        begin, end = onset - margin / rate, onset + settings.length + margin / rate
        if begin < span[0] - 1e-9 or end > span[1] + 1e-9:
            continue
        piece = np.asarray(read(begin - 1e-6, end - 1e-6), dtype=float)[: width + 2 * margin]
        if len(piece) == width + 2 * margin and np.isfinite(piece).all():
            return piece.reshape(len(piece), -1), margin
    return None, 0


def _average(rows: list[dict[str, float]]) -> dict[str, float]:
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]} if rows else {}


def _stack(rows: list[dict[str, float]]) -> dict[str, Float[np.ndarray, " window"]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
