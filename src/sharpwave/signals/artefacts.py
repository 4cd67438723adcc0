"""Spans of a signal that are not brain: missing, flat, clipped, extreme, or bursts of muscle.

Definitions, each on one channel:

- *missing*: no samples (NaN).
- *flat*: 5 s or more in which every second stays within 1 µV.
- *clipped*: 3 or more equal samples in a row at the highest or lowest value of the whole recording.
- *extreme*: a second in which the signal goes beyond the modality's limit, counted from the median of the half minute
  around it, so that drift is not one.
- *muscle*: a 4 s epoch with 4 times as much power at 26–32 Hz as the median of the 3 min around it, EEG and EOG only
  (Brunner et al. 1996).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from sharpwave.recordings import Signal
from sharpwave.signals.pieces import MICROVOLTS, Piece, check_one_channel, iter_pieces, join_close, join_events, runs
from sharpwave.signals.spectra import compute_spectrogram

FLAT_SECONDS = 5
FLAT_UV = 1.0
CLIPPED_SAMPLES = 3
EXTREME_UV = {"eeg": 500.0, "eog": 1000.0, "emg": 2000.0, "ecg": 10_000.0, "lfp": 5000.0}
BASELINE_SECONDS = 31
MUSCLE_BAND = (26.0, 32.0)
MUSCLE_EPOCH = 4.0
MUSCLE_FACTOR = 4.0
MUSCLE_WINDOW = 45
"""Epochs of 4 s in 3 min."""

PIECE_SECONDS = 600

COLUMNS: dict[str, type] = {"onset": float, "duration": float, "label": str, "channel": str}
LABELS = ("missing", "flat", "clipped", "extreme", "muscle")


@dataclass(eq=False)
class _Scan:
    """What one pass over a channel collects: values per second, and spans that need single samples.

    Attributes:
        low, high, mean: Smallest, largest and mean value of each second, in the signal's unit; NaN without samples.
        missing: Spans without samples, as sample ranges.
        clipped: Value and sample range of each run of equal samples at an end of its piece's range.
    """

    low: list[np.ndarray] = field(default_factory=list)
    high: list[np.ndarray] = field(default_factory=list)
    mean: list[np.ndarray] = field(default_factory=list)
    missing: list[np.ndarray] = field(default_factory=list)
    clipped: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, piece: Piece, second: int) -> None:
        """Take in a piece, whose seconds are `second` samples long."""
        size = -(-piece.samples.size // second) * second
        values = np.full(size, np.nan)
        values[: piece.samples.size] = np.where(piece.missing, np.nan, piece.samples)
        rows = values.reshape(-1, second)
        self.low.append(np.fmin.reduce(rows, axis=1))
        self.high.append(np.fmax.reduce(rows, axis=1))
        count = np.count_nonzero(~np.isnan(rows), axis=1)
        self.mean.append(np.divide(np.nansum(rows, axis=1), count, out=np.full(len(rows), np.nan), where=count > 0))
        self.missing.append(runs(piece.missing) + piece.first)
        for limit in (np.fmin.reduce(self.low[-1]), np.fmax.reduce(self.high[-1])):
            for begin, end in runs((piece.samples == limit) & ~piece.missing):
                if end - begin >= CLIPPED_SAMPLES:
                    self.clipped.append((float(limit), piece.first + int(begin), piece.first + int(end)))


def detect_artefacts(signal: Signal) -> pd.DataFrame:
    """Spans to leave out, one channel.

    Args:
        signal: One channel of electrophysiology, in V. Absolute limits need the right unit.

    Returns:
        Events: onset and duration in s, label (one of `LABELS`), channel. Spans of different labels may overlap.

    >>> from sharpwave.recordings import MODALITIES
    >>> samples = np.random.default_rng(0).normal(0, 20, 6000)
    >>> samples[1000:2000] = 0.0
    >>> detect_artefacts(Signal("EEG", samples, 100.0, MODALITIES["eeg"], scale=1e-6))
       onset  duration label channel
    0   10.0      10.0  flat     EEG
    """
    check_one_channel(signal)
    second = max(1, round(signal.rate))
    scan = _Scan()
    for piece in iter_pieces(signal, pad=0, seconds=PIECE_SECONDS * second / signal.rate):
        scan.add(piece, second)
    if not scan.low:
        return join_events([], COLUMNS)
    low, high, mean = (np.concatenate(part) for part in (scan.low, scan.high, scan.mean))
    spans = {
        "missing": np.concatenate(scan.missing),
        "flat": _find_flat(low, high) * second,
        "clipped": _find_clipped(scan, low=np.fmin.reduce(low), high=np.fmax.reduce(high)),
        "extreme": _find_extreme(low, high, mean, modality=signal.modality.name) * second,
        "muscle": _find_muscle(signal),
    }
    return join_events([_to_events(signal, label, found) for label, found in spans.items()], COLUMNS)


def _to_events(signal: Signal, label: str, spans: np.ndarray) -> pd.DataFrame:
    """Half-open sample ranges, in order, as events; ranges that touch are one."""
    spans = join_close(np.minimum(spans, len(signal)), 2)
    return pd.DataFrame(
        {
            "onset": signal.start + spans[:, 0] / signal.rate,
            "duration": (spans[:, 1] - spans[:, 0]) / signal.rate,
            "label": label,
            "channel": signal.name,
        }
    )


def _find_flat(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Ranges of seconds in which the signal stands still."""
    still = runs((high - low) * MICROVOLTS < FLAT_UV)
    return still[still[:, 1] - still[:, 0] >= FLAT_SECONDS]


def _find_clipped(scan: _Scan, *, low: float, high: float) -> np.ndarray:
    """Sample ranges of the runs that lie at an end of the whole recording's range."""
    spans = [(begin, end) for limit, begin, end in scan.clipped if low < high and limit in (low, high)]
    return np.array(sorted(spans), dtype=np.int64).reshape(-1, 2)


def _find_extreme(low: np.ndarray, high: np.ndarray, mean: np.ndarray, *, modality: str) -> np.ndarray:
    """Ranges of seconds that leave the modality's limits."""
    limit = EXTREME_UV.get(modality, np.inf) / MICROVOLTS
    baseline = pd.Series(mean).rolling(BASELINE_SECONDS, center=True, min_periods=1).median().to_numpy()
    return runs((high - baseline > limit) | (baseline - low > limit))


def _find_muscle(signal: Signal) -> np.ndarray:
    """Sample ranges of the epochs with a burst of muscle activity."""
    if signal.modality.name not in ("eeg", "eog") or signal.rate / 2 < MUSCLE_BAND[1] + 2:
        return np.empty((0, 2), dtype=np.int64)
    low, high = MUSCLE_BAND
    spectrogram = compute_spectrogram(signal, window=MUSCLE_EPOCH, min_frequency=low, max_frequency=high, segment=2.0)
    power = pd.Series(spectrogram.power.sum(axis=1, dtype=np.float64))
    around = power.rolling(MUSCLE_WINDOW, center=True, min_periods=5).median()
    bursts = np.flatnonzero((power > MUSCLE_FACTOR * around).to_numpy())
    edges = np.round(np.column_stack((bursts, bursts + 1)) * MUSCLE_EPOCH * signal.rate)
    return edges.astype(np.int64)
