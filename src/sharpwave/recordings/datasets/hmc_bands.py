"""Band power of sleep epochs of HMC patients, and their whole hypnograms (`hmc.npz`), 30 s; doi 10.13026/t79q-fr32.

`mean_power` and `median_hz`, `mean_hz`, `edge_hz`, `peak_hz` (row, 3 channels, 3 bands) with `patient`, `stage` and
`epoch` of each row: sleep alone, no wake. `hypnogram` with `hypnogram_patient`: all five stages.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.datasets.sleep_edf_bands import EPOCH, make_signals
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

CHANNELS = ("EEG F4-M1", "EEG C4-M1", "EEG O2-M1")
BANDS = {"delta": (0.5, 4.0), "theta": (4.0, 8.0), "alpha": (8.0, 12.0)}
FREQUENCIES = ("median_hz", "mean_hz", "edge_hz", "peak_hz")
KEYS = ("mean_power", *FREQUENCIES, "patient", "stage", "epoch", "hypnogram", "hypnogram_patient")
MEASURES = (*BANDS, *(f"{band}_{name}" for name in FREQUENCIES for band in BANDS))
SMALLEST = 1e-8
"""Power below which a log would say nothing; the source's own unit is not stated."""


def subjects(folder: Path) -> list[str]:
    """Patients in `folder` with a hypnogram, as "003"; about 80 of them have band power."""
    path = folder / "hmc.npz"
    if not path.is_file():
        return []
    return [f"{patient:03d}" for patient in np.unique(read_archive(path, KEYS)["hypnogram_patient"])]


def load(folder: Path, subject: str) -> Recording:
    """One night: log10 of the power (unit unknown) and frequencies by band, NaN in wake, and the whole hypnogram.

    Rows whose stage differs from that of the hypnogram at their epoch are kept as they are; `repairs` counts them.

    Args:
        folder: Folder of the data set.
        subject: Number of the patient, as `subjects` lists it.

    Returns:
        A recording with one signal a channel, shape (epoch, measure), 1/30 Hz; none where a patient has no band power.

    Raises:
        SharpwaveError: If the patient is unknown, or arrays do not fit each other.
    """
    require_subject(subject, subjects(folder), dataset="hmc-bands")
    arrays = read_archive(folder / "hmc.npz", KEYS)
    stages = arrays["hypnogram"][arrays["hypnogram_patient"] == int(subject)]
    rows = arrays["patient"] == int(subject)
    parts = [np.log10(np.maximum(arrays["mean_power"], SMALLEST)), *(arrays[name] for name in FREQUENCIES)]
    if any(part.shape != (len(rows), len(CHANNELS), len(BANDS)) for part in parts):
        raise SharpwaveError(
            f"measures of shape (row, {len(CHANNELS)}, {len(BANDS)})",
            got=", ".join(str(part.shape) for part in parts),
            fix="use the data set's own file",
        )
    epochs = arrays["epoch"][rows].astype(int)
    if len(epochs) and not 0 <= epochs.min() <= epochs.max() < len(stages):
        raise SharpwaveError(
            f"epochs within the night of {len(stages)}", got=f"up to {epochs.max()}", fix="use the data set's own file"
        )
    values = np.full((len(stages), len(CHANNELS), len(MEASURES)), np.nan, dtype=np.float32)
    values[epochs] = np.concatenate([part[rows] for part in parts], axis=2)
    differing = int((stages[epochs] != arrays["stage"][rows]).sum())
    return Recording(
        signals=make_signals(values, CHANNELS, MEASURES) if len(epochs) else {},
        hypnogram=Hypnogram(stages, EPOCH, scorer="expert (AASM)"),
        subject=f"hmc{subject}",
        species="human",
        source=f"hmc-bands/{subject}",
        repairs=(f"{differing} rows have another stage than the hypnogram",) if differing else (),
        metadata={"cohort": "hmc", "bands": BANDS, "unit": "log10 of power, unit unknown"},
    )
