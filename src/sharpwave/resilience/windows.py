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


SLOWEST_ELECTRICAL = 5.0
"""Rate in Hz up to which a signal of unknown modality is taken for BOLD."""

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
    def for_rate(cls, rate: float, modality: str | None = None) -> WindowSettings:
        """30 s and slow waves for electrical signals; 30 volumes and their slow fluctuations for BOLD.

        Args:
            rate: Sampling rate in Hz.
            modality: Name of the modality: "bold", or any other; told by the rate where omitted, up to 5 Hz BOLD.

        Raises:
            SharpwaveError: If an electrical signal is too slow for slow waves.

        >>> WindowSettings.for_rate(10.0, "bold").length, WindowSettings.for_rate(10.0, "eeg").length
        (3.0, 30.0)
        """
        if modality == "bold" or (modality is None and rate <= SLOWEST_ELECTRICAL):
            return cls(30 / rate, (0.02 * rate, 0.2 * rate), (0.0, 0.5 * rate))
        if rate <= 8.5:
            raise SharpwaveError(
                "a signal above 8.5 Hz, for slow waves up to 4 Hz",
                got=f"{modality or 'a signal'} at {rate:g} Hz",
                fix='say modality="bold" where it is that, or pass settings=WindowSettings(...)',
            )
        return cls(30.0, (0.5, 4.0), (0.5, min(40.0, 0.45 * rate)))


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
        draws: Each surrogate of each window, shape (window, draw), by kind ("phase-randomised" and "coupling kept") and
            measure: the spread over draws is what chance does.
        left_out: Channels that were not measured, and why, by their number.
    """

    onsets: Float[np.ndarray, " window"]
    states: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]
    values: Mapping[str, Float[np.ndarray, " window"]]
    surrogates: Mapping[str, Float[np.ndarray, " window"]] = field(default_factory=dict)
    draws: Mapping[str, Mapping[str, Float[np.ndarray, "window draw"]]] = field(default_factory=dict)
    left_out: Mapping[int, str] = field(default_factory=dict)

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
    modality: str | None = None,
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
        n_surrogates: Number of surrogates per window and kind: phase-randomised, which keep the spectra and destroy the
            coupling, and, of several channels, those that keep their linear coupling too; 19 give an interval of 95 %.
        modality: Name of the modality, for `settings`.

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
    settings = settings or WindowSettings.for_rate(rate, modality)
    chosen = _choose(list(_cut(span, settings, hypnogram)), most=most, rng=rng)
    pieces = [read_window(read, rate, onset, span=span, settings=settings, whole=False) for onset, *_ in chosen]
    kept, left_out = _find_channels([piece for piece, _ in pieces if piece is not None])
    rows: list[tuple[float, str, str, str]] = []
    found: list[dict[str, float]] = []
    random: dict[str, list[list[dict[str, float]]]] = {}
    options: dict[str, Any] = {"band": settings.band, "spectrum": settings.spectrum, "rng": rng}
    for row in chosen:
        piece, margin = read_window(read, rate, row[0], span=span, settings=settings, channels=kept)
        measures = {} if piece is None or not kept.any() else measure_dynamics(piece, rate, margin=margin, **options)
        if piece is None or not measures:
            continue
        rows.append(row)
        found.append(measures)
        for kind, keep_coupling in KINDS.items():
            if n_surrogates and (piece.shape[1] > 1 or not keep_coupling):
                core = piece[margin : len(piece) - margin]
                drawn = [randomise_phases(core, rng=rng, keep_coupling=keep_coupling) for _ in range(n_surrogates)]
                measured = [measure_dynamics(one, rate, **options) for one in drawn]
                random.setdefault(kind, []).append(measured)
    if not rows:
        names = "; ".join(f"channel {channel} {why}" for channel, why in left_out.items())
        raise SharpwaveError(
            f"at least one window of {settings.length:g} s without gaps",
            got=f"none between {span[0]:g} and {span[1]:g} s{': ' if names else ''}{names}",
            fix="shorten the windows, or give a recording with longer pieces, time first",
        )
    onsets, states, before, after = zip(*rows, strict=True)
    draws = {kind: _stack_draws(drawn) for kind, drawn in random.items()}
    means = {name: row.mean(axis=1) for name, row in draws.get("phase-randomised", {}).items()}
    return Windows(np.array(onsets), states, before, after, _stack(found), means, draws, left_out)


KINDS = {"phase-randomised": False, "coupling kept": True}
"""Kinds of surrogates, and whether each keeps the coupling of channels."""


def _find_channels(pieces: list[Float[np.ndarray, "time channel"]]) -> tuple[np.ndarray, dict[int, str]]:
    """Channels to measure, and why others are left out: flat, or with gaps where others have none."""
    if not pieces:
        return np.zeros(0, dtype=bool), {}
    whole = np.array([np.isfinite(piece).all(axis=0) for piece in pieces])
    varies = np.array([np.ptp(np.nan_to_num(piece), axis=0) > 0 for piece in pieces])
    left_out: dict[int, str] = {}
    for channel in range(whole.shape[1]):
        if not varies[:, channel].any():
            empty = not any(np.isfinite(piece[:, channel]).any() for piece in pieces)
            left_out[channel] = "holds no samples" if empty else "is flat"
        elif whole[:, channel].sum() < whole.sum(axis=0).max() / 2:
            left_out[channel] = f"has gaps in {int((~whole[:, channel]).sum())} of {len(pieces)} windows"
    return np.array([channel not in left_out for channel in range(whole.shape[1])]), left_out


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
    read: Read,
    rate: float,
    onset: float,
    *,
    span: tuple[float, float],
    settings: WindowSettings,
    channels: np.ndarray | None = None,
    whole: bool = True,
) -> tuple[np.ndarray | None, int]:
    """A window with as much margin for the filter as there is without gaps, and how much that is.

    Args:
        read: Samples between two times in s, time first.
        rate: Sampling rate in Hz.
        onset: Onset of the window in s.
        span: First and last second that there is.
        settings: Length of the window, and the band that says how much margin.
        channels: True for the channels that are read; all where omitted.
        whole: Whether a window with gaps is None; else it is given without margin, with its gaps.
    """
    width = round(settings.length * rate)
    for seconds in (2 / settings.band[0], 0.0) if whole else (0.0,):
        margin = round(seconds * rate)
        begin, end = onset - margin / rate, onset + settings.length + margin / rate
        if begin < span[0] - 1e-9 or end > span[1] + 1e-9:
            continue
        piece = np.asarray(read(begin - 1e-6, end - 1e-6), dtype=float)[: width + 2 * margin]
        if len(piece) != width + 2 * margin:
            continue
        piece = piece.reshape(len(piece), -1)
        piece = piece if channels is None else piece[:, channels]
        if not whole or np.isfinite(piece).all():
            return piece, margin
    return None, 0


def _stack_draws(rows: list[list[dict[str, float]]]) -> dict[str, Float[np.ndarray, "window draw"]]:
    """By measure; NaN where a window does not have it."""
    names = dict.fromkeys(name for draws in rows for draw in draws for name in draw)
    return {name: np.array([[draw.get(name, np.nan) for draw in draws] for draws in rows]) for name in names}


def _stack(rows: list[dict[str, float]]) -> dict[str, Float[np.ndarray, " window"]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}
