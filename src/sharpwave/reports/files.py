"""The files of one decoded night in a folder of its own, or as BIDS derivatives: tables, summary, and the page."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave import __version__
from sharpwave.causality.series_files import write_tables
from sharpwave.night.decoded import DecodedNight
from sharpwave.reports.archive import to_json, write_archive
from sharpwave.untrusted import make_cells_safe

ARCHIVE = "night.json.gz"
DESCRIPTION = "desc-sharpwave"
"""Part of the names of BIDS derivatives."""
FILES = ("hypnogram.tsv", "forecast.parquet", "events.tsv", "summary.json", "report.html", "config.json", ARCHIVE)


def write_files(night: DecodedNight, folder: str | Path, *, config: Mapping[str, Any]) -> Path:
    """Write all files of a night; the folder appears whole or not at all.

    Args:
        night: The decoded night.
        folder: Target; earlier results in it are replaced.
        config: The resolved options, written into `summary.json` and `config.json`.

    Returns:
        Path of `report.html`.
    """
    from sharpwave.reports.page import write_report

    folder = Path(folder)
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    night.hypnogram.write(partial / "hypnogram.tsv")
    night.forecast.to_parquet(partial / "forecast.parquet", index=False)
    write_table(night.events, partial / "events.tsv")
    write_tables(night.effects.files, partial)
    (partial / "config.json").write_text(to_json(config), encoding="utf-8")
    (partial / "summary.json").write_text(to_json(summarise(night) | {"config": dict(config)}), encoding="utf-8")
    write_archive(night, partial / ARCHIVE)
    write_report(night, partial / "report.html")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(partial.iterdir()):
        os.replace(path, folder / path.name)
    partial.rmdir()
    return folder / "report.html"


def write_table(table: pd.DataFrame, path: Path) -> Path:
    """A BIDS-style TSV: tab-separated, `n/a` where undefined."""
    make_cells_safe(table).to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
    return path


def summarise(night: DecodedNight) -> dict[str, Any]:
    """What `summary.json` says of a night: every number of the page, without the time series."""
    return {
        "identifier": night.identifier,
        "source": night.source,
        "subject": night.subject,
        "species": night.species,
        "simulated": night.simulated,
        "start": night.start,
        "duration_s": night.duration,
        "verdict": night.verdict,
        "reasons": night.reasons,
        "trust": night.trust,
        "stager": night.stager,
        "stager_evidence": records(night.stager_evidence),
        "channels": dict(night.picks),
        "statistics": records(night.statistics),
        "agreement": records(night.agreement),
        "forecast_skill": records(night.forecast_evaluation.skill),
        "forecast_note": night.forecast_evaluation.note,
        "event_summary": records(night.event_summary),
        "reactivations": records(night.effects.reactivations),
        "reactivations_note": night.effects.note,
        "rules": records(night.effects.rules),
        "quality": records(night.quality),
        "refusals": night.refusals,
        "repairs": night.repairs,
        "truth": night.truth,
        "versions": dict(night.provenance.versions),
        "hashes": dict(night.provenance.hashes),
    }


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict(orient="records")]


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
