from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
from tests.commands.test_sources import write_watch
from typer.testing import CliRunner

from sharpwave.benchmarks.scale.lengths import SOME_DAYS
from sharpwave.commands.batch import decode_nights, plan_nights, take_part
from sharpwave.commands.cli import app
from sharpwave.commands.days import write_days
from sharpwave.commands.inputs import compute_key
from sharpwave.commands.sources import split_days
from sharpwave.executors import Serial
from sharpwave.night.days import DayOptions
from sharpwave.night.decoded import DecodedNight, Provenance
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal, open_store, write_store

runner = CliRunner()


def write_long(path, hours: float, *, overwrite: bool = False):
    """A mouse that sleeps in the light, without an EEG worth staging: its stages came with it."""
    epochs = round(hours * 360)
    clock = (9 + np.arange(epochs) / 360) % 24
    stages = Hypnogram(((clock >= 7) & (clock < 19)).astype(np.int8), 10.0, 3)
    eeg = Signal("EEG", np.arange(epochs * 10) % 999, 1.0, MODALITIES["eeg"], scale=1e-7)
    mouse = Recording({"EEG": eeg}, hypnogram=stages, species="mouse", start=datetime(2024, 3, 1, 9))
    return write_store(mouse, path, overwrite=overwrite)


@pytest.fixture
def decoded(monkeypatch):
    """Days that were decoded, in order; the stages of the recording are taken as they are."""
    done = []

    def decode(recording, *, options, key, progress):
        done.append(options.identifier)
        return DecodedNight(
            identifier=options.identifier,
            source=options.source,
            duration=recording.duration,
            hypnogram=recording.hypnogram,
            stager="hand",
            verdict="usable",
            species="mouse",
            start=recording.start,
            provenance=Provenance(hashes={"key": key}),
        )

    def write_page(night, path):
        path.write_text("a page of sharpwave")
        return path

    monkeypatch.setattr("sharpwave.night.decode.decode_recording", decode)
    monkeypatch.setattr("sharpwave.reports.page.write_report", write_page)
    monkeypatch.setattr("sharpwave.commands.batch.open_executor", lambda *_, **__: nullcontext(Serial()))
    return done


def test_a_long_recording_becomes_days_and_growing_decodes_new_days_alone(decoded, tmp_path):
    store, out = tmp_path / "mouse.zarr", tmp_path / "out"
    arguments = ["decode", str(store), "-o", str(out), "--light-schedule", "07:00-19:00", "--skip-existing"]
    write_long(store, 70)
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "days.html" in result.output
    assert decoded == [f"mouse-2024-03-0{day}" for day in (1, 2, 3)]
    table = pd.read_parquet(out / "days.parquet").set_index(["day", "phase", "name"])["value"]
    assert table["2024-03-02", "light", "sleep"] == 720
    assert table["2024-03-02", "dark", "sleep"] == 0
    assert table["2024-03-01", "light", "sleep"] == 600
    assert 'href="2024-03-02/report.html"' in (out / "days.html").read_text()
    decoded.clear()
    write_long(store, 94, overwrite=True)
    assert runner.invoke(app, arguments).exit_code == 0
    assert decoded == ["mouse-2024-03-04"], "days that were decoded before are not touched"
    assert pd.read_parquet(out / "days.parquet")["day"].nunique() == 4


def test_one_day_has_its_tables_too(decoded, tmp_path):
    out = tmp_path / "out"
    (tmp_path / "spans.tsv").write_text("onset\tduration\tlabel\n999999\t60\tlater\n")
    arguments = ["--by", "day", "--spans", str(tmp_path / "spans.tsv")]
    result = runner.invoke(app, ["decode", str(write_long(tmp_path / "mouse.zarr", 10)), "-o", str(out), *arguments])
    assert result.exit_code == 0, result.output
    table = pd.read_parquet(out / "days.parquet").set_index(["phase", "name"])["value"]
    assert table["day", "sleep"] == 600, "from 9 to 19 o'clock"
    assert "holds any of the span later" in (out / "days.html").read_text()


def test_days_of_a_watch_are_its_nights_and_it_is_said(tmp_path):
    week = write_watch(tmp_path / "week.csv", days=3)
    result = runner.invoke(app, ["decode", str(week), "--by", "day", "--dry-run"])
    assert "--by day cuts EEG and LFP; of a watch" in result.output
    assert "of a watch" not in runner.invoke(app, ["decode", str(week), "--dry-run"]).output


def test_an_unchanged_day_is_not_measured_again(decoded, tmp_path, monkeypatch):
    store = write_long(tmp_path / "mouse.zarr", 50)
    tasks = split_days(plan_nights([str(store)], tmp_path / "out"), DecodeOptions(), DayOptions())
    assert {outcome.status for outcome in decode_nights(tasks, DecodeOptions())} == {"done"}
    (page,) = write_days(tasks, DecodeOptions())
    before = pd.read_parquet(page.parent / "days.parquet")
    monkeypatch.setattr("sharpwave.commands.days.measure_day", lambda *_, **__: pytest.fail("measured again"))
    write_days(tasks, DecodeOptions())
    pd.testing.assert_frame_equal(pd.read_parquet(page.parent / "days.parquet"), before)


def test_the_key_of_a_day_is_that_of_its_content(tmp_path):
    short, long = write_long(tmp_path / "a.zarr", 50), write_long(tmp_path / "b.zarr", 74)
    keys = []
    for store in (short, long):
        task = split_days(plan_nights([str(store)], tmp_path / "out"), DecodeOptions(), DayOptions())[0]
        keys.append(compute_key("x", DecodeOptions(), part=take_part(open_store(store), task)))
    assert keys[0] == keys[1]


def test_a_zone_that_does_not_exist_is_said_before_the_work(tmp_path):
    store = write_long(tmp_path / "mouse.zarr", 40)
    result = runner.invoke(app, ["decode", str(store), "-o", str(tmp_path / "out"), "--time-zone", "Mars/Olympus"])
    assert "the name of a time zone" in str(result.exception)
    assert not (tmp_path / "out").exists()


def test_two_days_stand_for_the_others_where_a_year_is_measured(decoded, tmp_path, monkeypatch):
    store = write_long(tmp_path / "m.zarr", 120.0)
    arguments = ["sharpwave", "decode", str(store), "-o", str(tmp_path / "out"), "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    command = import_module("sharpwave.commands.decode")
    monkeypatch.setattr(command, "decode_nights", command.decode_nights)
    with pytest.raises(SystemExit) as done:
        exec(SOME_DAYS, {})
    assert done.value.code == 0
    days = pd.read_parquet(tmp_path / "out" / "days.parquet")
    assert days["day"].nunique() == 5
    assert decoded == [f"m-2024-03-0{day}" for day in (1, 5)]
