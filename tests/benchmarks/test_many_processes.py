"""Figures of one memory over many processes: recomputed, by hand and by the draws themselves."""

from __future__ import annotations

import json
import time
from concurrent.futures import Future
from pathlib import Path

import pytest

from sharpwave.benchmarks import distributed
from sharpwave.benchmarks.distributed import BATCH, CAPACITY, LINK, N_STEPS, RANKS, ROW_BYTES, simulate
from sharpwave.integrations.distributed import SharedReplayBuffer

RESULTS = Path(__file__).parents[2] / "benchmarks/results"


def read_published() -> dict[tuple[str, str, str, str], float]:
    content = json.loads((RESULTS / "distributed.json").read_text(encoding="utf-8"))
    return {(row["data"], row["setting"], row["method"], row["metric"]): row["value"] for row in content["rows"]}


@pytest.mark.parametrize("ranks", [8, 64])
def test_what_is_published_of_draws_is_drawn_again(ranks: int) -> None:
    published = read_published()
    for row in simulate(ranks, 5):
        assert published[row.data, row.setting, row.method, row.metric] == pytest.approx(
            row.value, rel=1e-4, abs=1e-5
        ), row


@pytest.mark.parametrize("ranks", RANKS)
def test_what_is_published_equals_what_is_expected_by_hand(ranks: int) -> None:
    published, setting = read_published(), f"{ranks} ranks"
    mine = {metric: value for (data, name, how, metric), value in published.items() if (data, name, how) == (
        "simulated", setting, "one memory",
    )}  # fmt: skip
    elsewhere = BATCH * (ranks - 1) / ranks * ROW_BYTES * N_STEPS / 1e6  # rows of a uniform draw that others hold
    assert mine["megabytes_per_rank_and_night"] == pytest.approx(elsewhere, rel=0.02 if ranks > 8 else 0.1)
    assert mine["gigabytes_per_night"] == pytest.approx(ranks * mine["megabytes_per_rank_and_night"] / 1e3, rel=1e-3)
    assert BATCH * ROW_BYTES / LINK * 1e3 < mine["milliseconds_per_step"] < 4 * BATCH * ROW_BYTES / LINK * 1e3
    assert mine["milliseconds_per_night"] == pytest.approx(N_STEPS * mine["milliseconds_per_step"], abs=1e-3)
    assert mine["megabytes_of_lists_per_rank"] == pytest.approx(300 * ranks * CAPACITY / 1e6)
    assert mine["kilobytes_received_per_wake_step"] == pytest.approx(8 * BATCH * ranks / 1e3)
    all_to_all = published["simulated", setting, "all items to all", "kilobytes_received_per_wake_step"]
    assert all_to_all == pytest.approx(mine["kilobytes_received_per_wake_step"] * ROW_BYTES / 8)
    for billions in (7, 70, 140):
        for how, size in (("training", 16), ("a night's copy", 12), ("protection", 8)):
            found = published["on paper", f"{setting}, {billions}B", how, "gigabytes_per_rank"]
            assert found == pytest.approx(billions * size / ranks, abs=1e-5), (billions, how)


def test_waiting_for_rows_is_counted_and_that_alone() -> None:
    buffer = SharedReplayBuffer(4)
    waited = distributed._watch_waiting(buffer)
    done: Future[int] = Future()
    done.set_result(3)
    assert buffer._wait(done) == 3
    assert 0 < waited[0] < 60
    before = waited[0]
    time.sleep(0.01)
    assert waited[0] == before
    assert distributed._watch_waiting(SharedReplayBuffer(4)) == [0.0]
