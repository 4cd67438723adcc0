from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram
from sharpwave.reports.tables import arrange, compute_share_agreed, tabulate_confusion, tabulate_stages
from sharpwave.reports.timeline import Timeline


def test_interval_stands_beside_its_estimate() -> None:
    frame = pd.DataFrame(
        {"metric": ["κ"], "value": [0.7], "low": [0.65], "high": [0.75], "n": [9], "empty": [np.nan], "blank": [""]}
    )
    table = arrange(frame)
    assert table.heads == ["metric", "value", "95 % interval", "n"]
    assert table.rows == [["κ", "0.70", "0.65 to 0.75", "9"]]
    assert table.numeric == [False, True, True, True]


def test_long_tables_are_cut() -> None:
    assert len(arrange(pd.DataFrame({"a": range(100)}), most=5).rows) == 5


def test_empty_frame_is_an_empty_table() -> None:
    assert arrange(pd.DataFrame()).rows == []


def test_hours_add_up_to_the_night(night: DecodedNight) -> None:
    table = tabulate_stages(night, Timeline.of(night))
    for column, name in ((1, "W"), (2, "R"), (3, "N1"), (4, "N2"), (5, "N3")):
        minutes = (night.hypnogram.stages == night.hypnogram.names.index(name)).sum() / 2
        assert sum(float(row[column]) for row in table.rows) == pytest.approx(minutes)
    spindles = table.heads.index("spindle, n")
    assert sum(int(row[spindles]) for row in table.rows) == (night.events["label"] == "spindle").sum()


def test_confusion_counts_minutes() -> None:
    ours = Hypnogram.from_labels(["W", "W", "N2", "R", "?"])
    expert = Hypnogram.from_labels(["W", "N1", "N2", "N2", "N2"])
    table = tabulate_confusion(ours, expert)
    assert table.heads[1:6] == ["Wake", "REM", "N1", "N2", "N3"]
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["Wake"] == ["0.5", "0.0", "0.0", "0.0", "0.0", "100.0"]
    assert rows["N1"] == ["0.5", "0.0", "0.0", "0.0", "0.0", "0.0"]
    assert rows["N2"] == ["0.0", "0.5", "0.0", "0.5", "0.0", "50.0"]
    assert rows["N3"][-1] == "–"


def test_agreement_needs_both_scorings() -> None:
    ours = Hypnogram.from_labels(["W", "W", "N2", "R", "?"])
    expert = Hypnogram.from_labels(["W", "N1", "N2", "?", "N2"])
    assert compute_share_agreed(ours, expert) == pytest.approx(2 / 3)
    assert np.isnan(compute_share_agreed(ours, Hypnogram.from_labels(["W"], start=1e6)))


def test_coarser_expert_is_compared_in_its_own_stages() -> None:
    ours = Hypnogram.from_labels(["W", "N1", "N3", "R"])
    expert = Hypnogram.from_labels(["W", "NREM", "NREM", "NREM"], n_stages=3)
    assert compute_share_agreed(ours, expert) == pytest.approx(3 / 4)
