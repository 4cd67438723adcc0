"""Slow waves: negative then positive half-waves below 1.5 Hz (Massimini 2004, Carrier 2011), as YASA finds them.

All criteria are local, so a piece with its margin gives the same waves as the whole night.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from sharpwave.recordings import Hypnogram, Signal
from sharpwave.signals.filters import design_bandpass, filter_piece
from sharpwave.signals.pieces import MICROVOLTS, iter_pieces, join_events, mark_searchable, stage_names

DEEP = ("N2", "N3", "LIGHT", "DEEP", "NREM", "S")
MARGIN = 10.0
GUARD = 2.0
"""Seconds round a gap in which nothing is detected: what the filter makes of its edges."""

ROUNDING_UV = 1e-9
"""What counts as 0: the first and last filtered sample of a recording are 0 but for rounding (odd reflection), and
whether a wave ends there must not depend on how long the pieces are."""

COLUMNS: dict[str, type] = {
    "onset": float,
    "duration": float,
    "label": str,
    "channel": str,
    "stage": str,
    "negative_peak": float,
    "mid_crossing": float,
    "positive_peak": float,
    "frequency": float,
    "amplitude_uv": float,
    "negative_amplitude_uv": float,
    "positive_amplitude_uv": float,
    "slope_uv_s": float,
}


@dataclass(frozen=True)
class SlowWaveSettings:
    """What counts as a slow wave; the defaults are YASA's.

    Attributes:
        band: Pass band in Hz, with 0.2 Hz transitions.
        negative: Shortest and longest negative half-wave in s.
        positive: Shortest and longest positive half-wave in s.
        trough_uv: Smallest and largest depth of the trough in µV.
        crest_uv: Smallest and largest height of the crest in µV.
        amplitude_uv: Smallest and largest peak-to-peak amplitude in µV.
    """

    band: tuple[float, float] = (0.3, 1.5)
    negative: tuple[float, float] = (0.3, 1.5)
    positive: tuple[float, float] = (0.1, 1.0)
    trough_uv: tuple[float, float] = (40.0, 200.0)
    crest_uv: tuple[float, float] = (10.0, 150.0)
    amplitude_uv: tuple[float, float] = (75.0, 350.0)


def detect_slow_waves(
    signal: Signal, *, hypnogram: Hypnogram | None = None, settings: SlowWaveSettings | None = None
) -> pd.DataFrame:
    """Slow waves in one EEG channel.

    With a hypnogram only N2 and N3 are searched (by their peaks). Gaps are left out: no wave touches one.

    Args:
        signal: One channel, in V; the amplitude criteria are absolute, so its unit must be right.
        hypnogram: Stages on the same clock, or None.
        settings: Criteria of a slow wave; None takes YASA's.

    Returns:
        Events: onset and duration in s, label "slow_wave", channel, stage (at the trough), `negative_peak`,
        `mid_crossing` and `positive_peak` (s), `frequency` (Hz), `amplitude_uv` (peak to peak) and those of both peaks,
        `slope_uv_s` (from the negative peak to the crossing).

    >>> from sharpwave.recordings import MODALITIES
    >>> times = np.arange(3000) / 100
    >>> samples = -80 * np.sin(2 * np.pi * 0.9 * times) * (abs(times - 15) < 1 / 1.8)  # one cycle
    >>> found = detect_slow_waves(Signal("EEG", samples, 100.0, MODALITIES["eeg"], scale=1e-6))
    >>> found["mid_crossing"].round(1).tolist()
    [15.0]
    """
    settings = settings or SlowWaveSettings()
    taps = design_bandpass(signal.rate, *settings.band, low_transition=0.2, high_transition=0.2)
    margin, reach = round(MARGIN * signal.rate), taps.size // 2 + 1
    tables = []
    for piece in iter_pieces(signal, pad=margin + reach):
        origin = piece.first - piece.pad
        valid = slice(max(reach, -origin), min(piece.samples.size - reach, len(signal) - origin))
        searched = mark_searchable(piece, signal, hypnogram=hypnogram, stages=DEEP, guard=GUARD)
        if not searched[piece.pad : piece.pad + piece.length].any():
            continue
        filtered = filter_piece(piece.samples * MICROVOLTS, taps)[valid]
        waves = _find_waves(filtered, searched[valid], rate=signal.rate, settings=settings)
        trough = waves.pop("trough") + (origin + valid.start)
        waves["onset"] = signal.start + waves["onset"] + (origin + valid.start) / signal.rate
        for name in ("negative_peak", "mid_crossing", "positive_peak"):
            waves[name] += waves["onset"]
        tables.append(waves[(trough >= piece.first) & (trough < piece.first + piece.length)])
    events = join_events([table.assign(label="slow_wave", channel=signal.name, stage="?") for table in tables], COLUMNS)
    events["stage"] = stage_names(hypnogram, events["negative_peak"].to_numpy())
    return events


def _find_waves(filtered: np.ndarray, searched: np.ndarray, *, rate: float, settings: SlowWaveSettings) -> pd.DataFrame:
    """Waves in filtered samples (µV): `onset` in s from the first sample, peaks in s from the onset, `trough` an
    index."""
    from scipy.signal import find_peaks

    troughs, _ = find_peaks(-filtered, height=settings.trough_uv)
    crests, _ = find_peaks(filtered, height=settings.crest_uv)
    troughs, crests = troughs[searched[troughs]], crests[searched[crests]]
    following = np.searchsorted(crests, troughs)
    troughs, following = troughs[following < crests.size], following[following < crests.size]
    crests = crests[following]
    amplitude = filtered[crests] - filtered[troughs]
    large = (amplitude > settings.amplitude_uv[0]) & (amplitude < settings.amplitude_uv[1])
    troughs, crests, amplitude = troughs[large], crests[large], amplitude[large]

    above = filtered > ROUNDING_UV
    crossings = np.flatnonzero(above[1:] != above[:-1])
    before_trough, after_trough = _neighbours(crossings, troughs)
    before_crest, after_crest = _neighbours(crossings, crests)
    known = (before_trough >= 0) & (after_trough >= 0) & (before_crest >= 0) & (after_crest >= 0)
    negative = (after_trough - before_trough) / rate
    positive = (after_crest - before_crest) / rate
    duration = np.round((after_crest - before_trough) / rate, 4)
    low = settings.negative[0] + settings.positive[0]
    high = settings.negative[1] + settings.positive[1]
    good = (
        known
        & (after_trough > troughs)
        & (before_trough < troughs)
        & (after_crest > crests)
        & (before_crest < crests)
        & (duration == np.round(negative + positive, 4))
        & (duration >= low)
        & (duration <= high)
        & (negative > settings.negative[0])
        & (negative < settings.negative[1])
        & (positive > settings.positive[0])
        & (positive < settings.positive[1])
    )
    onset, end = before_trough[good], after_crest[good]
    troughs, crests, middle = troughs[good], crests[good], after_trough[good]
    waves = pd.DataFrame(
        {
            "onset": onset / rate,
            "duration": duration[good],
            "trough": troughs,
            "negative_peak": (troughs - onset) / rate,
            "mid_crossing": (middle - onset) / rate,
            "positive_peak": (crests - onset) / rate,
            "frequency": 1 / duration[good],
            "amplitude_uv": amplitude[good],
            "negative_amplitude_uv": filtered[troughs],
            "positive_amplitude_uv": filtered[crests],
            "slope_uv_s": -filtered[troughs] / ((middle - troughs) / rate),
        }
    )
    twice = pd.Series(onset).duplicated(keep=False).to_numpy() | pd.Series(end).duplicated(keep=False).to_numpy()
    return waves[~twice]


def _neighbours(crossings: np.ndarray, peaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The zero crossings before and at or after each peak; -1 where there is none."""
    if not crossings.size:
        return np.full(peaks.shape, -1), np.full(peaks.shape, -1)
    following = np.searchsorted(crossings, peaks)
    before = np.where(following > 0, crossings[np.maximum(following - 1, 0)], -1)
    after = np.where(following < crossings.size, crossings[np.minimum(following, crossings.size - 1)], -1)
    return before, after
