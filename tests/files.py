"""Small valid files of each format, for readers to read and for fuzzers to damage."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from sharpwave.recordings.recording import Recording

STATES = ("wake", "NREM", "REM", "nrem")
NWB_RATE = 250.0
NWB_SECONDS = 40.0
BOLD_SHAPE = (4, 3, 2, 20)
BIDS_RATE = 100.0
BIDS_EPOCHS = ("W", "N1", "N2", "N3")


def write_small_nwb(path: Path, *, seed: int = 0) -> Path:
    """40 s of a 4-channel LFP in counts (0.195 µV each), three units, a position in centimetres, and sleep states."""
    from pynwb import NWBHDF5IO, NWBFile, TimeSeries
    from pynwb.behavior import Position, SpatialSeries
    from pynwb.ecephys import LFP, ElectricalSeries
    from pynwb.epoch import TimeIntervals
    from pynwb.file import Subject

    rng = np.random.default_rng(seed)
    file = NWBFile(
        session_description="a small session",
        identifier="small",
        session_start_time=datetime(2024, 3, 1, 22, 0, tzinfo=UTC),
        subject=Subject(subject_id="M1", species="Mus musculus", sex="F", age="P90D"),
    )
    device = file.create_device(name="probe")
    group = file.create_electrode_group(name="shank", description="one", location="CA1", device=device)
    for _ in range(4):
        file.add_electrode(location="CA1", group=group)
    electrodes = file.create_electrode_table_region(region=list(range(4)), description="all")
    counts = rng.integers(-2000, 2000, size=(int(NWB_RATE * NWB_SECONDS), 4)).astype(np.int16)
    series = ElectricalSeries(
        name="ElectricalSeries",
        data=counts,
        electrodes=electrodes,
        rate=NWB_RATE,
        starting_time=0.5,
        conversion=1.95e-7,
    )
    processing = file.create_processing_module(name="ecephys", description="local field potential")
    processing.add(LFP(name="LFP", electrical_series=series))
    for unit in range(3):
        file.add_unit(spike_times=np.sort(rng.uniform(0, NWB_SECONDS, 20 * (unit + 1))), id=unit)
    behaviour = file.create_processing_module(name="behavior", description="position")
    times = np.arange(0, NWB_SECONDS, 0.04)
    position = SpatialSeries(
        name="track", data=np.c_[100 * np.sin(times), 0 * times], timestamps=times, reference_frame="start", unit="cm"
    )
    behaviour.add(Position(name="Position", spatial_series=position))
    behaviour.add(TimeSeries(name="pupil", data=np.abs(np.sin(times)), rate=25.0, unit="mm"))
    states = TimeIntervals(name="sleep_states", description="scored by hand")
    states.add_column(name="label", description="state")
    for index, state in enumerate(STATES):
        states.add_interval(start_time=10.0 * index, stop_time=10.0 * (index + 1), label=state)
    behaviour.add(states)
    with NWBHDF5IO(str(path), "w") as io:
        io.write(file)
    return path


def write_small_nifti(path: Path, *, repetition_time: float = 2.0, time_unit: str = "sec", seed: int = 0) -> Path:
    """20 volumes of 4 × 3 × 2 voxels; beside them `atlas.nii.gz` with labels 0 (none), 1 and 2."""
    import nibabel

    rng = np.random.default_rng(seed)
    volumes = rng.normal(1000, 10, size=BOLD_SHAPE).astype(np.float32)
    image = nibabel.Nifti1Image(volumes, np.diag([3.0, 3.0, 3.0, 1.0]))
    image.header.set_xyzt_units("mm", time_unit)
    image.header.set_zooms((3.0, 3.0, 3.0, repetition_time))
    nibabel.save(image, path)
    labels = np.zeros(BOLD_SHAPE[:3], dtype=np.int16)
    labels[:2], labels[2] = 1, 2
    nibabel.save(nibabel.Nifti1Image(labels, image.affine), path.parent / "atlas.nii.gz")
    return path


def write_small_bids(folder: Path, *, subject: str = "01", session: str | None = "1", seed: int = 0) -> Path:
    """A BIDS folder with one night of 2 minutes; returns the path of its EEG file."""
    from edfio import Edf, EdfSignal

    rng = np.random.default_rng(seed)
    parts = [f"sub-{subject}"] + ([f"ses-{session}"] if session else [])
    directory = folder.joinpath(*parts, "eeg")
    directory.mkdir(parents=True, exist_ok=True)
    stem = "_".join([*parts, "task-sleep"])
    seconds = 30 * len(BIDS_EPOCHS)
    signals = [
        EdfSignal(
            rng.normal(0, 20, size=int(seconds * BIDS_RATE)),
            BIDS_RATE,
            label=label,
            physical_dimension="uV",
            physical_range=(-200, 200),
        )
        for label in ("C4-M1", "E1", "EMG chin", "broken")
    ]
    eeg = directory / f"{stem}_eeg.edf"
    Edf(signals).write(eeg)
    _write_tsv(
        directory / f"{stem}_channels.tsv",
        {
            "name": ["C4-M1", "E1", "EMG chin", "broken"],
            "type": ["EEG", "EOG", "EMG", "EEG"],
            "units": ["uV"] * 4,
            "status": ["good", "good", "good", "bad"],
        },
    )
    sidecar = {"TaskName": "sleep", "SamplingFrequency": BIDS_RATE, "EEGReference": "M1", "PowerLineFrequency": 50}
    (directory / f"{stem}_eeg.json").write_text(json.dumps(sidecar))
    _write_tsv(
        directory / f"{stem}_events.tsv",
        {"onset": [1.5, 70.0], "duration": [0.0, 1.2], "trial_type": ["lights off", "spindle"], "value": ["n/a", 3]},
    )
    _write_tsv(
        directory / f"{stem}_hypnogram.tsv",
        {"onset": [30 * i for i in range(len(BIDS_EPOCHS))], "duration": [30] * len(BIDS_EPOCHS), "stage": BIDS_EPOCHS},
    )
    _add_participant(folder / "participants.tsv", {"participant_id": f"sub-{subject}", "age": 34, "sex": "F"})
    (folder / "dataset_description.json").write_text(json.dumps({"Name": "small", "BIDSVersion": "1.10.0"}))
    return eeg


def write_small_wearable(path: Path, *, seed: int = 0) -> Path:
    """20 minutes of heart rate, steps and skin temperature (°F) at irregular times; two rows swapped, one doubled."""
    rng = np.random.default_rng(seed)
    elapsed = np.cumsum(rng.uniform(4, 6, size=240))
    elapsed[150:] += 300
    start = datetime(2024, 3, 1, 23, 0, tzinfo=UTC)
    frame = pd.DataFrame(
        {
            "timestamp": [(start + timedelta(seconds=float(s))).isoformat() for s in elapsed],
            "heart_rate_bpm": np.round(rng.normal(60, 3, size=240), 1),
            "steps": rng.poisson(0.5, size=240),
            "skin_temp_f": np.round(rng.normal(93.0, 0.3, size=240), 2),
        }
    )
    order = np.arange(240)
    order[[10, 11]] = order[[11, 10]]
    frame = pd.concat([frame.iloc[order], frame.iloc[[-1]]])
    frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


def write_small_store(path: Path, *, seed: int = 0) -> Path:
    """A store with every part that a recording can have."""
    from sharpwave.recordings.store import write_store

    return write_store(make_small_recording(seed=seed), path)


def make_small_recording(*, seed: int = 0) -> Recording:
    """Two minutes with an int16 EEG, irregular heart rate, BOLD volumes, spikes, hypnogram and events."""
    import pynapple as nap

    from sharpwave.recordings.hypnogram import Hypnogram
    from sharpwave.recordings.modality import MODALITIES
    from sharpwave.recordings.recording import Recording, Signal

    rng = np.random.default_rng(seed)
    counts = rng.integers(-3000, 3000, size=(120 * 128, 2)).astype(np.int16)
    times = np.sort(rng.uniform(0, 120, size=50))
    probabilities = rng.dirichlet(np.ones(5), size=4)
    return Recording(
        signals={
            "EEG": Signal("EEG", counts, 128.0, MODALITIES["eeg"], scale=1e-7, channels=("C4-M1", "F4-M1")),
            "EMG": Signal(
                "EMG",
                rng.normal(0, 1e-5, size=6000).astype(np.float32),
                50.0,
                MODALITIES["emg"],
                start=0.25,
                offset=1e-6,
            ),
            "pulse": Signal(
                "pulse",
                rng.normal(60, 3, size=50),
                50 / 120,
                MODALITIES["heart_rate"],
                start=float(times[0]),
                times=times,
            ),
            "bold": Signal("bold", rng.normal(size=(60, 3, 2, 2)).astype(np.float32), 0.5, MODALITIES["bold"]),
        },
        spikes=nap.TsGroup(
            {3: nap.Ts(np.sort(rng.uniform(0, 120, 30))), 7: nap.Ts(np.sort(rng.uniform(0, 120, 5)))},
            time_support=nap.IntervalSet(0, 120),
            metadata={"area": ["CA1", "CA3"]},
        ),
        hypnogram=Hypnogram(np.array([0, 2, -1, 4]), probabilities=probabilities, scorer="expert"),
        events=pd.DataFrame(
            {
                "onset": [1.0, 70.5],
                "duration": [0.5, np.nan],
                "label": ["spindle", "lights off"],
                "channel": ["C4-M1", None],
                "amplitude": [3.2e-5, np.nan],
                "count": [1, 2],
                "sure": [True, False],
            }
        ),
        subject="S1",
        species="human",
        start=datetime(2024, 3, 1, 22, 30, tzinfo=UTC),
        source="made for tests",
        absent=("EOG",),
        repairs=("nothing, for example",),
        metadata={
            "age": 34,
            "sex": "F",
            "lights_off": 12.5,
            "gaps": [(3.0, 4.0)],
            "path": Path("a/b"),
            "n": np.int64(3),
        },
    )


def _write_tsv(path: Path, columns: dict) -> None:
    pd.DataFrame(columns).to_csv(path, sep="\t", index=False, na_rep="n/a")


def _add_participant(path: Path, row: dict) -> None:
    known = pd.read_csv(path, sep="\t").to_dict("records") if path.exists() else []
    pd.DataFrame([*known, row]).drop_duplicates("participant_id").to_csv(path, sep="\t", index=False, na_rep="n/a")
