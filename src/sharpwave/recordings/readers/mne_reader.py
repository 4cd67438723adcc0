"""What MNE reads (FIF, BrainVision, EEGLAB, GDF, CNT, EGI and others), left on disk until it is sliced."""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.files import guarded
from sharpwave.recordings.readers.nwb_inside import check_links
from sharpwave.recordings.recording import Recording
from sharpwave.recordings.sliced import Sliced
from sharpwave.recordings.units import convert_unit

if TYPE_CHECKING:
    import mne

_TYPES = {"eeg": "eeg", "eog": "eog", "emg": "emg", "ecg": "ecg", "seeg": "lfp", "ecog": "lfp", "dbs": "lfp"}
_FUNCTIONS = {
    ".fif": "read_raw_fif",
    ".fif.gz": "read_raw_fif",
    ".vhdr": "read_raw_brainvision",
    ".set": "read_raw_eeglab",
    ".gdf": "read_raw_gdf",
    ".cnt": "read_raw_cnt",
    ".mff": "read_raw_egi",
    ".nxe": "read_raw_eximia",
}

MOST_HEADER = 2**24
"""Bytes of a BrainVision header that are looked at."""


@dataclass(frozen=True, eq=False)
class MneSamples(Sliced):
    """One channel of an MNE `Raw`, as an array-like in V that reads what is sliced."""

    raw: mne.io.BaseRaw
    channel: int
    name: str

    @property
    def shape(self) -> tuple[int]:
        return (int(self.raw.n_times),)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(np.float64)

    def _take(self, low: int, high: int) -> np.ndarray:
        with guarded(self.name, "samples"):
            return self.raw.get_data(picks=[self.channel], start=low, stop=high, verbose="error")[0]


def read_mne(
    path: str | Path,
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Recording:
    """Read a file that MNE reads.

    Args:
        path: The file; companions (`.eeg`, `.vmrk`, `.fdt`) must lie beside it.
        channels: Keep only these (labels or recognised names).
        overrides: Label → "name:modality", where the alias table is wrong.
        unit: Unit of the electrical channels, where the file is wrong about it.

    Raises:
        SharpwaveError: If MNE cannot read it or no channel is left.
    """
    path = Path(path)
    suffix = next((known for known in _FUNCTIONS if path.name.lower().endswith(known)), None)
    if suffix is None:
        raise SharpwaveError(f"a file ending in {', '.join(_FUNCTIONS)}", got=path.name, fix="convert it to EDF or FIF")
    with guarded(path, "a recording that MNE reads") as caught:
        import mne

        _check_companions(path)
        raw = getattr(mne.io, _FUNCTIONS[suffix])(path, preload=False, verbose="error")
        return describe_raw(raw, path, caught, channels=channels, overrides=overrides, unit=unit)


def _check_companions(path: Path) -> None:
    """Refuse a header that names files elsewhere, or an HDF5 file with links to others: MNE would follow them."""
    if path.name.lower().endswith(".set"):
        with path.open("rb") as file:
            is_hdf5 = b"\x89HDF\r\n\x1a\n" in file.read(1024)
        if is_hdf5:
            check_links(str(path), where=path.name)
    if path.name.lower().endswith(".fif"):
        _check_tags(path)
    if path.name.lower().endswith(".vhdr"):
        head = path.read_bytes()[:MOST_HEADER]
        for count in re.findall(rb"^\s*NumberOfChannels\s*=\s*(\d+)", head, re.MULTILINE):
            if len(count) > 5:
                raise SharpwaveError(
                    f"at most 99,999 channels in {path.name}", got=count[:40].decode(), fix="correct the header"
                )
        for name in re.findall(rb"^\s*(?:DataFile|MarkerFile)\s*=\s*(.+?)\s*$", head, re.MULTILINE):
            if b"/" in name.removeprefix(b"./") or b"\\" in name:
                raise SharpwaveError(
                    f"the files of {path.name} beside it",
                    got=name.decode("utf-8", errors="replace"),
                    fix="put them into one folder and name them in the header without a path",
                )


def _check_tags(path: Path) -> None:
    """Refuse a FIF file whose chain of tags comes back to where it was: MNE would follow it without end."""
    seen: set[int] = set()
    place = 0
    with path.open("rb") as file:
        while place not in seen:
            seen.add(place)
            file.seek(place)
            head = file.read(16)
            if len(head) < 16:
                return
            size, after = struct.unpack(">ii", head[8:])
            place = place + 16 + size if after == 0 else after
            if place < 0:
                return
    raise SharpwaveError(f"tags that follow each other in {path.name}", got="a loop", fix="copy or export it again")


def describe_raw(
    raw: mne.io.BaseRaw, path: Path = Path("MNE Raw"), caught: Sequence[Any] = (), **options: Any
) -> Recording:
    """The recording that a `Raw` holds; its samples stay where they are.

    Args:
        raw: MNE's recording.
        path: File it came from, for messages.
        caught: Warnings of MNE when it read the file.
        options: `channels`, `overrides` and `unit` of `read_mne`, each None where not given.
    """
    if raw.n_times < 1 or not raw.ch_names:
        raise SharpwaveError(
            f"samples in {path.name}", got=f"{raw.n_times} of {len(raw.ch_names)} channels", fix="export it again"
        )
    rate = float(raw.info["sfreq"])
    kinds = raw.get_channel_types()
    overrides = _with_types(raw.ch_names, kinds, options["overrides"] or {})
    channels = [
        RawChannel(
            label,
            MneSamples(raw, index, path.name),
            rate,
            "V" if kind in _TYPES or kind in ("bio", "misc") else "",
            gain=1.0 if options["unit"] is None else _undo_unit(raw, label, path),
        )
        for index, (label, kind) in enumerate(zip(raw.ch_names, kinds, strict=True))
        if kind != "stim"
    ]
    assembled = assemble_signals(channels, channels=options["channels"], overrides=overrides, unit=options["unit"])
    measured = raw.info["meas_date"]
    person = raw.info["subject_info"] or {}
    sex = {1: "M", 2: "F"}.get(person.get("sex", 0))
    return Recording(
        signals=assembled.signals,
        events=_events(raw),
        subject=str(person.get("his_id") or "unknown"),
        species=assembled.species,
        start=None if measured is None else measured.replace(tzinfo=None) + timedelta(seconds=raw.first_time),
        source=path.name,
        repairs=(*sorted({" ".join(str(warning.message).split())[:200] for warning in caught}), *assembled.repairs),
        metadata={
            **({"sex": sex} if sex else {}),
            "doubtful": assembled.doubtful,
            "labels": assembled.labels,
            "units": assembled.units,
        },
    )


def _undo_unit(raw: mne.io.BaseRaw, label: str, path: Path) -> float:
    """What makes the file's own numbers of MNE's volts: where the user states a unit, it is that of the numbers."""
    if path.suffix.lower() == ".set":  # MNE takes EEGLAB's numbers for µV
        return 1e6
    converted = convert_unit(str(getattr(raw, "_orig_units", {}).get(label, "")), MODALITIES["eeg"])
    return 1.0 if converted is None else 1 / converted[0]


def _with_types(labels: Sequence[str], kinds: Sequence[str], overrides: Mapping[str, str]) -> dict[str, str]:
    """MNE's channel types decide where the label alone does not."""
    from sharpwave.recordings.channels import recognise_channel

    typed = {
        label: f"{label}:{_TYPES[kind]}"
        for label, kind in zip(labels, kinds, strict=True)
        if kind in _TYPES and kind != "eeg" and recognise_channel(label).modality == "other"
    }
    return {**typed, **overrides}


def _events(raw: mne.io.BaseRaw) -> pd.DataFrame:
    annotations = raw.annotations
    return pd.DataFrame(
        {
            "onset": np.asarray(annotations.onset, dtype=float) - raw.first_time,
            "duration": np.asarray(annotations.duration, dtype=float),
            "label": [str(text) for text in annotations.description],
        }
    )
