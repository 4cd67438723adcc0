"""What commands do where results go: strangers' folders, changed inputs, and being stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu.training_nights import make_model, make_recording
from tests.electrophysiology_files import LABELS, write_edf
from tests.files import write_small_bids, write_small_store, write_small_wearable
from tests.kills_grown import make_group
from typer.testing import CliRunner

from sharpwave.brainmu import save_brainmu
from sharpwave.brainmu.training.objective import TrainingOptions
from sharpwave.commands.bids import plan_bids_nights
from sharpwave.commands.cli import app
from sharpwave.commands.export import check_graph
from sharpwave.commands.train import train_model
from sharpwave.commands.windows import Data
from sharpwave.disk import hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.night import options as night_options
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings.store import open_store, write_store
from sharpwave.reports.files import write_bids_files

STORE = "{store}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("replay", STORE, "--overwrite"),
        ("explain", STORE, "--overwrite"),
        ("causality", STORE, "--overwrite"),
        ("train", STORE, "--steps", "1"),
        ("finetune", STORE, "--steps", "1"),
        ("distil", STORE, "--steps", "1", "--teacher", "{weights}"),
        ("demo",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_a_strangers_folder_is_refused_and_stays(arguments: tuple[str, ...], tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "night.zarr")
    weights = save_brainmu(make_model(), tmp_path / "weights")
    output = tmp_path / "strange"
    (output / "deep").mkdir(parents=True)
    (output / "deep" / "thesis.docx").write_text("years of work")
    (output / "report.html").write_text("my own report")
    before = hash_path(output)
    given = [word.format(store=store, weights=weights) for word in arguments]
    result = CliRunner().invoke(app, [*given, "-o", str(output)])
    assert isinstance(result.exception, SharpwaveError), result.output
    assert "deep" in str(result.exception)
    assert hash_path(output) == before


@pytest.mark.parametrize("command", ["convert", "simulate"])
def test_what_is_no_store_is_never_replaced_by_one(command: str, tmp_path: Path) -> None:
    store = write_small_store(tmp_path / "night.zarr")
    for name in ("folder.zarr", "file.zarr"):
        target = tmp_path / name
        if name == "folder.zarr":
            target.mkdir()
            (target / "zarr.json").write_text('{"attributes": {}, "node_type": "group", "zarr_format": 3}')
        else:
            target.write_text("years of work")
        before = hash_path(target)
        given = [str(store), "-o", str(target)] if command == "convert" else [str(target), "--hours", "0.5"]
        result = CliRunner().invoke(app, [command, *given, "--overwrite"])
        assert isinstance(result.exception, SharpwaveError), result.output
        assert "something else" in str(result.exception)
        assert hash_path(target) == before
    partial = tmp_path / "other.zarr.partial"
    partial.mkdir()
    (partial / "thesis.docx").write_text("years of work")
    with pytest.raises(SharpwaveError, match="an unfinished store"):
        write_store(make_recording(0), tmp_path / "other.zarr")
    assert (partial / "thesis.docx").exists()


def test_one_bad_recording_leaves_the_others_converted(tmp_path: Path) -> None:
    (tmp_path / "bad.edf").write_bytes(b"not an EDF")
    store = write_small_store(tmp_path / "night.zarr")
    result = CliRunner().invoke(app, ["convert", str(tmp_path / "bad.edf"), str(store), "-o", str(tmp_path / "out")])
    assert "1 that cannot" in str(result.exception)
    assert len(open_store(tmp_path / "out" / "night.zarr").signals) == len(open_store(store).signals)


def test_converting_goes_on_with_what_has_changed_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sharpwave.commands import convert

    nights = [write_small_wearable(tmp_path / f"{name}.csv") for name in ("one", "two")]
    out = tmp_path / "out"
    stores = convert.convert_to_stores([str(night) for night in nights], out, overwrite=False)
    assert open_store(stores[0]).signals
    before = [hash_path(store) for store in stores]
    lines = nights[1].read_text().splitlines()
    nights[1].write_text("\n".join(lines[:-20]) + "\n")
    opened: list[str] = []
    genuine = night_options.open_source
    monkeypatch.setattr(
        night_options, "open_source", lambda source, *rest: opened.append(source) or genuine(source, *rest)
    )
    again = [str(night) for night in nights]
    with pytest.raises(SharpwaveError, match="exists"):
        convert.convert_to_stores(again, out, overwrite=False)
    assert convert.convert_to_stores(again, out, overwrite=False, skip_existing=True) == stores
    assert opened == [str(nights[1])]
    assert hash_path(stores[0]) == before[0]
    assert hash_path(stores[1]) != before[1]
    convert.convert_to_stores(again, out, overwrite=False, skip_existing=True, options=DecodeOptions(rate=2.0))
    assert opened[1:] == again, "other options are another input"


def test_a_store_that_was_changed_is_never_already_converted(tmp_path: Path) -> None:
    night, target = write_small_wearable(tmp_path / "one.csv"), tmp_path / "one.zarr"
    arguments = ["convert", str(night), "-o", str(target), "--skip-existing"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    shard = next(path for path in (target / "signals").rglob("*") if path.is_file() and path.name != "zarr.json")
    shard.unlink()
    result = CliRunner().invoke(app, arguments)
    assert "has changed since" in str(result.exception)
    assert CliRunner().invoke(app, [*arguments, "--overwrite"]).exit_code == 0
    assert shard.is_file()


def test_converting_takes_the_word_for_a_channel_and_its_unit(tmp_path: Path) -> None:
    path = write_edf(tmp_path / "night.edf", unit="LSB")
    target = tmp_path / "night.zarr"
    given = ["--channel-alias", f"{LABELS[0]}=F7-O1:eeg", "--unit", "uV"]
    result = CliRunner().invoke(app, ["convert", str(path), "-o", str(target), *given])
    assert result.exit_code == 0, result.output
    signal = open_store(target)["F7-O1"]
    assert signal.modality.name == "eeg"
    assert 1e-6 < np.abs(signal.read()).max() < 1e-3


def test_a_resumed_store_holds_nothing_of_another_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Same header, other samples: as when a file was repaired between two runs."""
    from sharpwave.recordings import MODALITIES, Recording, Signal

    monkeypatch.setattr("sharpwave.recordings.store.layout.SHARD_BYTES", 2**16)

    def make(value: float) -> Recording:
        samples = np.full(100_000, value, dtype=np.float32)
        return Recording({"a": Signal("a", samples, 256.0, MODALITIES["eeg"])})

    def stop(name: str, share: float) -> None:
        if share > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_store(make(1.0), tmp_path / "x.zarr", progress=stop)
    write_store(make(2.0), tmp_path / "x.zarr", resume=True)
    assert np.unique(open_store(tmp_path / "x.zarr")["a"].samples[:]).tolist() == [2.0]


def test_a_run_goes_on_with_the_same_nights_alone(tmp_path: Path) -> None:
    write_store(make_recording(0), tmp_path / "stores" / "a.zarr")
    weights = save_brainmu(make_model(modalities=["stages", "heart_rate"]), tmp_path / "weights")
    data = Data([str(tmp_path / "stores")])
    options = TrainingOptions(steps=2, batch=1, piece=10)
    train_model(data, tmp_path / "out", options=options, weights=weights)
    train_model(data, tmp_path / "out", options=options, weights=weights)
    piece = max((tmp_path / "stores").rglob("c/*"), key=lambda path: path.stat().st_size if path.is_file() else 0)
    content, before = piece.read_bytes(), hash_path(tmp_path / "out")
    piece.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(SharpwaveError, match="whose content has changed"):
        train_model(data, tmp_path / "out", options=options, weights=weights)
    piece.write_bytes(content)
    save_brainmu(make_model(seed=1, modalities=["stages", "heart_rate"]), weights)
    with pytest.raises(SharpwaveError, match="whose content has changed"):
        train_model(data, tmp_path / "out", options=options, weights=weights)
    assert hash_path(tmp_path / "out") == before


def test_derivatives_never_go_into_someone_elses_data_set(tmp_path: Path) -> None:
    write_small_bids(tmp_path / "set")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "dataset_description.json").write_text('{"Name": "years of work"}')
    result = CliRunner().invoke(app, ["bids", str(tmp_path / "set"), str(tmp_path / "other"), "participant"])
    assert "a data set of something else" in str(result.exception)


def test_no_table_of_an_earlier_run_stays_among_the_derivatives(tmp_path: Path) -> None:
    import numpy as np

    from sharpwave.night.decoded import DecodedNight
    from sharpwave.recordings import Hypnogram

    hypnogram = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    night = DecodedNight(identifier="n", source="n", duration=120.0, hypnogram=hypnogram, stager="s", verdict="usable")
    entities = "sub-01_task-sleep"
    write_bids_files(night, tmp_path, entities, config={}, hypnogram=True)
    other = tmp_path / "sub-01" / "eeg" / f"{entities}_mine.tsv"
    other.write_text("years of work")
    assert list(tmp_path.rglob("*_hypnogram.tsv"))
    marks = [path.name for path in tmp_path.rglob("*annotations*")]
    assert sorted(marks) == [f"{entities}_desc-sharpwave_annotations.{end}" for end in ("edf", "txt")]
    write_bids_files(night, tmp_path, entities, config={})
    assert not list(tmp_path.rglob("*_hypnogram.tsv"))
    assert other.exists()
    assert not [path for path in tmp_path.rglob(".*")]
    (task,) = plan_bids_nights(write_small_bids(tmp_path / "set").parents[2], tmp_path)[:1]
    assert task.page.parent == tmp_path


def test_a_graph_of_someone_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(SharpwaveError, match="a graph that sharpwave exported"):
        check_graph(tmp_path / "model.onnx")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_being_stopped_is_said_with_how_to_go_on(number: int, code: int, tmp_path: Path) -> None:
    text = (
        "import os, sys\n"
        "import sharpwave.commands.batch as batch\n"
        f"batch._decode_task = lambda *_, **__: os.kill(os.getpid(), {int(number)})\n"
        "from sharpwave.commands.cli import main\n"
        f"sys.argv = ['sharpwave', 'decode', {__file__!r}, '-o', {str(tmp_path / 'out')!r}]\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text], capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "300"}
    )
    assert done.returncode == code, done.stderr
    assert "--skip-existing to go on" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("command", ["group", "cohort"])
def test_what_a_killed_participant_had_written_whole_is_read_by_the_group_level_and_cohort(
    command: str, tmp_path: Path
) -> None:
    data, out = tmp_path / "in", tmp_path / "out"
    make_group(data).write("old", out)
    wanted = (out / "nights.tsv").read_text()
    (summary,) = out.rglob("sub-02_*_summary.json")
    waiting = out / ".sharpwave-ready-sub-02_ses-1_task-sleep" / summary.relative_to(out)
    waiting.parent.mkdir(parents=True)
    summary.rename(waiting)  # killed before it moved the last of its files
    given = ["bids", str(data / "old"), str(out), "group"] if command == "group" else ["cohort", str(out)]
    result = CliRunner().invoke(app, given)
    assert result.exit_code == 0, result.output
    assert summary.is_file()
    if command == "group":
        assert (out / "nights.tsv").read_text() == wanted
    else:
        assert "2 nights, 2 rows" in result.output
