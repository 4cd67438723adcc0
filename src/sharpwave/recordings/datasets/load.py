"""Find a data set on this machine and load a subject of it by name."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from types import ModuleType

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.registry import DATASETS, Dataset
from sharpwave.recordings.recording import Recording

DATA_VARIABLE = "SHARPWAVE_DATA"


def data_root() -> Path | None:
    """The folder that holds the data sets: `SHARPWAVE_DATA`, else `../shared/data`, else the user's cache.

    Returns:
        The folder, or None where there is none.

    Raises:
        SharpwaveError: If `SHARPWAVE_DATA` names something that is not a folder.

    >>> import os, tempfile
    >>> from unittest.mock import patch
    >>> with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, SHARPWAVE_DATA=folder):
    ...     data_root() == Path(folder)
    True
    """
    named = os.environ.get(DATA_VARIABLE)
    if named:
        if not Path(named).is_dir():
            raise SharpwaveError(
                f"{DATA_VARIABLE} to name a folder",
                got=named,
                fix=f"set {DATA_VARIABLE} to the folder that holds the data sets",
            )
        return Path(named)
    candidates = (Path("../shared/data"), cache_folder())
    return next((folder for folder in candidates if folder.is_dir()), None)


def cache_folder() -> Path:
    """Where data sets are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or Path.home() / ".cache"
    return Path(base) / "sharpwave" / "data"


def find_dataset(name: str) -> Dataset:
    """The registry's entry for a short name or a folder name.

    Args:
        name: Such as "ucddb" or "ucddb-eeg".

    Raises:
        SharpwaveError: If no data set has this name.

    >>> find_dataset("ucddb-eeg").name
    'ucddb'
    >>> find_dataset("sleep-edf")
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a data set among ucddb, ...
    """
    for dataset in DATASETS.values():
        if name in (dataset.name, dataset.folder):
            return dataset
    raise SharpwaveError(f"a data set among {', '.join(DATASETS)}", got=repr(name), fix="see `sharpwave datasets list`")


def find_folder(name: str, root: str | Path | None = None) -> Path:
    """The folder of a data set.

    Args:
        name: Short name or folder name.
        root: Folder that holds the data sets, or the folder of this one; `data_root()` where omitted.

    Raises:
        SharpwaveError: If it is not on this machine.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as root:
    ...     Path(root, "dod-hypnograms").mkdir()
    ...     find_folder("dod", root).name
    'dod-hypnograms'
    """
    dataset = find_dataset(name)
    base = data_root() if root is None else Path(root)
    if base is not None:
        for folder in (base / dataset.folder, base / dataset.name):
            if folder.is_dir():
                return folder
        if root is not None and base.is_dir() and dataset.loader and _loader(dataset).subjects(base):
            return base
    raise SharpwaveError(
        f"the data set {dataset.name!r} in a folder {dataset.folder!r}",
        got=f"none under {base}" if base is not None else "no folder of data sets",
        fix=f"set {DATA_VARIABLE}, or `sharpwave datasets fetch {dataset.name}`; source: {dataset.source}",
    )


def list_subjects(name: str, root: str | Path | None = None, *, required: bool = True) -> list[str]:
    """Subjects of a data set, in order.

    Args:
        name: Short name or folder name.
        root: Folder that holds the data sets, or the folder of this one; `data_root()` where omitted.
        required: Whether it is an error that it is not on this machine; else there is nobody. Yes by default.

    Raises:
        SharpwaveError: If it is unknown, damaged, or required and not on this machine.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "eeg_sample.txt").write_text("10 20 30".replace(" ", os.linesep))
    ...     list_subjects("openspindlenet", folder)
    ['eeg']
    """
    loader = _loader(find_dataset(name))
    try:
        folder = find_folder(name, root)
    except SharpwaveError:
        if required:
            raise
        return []
    return loader.subjects(folder)


def load_dataset(name: str, root: str | Path | None = None) -> Recording:
    """One subject of a data set as a `Recording`.

    Args:
        name: "ucddb/022", or "rat-ca1" where the data set holds one subject.
        root: Folder that holds the data sets, or the folder of this one; `data_root()` where omitted.

    Raises:
        SharpwaveError: If the data set or the subject is unknown or not on this machine.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "eeg_sample.txt").write_text("10 20 30".replace(" ", os.linesep))
    ...     recording = load_dataset("openspindlenet/eeg", folder)
    >>> recording["EEG"].rate, len(recording["EEG"].read())
    (250.0, 3)
    """
    short, _, subject = name.partition("/")
    known = list_subjects(short, root)
    if not subject and len(known) == 1:
        subject = known[0]
    if subject not in known:
        raise SharpwaveError(
            f"a subject of {short!r}: {', '.join(known[:30]) or 'none found'}",
            got=repr(subject),
            fix=f"name it as {short}/{known[0] if known else 'SUBJECT'}",
        )
    return _loader(find_dataset(short)).load(find_folder(short, root), subject)


def _loader(dataset: Dataset) -> ModuleType:
    if not dataset.loader:
        raise SharpwaveError(
            f"a data set of recordings, not {dataset.name!r}",
            got=dataset.what,
            fix=f"read its files under {dataset.folder!r}",
        )
    return import_module(f"sharpwave.recordings.datasets.{dataset.loader}")
