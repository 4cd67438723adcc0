"""The hypnogram among the tables of intervals of an NWB file: words of rodent laboratories, a table a state, codes.

What looks like sleep states and is not understood is named, so that nobody takes it for a session without any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.readers.scoring import fill_epochs, name_stage
from sharpwave.recordings.recording import Signal, empty_events

MOSTLY = 0.6
"""Share of a table's labels that must be sleep stages for it to be a hypnogram."""

_RODENT: dict[str, str] = {
    "W": "w, wk, awk, aw, qw, wake, awake, waking, wakeful, wakefulness, active wake, quiet wake, active awake, "
    "quiet awake, wake active, wake quiet, awake active, awake quiet, q wake, a wake, qwake, active waking, "
    "quiet waking, active wakefulness, quiet wakefulness, immobile wake, moving wake",
    "NREM": "nr, nrem, nrems, non rem, nonrem, sws, slow wave, slow wave sleep, quiet sleep, synchronized sleep, "
    "synchronised sleep, deep sws, light sws, sommeil lent",
    "R": "r, rem, rems, rapid eye movement, rapid eye movements, rapid eye movement sleep, ps, para, paradoxical, "
    "paradoxical sleep, active sleep, desynchronized sleep, desynchronised sleep, sommeil paradoxal",
    "?": "is, intermediate, intermediate sleep, transition, transitional, drowsy, drowsiness",
}
_WORDS = {word: stage for stage, words in _RODENT.items() for word in words.split(", ")}
_TRIMMINGS = (
    r"\b(states?|epochs?|periods?|bouts?|episodes?|intervals?|stages?|times?|ints?|packets?|theta|sleep)\b|\(.*?\)"
)
STATE_LIKE = (
    r"(sleep|brain|vigilance|arousal|behaviou?r(al)?)[ _]?(state|stage|mode)|sleep|hypnogram|vigilance"
    r"|(^|_)(states?|stages?)($|_)|scor(e|ing)"
)
"""Names of tables and columns that hold sleep states."""
CODES = (
    "state",
    "stage",
    "sleep_state",
    "sleep_stage",
    "label",
    "labels",
    "state_id",
    "states",
    "code",
    "value",
    "id_state",
)
"""Columns in which integers may stand for states."""
_LETTERS = ({"W": "W", "A": "W"}, {"N": "NREM", "S": "NREM"}, {"R": "R", "P": "R"})
"""Letters of wake, NREM and REM sleep, which mean that beside one each of the others alone."""
_FILLERS = re.compile(
    r"[^\w/ -]|\b(is|are|and|or|for|as|und|et|y|means?|codes?)\b|(?<!\w)[-_/]|[-_/](?!\w)", re.IGNORECASE
)
"""What stands between codes and words in a legend."""


def name_state(label: str) -> str | None:
    """The stage that a rodent laboratory's word means: a name in `STAGE_SETS`, "?" where unscored, None for none.

    Args:
        label: Word as the file has it ("WAKEstate", "Slow wave sleep", "paradoxical sleep", "QW").

    >>> [name_state(label) for label in ("NREMstate", "Quiet wake", "paradoxical sleep", "N2", "lever press")]
    ['NREM', 'W', 'R', 'N2', None]
    """
    text = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=state)", " ", str(label).strip())
    text = re.sub(r"[ _./-]+", " ", text).lower().strip()
    bare = " ".join(re.sub(_TRIMMINGS, " ", text).split())
    for candidate in (text, bare):
        if candidate and candidate in _WORDS:
            return _WORDS[candidate]
    return name_stage(str(label)) or (name_stage(bare) if bare else None)


def choose_hypnogram(tables: dict[str, pd.DataFrame]) -> tuple[Hypnogram | None, pd.DataFrame, list[str]]:
    """The hypnogram among tables of intervals, and all other intervals as events.

    Args:
        tables: Events by the name of their table.

    Returns:
        The hypnogram of the table with the most sleep stages, or of all tables that hold one stage each (None where
        neither gives two), the rest as events with a column `table`, and sentences on what was assumed or repaired.
    """
    repairs: list[str] = []
    named = {name: _name_stages(table, repairs, name) for name, table in tables.items()}
    counts = {name: len({stage for stage in stages if stage not in (None, "?")}) for name, stages in named.items()}
    best = max(counts, key=lambda name: counts[name], default="")
    used: tuple[str, ...] = (best,) if counts.get(best, 0) >= 2 else _find_table_per_state(tables, named)
    hypnogram = None
    if used:
        hypnogram, notes = _join_states(tables, named, used)
        repairs += notes
        used = used if hypnogram is not None else ()
    repairs += _name_misunderstood(tables, named, used)
    rest = [table.assign(table=name) for name, table in tables.items() if len(table) and name not in used]
    events = pd.concat(rest, ignore_index=True) if rest else empty_events()
    return hypnogram, events.sort_values("onset", kind="stable", ignore_index=True), repairs


def _join_states(
    tables: dict[str, pd.DataFrame], named: dict[str, list[str | None]], used: tuple[str, ...]
) -> tuple[Hypnogram | None, list[str]]:
    """The stages of some tables as one hypnogram, and what has to be said; None where they contradict each other."""
    table = pd.concat([tables[name] for name in used], ignore_index=True)
    stages = _rodent_names([stage for name in used for stage in named[name]], table["label"].tolist())
    repairs = []
    if len(used) > 1:
        repairs.append(f"sleep states were joined from the tables {', '.join(map(repr, used))}")
    unknown = sorted({str(label) for label, stage in zip(table["label"], stages, strict=True) if stage is None})
    if unknown:
        repairs.append(f"states {', '.join(unknown[:5])} are no sleep stages; unscored")
    order = np.argsort(table["onset"].to_numpy(), kind="stable")
    onset, duration = (table[name].to_numpy(dtype=float)[order] for name in ("onset", "duration"))
    try:
        hypnogram, notes = fill_epochs(onset, duration, [stages[index] or "?" for index in order])
    except SharpwaveError as error:
        return None, [f"the sleep states in {', '.join(map(repr, used))} are not used as a hypnogram: {error}"]
    return hypnogram, [*repairs, *notes]


def _find_table_per_state(tables: dict[str, pd.DataFrame], named: dict[str, list[str | None]]) -> tuple[str, ...]:
    """Tables that hold the intervals of one stage each, where there are at least two stages."""
    own: dict[str, str] = {}
    for name, stages in named.items():
        kinds = {stage for stage in stages if stage not in (None, "?")}
        state = name_state(name)
        if len(kinds) == 1 and None not in stages:
            own[name] = str(next(iter(kinds)))
        elif not kinds and len(stages) and state not in (None, "?") and tables[name]["label"].nunique() == 1:
            own[name] = str(state)
            named[name] = [state] * len(stages)
    return tuple(own) if len(set(own.values())) >= 2 else ()


def _name_stages(table: pd.DataFrame, repairs: list[str], name: str) -> list[str | None]:
    """The stage of each interval, from its label or from a code with a legend."""
    stages = [name_state(label) if isinstance(label, str) else None for label in table["label"]]
    letters = _read_letters(table["label"])
    if letters:
        return [letters.get(str(label).strip().upper(), "?") for label in table["label"]]
    if len(stages) and sum(stage is not None for stage in stages) < MOSTLY * len(stages):
        stages = [None] * len(stages)
    if len(stages) and not any(stages):
        coded = _read_codes(table)
        if coded is not None:
            column, legend, stages = coded
            said = ", ".join(f"{code} is {stage}" for code, stage in sorted(legend.items()))
            repairs.append(f"the codes in {column!r} of the table {name!r} were read by its description: {said}")
    return _rodent_names(stages, table["label"].tolist())


def _rodent_names(stages: list[str | None], labels: list) -> list[str | None]:
    """Stages in which slow-wave sleep is all of NREM sleep, as in rodents, where no finer stage is there."""
    if {"N1", "N2"} & set(stages):
        return [
            "N3" if stage == "NREM" and _is_slow(label) else stage for stage, label in zip(stages, labels, strict=True)
        ]
    slow = [stage == "N3" and _is_slow(label) for stage, label in zip(stages, labels, strict=True)]
    return ["NREM" if is_slow else stage for is_slow, stage in zip(slow, stages, strict=True)]


def _is_slow(label: object) -> bool:
    known = isinstance(label, str) and (name_stage(label) == "N3" or re.search(r"slow.?wave|sws", label, re.IGNORECASE))
    return bool(known) and not re.search(r"[34]", str(label))


def _find_codes(table: pd.DataFrame) -> tuple[str, list[int]] | None:
    """The column of integers that may be states, and its values."""
    for column in table.columns:
        word = str(column).lower()
        if not (word in CODES or re.search(STATE_LIKE, word)):
            continue
        values = pd.to_numeric(table[column], errors="coerce")
        if len(values) and values.notna().all() and (values == values.round()).all() and values.nunique() <= 20:
            return str(column), values.astype(int).tolist()
    return None


def _read_codes(table: pd.DataFrame) -> tuple[str, dict[int, str], list[str | None]] | None:
    """The column of codes, what each means by a legend in the descriptions, and the stages; None without a legend."""
    found = _find_codes(table)
    if found is None:
        return None
    column, codes = found
    for text in table.attrs.get("descriptions", []):
        legend = _read_legend(text)
        if len({*legend} & {*codes}) >= 2:
            return column, legend, [legend.get(code) for code in codes]
    return None


def _read_letters(labels: pd.Series) -> dict[str, str]:
    """What single letters mean, where one stands for each of wake, NREM and REM sleep; empty where they do not."""
    used = {str(label).strip().upper() for label in labels} - {"", "?", "U", "X"}
    found = [{letter: stage for letter, stage in of.items() if letter in used} for of in _LETTERS]
    fits = len(used) == 3 and all(len(each) == 1 for each in found)
    return {letter: stage for each in found for letter, stage in each.items()} if fits else {}


def _read_legend(text: str) -> dict[int, str]:
    """Codes and their stages, as a description gives them: in turn, either first, or all codes and then all words.

    >>> _read_legend("0 = wake, 1 = NREM; 2: REM"), _read_legend("(wake, nrem) = (0, 1)")
    ({0: 'W', 1: 'NREM', 2: 'R'}, {0: 'W', 1: 'NREM'})
    """
    pieces: list[int | str] = []
    for number, words in re.findall(
        r"(?<![\w.])([-+]?\d+)(?![\w.])|((?:(?!(?<![\w.])[-+]?\d+(?![\w.]))[^,;\n|])+)", text
    ):
        word = name_state(" ".join(_FILLERS.sub(" ", words).split())) if words else None
        if number or word not in (None, "?"):
            pieces.append(int(number) if number else str(word))
    kinds = [isinstance(piece, int) for piece in pieces]
    half = len(pieces) // 2
    if len(pieces) < 4 or len(pieces) % 2 or sum(kinds) != half:
        return {}
    if all(first != second for first, second in pairwise(kinds)):
        pairs = list(zip(pieces[::2], pieces[1::2], strict=True))
    elif len(set(kinds[:half])) == 1:
        pairs = list(zip(pieces[:half], pieces[half:], strict=True))
    else:
        return {}
    return {int(a) if isinstance(a, int) else int(b): str(b) if isinstance(a, int) else str(a) for a, b in pairs}


def name_state_series(signals: Mapping[str, Signal]) -> list[str]:
    """A sentence on each series that looks like sleep states, which are read from tables of intervals alone."""
    return [
        f"the series {name!r} may hold sleep states and is kept as a signal; write them as a table of intervals with "
        f"words, or give the scoring with --stages"
        for name, signal in signals.items()
        if signal.modality.name == "other" and re.search(STATE_LIKE, name.lower())
    ]


def _name_misunderstood(
    tables: dict[str, pd.DataFrame], named: dict[str, list[str | None]], used: tuple[str, ...]
) -> list[str]:
    """A sentence on each table that looks like sleep states and gave none."""
    said = []
    for name, table in tables.items():
        if name in used or not len(table):
            continue
        if any(named[name]) and None not in named[name]:
            if re.search(STATE_LIKE, name.lower()):
                only = ", ".join(sorted({str(stage) for stage in named[name]}))
                said.append(
                    f"the table {name!r} holds one state alone ({only}), and is no hypnogram; its rows are events"
                )
            continue
        coded = _find_codes(table)
        if coded is not None and (len(set(coded[1])) > 1 or re.search(STATE_LIKE, name.lower())):
            codes = ", ".join(map(str, sorted(set(coded[1]))[:10]))
            said.append(
                f"the table {name!r} has codes {codes} in {coded[0]!r} and no legend in its description, so that they "
                f"are no sleep states; give them as words, or the scoring with --stages and --stage-convention"
            )
        elif re.search(STATE_LIKE, name.lower()):
            strange = [label for label, stage in zip(table["label"], named[name], strict=True) if stage is None]
            words = ", ".join(map(str, list(dict.fromkeys(strange))[:5]))
            said.append(f"the table {name!r} was not understood as sleep states: {words}; its rows are events")
    return said
