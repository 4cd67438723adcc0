"""The benchmark of the page on a small scale: STOP reaches silence by every way that there is."""

from __future__ import annotations

import pytest

from sharpwave.benchmarks.live import page

pytest.importorskip("fastapi")


def test_stop_is_silence_by_every_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "STOPS", 1)
    monkeypatch.setattr(page, "STALES", 1)
    monkeypatch.setattr(page, "STEPS", 30)
    config, rows = page.run(None, seeds=1)
    found = {(row.setting, row.method) for row in rows}
    assert {("STOP to silence", "from the loop itself"), ("STOP to silence", "a WebSocket")} <= found
    if config["browser"] != "none":
        assert ("STOP to silence", "sharpwave, Escape in a browser") in found
        stale = next(row for row in rows if row.setting == "old data shown" and row.metric == "p50_ms")
        assert stale.low > 500  # what is fresh is not called old
    assert all(row.value > 0 for row in rows)
