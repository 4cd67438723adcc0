"""What a channel label means: the alias table, open to view and to overrides, and which channels stage a night.

The table is data, in `labels`: electrode sites, references, and label patterns for everything else.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.labels import ELECTRODES, NO_SIGNAL, PATTERNS, REFERENCES, TRIMMINGS, WORDS
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording
from sharpwave.recordings.units import convert_unit

_MASTOIDS = ("M1", "M2", "A1", "A2", "M1M2", "A1A2")
_SITES = {site.upper(): site for site in (*ELECTRODES, *REFERENCES)}
_GLUED = re.compile(
    rf"({'|'.join(sorted((e.upper() for e in ELECTRODES), key=len, reverse=True))})(M1|M2|A1|A2|REF|LE)"
)
_UPPER_ELECTRODES = tuple(site.upper() for site in ELECTRODES)
_KEPT = {*_SITES, "EOG", "EMG", "ECG", "EKG", "LEG", "CHIN"}
_NAMED = re.compile(r".*(EOG|EMG|ECG|EKG|CHIN|LEG|TIB).*|[LR]OC|E[12]")


@dataclass(frozen=True)
class ChannelIdentity:
    """What a label means.

    Attributes:
        name: Canonical name, with its reference where the label says one ("C4-M1").
        modality: Key in `MODALITIES`; "other" where the label is not known.
        reference: What it is measured against ("M1"); None where the label does not say.
        inverted: Whether the label names the reference first ("A1-C4"), so that the samples are C4-A1 upside down.
    """

    name: str
    modality: str
    reference: str | None = None
    inverted: bool = field(default=False, repr=False)


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
    known = _turned(cleaned) or _electrode(cleaned) or _eog_with_reference(cleaned) or _aliased(cleaned)
    if known.modality != "other" or NO_SIGNAL.search(cleaned.upper()):
        return known
    return _dressed(cleaned) or _generic(cleaned) or known


def is_same_label(first: str, second: str) -> bool:
    """Whether two labels are the same but for case, spaces and dashes, as overrides take them."""
    return _clean(first).upper() == _clean(second).upper()


def is_electrode(name: str) -> bool:
    """Whether a name is a site of the 10-20 system, with or without a reference."""
    return name.partition("-")[0] in ELECTRODES


def channel_aliases() -> pd.DataFrame:
    """The alias table as it is applied: columns `label` (regular expression), `name`, `modality`, in order."""
    electrodes = [(rf"(EEG )?{site}(-<reference>)?", site, "eeg") for site in ELECTRODES]
    return pd.DataFrame([*electrodes, *PATTERNS], columns=["label", "name", "modality"])


def describe_unknown(recording: Recording, name: str | None = None) -> tuple[str, str]:
    """What an error says where no channel is known: every label with its unit, and the line to write.

    Args:
        recording: The recording.
        name: Signal to write the line for; the first that could be a brain signal where None.

    Returns:
        The labels with their units, and what to do.

    >>> import numpy as np
    >>> from sharpwave.recordings import Signal
    >>> signal = Signal("Ch1", np.zeros(9), 128.0, MODALITIES["other"])
    >>> describe_unknown(Recording({"Ch1": signal}, metadata={"units": {"Ch1": "LSB"}}))[0]
    "'Ch1' (unit 'LSB', 128 Hz)"
    """
    labels, units = recording.metadata.get("labels", {}), recording.metadata.get("units", {})
    listed = [
        f"{labels.get(key, key)!r} ({f'unit {units[key]!r}' if units.get(key) else 'no unit'}, {signal.rate:g} Hz)"
        for key, signal in recording.signals.items()
    ]
    others = [key for key in recording.of("other") if len(recording[key].samples.shape) == 1]
    volts = MODALITIES["eeg"]
    fast = [key for key in others if volts.rate[0] <= recording[key].rate <= volts.rate[1]]
    chosen = name or next(iter(fast or others), None)
    if chosen is None:
        return ", ".join(listed), ""
    label, unit = labels.get(chosen, chosen), units.get(chosen, "")
    steps = []
    if recognise_channel(label).modality == "other":
        steps.append(f"--channel-alias '{label}=C4-M1:eeg' (LABEL=NAME:MODALITY, with eeg, eog, emg, ecg or lfp)")
    if convert_unit(unit, volts) is None:
        steps.append("--unit uV, if the numbers are microvolts (or mV, V, nV)")
    if not steps:
        steps.append(f"check the header: nothing electrical is sampled at {recording[chosen].rate:g} Hz")
    return ", ".join(listed), "say what it is: " + " and ".join(steps)


def pick_channels(recording: Recording, *, channels: Sequence[str] | None = None) -> dict[str, str]:
    """The signals that stage a night: role ("eeg", "eog", "emg") → signal name, the first of `rank_channels`.

    Args:
        recording: The recording whose channels to choose from.
        channels: The user's choice, best first; each name takes its role, roles without one are picked as usual.

    Raises:
        SharpwaveError: If a chosen channel is not in the recording, or it is not known what it records.
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
        if modality == "other":
            listed, fix = describe_unknown(recording, name)
            raise SharpwaveError(f"to know what the channel {wanted!r} records", got=listed, fix=fix)
        chosen.setdefault("eeg" if modality == "lfp" else modality, []).append(name)
    return roles | chosen


def _is_apart(name: str, names: Sequence[str]) -> bool:
    """Whether an electrode stands here without its mastoid or ear, and elsewhere with it."""
    site, _, reference = name.partition("-")
    return reference not in _MASTOIDS and any(f"{site}-{mastoid}" in names for mastoid in _MASTOIDS)


def _clean(label: str) -> str:
    text = unicodedata.normalize("NFKC", str(label)).replace("\x00", " ")
    text = re.sub(r"\(?\b([AMam])1\s*[+&/,;]\s*\1?2\b\)?(\s*/\s*2)?", r"\g<1>1\g<1>2", text)
    text = re.sub(r"(?i)[-( ]*\blinked([ _-]?(ears?|mastoids?))?\b\)?", "-LINKED", text)
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


def _dressed(label: str) -> ChannelIdentity | None:
    """A known channel between words that do not change what it is: "PSG_C4", "C3-M2 [1]", "EEG C4-M1 (AVG)"."""
    label = re.sub(r"^[\[{](.*)[\]}]$", r"\1", label)
    bare = re.sub(rf"(\s*\([^()]*\)|\s*\[[^\[\]]*\]|#\d+|[ _-]+({TRIMMINGS}))+$", "", label, flags=re.IGNORECASE)
    tails = _list_tails(bare.strip())
    for tail in tails:
        spaced = re.sub(r"(?i)^(\S+)[ .]+([MA][12])$", r"\1-\2", tail)
        found = _turned(spaced) or _electrode(spaced) or _eog_with_reference(spaced)
        beside = bare.strip()[: -len(tail)].endswith("-") and tail.upper() in _MASTOIDS
        if found is not None and not beside:  # "CZ2-A1" is no A1
            return found
    named = [tail for tail in tails if _NAMED.fullmatch(tail.upper())]
    named += [re.sub(r"[_-]+", " ", tail) for tail in named]
    return next((known for tail in named if (known := _aliased(tail)).modality != "other"), None)


def _list_tails(label: str) -> list[str]:
    """The label, and what is left of it without its first words, of which none may say what the channel is."""
    tails = [label]
    for separator in re.finditer(r"[ _.|-]+", label):
        before = re.split(r"[ _.|-]+", label[: separator.start()].upper())
        if set(before) & (_KEPT - {"REF"}):
            break
        tails.append(label[separator.end() :])
    return [tail for tail in tails if tail]


def _turned(label: str) -> ChannelIdentity | None:
    """The reference named first: C4-A1 upside down."""
    reference, dash, site = label.upper().partition("-")
    if not dash or reference in _UPPER_ELECTRODES or reference not in _SITES:
        return None
    found = _electrode(f"{site}-{reference}") if _SITES.get(site) in ELECTRODES else None
    return None if found is None else replace(found, inverted=True)


def _generic(label: str) -> ChannelIdentity | None:
    """A label that says what it is and no more: "EEG L", "EEG-0", "ZMax EEG R"."""
    for word, modality in (("EEG", "eeg"), ("EOG", "eog"), ("EMG", "emg"), ("ECG", "ecg"), ("EKG", "ecg")):
        if re.search(rf"(?<![A-Z]){word}(?![A-Z]{{2}}|[A-KM-QS-Z])", label.upper()):
            words = set(re.findall(r"[A-Z]+\d?", label.upper())) - {word}
            if words & set(_SITES) - set(_UPPER_ELECTRODES):
                return None
            leg = modality == "emg" and re.search(r"LEG|TIB|PLM|JAMBE|BEIN", label.upper())
            return ChannelIdentity(f"EMG leg ({label})" if leg else label, modality)
    return None


def _aliased(label: str) -> ChannelIdentity:
    text = label.upper()
    for word, english in WORDS:
        text = re.sub(rf"\b{word}\b", english, text)
    for pattern, name, modality in PATTERNS:
        match = re.fullmatch(pattern, text)
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
    by_label = {label: name for name, label in recording.metadata.get("labels", {}).items()}
    for name in (wanted, recognise_channel(wanted).name, by_label.get(wanted)):
        if name in recording.signals:
            return str(name)
    raise SharpwaveError(
        f"one of the signals {', '.join(recording.signals) or '(none)'}",
        got=repr(wanted),
        fix="give one of these with --channels, or say what a channel is with --channel-alias LABEL=NAME:MODALITY",
    )
