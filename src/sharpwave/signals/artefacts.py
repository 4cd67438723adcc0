"""Spans of a signal that are not brain: missing, flat, floating, hum, clipped, extreme, or bursts of muscle.

Definitions, each on one channel:

- *missing*: no samples (NaN).
- *flat*: 5 s or more in which every second stays within 1 µV.
- *floating*: 8 s or more with a standard deviation under 1 µV at 1–30 Hz, mains left out; EEG and EOG only.
- *hum*: 8 s or more in which the mains (50 or 60 Hz, or where the sampling rate folds them to) hold nine tenths of the
  power at 1–65 Hz, and what is left is under 4 µV or as flat over frequency as noise; EEG and EOG only, and LFP, of
  which only the second is asked: between two near contacts there may be no more than a few µV.
- *clipped*: 3 or more equal samples in a row at the highest or lowest value of the whole recording, or 20 such runs
  within ten minutes at the highest or lowest value of those.
- *extreme*: a second in which the signal goes beyond the modality's limit, counted from the median of the half minute
  around it, so that drift is not one.
- *muscle*: a 4 s epoch with 4 times as much power at 26–32 Hz as the median of the 3 min around it, EEG and EOG only
  (Brunner et al. 1996).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings import Signal
from sharpwave.signals.pieces import (
    MICROVOLTS,
    Piece,
    check_one_channel,
    iter_pieces,
    join_close,
    join_events,
    join_indices,
    runs,
)
from sharpwave.signals.spectra import Spectra

FLAT_SECONDS = 5
FLAT_UV = 1.0
CLIPPED_SAMPLES = 3
CLIPPED_RUNS = 20
EXTREME_UV = {"eeg": 500.0, "eog": 1000.0, "emg": 2000.0, "ecg": 10_000.0, "lfp": 5000.0}
BASELINE_SECONDS = 31
MUSCLE_BAND = (26.0, 32.0)
EPOCH = 4.0
MUSCLE_FACTOR = 4.0
MUSCLE_WINDOW = 45
"""Epochs of 4 s in 3 min."""

FLOATING_UV = 1.0
HUM_SHARE = 0.9
HUM_REST_UV = 4.0
HUM_SLOPE = 2.0
"""Density at 1–8 Hz over that at 18–30 Hz: 1 in white noise, 10 and more in an EEG."""

MAINS = (50.0, 60.0)
MAINS_WIDTH = 1.25
"""Hz on either side of the mains that its peak reaches in segments of 2 s."""

BRAIN_BAND = (1.0, 30.0)
HIGHEST = 65.0
LEAST_RATE = 45.0
LEAST_WINDOWS = 2
"""Windows of 4 s in a row that make a floating or humming stretch."""

PIECE_SECONDS = 600

COLUMNS: dict[str, type] = {"onset": float, "duration": float, "label": str, "channel": str}
LABELS = ("missing", "flat", "floating", "hum", "clipped", "extreme", "muscle")


Spans = tuple[tuple[str, np.ndarray], ...]
"""Labels, each with the onset and duration in s of its spans, in order, shape (span, 2)."""


@dataclass(eq=False)
class _Scan:
    """What one pass over a channel collects: values per second, and spans that need single samples.

    Attributes:
        low, high, mean: Smallest, largest and mean value of each second, in the signal's unit; NaN without samples.
        missing: Spans without samples, as sample ranges.
        clipped: Value and sample range of each run of equal samples at an end of its piece's range; NaN for the value
            where the piece returns to it again and again.
    """

    low: list[np.ndarray] = field(default_factory=list)
    high: list[np.ndarray] = field(default_factory=list)
    mean: list[np.ndarray] = field(default_factory=list)
    missing: list[np.ndarray] = field(default_factory=list)
    clipped: list[tuple[float, int, int]] = field(default_factory=list)

    def add(self, piece: Piece, second: int) -> None:
        """Take in a piece, whose seconds are `second` samples long."""
        size = -(-piece.samples.size // second) * second
        gaps = bool(piece.missing.any())
        if size == piece.samples.size and not gaps:
            rows = piece.samples.reshape(-1, second)
            self.low.append(rows.min(axis=1))
            self.high.append(rows.max(axis=1))
            self.mean.append(rows.mean(axis=1))
        else:
            values = np.full(size, np.nan)
            values[: piece.samples.size] = np.where(piece.missing, np.nan, piece.samples)
            rows = values.reshape(-1, second)
            self.low.append(np.fmin.reduce(rows, axis=1))
            self.high.append(np.fmax.reduce(rows, axis=1))
            count = np.count_nonzero(~np.isnan(rows), axis=1)
            self.mean.append(np.divide(np.nansum(rows, axis=1), count, out=np.full(len(rows), np.nan), where=count > 0))
        if gaps:
            self.missing.append(runs(piece.missing) + piece.first)
        for ends, find in ((self.low[-1], np.fmin), (self.high[-1], np.fmax)):
            limit = find.reduce(ends)
            seconds = np.flatnonzero(ends == limit)  # few: no other second can hold it
            row, column = np.nonzero(rows[seconds] == limit)
            spans = join_indices(seconds[row] * second + column)
            spans = spans[spans[:, 1] - spans[:, 0] >= CLIPPED_SAMPLES] + piece.first
            level = np.nan if len(spans) >= CLIPPED_RUNS else float(limit)  # NaN: a level of its own
            self.clipped += [(level, int(begin), int(end)) for begin, end in spans]


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
    return tabulate_spans(signal, find_artefacts(signal))


def find_artefacts(signal: Signal, labels: Collection[str] = LABELS) -> Spans:
    """The same as arrays, which take no time to make, and those of some labels alone.

    Args:
        signal: One channel of electrophysiology, in V.
        labels: Those of `LABELS` that are looked for.

    >>> from sharpwave.recordings import MODALITIES
    >>> find_artefacts(Signal("EEG", np.zeros(1000), 100.0, MODALITIES["eeg"]), ["flat"])
    (('flat', array([[ 0., 10.]])),)
    """
    check_one_channel(signal)
    second, kind = max(1, round(signal.rate)), signal.modality.name
    scan, spectra = _Scan(), None
    if kind in ("eeg", "eog", "lfp") and signal.rate >= LEAST_RATE and {*labels} & {"floating", "hum", "muscle"}:
        sums = partial(_choose_bands, rate=signal.rate)
        spectra = Spectra(
            signal, window=EPOCH, segment=2.0, edges=(BRAIN_BAND[0], HIGHEST), dtype=np.float32, sums=sums
        )
    for piece in iter_pieces(signal, pad=0, seconds=PIECE_SECONDS * second / signal.rate, dtype=np.float32):
        scan.add(piece, second)
        if spectra is not None:
            spectra.add(piece)
    if not scan.low:
        return ()
    low, high, mean = (np.concatenate(part) for part in (scan.low, scan.high, scan.mean))
    still = _find_flat(low, high) * second
    power = np.empty((0, len(BANDS))) if spectra is None else spectra.power.astype(np.float64) * MICROVOLTS**2
    spans = {
        "missing": np.concatenate([np.empty((0, 2), np.int64), *scan.missing]),
        "flat": still,
        **_find_without_brain(power, still, rate=signal.rate, implanted=kind == "lfp"),
        "clipped": _find_clipped(scan, low=np.fmin.reduce(low), high=np.fmax.reduce(high)),
        "extreme": _find_extreme(low, high, mean, modality=kind) * second,
    }
    if "muscle" in labels and kind != "lfp" and signal.rate / 2 >= MUSCLE_BAND[1] + 2:
        spans["muscle"] = _find_muscle(power[:, BANDS.index("muscle")], rate=signal.rate)
    return tuple((label, _to_seconds(signal, spans[label])) for label in LABELS if label in labels and label in spans)


def _to_seconds(signal: Signal, spans: np.ndarray) -> np.ndarray:
    """Half-open sample ranges, in order, as onset and duration in s; ranges that touch are one."""
    spans = join_close(np.minimum(spans, len(signal)), 2)
    return np.column_stack((signal.start + spans[:, 0] / signal.rate, (spans[:, 1] - spans[:, 0]) / signal.rate))


def tabulate_spans(signal: Signal, spans: Spans) -> pd.DataFrame:
    """Spans as `detect_artefacts` gives them, in order of onset."""
    tables = [
        pd.DataFrame({"onset": each[:, 0], "duration": each[:, 1], "label": label, "channel": signal.name})
        for label, each in spans
        if len(each)
    ]
    return join_events(tables, COLUMNS)


def _find_flat(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Ranges of seconds in which the signal stands still."""
    still = runs((high - low) * MICROVOLTS < FLAT_UV)
    return still[still[:, 1] - still[:, 0] >= FLAT_SECONDS]


def _find_clipped(scan: _Scan, *, low: float, high: float) -> np.ndarray:
    """Sample ranges of the runs that lie at an end of the whole recording's range."""
    spans = [
        (begin, end) for limit, begin, end in scan.clipped if low < high and (np.isnan(limit) or limit in (low, high))
    ]
    return np.array(sorted(spans), dtype=np.int64).reshape(-1, 2)


def _find_extreme(low: np.ndarray, high: np.ndarray, mean: np.ndarray, *, modality: str) -> np.ndarray:
    """Ranges of seconds that leave the modality's limits."""
    limit = EXTREME_UV.get(modality, np.inf) / MICROVOLTS
    highest, lowest = np.fmax.reduce(mean), np.fmin.reduce(mean)  # the median lies between them
    if not (np.fmax.reduce(high) - lowest > limit or highest - np.fmin.reduce(low) > limit):
        return np.empty((0, 2), dtype=np.int64)
    baseline = pd.Series(mean).rolling(BASELINE_SECONDS, center=True, min_periods=1).median().to_numpy()
    return runs((high - baseline > limit) | (baseline - low > limit))


BANDS = ("total", "50 Hz", "60 Hz", "brain", "slow", "fast", "muscle")
"""What of a density floating, hum and muscle are found by."""


def _choose_bands(frequencies: Float[np.ndarray, " frequency"], *, rate: float) -> Float[np.ndarray, "frequency band"]:
    """Weights by which a density becomes power in each of `BANDS`; slow and fast are means, in units of a bin."""
    lines = [_find_mains(frequencies, line, rate=rate) for line in MAINS]
    brain = (frequencies >= BRAIN_BAND[0]) & (frequencies <= BRAIN_BAND[1]) & ~np.any(lines, axis=0)
    slow, fast = (brain & (frequencies >= low) & (frequencies <= high) for low, high in ((1, 8), (18, 30)))
    muscle = (frequencies >= MUSCLE_BAND[0] - 1e-9) & (frequencies <= MUSCLE_BAND[1] + 1e-9)
    every = np.ones(frequencies.size, dtype=bool)
    masks = np.column_stack([every, *lines, brain, slow, fast, muscle]).astype(np.float64)
    masks[:, [BANDS.index("slow"), BANDS.index("fast")]] /= np.maximum([slow.sum(), fast.sum()], 1)
    return masks * (frequencies[1] - frequencies[0])


def _find_without_brain(
    power: Float[np.ndarray, "window band"], still: np.ndarray, *, rate: float, implanted: bool
) -> dict[str, np.ndarray]:
    """Sample ranges in which an electrode floats, and in which it hums; none where it stands still."""
    if not len(power):
        return {}
    total, *lines, brain, slow, fast, _ = power.T
    mains, rest = np.maximum(*lines), np.sqrt(brain)
    quiet = np.zeros(rest.size, dtype=bool) if implanted else rest < HUM_REST_UV
    hum = (mains > HUM_SHARE * total) & (quiet | (slow < HUM_SLOPE * fast))
    floating = quiet & (rest < FLOATING_UV) & ~hum
    for first, last in still / (EPOCH * rate):
        inside = slice(int(first), int(np.ceil(last)))
        hum[inside] = floating[inside] = False
    return {label: _to_samples(*_keep_long(mask), rate=rate) for label, mask in (("floating", floating), ("hum", hum))}


def _find_mains(frequencies: np.ndarray, line: float, *, rate: float) -> np.ndarray:
    """Which frequencies the mains and its first harmonic reach, folded at half the sampling rate."""
    reached = np.zeros(frequencies.size, dtype=bool)
    for harmonic in (line, 2 * line):
        folded = abs(harmonic - rate * round(harmonic / rate))
        if folded > 2 * MAINS_WIDTH:
            reached |= np.abs(frequencies - folded) <= MAINS_WIDTH
    return reached


def _keep_long(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last (exclusive) window of each run that is long enough."""
    spans = runs(mask)
    spans = spans[spans[:, 1] - spans[:, 0] >= LEAST_WINDOWS]
    return spans[:, 0], spans[:, 1]


def _to_samples(first: np.ndarray, last: np.ndarray, *, rate: float) -> np.ndarray:
    """Ranges of windows of 4 s as ranges of samples."""
    edges: np.ndarray = np.round(np.column_stack((first, last)) * EPOCH * rate).astype(np.int64)
    return edges


def _find_muscle(power: Float[np.ndarray, " window"], *, rate: float) -> np.ndarray:
    """Sample ranges of the epochs with a burst of muscle activity."""
    around = pd.Series(power).rolling(MUSCLE_WINDOW, center=True, min_periods=5).median()
    bursts = np.flatnonzero(power > MUSCLE_FACTOR * around.to_numpy())
    return _to_samples(bursts, bursts + 1, rate=rate)
