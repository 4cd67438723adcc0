"""Band power of Sleep-EDF nights: exact µV² of 7 people (`bands.npz`), and hypnograms of 23 (`hypnograms.npz`).

`bands.npz`: `SCxxxx_x` (epoch, 2 channels, 7 measures) and `SCxxxx_y`, scored epochs alone; 30 s. The clock is that of
`hypnograms.npz`, whose folder `sleep-edf-hypnograms` is looked for beside this one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_archive, require_subject
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

EPOCH = 30.0
CHANNELS = ("EEG Fpz-Cz", "EEG Pz-Oz")
BANDS = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 13.0),
    "sigma_beta": (13.0, 30.0),
    "gamma": (30.0, 50.0),
}
MEASURES = (*BANDS, "log_variance", "mobility")
HYPNOGRAMS = ("sleep-edf-hypnograms", "hypnograms.npz")


def subjects(folder: Path) -> list[str]:
    """Nights in `folder`, as "SC4001": the first five letters are the person."""
    path = folder / "bands.npz"
    names = read_archive(path) if path.is_file() else ()
    return sorted(name.removesuffix("_x") for name in names if name.endswith("_x"))


def load(folder: Path, subject: str) -> Recording:
    """One night: log10 µV²/Hz by band, log10 variance in µV² and Hjorth mobility, for each of two channels.

    Unscored epochs, which the file leaves out, are NaN and unscored where the hypnogram's clock is at hand; without it
    the rows follow each other and `repairs` says so.

    Args:
        folder: Folder of the data set.
        subject: Name of the night, as `subjects` lists it.

    Returns:
        A recording with one signal a channel, shape (epoch, measure), 1/30 Hz; `metadata["bands"]` has the edges in Hz.

    Raises:
        SharpwaveError: If the night is unknown, or its arrays do not fit each other.
    """
    require_subject(subject, subjects(folder), dataset="sleep-edf-bands")
    arrays = read_archive(folder / "bands.npz", (f"{subject}_x", f"{subject}_y"))
    values, stages = arrays[f"{subject}_x"], arrays[f"{subject}_y"]
    if values.shape != (len(stages), len(CHANNELS), len(MEASURES)):
        raise SharpwaveError(
            f"{subject}_x of shape (epoch, {len(CHANNELS)}, {len(MEASURES)}) and a stage per epoch",
            got=f"{values.shape} and {len(stages)} stages",
            fix="use the data set's own file",
        )
    rows, repair = find_rows(folder, subject, stages)
    grid = np.full((int(rows[-1]) + 1 if len(rows) else 0, *values.shape[1:]), np.nan, dtype=np.float32)
    codes = np.full(len(grid), UNSCORED, dtype=np.int8)
    grid[rows], codes[rows] = values, stages
    return Recording(
        signals=make_signals(grid, CHANNELS, MEASURES),
        hypnogram=Hypnogram(codes, EPOCH, scorer="expert (R&K)"),
        subject=subject[:5],
        species="human",
        source=f"sleep-edf-bands/{subject}",
        repairs=(repair,) if repair else (),
        metadata={"cohort": "sleep-edf", "bands": BANDS, "unit": "log10 µV²/Hz", "night": subject[5:]},
    )


def make_signals(
    values: Float[np.ndarray, "epoch channel measure"], channels: tuple[str, ...], measures: tuple[str, ...]
) -> dict[str, Signal]:
    """One signal of measures per epoch for each channel."""
    return {
        name: Signal(name, values[:, index], 1 / EPOCH, MODALITIES["features"], channels=measures)
        for index, name in enumerate(channels)
    }


def find_rows(folder: Path, subject: str, stages: Int[np.ndarray, " row"]) -> tuple[Int[np.ndarray, " row"], str]:
    """Epoch of the night that each row is, from the hypnogram with unscored epochs; and what had to be done."""
    path = folder.parent / HYPNOGRAMS[0] / HYPNOGRAMS[1]
    found = read_archive(path) if path.is_file() else {}
    scored = next((codes for name, codes in found.items() if name.startswith(subject)), None)
    if scored is None:
        return np.arange(len(stages)), f"no clock in {HYPNOGRAMS[0]}: unscored epochs are cut out"
    rows = np.flatnonzero(scored >= 0)[: len(stages)]
    if len(rows) < len(stages) or not np.array_equal(scored[rows], stages):
        return np.arange(len(stages)), "stages differ from the hypnogram's: rows follow each other without a clock"
    gaps = int(rows[-1]) + 1 - len(rows) if len(rows) else 0
    return rows, f"clock from the hypnogram: {gaps} unscored epochs are gaps" if gaps else ""
