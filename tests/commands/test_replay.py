"""`sharpwave replay`: files, page and errors."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from sharpwave.commands.cli import app
from sharpwave.commands.replay import COLUMNS, FILES, open_session, read_events, replay_to_folder
from sharpwave.errors import SharpwaveError
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
    assert page.count("data:image/png") == 12
    assert "<script" not in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    with pytest.raises(SharpwaveError, match="--overwrite"):
        replay_to_folder(str(store), output=output)


def test_folder_of_any_name_is_read(data_root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "rat-ca1-another"
    shutil.copytree(data_root / "rat-ca1-linear-track", folder)
    assert open_session(str(folder)).spikes is not None
    with pytest.raises(SharpwaveError, match="without either"):
        open_session(str(tmp_path))


def test_tables_of_events_are_checked(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text("onset,duration,label\n1.5,0.1,a\n2.5,0,b\n")
    assert read_events(path)["onset"].tolist() == [1.5]
    path.write_text("start,stop\n1,2\n")
    with pytest.raises(SharpwaveError, match="columns onset and duration"):
        read_events(path)


def test_a_null_is_said_plainly() -> None:
    row = {"epoch": "before", "n_events": 90, "n_significant": 0, "share": 0.06, "low": 0.01, "high": 0.1, "p": 0.4}
    words = describe_test(row)
    assert "no more than chance (p = 0.4)" in words
    assert words.endswith("None remains after false-discovery control.")
