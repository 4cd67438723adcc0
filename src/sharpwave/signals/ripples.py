"""Ripples: the consensus detector of Kay et al. 2016 (`ripple_detection`), over recordings of any length.

The envelope is compared with its mean and spread over the whole recording (sleep, and not movement, where these are
known), which a first pass finds; the second pass hands each piece to the library with that normalisation.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.recordings.hypnogram import NREM_STAGES
from sharpwave.signals.filters import PieceSpectrum, design_bandpass
from sharpwave.signals.pieces import (
    MICROVOLTS,
    Piece,
    iter_pieces,
    join_events,
    mark_searchable,
    stage_names,
)

BANDS: dict[str, tuple[float, float]] = {"human": (70.0, 110.0), "mouse": (130.0, 250.0), "rat": (150.0, 250.0)}
"""Ripple bands in Hz. Human ripples are slower (about 85 Hz; Jiang et al. 2020, doi:10.1002/hipo.23183); in rodents
150–250 Hz is usual (Kay et al. 2016), with peaks from 110 to 200 Hz (Liu et al. 2022,
doi:10.1038/s41467-022-33536-x)."""

MARGIN = 2.0
GUARD = 0.5
SMOOTHING = 0.004
"""Standard deviation in s of the Gaussian that smooths the envelope (Kay et al. 2016)."""

COLUMNS: dict[str, type] = {
    "onset": float,
    "duration": float,
    "label": str,
    "channel": str,
    "stage": str,
    "peak": float,
    "frequency": float,
    "amplitude_uv": float,
    "z": float,
}


def detect_ripples(
    signal: Signal,
    *,
    species: str = "rat",
    hypnogram: Hypnogram | None = None,
    threshold: float = 3.0,
    minimum_duration: float = 0.02,
) -> pd.DataFrame:
    """Sharp-wave ripples in one hippocampal channel.

    A ripple is where the smoothed envelope of the ripple band stays above mean + `threshold` standard deviations for
    `minimum_duration`; it reaches from where the envelope leaves its mean to where it returns there. With a
    hypnogram only NREM sleep is searched and sets mean and deviation. Gaps are left out.

    Args:
        signal: One channel, in V.
        species: Species whose band is searched, a key of `BANDS`; "rat" by default.
        hypnogram: Stages on the same clock, or None.
        threshold: Height above the mean that the envelope must reach, in standard deviations; 3 is usual.
        minimum_duration: Time in seconds that it must stay above the threshold; 0.015 to 0.02 is usual.

    Returns:
        Events: onset and duration in s, label "ripple", channel, stage, `peak` (s), `frequency` (Hz, median of the
        instantaneous), `amplitude_uv` (largest envelope) and its `z`.

    Raises:
        SharpwaveError: If the species has no band or the sampling rate is too low for it.

    >>> from sharpwave.recordings import MODALITIES
    >>> times = np.arange(30_000) / 1000
    >>> samples = np.random.default_rng(0).normal(0, 20, times.size)
    >>> samples += 200 * np.exp(-(((times - 15) / 0.03) ** 2)) * np.sin(2 * np.pi * 180 * times)
    >>> detect_ripples(Signal("HIP", samples, 1000.0, MODALITIES["lfp"], scale=1e-6))["peak"].round(1).tolist()
    [15.0]
    """
    low, high = _find_band(signal, species)
    upper = min(high / 4, signal.rate / 2 - high)
    taps = design_bandpass(signal.rate, low, high, low_transition=low / 4, high_transition=upper)
    mean, deviation = _measure_envelope(signal, hypnogram, taps)
    if not deviation > 0:
        return join_events([], COLUMNS)
    rows = []
    for piece in iter_pieces(signal, pad=_pad(signal, taps)):
        searched = mark_searchable(piece, signal, hypnogram=hypnogram, stages=NREM_STAGES, guard=GUARD)
        if searched[piece.pad : piece.pad + piece.length].any():
            analytic = PieceSpectrum.of(piece.samples * MICROVOLTS).analytic(taps)
            z = np.where(searched, (_compute_envelope(analytic, signal.rate) - mean) / deviation, -np.inf)
            rows += _find_in_piece(
                piece, signal, analytic, z, threshold=threshold, minimum_samples=minimum_duration * signal.rate
            )
    events = join_events([pd.DataFrame(rows)], COLUMNS)
    events["stage"] = stage_names(hypnogram, events["onset"].to_numpy())
    return events


def _find_in_piece(
    piece: Piece, signal: Signal, analytic: np.ndarray, z: np.ndarray, *, threshold: float, minimum_samples: float
) -> list[dict[str, Any]]:
    """The ripples that begin in a piece, its margins left out, one row each; their stage is not yet known."""
    rows = []
    origin = signal.start + (piece.first - piece.pad) / signal.rate
    spans = _import_detector().threshold_by_zscore(z, np.arange(z.size), minimum_samples, threshold)
    for begin, last in spans:
        end = last + 1
        if not piece.pad <= begin < piece.pad + piece.length:
            continue
        top = begin + int(np.argmax(z[begin:end]))
        speed = np.diff(np.unwrap(np.angle(analytic[begin : end + 1]))) * signal.rate / (2 * np.pi)
        rows.append(
            {
                "onset": origin + begin / signal.rate,
                "duration": (end - begin) / signal.rate,
                "label": "ripple",
                "channel": signal.name,
                "stage": "?",
                "peak": origin + top / signal.rate,
                "frequency": float(np.median(speed)),
                "amplitude_uv": float(np.abs(analytic[begin:end]).max()),
                "z": float(z[top]),
            }
        )
    return rows


def _find_band(signal: Signal, species: str) -> tuple[float, float]:
    if species not in BANDS:
        raise SharpwaveError(
            f"a species among {', '.join(BANDS)}", got=repr(species), fix="choose the one whose band is nearest"
        )
    low, high = BANDS[species]
    if signal.rate < 2.1 * high:
        raise SharpwaveError(
            f"a sampling rate of at least {2.1 * high:g} Hz for ripples of {low:g}–{high:g} Hz",
            got=f"{signal.rate:g} Hz in {signal.name!r}",
            fix="use the recording before it was downsampled",
        )
    return low, high


def _import_detector() -> ModuleType:
    try:
        from ripple_detection import core
    except ImportError as error:
        raise MissingExtraError("ripple_detection", extra="brain") from error
    return core


def _pad(signal: Signal, taps: np.ndarray) -> int:
    return taps.size // 2 + 1 + round(MARGIN * signal.rate)


def _compute_envelope(analytic: np.ndarray, rate: float) -> np.ndarray:
    """Root of the smoothed squared envelope (the consensus trace of Kay et al. for one channel), in µV."""
    squared = analytic.real**2 + analytic.imag**2
    return np.sqrt(np.maximum(_import_detector().gaussian_smooth(squared, SMOOTHING, rate), 0))


def _measure_envelope(signal: Signal, hypnogram: Hypnogram | None, taps: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation of the envelope over all that is searched, in µV; (0, 0) where nothing is."""
    count, total, squares = 0, 0.0, 0.0
    for piece in iter_pieces(signal, pad=_pad(signal, taps)):
        core = slice(piece.pad, piece.pad + piece.length)
        searched = mark_searchable(piece, signal, hypnogram=hypnogram, stages=NREM_STAGES, guard=GUARD)[core]
        if searched.any():
            analytic = PieceSpectrum.of(piece.samples * MICROVOLTS).analytic(taps)
            envelope = _compute_envelope(analytic, signal.rate)[core][searched]
            count += envelope.size
            total += float(envelope.sum())
            squares += float(envelope @ envelope)
    if not count:
        return 0.0, 0.0
    mean = total / count
    return mean, float(np.sqrt(max(squares / count - mean**2, 0.0)))
