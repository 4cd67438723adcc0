"""How neo opens a format, what is looked at before (links, grammars, wrong files), and what it says beside samples."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb_tables import Units
from sharpwave.recordings.recording import empty_events
from sharpwave.untrusted import parse_json

MOST_HEAD = 16 << 20
"""Bytes of a text that describes a recording."""
MOST_FILES = 20_000
"""Files below a folder that one recording may have."""
BLACKROCK_DATE = 294
"""Byte of an `.nsX` file at which its date begins (specification 2.2 and later, UTC)."""
UNSORTED = ("0", "255")
"""Numbers of the spikes of a channel that no unit was made of (Plexon: 0; Blackrock: 0, and 255 for noise)."""
MOST_EVENTS = 1_000_000


@dataclass(frozen=True)
class NeoFormat:
    """How neo opens a format.

    Attributes:
        reader: Name of the class in `neo.rawio`.
        kind: What to call it in an error.
        folder: Whether it reads a folder; a file of it then stands for its folder.
        options: Further arguments.
        unit: Unit of channels for which neo states none.
    """

    reader: str
    kind: str
    folder: bool = False
    options: Mapping[str, Any] | None = None
    unit: str = ""


FORMATS: dict[str, NeoFormat] = {
    **dict.fromkeys((".rhd", ".rhs"), NeoFormat("IntanRawIO", "an Intan recording")),
    **dict.fromkeys((".meta", ".bin"), NeoFormat("SpikeGLXRawIO", "a SpikeGLX recording", folder=True)),
    ".oebin": NeoFormat("OpenEphysBinaryRawIO", "an Open Ephys recording", folder=True),
    ".continuous": NeoFormat("OpenEphysRawIO", "an Open Ephys recording (older format)", folder=True),
    **dict.fromkeys(
        (".nev", *(f".ns{number}" for number in range(1, 7))), NeoFormat("BlackrockRawIO", "a Blackrock recording")
    ),
    ".plx": NeoFormat("PlexonRawIO", "a Plexon recording", options={"progress_bar": False}, unit="mV"),
    ".ncs": NeoFormat("NeuralynxRawIO", "a Neuralynx recording", folder=True),
    **dict.fromkeys((".xml", ".dat", ".lfp", ".eeg"), NeoFormat("NeuroScopeRawIO", "a Neuroscope recording")),
}
"""Ending of a file → how neo opens it."""


def find_format(path: Path) -> tuple[str, Path]:
    """Ending of `FORMATS` that a path is of, and the file or folder that neo is to be given.

    Args:
        path: A file, or a folder that holds files of one of these formats.

    Raises:
        SharpwaveError: If there is none.
    """
    if path.is_file() and path.suffix.lower() in FORMATS:
        ending = path.suffix.lower()
        return ending, path.parent if FORMATS[ending].folder else path
    if path.is_dir():
        for ending, pattern in (
            (".oebin", "**/structure.oebin"),
            (".continuous", "**/*.continuous"),
            (".ncs", "*.ncs"),
            (".meta", "**/*.ap.meta"),
            (".meta", "**/*.lf.meta"),
            (".meta", "**/*.nidq.meta"),
            (".rhd", "info.rhd"),
            (".rhs", "info.rhs"),
        ):
            found = next(iter(sorted(path.glob(pattern))), None)
            if found is not None:
                inside = found.parent if ending == ".continuous" else path
                return ending, inside if FORMATS[ending].folder else found
    raise SharpwaveError(
        f"a file ending in {', '.join(FORMATS)}, or a folder of such files",
        got=f"{path.name}, which is neither",
        fix="name the folder that the recording system wrote, or convert it to NWB",
    )


def choose_data(path: Path) -> Path:
    """Of Neuroscope's parameters, the file of samples beside them: field potentials before the wide band.

    Args:
        path: Any file or folder; others than `.xml` stay as they are.
    """
    if path.suffix.lower() != ".xml":
        return path
    return next((path.with_suffix(end) for end in (".lfp", ".eeg", ".dat") if path.with_suffix(end).is_file()), path)


def open_neo(form: NeoFormat, where: Path) -> Any:
    """neo's reader with its header parsed, silent."""
    import logging

    from neo import rawio

    logging.getLogger("neo").setLevel(logging.ERROR)
    reader = getattr(rawio, form.reader)
    options = dict(form.options or {})
    raw = reader(**{"dirname" if form.folder else "filename": str(where)}, **options)
    raw.parse_header()
    return raw


def check_before(path: Path, ending: str, kind: str) -> None:
    """Refuse what would make neo open files elsewhere, or look through a whole disk.

    Args:
        path: File or folder that the user named.
        ending: Its format, a key of `FORMATS`.
        kind: What to call it in an error.

    Raises:
        SharpwaveError: If it leads out of its folder, brings an XML grammar of its own, or lies among too many files.
    """
    if ending in (".meta", ".bin", ".oebin", ".continuous", ".ncs"):
        folder = path if path.is_dir() else path.parent
        _check_folder(folder, kind)
        for described in folder.rglob("structure.oebin") if ending == ".oebin" else ():
            _check_structure(described)
    if ending in (".xml", ".dat", ".lfp", ".eeg"):
        _check_neuroscope(path)


def _check_folder(folder: Path, kind: str) -> None:
    for number, item in enumerate(folder.rglob("*")):
        if number >= MOST_FILES:
            raise SharpwaveError(
                f"{kind} in a folder of its own",
                got=f"more than {MOST_FILES} files",
                fix="move its files into a folder",
            )
        if item.is_symlink() and folder.resolve() not in item.resolve().parents:
            raise SharpwaveError(
                f"{kind} within {folder.name}",
                got=f"{item.name}, a link that leads out of it",
                fix="copy the file there",
            )


def _check_structure(path: Path) -> None:
    """Open Ephys names the folder of each stream: none may lie outside."""
    content = _read_structure(path)
    for part in ("continuous", "events", "spikes"):
        for stream in content.get(part, []) if isinstance(content.get(part), list) else []:
            name = str(stream.get("folder_name") or stream.get("folder") or "") if isinstance(stream, dict) else ""
            steps = {*PurePosixPath(name).parts, *PureWindowsPath(name).parts}
            if ".." in steps or PurePosixPath(name).is_absolute() or PureWindowsPath(name).drive:
                raise SharpwaveError(
                    f"streams of {path.name} in folders beside it", got=repr(name[:80]), fix="correct the file"
                )


def _read_structure(path: Path) -> Mapping[str, Any]:
    if path.stat().st_size > MOST_HEAD:
        raise SharpwaveError(f"at most 16 MiB in {path.name}", got=f"{path.stat().st_size} bytes", fix="export again")
    content = parse_json(path.read_bytes(), name=path.name)
    if not isinstance(content, dict):
        raise SharpwaveError(f"a description of streams in {path.name}", got="JSON of another kind", fix="export again")
    return content


def _check_neuroscope(path: Path) -> None:
    xml = path.with_suffix(".xml")
    if not xml.is_file():
        header = path.with_suffix(".vhdr").name
        raise SharpwaveError(
            f"the file {xml.name} beside {path.name}, which says channels, rate and range (Neuroscope)",
            got="none",
            fix=f"put it there; of BrainVision, give {header}; of other formats, rename the file by its format",
        )
    read_parameters(xml)


def read_parameters(path: Path) -> ElementTree.Element:
    """The parameters of a Neuroscope session.

    Args:
        path: The `.xml` file.

    Raises:
        SharpwaveError: If it is no such file, is too large, or brings a document type or entities of its own.
    """
    raw = path.read_bytes() if path.stat().st_size <= MOST_HEAD else b""
    if not raw or b"<!DOCTYPE" in raw.upper() or b"<!ENTITY" in raw.upper() or b"\x00" in raw:
        raise SharpwaveError(
            f"parameters of Neuroscope in {path.name}: plain XML of at most 16 MiB",
            got="a larger file, or a document type or entities of its own",
            fix="export it again",
        )
    root = ElementTree.fromstring(raw)
    if root.find("acquisitionSystem/nChannels") is None:
        raise SharpwaveError(
            f"parameters of Neuroscope in {path.name} (acquisitionSystem/nChannels)",
            got=f"XML of {root.tag[:40]!r}",
            fix="give the recording's own .xml, or name the recording by its format",
        )
    return root


def read_neuroscope_rate(path: Path, otherwise: float) -> float:
    """Sampling rate of the field potentials in Hz.

    Args:
        path: The `.xml` file of the session.
        otherwise: Rate where the file says none.
    """
    text = read_parameters(path).findtext("fieldPotentials/lfpSamplingRate")
    return float(text) if text and float(text) > 0 else otherwise


def read_date(path: Path, ending: str) -> datetime | None:
    """The time at which a recording began, where its own head says it and neo does not hand it on.

    Args:
        path: The file.
        ending: Its format, a key of `FORMATS`.
    """
    if ending in (".meta", ".bin") and path.is_file():
        text = path.with_suffix(".meta").read_text(encoding="utf-8", errors="replace")[:MOST_HEAD]
        stated = re.search(r"^fileCreateTime=(\S+)", text, re.MULTILINE)
        try:
            return None if stated is None else datetime.fromisoformat(stated[1])
        except ValueError:
            return None
    if re.fullmatch(r"\.ns\d", ending):
        with path.open("rb") as file:
            head = file.read(BLACKROCK_DATE + 16)
        if head[:8] in (b"NEURALCD", b"BRSMPGRP") and len(head) == BLACKROCK_DATE + 16:
            year, month, _, day, hour, minute, second, _ = struct.unpack("<8H", head[BLACKROCK_DATE:])
            try:
                return datetime(year, month, day, hour, minute, second)
            except ValueError:
                return None
    return None


def read_neo_units(reader: Any, block: int, zero: float) -> tuple[Units | None, list[str]]:
    """Units that were sorted online or offline; the rest of a channel's spikes is counted and left out."""
    channels = reader.header["spike_channels"]
    n_parts = int(reader.header["nb_segment"][block])
    trains: dict[int, np.ndarray] = {}
    names, unsorted = [], 0
    for index, channel in enumerate(channels):
        if str(channel["id"]).rpartition("#")[2] in UNSORTED or str(channel["name"]).rpartition("#")[2] in UNSORTED:
            unsorted += 1
            continue
        parts = []
        for part in range(n_parts):
            if reader.spike_count(block, part, index):
                stamps = reader.get_spike_timestamps(block, part, index)
                parts.append(np.asarray(reader.rescale_spike_timestamp(stamps, dtype="float64")))
        times = np.sort(np.concatenate(parts)) - zero if parts else np.zeros(0)
        trains[len(trains)] = times
        names.append(str(channel["name"]))
    said = [f"spikes of {unsorted} channels that no unit was made of were left out"] * bool(unsorted)
    if not trains:
        return None, said
    return Units(trains, metadata={"label": np.array(names)}), said


def read_neo_events(reader: Any, block: int, zero: float) -> pd.DataFrame:
    channels = reader.header["event_channels"]
    rows = []
    for part in range(int(reader.header["nb_segment"][block])):
        for index, channel in enumerate(channels):
            if not 0 < reader.event_count(block, part, index) <= MOST_EVENTS:
                continue
            stamps, durations, labels = reader.get_event_timestamps(block, part, index)
            onset = np.asarray(reader.rescale_event_timestamp(stamps, dtype="float64", event_channel_index=index))
            length = np.zeros(len(onset))
            if durations is not None:
                length = np.asarray(
                    reader.rescale_epoch_duration(durations, dtype="float64", event_channel_index=index)
                )
            texts = [f"{channel['name']} {label}".strip() for label in labels]
            rows.append(pd.DataFrame({"onset": onset - zero, "duration": length, "label": texts}))
    joined = pd.concat(rows, ignore_index=True) if rows else empty_events()
    return joined.sort_values("onset", kind="stable", ignore_index=True)


def read_neo_start(reader: Any, block: int, ending: str, path: Path) -> datetime | None:
    """The time of day of the first sample, where the file says it."""
    found = reader.raw_annotations["blocks"][block]
    parts = found.get("segments") or [{}]
    signals = parts[0].get("signals") or [{}]
    opened = signals[0].get("__array_annotations__", {}).get("recording_opened", [None])  # Neuralynx
    dates = (found.get("rec_datetime"), parts[0].get("rec_datetime"), opened[0])
    start = next((date for date in dates if isinstance(date, datetime)), None) or read_date(path, ending)
    return None if start is None else start.replace(tzinfo=None)
