"""The files of one decoded night in a folder of its own, or as BIDS derivatives: tables, summary, and the page."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave import __version__
from sharpwave.causality.series_files import CANDIDATES, CUES, REACTIVATIONS, SERIES, write_tables
from sharpwave.disk import hash_files
from sharpwave.evaluation.sleep_statistics import DEFINITIONS
from sharpwave.night.decoded import DecodedNight
from sharpwave.outputs import READY, replace_files, replace_folder
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.annotations import ANNOTATIONS, write_annotations
from sharpwave.reports.archive import to_json, write_archive
from sharpwave.reports.timeline import downsample_hypnogram
from sharpwave.untrusted import make_cells_safe

ARCHIVE = "night.json.gz"
DESCRIPTION = "desc-sharpwave"
"""Part of the names of BIDS derivatives."""
DATASET = "dataset_description.json"
LOG, FAILED_LOG = "log.txt", "log-failed.txt"
FILES = ("hypnogram.tsv", "forecast.parquet", "events.tsv", "summary.json", "report.html", "config.json", ARCHIVE)
FURTHER = (*ANNOTATIONS, SERIES, REACTIVATIONS, CANDIDATES, CUES, LOG, FAILED_LOG, "network-sleep.html",
           "network-hypnogram.tsv", "live-night.html")  # fmt: skip
"""Files that some nights have; the last three are those of `sharpwave demo`."""
OURS = frozenset((*FILES, *FURTHER))
"""All that the folder of a night may hold: with anything else in it, it is not ours to replace."""
BIDS_ENDS = ("events.tsv", "events.json", "stageprob.tsv", "forecast.parquet", "hypnogram.tsv", "night.json.gz",
             "summary.json", "log.txt", *ANNOTATIONS)  # fmt: skip


def write_files(
    night: DecodedNight, folder: str | Path, *, config: Mapping[str, Any], texts: Mapping[str, str] | None = None
) -> Path:
    """Write all files of a night; the folder appears whole or not at all.

    Args:
        night: The decoded night.
        folder: Folder of the results. Earlier results in it are replaced as a whole; with anything else in it, it is
            left alone.
        config: The resolved options, written into `summary.json` and `config.json`.
        texts: Further small files by name, such as the log; none where omitted.

    Returns:
        Path of `report.html`.

    Raises:
        SharpwaveError: If the folder holds something of someone else's, or cannot be written.
    """
    from sharpwave.reports.page import write_report

    with replace_folder(folder, known=OURS) as partial:
        night.hypnogram.write(partial / "hypnogram.tsv")
        night.forecast.to_parquet(partial / "forecast.parquet", index=False)
        write_table(night.events, partial / "events.tsv")
        write_annotations(night, partial)
        write_tables(night.effects.files, partial)
        (partial / "config.json").write_text(to_json(config), encoding="utf-8")
        write_archive(night, partial / ARCHIVE)
        hashes = hash_files(partial)
        write_report(night, partial / "report.html")
        for name, text in (texts or {}).items():
            (partial / name).write_text(text, encoding="utf-8", errors="replace")
        summary = summarise(night) | {"config": dict(config), "files": hashes}
        (partial / "summary.json").write_text(to_json(summary), encoding="utf-8")
    return Path(folder) / "report.html"


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
        "age": night.age,
        "sex": night.sex,
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
        "stages": encode_stages(night.hypnogram),
        "statistics": records(night.statistics),
        "statistics_definitions": DEFINITIONS,
        "sleep_cycles": records(night.architecture.cycles),
        "sleep_cycles_note": night.architecture.note,
        "stage_transitions": records(night.architecture.transitions),
        "spectra_channel": night.oscillations.channel,
        "band_power": records(night.oscillations.power),
        "aperiodic": records(night.oscillations.aperiodic),
        "coupling": records(night.oscillations.coupling),
        "oscillation_notes": night.oscillations.notes,
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


def encode_stages(hypnogram: Hypnogram, *, most: int = 240) -> dict[str, Any]:
    """A hypnogram in a few letters, for small pictures of many nights: a digit is a stage's code, "?" is unscored.

    Args:
        hypnogram: The stages.
        most: Largest number of letters; blocks of epochs become their most frequent stage.

    >>> encode_stages(Hypnogram.from_labels(["W", "N2", "N2", "R"]))
    {'names': ['W', 'N1', 'N2', 'N3', 'R'], 'codes': '0224', 'step_s': 30.0, 'start_s': 0.0}
    """
    drawn = downsample_hypnogram(hypnogram, most=most)
    codes = "".join(str(code) if code >= 0 else "?" for code in drawn.stages.tolist())
    return {"names": list(drawn.names), "codes": codes, "step_s": drawn.epoch_length, "start_s": drawn.start}


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in table.to_dict(orient="records")]


def write_bids_files(
    night: DecodedNight,
    root: str | Path,
    entities: str,
    *,
    config: Mapping[str, Any],
    hypnogram: bool = False,
    texts: Mapping[str, str] | None = None,
) -> Path:
    """Write `sub-…_desc-sharpwave_events.tsv` with its sidecar, stage probabilities, forecast, summary and page.

    Stages and events as EDF+ annotations, as text that EDFbrowser imports, and of an animal as NWB lie beside them.

    All of them count at once, and no file of an earlier run stays.

    Args:
        night: The decoded night.
        root: The derivatives folder.
        entities: BIDS entities of the night, such as "sub-01_ses-2_task-sleep".
        config: The resolved options.
        hypnogram: Also write `_hypnogram.tsv` (a BIDS proposal, not yet the standard).
        texts: Further small files by the end of their name, such as "log.txt"; none where omitted.

    Returns:
        Path of the page.

    Raises:
        SharpwaveError: If the folder cannot be written.
    """
    from sharpwave.reports.page import write_report

    root = Path(root)
    stem = (locate_folder(root, entities) / f"{entities}_{DESCRIPTION}").relative_to(root).as_posix()
    page = locate_page(root, entities).relative_to(root)
    stale = [f"{stem}_{end}" for end in BIDS_ENDS if (root / f"{stem}_{end}").is_file()]
    with replace_files(root, ready=name_ready(entities), stale=stale) as partial:
        (partial / stem).parent.mkdir(parents=True)
        files = {end: partial / f"{stem}_{end}" for end in BIDS_ENDS}
        write_table(merge_events(night), files["events.tsv"])
        files["events.json"].write_text(to_json(_describe_events(night)), encoding="utf-8")
        write_table(night.hypnogram.to_frame().replace("?", "n/a"), files["stageprob.tsv"])
        night.forecast.to_parquet(files["forecast.parquet"], index=False)
        if hypnogram:
            night.hypnogram.write(files["hypnogram.tsv"])
        write_archive(night, files["night.json.gz"])
        for plain in write_annotations(night, (partial / stem).parent):
            plain.rename(files[plain.name])
        hashes = hash_files((partial / stem).parent)
        for end, text in (texts or {}).items():
            files[end].write_text(text, encoding="utf-8", errors="replace")
        write_report(night, partial / page)
        if not (root / DATASET).is_file():
            write_description(partial)
        summary = summarise(night) | {"config": dict(config), "files": hashes}
        files["summary.json"].write_text(to_json(summary), encoding="utf-8")
    return root / page


def name_ready(entities: str) -> str:
    """Folder in the root of BIDS derivatives of one night's files that are complete; see `replace_files`.

    >>> name_ready("sub-01_task-sleep")
    '.sharpwave-ready-sub-01_task-sleep'
    """
    return f"{READY}-{entities}"


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
    """Write `dataset_description.json` of the derivatives."""
    path = root / DATASET
    description = {
        "Name": "sharpwave derivatives",
        "BIDSVersion": "1.10.0",
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "sharpwave", "Version": __version__}],
        "SourceDatasets": [],
    }
    path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")
    return path
