"""The bench of null sessions: one p a session and method, counted with exact intervals, in both worlds."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.replay.null import WORLDS, compute_range, compute_rows, list_jobs, run_job
from sharpwave.benchmarks.replay.worlds import FIRST, SECOND


def find_world(data: str, setting: str) -> int:
    return next(i for i, (_, world) in enumerate(WORLDS) if (world.data, world.setting) == (data, setting))


@pytest.mark.parametrize("data", [FIRST, SECOND])
def test_each_method_gives_a_session_one_p(data: str) -> None:
    index = find_world(data, "bursts at one place")
    rows = run_job((index, 3, True))
    assert rows == run_job((index, 3, True))
    assert len({row["method"] for row in rows}) == len(rows) == 18
    assert all(0 < row["p"] <= 1 for row in rows)
    p = {row["method"]: row["p"] for row in rows}
    assert p["time-bin and cell-identity, correlation"] == max(
        p["time-bin alone, correlation"], p["cell-identity, correlation"]
    )
    assert p["cell-identity alone, trajectory"] < 0.05 < p["cell-identity, trajectory"]


def test_power_sessions_test_what_is_offered_alone() -> None:
    index = next(i for i, (what, world) in enumerate(WORLDS) if what == "power" and world.data == FIRST)
    rows = run_job((index, 0, False))
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


def test_what_is_not_offered_is_tested_in_fewer_sessions() -> None:
    jobs = list_jobs(1)
    assert sum(number for _, number, _ in jobs) > 0
    assert sum(alone for _, _, alone in jobs) == 5 * sum(what == "null" for what, _ in WORLDS)
    assert len(jobs) == len({job[:2] for job in jobs})
