"""Decode every real recording that is at hand, and write what came out as docs/tried.md and as JSON.

Run: python benchmarks/real_files.py [--output benchmarks/results/real-files.json] [--page docs/tried.md]
It needs the recordings that `sharpwave datasets list` names, in SHARPWAVE_DATA.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.commands.batch import decode_nights, plan_nights
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings.datasets import data_root

SOURCES = (
    "ucddb/022", "ucddb/002", "dreams/excerpt1", "dreams/excerpt5", "walch/1066528", "pd-lfp/Minn_01",
    "dod/dodh-095d6e40-5f19-55b6-a0ec-6e0ad3793da0", "mouse-fmri/session", "rat-ca1", "rest-bold/NAP_001",
    "nitime-bold/fmri1", "rsleep/subject1", "rsleep/noxturnal_events_example_unicode", "yasa/data_EOGs_REM_256Hz",
    "openspindlenet/eeg",
)  # fmt: skip
FILES = (("dreams-spindles/excerpt3.edf", "dreams-spindles/Hypnogram_excerpt3.txt"),)

HEAD = """# What was tried on which real file

Made by `python benchmarks/real_files.py`; the numbers are in `benchmarks/results/real-files.json`. κ is of this one
recording against its expert, over the epochs given; where the stager was trained on this very person it says *seen*,
and κ proves nothing.

| Recording | Staged by | Verdict | κ (epochs) | What the page says first |
|---|---|---|---|---|
"""


MADE = "\n## Files that were made, and what is right\n"
"""Begin of the part of the page that is written by hand; it stays."""


def decode_source(source: str, folder: Path, stages: Path | None = None) -> dict[str, Any]:
    """Decode one recording and keep what its summary says."""
    task = plan_nights([source], folder)[0]
    outcome = decode_nights([task], DecodeOptions(stages=stages), existing="overwrite")[0]
    row: dict[str, Any] = {"recording": task.name, "status": outcome.status, "message": outcome.message}
    if outcome.report is None:
        return row | {"verdict": "no page", "stager": "–"}
    summary = json.loads(task.summary.read_text(encoding="utf-8"))
    kappa = next((one for one in summary["agreement"] if one["metric"] == "kappa"), {})
    return row | {
        "verdict": summary["verdict"],
        "stager": summary["stager"],
        "kappa": kappa.get("value"),
        "low": kappa.get("low"),
        "high": kappa.get("high"),
        "n": kappa.get("n"),
        "seen": any("trained on this very person" in said for said in [*summary["reasons"], *summary["trust"]]),
        "reasons": summary["reasons"],
        "refusals": summary["refusals"],
        "repairs": summary["repairs"],
    }


def format_row(row: dict[str, Any]) -> str:
    kappa = "–" if row.get("kappa") is None else f"{row['kappa']:.2f} ({row['n']})" + (" *seen*" if row["seen"] else "")
    said = row["reasons"][0] if row.get("reasons") else row["message"]
    return f"| `{row['recording']}` | {row['stager']} | {row['verdict']} | {kappa} | {said.replace('|', '/')} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/real-files.json"))
    parser.add_argument("--page", type=Path, default=Path("docs/tried.md"))
    arguments = parser.parse_args()
    root = data_root()
    with tempfile.TemporaryDirectory() as folder:
        rows = [decode_source(source, Path(folder)) for source in SOURCES]
        for file, stages in FILES if root is not None else ():
            rows.append(decode_source(str(root / file), Path(folder), root / stages))
    provenance = describe_provenance("python benchmarks/real_files.py")
    result = {"machine": describe_machine(), "commit": find_commit(), "provenance": provenance, "rows": rows}
    arguments.output.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    before = arguments.page.read_text(encoding="utf-8") if arguments.page.exists() else ""
    _, mark, made = before.partition(MADE)
    arguments.page.write_text(HEAD + "\n".join(map(format_row, rows)) + "\n" + mark + made, encoding="utf-8")


if __name__ == "__main__":
    main()
