"""Which file scores which night, and whose it is, by the names that public sleep databases give their files."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording

ORDER = (".tsv", ".edf", ".xml", ".txt", ".csv", ".json")
"""Where a night has one scoring in several formats, the first of these is read."""
SLEEP_EDF = re.compile(r"(S[CT]\d)(\d{2})(\d)[A-Z]\w-PSG", re.IGNORECASE)
"""SC4ssNE0-PSG, ST7ssNJ0-PSG: person ss, night N; the scoring has another eighth letter, that of its scorer."""
PERSON = (
    SLEEP_EDF,
    re.compile(r"(shhs)[12]-(\d{6})", re.IGNORECASE),
    re.compile(r"(mesa-sleep|mros-visit\d-aa|cfs-visit\d)-(\d{4,6})", re.IGNORECASE),
)
"""Names that say whose night it is: the first two groups are the person."""


def find_scoring(name: str, folder: str | Path) -> Path:
    """The file that scores a night.

    It begins with the night's name and goes on with no letter or digit: `n1.txt` (CAP), `SN001_sleepscoring.edf` (HMC),
    `shhs1-200001-nsrr.xml` (SHHS). Of Sleep-EDF the scorer's letter may differ: `SC4001EC-Hypnogram.edf`.

    Args:
        name: Name of the recording without its suffix.
        folder: Folder of scorings; it may be that of the recordings.

    Raises:
        SharpwaveError: If there is none, or more than one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for file in ("SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf", "SC4002EC-Hypnogram.edf"):
        ...         Path(folder, file).touch()
        ...     find_scoring("SC4001E0-PSG", folder).name
        'SC4001EC-Hypnogram.edf'
    """
    folder = Path(folder)
    night = SLEEP_EDF.match(name)
    stem = "".join(night.groups()) if night else name
    follows = re.compile(r"[A-Z]\w?-Hypnogram" if night else r"($|[^A-Za-z0-9])", re.IGNORECASE)
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and path.stem.lower().startswith(stem.lower())
        and follows.match(path.stem[len(stem) :])
        and not (path.stem.lower() == name.lower() and path.suffix.lower() in (".edf", ".bdf", ".rec"))
    ]
    by_stem: dict[str, list[Path]] = {}
    for path in found:
        by_stem.setdefault(path.stem, []).append(path)
    if len(by_stem) != 1:
        raise SharpwaveError(
            f"one scoring of {name} in {folder.name}",
            got=", ".join(path.name for path in found) or "none",
            fix="name the scorings as the recordings",
        )
    (same,) = by_stem.values()
    return min(same, key=lambda path: ORDER.index(path.suffix.lower()) if path.suffix.lower() in ORDER else len(ORDER))


def name_person(recording: Recording, name: str) -> Recording:
    """With the person whose night it is, so that two nights of one person are never split.

    Args:
        recording: A recording.
        name: Name of its file without the suffix; where neither says who it is, a person of its own.

    Example:
        >>> name_person(Recording(), "SC4012E0-PSG").subject, name_person(Recording(), "n1").subject
        ('SC401', 'n1')
    """
    for pattern in PERSON:
        if found := pattern.match(name):
            return replace(recording, subject="".join(found.groups()[:2]))
    return replace(recording, subject=name) if recording.subject in ("", "unknown") else recording
