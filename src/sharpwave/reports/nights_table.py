"""Nights as a table: one row a night, from the `summary.json` of each, as `nights.tsv` and `nights.parquet`.

The one place where the columns are made. Files of other hands are not trusted: a summary that is damaged, or holds
texts where numbers belong, is a row that says so and lends no numbers.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_file
from sharpwave.untrusted import make_cells_safe

DAMAGED = "results damaged"
"""In place of a verdict, where a night's summary cannot be read."""
MISSING = "missing"
"""In place of a verdict, where a night has no results: it failed, or was not decoded."""
NOT_USABLE = "not usable"
LONGEST_SUMMARY = 32 << 20
"""Bytes of a summary that are read at most."""
TSV, PARQUET = "nights.tsv", "nights.parquet"
_BEGIN = b"night\tsubject\tsession\t"
COHORT = ("night", "name", "value", "file_size", "file_time")
"""Columns that tell the table of `sharpwave cohort`."""
OUTLYING = 3.5
"""Distance from the median in robust standard deviations from which a value is an outlier (Iglewicz & Hoaglin 1993)."""
FEWEST = 10
"""Nights below which nothing is called an outlier, and no slope with age is given."""


@dataclass(frozen=True)
class NightResult:
    """Where the results of one night are, or would be.

    Attributes:
        name: Short name of the night.
        summary: Its `summary.json`, or None where there is none.
        page: Its page, or None.
        session: BIDS label of its session, without `ses-`; empty where it has none.
        subject: BIDS label of its subject, without `sub-`; empty where the summary says it.
        reason: Why there are no results; empty where there are.
    """

    name: str
    summary: Path | None = None
    page: Path | None = None
    session: str = ""
    subject: str = ""
    reason: str = ""


def tabulate_nights(results: Iterable[NightResult], *, folder: Path | None = None) -> pd.DataFrame:
    """One row a night.

    Args:
        results: The nights, with results or without.
        folder: Folder that the addresses of pages are relative to; None leaves them out.

    Returns:
        Columns `night`, `subject`, `session`, `age`, `sex`, `night_number`, `start`, `hours`, `species`, `simulated`,
        `verdict`, `reasons`, `stager`, `definitions` (version of the definitions), `page`, `stages` (letters, for
        pictures), then each statistic with `_low` and `_high` (80 % interval), `cycles` (complete sleep cycles), each
        measure of agreement with the expert with `_low` and `_high` (95 %), and coupling, spectra: `spindle_phase`,
        `spindle_phase_p`, `aperiodic_STAGE`. A night that cannot be used, is damaged or missing has no numbers.

    >>> tabulate_nights([NightResult("a", reason="the file is empty")])[["night", "verdict", "reasons"]].values.tolist()
    [['a', 'missing', 'the file is empty']]
    """
    rows = [_read_night(result, folder) for result in results]
    head = ["night", "subject", "session", "age", "sex", "night_number", "start", "hours", "species", "simulated",
            "verdict", "reasons", "stager", "definitions", "page", "stages"]  # fmt: skip
    names = dict.fromkeys(name for row in rows for name in row)
    table = pd.DataFrame(rows, columns=[*head, *[name for name in names if name not in head]])
    texts = {"night", "subject", "session", "sex", "start", "species", "verdict", "reasons", "stager", "definitions",
             "page", "stages"}  # fmt: skip
    for name in table.columns:
        if name in texts:
            table[name] = table[name].fillna("").astype(str)
        elif name == "simulated":
            table[name] = [value is True for value in table[name]]
        else:
            table[name] = pd.to_numeric(table[name], errors="coerce").astype(float)
    return table


def _read_night(result: NightResult, folder: Path | None) -> dict[str, Any]:
    blank = {"night": result.name, "subject": result.subject, "session": result.session}
    if result.page is not None and folder is not None and result.summary is not None:
        blank["page"] = Path(os.path.relpath(result.page, folder)).as_posix()
    if result.summary is None:
        return {**blank, "verdict": MISSING, "reasons": result.reason or "not decoded"}
    try:
        with result.summary.open("rb") as file:
            content = json.loads(file.read(LONGEST_SUMMARY + 1)[:LONGEST_SUMMARY].decode("utf-8"))
        return {**blank, **_describe(content, result)}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        return {**blank, "verdict": DAMAGED, "reasons": f"{type(error).__name__}: {error}"[:200]}


def _describe(content: Mapping[str, Any], result: NightResult) -> dict[str, Any]:
    verdict = str(content["verdict"])
    row: dict[str, Any] = {
        "night": str(content["identifier"]),
        "subject": result.subject or str(content.get("subject") or ""),
        "age": _number(content.get("age")),
        "sex": str(content.get("sex") or ""),
        "night_number": _number((content.get("config") or {}).get("night")),
        "start": str(content.get("start") or ""),
        "hours": float(content["duration_s"]) / 3600,
        "species": str(content.get("species") or ""),
        "simulated": bool(content["simulated"]),
        "verdict": verdict,
        "reasons": " ".join(str(reason) for reason in content.get("reasons") or []),
        "stager": str(content["stager"]),
        "definitions": str(content.get("statistics_definitions") or "1"),
        "stages": _encode(content.get("stages")),
    }
    statistics = {str(each["name"]): each for each in content["statistics"]}
    if verdict == NOT_USABLE:
        return row
    for name, each in statistics.items():
        row |= {name: _number(each["value"]), f"{name}_low": _number(each.get("low")),
                f"{name}_high": _number(each.get("high"))}  # fmt: skip
    parted = "R" in statistics or "R_share" in statistics  # else undefined, not none
    if parted and "sleep_cycles" in content and content.get("species") not in ("mouse", "rat"):
        row["cycles"] = float(sum(bool(cycle["complete"]) for cycle in content["sleep_cycles"]))
    for each in content.get("agreement") or []:
        name = str(each["metric"])
        row |= {name: _number(each["value"]), f"{name}_low": _number(each.get("low")),
                f"{name}_high": _number(each.get("high"))}  # fmt: skip
    for each in (content.get("coupling") or [])[:1]:
        row |= {"spindle_phase": _number(each["phase"]), "spindle_phase_p": _number(each["strength_p"])}
    for each in content.get("aperiodic") or []:
        row[f"aperiodic_{each['stage']}"] = _number(each["exponent"])
    return row


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"a number, got {value!r}"[:80])
    return float(value)


def _encode(stages: Any) -> str:
    """Number of stages, step in seconds and letters of a hypnogram, "5:240:002…"; empty where there are none."""
    if not stages:
        return ""
    codes = str(stages["codes"])[:1000]
    if set(codes) - set("01234?"):
        raise ValueError("codes of stages")
    return f"{len(stages['names'])}:{float(stages['step_s']):g}:{codes}"


def write_nights(table: pd.DataFrame, folder: Path) -> list[Path]:
    """Write `nights.tsv` and `nights.parquet` of a table.

    Args:
        table: Of `tabulate_nights`.
        folder: Where they go; it must exist.

    Returns:
        The paths that were written: a `nights.parquet` of `sharpwave cohort` is left, which reads changed nights only.

    Raises:
        SharpwaveError: If a file of that name is there that sharpwave did not write.
    """
    tsv, parquet = folder / TSV, folder / PARQUET
    cohort = _is_cohort(parquet)
    ours = tsv.is_file() and tsv.read_bytes()[: len(_BEGIN)] == _BEGIN
    for path in (tsv, parquet)[: 1 if cohort else 2]:
        if os.path.lexists(path) and not ours:
            raise SharpwaveError(
                f"a folder for {TSV} and {PARQUET}",
                got=f"{show_path(path)}, which sharpwave did not write",
                fix="give another --output",
            )
    kept = table.drop(columns="stages")
    with replace_file(tsv) as partial:
        make_cells_safe(kept).to_csv(partial, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    if cohort:
        return [tsv]
    with replace_file(parquet) as partial:
        kept.map(lambda value: show_path(value) if isinstance(value, str) else value).to_parquet(partial, index=False)
    return [tsv, parquet]


def _is_cohort(path: Path) -> bool:
    """Whether this is the table of `sharpwave cohort`, with a row a night and statistic."""
    from pyarrow.parquet import read_schema

    try:
        return {*COHORT} <= {*read_schema(path).names}
    except (OSError, ValueError):
        return False


def list_statistics(table: pd.DataFrame) -> list[str]:
    """Columns of the table that are statistics with an interval.

    Args:
        table: Of `tabulate_nights`.
    """
    return [str(name) for name in table.columns if f"{name}_low" in table.columns]


def find_outliers(table: pd.DataFrame, names: Sequence[str], *, most: float = OUTLYING) -> pd.DataFrame:
    """Nights whose value of a statistic lies far from the others'.

    Args:
        table: Of `tabulate_nights`.
        names: Statistics to look at; one with fewer than 10 values has no outliers.
        most: Distance from the median in robust standard deviations (1.4826 × the median distance from it) from which a
            value counts; 3.5 by default.

    Returns:
        Columns `night`, `statistic`, `value`, `median`, `distance` (robust standard deviations), the farthest first.

    >>> nights = pd.DataFrame({"night": [*"abcdefghijk"], "total_sleep_time": [*range(400, 440, 4), 40]})
    >>> find_outliers(nights, ["total_sleep_time"])[["night", "value"]].values.tolist()
    [['k', 40.0]]
    """
    rows = []
    for name in names:
        values = table[name].to_numpy(dtype=float)
        known = np.isfinite(values)
        if known.sum() < FEWEST:
            continue
        middle = float(np.median(values[known]))
        spread = 1.4826 * float(np.median(np.abs(values[known] - middle)))
        if spread <= 0:
            continue
        distance = (values - middle) / spread
        for index in np.flatnonzero(known & (np.abs(distance) > most)):
            rows.append(
                {"night": str(table["night"].iloc[index]), "statistic": name, "value": float(values[index]),
                 "median": middle, "distance": float(distance[index])}
            )  # fmt: skip
    found = pd.DataFrame(rows, columns=["night", "statistic", "value", "median", "distance"])
    return found.sort_values("distance", key=np.abs, ascending=False, ignore_index=True)


def find_missing_sessions(table: pd.DataFrame) -> list[str]:
    """Subjects that lack a session which most others have, one sentence each.

    Args:
        table: Of `tabulate_nights`.

    >>> nights = pd.DataFrame({"subject": ["1", "1", "2", "2", "3"], "session": ["a", "b", "a", "b", "a"]})
    >>> find_missing_sessions(nights)
    ['sub-3 has no ses-b, which 2 of 3 subjects have.']
    """
    known = table[(table["subject"] != "") & (table["session"] != "")]
    there = known.groupby("session")["subject"].agg(set)
    people = set(known["subject"])
    sentences = []
    for session, subjects in there.items():
        if 2 * len(subjects) > len(people) > len(subjects):
            sentences += [
                f"sub-{subject} has no ses-{session}, which {len(subjects)} of {len(people)} subjects have."
                for subject in sorted(people - subjects)
            ]
    return sentences


def estimate_slope(table: pd.DataFrame, name: str) -> tuple[float, float, float, int]:
    """Change of a statistic per decade of age over adults, by least squares, with a bootstrap over subjects.

    Args:
        table: Of `tabulate_nights`.
        name: The statistic.

    Returns:
        Slope, its 95 % interval, and the number of adults; NaN with fewer than 10, or where ages hardly differ.
    """
    adults = table[(table["age"] >= 18) & np.isfinite(table[name]) & ~table["subject"].isin(["", "unknown"])]
    people = adults.groupby("subject")[["age", name]].mean()
    n = len(people)
    if n < FEWEST or people["age"].std() < 5:
        return np.nan, np.nan, np.nan, n
    age, value = people["age"].to_numpy() / 10, people[name].to_numpy()
    draws = np.random.default_rng(0).integers(0, n, (500, n))
    x, y = age[draws], value[draws]
    x = x - x.mean(axis=1, keepdims=True)
    slopes = (x * (y - y.mean(axis=1, keepdims=True))).sum(axis=1) / np.maximum((x**2).sum(axis=1), 1e-12)
    low, high = np.quantile(slopes, [0.025, 0.975])
    return float(np.polyfit(age, value, 1)[0]), float(low), float(high), n
