"""Which channels can be used, and how much of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.recordings import Recording, Signal
from sharpwave.recordings.sliced import Sliced
from sharpwave.signals.artefacts import LABELS, Spans, detect_artefacts
from sharpwave.signals.pieces import MICROVOLTS, iter_pieces, runs, split_channels

ELECTRIC = ("eeg", "eog", "emg", "ecg", "lfp")
GOOD, USABLE = 0.9, 0.5
"""Least usable fraction of a channel called good, and of one called usable in part."""

THINNING = 8
"""Every eighth sample is enough for a percentile of ten minutes."""

COLUMNS = (
    "channel",
    "modality",
    "usable_fraction",
    *LABELS,
    "amplitude_uv",
    "verdict",
)


def compute_quality(
    recording: Recording, picks: Sequence[str] | None = None, *, artefacts: pd.DataFrame | None = None
) -> pd.DataFrame:
    """How much of each electrical channel is free of artefacts.

    Args:
        recording: The recording, which is read piece by piece.
        picks: Names of signals; None takes all of EEG, EOG, EMG, ECG and LFP.
        artefacts: What `detect_artefacts` found in these signals; None looks for them.

    Returns:
        One row a channel: `channel`, `modality`, `usable_fraction` (of the time, outside every kind of artefact), the
        fraction of time `missing`, `flat`, `floating`, `hum`, `clipped`, `extreme` and `muscle`, `amplitude_uv` (half
        the 5–95 % spread of the raw signal, median over 10 min pieces) and a `verdict`: "good", "partly usable",
        "poor", or "wrong amplitude" where that lies outside what the modality allows and the unit is known.

    >>> from sharpwave.recordings import MODALITIES
    >>> samples = np.random.default_rng(0).normal(0, 20, 6000)
    >>> samples[:3000] = np.nan  # the lead was off
    >>> eeg = Signal("EEG", samples, 100.0, MODALITIES["eeg"], scale=1e-6)
    >>> compute_quality(Recording(signals={"EEG": eeg}))[["channel", "usable_fraction", "missing", "verdict"]]
      channel  usable_fraction  missing        verdict
    0     EEG              0.5      0.5  partly usable
    """
    names = [name for name, signal in recording.signals.items() if signal.modality.name in ELECTRIC]
    rows = []
    for name in names if picks is None else picks:
        for channel in split_channels(recording[name]).values():
            unit_known = recording.metadata.get("amplitude_unit") != "unknown"
            found = detect_artefacts(channel) if artefacts is None else artefacts[artefacts["channel"] == channel.name]
            rows.append(_describe_channel(channel, found, unit_known=unit_known))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _describe_channel(signal: Signal, artefacts: pd.DataFrame, *, unit_known: bool) -> dict[str, object]:
    if not unit_known:
        artefacts = artefacts[~artefacts["label"].isin(("flat", "floating", "hum", "extreme"))]
    seconds = max(signal.duration, 1e-9)
    shares = {label: _covered(artefacts[artefacts["label"] == label]) / seconds for label in LABELS}
    usable = 1 - _covered(artefacts) / seconds
    amplitude = _measure_amplitude(signal)
    low, high = signal.modality.amplitude
    verdict = "good" if usable >= GOOD else "partly usable" if usable >= USABLE else "poor"
    if verdict != "poor" and unit_known and not low <= amplitude <= high:
        verdict = "wrong amplitude"
    return {
        "channel": signal.name,
        "modality": signal.modality.name,
        "usable_fraction": usable,
        **shares,
        "amplitude_uv": amplitude * MICROVOLTS,
        "verdict": verdict,
    }


DEAD = ("missing", "flat", "floating", "hum")
"""Kinds of span in which there is nothing of the sleeper; an epoch that is more than half so cannot be used."""

MOST_DEAD = 0.5
MOST_OF = {"clipped": 0.1, "extreme": 0.9}
"""Share of an epoch from which on these kinds make it unusable, each by itself."""


def find_unusable_epochs(
    signal: Signal, artefacts: pd.DataFrame, *, epoch_length: float = 30.0, kinds: Sequence[str] | None = None
) -> np.ndarray:
    """Why each epoch of a channel cannot be used: its main kind of artefact, or "" where it can.

    Args:
        signal: One channel.
        artefacts: What `detect_artefacts` found in it.
        epoch_length: Length of an epoch in seconds; the first begins with the signal, the last may be shorter.
        kinds: Labels that count; None takes more than half of `DEAD`, a tenth clipped, nine tenths extreme.

    Returns:
        Labels, shape (epoch,).

    >>> from sharpwave.recordings import MODALITIES
    >>> samples = np.random.default_rng(0).normal(0, 20, 9000)
    >>> samples[4000:] = 0.0
    >>> eeg = Signal("EEG", samples, 100.0, MODALITIES["eeg"], scale=1e-6)
    >>> find_unusable_epochs(eeg, detect_artefacts(eeg)).tolist()
    ['', 'flat', 'flat']
    """
    wanted = LABELS if kinds is None else kinds
    found = tuple(
        (label, artefacts.loc[artefacts["label"] == label, ["onset", "duration"]].to_numpy(dtype=float))
        for label in wanted
    )
    return judge_epochs(signal, found, epoch_length=epoch_length)


def judge_epochs(signal: Signal, spans: Spans, *, epoch_length: float = 30.0) -> np.ndarray:
    """The same from the spans of the labels that count.

    Args:
        signal: One channel.
        spans: What `find_artefacts` found in it.
        epoch_length: Length of an epoch in seconds.

    >>> from sharpwave.recordings import MODALITIES
    >>> eeg = Signal("EEG", np.zeros(6000), 100.0, MODALITIES["eeg"])
    >>> judge_epochs(eeg, (("flat", np.array([[0.0, 40.0]])),)).tolist()
    ['flat', '']
    """
    n_epochs = int(np.ceil(signal.duration / epoch_length - 1e-6))
    edges = np.minimum(signal.start + epoch_length * np.arange(n_epochs + 1), signal.end)
    by_label: dict[str, list[np.ndarray]] = {}
    for label, found in spans:
        if len(found):
            by_label.setdefault(label, []).append(found)
    shares = {label: _share_covered(np.concatenate(found), edges) for label, found in by_label.items()}
    reasons = np.full(len(edges) - 1, "", dtype=object)
    dead = [label for label in DEAD if label in shares]
    if dead:
        together = _share_covered(np.concatenate([part for label in dead for part in by_label[label]]), edges)
        main = np.argmax([shares[label] for label in dead], axis=0)
        unusable = together > MOST_DEAD
        reasons[unusable] = np.array(dead, dtype=object)[main[unusable]]
    for label, most in MOST_OF.items():
        if label in shares:
            reasons[(shares[label] > most) & (reasons == "")] = label
    return reasons


def _share_covered(spans: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Share of each stretch between neighbouring edges that at least one span (onset, duration) covers."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    ends = np.maximum.accumulate(spans.sum(axis=1))
    begins = np.maximum(spans[:, 0], np.concatenate(([-np.inf], ends[:-1])))
    ends = np.maximum(ends, begins)
    clock = np.column_stack((begins, ends)).ravel()
    covered = np.column_stack((np.zeros(len(ends)), np.maximum(ends - begins, 0))).ravel().cumsum()
    return np.diff(np.interp(edges, clock, covered)) / np.maximum(np.diff(edges), 1e-9)


@dataclass(frozen=True)
class Masked(Sliced):
    """Samples that are NaN within sample ranges, and unread until asked for.

    Attributes:
        array: The samples.
        spans: First and last (excluded) sample of each range, ascending, shape (range, 2).

    >>> Masked(np.arange(4.0), np.array([[1, 3]]))[:].tolist()
    [0.0, nan, nan, 3.0]
    """

    array: Any
    spans: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.array.shape)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float64) if np.dtype(self.array.dtype).itemsize > 4 else np.dtype(np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        values = np.array(self.array[low:high], dtype=self.dtype)
        for begin, end in self.spans[(self.spans[:, 1] > low) & (self.spans[:, 0] < high)]:
            values[max(begin - low, 0) : end - low] = np.nan
        return values


def mask_epochs(signal: Signal, unusable: np.ndarray, *, epoch_length: float = 30.0) -> Signal:
    """The same channel, missing (NaN) in the epochs that are marked; still unread.

    Args:
        signal: One channel.
        unusable: True for epochs to leave out, shape (epoch,), the first at the start of the signal.
        epoch_length: Length of an epoch in seconds.

    >>> from sharpwave.recordings import MODALITIES
    >>> eeg = Signal("EEG", np.arange(6.0), 1.0, MODALITIES["eeg"])
    >>> mask_epochs(eeg, np.array([False, True, False]), epoch_length=2.0).read().tolist()
    [0.0, 1.0, nan, nan, 4.0, 5.0]
    """
    if not unusable.any():
        return signal
    spans = np.round(runs(unusable) * epoch_length * signal.rate).astype(np.int64)
    return replace(signal, samples=Masked(signal.samples, spans))


@dataclass(frozen=True)
class _Spliced(Sliced):
    """Samples of one array, and those of another within sample ranges; unread until asked for."""

    signal: Signal
    other: Signal
    spans: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.signal.samples.shape)

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        values = self._read(self.signal, low, high)
        for begin, end in self.spans[(self.spans[:, 1] > low) & (self.spans[:, 0] < high)]:
            first = max(begin, low)
            taken = self._read(self.other, first, min(end, high))
            values[first - low : first - low + taken.size] = taken
        return values

    def _read(self, signal: Signal, low: int, high: int) -> np.ndarray:
        values = np.asarray(signal.samples[low:high], dtype=np.float64)
        return (values * signal.scale + signal.offset).astype(self.dtype)


def splice_epochs(signal: Signal, other: Signal, taken: np.ndarray, *, epoch_length: float = 30.0) -> Signal:
    """A channel with the epochs that are marked from another one, of the same rate and start; still unread.

    Args:
        signal: One channel.
        other: The channel that stands in for it.
        taken: True for epochs of `other`, shape (epoch,), the first at the start of the signal.
        epoch_length: Length of an epoch in seconds.

    >>> from sharpwave.recordings import MODALITIES
    >>> first, second = (Signal(name, np.full(4, k), 1.0, MODALITIES["eeg"]) for k, name in enumerate("ab"))
    >>> splice_epochs(first, second, np.array([False, True]), epoch_length=2.0).read().tolist()
    [0.0, 0.0, 1.0, 1.0]
    """
    spans = np.round(runs(taken) * epoch_length * signal.rate).astype(np.int64)
    return replace(signal, samples=_Spliced(signal, other, spans), scale=1.0, offset=0.0)


def _covered(events: pd.DataFrame) -> float:
    """Seconds covered by at least one event."""
    covered, reached = 0.0, -np.inf
    for onset, duration in events.sort_values("onset")[["onset", "duration"]].to_numpy(dtype=float):
        covered += max(0.0, onset + duration - max(onset, reached))
        reached = max(reached, onset + duration)
    return covered


def _measure_amplitude(signal: Signal) -> float:
    """Half the 5–95 % spread in the signal's unit, median over pieces."""
    spreads = []
    for piece in iter_pieces(signal, pad=0):
        values = piece.samples[~piece.missing]
        if values.size:
            low, high = np.percentile(values[::THINNING], (5, 95))
            spreads.append((high - low) / 2)
    return float(np.median(spreads)) if spreads else float("nan")
