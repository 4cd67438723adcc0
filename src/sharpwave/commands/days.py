"""The tables and the page of a long recording, assembled from the results of its days: unchanged days are not read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from sharpwave.commands.tasks import NightTask, check_group_page, read_key
from sharpwave.disk import show_path
from sharpwave.night.day_measures import compute_actogram, compute_profile, measure_day
from sharpwave.night.days import DayClock, DayOptions, read_schedule, read_spans
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.outputs import replace_file
from sharpwave.recordings import Hypnogram, read_hypnogram

DAYS, PROFILE, PAGE = "days.parquet", "circadian.tsv", "days.html"


def write_days(tasks: Sequence[NightTask], options: DecodeOptions) -> list[Path]:
    """Write `days.parquet`, `circadian.tsv` and `days.html` of each long recording whose days were decoded.

    Args:
        tasks: The days of one or several recordings, as `split_days` gives them; other tasks are passed over.
        options: How they were decoded.

    Returns:
        The pages.
    """
    of_days = [task for task in tasks if task.days is not None]
    return [
        page
        for source, group in groupby(of_days, key=lambda task: task.source)
        if (page := _write_recording(source, [*group], options)) is not None
    ]


def _write_recording(source: str, tasks: list[NightTask], options: DecodeOptions) -> Path | None:
    from sharpwave.reports.days_page import LongRecording, write_days_page

    folder, how = tasks[0].folder.parent, tasks[0].days
    recording = open_source(source, options)
    assert how is not None
    clock, schedule = DayClock(recording.start, how.time_zone), read_schedule(how.light_schedule)
    table = _update_table(folder / DAYS, tasks, clock, how)
    if table is None:
        return None
    done = [task for task in tasks if task.night is not None and task.night.label in {*table["day"]}]
    hypnograms = [(task.night.start, _read_stages(task)) for task in done if task.night is not None]
    lights_on = 0.0 if schedule is None else schedule[0]
    profile = compute_profile(hypnograms, clock, lights_on=lights_on)
    check_group_page(folder / PAGE)
    for path, kept in ((folder / DAYS, table), (folder / PROFILE, profile)):
        with replace_file(path) as partial:
            if path.suffix == ".parquet":
                kept.to_parquet(partial, index=False)
            else:
                kept.to_csv(partial, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    page = LongRecording(
        name=show_path(Path(source).name),
        simulated=recording.source.startswith("simulated"),
        notes=[*_describe(tasks, done, clock, how), *_miss_spans(table, how)],
        days=table,
        profile=profile,
        actogram=compute_actogram(hypnograms, clock, lights_on=lights_on),
        addresses={
            task.night.label: quote(os.fsencode(Path(os.path.relpath(task.page, folder)).as_posix()))
            for task in done
            if task.night is not None
        },
        schedule=schedule,
        clock=clock.start is not None,
    )
    return write_days_page(page, folder / PAGE)


def _update_table(path: Path, tasks: Sequence[NightTask], clock: DayClock, how: DayOptions) -> pd.DataFrame | None:
    """Rows of every decoded day; those of an unchanged day are taken from the table that is there."""
    from sharpwave.reports.archive import read_archive
    from sharpwave.reports.files import ARCHIVE

    schedule, spans = read_schedule(how.light_schedule), read_spans(how.spans)
    measured = f"{how.light_schedule} {how.time_zone} {spans.to_csv(index=False)}"
    earlier = _read_table(path, measured)
    tables = []
    for task in tasks:
        key = read_key(task.summary)
        if key is None or task.night is None:
            continue
        if key in earlier:
            tables.append(earlier[key])
            continue
        night = read_archive(task.folder / ARCHIVE)
        rows = measure_day(night, onset=task.night.start, clock=clock, schedule=schedule, spans=spans)
        begin = clock.read(task.night.start)
        rows.insert(0, "day", task.night.label)
        rows.insert(1, "start", "" if begin is None else begin.isoformat())
        rows.insert(2, "onset", task.night.start)
        tables.append(rows.assign(verdict=night.verdict, key=key, measured=measured))
    return pd.concat(tables, ignore_index=True) if tables else None


def _read_table(path: Path, measured: str) -> dict[str, pd.DataFrame]:
    try:
        table = pd.read_parquet(path)
        table = table[table["measured"] == measured]
        return {str(key): rows for key, rows in table.groupby("key", sort=False)}
    except (OSError, ValueError, KeyError):
        return {}


def _read_stages(task: NightTask) -> Hypnogram:
    return read_hypnogram(task.folder / "hypnogram.tsv")


def _describe(tasks: Sequence[NightTask], done: Sequence[NightTask], clock: DayClock, how: DayOptions) -> list[str]:
    notes = []
    if tasks[0].night is not None:
        notes.append(f"{tasks[0].night.sentence.rpartition('; ')[2].capitalize()}.")
    if len(done) < len(tasks):
        notes.append(f"{len(tasks) - len(done)} of {len(tasks)} days have no results.")
    if clock.start is None:
        notes.append("No clock time is known: hours count from the start of the recording.")
    elif clock.start.year <= 1900 and clock.zone is not None:
        notes.append("The date is not known, so no summer time is followed.")
    elif clock.zone is None:
        notes.append("Times are those of the recorder's clock at the start; no summer time is followed.")
    else:
        notes.append(f"Times follow the summer time of {clock.zone}.")
    if how.light_schedule is not None:
        notes.append(f"Lights are on {how.light_schedule}, every day.")
    return notes


def _miss_spans(days: pd.DataFrame, how: DayOptions) -> list[str]:
    """A sentence for each named span of which no epoch was decoded."""
    known = {*days["phase"]}
    names = dict.fromkeys(str(name) for name in read_spans(how.spans)["label"] if str(name) not in known)
    return [f"No decoded day holds any of the span {name}: its seconds count from the start." for name in names]
