"""Candidate sleep events in CA1 (YunzheLiu/TDLM; Ólafsdóttir et al. 2016): a realistic null, not positive examples."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import read_matlab, require_subject
from sharpwave.recordings.recording import Recording

BIN = 1e-3
PAUSE = 1.0


def subjects(folder: Path) -> list[str]:
    """One name per file of events ("SpikingSleep.mat" is "sleep")."""
    return sorted(path.stem.removeprefix("Spiking").lower() for path in folder.glob("Spiking*.mat"))


def load(folder: Path, subject: str) -> Recording:
    """All events one after another, with a pause of 1 s between them.

    Returns:
        Spikes whose time support is the events, the events (label "candidate"), and the rate map of the track in
        `metadata["rate_map"]`, shape (cell, position bin).

    Raises:
        SharpwaveError: If the file is missing or damaged.
    """
    import pynapple as nap

    require_subject(subject, subjects(folder), dataset="rat-ca1-events")
    path = next(path for path in folder.glob("Spiking*.mat") if path.stem.removeprefix("Spiking").lower() == subject)
    rasters = [np.asarray(raster) for raster in read_matlab(path, "Events").flat]
    rate_map = np.asarray(read_matlab(path, "RateMap"), dtype=np.float64)
    if any(raster.ndim != 2 or raster.shape[1] != len(rate_map) for raster in rasters) or not rasters:
        raise SharpwaveError(
            f"events of {len(rate_map)} cells in {path.name}",
            got="events of other cells",
            fix="fetch the data set again",
        )
    durations = np.array([len(raster) * BIN for raster in rasters])
    onsets = np.r_[0.0, np.cumsum(durations + PAUSE)[:-1]]
    trains: dict[int, list[np.ndarray]] = {cell: [] for cell in range(len(rate_map))}
    for onset, raster in zip(onsets, rasters, strict=True):
        bins, cells = np.nonzero(raster)
        for cell in np.unique(cells):
            trains[int(cell)].append(onset + (bins[cells == cell] + 0.5) * BIN)
    support = nap.IntervalSet(onsets, onsets + durations)
    joined = {cell: np.concatenate([np.empty(0), *pieces]) for cell, pieces in trains.items()}
    return Recording(
        spikes=nap.TsGroup(
            {cell: nap.Ts(times, time_support=support) for cell, times in joined.items()}, time_support=support
        ),
        events=pd.DataFrame({"onset": onsets, "duration": durations, "label": "candidate"}),
        subject=f"rat-ca1-events-{subject}",
        species="rat",
        source=f"rat-ca1-events/{subject}",
        repairs=("the events follow each other with pauses of 1 s: their times in the session are not given",),
        metadata={"rate_map": rate_map, "region": "CA1"},
    )
