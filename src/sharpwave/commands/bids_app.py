"""`sharpwave bids`: the nights of a BIDS data set as tasks, and their pages written again without decoding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sharpwave.commands.batch import NightOutcome, NightTask
from sharpwave.errors import SharpwaveError


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
    return [
        NightTask(str(file), entities, output, entities, hypnogram) for file in files for entities in [_entities(file)]
    ]


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
            night = read_archive(locate_archive(task.folder, task.entities or ""))
            outcomes.append(NightOutcome(task.name, "done", night.verdict, write_report(night, task.page)))
        except SharpwaveError as error:
            outcomes.append(NightOutcome(task.name, "failed", str(error)))
    return outcomes
