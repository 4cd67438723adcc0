"""Which of the shapes of a scoring a text has: a table under a header, rows without one, Luna's, or plain labels.

Each shape is turned into one: a table with a header, tab-separated or as it was.
"""

from __future__ import annotations

import csv
import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import accumulate, pairwise

from sharpwave.recordings.annotations import SCORER_COLUMNS
from sharpwave.recordings.readers.scoring import are_codes, name_stage

_STAGE = (
    "stage|sleep stage|sleepstage|stages|sleep stages|hypnogram|hypno|stade|schlafstadium|stadium|sleep state|estadio"
    "|fase|fase del sonno|slaapstadium|aasm stage|stage label|stage name"
)
HEADERS: dict[str, str] = {
    "onset": "onset|start|start time|starttime|begin|time|time stamp|timestamp|epoch start|heure de debut|debut"
    "|startzeit|beginn|inicio|inizio|zeit|uhrzeit|heure|hora|ora|tijd|clock|clock time|datetime|date time|real time"
    "|onset s|onset sec|onset ms|start ms|time ms|time min|onset min|start s|start sec|start seconds|time s|time sec",
    "end": "end|end time|endtime|stop|stop time|heure de fin|fin|endzeit|ende|fine|epoch end|end s|end sec|end ms"
    "|offset",
    "duration": "duration|length|duree|dauer|duracion|durata|duration s|duration sec|duration ms|duration min",
    "event": "event|evenement|ereignis|evento|events",
    "epoch": "epoch|epochs|epoche|epoque|epoca|epoch number|epoch no|epoch nr|epoch index|number|index|n|nr|no|id|",
    "date": "date|datum|fecha|data|jour",
    "scorer": "|".join(SCORER_COLUMNS),
    "stage": _STAGE,
    "label": f"{_STAGE}|label|event|evenement|ereignis|evento|description|annotation|annotations|trial type|name|type"
    "|score|value|phase",
}
"""Role → headers, without accents, units and underscores; the first one present is taken."""

MOST_STAGES = 30
"""Different names or codes of stages in one scoring."""
_LOOKED_AT = 1000
_CELLS = re.compile(r"[\s,;]+")
_FIGURES = re.compile(r"[-+.:/\d]*([eE][-+]?\d+)?")
_PREAMBLE = 50
_TIMED = re.compile(r"\s*((?:[\d/.\-]{6,10}[ T])?\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)\s*[;,\t ]\s*([^;,\t]+?)\s*")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d{1,2})?")
_DATE = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?")
_HEAD = re.compile(r"\s*([#*]|duration_sec|datafile)", re.IGNORECASE)
_SEPARATOR = re.compile(r'"?sep=(.)"?', re.IGNORECASE)


def may_hold_stages(text: str) -> bool:
    """False where a text is surely no scoring: long rows of numbers, none of whose columns holds few different ones.

    A look at some lines, so that a long signal as text is known at once.

    >>> may_hold_stages("\\n".join(str(sample * 0.7) for sample in range(9000)))
    False
    >>> may_hold_stages("\\n".join(str(sample % 5) for sample in range(9000)))
    True
    """
    lines = text.split("\n")[_PREAMBLE:]
    if len(lines) < _LOOKED_AT or text.lstrip()[:1] in tuple("<{["):
        return True
    looked_at = [line for line in lines[:: len(lines) // _LOOKED_AT] if line.strip() and not line.startswith("#")]
    columns: dict[int, set[str]] = {}
    for line in looked_at:
        for index, cell in enumerate(_CELLS.split(line.strip())):
            columns.setdefault(index, set()).add(cell)
    return any(len(cells) <= MOST_STAGES or not all(map(_FIGURES.fullmatch, cells)) for cells in columns.values())


def drop_separator_line(text: str) -> str:
    """The text without Excel's first line `sep=;`.

    >>> drop_separator_line("sep=;\\nTime;Stage\\n")
    'Time;Stage\\n'
    """
    first, _, rest = text.partition("\n")
    return rest if _SEPARATOR.fullmatch(first.strip()) else text


def split_line(text: str) -> str:
    """A list of stages in one line, or in brackets, as one label a line; any other text as it is.

    >>> split_line("[0 0 1\\n 2 5]").split("\\n"), split_line("W, W, N1, N2").split("\\n")
    (['0', '0', '1', '2', '5'], ['W', 'W', 'N1', 'N2'])
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    body = " ".join(lines).strip()
    if len(lines) != 1 and not (body.startswith(("[", "(")) and body.endswith(("]", ")"))):
        return text
    cells = [cell.strip("\"'") for cell in _CELLS.split(body.strip("[]() ")) if cell]
    if len(cells) < 4 or not (are_codes(cells) or _are_stages(cells)):
        return text
    return "\n".join([*(line for line in text.split("\n") if line.startswith("#")), *cells])


def find_table(text: str) -> str | None:
    """The text from its header row on, where it is a table of stages and times; None where it is not.

    A preamble before the header (as RemLogic writes it) is dropped; lines of time and stage without a header (as DOMINO
    writes them) get one.
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines[:_PREAMBLE]):
        columns = find_columns(split_row(line))
        if "label" in columns and "onset" in columns:
            return "\n".join(lines[number:])
    for number, line in enumerate(lines[:_PREAMBLE]):  # the stages stand under a name that is no word for them
        cells = split_row(line)
        if "onset" in find_columns(cells):
            rows = [split_row(row, find_delimiter(line)) for row in lines[number + 1 :]]
            if find_stage_columns(cells, rows):
                return "\n".join(lines[number:])
    timed = [match for match in map(_TIMED.fullmatch, lines) if match]
    if len(timed) >= 2 and len(timed) >= len(lines) - _PREAMBLE and len(timed) > len(lines) / 2:
        return "\n".join(["onset\tstage", *(f"{match.group(1)}\t{match.group(2)}" for match in timed)])
    return None


def find_epochs(text: str) -> str | None:
    """The text from its header row on, where it is a table of one row an epoch without times; None where it is not."""
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    for number, line in enumerate(lines[:_PREAMBLE]):
        cells = split_row(line)
        columns = find_columns(cells)
        if len(cells) > 1 and "onset" not in columns and ("stage" in columns or _numbers_epochs(cells, columns)):
            rows = [split_row(row, find_delimiter(line)) for row in lines[number + 1 :]]
            if rows and ("stage" in columns or find_stage_columns(cells, rows)):
                return "\n".join(lines[number:])
    _, numbered = _split_numbered(text)
    numbers = [int(float(row[0])) for row in numbered]
    if len(set(numbers)) == len(numbers) > 2 and sum(abs(b - a) == 1 for a, b in pairwise(numbers)) > 0.5 * len(
        numbers
    ):
        return _table(("epoch", "stage"), numbered)
    return None


def add_onsets(text: str) -> str | None:
    """A table of stages and how long each lasts, in a row, with their onsets; None where all last as long.

    >>> add_onsets("stage,duration (min)\\nW,5\\nN1,0.5\\nN2,1\\n").split("\\n")
    ['onset_s\\tstage\\tduration (min)', '0\\tW\\t5', '300\\tN1\\t0.5', '330\\tN2\\t1']
    """
    lines = [line for line in text.split("\n") if line.strip()]
    header, *rows = [split_row(line, find_delimiter(lines[0])) for line in lines]
    column = find_columns(header).get("duration")
    if column is None or any(len(row) <= column or not _NUMBER.fullmatch(row[column].strip()) for row in rows):
        return None
    lasting = [float(row[column]) * find_unit(header[column]) for row in rows]
    if len(set(lasting[:-1])) < 2 or min(lasting) <= 0:
        return None
    onsets = accumulate([0.0, *lasting[:-1]])
    return _table(("onset_s", *header), [(f"{onset:.10g}", *row) for onset, row in zip(onsets, rows, strict=True)])


def _numbers_epochs(cells: Sequence[str], columns: dict[str, int]) -> bool:
    """Whether a header names a column of numbers of epochs; without a name it is the first, not a row's empty end."""
    return "epoch" in columns and bool(cells[0]) and bool(plain_name(cells[columns["epoch"]]))


def stage_column(text: str) -> str | None:
    """The stages of a two-column list (epoch number, stage), one a line, with its comments; None if it is not one."""
    comments, rows = _split_numbered(text)
    numbers = [float(row[0]) for row in rows]
    if not rows or numbers[0] > 1 or any(later - earlier != 1 for earlier, later in pairwise(numbers)):
        return None
    return "\n".join([*comments, *(row[1] for row in rows)])


def _split_numbered(text: str) -> tuple[list[str], list[list[str]]]:
    """Comments, and rows of a number of an epoch and a stage (its name or code); no rows where there are others."""
    lines = [line for line in text.split("\n") if line.strip()]
    comments = [line for line in lines if line.startswith("#")]
    rows = [
        [cell.strip("\"' ") for cell in re.split(r"[\t,;]|\s+", line.strip(), maxsplit=1)]
        for line in lines
        if not line.startswith("#")
    ]
    if rows and len(rows[0]) == 2 and plain_name(rows[0][0]) in HEADERS["epoch"].split("|"):
        rows = rows[1:]
    if any(len(row) != 2 or not _NUMBER.fullmatch(row[0]) or float(row[0]) % 1 for row in rows):
        return comments, []
    stages = [row[1] for row in rows]
    return comments, rows if rows and (are_codes(stages) or _are_stages(stages)) else []


def find_headless(text: str) -> str | None:
    """Rows without a header, of a stage and one or two columns of seconds, under a header; None where it is not that.

    "0,30,W" is onset, duration, stage (U-Time); "0,30,W" then "30,60,N1" is onset, end, stage; "Wake 300" is a stage
    and the second at which it ends (Visbrain, under lines that begin with "*"), unless the first one is 0.

    >>> find_headless("*Duration_sec\\t600\\nWake\\t300\\nN1\\t600\\n").split("\\n")
    ['onset\\tend\\tstage', '0\\t300\\tWake', '300\\t600\\tN1']
    """
    lines = [line for line in text.split("\n") if line.strip() and not _HEAD.match(line)]
    if len(lines) < 2:
        return None
    mark = next((mark for mark in "\t;," if mark in lines[0]), None)
    rows = [[cell.strip() for cell in (line.split(mark) if mark else line.split())] for line in lines]
    if len({len(row) for row in rows}) != 1 or not 2 <= len(rows[0]) <= 5:
        return None
    rows = _drop_count(rows)
    columns = list(zip(*rows, strict=True))
    if len(columns) == 3 and all(map(_DATE.fullmatch, columns[0])) and all(map(_CLOCK.fullmatch, columns[1])):
        return _table(("date", "onset", "stage"), rows) if are_codes(columns[2]) or _are_stages(columns[2]) else None
    named = [k for k, column in enumerate(columns) if not any(map(_NUMBER.fullmatch, column)) and _are_stages(column)]
    numeric = [k for k, column in enumerate(columns) if all(map(_NUMBER.fullmatch, column))]
    timed = [k for k, column in enumerate(columns) if all(map(_CLOCK.fullmatch, column))]
    if not named and numeric[-1:] == [len(columns) - 1] and are_codes(columns[-1]):
        named, numeric = numeric[-1:], numeric[:-1]  # onset, duration or end, and an integer
    if len(named) != 1 or len(numeric) + len(timed) != len(columns) - 1:
        return None
    stages = columns[named[0]]
    if len(columns) > 3 and not timed:
        return None
    if timed:
        roles = {k: ("onset", "end")[number] for number, k in enumerate(timed)} | dict.fromkeys(numeric, "duration")
        return _table([roles.get(k, "stage") for k in range(len(columns))], rows)
    first = [float(cell) for cell in columns[numeric[0]]]
    if any(later <= earlier for earlier, later in pairwise(first)):
        return None
    if len(columns) == 2 and all(later - earlier == 1 for earlier, later in pairwise(first[:3])):
        return None  # numbers of epochs, see `stage_column`
    if len(numeric) == 2:
        second = [float(cell) for cell in columns[numeric[1]]]
        follows = [abs(end - start) < 1e-6 for end, start in zip(second[:-1], first[1:], strict=True)]
        role = "end" if sum(follows) > 0.5 * len(follows) or second == sorted(set(second)) else "duration"
        return _table(("onset", role, "stage"), zip(columns[numeric[0]], columns[numeric[1]], stages, strict=True))
    if named[0] == 0 and first[0] > 0:
        starts = ["0", *columns[1][:-1]]
        return _table(("onset", "end", "stage"), zip(starts, columns[1], stages, strict=True))
    return _table(("onset", "stage"), zip(columns[numeric[0]], stages, strict=True))


def _drop_count(rows: list[list[str]]) -> list[list[str]]:
    """Rows without a first column that only numbers them, where a time stands beside it."""
    if len(rows[0]) < 3 or not all(_NUMBER.fullmatch(row[0]) for row in rows):
        return rows
    first = [float(row[0]) for row in rows]
    second = [row[1] for row in rows]
    if any(later - earlier != 1 for earlier, later in pairwise(first)):
        return rows
    timed = all(_CLOCK.fullmatch(cell) or _DATE.match(cell) for cell in second)
    times = [float(cell) for cell in second] if not timed and all(map(_NUMBER.fullmatch, second)) else []
    rising = bool(times) and all(later > earlier for earlier, later in pairwise(times))
    return [row[1:] for row in rows] if timed or (rising and times[1] - times[0] != 1) else rows


def _are_stages(cells: Iterable[str]) -> bool:
    """Whether nearly all cells name stages, and one at least a stage that is scored."""
    names = [name_stage(cell) for cell in cells]
    return sum(name is not None for name in names) >= 0.9 * len(names) and any(
        name not in (None, "?") for name in names
    )


_LUNA_STAGES = re.compile(r"ss|(sleep[ _-]?)?stag(e|es|ing)|hypnogram|sleep", re.IGNORECASE)
_LUNA_DATED = re.compile(r"(\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4})-(\d{1,2}:\d{2}.*)")
_LUNA_ELAPSED = re.compile(r"0\+(\d{1,3}):(\d{2}):(\d{2}(?:\.\d+)?)")


def find_luna(text: str, *, named: bool = False) -> str | None:
    """Luna's `.annot` (class, instance, channel, start, stop, meta) as a table; None where the text is not that.

    Args:
        text: Text of the file.
        named: Whether the file's name says so; then its header may be missing.

    >>> find_luna("class\\tinstance\\tchannel\\tstart\\tstop\\tmeta\\nSS\\tN2\\t.\\t0\\t...\\t.\\n").split("\\n")
    ['onset\\tend\\tduration\\tlabel', '0\\t\\t\\tN2']
    """
    lines = [line for line in text.split("\n") if line.strip() and not line.startswith("#")]
    rows = [line.rstrip("\n").split("\t") if "\t" in line else line.split() for line in lines]
    if not rows:
        return None
    heads = [cell.strip().lower() for cell in rows[0]]
    if heads[0] == "class" and "start" in heads and "stop" in heads:
        rows = rows[1:]
    elif named:
        shapes = {3: "class start stop", 4: "class instance start stop", 5: "class instance channel start stop"}
        heads = shapes.get(len(rows[0]), "class instance channel start stop meta").split()
    else:
        return None
    place = {name: heads.index(name) for name in ("class", "instance", "start", "stop") if name in heads}
    table = []
    for row in rows:
        cells = {name: row[k].strip() if k < len(row) else "." for name, k in place.items()}
        kind, instance = cells["class"], cells.get("instance", ".")
        parts = re.split(r"[/:]", kind)
        if len(parts) == 2 and _LUNA_STAGES.fullmatch(parts[0]):
            kind, instance = parts
        both = kind if instance in (".", "") else f"{kind} {instance}"
        label = (
            instance if _LUNA_STAGES.fullmatch(kind) and name_stage(instance) else kind if name_stage(kind) else both
        )
        stop = cells["stop"]
        lasting = stop[1:] if stop.startswith("+") else ""
        end = "" if lasting or stop in ("...", ".", "-", "") else _luna_time(stop)
        table.append((_luna_time(cells["start"]), end, lasting, label))
    return _table(("onset", "end", "duration", "label"), table)


def _luna_time(text: str) -> str:
    if elapsed := _LUNA_ELAPSED.fullmatch(text):
        hours, minutes, seconds = elapsed.groups()
        return f"{int(hours) * 3600 + int(minutes) * 60 + float(seconds):g}"
    if epoch := re.fullmatch(r"e:(\d{1,6})", text):
        return f"{30 * (int(epoch.group(1)) - 1)}"
    return _LUNA_DATED.sub(r"\1 \2", text)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join("\t".join(row) for row in (header, *rows))


def find_columns(header: Sequence[str]) -> dict[str, int]:
    """Position of each role (onset, end, duration, label, event ...) that a header names."""
    keys = [plain_name(name) for name in header]
    found = {}
    for role, aliases in HEADERS.items():
        positions = [keys.index(alias) for alias in aliases.split("|") if alias in keys]
        if positions:
            found[role] = positions[0]
    return found


def find_stage_columns(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[int]:
    """Positions of the columns whose cells name stages, whatever their header says.

    >>> find_stage_columns(["Epoch", "Anna", "Bert"], [["1", "W", "W"], ["2", "N1", "W"]])
    [1, 2]
    """
    found = []
    for k in range(len(header)):
        cells = [row[k].strip() for row in rows if k < len(row) and row[k].strip()]
        if cells and not any(map(_NUMBER.fullmatch, cells)) and _are_stages(cells):
            found.append(k)
    return found


def plain_name(name: str) -> str:
    """A header in lower case without accents, units and underscores."""
    text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"\s+", " ", re.sub(r"[\[(].*?[\])]", "", text).replace("_", " ")).strip()


_UNITS = {"ms": 1e-3, "msec": 1e-3, "milliseconds": 1e-3, "min": 60.0, "mins": 60.0, "minutes": 60.0, "h": 3600.0}
_UNIT = re.compile(r"[\[(]\s*([a-z]+)\s*[\])]|[ _](ms|msec|min|mins|minutes)$", re.IGNORECASE)


def find_unit(name: str) -> float:
    """Seconds per unit of a column of times, by its header; 1 where it names none.

    >>> find_unit("Time (min)"), find_unit("onset_ms"), find_unit("Time [hh:mm:ss]")
    (60.0, 0.001, 1.0)
    """
    match = _UNIT.search(name.strip())
    return _UNITS.get((match.group(1) or match.group(2)).lower(), 1.0) if match else 1.0


def find_delimiter(line: str) -> str:
    """Tab, comma or semicolon, whichever is most frequent."""
    return max("\t,;", key=line.count)


def split_row(line: str, delimiter: str | None = None) -> list[str]:
    """The cells of one line, by its most frequent delimiter if none is given."""
    return next(csv.reader([line], delimiter=delimiter or find_delimiter(line)), [])
