"""Folders that are one session: CellExplorer and Neuroscope, Phy, pynapple, ZMax, and those of recording systems."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import guarded
from sharpwave.recordings.readers.matlab_files import read_structure, to_vector
from sharpwave.recordings.readers.neo_open import find_format, read_parameters
from sharpwave.recordings.readers.neo_reader import read_neo
from sharpwave.recordings.readers.nwb_tables import Units
from sharpwave.recordings.readers.sorted_units import read_cellexplorer, read_klusters, read_phy, to_plain
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.units import convert_unit

STATES = {"WAKEstate": 0, "NREMstate": 1, "REMstate": 2, "MAstate": 0, "QWake": 0}
"""Field of `SleepState.ints` → stage of three; micro-arousals count as wake."""
LONGEST_STATES = 31 * 86_400
PYNAPPLE = ("Ts", "Tsd", "TsdFrame", "TsGroup", "IntervalSet")
MOST_ARCHIVE = 4 << 30


def recognise_folder(path: Path) -> str | None:
    """Which kind of session a folder is; None where it is none.

    Args:
        path: A folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = Path(folder, "spike_times.npy").write_bytes(b""), Path(folder, "spike_clusters.npy").write_bytes(b"")
    ...     recognise_folder(Path(folder))
    'phy'
    """
    if not path.is_dir():
        return None
    tests: dict[str, Callable[[], bool]] = {
        "phy": lambda: (path / "spike_times.npy").is_file() and (path / "spike_clusters.npy").is_file(),
        "cellexplorer": lambda: _find_stem(path) is not None,
        "zmax": lambda: (path / "EEG L.edf").is_file() or (path / "EEG R.edf").is_file(),
        "pynapple": lambda: any(_type_of(item) for item in sorted(path.glob("*.npz"))[:20]),
    }
    kind = next((name for name, test in tests.items() if test()), None)
    if kind is None:
        try:
            find_format(path)
        except SharpwaveError:
            return None
        return "neo"
    return kind


def read_session_folder(
    path: str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
    rate: float | None = None,
) -> Recording:
    """Read a folder that is one session.

    Args:
        path: The folder: of Phy, CellExplorer or Neuroscope, pynapple, ZMax, or of a recording system.
        overrides: Channel → "name:modality".
        unit: Unit of the electrical channels, where the files are wrong or say none.
        rate: Samples per second of Phy's times, where `params.py` says none.

    Raises:
        SharpwaveError: If it is no such folder, or a file of it cannot be read.
    """
    path = Path(path)
    kind = recognise_folder(path)
    if kind == "phy":
        return read_phy(path, rate=rate)
    if kind == "cellexplorer":
        return read_session(path, overrides=overrides, unit=unit)
    if kind == "pynapple":
        return read_pynapple_folder(path, overrides=overrides, unit=unit)
    if kind == "zmax":
        return read_zmax(path, overrides=overrides)
    return read_neo(path, overrides=overrides, unit=unit)


def _find_stem(folder: Path) -> str | None:
    """Name of the CellExplorer or Neuroscope session in a folder."""
    for pattern in ("*.spikes.cellinfo.mat", "*.cell_metrics.cellinfo.mat", "*.SleepState.states.mat"):
        found = next(iter(sorted(folder.glob(pattern))), None)
        if found is not None:
            return found.name.removesuffix(pattern[1:])
    for xml in sorted(folder.glob("*.xml")):
        if any(xml.with_suffix(ending).is_file() for ending in (".lfp", ".eeg", ".dat")):
            return xml.stem
    return None


def read_session(path: str | Path, *, overrides: Mapping[str, str] | None = None, unit: str | None = None) -> Recording:
    """Read a session of CellExplorer, buzcode or Neuroscope: what is there of potentials, units, states and ripples.

    Args:
        path: The folder, or one of its `.cellinfo.mat` files.
        overrides: Channel → "name:modality"; channels are called by their number, from 0.
        unit: Unit of the potentials, where the `.xml` is wrong about the range.

    Raises:
        SharpwaveError: If nothing is in it, or a file cannot be read.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    stem = _find_stem(folder) if path.is_dir() else path.name.split(".", 1)[0]
    stem = stem or folder.name
    data = next(
        (folder / f"{stem}{end}" for end in (".lfp", ".eeg", ".dat") if (folder / f"{stem}{end}").is_file()), None
    )
    xml = folder / f"{stem}.xml"
    recording = Recording(source=stem)
    if data is not None and xml.is_file():
        recording = read_neo(data, overrides=overrides, unit=unit)
    files = {kind: folder / f"{stem}.{kind}.cellinfo.mat" for kind in ("spikes", "cell_metrics")}
    there = {kind: file if file.is_file() else None for kind, file in files.items()}
    units: Units | None
    with guarded(folder, "a CellExplorer session"):
        if any(there.values()):
            units = read_cellexplorer(there["spikes"], there["cell_metrics"])
        else:
            wide = (
                float(read_parameters(xml).findtext("acquisitionSystem/samplingRate", "20000"))
                if xml.is_file()
                else 2e4
            )
            units = read_klusters(folder, stem, wide)
        states = _read_states(folder / f"{stem}.SleepState.states.mat")
        events = _read_ripples(folder / f"{stem}.ripples.events.mat")
        position, said = _read_position(folder, stem)
    signals = {**recording.signals, **position}
    if not signals and units is None and states is None:
        raise SharpwaveError(f"a session in {folder.name}", got="no potentials, units or states", fix="name its folder")
    return replace(
        recording,
        signals=signals,
        spikes=None if units is None else units.to_spikes(),
        hypnogram=states,
        events=pd.concat([recording.events, events], ignore_index=True) if len(events) else recording.events,
        source=stem,
        repairs=(*recording.repairs, *said),
    )


def _read_states(path: Path) -> Hypnogram | None:
    """Second by second, from the intervals of `SleepState.ints`."""
    content = read_structure(path, "SleepState") if path.is_file() else None
    spans = content.get("ints") if isinstance(content, dict) else None
    if not isinstance(spans, dict):
        return None
    fitting = {name: np.asarray(value) for name, value in spans.items() if name in STATES}
    rows = {name: value.astype(float) for name, value in fitting.items() if value.ndim == 2 and value.shape[1] == 2}
    last = max((float(span.max()) for span in rows.values() if len(span)), default=0.0)
    if not 0 < last <= LONGEST_STATES:
        return None
    stages = np.full(int(np.ceil(last)), UNSCORED, dtype=np.int8)
    for name, span in rows.items():
        for begin, end in span:
            stages[max(int(np.floor(begin)), 0) : int(np.ceil(end))] = STATES[name]
    return Hypnogram(stages, 1.0, n_stages=3)


def _read_ripples(path: Path) -> pd.DataFrame:
    content = read_structure(path, "ripples") if path.is_file() else None
    stamps = content.get("timestamps") if isinstance(content, dict) else None
    if not isinstance(stamps, np.ndarray) or stamps.ndim != 2 or stamps.shape[1] != 2:
        return pd.DataFrame({"onset": [], "duration": [], "label": []})
    spans = stamps.astype(np.float64)
    return pd.DataFrame({"onset": spans[:, 0], "duration": spans[:, 1] - spans[:, 0], "label": "ripple"})


def _read_position(folder: Path, stem: str) -> tuple[dict[str, Signal], list[str]]:
    """`behavior.position.x, y` at `behavior.timestamps`, in the unit that it names."""
    file = next((folder / f"{stem}.{kind}.mat" for kind in ("animal.behavior", "behavior", "tracking.behavior")
                 if (folder / f"{stem}.{kind}.mat").is_file()), None)  # fmt: skip
    content = None if file is None else read_structure(file, "behavior")
    place = content.get("position") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(place, dict):
        return {}, []
    times = to_vector(content.get("timestamps"))
    axes = [axis for axis in "xyz" if len(to_vector(place.get(axis))) == len(times) > 1]
    if not axes:
        return {}, []
    written = str(place.get("units") or place.get("unit") or "")
    converted = convert_unit(written, MODALITIES["position"])
    said = [] if converted else [f"position: its unit is {written or 'not stated'}; taken as cm"]
    scale = converted[0] if converted else 0.01
    values = np.stack([to_vector(place[axis]) for axis in axes], axis=1)
    rate = 1 / float(np.median(np.diff(times)))
    signal = Signal(
        "position", values, rate, MODALITIES["position"],
        start=float(times[0]), scale=scale, channels=tuple(axes), times=times,
    )  # fmt: skip
    return {"position": signal}, said


def _type_of(path: Path) -> str:
    """Type of the object of pynapple in an archive; "" where it is none."""
    try:
        with np.load(path, allow_pickle=False) as file:
            name = str(np.asarray(file["type"]).ravel()[0]) if "type" in file.files else ""
    except (OSError, ValueError, KeyError, IndexError):
        return ""
    return name if name in PYNAPPLE else ""


def read_pynapple_folder(
    path: str | Path, *, overrides: Mapping[str, str] | None = None, unit: str | None = None
) -> Recording:
    """Read a folder of objects that pynapple saved (`.npz`).

    Args:
        path: The folder; each file is one object, called as the file is.
        overrides: Channel → "name:modality".
        unit: Unit of electrical channels, which pynapple does not keep ("uV", "mV", "V").

    Raises:
        SharpwaveError: If there is no such object, or an electrical one comes without a unit.
    """
    from sharpwave.recordings.in_memory import from_pynapple

    folder = Path(path)
    objects: dict[str, Any] = {}
    said: list[str] = []
    with guarded(folder, "objects of pynapple"):
        for file in sorted(folder.glob("*.npz")):
            kind = _type_of(file)
            if kind and file.stat().st_size <= MOST_ARCHIVE:
                objects[file.stem] = _load_object(file, kind, said)
    groups = [name for name, (kind, _) in objects.items() if kind == "TsGroup"]
    if len(groups) > 1:
        raise SharpwaveError(
            f"one group of units in {folder.name}", got=", ".join(groups), fix="leave one in the folder"
        )
    named = {name: thing for name, (_, thing) in objects.items()}
    recording = from_pynapple(named, unit=unit, aliases=overrides)
    return replace(recording, source=folder.name, repairs=(*recording.repairs, *said))


def _load_object(path: Path, kind: str, said: list[str]) -> tuple[str, Any]:
    """An object from its arrays; what was pickled into the file is left there, and said."""
    import pynapple as nap

    with np.load(path, allow_pickle=False) as file:
        known = {"t", "d", "start", "end", "index", "keys", "type", "columns"}
        arrays = {name: file[name] for name in file.files if name in known and not _is_pickled(file, name)}
        support = nap.IntervalSet(arrays["start"], arrays["end"])
        if kind == "IntervalSet":
            return kind, support
        if kind == "TsGroup":
            keys = arrays["keys"] if "keys" in arrays else np.unique(arrays["index"])
            trains = {int(key): nap.Ts(arrays["t"][arrays["index"] == key], time_support=support) for key in keys}
            about = _read_metadata(path, file, list(trains), known, said)
            return kind, nap.TsGroup(trains, time_support=support, metadata=about or None)
        if kind == "Ts":
            return "IntervalSet", nap.IntervalSet(arrays["t"], arrays["t"] + 1e-6)
        if kind == "TsdFrame":
            columns = [str(one) for one in arrays["columns"]] if "columns" in arrays else None
            return kind, nap.TsdFrame(t=arrays["t"], d=arrays["d"], time_support=support, columns=columns)
        return kind, nap.Tsd(t=arrays["t"], d=arrays["d"], time_support=support)


def _read_metadata(path: Path, file: Any, units: list[int], known: set[str], said: list[str]) -> dict[str, np.ndarray]:
    """What is known of each unit: columns of older versions of pynapple, or a table beside the archive."""
    names = [name for name in file.files if name not in known and name != "rate"]
    pickled = [name for name in names if _is_pickled(file, name)]
    about = {name: file[name] for name in names if name not in pickled and re.fullmatch(r"[A-Za-z]\w*", name)}
    about = {name: values for name, values in about.items() if np.shape(values) == (len(units),)}
    beside = next((path.with_suffix(end) for end in (".tsv", ".csv") if path.with_suffix(end).is_file()), None)
    if beside is not None:
        table = pd.read_csv(beside, sep="\t" if beside.suffix == ".tsv" else ",", index_col=0).reindex(units)
        return about | {str(name): to_plain(table[name]) for name in table}
    if pickled:
        said.append(
            f"{path.name}: what is known of its units is pickled, which could run code and is not read; write it as "
            f"{path.stem}.tsv beside it (first column the unit), for example group.metadata.to_csv(..., sep='\\t')"
        )
    return about


def _is_pickled(file: Any, name: str) -> bool:
    """Whether an array of an archive would need pickle, told from its header."""
    with file.zip.open(f"{name}.npy") as member:
        version = np.lib.format.read_magic(member)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        return bool(read(member)[2].hasobject)


def read_zmax(path: str | Path, *, overrides: Mapping[str, str] | None = None) -> Recording:
    """Read a folder of a ZMax headband: one EDF file a channel.

    Args:
        path: The folder with `EEG L.edf`, `EEG R.edf`, and others such as `BODY TEMP.edf`, `dX.edf`.
        overrides: Channel → "name:modality".

    Returns:
        One recording of all channels; the two EEG channels are called F7-Fpz and F8-Fpz, where the headband has them.

    Raises:
        SharpwaveError: If a file cannot be read.
    """
    from sharpwave.recordings.readers.edf import read_edf

    folder = Path(path)
    places = {"EEG L": "F7-Fpz:eeg", "EEG R": "F8-Fpz:eeg"}
    known = {
        "BODY TEMP": "temperature:temperature",
        "OXY_IR_DC": "oxygen infrared:other",
        "NOISE": "noise:other",
        "LIGHT": "light:other",
    }
    signals: dict[str, Signal] = {}
    said: list[str] = []
    first: Recording | None = None
    for file in sorted(folder.glob("*.edf"), key=lambda item: (item.stem not in places, item.name)):
        name = {**places, **known}.get(file.stem)
        given = {} if name is None else {_label_of(file): name}
        one = read_edf(file, overrides={**given, **(overrides or {})})
        first = first or one
        for name, signal in one.signals.items():
            kept = name if name not in signals and file.stem in {**places, **known} else file.stem
            signals[kept] = replace(signal, name=kept)
        said += [sentence for sentence in one.repairs if sentence not in said]
    if first is None:
        raise SharpwaveError(
            f"EDF files in {folder.name}", got="none", fix="convert the .hyp file with Hypno's HDRecorder"
        )
    return replace(first, signals=signals, source=folder.name, repairs=tuple(said), species="human")


def _label_of(path: Path) -> str:
    """What the header of an EDF file calls its first channel."""
    with path.open("rb") as file:
        file.seek(256)
        return file.read(16).decode("latin-1").strip()
