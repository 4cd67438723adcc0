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
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [key for key in KEYS if key not in file.files]
            data = {key: file[key] for key in KEYS if key not in missing}
    except (
        OSError,
        ValueError,
        EOFError,
        KeyError,
        Exception,
    ) as error:  # a damaged zip raises zlib's and zipfile's own
        raise SharpwaveError(
            "a readable .npz file", got=f"{path.name}: {error}", fix="copy or download it again"
        ) from error
    if missing:
        raise SharpwaveError(
            f"arrays {', '.join(KEYS)} in {path.name}",
            got=f"no {', '.join(missing)}",
            fix="use the data set's own files",
        )
    stages, epochs, rate = data["stage"], data["epoch"], float(data["fs"])
    length = round(EPOCH_LENGTH * rate)
    if data["x"].shape != (len(epochs), length) or (
        len(epochs) and not 0 <= epochs.min() <= epochs.max() < len(stages)
    ):
        raise SharpwaveError(
            f"{len(epochs)} epochs of {length} samples within a night of {len(stages)}",
            got=f"samples of shape {data['x'].shape}",
            fix="use the data set's own files",
        )
    eeg = np.full((len(stages), length), np.nan, dtype=np.float32)
    eeg[epochs] = data["x"] * np.float32(data["scale"])
    present = np.zeros(len(stages), dtype=bool)
    present[epochs] = True
    repairs = [f"EEG is missing in {(~present).sum()} of {len(stages)} epochs of 30 s; it is NaN there"] * bool(
        (~present).any()
    )
    signals = {"EEG": Signal("EEG", eeg.reshape(-1), rate, MODALITIES["eeg"])}
    absent: tuple[str, ...] = ()
    entropy = np.asarray(data["entropy"], dtype=np.float32)
    if _missing_tells_stage(entropy, stages):
        absent = ("entropy",)
        repairs.append("entropies are left out: they are missing in some stages only, so their absence tells the stage")
    else:
        signals["entropy"] = Signal("entropy", entropy, 1 / EPOCH_LENGTH, MODALITIES["features"], channels=ENTROPIES)
    return Recording(
        signals=signals,
        hypnogram=_to_hypnogram(stages),
        subject=f"ucddb{subject}",
        species="human",
        source=f"ucddb/{subject}",
        absent=absent,
        repairs=tuple(repairs),
        metadata={
            "amplitude_unit": "unknown",
            "gaps": _find_gaps(present),
            "population": "adults referred for sleep apnoea",
        },
    )


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
    """True where more than half of the epochs lack an entropy, and whole stages lack it (as in subject 002)."""
    missing = ~np.isfinite(entropy).all(axis=1)
    shares = [missing[stages == stage].mean() for stage in np.unique(stages)]
    return bool(missing.mean() > 0.5 and max(shares) > 0.95)


def _find_gaps(present: np.ndarray) -> list[tuple[float, float]]:
    """Spans without EEG as (start, end) in seconds."""
    edges = np.flatnonzero(np.diff(np.r_[True, present, True].astype(int)))
    return [(EPOCH_LENGTH * float(low), EPOCH_LENGTH * float(high)) for low, high in edges.reshape(-1, 2)]
