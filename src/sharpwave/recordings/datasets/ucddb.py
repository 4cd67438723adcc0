"""UCDDB: one EEG channel, hypnogram and entropies, from the compact `.npz` files or PhysioNet's own.

Heneghan C (2011), St. Vincent's University Hospital / University College Dublin Sleep Apnea Database, PhysioNet.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH_LENGTH = 30.0
RK_CODES = {0: 0, 1: 4, 2: 1, 3: 2, 4: 3, 5: 3}
"""UCDDB's codes (0 W, 1 REM, 2 S1, 3 S2, 4 S3, 5 S4) as 5-stage codes; 6, 7 and 8 are unscored."""
ENTROPIES = ("approximate_entropy", "sample_entropy", "spectral_entropy")
FEWEST_EPOCHS = 20
KEYS = ("x", "scale", "epoch", "stage", "entropy", "fs")


def subjects(folder: Path) -> list[str]:
    """Numbers of the subjects whose EEG is in the folder, such as "022"."""
    files = [*folder.glob("ucddb*.npz"), *folder.glob("ucddb*.rec")]
    return sorted({path.stem.removeprefix("ucddb") for path in files})


def load(folder: Path, subject: str) -> Recording:
    """One night.

    The EEG lies on the clock of the whole night; where the source holds none, it is NaN, and `metadata["gaps"]` lists
    those spans. Its amplitude unit is unknown.

    Raises:
        SharpwaveError: If the file is damaged or holds something else.
    """
    compact = folder / f"ucddb{subject}.npz"
    return _load_compact(compact, subject) if compact.is_file() else _load_physionet(folder, subject)


def _load_compact(path: Path, subject: str) -> Recording:
    data = _read_arrays(path)
    stages, rate = data["stage"], float(data["fs"])
    present = np.zeros(len(stages), dtype=bool)
    present[data["epoch"]] = True
    eeg = np.full((len(stages), data["x"].shape[1]), np.nan, dtype=np.float32)
    eeg[data["epoch"]] = data["x"] * np.float32(data["scale"])
    signals = {"EEG": Signal("EEG", eeg.reshape(-1), rate, MODALITIES["eeg"])}
    repairs, absent = [], []
    if not present.all():
        repairs.append(f"EEG is missing in {(~present).sum()} of {len(stages)} epochs of 30 s; it is NaN there")
    entropy = np.asarray(data["entropy"], dtype=np.float32)
    if _missing_tells_stage(entropy, stages):
        absent.append("entropy")
        repairs.append("entropies are left out: they are missing in some stages only, so their absence tells the stage")
    else:
        signals["entropy"] = Signal("entropy", entropy, 1 / EPOCH_LENGTH, MODALITIES["features"], channels=ENTROPIES)
    return Recording(
        signals=signals,
        hypnogram=_to_hypnogram(stages),
        subject=f"ucddb{subject}",
        species="human",
        source=f"ucddb/{subject}",
        absent=tuple(absent),
        repairs=tuple(repairs),
        metadata={
            "amplitude_unit": "unknown",
            "gaps": _find_gaps(present),
            "population": "adults referred for sleep apnoea",
        },
    )


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            data = {key: file[key] for key in KEYS if key in file.files}
    except Exception as error:  # a damaged archive raises zipfile's, zlib's or NumPy's own
        raise SharpwaveError(
            "a readable .npz file", got=f"{path.name}: {error}", fix="copy or download it again"
        ) from error
    missing = [key for key in KEYS if key not in data]
    if missing:
        raise SharpwaveError(
            f"arrays {', '.join(KEYS)} in {path.name}",
            got=f"no {', '.join(missing)}",
            fix="use the data set's own files",
        )
    n_epochs, epochs = data["stage"].size, data["epoch"]
    length = round(EPOCH_LENGTH * float(data["fs"]))
    inside = epochs.size == 0 or 0 <= epochs.min() <= epochs.max() < n_epochs
    if data["x"].shape != (epochs.size, length) or len(data["entropy"]) != n_epochs or not inside:
        raise SharpwaveError(
            f"{epochs.size} epochs of {length} samples within a night of {n_epochs}",
            got=f"samples of shape {data['x'].shape}",
            fix="use the data set's own files",
        )
    return data


def _load_physionet(folder: Path, subject: str) -> Recording:
    from sharpwave.recordings.readers.edf import read_edf

    recording = read_edf(folder / f"ucddb{subject}.rec")
    scoring = folder / f"ucddb{subject}_stage.txt"
    if not scoring.is_file():
        return replace(recording, subject=f"ucddb{subject}", species="human", source=f"ucddb/{subject}")
    try:
        stages = pd.read_csv(scoring, header=None).iloc[:, 0].to_numpy(dtype=int)
    except (ValueError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            f"one stage code per line in {scoring.name}", got=str(error), fix="download it again from PhysioNet"
        ) from error
    return replace(
        recording,
        hypnogram=_to_hypnogram(stages),
        subject=f"ucddb{subject}",
        species="human",
        source=f"ucddb/{subject}",
    )


def _to_hypnogram(stages: np.ndarray) -> Hypnogram:
    codes = np.array([RK_CODES.get(int(code), UNSCORED) for code in stages], dtype=np.int8)
    return Hypnogram(codes, EPOCH_LENGTH, scorer="expert (R&K)")


def _missing_tells_stage(entropy: np.ndarray, stages: np.ndarray) -> bool:
    """True where one stage lacks nearly all its entropies and another nearly none (as in subject 002)."""
    missing = ~np.isfinite(entropy).all(axis=1)
    counts = {stage: int((stages == stage).sum()) for stage in RK_CODES}
    shares = [missing[stages == stage].mean() for stage, count in counts.items() if count >= FEWEST_EPOCHS]
    return bool(shares) and max(shares) > 0.95 and min(shares) < 0.5


def _find_gaps(present: np.ndarray) -> list[tuple[float, float]]:
    """Spans without EEG as (start, end) in seconds."""
    edges = np.flatnonzero(np.diff(np.r_[True, present, True].astype(int)))
    return [(EPOCH_LENGTH * float(low), EPOCH_LENGTH * float(high)) for low, high in edges.reshape(-1, 2)]
