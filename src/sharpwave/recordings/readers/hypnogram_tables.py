"""Scorings as tables: BIDS `_hypnogram.tsv` and `_events.tsv`, Noxturnal-like exports with translated headers, Luna's.

Rows that name no stage but an arousal, an apnoea or the like are kept as events of the scoring.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.annotations import choose_scorer, is_lights, name_event
from sharpwave.recordings.clock import ClockColumn, parse_times, read_clock_column
from sharpwave.recordings.clock_steps import compute_offset
from sharpwave.recordings.clock_words import find_strange_word
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.recordings.readers.hypnogram_gaps import add_unknown_stages
from sharpwave.recordings.readers.hypnogram_shapes import find_columns, find_delimiter, find_stage_columns, find_unit
from sharpwave.recordings.readers.scoring import Scoring, fill_epochs, name_stage, names_of_codes
from sharpwave.recordings.recording import empty_events

_PROBABILITY = re.compile(r"p(?:roba)?[ _](.+)", re.IGNORECASE)
Rows = list[list[str]]
BESIDE = 120.0
"""Seconds by the clock within which an event belongs to the stage in a row beside its own."""
QUARTER = 900.0
"""Seconds; zones lie a whole number of quarters of an hour apart."""
ANEW = 4000.0
"""Seconds back by which a list of events begins anew, with those of another kind; a clock is set back by 3,600."""


def read_table(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    start: datetime | None = None,
    duration: float | None = None,
    scorer: str | None = None,
) -> Scoring:
    """Read a table of scored intervals; rows of arousals, respiratory events and lights are the scoring's events.

    Args:
        text: From its header row on, see `find_table`.
        path: The file, for messages.
        epoch_length: Seconds; found from the rows if None.
        convention: Meaning of integer stages, see `read_hypnogram`.
        start: Clock time of the recording's first sample, where known.
        duration: Length of the recording, s, where known.
        scorer: Whose rows to take, where a column says who scored.

    Raises:
        SharpwaveError: If no row names a stage, or times cannot be read.
    """
    header, rows, columns, said = _read_rows(text, scorer)
    names, kept, unknown = _stage_rows(rows, columns, convention, path)
    said += unknown
    written = [_when(rows[index], columns) for index in kept]
    unit = find_unit(header[columns["onset"]])
    read = read_clock_column(written, start=start, length=duration, unit=unit)
    face = None if read.start is None else read.start.replace(tzinfo=None)
    clock, zoned = _find_clock(read, start, duration)
    times, dated = read.seconds, read.dated
    readable = np.isfinite(times)
    if not readable.any():
        word = next((word for text in written if (word := find_strange_word(text))), None)
        raise SharpwaveError(
            f"times in the column {header[columns['onset']]!r} of {path.name}",
            got="none that can be read" + (f": {word!r} is not known" if word else ""),
            fix="use seconds, hh:mm:ss, or dates",
        )
    if not readable.all():
        said.append(f"{int((~readable).sum())} scored rows have no readable time and were left out")
    scored = [rows[index] for index, good in zip(kept, readable, strict=True) if good]
    names = [name for name, good in zip(names, readable, strict=True) if good]
    times = times[readable]
    said += [*read.repairs, *zoned]
    units: dict[str, float] = {
        role: find_unit(header[columns[role]]) for role in ("onset", "end", "duration") if role in columns
    }
    lasting = _durations(scored, columns, times, units)
    end = duration
    if clock is not None and duration is not None:
        end = None if start is None else duration - compute_offset(clock, start, dated=dated)
    hypnogram, filled = fill_epochs(
        times, lasting, names, epoch_length=epoch_length, probabilities=_probabilities(header, scored), end=end
    )
    passed = read.seconds - parse_times(written)[0]  # by how much the clock was set back or forward so far
    events = _read_events(rows, dict(zip(kept, passed, strict=True)), columns, face, units)
    return Scoring(hypnogram, clock, dated, placed=clock is None, repairs=(*said, *filled), events=events)


def _stage_rows(
    rows: Rows, columns: dict[str, int], convention: str | Mapping[int, str] | None, path: Path
) -> tuple[list[str], list[int], list[str]]:
    """Stage names, their rows, and a sentence where some are in words that are not known."""
    labels = [_cell(row, columns["label"]) for row in rows]
    names, kept = _stage_names(labels, convention, path)
    return add_unknown_stages(labels, names, kept, parse_times([_when(row, columns) for row in rows])[0].tolist())


def _find_clock(read: ClockColumn, start: datetime | None, duration: float | None) -> tuple[datetime | None, list[str]]:
    """The first time of a scoring on its recording's clock; and a sentence where only one of the two knows its zone."""
    if read.start is None:
        return None, []
    face = read.start.replace(tzinfo=None)
    if start is None or not read.dated or (read.start.tzinfo is None and start.tzinfo is None):
        return face, []
    if read.start.tzinfo is not None and start.tzinfo is not None:
        return read.start.astimezone(start.tzinfo).replace(tzinfo=None), []
    offset = compute_offset(face, start, dated=read.dated)
    known = read.seconds[np.isfinite(read.seconds)]
    usual = float(np.median(np.diff(known))) if known.size > 1 else 30.0
    quarters = abs(offset - QUARTER * round(offset / QUARTER)) <= 0.5 * usual and QUARTER <= abs(offset) <= 14 * 3600
    fits = duration is not None and known.size > 1 and abs(np.ptp(known) + usual - duration) <= 2 * usual
    if not (quarters and fits):
        return face, []
    said = f"its times are of another zone, {offset / 3600:+g} h from the recording's clock; taken to begin together"
    return start.replace(tzinfo=None), [said]


def read_epochs(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    scorer: str | None = None,
) -> tuple[list[str], np.ndarray | None, list[str], float | None]:
    """Read a table of one row an epoch: stage names, probabilities where there are any, what was said, epoch length.

    Args:
        text: From its header row on, see `find_epochs`.
        path: The file, for messages.
        epoch_length: Seconds, where the user says so.
        convention: Meaning of integer stages, see `read_hypnogram`.
        scorer: Whose column or rows to take, where several scored.
    """
    header, rows, columns, said = _read_rows(text, scorer)
    names, kept = _stage_names([_cell(row, columns["label"]) for row in rows], convention, path)
    if len(kept) < len(rows):
        said.append(f"{len(rows) - len(kept)} rows name no stage and were left out")
    rows = [rows[index] for index in kept]
    if epoch_length is None and "duration" in columns:
        units = dict.fromkeys(("onset", "end", "duration"), 1.0) | {"duration": find_unit(header[columns["duration"]])}
        lengths = _durations(rows, columns, np.zeros(len(rows)), units)
        usual = float(np.nanmedian(lengths)) if np.isfinite(lengths).any() else 0.0
        epoch_length = usual if usual > 0 else None
    probabilities = _probabilities(header, rows)
    numbers = [_cell(row, columns["epoch"]) for row in rows] if "epoch" in columns else []
    if numbers and all(re.fullmatch(r"\d{1,7}(\.0*)?", number) for number in numbers):
        places = np.array([int(float(number)) for number in numbers])
        places -= places[0] if places[0] <= 1 else 1
        steps = np.diff(places)
        if (steps > 0).all() and (steps != 1).any() and places[-1] < 4 * len(places):
            spread = ["?"] * int(places[-1] + 1)
            for place, name in zip(places, names, strict=True):
                spread[place] = name
            said.append(f"{len(spread) - len(names)} epochs are missing in the list and are unscored")
            if probabilities is not None:
                soft = np.full((len(spread), probabilities.shape[1]), np.nan)
                soft[places] = probabilities
                probabilities = soft
            names = spread
    return names, probabilities, said, epoch_length


def _read_rows(text: str, scorer: str | None) -> tuple[list[str], Rows, dict[str, int], list[str]]:
    """Header, rows of one scorer, the position of each role, and what was said of the choice."""
    rows = list(csv.reader(io.StringIO(text), delimiter=find_delimiter(text.partition("\n")[0])))
    header, rows = rows[0], [row for row in rows[1:] if row and not _is_units(row)]
    columns = find_columns(header)
    said: list[str] = []
    if "scorer" in columns:
        who = [_cell(row, columns["scorer"]) for row in rows]
        scorers = [name for name in dict.fromkeys(who) if name not in ("", "n/a", ".")]
        if scorers:
            chosen, sentence = choose_scorer(scorers, scorer)
            rows = [row for row, name in zip(rows, who, strict=True) if name == chosen or name not in scorers]
            said += [sentence] if sentence else []
    else:
        by_content = [k for k in find_stage_columns(header, rows) if k != columns.get("event")]
        column, sentence = _choose_column(header, by_content, columns, scorer)
        if column is not None:
            columns["label"] = column
        said += [sentence] if sentence else []
    if "event" in columns and any(_cell(row, columns["event"]).upper().startswith("SLEEP-") for row in rows):
        columns["label"] = columns["event"]  # RemLogic repeats the current stage beside every event
    return header, rows, columns, said


def _choose_column(
    header: Sequence[str], found: Sequence[int], columns: Mapping[str, int], scorer: str | None
) -> tuple[int | None, str | None]:
    """The column of stages, where several scorers have one each or no header names it; and which was taken."""
    heads = [header[k].strip() for k in found]
    if len(found) > 1 or (scorer is not None and found):
        if scorer is None and "stage" in columns:
            others = ", ".join(repr(name) for k, name in zip(found, heads, strict=True) if k != columns["stage"])
            if columns["stage"] in found:
                taken = header[columns["stage"]].strip()
                return columns["stage"], f"the stages of {taken!r} were taken, not those of {others} (--scorer chooses)"
        match = [name for name in heads if scorer is not None and scorer.lower() in name.lower()]
        name, sentence = choose_scorer(heads, match[0] if len(match) == 1 else scorer)
        return found[heads.index(name)], sentence
    if scorer is not None:
        choose_scorer([], scorer)
    return (found[0], None) if found and "stage" not in columns else (None, None)


def _when(row: Sequence[str], columns: Mapping[str, int], role: str = "onset") -> str:
    """The time in a row, with the date of its own column where it has one."""
    time = _cell(row, columns[role])
    if re.fullmatch(r"\d+,\d+", time):  # a decimal comma
        return time.replace(",", ".")
    date = _cell(row, columns["date"]) if "date" in columns else ""
    return f"{date} {time}" if date and ":" in time and not re.search(r"\d[-/.]\d+[-/.]", time) else time


def _read_events(
    rows: Rows,
    stages: Mapping[int, float],
    columns: Mapping[str, int],
    clock: datetime | None,
    units: Mapping[str, float],
) -> pd.DataFrame:
    """The rows that name an arousal, a respiratory event, a leg movement or lights; onsets as those of the stages."""
    column = columns.get("event", columns["label"])
    found: Rows = []
    labels: list[str] = []
    places: list[int] = []
    for index, row in enumerate(rows):
        label = _cell(row, column) or ("" if index in stages else _cell(row, columns["label"]))
        if (index not in stages or column != columns["label"]) and label and (name_event(label) or is_lights(label)):
            found.append(row if index not in stages else _without_length(row, columns))
            labels.append(label)
            places.append(index)
    if not found:
        return empty_events()
    onset, first, dated = parse_times([_when(row, columns) for row in found])
    lasting = np.nan_to_num(_durations(found, columns, onset, units))
    if first is None and clock is not None:  # numbers with a date, counted from the first stage
        anchor = next(index for index, shift in stages.items() if np.isfinite(shift))
        onset = read_clock_column([_when(rows[index], columns) for index in (anchor, *places)]).seconds[1:]
    else:
        onset = onset * (units["onset"] if first is None else 1.0)
    if clock is not None and first is not None:
        onset = onset + (first - clock).total_seconds()
        onset = np.where(onset < -6 * 3600, onset + 86_400, onset) if dated else _within_a_day(onset)
        scored = [index for index, shift in stages.items() if np.isfinite(shift)]
        by_clock, begin, _ = parse_times([_when(rows[index], columns) for index in scored])
        if begin is not None and any(abs(stages[index]) > 1 for index in scored):
            by_clock = _within_a_day(by_clock + (begin - clock).total_seconds()) if not dated else by_clock
            shifts = np.array([stages[index] for index in scored])
            onset = onset + _find_shifts(onset, labels, np.array(places), by_clock, np.array(scored), shifts)
    table = pd.DataFrame({"onset": onset, "duration": np.clip(lasting, 0, None), "label": labels})
    return table[np.isfinite(table["onset"])].reset_index(drop=True)


def _find_shifts(
    onset: np.ndarray,
    labels: Sequence[str],
    places: np.ndarray,
    by_clock: np.ndarray,
    scored: np.ndarray,
    shifts: np.ndarray,
) -> np.ndarray:
    """By how much the clock was set at each event: as at the stage beside it, of those in the rows round it.

    In the hour that comes twice the time alone does not tell. Events in a list of their own tell by their order: one
    earlier than the one before is of the second hour.

    Args:
        onset: Seconds of the events by the clock.
        labels: What they are; a list may hold one kind after the other.
        places: Their rows.
        by_clock: Seconds of the stages by the clock.
        scored: Rows of the stages.
        shifts: By how much the clock was set at each stage.
    """
    found = np.zeros(len(onset))
    turned, latest = False, -np.inf
    changes = [first != second for first, second in pairwise(labels)]
    by_kind = sum(changes) == len(set(labels)) - 1
    for k, (seconds, row) in enumerate(zip(onset, places, strict=True)):
        if k and ((by_kind and changes[k - 1]) or seconds < onset[k - 1] - ANEW):
            turned, latest = False, -np.inf
        after = int(np.searchsorted(scored, row, side="right"))
        round_it = np.arange(max(after - 1, 0), min(after + 1, len(scored)))
        beside = np.abs(by_clock[round_it] - seconds)
        if beside.size and beside.min() <= BESIDE:
            found[k] = shifts[round_it[beside.argmin()]]
            continue
        far = np.abs(by_clock - seconds)
        near = np.unique(shifts[far <= far.min() + BESIDE])
        turned |= bool(seconds < latest)
        latest = max(latest, seconds)
        found[k] = (near.max() if turned else near.min()) if near.size > 1 else shifts[far.argmin()]
    return found


def _within_a_day(seconds: np.ndarray) -> np.ndarray:
    """Clock times without dates, from six hours before the first stage to eighteen after it."""
    return np.asarray(np.mod(seconds + 6 * 3600, 86_400) - 6 * 3600)


def _without_length(row: list[str], columns: Mapping[str, int]) -> list[str]:
    """The row of an epoch, as one of an event in it whose length is not known."""
    lasting = {columns[role] for role in ("end", "duration") if role in columns}
    return ["" if k in lasting else cell for k, cell in enumerate(row)]


def _is_units(row: Sequence[str]) -> bool:
    return all(re.fullmatch(r"(\[.*\])?", cell.strip()) for cell in row)


def _cell(row: Sequence[str], column: int) -> str:
    return row[column].strip() if column < len(row) else ""


def _stage_names(
    labels: Sequence[str], convention: str | Mapping[int, str] | None, path: Path
) -> tuple[list[str], list[int]]:
    if labels and all(re.fullmatch(r"-?\d{1,3}(\.0*)?|n/a|", label) for label in labels) and any(labels):
        codes = [-1 if label in ("n/a", "") else int(float(label)) for label in labels]
        if any(code >= 0 for code in codes):
            return names_of_codes(codes, convention=convention, where=path.name), list(range(len(codes)))
    named = [(index, name_stage(label)) for index, label in enumerate(labels)]
    kept = [(index, name) for index, name in named if name is not None]
    if not any(name != "?" for _, name in kept) and not (kept and len(kept) == len(labels)):
        raise SharpwaveError(
            f"rows that name a sleep stage in {path.name}",
            got=f"labels such as {', '.join(sorted(set(labels))[:5])!r}"[:200],
            fix="name stages W, N1, N2, N3, R (or as Rechtschaffen & Kales), or give --stage-convention for integers",
        )
    if len(kept) < len(labels):  # among other events, an artefact is an event and not an unscored epoch
        kept = [(index, name) for index, name in kept if name != "?"]
    return [name for _, name in kept], [index for index, _ in kept]


def _durations(
    rows: Sequence[Sequence[str]], columns: Mapping[str, int], times: np.ndarray, units: Mapping[str, float]
) -> np.ndarray:
    """Duration of each row in seconds, stated or from its end; NaN where unknown."""
    lasting = np.full(len(times), np.nan)
    if "end" in columns and "onset" in columns:
        both = [_when(row, columns, role) or "nan" for row in rows for role in ("onset", "end")]
        seconds, clock, _ = parse_times(both)
        scale = {"onset": 1.0, "end": 1.0} if clock is not None else units
        lasting = scale["end"] * seconds[1::2] - scale["onset"] * seconds[::2]
        lasting = np.where(lasting < -43_200, lasting + 86_400, lasting)
        lasting = np.where((lasting < 0) & (lasting >= -3600), lasting + 3600, lasting)  # the clock goes back
        gaps = np.diff(times, append=np.nan)
        lasting = np.where(np.abs(lasting - 3600 - gaps) < 1, lasting - 3600, lasting)  # the clock goes forward
    if "duration" in columns:
        stated = np.array([_seconds(_cell(row, columns["duration"])) for row in rows])
        lasting = np.where(np.isfinite(stated), stated * units["duration"], lasting)
    return lasting


def _seconds(text: str) -> float:
    """A duration: seconds, with or without a unit, or h:mm:ss."""
    try:
        return float(text)
    except ValueError:
        pass
    if match := re.fullmatch(r"(\d+(?:[.,]\d*)?)\s*(?:s|sec|seconds?)?", text.strip(), re.IGNORECASE):
        return float(match.group(1).replace(",", "."))
    if match := re.fullmatch(r"(?:(\d{1,2}):)?(\d{1,3}):(\d{2}(?:[.,]\d+)?)", text.strip()):
        hours, minutes, seconds = match.groups()
        return 3600 * int(hours or 0) + 60 * int(minutes) + float(seconds.replace(",", "."))
    return float("nan")


def _probabilities(header: Sequence[str], rows: Sequence[Sequence[str]]) -> np.ndarray | None:
    found = {
        match.group(1): column for column, name in enumerate(header) if (match := _PROBABILITY.fullmatch(name.strip()))
    }
    found = {name_stage(name) or name: column for name, column in found.items()}
    stage_set = next((stages for stages in STAGE_SETS.values() if set(stages) == set(found)), None)
    if stage_set is None:
        return None
    values = [[_cell(row, found[name]) for name in stage_set] for row in rows]
    return np.array([[float("nan") if cell in ("n/a", "") else float(cell) for cell in row] for row in values])
