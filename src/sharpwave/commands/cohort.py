"""`sharpwave cohort`: all nights below a folder as one table with covariates, kept up to date, and a page."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpwave.commands.progress import say
from sharpwave.commands.tasks import check_group_page
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import READY, settle_files

if TYPE_CHECKING:
    from sharpwave.reports.cohort_table import CohortTable

NIGHTS, PAGE = "nights.parquet", "cohort.html"
WIDE = {"night", "session", "verdict", "definitions"}
"""Columns of the table that `decode` and `bids group` write beside `nights.tsv`, a row a night: it gives way."""


def cohort(
    folder: Annotated[
        Path, typer.Argument(help="Results of `sharpwave decode` or `bids`, at any depth.", metavar="OUT")
    ],
    participants: Annotated[
        Path | None, typer.Option(help="Table of participants: participant_id, age, sex, group and what you like.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the table and the page [default: OUT].")
    ] = None,
) -> None:
    """Put nights together: `nights.parquet` (a row a night and statistic, with covariates) and `cohort.html`.

    Run again after more nights were decoded: only changed ones are read.

    - `sharpwave cohort results --participants participants.tsv`
    """
    say(f"Reading the nights below {show_path(folder)} ...")
    table, page = write_cohort(folder, participants=participants, output=output)
    nights = table.rows["night"].nunique()
    for sentence in [*table.list_losses(), *table.notes]:
        typer.echo(show_path(sentence))
    typer.echo(f"{nights} night{'s' * (nights != 1)}, {len(table.rows)} rows. Open {show_path(page)}")


def write_cohort(
    folder: Path, *, participants: Path | None = None, output: Path | None = None
) -> tuple[CohortTable, Path]:
    """Write `nights.parquet` and `cohort.html`.

    Args:
        folder: Folder with results of nights, at any depth.
        participants: Table of participants; None where nothing is known of them.
        output: Folder to write into; `folder` where omitted.

    Returns:
        The nights, and the path of the page.

    Raises:
        SharpwaveError: If there are no results, the table of participants cannot be used, or something else than
            earlier results of ours is in the way.
    """
    import pandas as pd

    from sharpwave.outputs import replace_file
    from sharpwave.reports.cohort_page import write_cohort_page
    from sharpwave.reports.cohort_table import OWN, tabulate_cohort
    from sharpwave.reports.participants import read_participants

    output = output or folder
    path, page = output / NIGHTS, output / PAGE
    check_group_page(page)
    earlier = None
    if path.exists():
        with suppress(OSError, ValueError):
            earlier = pd.read_parquet(path)
        if earlier is not None and {*earlier.columns} >= WIDE:
            earlier = pd.DataFrame(columns=list(OWN))
        if earlier is None or not {*OWN} <= {*earlier.columns}:
            raise SharpwaveError(
                "a table of nights of ours to bring up to date",
                got=f"{show_path(path)}, which is something else, or damaged",
                fix="move it elsewhere, or give another --output",
            )
    known = None if participants is None else read_participants(participants)
    settle_nights(folder)
    table = tabulate_cohort(folder, participants=known, earlier=earlier)
    with replace_file(path) as partial:
        table.rows.to_parquet(partial, index=False)
    return table, write_cohort_page(table, page)


def settle_nights(folder: Path) -> None:
    """Finish what processes that died had written whole, but not yet moved into place, where we may."""
    for here, folders, _ in os.walk(folder):
        for ready in (name for name in folders if name.startswith(READY)):
            with suppress(SharpwaveError, OSError):  # of someone else's: its older results count
                settle_files(here, ready=ready)
        folders[:] = [name for name in folders if not name.startswith(".")]
