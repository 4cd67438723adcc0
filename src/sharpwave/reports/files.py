"""The files of one decoded night: hypnogram, forecast, events, summary, and the page."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.reports.archive import to_json, write_archive

ARCHIVE = "night.json.gz"
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
    for name, table in night.effects.files.items():
        if name.endswith(".parquet"):
            table.to_parquet(partial / name, index=False)
        else:
            write_table(table, partial / name)
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
    table.to_csv(path, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
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
