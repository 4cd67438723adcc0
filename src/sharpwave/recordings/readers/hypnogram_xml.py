"""Scorings as XML: Compumedics Profusion, the National Sleep Research Resource, Wonambi, Philips Sleepware.

`-profusion.xml` lists one `SleepStage` per epoch, `-nsrr.xml` has a `ScoredEvent` per stretch of a stage ("Stage 2
sleep|2"); both use Rechtschaffen & Kales' integers: 5 is REM, 9 unscored. Wonambi has `epoch` elements per `rater`,
Sleepware a `Stage` at each change. Times count from the start of the recording.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.annotations import choose_scorer, is_lights, name_event
from sharpwave.recordings.readers.hypnogram_texts import read_labels
from sharpwave.recordings.readers.scoring import Scoring, fill_epochs, name_stage, names_of_codes
from sharpwave.recordings.recording import empty_events

MOST_CHARACTERS = 1 << 26
MOST_ELEMENTS = 1_000_000
"""A night scored second by second has some hundred thousand."""
DEEPEST = 64
CONVENTION = "rk"
_PIECE = 1 << 16
_OWN_GRAMMAR = re.compile(r"<!\s*(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_NAMESPACE = re.compile(r"^\{[^}]*\}")

Convention = str | Mapping[int, str]


def read_xml(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: Convention | None = None,
    duration: float | None = None,
    scorer: str | None = None,
) -> Scoring:
    """Read the stages of an XML scoring, and its arousals, respiratory events, leg movements and lights as events.

    Args:
        text: The file's text. A document type or entities of its own are refused: they can be made to fill the memory.
        path: The file, for messages.
        epoch_length: Seconds, where the file does not say.
        convention: Meaning of integer stages; "rk" if None.
        duration: Length of the recording, s, where known.
        scorer: Whose scoring to take, where the file holds several.

    Raises:
        SharpwaveError: If it is no XML, is larger or deeper than a scoring, brings its own grammar, or has no stages.
    """
    root = _parse(text, path)
    stated = _number(_text_of(root, "EpochLength"))
    length = stated if np.isfinite(stated) and stated > 0 else epoch_length
    listed = [(element.text or "").strip() for element in root.iter() if _tag(element) == "SleepStage"]
    said: list[str] = []
    if listed:
        scoring = read_labels(listed, path, epoch_length=length, convention=convention or CONVENTION, duration=duration)
        return Scoring(scoring.hypnogram, repairs=scoring.repairs, events=_read_events(root))
    raters = [element for element in root.iter() if _tag(element) == "rater"]
    if raters:
        root, said = _choose_rater(raters, scorer)
    elif scorer is not None:
        choose_scorer([], scorer)
    rows = _find_stages(root, convention or CONVENTION, path)
    if not rows:
        raise SharpwaveError(
            f"sleep stages in {path.name}",
            got="XML without <SleepStage>, a rater's <epoch>, <Stage> or stages among <ScoredEvent>",
            fix="export the staging from Profusion, Sleepware or Wonambi, or take NSRR's -nsrr.xml or -profusion.xml",
        )
    onset, lasting, names = zip(*rows, strict=True)
    hypnogram, repairs = fill_epochs(
        np.array(onset), np.array(lasting), names, epoch_length=length or epoch_length, end=duration
    )
    return Scoring(hypnogram, placed=True, repairs=(*said, *repairs), events=_read_events(root))


def _choose_rater(raters: list[ElementTree.Element], scorer: str | None) -> tuple[ElementTree.Element, list[str]]:
    named = {element.get("name", str(number)): element for number, element in enumerate(raters, 1)}
    scored = [name for name, element in named.items() if any(_tag(part) == "epoch" for part in element.iter())]
    chosen, sentence = choose_scorer(scored or list(named), scorer)
    return named[chosen], [sentence] if sentence else []


def _find_stages(root: ElementTree.Element, convention: Convention, path: Path) -> list[tuple[float, float, str]]:
    """Onset, duration (NaN where it lasts until the next) and stage of each interval."""
    rows = []
    for element in root.iter():
        if _tag(element) == "ScoredEvent":
            if _text_of(element, "EventType").partition("|")[0].strip().lower() in ("stage", "stages"):
                name = _name(_text_of(element, "EventConcept"), convention, path)
                rows.append((_number(_text_of(element, "Start")), _number(_text_of(element, "Duration")), name))
        elif _tag(element) == "epoch" and _text_of(element, "epoch_start"):
            begin, end = _number(_text_of(element, "epoch_start")), _number(_text_of(element, "epoch_end"))
            rows.append((begin, end - begin, _name(_text_of(element, "stage"), convention, path)))
        elif _tag(element) == "Stage" and element.get("Type") and element.get("Start"):
            name = _name(_split_words(element.get("Type", "")), convention, path)
            rows.append((_number(element.get("Start", "")), _number(element.get("Duration", "")), name))
    return rows


def _read_events(root: ElementTree.Element) -> pd.DataFrame:
    """Events other than stages, as the scorer named them: onset, duration (s), label."""
    rows = []
    for element in root.iter():
        tag = _tag(element)
        if tag == "ScoredEvent":
            label = _text_of(element, "EventConcept") or _text_of(element, "Name")
            rows.append((_text_of(element, "Start"), _text_of(element, "Duration"), label))
        elif tag == "Event" and element.get("Type"):
            rows.append((element.get("Start", ""), element.get("Duration", ""), _split_words(element.get("Type", ""))))
        elif tag == "event_type":
            label = element.get("type", "")
            for event in element:
                begin, end = _text_of(event, "event_start"), _text_of(event, "event_end")
                rows.append((begin, str(_number(end) - _number(begin)), label))
    kept = [
        (_number(onset), max(np.nan_to_num(_number(lasting)), 0.0), label)
        for onset, lasting, label in rows
        if np.isfinite(_number(onset)) and (name_event(label) or is_lights(label))
    ]
    return pd.DataFrame(kept, columns=["onset", "duration", "label"]) if kept else empty_events()


def _split_words(name: str) -> str:
    """ "ObstructiveApnea" as two words."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)


def _parse(text: str, path: Path) -> ElementTree.Element:
    """The tree; depth and number of elements are bounded while it grows."""
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
    parser: Any = ElementTree.XMLPullParser(["start", "end"])
    depth, count = 0, 0
    root: ElementTree.Element | None = None
    try:
        for begin in range(0, len(text), _PIECE):
            parser.feed(text[begin : begin + _PIECE])
            for happened, element in parser.read_events():
                root = element if root is None else root
                depth += 1 if happened == "start" else -1
                count += happened == "start"
                if depth > DEEPEST or count > MOST_ELEMENTS:
                    raise SharpwaveError(
                        f"an XML scoring of at most {MOST_ELEMENTS} elements, {DEEPEST} deep",
                        got=f"{path.name}, which is larger",
                        fix="check that it is a scoring",
                    )
        parser.close()
    except ElementTree.ParseError as error:
        raise SharpwaveError(
            f"well-formed XML in {path.name}", got=str(error), fix="copy or export the file again"
        ) from error
    if root is None:
        raise SharpwaveError(f"XML in {path.name}", got="no element", fix="copy or export the file again")
    return root


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


def _name(concept: str, convention: Convention, path: Path) -> str:
    """Stage of "REM sleep|5": the integer decides, the words where there is none."""
    words, _, code = concept.rpartition("|")
    if words and re.fullmatch(r"\d{1,2}", code.strip()):
        return names_of_codes([int(code)], convention=convention)[0]
    if re.fullmatch(r"\d{1,2}", concept.strip()):
        return names_of_codes([int(concept)], convention=convention)[0]
    name = name_stage(re.sub(r"\s+sleep$", "", concept, flags=re.IGNORECASE), digits=True)
    if name is None:
        raise SharpwaveError(
            f"a sleep stage in every stage event of {path.name}",
            got=repr(concept[:40]),
            fix="name stages as NSRR does ('Stage 2 sleep|2')",
        )
    return name
