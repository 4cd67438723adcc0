"""Scorings as one label a line, with or without a head, and as a JSON list."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers.hypnogram_shapes import HEADERS, plain_name
from sharpwave.recordings.readers.scoring import (
    INTEGER,
    MAX_EPOCHS,
    Scoring,
    are_codes,
    codes_of_names,
    name_stage,
    names_of_codes,
    read_codes,
)

_LEGEND = re.compile(r"(-?\d+)\s*[:=]\s*([A-Za-z]\w*(?: (?!-?\d+\s*[:=])\w+)*)")
_EPOCH = re.compile(r"(\d+(?:\.\d+)?)\s*-?\s*(?:s|sec|seconds?)\b", re.IGNORECASE)
_USUAL = (30.0, 20.0, 10.0, 5.0, 4.0, 2.0, 1.0, 2.5, 15.0, 60.0)
"""Lengths of epochs in seconds, the usual ones first."""
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
    labels, repairs = _fill_blank([line for line in lines if not line.startswith("#")], duration)
    if head := _find_head(labels):
        epoch_length = epoch_length or head[1]
        labels = labels[head[0] :]
        repairs += _say_convention(labels, convention)
        convention = convention or _guess_convention(labels)
    elif labels and re.fullmatch(r"\[hypnogram.{0,4}\]", labels[0].lower()):
        labels, convention, epoch_length = labels[1:], convention or "dreams", epoch_length or 5.0
    elif labels and plain_name(labels[0]) in HEADERS["label"].split("|"):
        labels = labels[1:]
    elif _begins_with_heading(labels, duration):
        repairs.append(f"the first line, {labels[0][:40]!r}, is no stage and is taken as a heading")
        labels = labels[1:]
    legend = {int(code): name for code, name in _LEGEND.findall(comments) if name_stage(name) is not None}
    stated = _EPOCH.search(comments)
    scoring = read_labels(
        labels,
        path,
        epoch_length=epoch_length or (float(stated.group(1)) if stated else None),
        convention=convention or legend or None,
        duration=duration,
    )
    return replace(scoring, repairs=(*scoring.repairs, *repairs))


def _fill_blank(lines: Sequence[str], duration: float | None) -> tuple[list[str], list[str]]:
    """Labels without quotes and separators at their ends; empty lines are epochs where only so their number fits."""
    labels = [line.strip("\"' ").rstrip(",;\t ").strip("\"' ") for line in lines]
    filled = [number for number, label in enumerate(labels) if label]
    labels = labels[filled[0] : filled[-1] + 1] if filled else []
    there = [label for label in labels if label]
    n_blank = len(labels) - len(there)
    if not n_blank or n_blank >= 0.5 * len(there):
        return there, []
    if _fits(len(labels), duration) and not _fits(len(there), duration):
        return [label or "?" for label in labels], [f"{n_blank} empty lines between stages are unscored epochs"]
    return there, [f"{n_blank} empty lines between stages were left out"]


def fitting_numbers(duration: float | None, epoch_length: float | None = None) -> list[int]:
    """Numbers of epochs of usual lengths that last as long as a recording, within half an epoch.

    >>> fitting_numbers(3600.0)[:3], fitting_numbers(3600.0, 4.0), fitting_numbers(None)
    ([120, 180, 360], [900], [])
    """
    lengths = _USUAL if epoch_length is None else (epoch_length,)
    return [] if duration is None else [round(duration / length) for length in lengths]


def _fits(n_epochs: int, duration: float | None) -> bool:
    return n_epochs in fitting_numbers(duration)


def _begins_with_heading(labels: Sequence[str], duration: float | None) -> bool:
    """Whether the first line is no stage, all others are, and the recording is not as long as all together."""
    known = [name_stage(label, digits=True) is not None or bool(INTEGER.fullmatch(label)) for label in labels]
    return len(labels) > 4 and not known[0] and all(known[1:]) and not _fits(len(labels), duration)


_HEAD = re.compile(r"(?:time(?:_?base)?|epoch(?:_?length)?)\s*[:=]?\s*(\d+(?:\.\d*)?)\s*s?", re.IGNORECASE)
_MOST_HEAD = 12


def _find_head(labels: Sequence[str]) -> tuple[int, float | None] | None:
    """Number of lines of a head as Elan and Visbrain write it ("time 30.0", "numstage"), and the epoch length in it."""
    first = next((match for match in map(_HEAD.fullmatch, labels[:_MOST_HEAD]) if match), None)
    if first is None or name_stage(labels[0]) is not None or INTEGER.fullmatch(labels[0]):
        return None
    for number, label in enumerate(labels[: _MOST_HEAD + 1]):
        if INTEGER.fullmatch(label) or name_stage(label) is not None:
            return number, float(first.group(1)) or None
    return None


def _guess_convention(labels: Sequence[str]) -> str:
    """Elan's integers are Rechtschaffen & Kales' (5 is REM); some programs write AASM's (4 is REM) under that head."""
    return "rk" if any(label.partition(".")[0] == "5" for label in labels) else "aasm"


def _say_convention(labels: Sequence[str], convention: object) -> list[str]:
    if convention or not all(map(INTEGER.fullmatch, labels)) or not any(label[0] in "45" for label in labels):
        return []
    return [f"integers of the .hyp file are read as {_guess_convention(labels)!r} (--stage-convention says otherwise)"]


def read_json(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    duration: float | None = None,
) -> Scoring:
    """Read a JSON list of stages, as Dreem publishes them: −1 unscored, 0 W, 1 N1, 2 N2, 3 N3, 4 REM, every 30 s."""
    values = _load_json(text, path)
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


def _load_json(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SharpwaveError(
            f"well-formed JSON in {path.name}", got=str(error)[:120], fix="copy or export the file again"
        ) from error


def tabulate_json(text: str, path: Path) -> str:
    """A JSON list of objects, or an object of several scorers' lists, as a table; any other JSON as it is.

    Args:
        text: Text of the file.
        path: The file, for messages.

    Raises:
        SharpwaveError: If it is no JSON.

    >>> tabulate_json('[{"start": 0, "stage": "W"}]', Path("stages.json"))
    'start\\tstage\\n0\\tW'
    """
    values = _load_json(text, path)
    rows: Any = values if isinstance(values, list) else None
    if isinstance(values, dict):
        rows = next((part for part in values.values() if _holds_rows(part)), None)
    if isinstance(values, dict) and rows is None:
        lists = {name: v for name, v in values.items() if isinstance(v, list) and v and isinstance(v[0], str)}
        if len(lists) < 2 or len({len(column) for column in lists.values()}) != 1:
            return text
        columns = enumerate(zip(*lists.values(), strict=True), 1)
        rows = [{"epoch": number, **dict(zip(lists, cells, strict=True))} for number, cells in columns]
    if not _holds_rows(rows):
        return text
    heads = list(dict.fromkeys(name for row in rows for name in row))
    lines = [[str(row.get(name, "")) for name in heads] for row in rows]
    return "\n".join("\t".join(re.sub(r"\s+", " ", cell) for cell in line) for line in (heads, *lines))


def _holds_rows(values: object) -> bool:
    return isinstance(values, list) and bool(values) and all(isinstance(row, dict) for row in values)


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
    length, repairs = (epoch_length, []) if epoch_length else guess_length(len(names), duration, path)
    codes, n_stages = codes_of_names(names)
    return Scoring(Hypnogram(codes, length, n_stages), repairs=tuple(repairs))


def _names(labels: Sequence[str], path: Path, convention: str | Mapping[int, str] | None) -> list[str]:
    if are_codes(labels):
        return names_of_codes(read_codes(labels), convention=convention, where=path.name)
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


def guess_length(n_epochs: int, duration: float | None, path: Path) -> tuple[float, list[str]]:
    """Length of an epoch in seconds by the length of the recording, else 30 s; and a sentence where it is a guess.

    Args:
        n_epochs: Number of labels.
        duration: Length of the recording in seconds, where known.
        path: The file, for messages.

    Raises:
        SharpwaveError: If no usual length fits.

    >>> guess_length(90, 1800.0, Path("stages.txt"))
    (20.0, [])
    """
    if duration:
        fits = [length for length in _USUAL if abs(n_epochs * length - duration) <= max(length, 0.01 * duration)]
        if fits:
            return fits[0], []
        near = min(_USUAL, key=lambda length: abs(n_epochs * length - duration))
        off = n_epochs * near - duration
        more = f"; if it begins with the recording and is {abs(off):g} s too {'long' if off > 0 else 'short'}, "
        more += f"--stage-epoch {near:g} --stage-tolerance {np.ceil(abs(off)):g}"
        more = more if abs(off) <= 0.1 * duration else ""
        raise SharpwaveError(
            f"a scoring that lasts as long as the recording, {duration:g} s",
            got=f"{n_epochs} labels in {path.name}, {duration / n_epochs:.3g} s each",
            fix="give --stage-epoch in seconds, or check that the files belong together (or the sampling rate)" + more,
        )
    if n_epochs > _LONGEST_NIGHT:
        raise SharpwaveError(
            f"the epoch length of {path.name}",
            got=f"{n_epochs} labels and no epoch length",
            fix="give --stage-epoch, for example 1 for labels of seconds",
        )
    return 30.0, ["the scoring states no epoch length; 30 s taken"]
