"""CA1 on a linear track: units and position (nelpy/example-data; MIT).

`spikes.mat` holds nested cells (day, epoch, tetrode, unit) of structs with `time` and `timerange` in seconds;
`trajectory.videoPositionTracking` a text header and records of a 30 kHz clock and pixels.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import iterate_structs, read_matlab, require_subject
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

TYPES = {
    "uint8": "<u1",
    "uint16": "<u2",
    "uint32": "<u4",
    "int16": "<i2",
    "int32": "<i4",
    "single": "<f4",
    "double": "<f8",
}
END = b"<End settings>\n"


def subjects(folder: Path) -> list[str]:
    """The session's name, once per `spikes*.mat` ("spikes.mat" is "session")."""
    return sorted(path.stem.removeprefix("spikes").strip("_-") or "session" for path in folder.glob("spikes*.mat"))


def load(folder: Path, subject: str) -> Recording:
    """One session: units with their tetrode, and the position in pixels.

    Returns:
        A recording whose second 0 is where spike sorting starts (`metadata["clock_offset"]` in the lab's seconds);
        position keeps the times of its video frames. Units that never fire are left out.

    Raises:
        SharpwaveError: If a file is missing or damaged.
    """
    import pynapple as nap

    require_subject(subject, subjects(folder), dataset="rat-ca1")
    stem = (
        "spikes"
        if subject == "session"
        else next(path.stem for path in folder.glob("spikes*.mat") if path.stem.endswith(subject))
    )
    trains, tetrodes, ranges = [], [], []
    for place, unit in iterate_structs(read_matlab(folder / f"{stem}.mat", "spikes")):
        if "time" in (unit.dtype.names or ()) and unit["time"].size:
            trains.append(np.asarray(unit["time"], dtype=np.float64).ravel())
            tetrodes.append(place[-2])
            ranges.append(np.asarray(unit["timerange"], dtype=np.float64).ravel())
    if not trains:
        raise SharpwaveError(f"units with spikes in {stem}.mat", got="none", fix="fetch the data set again")
    first, last = min(span[0] for span in ranges), max(span[-1] for span in ranges)
    support = nap.IntervalSet(0.0, last - first)
    spikes = nap.TsGroup(
        {index: nap.Ts(times - first, time_support=support) for index, times in enumerate(trains)},
        time_support=support,
        metadata={"tetrode": np.array(tetrodes)},
    )
    track = folder / "trajectory.videoPositionTracking"
    signals = {"position": read_position(track, first)} if track.is_file() else {}
    return Recording(
        signals=signals,
        spikes=spikes,
        subject=f"rat-ca1-{subject}",
        species="rat",
        source=f"rat-ca1/{subject}",
        absent=() if signals else ("position",),
        metadata={"clock_offset": float(first), "position_unit": "pixels", "region": "CA1"},
    )


def read_position(path: Path, first: float) -> Signal:
    """Positions of a video tracker, in pixels.

    Args:
        path: The file.
        first: Lab time of second 0.

    Raises:
        SharpwaveError: If the header does not describe the records.
    """
    content = path.read_bytes()
    header, found, records = content.partition(END)
    text = header.decode("latin-1")
    rate = re.search(r"clockrate:\s*(\d+)", text)
    fields = re.findall(r"<(\w+) (\w+)>", text.partition("Fields:")[2])
    if (
        not found
        or rate is None
        or int(rate.group(1)) < 1
        or not fields
        or any(kind not in TYPES for _, kind in fields)
    ):
        raise SharpwaveError(
            f"a header with clockrate and fields in {path.name}",
            got=text[:80] or "none",
            fix="fetch the data set again",
        )
    names = [name for name, _ in fields]
    if not {"time", "xloc", "yloc"} <= set(names) or len(set(names)) != len(names):
        raise SharpwaveError(
            f"fields time, xloc and yloc in {path.name}", got=", ".join(names), fix="fetch the data set again"
        )
    layout = np.dtype([(name, TYPES[kind]) for name, kind in fields])
    frames = np.frombuffer(records[: len(records) // layout.itemsize * layout.itemsize], dtype=layout)
    times = frames["time"] / int(rate.group(1)) - first
    fresh = np.r_[True, np.diff(times) > 0]
    if not len(frames) or not fresh[1:].any():
        raise SharpwaveError(
            f"frames that go forward in time in {path.name}", got=f"{len(frames)}", fix="fetch the data set again"
        )
    pixels = np.stack([frames["xloc"], frames["yloc"]], axis=1)[fresh].astype(np.float32)
    times = times[fresh]
    return Signal(
        "position",
        pixels,
        float(1 / np.median(np.diff(times))),
        MODALITIES["position"],
        start=float(times[0]),
        channels=("x", "y"),
        times=times,
    )
