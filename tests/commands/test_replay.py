"""`sharpwave replay`: files, page and errors."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sharpwave.commands.cli import app
from sharpwave.commands.replay import COLUMNS, FILES, ReplayOptions, replay_to_folder
from sharpwave.commands.sources import open_session
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import read_recording
from sharpwave.recordings.store import write_store
from sharpwave.reports.replay_page import describe_test
from sharpwave.simulation import simulate_night


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    rng = np.random.default_rng(4)
    recording, truth = simulate_night(
        "rat", 0.9, rng=rng, modalities=("spikes", "position"), n_units=30, task_start=1000.0
    )
    truth.ripples[["onset", "duration"]].to_csv(folder / "ripples.tsv", sep="\t", index=False)
    return write_store(recording, folder / "session.zarr")


def test_command_writes_tables_summary_and_page(store: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    arguments = ["replay", str(store), "-o", str(output), "--events", str(store.parent / "ripples.tsv")]
    done = CliRunner().invoke(app, [*arguments, "--n-surrogates", "400", "--seed", "3"])
    assert done.exit_code == 0, done.output
    assert "After the experience" in done.output
    assert sorted(path.name for path in output.iterdir()) == sorted(FILES)
    candidates = pd.read_csv(output / "candidates.tsv", sep="\t")
    reactivations = pd.read_csv(output / "reactivations.tsv", sep="\t")
    assert set(candidates.columns) <= set(COLUMNS)
    assert set(json.loads((output / "candidates.json").read_text())) == set(candidates.columns)
    assert len(reactivations) == candidates["significant"].sum() > 0
    assert set(reactivations["label"]) == {"reactivation"}
    summary = json.loads((output / "summary.json").read_text())
    assert summary["simulated"] is True
    assert summary["settings"]["n_surrogates"] == 400
    assert any(note.startswith("Resolution of p: with 400 surrogates") for note in summary["notes"])
    assert "Resolution of p" in done.output
    page = (output / "report.html").read_text()
    assert "Simulated session" in page
    assert page.count("data:image/png") == 12 + 6 + 2  # events; fields of three tracks in two directions; colour bars
    assert "Can the run be decoded?" in page
    assert "Lag between the clocks" in page
    assert summary["run_check"]["decoded_above_chance"] is True
    assert summary["run_check"]["clocks_apart"] is False
    assert {row["content"] for row in summary["run_check"]["tracks"]} == {"aversive", "neutral", "rewarding"}
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    with pytest.raises(SharpwaveError, match="--overwrite"):
        replay_to_folder(str(store), output=output)


def test_a_lag_between_the_clocks_is_told_and_taken_off(store: Path, tmp_path: Path) -> None:
    recording = read_recording(store)
    position = recording.signals["position"]
    late = replace(
        recording,
        signals={"position": replace(position, start=position.start + 6.0)},
        events=recording.events.assign(onset=recording.events["onset"] + 6.0),
    )
    session = write_store(late, tmp_path / "late.zarr")
    options = ReplayOptions(events=store.parent / "ripples.tsv", n_surrogates=20)
    page, words = replay_to_folder(str(session), output=tmp_path / "a", options=options)
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["run_check"]["clocks_apart"] is True
    assert summary["run_check"]["best_lag_s"] == pytest.approx(6.0, abs=0.2)
    (told,) = [sentence for sentence in words if "clocks" in sentence]
    assert f"--lag {summary['run_check']['best_lag_s']:g}" in told
    assert "clocks of spikes and position seem to be" in page.read_text()
    page, words = replay_to_folder(str(session), output=tmp_path / "b", options=replace(options, lag=6.0))
    summary = json.loads((tmp_path / "b" / "summary.json").read_text())
    assert summary["run_check"]["clocks_apart"] is False
    assert summary["settings"]["experience_start_s"] == pytest.approx(recording.events["onset"].min())


def test_runs_are_taken_as_they_are_typed(store: Path, tmp_path: Path) -> None:
    runs = {"old": ["--run", "1000", "1300"], "two": ["--run", "1000-1300", "--run", "b=1300-1600"]}
    for name, typed in runs.items():
        arguments = ["replay", str(store), "-o", str(tmp_path / name), "--events", str(store.parent / "ripples.tsv")]
        done = CliRunner().invoke(app, [*arguments, *typed, "--n-surrogates", "20"])
        assert done.exit_code == 0, done.output
    old, two = (json.loads((tmp_path / name / "summary.json").read_text())["settings"] for name in runs)
    assert (old["experience_start_s"], old["experience_end_s"]) == (1000.0, 1300.0)
    assert two["runs"] == ["track: 1000 to 1300 s", "b: 1300 to 1600 s"]


def test_folder_of_any_name_is_read(data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rat-ca1-another"
    shutil.copytree(data_root / "rat-ca1-linear-track", folder)
    assert open_session(str(folder)).spikes is not None
    with pytest.raises(SharpwaveError, match="without any"):
        open_session(str(tmp_path))


def test_a_null_is_said_plainly() -> None:
    row = {"epoch": "before", "n_events": 90, "n_significant": 0, "share": 0.06, "low": 0.01, "high": 0.1, "p": 0.4}
    words = describe_test(row)
    assert "no more than chance (p = 0.4)" in words
    assert words.endswith("None remains after false-discovery control.")
    assert describe_test(row | {"epoch": "rest"}, n_runs=2).startswith("Between the runs")
    assert describe_test(row | {"epoch": "rest"}).startswith("In the whole recording")


def test_a_simulated_rat_is_replayed_without_options(tmp_path: Path) -> None:
    path = tmp_path / "rat.nwb"
    arguments = ["simulate", "--species", "rat", "--hours", "0.45", "--seed", "3", "--output", str(path)]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, ["replay", str(path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "the decoding error of the run" in done.output
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["simulated"] is True
    assert summary["run_check"]["decoded_above_chance"] is True
    (after,) = [row for row in summary["tests"] if row["epoch"] == "after"]
    assert after["p"] < 0.05
    assert CliRunner().invoke(app, arguments).exit_code != 0  # nothing is replaced unasked
    assert CliRunner().invoke(app, ["simulate"]).exit_code != 0
