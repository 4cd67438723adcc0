"""One reader per format, chosen by the file's name; each loads its library only when it is used.

>>> READERS["*.nwb"].kind
'an NWB session'
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.readers.hypnogram_files import (
    fit_hypnogram,
    hypnogram_from_events,
    read_hypnogram,
    read_scoring,
)
from sharpwave.recordings.readers.hypnogram_gaps import find_recorded_epochs, lay_over_gaps, leave_gaps_unscored
from sharpwave.recordings.readers.hypnogram_shapes import may_hold_stages
from sharpwave.recordings.readers.scoring import Scoring
from sharpwave.recordings.recording import Recording
from sharpwave.recordings.units import convert_unit
from sharpwave.remote import is_address, locate

__all__ = ["READERS", "Reader", "attach_hypnogram", "fit_hypnogram", "read_hypnogram", "read_recording", "read_scoring"]


@dataclass(frozen=True)
class Reader:
    """Where the function that reads a format lives, and what to call the format in an error.

    Attributes:
        module: Module of `sharpwave.recordings` that holds the function.
        function: Name of the function.
        kind: What to call the format in an error.

    >>> READERS["*.edf"].load().__name__
    'read_edf'
    """

    module: str
    function: str
    kind: str

    def load(self) -> Callable[..., Recording]:
        return getattr(import_module(f"sharpwave.recordings.{self.module}"), self.function)


_EDF = Reader("readers.edf", "read_edf", "an EDF or BDF recording")
_MNE = Reader("readers.mne_reader", "read_mne", "a recording that MNE reads")
_BIDS = Reader("readers.bids", "read_bids", "a BIDS recording")
_BOLD = Reader("readers.nifti", "read_bold", "a NIfTI series")
_WEARABLE = Reader("readers.wearable", "read_wearable", "a table of a wearable")
_NEO = Reader("readers.neo_reader", "read_neo", "a recording that neo reads")
_FOLDER = Reader("readers.session_folders", "read_session_folder", "a folder that is one session")

_WFDB = Reader("readers.wfdb", "read_wfdb", "a WFDB record of PhysioNet")
_ACCELEROMETER = Reader(
    "readers.accelerometers", "read_accelerometer_table", "an export of ActiGraph, GENEActiv or Actiware"
)

BY_CONTENT: tuple[tuple[str, bytes, Reader], ...] = (
    (".csv", b"ActiGraph", _ACCELEROMETER),
    (".csv", b"GENEActiv", _ACCELEROMETER),
    (".csv", b"Actiware", _ACCELEROMETER),
    (".csv", b"RAW_TP9", Reader("readers.headbands", "read_mind_monitor", "a CSV of Mind Monitor (Muse)")),
    (".txt", b"%OpenBCI", Reader("readers.headbands", "read_openbci", "a text file of OpenBCI")),
    (".bin", b"Device Identity", Reader("readers.accelerometers", "read_geneactiv", "a GENEActiv recording")),
)
"""Ending, what stands in the file's first 2,000 bytes, and the reader that is then taken before those by name."""

READERS: dict[str, Reader] = {
    **{f"sub-*_{kind}.{ending}": _BIDS for kind in ("eeg", "ieeg") for ending in ("edf", "bdf", "vhdr", "set")},
    **dict.fromkeys(("*.edf", "*.bdf", "*.rec", "*.edf+", "*.bdf+"), _EDF),
    **dict.fromkeys(("*.fif", "*.fif.gz", "*.vhdr", "*.set", "*.gdf", "*.cnt", "*.mff", "*.nxe"), _MNE),
    "*.nwb": Reader("readers.nwb", "read_nwb", "an NWB session"),
    **dict.fromkeys(("*.nii", "*.nii.gz"), _BOLD),
    **dict.fromkeys(("*.csv", "*.tsv"), _WEARABLE),
    "export*.xml": Reader("readers.watch_exports", "read_apple_health", "an export of Apple Health"),
    **dict.fromkeys(
        ("heart_rate-*.json", "steps-*.json"), Reader("readers.watch_exports", "read_fitbit", "an export of Fitbit")
    ),
    "oura*.json": Reader("readers.watch_exports", "read_oura", "an export of Oura"),
    "*.awd": Reader("readers.watch_exports", "read_actiwatch", "an AWD file of an Actiwatch"),
    "*.txt": Reader("readers.plain_text", "read_plain_text", "a text file of one channel"),
    "*.hea": _WFDB,
    "*.zarr": Reader("readers.nwb", "open_zarr", "a store, or an NWB session as Zarr"),
    "*.gt3x": Reader("readers.accelerometers", "read_gt3x", "an ActiGraph archive"),
    **dict.fromkeys(("*.h5", "*.hdf5"), Reader("readers.headbands", "read_dreem", "an HDF5 file of Dreem")),
    "*.cellinfo.mat": Reader("readers.session_folders", "read_session", "a CellExplorer session"),
    **dict.fromkeys(("*.rhd", "*.rhs", "*.plx", "*.ncs", "*.oebin", "*.continuous", "*.bin", "*.meta"), _NEO),
    **dict.fromkeys(("*.ns[1-6]", "*.nev", "*.lfp", "*.dat", "*.eeg", "*.xml"), _NEO),
}
"""Pattern of the file name (lower case) → its reader; the first that fits is taken."""

REMOTE = ("*.edf", "*.bdf", "*.nwb", "*.zarr")
"""Patterns of what is read by range requests; other formats are read whole, from a disk."""
_FOLDERS = ("*.zarr", "*.mff", "*.nwb")
MOST_OF_SCORING = 1 << 24
"""Bytes: a larger file is no scoring."""
FEWEST_EPOCHS = 4
"""Epochs with a stage: two numbers in a file are no scoring yet."""


def read_recording(
    path: str | Path,
    *,
    hypnogram: str | Path | Hypnogram | None = None,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
    rate: float | None = None,
    scoring: Mapping[str, Any] | None = None,
    **options: Any,
) -> Recording:
    """Read a recording of any format in `READERS`.

    Args:
        path: The file (for `.zarr` and `.mff`, the folder), or an address (`https://`, `s3://`, `gs://`) of one of
            `REMOTE`, of which only what is used is fetched.
        hypnogram: A scoring of it, or the file of one; stages among its own annotations are used if None.
        channels: Keep only these (labels of the file, or recognised names).
        overrides: Label → "name:modality", where the alias table is wrong (see `channel_aliases`).
        unit: Unit of the electrical channels, where the header is wrong.
        rate: Sampling rate in Hz, for text files, which have none.
        scoring: How to read a hypnogram that lies beside the recording (`convention`, `epoch_length`, `scorer` of
            `read_hypnogram`); formats without one need none of it.
        options: Passed on to the reader (an atlas for NIfTI, ...).

    Returns:
        The recording, samples on disk where the format allows; what was repaired is in `recording.repairs`.

    Raises:
        SharpwaveError: If the format is not known, the file cannot be read, or the option is not one of its reader's.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "watch.csv"
    ...     _ = path.write_text("time,heart_rate_bpm\\n0,61\\n30,58\\n60,57\\n")
    ...     recording = read_recording(path)
    >>> recording["heart_rate_bpm"].read().tolist(), recording["heart_rate_bpm"].modality.unit
    ([61.0, 58.0, 57.0], '1/min')
    """
    path = locate(path)
    try:
        reader = _reader_of(path)
    except SharpwaveError as error:
        raise (name_scoring(path) or error) from error
    if unit is not None and convert_unit(unit, MODALITIES["eeg"]) is None:
        raise SharpwaveError("a unit of voltage", got=f"--unit {unit!r}", fix="write uV, mV, V or nV")
    given = {"channels": channels, "overrides": overrides, "unit": unit, "rate": rate, **options}
    try:
        with guarded(path, reader.kind):
            recording = _call(reader, path, _drop_none(given), scoring=_drop_none(scoring or {}))
    except SharpwaveError as error:
        raise (name_scoring(path) or error) from error
    return attach_hypnogram(recording, hypnogram)


def is_scoring(path: Path) -> bool:
    """Whether a file holds sleep stages and no recording.

    Args:
        path: File of any format.
    """
    if is_address(path) or not path.is_file() or path.stat().st_size > MOST_OF_SCORING:
        return False
    if path.suffix.lower() in (".edf", ".bdf", ".rec"):  # a recording may hold its own scoring
        try:
            recording = _reader_of(path).load()(path)
        except SharpwaveError:
            return False
        return not recording.signals and hypnogram_from_events(recording.events) is not None
    try:
        with guarded(path, "a hypnogram"):
            if not may_hold_stages(read_text(path)):
                return False
    except SharpwaveError:
        return False
    for convention, length in ((None, None), ("rk", None), ("rk", 30.0)):
        try:
            scoring = read_scoring(path, convention=convention, epoch_length=length)
        except SharpwaveError:
            continue
        return int(scoring.hypnogram.scored.sum()) >= FEWEST_EPOCHS
    return False


def name_scoring(path: Path) -> SharpwaveError | None:
    """The error that says that a file is a scoring and what to do with it; None where it is none.

    Args:
        path: File that was given as a recording.
    """
    if not is_scoring(path):
        return None
    return SharpwaveError(
        "a recording",
        got=f"{path.name}, which is a scoring: it holds sleep stages and no signals",
        fix=f"give the recording, and this file with --stages {path.name} (hypnogram= in Python)",
    )


def _reader_of(path: Path) -> Reader:
    name = path.name.lower()
    known = [pattern for pattern in READERS if not is_address(path) or pattern in REMOTE]
    pattern = next((pattern for pattern in known if fnmatch(name, pattern)), None)
    if pattern is None and is_address(path):
        raise SharpwaveError(
            f"an address of a file named {', '.join(REMOTE)}",
            got=path.name,
            fix="download it, or convert it to a store",
        )
    if not is_address(path) and path.is_dir() and pattern not in _FOLDERS:
        folders = import_module(f"sharpwave.recordings.{_FOLDER.module}")
        if folders.recognise_folder(path) is not None:
            return _FOLDER
    if path.suffix.lower() in (".mat", ".dat") and not is_address(path) and path.with_suffix(".hea").is_file():
        return _WFDB
    if pattern is None:
        more = "; one of PhysioNet is read with its .hea beside it" if path.suffix.lower() == ".mat" else ""
        fix = f"rename it by its format, or convert it to EDF{more}"
        raise SharpwaveError(f"a file named {', '.join(READERS)}", got=path.name, fix=fix)
    reader = READERS[pattern]
    if not (path.is_dir() and pattern in _FOLDERS):
        check_file(path, reader.kind)
        return _look_inside(path) or reader
    return reader


def _look_inside(path: Path) -> Reader | None:
    """The reader of a file whose name alone does not say who wrote it; None where it does."""
    candidates = [(mark, reader) for ending, mark, reader in BY_CONTENT if path.suffix.lower() == ending]
    if not candidates:
        return None
    with path.open("rb") as file:
        head = file.read(2000)
    return next((reader for mark, reader in candidates if mark in head), None)


def _drop_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _call(reader: Reader, path: Path, options: Mapping[str, Any], *, scoring: Mapping[str, Any]) -> Recording:
    function = reader.load()
    known = inspect.signature(function).parameters
    options = {**options, **{name: value for name, value in scoring.items() if name in known}}
    later = {name: options[name] for name in ("channels", "overrides", "unit") if name in options and name not in known}
    options = {name: value for name, value in options.items() if name not in later}
    strange = [name for name in options if name not in known]
    if strange:
        raise SharpwaveError(
            f"options that {reader.kind} has ({', '.join(name for name in known if name != 'path') or 'none'})",
            got=", ".join(strange),
            fix="leave them out for this format",
        )
    recording = function(path, **options)
    return _correct(recording, **later) if later else recording


def _correct(
    recording: Recording,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Recording:
    """The recording with channels named, scaled and chosen as the user said, for formats that name them themselves."""
    strange = [label for label in overrides or {} if label not in recording.signals]
    if strange:
        raise SharpwaveError(
            f"aliases of the signals {', '.join(recording.signals) or '(none)'}",
            got=f"--channel-alias of {', '.join(strange)}",
            fix="write LABEL=NAME:MODALITY with one of these as LABEL",
        )
    signals = {}
    for label, old in recording.signals.items():
        signal = old
        if overrides and label in overrides:
            identity = recognise_channel(label, overrides={label: overrides[label]})
            signal = replace(signal, name=identity.name, modality=MODALITIES[identity.modality])
        if unit is not None and signal.modality.unit == "V":
            converted = convert_unit(unit, signal.modality)
            if converted is None:
                raise SharpwaveError("a unit of voltage", got=repr(unit), fix="give --unit uV, mV or V")
            signal = replace(signal, scale=converted[0], offset=converted[1])
        if channels is None or label in channels or signal.name in channels:
            signals[signal.name] = signal
    return replace(recording, signals=signals)


def attach_hypnogram(
    recording: Recording,
    hypnogram: str | Path | Hypnogram | None = None,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    scorer: str | None = None,
    tolerance: float | None = None,
) -> Recording:
    """The recording with its scoring, placed on its clock, fitted to its length, and every repair declared.

    Args:
        recording: The recording whose signals give the length and the clock.
        hypnogram: A scoring or the file of one; stages among the recording's own annotations if None.
        epoch_length: Length of an epoch in seconds, where the file does not say.
        convention: Meaning of each integer code: a name, or labels by code; see `read_hypnogram`.
        scorer: Whose scoring to take, where several scored; a person's, else the first, if None.
        tolerance: Seconds by which the scoring may be longer or shorter than the recording; see `fit_hypnogram`.

    Returns:
        The recording with the hypnogram, and with the scoring's other events (arousals, apnoeas ...) among its own.

    Raises:
        SharpwaveError: If the scoring cannot be read, or is not of this recording's length.

    >>> import numpy as np
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> recording = Recording(signals={"EEG": Signal("EEG", np.zeros(9000), 100.0, MODALITIES["eeg"])})
    >>> attach_hypnogram(recording, Hypnogram.from_labels(["W", "N1"])).repairs
    ('the scoring ends 30 s before the recording: 1 epochs are unscored',)
    """
    duration = max((signal.end for signal in recording.signals.values()), default=0.0)
    events = recording.events
    if hypnogram is None:
        how: dict[str, Any] = {"epoch_length": epoch_length, "duration": duration or None, "scorer": scorer}
        sought = not len(events) or recording.metadata.get("states_sought", False)  # NWB: by what its tables are
        found = None if sought else hypnogram_from_events(events, **how)
        if recording.hypnogram is not None or found is None:
            return recording
        (stages, repairs), placed = found, True
    elif isinstance(hypnogram, Hypnogram):
        scoring, repairs = _over_gaps(Scoring(hypnogram), recording.metadata.get("gaps", ()), duration)
        stages, placed = scoring.hypnogram, False
    else:
        asked: dict[str, Any] = {"epoch_length": epoch_length, "convention": convention, "scorer": scorer}
        scoring = _read_beside(recording, hypnogram, duration, **asked)
        scoring, laid = _over_gaps(scoring, recording.metadata.get("gaps", ()), duration)
        events = _joined(events, scoring.events, duration)
        stages, repairs, placed = scoring.hypnogram, [*scoring.repairs, *laid], scoring.placed
    if duration:
        stages, fitted = fit_hypnogram(stages, duration, placed=placed, tolerance=tolerance)
        repairs = [*repairs, *fitted]
    stages, emptied = leave_gaps_unscored(stages, recording.metadata.get("gaps", ()))
    repairs = [*repairs, *emptied]
    return replace(recording, hypnogram=stages, events=events, repairs=(*recording.repairs, *repairs))


def _read_beside(recording: Recording, path: str | Path, duration: float, **asked: Any) -> Scoring:
    """The scoring in a file, whose epochs last as long as the recording, or as long as it was recorded."""
    start, gaps = recording.start, recording.metadata.get("gaps", ())
    try:
        return read_scoring(path, start=start, duration=duration or None, **asked)
    except SharpwaveError:
        recorded = duration - sum(end - begin for begin, end in gaps)
        if not len(gaps) or recorded <= 0:
            raise
        try:
            return read_scoring(path, start=start, duration=recorded, **asked)
        except SharpwaveError:
            pass
        raise


def _over_gaps(scoring: Scoring, gaps: Sequence[tuple[float, float]], duration: float) -> tuple[Scoring, list[str]]:
    """The scoring with its epochs over the gaps of the recording, where it numbers only those that were recorded."""
    whole = scoring.clock is None and bool((scoring.hypnogram.stages != UNSCORED).mean() > 0.5)
    found = find_recorded_epochs(scoring.hypnogram, gaps, duration) if whole else None
    if found is None:
        return scoring, []
    stages, said = lay_over_gaps(scoring.hypnogram, found, gaps, duration)
    onsets = found.place(scoring.events["onset"].to_numpy(dtype=float))
    return replace(scoring, hypnogram=stages, events=scoring.events.assign(onset=onsets)), said


def _joined(events: pd.DataFrame, scored: pd.DataFrame, duration: float) -> pd.DataFrame:
    """The recording's events and those of a scoring that lie within it, by onset."""
    inside = scored[(scored["onset"] >= 0) & ((scored["onset"] < duration) | (duration == 0))]
    if not len(inside):
        return events
    both = pd.concat([events, inside], ignore_index=True) if len(events) else inside
    return both.sort_values("onset", kind="stable", ignore_index=True)
