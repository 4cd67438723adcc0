"""What a channel label means: the alias table, open to view and to overrides, and which channels stage a night.

The table is data: electrode sites, references, and label patterns for everything else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording

# fmt: off
ELECTRODES = (
    "Nz", "Fp1", "Fpz", "Fp2",
    "AF9", "AF7", "AF5", "AF3", "AF1", "AFz", "AF2", "AF4", "AF6", "AF8", "AF10",
    "F9", "F7", "F5", "F3", "F1", "Fz", "F2", "F4", "F6", "F8", "F10",
    "FT9", "FT7", "FC5", "FC3", "FC1", "FCz", "FC2", "FC4", "FC6", "FT8", "FT10",
    "T9", "T7", "T3", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "T4", "T8", "T10",
    "TP9", "TP7", "CP5", "CP3", "CP1", "CPz", "CP2", "CP4", "CP6", "TP8", "TP10",
    "P9", "P7", "T5", "P5", "P3", "P1", "Pz", "P2", "P4", "P6", "T6", "P8", "P10",
    "PO9", "PO7", "PO5", "PO3", "PO1", "POz", "PO2", "PO4", "PO6", "PO8", "PO10",
    "O1", "Oz", "O2", "Iz",
)
"""Sites of the 10-20 and 10-10 systems, with the older names T3, T4, T5, T6."""

REFERENCES = (
    "M1", "M2", "A1", "A2", "M1M2", "A1A2", "TP9", "TP10", "LM", "LE", "LER", "AA", "Ax", "AVG", "CAR", "CLE", "REF",
)
"""What an electrode may be measured against, besides another electrode."""

_LEFT_LEG = r"L(EFT)?[ -]?(LEG|TIB.*|AT)|LAT\d?|TIB ?L|(LEG|JAMBE|TIB)[ -/(]*(L|LEFT|GAUCHE)\)?"
_RIGHT_LEG = r"R(IGHT)?[ -]?(LEG|TIB.*|AT)|RAT\d?|TIB ?R|(LEG|JAMBE|TIB)[ -/(]*(R|RIGHT|DROITE)\)?"
_CHIN = r"\(?SUB-?MENT(AL|ALIS)?\)?|\(?CHIN\)?|MENT(ON|ALIS|AL)|\(?CENTER CHIN\)?"
_AIRFLOW = (
    r"NAF ?\d*|AIR ?FLOW|NEW AIR|FLOW|NASAL( PRESSURE| FLOW)?|NPV?|CANNULA"
    r"|(ORO-?NASAL )?THERM.*|RESP ?ORO-?NASAL|(FLUX|DEBIT).*"
)

PATTERNS: tuple[tuple[str, str, str], ...] = (
    (r".*\bIMP(E|É)?(DANCE)?\b.*", "", "other"),
    (r"STATUS|OX STAT|TRIGGER|MARKER|LIGHT|SOUND|PHONO|MIC|SNOR(E|ING)|BATTERY|HYPNOGRAM.*", "", "other"),
    (r"(BODY )?POS(ITION)?", "", "other"),
    (r"EEG ?\(SEC\)|EEG ?2", "EEG 2", "eeg"),
    (r"EEG ?1?", "EEG", "eeg"),
    (r"EOG ?\(?L(EFT)?\)?|EOG LEFT HORIZ|L(EFT)? ?EOG|LOC|E1|EOG ?E1|OG", "E1", "eog"),
    (r"EOG ?\(?R(IGHT)?\)?|EOG RIGHT HORIZ|R(IGHT)? ?EOG|ROC|E2|EOG ?E2|OD", "E2", "eog"),
    (r"EOG ?H(ORI[ZS][A-Z]*)?|H(ORI[ZS][A-Z]*)? ?EOG", "EOG horizontal", "eog"),
    (r"EOG ?V(ERT[A-Z]*)?|V(ERT[A-Z]*)? ?EOG", "EOG vertical", "eog"),
    (r"EOG ?(\d*)", r"EOG\1", "eog"),
    (rf"(EMG ?)?({_LEFT_LEG})", "EMG leg left", "emg"),
    (rf"(EMG ?)?({_RIGHT_LEG})", "EMG leg right", "emg"),
    (r"(EMG ?)?(LEGS?|JAMBES?|TIB(IALIS)?.*)\d?", "EMG leg", "emg"),
    (rf"(EMG[ -]?)?({_CHIN})( ?EMG)? ?\d?(-(EMG ?)?(CHIN)?\d?)?", "EMG chin", "emg"),
    (r"1-2|1-F|2-F", "EMG chin", "emg"),
    (r"EMG[ -]?(\d*)(-EMG\d*)?", r"EMG\1", "emg"),
    (r"(ECG|EKG)[ -]?(\d|I{1,3}|V\d|L|R)?(-(ECG|EKG)?(\d|R)?)?", "ECG", "ecg"),
    (r"SPO2|SAO2|OSAT|SAT(URATION)?|O2 ?SAT(URATION)?", "SpO2", "oxygen"),
    (r"HR|H\.R\.|PR|PULSE( RATE)?|HEART[ _]?RATE|DHR|FC", "heart rate", "heart_rate"),
    (r"(SKIN |CORE )?TEMP.*", "temperature", "temperature"),
    (_AIRFLOW, "airflow", "respiration"),
    (r"VTH|THOR.*|CHEST|THO ?RES|RIP ?THO.*|INDUCTANCE THORA.*|EFFORT THO.*", "thorax", "respiration"),
    (r"VAB|ABD.*|ABDO ?RES|RIP ?ABD.*|INDUCTANCE ABDOM.*|EFFORT ABD.*", "abdomen", "respiration"),
    (r"RESP(IRATION)?( RATE)?|RIP.*|SUM|EFFORT", "respiration", "respiration"),
    (r"ACTI(VITY|GRAPHY|METER)?|ACC(EL.*)?|[XYZ][ -]AXIS|ACC[ _-]?[XYZ]|MOVEMENT", "", "activity"),
    (r"(LFP|HPC|HIPPOCAMPUS|HIP|CA1|CA3|DG|STN|CTX|PFC|NAC|AMY|BLA)([ _-].*|\d*)", "", "lfp"),
)
"""Pattern of the whole label in upper case, name, modality: the first that fits. "" keeps the label as the name.

"1", "2" and "F" are the chin electrodes of Noxturnal exports; "NAF", "VTH" and "VAB" are the breathing of DREAMS.
"""


_MASTOIDS = ("M1", "M2", "A1", "A2", "M1M2", "A1A2")
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
        label: Label as the file has it.
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
    """The signals that stage a night: role ("eeg", "eog", "emg") → signal name, the first of `rank_channels`.

    Args:
        recording: The recording whose channels to choose from.
        channels: The user's choice, best first; each name takes its role, roles without one are picked as usual.

    Raises:
        SharpwaveError: If a chosen channel is not in the recording.
    """
    return {role: names[0] for role, names in rank_channels(recording, channels=channels).items()}


def rank_channels(recording: Recording, *, channels: Sequence[str] | None = None) -> dict[str, list[str]]:
    """Every signal that could stage a night, best first by its name: role ("eeg", "eog", "emg") → signal names.

    A central derivation against the opposite mastoid or ear is preferred (AASM: C4-M1, then C3-M2), then the same
    side, the vertex, frontal, occipital, any EEG. A chin EMG is preferred over others; legs and mastoids alone do
    not count. An electrode that is there with its mastoid, too, is taken with it. A channel of implausible
    amplitude, or marked bad, comes after all others.

    Args:
        recording: The recording whose channels to choose from.
        channels: The user's choice, best first; it is all there is for its roles, others are ranked as usual.

    Raises:
        SharpwaveError: If a chosen channel is not in the recording.

    >>> import numpy as np
    >>> from sharpwave.recordings import Signal
    >>> signals = {name: Signal(name, np.zeros(9), 1.0, MODALITIES["eeg"]) for name in ("Fz", "C3-M2", "C4-M1")}
    >>> rank_channels(Recording(signals=signals))
    {'eeg': ['C4-M1', 'C3-M2', 'Fz']}
    """
    roles: dict[str, list[str]] = {}
    doubtful = {*recording.metadata.get("doubtful", ()), *recording.metadata.get("bad_channels", ())}
    for role, rank in (("eeg", _eeg_rank), ("eog", _eog_rank), ("emg", _emg_rank)):
        names = [name for name in recording.of(role) if rank(name) is not None]
        if names:
            apart = [name for name in names if _is_apart(name, names)]
            roles[role] = sorted(
                names, key=lambda name: (name in doubtful, name in apart, rank(name), names.index(name))
            )
    chosen: dict[str, list[str]] = {}
    for wanted in channels or ():
        name = _find(recording, wanted)
        modality = recording[name].modality.name
        chosen.setdefault("eeg" if modality == "lfp" else modality, []).append(name)
    return roles | chosen


def _is_apart(name: str, names: Sequence[str]) -> bool:
    """Whether an electrode stands here without its mastoid or ear, and elsewhere with it."""
    site, _, reference = name.partition("-")
    return reference not in _MASTOIDS and any(f"{site}-{mastoid}" in names for mastoid in _MASTOIDS)


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
    if _SITES.get(site) not in ELECTRODES and site not in _MASTOIDS:
        return None
    if not reference:
        return ChannelIdentity(_SITES[site], "eeg")
    reference = re.sub(r"^\((.*)\)$", r"\1", reference.strip())
    if reference not in _SITES or {site, reference} <= {*_MASTOIDS}:
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


def _eeg_rank(name: str) -> int | None:
    if name.partition("-")[0] in _MASTOIDS:
        return None
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
