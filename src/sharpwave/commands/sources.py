"""What the user names on the command line, as recordings: folders, data sets, and tables that hold several nights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave.errors import SharpwaveError
from sharpwave.remote import is_address, locate

if TYPE_CHECKING:
    from sharpwave.commands.tasks import NightTask
    from sharpwave.night.day_options import DayOptions
    from sharpwave.night.options import DecodeOptions
    from sharpwave.recordings import Recording

TABLES = (".csv", ".tsv", ".txt")
COMPANIONS = (".nev", ".meta", ".dat", ".eeg", ".xml", ".oebin", ".continuous", ".ncs")
"""Files that belong to a recording beside them, and are none of their own when a folder is searched."""
FOLDERS = ("rat-ca1", "rat-ca1-events")
"""Data sets whose files may also be given as a folder of any name."""
MANY_DAYS = (".csv", ".tsv", ".zarr", ".xml", ".json", ".awd", ".gt3x", ".bin")


def expand_sources(sources: Sequence[str], *, folders: bool = True) -> list[str]:
    """Paths of recordings stay; a folder becomes its recordings, and a data set without a subject all its subjects.

    Args:
        sources: Paths, or data sets by name.
        folders: Whether folders become their recordings, by default; otherwise they stay, as results or stores.

    Raises:
        SharpwaveError: If a folder holds no recording.

    >>> expand_sources(["night.edf"])
    ['night.edf']
    """
    from sharpwave.recordings.datasets import DATASETS, list_subjects

    expanded: list[str] = []
    for source in sources:
        path = locate(source)
        if folders and not is_address(path) and path.is_dir() and not is_recording(path):
            expanded += [str(found) for found in find_recordings(path)]
        elif source in DATASETS and not path.exists():
            expanded += [f"{source}/{subject}" for subject in list_subjects(source)]
        else:
            expanded.append(source)
    return expanded


def is_recording(path: Path) -> bool:
    """Whether a path is named as a recording is; of folders, those that are one recording (`.zarr`, `.mff`, a session).

    Args:
        path: A file or folder.
    """
    from sharpwave.recordings.readers import READERS

    if path.is_dir():
        from sharpwave.recordings.readers.session_folders import recognise_folder

        return path.suffix.lower() in (".zarr", ".mff") or recognise_folder(path) is not None
    return any(fnmatch(path.name.lower(), pattern) for pattern in READERS)


def find_recordings(folder: Path) -> list[Path]:
    """The recordings of a folder, by name; those of its folders where it has none of its own.

    Scorings are left out, and tables where there are recordings of other formats. So are hidden files, and folders of
    results.

    Args:
        folder: The folder.

    Raises:
        SharpwaveError: If it is a BIDS data set, or there is none.
    """
    if (folder / "dataset_description.json").exists():
        raise SharpwaveError(
            f"a folder of recordings at {folder}",
            got="a BIDS data set",
            fix=f"run: sharpwave bids {folder} OUT participant",
        )
    found = _list_recordings(folder)
    for inner in [] if found else sorted(path for path in folder.iterdir() if path.is_dir()):
        found += _list_recordings(inner)
    if not found:
        raise SharpwaveError(
            f"recordings in the folder {folder}",
            got="none with a name that is known, or scorings alone",
            fix="name the recordings themselves, for example FOLDER/*/*.edf",
        )
    return found


def _list_recordings(folder: Path) -> list[Path]:
    from sharpwave.recordings.readers import is_scoring

    if folder.name.startswith(".") or (folder / "summary.json").exists():
        return []
    named = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".") and is_recording(path)]
    named = [path for path in named if path.suffix.lower() not in COMPANIONS or path.name.startswith("export")]
    named = [path for path in named if path.name != "nights.tsv"]  # the table of all nights, a result
    others = [path for path in named if path.suffix.lower() not in TABLES and not is_scoring(path)]
    return others or [path for path in named if path.suffix.lower() in TABLES and not is_scoring(path)]


def split_nights(tasks: Sequence[NightTask], options: DecodeOptions) -> list[NightTask]:
    """A task for each night of the tables that hold several, each with a folder of its own below the task's.

    Args:
        tasks: What to decode and where to.
        options: How to read the recordings.
    """
    from sharpwave.night.options import open_source
    from sharpwave.night.several_nights import find_nights
    from sharpwave.reports.actogram import compute_actogram

    split: list[NightTask] = []
    for task in tasks:
        path = locate(task.source)
        if path.suffix.lower() not in MANY_DAYS or not _is_there(path) or options.species not in (None, "human"):
            split.append(task)
            continue
        drawn = None
        try:
            recording = open_source(task.source, options)
            nights = find_nights(recording)
            if len(nights) > 1:
                drawn = compute_actogram(recording, nights, name=task.name)
        except Exception:  # it is told when the recording is decoded, in the record of the batch
            nights = []
        if len(nights) > 1:
            split += [
                replace(
                    task,
                    name=f"{task.name}-{night.label}",
                    folder=task.folder / night.label,
                    night=night,
                    actogram=drawn if night is nights[0] else None,
                )
                for night in nights
            ]
        else:
            split.append(replace(task, night=nights[0] if nights else None))
    return split


def _is_there(path: Path) -> bool:
    """Whether a recording is there; what a server says of one is told when it is decoded."""
    try:
        return path.exists()
    except SharpwaveError:
        return False


def split_days(tasks: Sequence[NightTask], options: DecodeOptions, days: DayOptions) -> list[NightTask]:
    """A task for each day of the recordings of EEG or LFP that last for days, each with a folder below the task's.

    Args:
        tasks: What to decode and where to.
        options: How to read the recordings.
        days: How they are cut.

    Raises:
        SharpwaveError: If days were asked for and a recording cannot be opened, or its clock cannot be followed.
    """
    from sharpwave.night.days import find_days
    from sharpwave.night.options import open_source

    split: list[NightTask] = []
    for task in tasks:
        path = locate(task.source)
        if task.night is not None or days.by == "whole" or not _is_there(path):
            split.append(task)
            continue
        try:
            recording = open_source(task.source, options)
            recording = replace(recording, species=options.species or recording.species)
        except Exception:  # it is told when the recording is decoded, in the record of the batch
            split.append(task)
            continue
        found = find_days(recording, days)
        split += [
            replace(task, name=f"{task.name}-{day.label}", folder=task.folder / day.label, night=day, days=days)
            for day in found
        ] or [task]
    return split


def open_session(source: str) -> Recording:
    """Open a recording by path or data-set name, or a folder of `FOLDERS`' files whatever its name."""
    from sharpwave.night.options import open_source
    from sharpwave.recordings.datasets import list_subjects, load_dataset
    from sharpwave.recordings.readers.session_folders import recognise_folder

    path = Path(source)
    if path.is_dir() and path.suffix not in (".zarr", ".nwb") and recognise_folder(path) is None:
        for name in FOLDERS:
            try:
                subjects = list_subjects(name, path)
            except SharpwaveError:
                continue
            return load_dataset(f"{name}/{subjects[0]}", path)
        raise SharpwaveError(
            "a recording, or the folder of one (CellExplorer, Phy, pynapple, ...), or of spikes*.mat or Spiking*.mat",
            got=f"the folder {source} without any",
            fix="name a file, a store (.zarr), or a data set",
        )
    return open_source(source)
