"""The rest around recorded runs: how many candidate events exceed their surrogates, by `sharpwave replay`'s defaults.

Rows of `sharpwave benchmark run-decoding`. No truth is known here: `significant_share` (of events with p at most .05)
stands beside what surrogates of the same events give, and `discoveries` counts events with a false-discovery rate of at
most .05. The events of `rat-ca1-sleep-events` are known to be at chance one by one; a discovery there would be false.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.session import ReplaySession, analyse_session
from sharpwave.recordings import load_dataset
from sharpwave.recordings.datasets import data_root, rat_ca1, rat_ca1_events

FORMATS = {"rat-ca1": rat_ca1.subjects, "rat-ca1-events": rat_ca1_events.subjects}
"""Data sets that a folder `rat-ca1-*` may hold, and who is in it."""


def find_folders(data: Path | None) -> list[Path]:
    """The folder named, and the folders `rat-ca1-*` in it.

    Args:
        data: Folder of data sets, or one of these folders; `data_root()` where omitted.
    """
    root = data_root() if data is None else Path(data)
    return [] if root is None else [root, *sorted(root.glob("rat-ca1-*"))]


def assess_sessions(data: Path | None, *, rng: np.random.Generator) -> tuple[list[Row], list[str]]:
    """Rows of every session in the folders `rat-ca1-*`, and why others have none.

    Args:
        data: Folder of data sets, as for `find_folders`.
        rng: Random generator of the surrogates.
    """
    rows: list[Row] = []
    notes: list[str] = []
    for folder in find_folders(data):
        for dataset, subject in ((dataset, name) for dataset, list_in in FORMATS.items() for name in list_in(folder)):
            name = f"{folder.name}/{subject}"
            try:
                session = analyse_session(load_dataset(f"{dataset}/{subject}", folder), rng=rng)
            except SharpwaveError as error:
                notes.append(f"{name}: no replay: expected {error.expected}, got {error.got}")
            else:
                rows += tabulate_session(name, session)
    return rows, notes


def tabulate_session(name: str, session: ReplaySession) -> list[Row]:
    """Rows of one session, an epoch at a time; the interval beside surrogates is theirs."""
    rows: list[Row] = []
    for test in session.tests.to_dict("records"):
        if test["n_significant"] is None:
            continue
        setting = f"events {test['epoch']} the run" if test["epoch"] != "rest" else "events of sleep"
        n = int(test["n_events"])
        shares = {
            "sharpwave": (test["share"], None, None),
            "surrogates": (test["expected"], test["low"], test["high"]),
        }
        for method, (share, low, high) in shares.items():
            rows.append(Row(name, setting, method, "significant_share", _round(share), _round(low), _round(high), n))
        rows.append(Row(name, setting, "sharpwave", "p", _round(test["p"]), n=n))
        rows.append(Row(name, setting, "sharpwave", "discoveries", _round(test["n_significant"]), n=n))
    return rows


def _round(value: float | None) -> float:
    return float("nan") if value is None else round(float(value), 4)
