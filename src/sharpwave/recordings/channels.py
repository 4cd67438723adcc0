"""What a channel label means: the alias table, open to view and to overrides, and which channels stage a night."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channel_table import ELECTRODES, PATTERNS, REFERENCES
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording

_SITES = {site.upper(): site for site in (*ELECTRODES, *REFERENCES)}
_GLUED = re.compile(
    rf"({'|'.join(sorted((e.upper() for e in ELECTRODES), key=len, reverse=True))})(M1|M2|A1|A2|REF|LE)"
)


@dataclass(frozen=True)
class ChannelIdentity:
    """What a label means.

    Attributes:
        name: Canonical name, with its reference where the label says one ("C4-M1").
        modality: Key in `MODALITIES`; "other" where the label is not known.
        reference: What it is measured against ("M1"); None where the label does not say.
    """

    name: str
    modality: str
    reference: str | None = None


def recognise_channel(label: str, *, overrides: Mapping[str, str] | None = None) -> ChannelIdentity:
    """What a channel label means, by the overrides first, then electrode names, then the alias table.

    Args:
        label: As the file has it.
        overrides: Label → "name:modality" (or "name" alone, or ":modality" alone); labels in any case.

    Returns:
        Name, modality and reference.

    Raises:
        SharpwaveError: If an override names a modality that does not exist.

    >>> recognise_channel("EEG C4:A1")
    ChannelIdentity(name='C4-A1', modality='eeg', reference='A1')
    """
    cleaned = _clean(label)
    wanted = {_clean(key).upper(): value for key, value in (overrides or {}).items()}.get(cleaned.upper())
    if wanted is not None:
        return _overridden(label, wanted)
    return _electrode(cleaned) or _eog_with_reference(cleaned) or _aliased(cleaned)


def is_electrode(name: str) -> bool:
    """Whether a name is a site of the 10-20 system, with or without a reference."""
    return name.partition("-")[0] in ELECTRODES


def channel_aliases() -> pd.DataFrame:
    """The alias table as it is applied: columns `label` (regular expression), `name`, `modality`, in order."""
    electrodes = [(rf"(EEG )?{site}(-<reference>)?", site, "eeg") for site in ELECTRODES]
    return pd.DataFrame([*electrodes, *PATTERNS], columns=["label", "name", "modality"])


def pick_channels(recording: Recording, *, channels: Sequence[str] | None = None) -> dict[str, str]:
    """The signals that stage a night: role ("eeg", "eog", "emg") → signal name.

    A central derivation against the opposite mastoid or ear is preferred (AASM: C4-M1, then C3-M2), then the same
    side, the vertex, frontal, occipital, any EEG. A chin EMG is preferred over others; legs do not count. A channel of
    implausible amplitude, or marked bad, is taken only where there is no other.

    Args:
        recording: What was read.
        channels: The user's choice; each name takes its role, roles without one are picked as usual.

    Raises:
        SharpwaveError: If a chosen channel is not in the recording.
    """
    roles: dict[str, str] = {}
    doubtful = {*recording.metadata.get("doubtful", ()), *recording.metadata.get("bad_channels", ())}
    for role, rank in (("eeg", _eeg_rank), ("eog", _eog_rank), ("emg", _emg_rank)):
        names = [name for name in recording.of(role) if rank(name) is not None]
        if names:
            roles[role] = min(names, key=lambda name: (name in doubtful, rank(name), names.index(name)))
    for wanted in channels or ():
        name = _find(recording, wanted)
        modality = recording[name].modality.name
        roles["eeg" if modality == "lfp" else modality] = name
    return roles


def _clean(label: str) -> str:
    text = unicodedata.normalize("NFKC", str(label)).replace("\x00", " ")
    text = re.sub(r"\s*[:/–—]\s*|\s*_(?=[AMam][12]\b)|\s+-\s*|-\s+", "-", text)
    return re.sub(r"\s+", " ", text).strip(" .")


def _overridden(label: str, wanted: str) -> ChannelIdentity:
    name, _, modality = wanted.partition(":")
    if not modality:
        known = recognise_channel(name)
        return ChannelIdentity(name, known.modality, known.reference)
    if modality not in MODALITIES:
        raise SharpwaveError(
            f"a modality among {', '.join(MODALITIES)}",
            got=f"{modality!r} for channel {label!r}",
            fix="write the override as label=name:modality, for example 'Ch3=C4-M1:eeg'",
        )
    return ChannelIdentity(name or str(label).strip(), modality, recognise_channel(name).reference if name else None)


def _electrode(label: str) -> ChannelIdentity | None:
    text = re.sub(r"^(EEG|POL)[ -]+", "", label.upper())
    text = re.sub(r"^\((.*)\)$", r"\1", text)
    glued = _GLUED.fullmatch(text)
    site, _, reference = (*glued.groups()[:1], "-", glued.group(2)) if glued else text.partition("-")
    if _SITES.get(site) not in ELECTRODES:
        return None
    if not reference:
        return ChannelIdentity(_SITES[site], "eeg")
    reference = re.sub(r"^\((.*)\)$", r"\1", reference.strip())
    if reference not in _SITES:
        return None
    return ChannelIdentity(f"{_SITES[site]}-{_SITES[reference]}", "eeg", _SITES[reference])


def _eog_with_reference(label: str) -> ChannelIdentity | None:
    site, dash, reference = label.upper().rpartition("-")
    if not dash or reference not in _SITES:
        return None
    known = _aliased(site)
    return (
        ChannelIdentity(f"{known.name}-{_SITES[reference]}", "eog", _SITES[reference])
        if known.modality == "eog"
        else None
    )


def _aliased(label: str) -> ChannelIdentity:
    for pattern, name, modality in PATTERNS:
        match = re.fullmatch(pattern, label.upper())
        if match:
            return ChannelIdentity(match.expand(name) if name else label, modality)
    return ChannelIdentity(label, "other")


_EEG_ORDER = (
    "C4-M1",
    "C3-M2",
    "C4-M2",
    "C3-M1",
    "Cz-M1",
    "Cz-M2",
    "C4",
    "C3",
    "Cz",
    "F4-M1",
    "F3-M2",
    "F4",
    "F3",
    "Fz",
)


def _eeg_rank(name: str) -> int:
    site, _, reference = name.replace("-A1", "-M1").replace("-A2", "-M2").partition("-")
    for candidate in (f"{site}-{reference}", site):
        if candidate in _EEG_ORDER:
            return _EEG_ORDER.index(candidate)
    return len(_EEG_ORDER)


def _eog_rank(name: str) -> int:
    return next((rank for rank, start in enumerate(("E1-", "E1", "E2", "EOG1")) if name.startswith(start)), 4)


def _emg_rank(name: str) -> int | None:
    if name.startswith("EMG leg"):
        return None
    return 0 if name.startswith("EMG chin") else 1


def _find(recording: Recording, wanted: str) -> str:
    if wanted in recording.signals:
        return wanted
    name = recognise_channel(wanted).name
    return name if name in recording.signals else recording[wanted].name
