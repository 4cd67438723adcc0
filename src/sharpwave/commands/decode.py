"""`sharpwave decode`: recordings in; stages, what comes next, events and a page out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import decode_nights, finish, plan_nights, write_group_page
from sharpwave.commands.headers import check_headers, show_plans
from sharpwave.commands.options import RUN, Config, RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.commands.sources import expand_sources, split_days, split_nights
from sharpwave.commands.tasks import check_group_page
from sharpwave.disk import show_path
from sharpwave.night.day_options import DayOptions
from sharpwave.night.options import DecodeOptions


@with_options
def decode(
    files: Annotated[
        list[str],
        typer.Argument(help="Recordings, folders of them, or data sets by name (`ucddb/022`).", metavar="FILE..."),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME].")
    ] = None,
    *,
    options: DecodeOptions,
    days: DayOptions,
    run: RunOptions,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Decode nothing: say which channels would be taken and why, and who would stage them.",
            rich_help_panel=RUN,
        ),
    ] = False,
    config: Config = None,
) -> None:
    """Decode nights: stages, what comes next, events, and a page that says how far to trust them.

    Writes `hypnogram.tsv`, `forecast.parquet`, `events.tsv`, `summary.json` and `report.html`; several files go to one
    folder each, and so do the nights of a table of several days.

    - `sharpwave decode night.edf --lights-off 23:10 --lights-on 07:02`
    - `sharpwave decode night.edf --dry-run` says what it would take, and decodes nothing
    - `sharpwave decode night.edf --stages scored.tsv` compares with an expert
    - `sharpwave decode *.edf -o results --jobs 2 --skip-existing` resumes where it stopped
    - `sharpwave decode year.zarr --light-schedule 07:00-19:00` cuts days: `days.parquet`, an actogram
    """
    say(f"Opening {show_path(files[0])}{f' and {len(files) - 1} more' if len(files) > 1 else ''} ...")
    from sharpwave.night.days import check_zone

    check_zone(days)
    tasks = split_nights(plan_nights(expand_sources(files), output), options)
    if days.by is not None and any(task.night is not None for task in tasks):
        say(f"--by {days.by} cuts EEG and LFP; of a watch the longest rest of each day is decoded, as a night.")
    tasks = split_days(tasks, options, days)
    check_headers(tasks, options)
    if dry_run:
        show_plans(tasks, options, json_lines=run.json_lines)
    page = (output or Path()) / "index.html"
    if len(tasks) > 1:
        check_group_page(page)
    outcomes = decode_nights(tasks, options, **run.to_arguments())
    if len(tasks) > 1:
        write_group_page(tasks, page, outcomes)
    if any(task.days is not None for task in tasks):
        from sharpwave.commands.days import write_days

        for written in write_days(tasks, options):
            typer.echo(f"Days: {show_path(written)}", err=run.json_lines)
    finish(outcomes, json_lines=run.json_lines)
