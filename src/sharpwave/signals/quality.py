"""Which channels can be used, and how much of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from sharpwave.recordings import Recording, Signal
from sharpwave.signals.artefacts import LABELS, detect_artefacts
from sharpwave.signals.pieces import MICROVOLTS, iter_pieces, split_channels

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
        fraction of time `missing`, `flat`, `clipped`, `extreme` and `muscle`, `amplitude_uv` (half the 5–95 % spread of
        the raw signal, median over 10 min pieces) and a `verdict`: "good", "partly usable", "poor", or "wrong
        amplitude" where that lies outside what the modality allows and the unit is known.

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
        artefacts = artefacts[~artefacts["label"].isin(("flat", "extreme"))]
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
