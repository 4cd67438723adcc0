"""Scorings as tables: BIDS `_hypnogram.tsv` and `_events.tsv`, Noxturnal-like exports with translated headers, Luna's.

Rows that name no stage but an arousal, an apnoea or the like are kept as events of the scoring.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.annotations import choose_scorer, is_lights, name_event
from sharpwave.recordings.clock import parse_times, read_clock_column
from sharpwave.recordings.clock_steps import compute_offset
from sharpwave.recordings.clock_words import find_strange_word
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.recordings.readers.hypnogram_gaps import add_unknown_stages
from sharpwave.recordings.readers.hypnogram_shapes import find_columns, find_delimiter, find_stage_columns, find_unit
from sharpwave.recordings.readers.hypnogram_texts import fitting_numbers
from sharpwave.recordings.readers.hypnogram_times import (
    add_hours,
    add_seconds,
    fill_dates,
    find_clock,
    find_factor,
    find_shifts,
    place_epochs,
    read_duration,
    take_for_begins,
    within_a_day,
    write_hours,
)
from sharpwave.recordings.readers.scoring import (
    Scoring,
    are_codes,
    fill_epochs,
    name_stage,
    names_of_codes,
    read_codes,
)
from sharpwave.recordings.recording import empty_events

_PROBABILITY = re.compile(r"p(?:roba)?[ _](.+)", re.IGNORECASE)
Rows = list[list[str]]
TIMES = ("onset", "end", "duration")
"""Columns that hold times."""


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
    rows, written, rewritten = _write_times(rows, kept, columns, duration)
    unit = find_unit(header[columns["onset"]])
    read = read_clock_column(written, start=start, length=duration, unit=unit)
    face = None if read.start is None else read.start.replace(tzinfo=None)
    clock, zoned = find_clock(read, start, duration)
    times, dated = read.seconds, read.dated
    readable = np.isfinite(times)
    if not readable.any():
        raise _no_times(written, header[columns["onset"]], path)
    if not readable.all():
        said.append(f"{int((~readable).sum())} scored rows have no readable time and were left out")
    scored = [rows[index] for index, good in zip(kept, readable, strict=True) if good]
    names = [name for name, good in zip(names, readable, strict=True) if good]
    times = times[readable]
    said += [*rewritten, *read.repairs, *zoned]
    units: dict[str, float] = {role: find_unit(header[columns[role]]) for role in TIMES if role in columns}
    lasting = _durations(scored, columns, times, units)
    if clock is None and set(units.values()) == {1.0}:
        factor, scaled = find_factor(times, lasting, duration)
        units = dict.fromkeys(units, factor)
        times, lasting, said = times * factor, lasting * factor, [*said, *scaled]
    offset = 0.0 if clock is None else None if start is None else compute_offset(clock, start, dated=dated)
    if not np.isfinite(lasting).any():
        times, ends = take_for_begins(times, offset, duration, whole=len(kept) == len(rows))
        said += ends
    end = None if duration is None or offset is None else duration - offset
    hypnogram, filled = fill_epochs(
        times, lasting, names, epoch_length=epoch_length, probabilities=_probabilities(header, scored), end=end
    )
    passed = read.seconds - parse_times(written)[0]  # by how much the clock was set back or forward so far
    events = _read_events(rows, dict(zip(kept, passed, strict=True)), columns, face, units)
    return Scoring(hypnogram, clock, dated, placed=clock is None, repairs=(*said, *filled), events=events)


def _no_times(written: Sequence[str], head: str, path: Path) -> SharpwaveError:
    word = next((word for text in written if (word := find_strange_word(text))), None)
    return SharpwaveError(
        f"times in the column {head!r} of {path.name}",
        got="none that can be read" + (f": {word!r} is not known" if word else ""),
        fix="use seconds, hh:mm:ss, or dates",
    )


def _write_times(
    rows: Rows, kept: Sequence[int], columns: dict[str, int], duration: float | None
) -> tuple[Rows, list[str], list[str]]:
    """Rows and the times of those that name a stage, with the hours or seconds that they lack; and what was added."""
    written = [_when(rows[index], columns) for index in kept]
    if (hours := write_hours(written, duration)) is not None:
        timed = [columns[role] for role in ("onset", "end") if role in columns]
        return [add_hours(row, timed) for row in rows], hours, ["times are read as minutes and seconds"]
    seconds, said = add_seconds(written)
    if said:
        columns.pop("end", None)
    return rows, seconds, said


def _stage_rows(
    rows: Rows, columns: dict[str, int], convention: str | Mapping[int, str] | None, path: Path
) -> tuple[list[str], list[int], list[str]]:
    """Stage names, their rows, and a sentence where some are in words that are not known."""
    labels = [_cell(row, columns["label"]) for row in rows]
    names, kept = _stage_names(labels, convention, path)
    return add_unknown_stages(labels, names, kept, parse_times([_when(row, columns) for row in rows])[0].tolist())


def read_epochs(
    text: str,
    path: Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    scorer: str | None = None,
    duration: float | None = None,
) -> tuple[list[str], np.ndarray | None, list[str], float | None]:
    """Read a table of one row an epoch: stage names, probabilities where there are any, what was said, epoch length.

    Args:
        text: From its header row on, see `find_epochs`.
        path: The file, for messages.
        epoch_length: Seconds, where the user says so.
        convention: Meaning of integer stages, see `read_hypnogram`.
        scorer: Whose column or rows to take, where several scored.
        duration: Length of the recording, s, where known.
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
    placed = place_epochs(numbers, fitting_numbers(duration, epoch_length))
    if placed is not None:
        spread = ["?"] * int(placed.place[-1] + 1)
        for place, row in zip(placed.place, placed.order, strict=True):
            spread[place] = names[row]
        said += placed.said
        if probabilities is not None:
            soft = np.full((len(spread), probabilities.shape[1]), np.nan)
            soft[placed.place] = probabilities[placed.order]
            probabilities = soft
        names = spread
    return names, probabilities, said, epoch_length


def _read_rows(text: str, scorer: str | None) -> tuple[list[str], Rows, dict[str, int], list[str]]:
    """Header, rows of one scorer, the position of each role, and what was said of the choice."""
    rows = list(csv.reader(io.StringIO(text), delimiter=find_delimiter(text.partition("\n")[0])))
    header, rows = rows[0], [row for row in rows[1:] if row and not _is_units(row)]
    columns = find_columns(header)
    if "date" in columns:
        rows = fill_dates(rows, columns["date"])
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
        onset = np.where(onset < -6 * 3600, onset + 86_400, onset) if dated else within_a_day(onset)
        scored = [index for index, shift in stages.items() if np.isfinite(shift)]
        by_clock, begin, _ = parse_times([_when(rows[index], columns) for index in scored])
        if begin is not None and any(abs(stages[index]) > 1 for index in scored):
            by_clock = within_a_day(by_clock + (begin - clock).total_seconds()) if not dated else by_clock
            shifts = np.array([stages[index] for index in scored])
            onset = onset + find_shifts(onset, labels, np.array(places), by_clock, np.array(scored), shifts)
    table = pd.DataFrame({"onset": onset, "duration": np.clip(lasting, 0, None), "label": labels})
    return table[np.isfinite(table["onset"])].reset_index(drop=True)


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
    if are_codes(labels):
        codes = read_codes(labels)
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
        stated = np.array([read_duration(_cell(row, columns["duration"])) for row in rows])
        lasting = np.where(np.isfinite(stated), stated * units["duration"], lasting)
    return lasting


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
