from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality.series import NightSeries
from sharpwave.causality.series_files import read_events, read_reactivations, read_series, tabulate_files, write_tables
from sharpwave.errors import SharpwaveError


def make_series() -> NightSeries:
    return NightSeries(
        night="a",
        time=np.arange(50.0),
        stage=np.r_[np.full(10, -1), np.full(40, 2)].astype(np.int8),
        n_stages=5,
        depth=np.r_[np.full(10, np.nan), np.linspace(0, 1, 40)],
        emg=np.linspace(0, 1, 50),
        infraslow=np.linspace(-3, 3, 50),
        reactivations=pd.DataFrame({"onset": [12.3456, 30.5], "content": ["aversive", "neutral"]}),
        usable=np.arange(50) > 9,
        cues=pd.DataFrame({"onset": [20.0], "condition": ["sham"], "content": ["aversive"]}),
        candidates=np.array([12.3456, 25.0, 30.5]),
    )


def test_a_night_comes_back_as_it_was_written(tmp_path):
    series = make_series()
    back = read_series(write_tables(tabulate_files(series), tmp_path / "night"), night="a")
    for name in ("time", "stage", "depth", "emg", "infraslow", "usable", "candidates"):
        np.testing.assert_allclose(getattr(back, name), getattr(series, name))
    assert back.n_stages == 5
    pd.testing.assert_frame_equal(back.reactivations, series.reactivations)
    pd.testing.assert_frame_equal(back.cues, series.cues)


def test_what_was_unknown_stays_unknown(tmp_path):
    series = replace(make_series(), emg=None, infraslow=None, cues=None, candidates=None)
    back = read_series(write_tables(tabulate_files(series), tmp_path), night="a")
    assert (back.emg, back.infraslow, back.cues, back.candidates) == (None, None, None, None)


def test_reactivations_of_one_memory_need_no_content_and_are_sorted(tmp_path):
    path = tmp_path / "events.tsv"
    path.write_text("onset\tduration\n9.5\t0.1\n3.25\tn/a\n")
    table = read_reactivations(path)
    assert list(table["onset"]) == [3.25, 9.5]
    assert set(table["content"]) == {"unknown"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("start\n1\n", "no onset"),
        ("onset\nsoon\n", "onsets in seconds"),
    ],
)
def test_a_table_without_onsets_is_refused(tmp_path, text, message):
    path = tmp_path / "events.tsv"
    path.write_text(text)
    with pytest.raises(SharpwaveError, match=message):
        read_events(path, ("onset",))


def test_a_damaged_or_partial_night_is_refused(tmp_path):
    with pytest.raises(SharpwaveError, match="the time series of a night"):
        read_series(tmp_path, night="a")
    folder = write_tables(tabulate_files(make_series()), tmp_path)
    pd.DataFrame({"time": [0.0]}).to_parquet(folder / "course.parquet")
    with pytest.raises(SharpwaveError, match="no stage"):
        read_series(folder, night="a")


def test_contents_that_look_like_formulas_are_safe_in_a_spreadsheet_and_come_back(tmp_path):
    table = pd.DataFrame({"onset": [1.5, 2.5, 3.5], "content": ["=1+2", "@left", "right"]})
    write_tables({"reactivations.tsv": table}, tmp_path)
    lines = (tmp_path / "reactivations.tsv").read_text().splitlines()
    assert lines[1:] == ["1.5\t'=1+2", "2.5\t'@left", "3.5\tright"]
    assert read_reactivations(tmp_path / "reactivations.tsv")["content"].tolist() == table["content"].tolist()
