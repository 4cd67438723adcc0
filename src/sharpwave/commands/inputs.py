"""What the user named: which recordings, by which short names, and the hash of everything that results depend on."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave import __version__
from sharpwave.disk import hash_path, show_path
from sharpwave.remote import is_address, locate

if TYPE_CHECKING:
    from sharpwave.night.options import DecodeOptions
    from sharpwave.recordings import Recording

BESIDE = {".json", ".tsv", ".csv", ".txt", ".vhdr", ".vmrk", ".eeg", ".dat", ".fdt", ".set", ".mat"}
"""Endings of files beside a recording that readers may read with it."""
BLOCK = 1 << 20
"""Samples that are read at a time."""


def name_source(source: str) -> str:
    """Short name of a night: the file's name without its endings, or `dataset-subject`."""
    if is_address(source):
        return show_path(locate(source).stem or "root")
    if not Path(source).exists():
        return show_path(source.strip("/").replace("/", "-"))
    path = Path(os.path.abspath(source))
    name = path.name
    for ending in (".gz", *path.suffixes[::-1]):
        name = name.removesuffix(ending)
    return show_path(name or path.name or "root")


def name_sources(sources: Sequence[str]) -> list[str]:
    """A short name for each source, no two alike on any disk, and the same in whatever order they are given.

    Where several sources would have the same name, their folders or endings tell them apart.

    >>> name_sources(["ucddb/022", "ucddb/023"])
    ['ucddb-022', 'ucddb-023']
    """
    names = [name_source(source) for source in sources]
    for name in _find_doubled(names):
        group = [index for index, other in enumerate(names) if other.casefold() == name]
        for choice in zip(*(_list_names(sources[index]) for index in group), strict=False):
            if not _find_doubled(choice):
                break
        for index, better in zip(group, choice, strict=True):
            names[index] = better
    taken: set[str] = set()
    for index in sorted(range(len(sources)), key=lambda index: (os.fsencode(os.path.abspath(sources[index])), index)):
        name, number = names[index], 2
        while names[index].casefold() in taken:
            names[index], number = f"{name}-{number}", number + 1
        taken.add(names[index].casefold())
    return names


def _find_doubled(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(name.casefold() for name in names).items() if count > 1]


def _list_names(source: str) -> Iterator[str]:
    """Ever longer names of a source: with its folder, its ending, both, and further folders."""
    short = name_source(source)
    path = locate(source) if is_address(source) else Path(os.path.abspath(source))
    whole = show_path(path.name).replace(".", "-")
    folders = [show_path(parent.name) for parent in path.parents if parent.name]
    near = folders[:1]
    yield "-".join([*near, short])
    yield whole
    yield "-".join([*near, whole])
    for depth in range(2, 20):
        yield "-".join([*folders[:depth][::-1], whole])


def compute_key(source: str, options: DecodeOptions, *, part: Recording | None = None) -> str:
    """SHA-256 over the content of all inputs, the version and the options: the same key means the same results.

    Args:
        source: Path of the recording, or a data set by name.
        options: How it is decoded.
        part: The part of a long recording that is decoded alone: its content counts then, not that of the whole file,
            so that a recording that grows keeps the results of its earlier days.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([__version__, options.to_dict()], sort_keys=True).encode())
    for path in (options.stages, options.cues, options.reactivations, options.weights):
        digest.update(b"none" if path is None or not path.exists() else hash_path(path).encode())
    digest.update((hash_sources([source]) if part is None else hash_recording(part)).encode())
    return digest.hexdigest()


def hash_recording(recording: Recording) -> str:
    """SHA-256 over all that a recording holds, read piece by piece; where and in what format it lies does not count.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> one, two = (Recording(hypnogram=Hypnogram.from_labels([stage])) for stage in ("W", "R"))
    >>> hash_recording(one) == hash_recording(one), hash_recording(one) == hash_recording(two)
    (True, False)
    """
    import numpy as np

    digest = hashlib.sha256()

    def add(*texts: object) -> None:
        digest.update(repr(texts).encode("utf-8", "surrogateescape") + b"\0")

    add(recording.subject, recording.species, recording.start, sorted(recording.metadata.items(), key=str))
    for name, signal in sorted(recording.signals.items()):
        add(name, signal.rate, signal.start, signal.scale, signal.offset, signal.modality.name, signal.channels)
        for array in (signal.samples, *([] if signal.times is None else [signal.times])):
            add(array.shape, array.dtype)
            step = max(BLOCK // max(int(np.prod(array.shape[1:])), 1), 1)
            for low in range(0, len(array), step):
                digest.update(np.ascontiguousarray(array[low : low + step]).tobytes())
    if recording.hypnogram is not None:
        add(recording.hypnogram.start, recording.hypnogram.epoch_length, recording.hypnogram.n_stages)
        digest.update(np.asarray(recording.hypnogram.stages).tobytes())
        if recording.hypnogram.probabilities is not None:
            digest.update(np.asarray(recording.hypnogram.probabilities).tobytes())
    add(recording.events.to_csv(index=False))
    for unit in [] if recording.spikes is None else recording.spikes:
        add(unit)
        digest.update(np.asarray(recording.spikes[unit].t).tobytes())
    return digest.hexdigest()


def hash_sources(sources: Sequence[str]) -> str:
    """SHA-256 over the content of recordings, with the files beside them that their readers read as well.

    Where they lie does not count: what is behind an address has the hash of the same on a disk, alone in its folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     night, header = Path(folder, "night.eeg"), Path(folder, "night.vhdr")
    ...     _ = night.write_bytes(b"one"), header.write_text("DataFile=night.eeg")
    ...     before = hash_sources([str(header)])
    ...     _ = night.write_bytes(b"two")
    ...     before == hash_sources([str(header)])
    False
    """
    digest = hashlib.sha256()
    for source in sources:
        for path in list_inputs(source):
            content = hash_store(path) if is_address(path) and path.suffix == ".zarr" else hash_path(path)
            digest.update(os.fsencode(path.name) + b"\0" + content.encode())
    return digest.hexdigest()


def hash_store(path: Path) -> str:
    """SHA-256 of a store behind an address, which is that of `hash_path` of the same store on a disk."""
    from sharpwave.recordings.store.layout import list_files

    names = sorted((os.fsencode(name), path / name) for name in list_files(path))
    return hashlib.sha256(b"".join(name + b"\0" + hash_path(part).encode() + b"\0" for name, part in names)).hexdigest()


def list_inputs(source: str) -> list[Path]:
    """Files and folders that a recording is read from, itself first; empty where there is none.

    These are the recording, files beside it that begin with its name, those that a BrainVision header names, and what
    BIDS says of it further up; of a data set by name, the subject's files and those of no subject.
    """
    path = locate(source)
    if is_address(path):  # what lies beside it is not listed
        return [path]
    if not path.exists():
        return _list_dataset(source)
    if path.is_dir():
        return [path]
    stem, _, _ = path.name.removesuffix(".gz").rpartition(".")
    is_bids = stem.startswith("sub-") and "_" in stem
    stem = stem.rpartition("_")[0] + "_" if is_bids else stem + "."
    beside = (item for item in path.parent.iterdir() if item.name.startswith(stem) and item.suffix.lower() in BESIDE)
    found = {item for item in beside if item.is_file()}
    if path.suffix.lower() == ".vhdr":
        text = path.read_text(encoding="utf-8", errors="replace")
        named = re.findall(r"^(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", text, re.MULTILINE)
        found |= {item for name in named for item in [path.parent / Path(name).name] if item.is_file()}
    if is_bids:
        found |= _list_sidecars(path, stem)
    return [path, *sorted(found - {path})]


def _list_sidecars(path: Path, stem: str) -> set[Path]:
    """Tables and descriptions of a BIDS data set in the folders above a night, and hypnograms derived from it."""
    from sharpwave.recordings.readers.bids_layout import find_root

    root = find_root(path)
    if root is None:
        return set()
    above = [folder for folder in path.parents if folder == root or root in folder.parents]
    found = {item for folder in above for item in folder.iterdir() if item.suffix in (".tsv", ".json")}
    subject = stem.partition("_")[0]
    found = {item for item in found if item.name.startswith(subject) or not item.name.startswith("sub-")}
    derived = (root / "derivatives").rglob(f"{subject}*_hypnogram.tsv")
    return found | {item for item in derived if "desc-sharpwave" not in item.name}


def _list_dataset(source: str) -> list[Path]:
    from sharpwave.recordings.datasets import DATASETS, find_folder, list_subjects

    name, _, subject = source.partition("/")
    if name not in DATASETS:
        return []
    folder, subjects = find_folder(name), list_subjects(name)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    within = {path: path.relative_to(folder).as_posix() for path in files}
    return [
        path
        for path, inner in within.items()
        if (subject and subject in inner) or not any(other in inner for other in subjects)
    ] or files
