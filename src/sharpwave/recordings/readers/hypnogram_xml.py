"""Scorings in XML as the National Sleep Research Resource gives them: Compumedics Profusion's and NSRR's own.

`-profusion.xml` lists one `SleepStage` per epoch, `-nsrr.xml` has a `ScoredEvent` per stretch of a stage ("Stage 2
sleep|2") from the start of the recording. Both use Rechtschaffen & Kales' integers: 5 is REM, 9 unscored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.epochs import fill_epochs
from sharpwave.recordings.readers.hypnogram_lines import read_labels
from sharpwave.recordings.readers.scoring import Scoring
from sharpwave.recordings.stage_labels import name_stage, names_of_codes

MOST_CHARACTERS = 1 << 26
CONVENTION = "rk"
_OWN_GRAMMAR = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_NAMESPACE = re.compile(r"^\{[^}]*\}")


def read_xml(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    duration: float | None = None,
) -> Scoring:
    """Read the stages of a Profusion or NSRR annotation file; other events are passed over.

    Args:
        text: The file's text. A document type or entities of its own are refused: they can be made to fill the memory.
        path: For messages.
        epoch_length: Seconds, where the file does not say.
        convention: Meaning of integer stages; "rk" if None.
        duration: Length of the recording, s, where known.

    Raises:
        SharpwaveError: If it is no XML, brings its own grammar, or holds no stages.
    """
    root = _parse(text, path)
    stated = _number(_text_of(root, "EpochLength"))
    length = stated if np.isfinite(stated) and stated > 0 else epoch_length
    listed = [(element.text or "").strip() for element in root.iter() if _tag(element) == "SleepStage"]
    if listed:
        return read_labels(listed, path, epoch_length=length, convention=convention or CONVENTION, duration=duration)
    rows = [element for element in root.iter() if _tag(element) == "ScoredEvent"]
    rows = [row for row in rows if _text_of(row, "EventType").partition("|")[0].strip().lower() in ("stage", "stages")]
    if not rows:
        raise SharpwaveError(
            f"sleep stages in {path.name}",
            got="XML without <SleepStage> or stages among <ScoredEvent>",
            fix="export the staging from Profusion, or take the -nsrr.xml or -profusion.xml of the recording",
        )
    names = [_name(_text_of(row, "EventConcept"), convention or CONVENTION, path) for row in rows]
    onset, lasting = (np.array([_number(_text_of(row, key)) for row in rows]) for key in ("Start", "Duration"))
    hypnogram, repairs = fill_epochs(onset, lasting, names, epoch_length=length)
    return Scoring(hypnogram, placed=True, repairs=tuple(repairs))


def _parse(text: str, path: Path) -> ElementTree.Element:
    if len(text) > MOST_CHARACTERS:
        raise SharpwaveError(
            f"an XML scoring of at most {MOST_CHARACTERS} characters",
            got=f"{len(text)} in {path.name}",
            fix="check that it is a scoring",
        )
    if _OWN_GRAMMAR.search(text):
        raise SharpwaveError(
            f"plain XML in {path.name}",
            got="a document type or entities of its own",
            fix="remove the <!DOCTYPE …> if you trust the file",
        )
    try:
        return ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise SharpwaveError(
            f"well-formed XML in {path.name}", got=str(error), fix="copy or export the file again"
        ) from error


def _tag(element: ElementTree.Element) -> str:
    return _NAMESPACE.sub("", element.tag) if isinstance(element.tag, str) else ""


def _text_of(element: ElementTree.Element, name: str) -> str:
    """Text of the first child of that name; empty where there is none."""
    return next(((child.text or "").strip() for child in element if _tag(child) == name), "")


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _name(concept: str, convention: str | Mapping[int, str], path: Path) -> str:
    """Stage of "REM sleep|5": the integer decides, the words where there is none."""
    words, _, code = concept.rpartition("|")
    if words and re.fullmatch(r"\d{1,2}", code.strip()):
        return names_of_codes([int(code)], convention=convention)[0]
    name = name_stage(re.sub(r"\s+sleep$", "", concept, flags=re.IGNORECASE), digits=True)
    if name is None:
        raise SharpwaveError(
            f"a sleep stage in every stage event of {path.name}",
            got=repr(concept[:40]),
            fix="name stages as NSRR does ('Stage 2 sleep|2')",
        )
    return name
