"""The files of one decoded night as BIDS derivatives."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave import __version__
from sharpwave.night.decoded import DecodedNight
from sharpwave.reports.archive import to_json, write_archive
from sharpwave.reports.files import summarise, write_table

DESCRIPTION = "desc-sharpwave"


def write_bids_files(
    night: DecodedNight, root: str | Path, entities: str, *, config: Mapping[str, Any], hypnogram: bool = False
) -> Path:
    """Write `sub-…_desc-sharpwave_events.tsv` with its sidecar, stage probabilities, forecast, summary and page.

    Args:
        night: The decoded night.
        root: The derivatives folder.
        entities: BIDS entities of the night, such as "sub-01_ses-2_task-sleep".
        config: The resolved options.
        hypnogram: Also write `_hypnogram.tsv` (a BIDS proposal, not yet the standard).

    Returns:
        Path of the page.
    """
    from sharpwave.reports.page import write_report

    root = Path(root)
    folder = locate_folder(root, entities)
    folder.mkdir(parents=True, exist_ok=True)
    stem = folder / f"{entities}_{DESCRIPTION}"
    write_table(merge_events(night), Path(f"{stem}_events.tsv"))
    Path(f"{stem}_events.json").write_text(to_json(_describe_events(night)), encoding="utf-8")
    write_table(night.hypnogram.to_frame().replace("?", "n/a"), Path(f"{stem}_stageprob.tsv"))
    night.forecast.to_parquet(f"{stem}_forecast.parquet", index=False)
    if hypnogram:
        night.hypnogram.write(f"{stem}_hypnogram.tsv")
    write_description(root)
    write_archive(night, locate_archive(root, entities))
    page = write_report(night, locate_page(root, entities))
    partial = Path(f"{stem}_summary.json.partial")
    partial.write_text(to_json(summarise(night) | {"config": dict(config)}), encoding="utf-8")
    os.replace(partial, f"{stem}_summary.json")  # last: a night counts as done once its summary is there
    return page


def locate_folder(root: Path, entities: str) -> Path:
    """`ROOT/sub-01[/ses-2]/eeg`."""
    parts = [part for part in entities.split("_") if part.startswith(("sub-", "ses-"))]
    return root.joinpath(*parts, "eeg")


def locate_page(root: Path, entities: str) -> Path:
    """`ROOT/sub-01[_ses-2].html`; further entities stay in the name where a subject has several nights."""
    kept = [part for part in entities.split("_") if part != "task-sleep"]
    return root / ("_".join(kept) + ".html")


def locate_summary(root: Path, entities: str) -> Path:
    return locate_folder(root, entities) / f"{entities}_{DESCRIPTION}_summary.json"


def locate_archive(root: Path, entities: str) -> Path:
    return locate_folder(root, entities) / f"{entities}_{DESCRIPTION}_night.json.gz"


def merge_events(night: DecodedNight) -> pd.DataFrame:
    """Stages as runs and detected events in one BIDS events table: onset, duration, trial_type, scorer, method, ..."""
    bouts = night.hypnogram.bouts()
    stages = pd.DataFrame(
        {
            "onset": bouts["onset"],
            "duration": bouts["duration"],
            "trial_type": [f"Sleep stage {stage}" for stage in bouts["stage"]],
            "scorer": "automatic",
            "method": night.stager,
            "channel": ",".join(night.picks.values()),
        }
    )
    events = night.events.rename(columns={"label": "trial_type"})
    if len(events):
        stages = pd.concat([stages, events.assign(scorer="automatic")], ignore_index=True)
    return stages.sort_values("onset", kind="stable", ignore_index=True)


def _describe_events(night: DecodedNight) -> dict[str, Any]:
    return {
        "onset": {"Description": "Start, from the start of the recording", "Units": "s"},
        "duration": {"Description": "Length", "Units": "s"},
        "trial_type": {"Description": "Sleep stage (runs merged) or detected event"},
        "scorer": {"Description": "automatic, or the name of a human scorer"},
        "method": {"Description": "How it was scored or detected"},
        "channel": {"Description": "Channels it was found in"},
        "GeneratedBy": {"Name": "sharpwave", "Version": __version__, "Stager": night.stager},
    }


def write_description(root: Path) -> Path:
    """`dataset_description.json` of the derivatives."""
    path = root / "dataset_description.json"
    description = {
        "Name": "sharpwave derivatives",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "sharpwave", "Version": __version__}],
        "SourceDatasets": [],
    }
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return path
