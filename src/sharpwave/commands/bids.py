"""`sharpwave bids`: a BIDS data set decoded as a BIDS app, and its pages written again without decoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import NightOutcome, decode_nights, finish, write_group_page
from sharpwave.commands.headers import check_headers
from sharpwave.commands.options import Config, RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.commands.tasks import NightTask, check_group_page
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions


@with_options
def bids(
    bids_dir: Annotated[Path, typer.Argument(help="The BIDS data set; never written to.")],
    output_dir: Annotated[Path, typer.Argument(help="Where the derivatives go.")],
    level: Annotated[str, typer.Argument(help="`participant` decodes; `group` writes the page over all nights.")],
    participant_label: Annotated[
        list[str] | None, typer.Option(help="Only this participant, without `sub-`; may be given several times.")
    ] = None,
    session_label: Annotated[
        list[str] | None, typer.Option(help="Only this session, without `ses-`; may be given several times.")
    ] = None,
    *,
    options: Annotated[
        DecodeOptions,
        *("channels", "aliases", "unit", "stage_convention", "stage_epoch", "stage_tolerance", "scorer"),
        *("species", "stager", "weights", "seed"),
    ],
    run: RunOptions,
    reports_only: Annotated[bool, typer.Option(help="Write the pages again from earlier results.")] = False,
    hypnogram: Annotated[
        bool, typer.Option("--hypnogram", help="Also write BIDS's proposed `_hypnogram.tsv`.")
    ] = False,
    config: Config = None,
) -> None:
    """Decode a BIDS data set as a BIDS app, a night after the other.

    - `sharpwave bids my-study my-study/derivatives/sharpwave participant --jobs 2`
    - `sharpwave bids my-study my-study/derivatives/sharpwave group`

    With `--participant-label` it writes the files of these nights alone, so that an array of jobs may run one
    participant each; `sharpwave bids BIDS OUT group` then writes the page over all of them.
    """
    say(f"Reading the data set {show_path(bids_dir)} ...")
    tasks = plan_bids_nights(
        bids_dir, output_dir, participants=participant_label, sessions=session_label, hypnogram=hypnogram
    )
    check_derivatives(output_dir)
    outcomes = []
    if reports_only:
        outcomes = rewrite_pages(tasks)
    elif level == "participant":
        check_headers(tasks, options)
        outcomes = decode_nights(tasks, options, **run.to_arguments())
    page = None
    if level == "group" or not (participant_label or session_label):
        # A participant level that was given labels is one of many at once: it writes its own nights' files alone.
        page = write_group_page(tasks, output_dir / "index.html", outcomes)
    if level == "group" and not reports_only:
        typer.echo(f"Open {page}" if page else "No night is decoded yet: run the participant level first.")
        raise typer.Exit(0 if page else 1)
    finish(outcomes, json_lines=run.json_lines)


def plan_bids_nights(
    bids: Path,
    output: Path,
    *,
    participants: Sequence[str] | None = None,
    sessions: Sequence[str] | None = None,
    hypnogram: bool = False,
) -> list[NightTask]:
    """One task per EEG file of the data set.

    Args:
        bids: The data set; it is only read.
        output: Root of the derivatives; must not be the data set itself.
        participants: Labels without `sub-`; None for all.
        sessions: Labels without `ses-`; None for all.
        hypnogram: Also write `_hypnogram.tsv`.

    Raises:
        SharpwaveError: If there is no night, a label does not exist, or the output is the input.
    """
    from sharpwave.recordings.readers.bids import list_bids_nights

    if output.resolve() == bids.resolve():
        raise SharpwaveError(
            "an output folder beside the data set", got=f"{output}, the data set itself", fix="give another folder"
        )
    files = list_bids_nights(bids, participants=participants, sessions=sessions)
    first: dict[str, Path] = {}
    for file in files:
        if (other := first.setdefault(_entities(file), file)) != file:
            raise SharpwaveError(
                f"one EEG file of {_entities(file)}",
                got=f"{show_path(other.relative_to(bids))} and {show_path(file.relative_to(bids))}",
                fix="move one of them to sourcedata/, or give --participant-label of the others",
            )
    return [
        NightTask(str(file), entities, output, entities, hypnogram) for file in files for entities in [_entities(file)]
    ]


def check_derivatives(output: Path) -> None:
    """Refuse to write into a data set of someone else's.

    Args:
        output: Root of the derivatives; need not exist.

    Raises:
        SharpwaveError: If it holds a data set, or a page over all nights, that sharpwave did not make.
    """
    check_group_page(output / "index.html")
    path = output / "dataset_description.json"
    try:
        ours = not path.exists() or '"sharpwave"' in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        ours = False
    if not ours:
        raise SharpwaveError(
            "a folder for the derivatives of sharpwave alone",
            got=f"{output}, a data set of something else",
            fix=f"give {output / 'sharpwave'} or another folder",
        )


def _entities(file: Path) -> str:
    """`sub-01_ses-2_task-sleep` of `sub-01_ses-2_task-sleep_eeg.edf`."""
    return file.name.split(".")[0].rpartition("_")[0]


def rewrite_pages(tasks: Sequence[NightTask]) -> list[NightOutcome]:
    """Write each night's page again from its earlier results."""
    from sharpwave.reports.archive import read_archive
    from sharpwave.reports.files import locate_archive
    from sharpwave.reports.page import write_report

    outcomes = []
    for task in tasks:
        try:
            task.settle()
            night = read_archive(locate_archive(task.folder, task.entities or ""))
            outcomes.append(NightOutcome(task.name, "done", night.verdict, write_report(night, task.page)))
        except (SharpwaveError, OSError) as error:
            outcomes.append(NightOutcome(task.name, "failed", show_path(error)))
    return outcomes
