"""YASA's example snippets: short EEG and EOG in µV, and hypnograms (BSD-3-Clause)."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.datasets.files import read_columns, require_subject
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

SUFFIXES = (".txt", ".npz", ".fif")
VOLTS = 1e-6


def subjects(folder: Path) -> list[str]:
    """Names of the snippets and of the hypnograms."""
    return sorted(path.stem for path in folder.iterdir() if path.suffix in SUFFIXES)


def load(folder: Path, subject: str) -> Recording:
    """One snippet in volts, or one hypnogram without signals.

    Raises:
        SharpwaveError: If the file is damaged or does not say its sampling rate.
    """
    require_subject(subject, subjects(folder), dataset="yasa")
    path = next(folder / f"{subject}{suffix}" for suffix in SUFFIXES if (folder / f"{subject}{suffix}").is_file())
    if path.suffix == ".fif":
        from sharpwave.recordings.readers.mne_reader import read_mne

        return _named(read_mne(path), subject)
    if "hypno" in subject and path.suffix == ".txt":
        from sharpwave.recordings.readers.hypnogram_files import read_hypnogram

        return _named(Recording(hypnogram=read_hypnogram(path, epoch_length=30.0, convention="aasm")), subject)
    values, rate, names = (
        _read_archive(path) if path.suffix == ".npz" else (read_columns(path), _rate_of(path), ("EEG",))
    )
    if "hypno" in subject:
        from sharpwave.recordings.hypnogram import Hypnogram

        step = round(30.0 * rate)
        stages = values.ravel()[: values.size // step * step : step].astype(np.int8)
        return _named(Recording(hypnogram=Hypnogram(stages, 30.0, scorer="expert")), subject)
    signals = {}
    for label, samples in zip(names, np.atleast_2d(values), strict=True):
        known = recognise_channel(label)
        modality = MODALITIES[known.modality if known.modality != "other" else "eeg"]
        signals[known.name] = Signal(known.name, samples, rate, modality, scale=VOLTS)
    repairs = ("the file states no unit; µV taken, as its source says",)
    return _named(Recording(signals=signals, repairs=repairs), subject)


def _named(recording: Recording, subject: str) -> Recording:
    return replace(recording, subject=subject, species="human", source=f"yasa/{subject}")


def _rate_of(path: Path) -> float:
    match = re.search(r"(\d+)Hz", path.stem)
    if match is None:
        raise SharpwaveError(
            f"a sampling rate in the name {path.name}", got="none", fix="rename it, for example …_100Hz.txt"
        )
    return float(match.group(1))


def _read_archive(path: Path) -> tuple[np.ndarray, float, tuple[str, ...]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            values = file["data"] if "data" in file.files else file["hypno"]
            rate = float(file["sf"].ravel()[0]) if "sf" in file.files else _rate_of(path)
            names = tuple(str(name) for name in file["chan"]) if "chan" in file.files else ("EEG",)
    except SharpwaveError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy each raise their own
        raise SharpwaveError(
            f"arrays in {path.name}", got=f"{type(error).__name__}: {error}"[:120], fix="fetch the data set again"
        ) from error
    return values, rate, names
