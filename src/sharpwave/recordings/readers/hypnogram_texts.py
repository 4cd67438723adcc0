"""Scorings as one label a line, as a JSON list, and as the XML of the National Sleep Research Resource.

`-profusion.xml` (Compumedics Profusion) lists one `SleepStage` per epoch, `-nsrr.xml` has a `ScoredEvent` per stretch
of a stage ("Stage 2 sleep|2") from the start of the recording. Both use Rechtschaffen & Kales' integers: 5 is REM, 9
unscored.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers.scoring import (
    MAX_EPOCHS,
    Scoring,
    codes_of_names,
    fill_epochs,
    name_stage,
    names_of_codes,
)

_LEGEND = re.compile(r"(-?\d+)\s*[:=]\s*([A-Za-z][\w ]*)")
_EPOCH = re.compile(r"(\d+(?:\.\d+)?)\s*-?\s*(?:s|sec|seconds?)\b", re.IGNORECASE)
_INTEGER = re.compile(r"[+-]?\d{1,3}(\.0*)?")
_USUAL = (30.0, 20.0, 10.0, 5.0, 4.0, 2.0, 1.0)
_LONGEST_NIGHT = 6000
"""Epochs: 50 h of 30 s; a longer list without an epoch length is probably scored per second."""


def read_lines(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    duration: float | None = None,
) -> Scoring:
    """Read one label a line; comments (`#`) may hold a legend and the epoch length.

    Args:
        text: Text of the file.
        path: The file, for messages.
        epoch_length: Seconds; from the header, the comments, or `duration` if None.
        convention: Meaning of integer codes; from the header or the comments if None.
        duration: Length of the recording, s, where known.
    """
    lines = [line.strip() for line in text.split("\n")]
    comments = " ".join(line[1:] for line in lines if line.startswith("#"))
    labels = [line.strip("\"' ") for line in lines if line and not line.startswith("#")]
    if labels and labels[0].lower() == "[hypnogram]":
        labels, convention, epoch_length = labels[1:], convention or "dreams", epoch_length or 5.0
    elif labels and labels[0].lower() in ("stage", "stages", "hypnogram", "sleep stage", "sleep_stage", "label"):
        labels = labels[1:]
    legend = {int(code): name for code, name in _LEGEND.findall(comments) if name_stage(name) is not None}
    stated = _EPOCH.search(comments)
    return read_labels(
        labels,
        path,
        epoch_length=epoch_length or (float(stated.group(1)) if stated else None),
        convention=convention or legend or None,
        duration=duration,
    )


def read_json(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    duration: float | None = None,
) -> Scoring:
    """Read a JSON list of stages, as Dreem publishes them: −1 unscored, 0 W, 1 N1, 2 N2, 3 N3, 4 REM, every 30 s."""
    values = json.loads(text)
    if isinstance(values, dict):
        values = next((values[key] for key in ("hypnogram", "stages", "stage") if key in values), None)
    if not isinstance(values, list) or not all(isinstance(value, int | float | str) for value in values):
        raise SharpwaveError(
            f"a list of stages in {path.name}", got="other JSON", fix="write [0, 0, 1, 2, ...] or a list of names"
        )
    labels = [f"{value:g}" if isinstance(value, int | float) else value for value in values]
    return read_labels(
        labels, path, epoch_length=epoch_length or 30.0, convention=convention or "aasm", duration=duration
    )


def read_labels(
    labels: Sequence[str],
    path: Path,
    *,
    epoch_length: float | None,
    convention: str | Mapping[int, str] | None,
    duration: float | None,
) -> Scoring:
    """The scoring that a list of labels, one an epoch, means.

    Args:
        labels: Stage names or integers, one an epoch.
        path: The file, for messages.
        epoch_length: Seconds; guessed from `duration` if None.
        convention: Meaning of integer stages, see `read_hypnogram`.
        duration: Length of the recording, s, where known.

    Raises:
        SharpwaveError: If there are none, too many, one is no stage, or the epoch length cannot be told.
    """
    if not labels:
        raise SharpwaveError(f"stages in {path.name}", got="none", fix="check that it is a hypnogram")
    if len(labels) > MAX_EPOCHS:
        raise SharpwaveError(f"at most {MAX_EPOCHS} epochs", got=f"{len(labels)}", fix="check that it is a hypnogram")
    names = _names(labels, path, convention)
    length, repairs = (epoch_length, []) if epoch_length else _guess_length(len(names), duration, path)
    codes, n_stages = codes_of_names(names)
    return Scoring(Hypnogram(codes, length, n_stages), repairs=tuple(repairs))


def _names(labels: Sequence[str], path: Path, convention: str | Mapping[int, str] | None) -> list[str]:
    if all(_INTEGER.fullmatch(label) for label in labels):
        return names_of_codes([int(float(label)) for label in labels], convention=convention)
    names = [name_stage(label, digits=True) for label in labels]
    strange = [
        (number, label) for number, (label, name) in enumerate(zip(labels, names, strict=True), 1) if name is None
    ]
    if strange:
        number, label = strange[0]
        raise SharpwaveError(
            f"a sleep stage on every line of {path.name}",
            got=f"{label[:40]!r} as label {number} (and {len(strange) - 1} more)",
            fix="name stages W, N1, N2, N3, R or ?; R&K and many vendors' names are known too",
        )
    return [name or "?" for name in names]


def _guess_length(n_epochs: int, duration: float | None, path: Path) -> tuple[float, list[str]]:
    if duration:
        fits = [length for length in _USUAL if abs(n_epochs * length - duration) <= max(length, 0.01 * duration)]
        if fits:
            return fits[0], []
        raise SharpwaveError(
            f"a scoring that lasts as long as the recording, {duration:g} s",
            got=f"{n_epochs} labels in {path.name}, {duration / n_epochs:.3g} s each",
            fix="pass epoch_length= in seconds, or check that the files belong together (or the sampling rate)",
        )
    if n_epochs > _LONGEST_NIGHT:
        raise SharpwaveError(
            f"the epoch length of {path.name}",
            got=f"{n_epochs} labels and no epoch length",
            fix="pass epoch_length=, for example 1 for per-second labels",
        )
    return 30.0, ["the scoring states no epoch length; 30 s taken"]


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
        path: The file, for messages.
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
