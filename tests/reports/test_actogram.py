"""The actogram of a watch: each bin at its clock time, nights where they were taken."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from sharpwave.commands.sources import split_nights
from sharpwave.commands.tasks import NightTask
from sharpwave.night.options import DecodeOptions
from sharpwave.night.several_nights import NightSpan
from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.reports.actogram import compute_actogram, describe_actogram, draw_watch_actogram
from sharpwave.reports.nights_page import write_nights_page
from sharpwave.reports.nights_table import NightResult, tabulate_nights


def _make_watch(days: float = 3.0, *, start: datetime | None = datetime(2024, 3, 1, 18)) -> Recording:
    """Active from 7 to 23 h, still at night."""
    minutes = np.arange(round(days * 1440))
    hour = (18 + minutes / 60) % 24
    values = np.where((hour >= 7) & (hour < 23), 100.0 + hour, 0.0)
    return Recording(signals={"activity": Signal("activity", values, 1 / 60, MODALITIES["activity"])}, start=start)


def test_every_bin_lies_at_its_clock_time() -> None:
    nights = [NightSpan(5 * 3600, 13 * 3600, "2024-03-01", ""), NightSpan(29 * 3600, 37 * 3600, "2024-03-02", "")]
    shown = compute_actogram(_make_watch(), nights, name="arm")
    assert shown is not None
    assert shown.levels.shape == (4, 144)
    assert np.isnan(shown.levels[0, : 18 * 6]).all()  # before 18 h of the first day
    assert (shown.levels[1, 8 * 6 : 22 * 6] > 0.2).all()
    assert (shown.levels[1, : 7 * 6] == 0).all()
    assert np.flatnonzero(shown.asleep[0]).tolist() == list(range(23 * 6, 144))
    assert np.flatnonzero(shown.asleep[1]).tolist() == [*range(7 * 6), *range(23 * 6, 144)]
    assert "2 nights in blue" in describe_actogram(shown)
    assert "from 2024-03-01" in describe_actogram(shown)


def test_the_second_half_of_a_row_is_the_next_day() -> None:
    from sharpwave.reports.actogram import _double

    doubled = _double(np.arange(6.0).reshape(3, 2))
    np.testing.assert_array_equal(doubled, [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, np.nan, np.nan]])


def test_without_a_clock_rows_begin_with_the_recording() -> None:
    shown = compute_actogram(_make_watch(start=None), [], name="arm")
    assert shown is not None
    assert shown.first == ""
    assert np.isfinite(shown.levels[0, 0])
    assert "no clock" in describe_actogram(shown)


def test_several_days_of_a_file_bring_an_actogram_to_the_page(tmp_path: Path) -> None:
    signal = _make_watch()["activity"]
    rows = [f"{60 * index},{value:g}" for index, value in enumerate(signal.read())]
    (tmp_path / "arm.csv").write_text("\n".join(["time,activity", *rows]) + "\n")
    tasks = split_nights([NightTask(str(tmp_path / "arm.csv"), "arm", tmp_path / "out")], DecodeOptions())
    assert len(tasks) == 3
    assert [task.actogram is not None for task in tasks] == [True, False, False]
    shown = tasks[0].actogram
    assert shown is not None
    page = write_nights_page(
        tabulate_nights([NightResult("a", reason="x")]), tmp_path / "index.html", actograms=[shown]
    )
    text = page.read_text()
    assert "Actogram: arm" in text
    assert str(draw_watch_actogram(shown)) in text
