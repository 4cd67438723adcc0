"""The bench of null sessions: one p a session and method, counted with exact intervals, in both worlds."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.replay import null
from sharpwave.benchmarks.replay.null import (
    ALL,
    DEFAULT,
    OFFERED,
    WORLDS,
    compute_range,
    compute_rows,
    list_jobs,
    run_job,
)
from sharpwave.benchmarks.replay.worlds import FIRST, SECOND


def find_world(data: str, setting: str) -> int:
    return next(i for i, (_, world) in enumerate(WORLDS) if (world.data, world.setting) == (data, setting))


@pytest.mark.parametrize("data", [FIRST, SECOND])
def test_each_method_gives_a_session_one_p(data: str) -> None:
    index = find_world(data, "bursts at one place")
    rows = run_job((index, 3, ALL))
    assert rows == run_job((index, 3, ALL))
    assert rows[:1] == run_job((index, 3, DEFAULT))
    assert len({row["method"] for row in rows}) == len(rows) == 18
    assert all(0 < row["p"] <= 1 for row in rows)
    p = {row["method"]: row["p"] for row in rows}
    assert p["time-bin and cell-identity, correlation"] == max(
        p["time-bin alone, correlation"], p["cell-identity, correlation"]
    )
    assert p["cell-identity alone, trajectory"] < 0.05 < p["cell-identity, trajectory"]


def test_power_sessions_test_what_is_offered_alone() -> None:
    index = next(i for i, (what, world) in enumerate(WORLDS) if what == "power" and world.data == FIRST)
    rows = run_job((index, 0, OFFERED))
    assert len(rows) == 6
    assert min(row["p"] for row in rows) <= 0.05


def test_shares_have_exact_intervals() -> None:
    p = np.r_[np.full(5, 0.05), np.linspace(0.06, 1, 95)]
    found = pd.DataFrame(
        {"world": 0, "number": range(100), "n_events": 80, "method": "cell-identity, correlation", "p": p}
    )
    row, candidates, together = compute_rows(found)
    assert (together.setting, together.value, together.n) == ("all nulls together", 0.05, 100)
    assert (row.data, row.metric, row.value, row.n) == (SECOND, "share_at_05", 0.05, 100)
    assert row.low == pytest.approx(0.0164, abs=1e-3)
    assert row.high == pytest.approx(0.1128, abs=1e-3)
    assert candidates.value == 80
    assert compute_range(100) == (0.01, 0.1)


def test_what_is_not_the_default_is_tested_in_fewer_sessions() -> None:
    jobs = list_jobs(1)
    for depth, what in ((ALL, "null"), (OFFERED, "power")):
        assert sum(job[2] == depth for job in jobs) == 4 * sum(each == what for each, _ in WORLDS)
    assert len(jobs) == len({job[:2] for job in jobs})


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions of the same code are not run again; those of other code, and a line cut short, are."""
    row = [{"world": 0, "number": 0, "n_events": 80, "method": "cell-identity, correlation", "p": 0.5}]
    lines = [
        json.dumps({"code": code, "job": [0, n, 0], "rows": row}) for code, n in ((null.digest_code(), 0), ("", 1))
    ]
    kept = tmp_path / "kept.jsonl"
    kept.write_text("\n".join([*lines, lines[0][:20]]) + "\n")
    monkeypatch.setenv(null.KEPT_VARIABLE, str(kept))
    monkeypatch.setattr(null, "ProcessPoolExecutor", lambda *_, **__: ThreadPoolExecutor(1))
    monkeypatch.setattr(null, "run_job", lambda job: [row[0] | {"number": job[1], "p": 0.25}])
    for _ in range(2):
        found = [rows[0]["p"] for rows in null._run_jobs([(0, 0, 0), (0, 1, 0), (0, 2, 0)])]
        assert found == [0.5, 0.25, 0.25]
    assert len(kept.read_text().splitlines()) == 5
