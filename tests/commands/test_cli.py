from __future__ import annotations

import json
import sys

import pytest
from tests.files import write_small_bids
from tests.nights import write_short_store
from typer.testing import CliRunner

from sharpwave import __version__
from sharpwave.commands.cli import app, main

runner = CliRunner()


def test_help_teaches_every_command():
    result = runner.invoke(app, ["--help"])
    assert result.exit_code == 0
    for command in (
        "decode",
        "bids",
        "demo",
        "causality",
        "replay",
        "simulate",
        "convert",
        "datasets",
        "doctor",
        "benchmark",
    ):
        assert command in result.output
    assert "--lights-off" in runner.invoke(app, ["decode", "--help"], env={"COLUMNS": "200"}).output
    assert runner.invoke(app, ["--version"]).output == f"sharpwave {__version__}\n"


def test_decode_one_night_and_its_json_line(tmp_path):
    store = write_short_store(tmp_path / "night.zarr")
    result = runner.invoke(
        app, ["decode", str(store), "-o", str(tmp_path / "out"), "--json", "--age", "30", "--sex", "male"]
    )
    assert result.exit_code == 0, result.output
    line = json.loads(result.stdout.splitlines()[0])
    assert line["status"] == "done"
    assert (tmp_path / "out" / "report.html").exists()
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["age"] == 30
    assert config["male"] is True


def test_a_damaged_file_fails_with_one_line(tmp_path):
    (tmp_path / "night.edf").write_text("no recording")
    result = runner.invoke(app, ["decode", str(tmp_path / "night.edf"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 1
    assert "night: failed (expected" in result.output
    assert result.output.splitlines()[-1] == "Some nights failed: 1 failed."


def test_a_missing_file_is_a_matter_of_usage(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sharpwave", "decode", str(tmp_path / "none.edf")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "none.edf, which is neither. Fix: check the path" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["decode", __file__, "--sex", "other"], "--sex wants female or male"),
        (["decode", __file__, "--channel-alias", "C4"], "LABEL=NAME:MODALITY"),
        (["decode", __file__, "--age", "-3"], "--age"),
    ],
)
def test_usage_errors_exit_with_2(arguments, message):
    result = runner.invoke(app, arguments, env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert message in result.output


def test_flags_beat_the_configuration_file(tmp_path):
    config = tmp_path / "run.toml"
    config.write_text("age = 40\nnight = 2\n")
    files = ["decode", __file__, "--output", str(tmp_path / "out"), "--config", str(config)]
    arguments = [*files, "--age", "50"]
    assert runner.invoke(app, arguments).exit_code == 1
    config.write_text("agee = 40\n")
    result = runner.invoke(app, arguments, env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert "unknown option agee" in result.output


def test_an_expected_error_is_one_paragraph(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["sharpwave", "benchmark", "no-such-benchmark"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "sharpwave: expected" in capsys.readouterr().err


def test_a_missing_library_names_the_extra(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "sharpwave.benchmarks", None)
    monkeypatch.setattr("sys.argv", ["sharpwave", "benchmark", "forecast"])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "pip install 'sharpwave[brain]'" in capsys.readouterr().err


def test_simulate_convert_and_back(tmp_path):
    result = runner.invoke(app, ["simulate", str(tmp_path / "rat.zarr"), "--species", "rat", "--hours", "0.5"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "rat.zarr.truth" / "truth.json").exists()
    result = runner.invoke(app, ["convert", str(tmp_path / "rat.zarr"), "-o", str(tmp_path / "again.zarr")])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "again.zarr" / "zarr.json").exists()


def test_a_bids_data_set_gets_derivatives(tmp_path):
    write_small_bids(tmp_path / "bids")
    arguments = ["bids", str(tmp_path / "bids"), str(tmp_path / "out"), "participant", "--participant-label", "01"]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 1, "two minutes of noise are refused, with a page that says why"
    assert "refused" in result.output
    written = {
        path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert "dataset_description.json" in written
    assert any(name.startswith("sub-01/") and name.endswith("desc-sharpwave_events.tsv") for name in written)
    assert any(name.endswith("desc-sharpwave_events.json") for name in written)
    assert any(name.startswith("sub-01") and name.endswith(".html") for name in written)
    page = next(path for path in (tmp_path / "out").glob("sub-01*.html"))
    page.unlink()
    assert "done" in runner.invoke(app, [*arguments, "--reports-only"]).output
    assert page.exists()
    assert "skipped" in runner.invoke(app, [*arguments, "--skip-existing"]).output
    assert not (tmp_path / "out" / "index.html").exists(), "one of many jobs at once writes its own nights alone"
    group = runner.invoke(app, ["bids", str(tmp_path / "bids"), str(tmp_path / "out"), "group"])
    assert group.exit_code == 0
    assert (tmp_path / "out" / "index.html").exists()
    assert (
        (tmp_path / "out" / "nights.tsv")
        .read_text()
        .splitlines()[1]
        .startswith("sub-01_ses-1_task-sleep\t01\t1\t34\tfemale")
    )


def test_datasets_are_listed():
    result = runner.invoke(app, ["datasets", "list"], env={"COLUMNS": "300"})
    assert result.exit_code == 0
    assert "ucddb" in result.output
    assert "ODC-By" in result.output


def test_the_doctor_recomputes_human_agreement(data_root):
    result = runner.invoke(app, ["doctor"], env={"COLUMNS": "300"})
    assert result.exit_code == 0, result.output
    assert "passed" in result.output
