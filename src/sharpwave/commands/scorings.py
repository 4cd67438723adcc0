"""Which file scores which night, and whose it is, by the names that public sleep databases give their files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, option, read_convention

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

ORDER = (".tsv", ".edf", ".bdf", ".xml", ".rml", ".txt", ".csv", ".json", ".annot", ".hyp", ".ids")
"""Endings of scorings; where a night has one in several formats, the first of these is read."""
SLEEP_EDF = re.compile(r"(?<![A-Z0-9])(S[CT]\d)(\d{2})(\d)[A-Z]\w-PSG", re.IGNORECASE)
"""SC4ssNE0-PSG, ST7ssNJ0-PSG: person ss, night N; the scoring has another eighth letter, that of its scorer."""
PERSON = (
    SLEEP_EDF,
    re.compile(r"(?<![A-Z0-9])(shhs)[12]-(\d{6})", re.IGNORECASE),
    re.compile(r"^(slp)(\d{2})[a-z]?$"),
    re.compile(r"(?<![A-Z0-9])(mesa-sleep|mros|cfs)(?:-visit\d)?(?:-aa)?-?(\d{4,6})", re.IGNORECASE),
)
"""Names that say whose night it is: the first two groups are the person."""
WORDS = (re.compile(r"stag|scor|hypn|(\b|_)base$|-nsrr$", re.IGNORECASE), re.compile(r"aasm", re.IGNORECASE))
"""Of several files of one night, those whose names hold such words are its scorings, and the first scorings."""


@dataclass(frozen=True)
class Scorings:
    """Where the stages of nights are, and how they are read.

    Attributes:
        folder: Folder of hypnograms named as the nights; None where the nights hold their stages.
        stage_convention: Meaning of integers in them: a name in `STAGE_CONVENTIONS`; None where they name stages.
        scorer: Whose scoring to take, where several scored; a person's, else the first, if None.
        wake_margin: Minutes before the first and after the last sleep of a night that are kept; all where None.
    """

    folder: Path | None = option(
        None,
        "Folder of hypnograms named as the nights, where these do not hold their stages; its folders are searched too.",
        name="scorings",
    )
    stage_convention: str | None = option(
        None, "Meaning of integers in the scorings: yasa, aasm, rk, dreams, ucddb.", convert=read_convention
    )
    scorer: str | None = option(
        None, "Whose scoring to take, where several scored a night [default: a person's, else the first]."
    )
    wake_margin: float | None = option(
        None,
        "Minutes that are kept before the first and after the last sleep of a night, such as 30 where recordings "
        "hold the day as well, as Sleep-EDF's do [default: all].",
        min=0,
    )

    @property
    def how(self) -> DecodeOptions:
        """How a recording is opened that may hold stages itself."""
        return DecodeOptions(stage_convention=self.stage_convention, scorer=self.scorer)

    @property
    def sign(self) -> list[str]:
        """What is read from the same files depends on these, too."""
        return [
            f"{name}={value}"
            for name in ("stage_convention", "scorer", "wake_margin")
            if (value := getattr(self, name)) is not None
        ]


def trim_wake(recording: Recording, minutes: float | None) -> Recording:
    """The recording from so many minutes before its first sleep to as many after its last; and a sentence on it.

    A recording without sleep stays as it is.

    Args:
        recording: A recording with its stages.
        minutes: Minutes that are kept on either side; all where None.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> day = Recording(hypnogram=Hypnogram.from_labels(["W"] * 400 + ["N2"] * 10 + ["W"] * 200))
    >>> kept = trim_wake(day, 30.0)
    >>> kept.hypnogram.start, len(kept.hypnogram), kept.repairs[0]
    (0.0, 130, '4 h of 5.08 h are left out: what is more than 30 min before the first or after the last sleep')
    """
    from sharpwave.night.several_nights import NightSpan, take_night

    hypnogram = recording.hypnogram
    asleep = [] if hypnogram is None else [k for k, code in enumerate(hypnogram.stages) if code > 0]
    if minutes is None or hypnogram is None or not asleep:
        return recording
    epoch, length = hypnogram.epoch_length, recording.duration
    margin = epoch * int(60 * minutes / epoch + 1e-6)
    start = max(hypnogram.start + asleep[0] * epoch - margin, 0.0)
    end = min(hypnogram.start + (asleep[-1] + 1) * epoch + margin, length)
    if start <= 0 and end >= length - epoch:
        return recording
    said = (
        f"{(length - end + start) / 3600:.3g} h of {length / 3600:.3g} h are left out: "
        f"what is more than {minutes:g} min before the first or after the last sleep"
    )
    metadata = dict(recording.metadata)
    metadata |= {name: metadata[name] - start for name in ("lights_off", "lights_on") if _is_number(metadata.get(name))}
    return take_night(replace(recording, metadata=metadata), NightSpan(start, end, "", said))


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def find_scoring(
    name: str, folder: str | Path, *, beside: str | Path | None = None, scorer: str | None = None
) -> tuple[Path, str]:
    """The file that scores a night, and a sentence on which one was taken where there are several.

    It begins with the night's name and goes on with no letter or digit: `n1.txt` (CAP), `SN001_sleepscoring.edf` (HMC),
    `shhs1-200001-nsrr.xml` (SHHS), `01-02-0001 Base.edf` (MASS, of `01-02-0001 PSG.edf`), or ends with it:
    `HypnogramAASM_subject1.txt` (DREAMS). Of Sleep-EDF the scorer's letter may differ: `SC4001EC-Hypnogram.edf`.

    Args:
        name: Name of the recording without its suffix.
        folder: Folder of scorings; it may be that of the recordings, and hold folders.
        beside: Folder of the recording; where it lies in `folder`, the scorings in it count before others.
        scorer: Number at the end of the name, where each scorer has a file of their own (`1_2.txt`, ISRUC).

    Raises:
        SharpwaveError: If there is none, or more than one.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     for file in ("SC4001E0-PSG.edf", "SC4001EC-Hypnogram.edf", "SC4002EC-Hypnogram.edf"):
        ...         Path(folder, file).touch()
        ...     find_scoring("SC4001E0-PSG", folder)[0].name
        'SC4001EC-Hypnogram.edf'
    """
    files = list_scorings(str(folder))
    near = [] if beside is None else files.get(str(Path(beside).resolve()), [])
    own = files.get(str(Path(folder).resolve()), [])
    rest = [path for paths in files.values() for path in paths]
    by_stem: dict[str, list[Path]] = {}
    for paths in (near, own, rest):
        for path in _match(name, paths):
            by_stem.setdefault(path.stem, []).append(path)
        if by_stem:
            break
    found = [path for paths in by_stem.values() for path in paths]
    for word in WORDS:
        by_stem = {stem: paths for stem, paths in by_stem.items() if word.search(stem)} or by_stem
    said = ""
    numbered = {stem[-1]: stem for stem in by_stem if re.search(r"[_-]\d$", stem)}
    if len(by_stem) > 1 and len(numbered) == len(by_stem) and (scorer or min(numbered)) in numbered:
        taken = numbered[scorer or min(numbered)]
        said = f"{len(by_stem)} scorings ({', '.join(sorted(by_stem))}): {taken} was taken; --scorer chooses"
        by_stem = {taken: by_stem[taken]}
    formats = {path.suffix.lower() for paths in by_stem.values() for path in paths}
    if len(by_stem) != 1 or len(formats) != sum(map(len, by_stem.values())):
        raise SharpwaveError(
            f"one scoring of {name} in {Path(folder).name}",
            got=", ".join(path.name for path in found) or "none",
            fix="name the scorings as the recordings" + (", and leave one for each" if found else ""),
        )
    (same,) = by_stem.values()
    return min(same, key=lambda path: ORDER.index(path.suffix.lower())), said


@lru_cache(maxsize=4)
def list_scorings(folder: str) -> Mapping[str, list[Path]]:
    """Files that may be scorings, by folder, in a folder and those inside it; looked up once for all nights."""
    found: dict[str, list[Path]] = {}
    for path in sorted(Path(folder).resolve().rglob("*")):
        if path.suffix.lower() in ORDER and path.is_file():
            found.setdefault(str(path.parent), []).append(path)
    return found


def _match(name: str, paths: list[Path]) -> list[Path]:
    """The files among some that are named as scorings of a night."""
    night = SLEEP_EDF.match(name)
    stem = "".join(night.groups()) if night else re.sub(r"[ _-]PSG$", "", name, flags=re.IGNORECASE)
    tail = r"[A-Z]\w?-Hypnogram" if night else r"($|[^A-Z0-9].*)"
    named = re.compile(rf"{re.escape(stem)}{tail}|hypnogram[^_-]*[_-]{re.escape(stem)}", re.IGNORECASE)
    itself = (".edf", ".bdf", ".rec")
    return [
        path
        for path in paths
        if named.fullmatch(path.stem) and not (path.stem.lower() == name.lower() and path.suffix.lower() in itself)
    ]


def name_person(recording: Recording, name: str) -> Recording:
    """With the person whose night it is, so that two nights of one person are never split.

    Args:
        recording: A recording.
        name: Name of its file without the suffix; where neither says who it is, a person of its own.

    Example:
        >>> from sharpwave.recordings import Recording
        >>> name_person(Recording(), "SC4012E0-PSG").subject, name_person(Recording(), "n1").subject
        ('SC401', 'n1')
    """
    for pattern in PERSON:
        if found := pattern.search(name):
            return replace(recording, subject="".join(found.groups()[:2]))
    if (person := recording.metadata.get("pid")) is not None:  # BOAS: several nights, each a participant of its own
        return replace(recording, subject=f"pid-{person}")
    return replace(recording, subject=name) if recording.subject in ("", "unknown") else recording
