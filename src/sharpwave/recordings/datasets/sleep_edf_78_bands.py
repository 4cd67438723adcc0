"""Relative band power of 113 Sleep-EDF nights of 58 people (`bands.npz`), 30 s, sleep period ± 30 min.

`log_power` (epoch, 3 channels, 5 bands) is the natural log after a z-score per recording: no µV. `night` indexes
`subject` and `night_number`; person n is SC4nn of the other Sleep-EDF folders.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.datasets.sleep_edf_bands import EPOCH, make_signals
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

BANDS = {"delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 12.0), "sigma": (12.0, 16.0), "beta": (16.0, 30.0)}
CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz", "EOG horizontal")
KEYS = ("log_power", "stage", "night", "subject", "night_number")
LN10 = np.log(10)


def subjects(folder: Path) -> list[str]:
    """Nights in `folder`, as "SC4001": the first five letters are the person."""
    path = folder / "bands.npz"
    if not path.is_file():
        return []
    arrays = read_archive(path, KEYS)
    return [f"SC4{person:02d}{night}" for person, night in zip(arrays["subject"], arrays["night_number"], strict=True)]


def load(folder: Path, subject: str) -> Recording:
    """One night: log10 of relative band power per channel.

    Args:
        folder: Folder of the data set.
        subject: Name of the night, as `subjects` lists it.

    Returns:
        A recording with one signal a channel, shape (epoch, band), 1/30 Hz; `metadata["bands"]` has their edges in Hz.

    Raises:
        SharpwaveError: If the night is unknown, or its arrays do not fit each other.
    """
    known = subjects(folder)
    require_subject(subject, known, dataset="sleep-edf-78-bands")
    arrays = read_archive(folder / "bands.npz", KEYS)
    power, stages, night = arrays["log_power"], arrays["stage"], arrays["night"]
    if power.shape != (len(stages), len(CHANNELS), len(BANDS)) or len(night) != len(stages):
        raise SharpwaveError(
            f"log_power (epoch, {len(CHANNELS)}, {len(BANDS)}), stage and night of one length",
            got=f"{power.shape}, {len(stages)}, {len(night)}",
            fix="use the data set's own file",
        )
    rows = night == known.index(subject)
    values = (power[rows].astype(np.float64) / LN10).astype(np.float32)
    return Recording(
        signals=make_signals(values, CHANNELS, tuple(BANDS)),
        hypnogram=Hypnogram(stages[rows], EPOCH, scorer="expert (R&K)"),
        subject=subject[:5],
        species="human",
        source=f"sleep-edf-78-bands/{subject}",
        metadata={"cohort": "sleep-edf", "bands": BANDS, "unit": "log10 of relative power", "night": subject[5:]},
    )
