"""Every option of every command is looked at before any work."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import typer
from tests.nights import write_short_store
from typer.testing import CliRunner

from sharpwave.commands import checks
from sharpwave.commands.cli import app
from sharpwave.commands.progress import Lines
from sharpwave.commands.rules import CHECKS, ELSEWHERE, NEEDS, TOGETHER
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.night.plan import check_fit, plan_night
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal

runner = CliRunner()


def list_commands() -> dict[str, list]:
    """Parameters of every command, by its name."""
    found = {}
    for name, command in typer.main.get_command(app).commands.items():
        for inner, one in getattr(command, "commands", {name: command}).items():
            found[inner] = one.params
    return found


COMMANDS = list_commands()


def test_no_option_is_left_out():
    for command, parameters in COMMANDS.items():
        for one in parameters:
            ranged = getattr(one, "min", None) is not None or getattr(one, "max", None) is not None
            known = {one.name, f"{command} {one.name}"} & {*CHECKS, *ELSEWHERE}
            assert getattr(one, "is_bool_flag", False) or ranged or known, f"{command}: {one.name} is looked at nowhere"


def test_every_table_is_of_options_that_exist():
    names = {f"{command} {one.name}" for command, parameters in COMMANDS.items() for one in parameters}
    names |= {name.partition(" ")[2] for name in names}
    assert {*CHECKS, *ELSEWHERE} <= names
    assert {*TOGETHER, *NEEDS} <= {*COMMANDS}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("checks")
    for name in ("night.zarr", "two.zarr"):
        write_short_store(folder / name)
    (folder / "cues.tsv").write_text("onset\tlabel\n1.0\ttone\n")
    (folder / "empty").mkdir()
    (folder / "file").write_text("")
    return folder


@pytest.fixture
def here(folder, monkeypatch):
    """A folder with two nights, in which nothing may be written."""
    monkeypatch.chdir(folder)
    return folder


WRONG = [
    ("decode none.edf", "a recording that is there.*none.edf"),
    ("decode dod/nobody", "a subject of dod.*nobody|the data set 'dod'"),
    ("decode night.zarr --stages none.tsv", "a file for --stages; got none.tsv: no such file"),
    ("decode night.zarr --stages empty", "--stages; got empty: a folder"),
    ("decode night.zarr --cues cues.tsv", "onset, duration for --cues; got cues.tsv without duration"),
    ("decode night.zarr --stager best", "--stager yasa.brainmu, .*'best'"),
    ("decode night.zarr --species cat", "--species human, rat or mouse; got 'cat'"),
    ("decode night.zarr --unit kg", "unit of voltage"),
    ("decode night.zarr --rate 0", "--rate above 0 Hz; got 0"),
    ("decode night.zarr --seed -1", "--seed of 0 or more; got -1"),
    ("decode night.zarr --weights empty", "a folder of weights for --weights; got empty without config.json"),
    ("decode night.zarr --lights-off 99:99", "a clock time.*for --lights-off; got '99:99'"),
    ("decode night.zarr --lights-off 40:00:00:1", "for --lights-off"),
    ("decode night.zarr --lights-on 999999", "lights on within the recording"),
    ("decode night.zarr --lights-off 200 --lights-on 100", "lights on after lights off"),
    ("decode night.zarr --channels C9-X1", "C9-X1"),
    ("decode night.zarr --event-channels nothing", "nothing"),
    ("decode night.zarr --stager rodent", "a recording that rodent can stage"),
    ("decode night.zarr -o file/out", "a place that can be written for --output.*file is a file"),
    ("decode night.zarr --overwrite --skip-existing", "--skip-existing or --overwrite; got both"),
    ("decode night.zarr --by whole --light-schedule 07:00-19:00", "--by whole"),
    ("decode night.zarr --scheduler moon", "--scheduler tcp://HOST:8786, slurm or local; got 'moon'"),
    ("bids none out participant", "a folder for --bids-dir|a folder for BIDS_DIR"),
    ("bids empty out run", "participant or group; got 'run'"),
    ("cohort none", "a folder for OUT; got none"),
    ("cohort empty --participants cues.tsv", "a column participant_id, subject or night for --participants"),
    ("demo --only pictures", "--only night, memory or network; got 'pictures'"),
    ("explain night.zarr --signals-only --stager yasa", "--signals-only or --stager; got both"),
    ("explain night.zarr --horizon 0", "--horizon above 0 s"),
    ("causality night.zarr --surrogate none", "--surrogate linear, session or circular"),
    ("causality night.zarr --memory cues.tsv", "before, after for --memory"),
    ("replay night.zarr --statistic best", "--statistic correlation or trajectory"),
    ("replay night.zarr --track-graph none.json", "--track-graph; got none.json"),
    ("replay night.zarr --candidates bursts --events two.tsv", "a file for --events"),
    ("live --simulate --sink tin-can", "a sink among"),
    ("live --simulate --protocol none.toml", "a protocol"),
    ("live --simulate --sink audio", "a consent|sounddevice"),
    ("live --verify none", "a night with audit.jsonl"),
    ("live --source night.zarr --asleep-after 10", "--asleep-after together with --simulate"),
    ("live --simulate --no-page --attended", "--attended together with the page"),
    ("live --simulate --yes", "--yes together with --withdraw"),
    ("train --steps 5", "--steps together with nights or --simulated"),
    ("train night.zarr --preset huge", "--preset lite, small or base"),
    ("train night.zarr --modality smell", "--modality .*'smell'"),
    ("train night.zarr --learning-rate 0", "--learning-rate above 0"),
    ("train night.zarr --devices few", "--devices"),
    ("train night.zarr --hours 2", "--hours together with --simulated"),
    ("train night.zarr --scorings none", "a folder for --scorings; got none: no such folder"),
    ("distil night.zarr --teacher empty", "a folder of weights for --teacher"),
    ("finetune night.zarr --layers some", "--layers heads, last or all"),
    ("export empty", "a folder of weights"),
    ("export --format pdf", "--format onnx or int8|onnx"),
    ("simulate night.edf", "ends in .zarr or .nwb; got night.edf"),
    ("simulate new.zarr --species cat", "--species"),
    ("simulate new.zarr --modalities eeg,smell", "--modalities .*'smell'"),
    ("append year.edf night.zarr", "ends in .zarr; got year.edf"),
    ("benchmark weather", "a benchmark among"),
    ("benchmark spindles --data none", "a folder for --data"),
    ("benchmark spindles -o table.xls", "--output that ends in .json"),
    ("datasets fetch weather", "a data set among"),
]  # fmt: skip


@pytest.mark.parametrize(("words", "message"), WRONG, ids=[words for words, _ in WRONG])
def test_what_cannot_be_is_refused_before_any_work(here, words, message):
    before = sorted(path.name for path in here.iterdir())
    with pytest.raises(SharpwaveError, match=message) as caught:
        runner.invoke(app, words.split(), catch_exceptions=False)
    assert all((caught.value.expected, caught.value.got, caught.value.fix))
    assert sorted(path.name for path in here.iterdir()) == before, "nothing was written"


def test_options_must_fit_every_recording(here):
    with pytest.raises(SharpwaveError, match=r"options that fit all 2 recordings; got night: .* two: .*decode these"):
        runner.invoke(app, ["decode", "night.zarr", "two.zarr", "--lights-on", "999999"], catch_exceptions=False)


def test_a_missing_extra_is_named_before_any_work(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "yasa", None)
    with pytest.raises(MissingExtraError, match=r"'yasa'.*pip install 'sharpwave\[brain\]'"):
        runner.invoke(app, ["decode", "night.zarr"], catch_exceptions=False)


def test_nothing_heavy_loads_for_a_wrong_option(here):
    code = (
        "import sys; from sharpwave.commands.cli import app; from sharpwave.errors import SharpwaveError\n"
        "try: app(['decode', 'night.zarr', '--seed', '-1'])\n"
        "except SharpwaveError: print([name for name in ('numpy', 'pandas', 'torch', 'mne') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[]\n", done.stderr


def test_dry_run_decodes_nothing_and_says_why(here):
    arguments = ["decode", "night.zarr", "--dry-run", "--stager", "yasa"]
    result = runner.invoke(app, [*arguments, "--json"], catch_exceptions=False)
    plan = json.loads(result.stdout)
    assert result.exit_code == 0
    assert plan["stager"]
    assert all(one["why"] for one in plan["channels"])
    assert "EEG" in runner.invoke(app, arguments).stdout
    assert not list(here.glob("sharpwave-*"))


def make_recording(*names: str, **facts) -> Recording:
    quiet = np.zeros(90_000)
    signals = {name: Signal(name, quiet, 100.0, MODALITIES["eeg"], scale=1e-6) for name in names}
    return Recording(signals=signals, species="human", **facts)


def test_a_plan_names_channel_reference_and_unit():
    recording = make_recording("F4-M1", "C4-M1", metadata={"units": {"C4-M1": "uV"}})
    (channel,) = plan_night(recording, DecodeOptions(stager="yasa")).channels
    assert (channel.channel, channel.reference, channel.unit) == ("C4-M1", "M1", "uV in the file")
    assert "before F4-M1" in channel.why
    (asked,) = plan_night(recording, DecodeOptions(stager="yasa", channels=("F4-M1",))).channels
    assert (asked.channel, asked.why) == ("F4-M1", "as asked for")


def test_a_plan_forms_references_and_owns_up_to_an_unknown_unit():
    recording = make_recording("C4", "M1", metadata={"amplitude_unit": "unknown"})
    channel = plan_night(recording, DecodeOptions(stager="yasa")).channels[0]
    assert channel.reference == "M1 (formed: C4 minus M1)"
    assert "unknown" in channel.unit


def test_a_plan_without_a_stager_says_what_is_missing():
    recording = Recording(events=pd.DataFrame({"onset": [0.0], "duration": 1.0, "label": "x"}))
    plan = plan_night(recording, DecodeOptions(stager="yasa+brainmu"))
    assert plan.stager is None
    assert "a recording that yasa+brainmu can stage" in plan.refusals[0]
    assert "nobody" in plan.describe()


def test_a_plan_tells_length_lights_and_whether_there_is_an_expert():
    options = DecodeOptions(stager="yasa", lights_off=60.0, lights_on=840.0)
    plan = plan_night(make_recording("C4-M1"), options)
    assert (plan.hours, plan.lights_off, plan.lights_on, plan.expert) == (0.25, 60.0, 840.0, False)
    assert "lights off at 60 s, lights on at 840 s" in plan.describe()
    assert "beside an expert" not in plan.describe()
    scored = plan_night(make_recording("C4-M1", hypnogram=Hypnogram.from_labels(["N2"] * 30)), options)
    assert scored.expert
    assert "beside an expert" in scored.describe()


def test_a_channel_to_search_must_be_eeg():
    recording = make_recording("C4-M1")
    heart = Signal("pulse", np.zeros(900), 1.0, MODALITIES["heart_rate"])
    recording = Recording(signals={**recording.signals, "pulse": heart}, species="human")
    with pytest.raises(SharpwaveError, match="an EEG channel to look for events in; got pulse"):
        check_fit(recording, DecodeOptions(event_channels=("pulse",)))


def test_lines_of_a_log(capsys):
    lines = Lines(every=0, shown=True)
    for text in ("n1: stages", "n1: stages", "n1: events"):
        lines(text)
    Lines(every=60, shown=True)("first")
    Lines(shown=False)("never")
    assert capsys.readouterr().err == "n1: stages\nn1: events\nfirst\n"


def test_the_first_line_comes_before_the_work(here, monkeypatch, capsys):
    def work(*_, **__):
        assert "Opening night.zarr" in capsys.readouterr().err
        raise SharpwaveError("this", got="to be reached", fix="nothing")

    monkeypatch.setattr("sharpwave.commands.decode.plan_nights", work)
    with pytest.raises(SharpwaveError, match="to be reached"):
        app(["decode", "night.zarr"], standalone_mode=False)


def test_data_sets_are_listed_whole_and_as_json():
    narrow = runner.invoke(app, ["datasets", "list"], env={"COLUMNS": "40"}).stdout
    rows = [json.loads(line) for line in runner.invoke(app, ["datasets", "list", "--json"]).stdout.splitlines()]
    assert {"name", "what", "here", "subjects", "licence", "source"} == {*rows[0]}
    assert all(row["source"] in narrow and row["what"] in narrow for row in rows)


def test_simulated_signals_can_be_chosen(tmp_path):
    arguments = ["simulate", str(tmp_path / "wrist.zarr"), "--hours", "0.2", "--modalities", "heart_rate,activity"]
    assert runner.invoke(app, arguments, catch_exceptions=False).exit_code == 0
    from sharpwave.recordings import open_store

    assert {*open_store(tmp_path / "wrist.zarr").modalities} == {"heart_rate", "activity"}


PRIVATE = {
    "room": "a room of the house", "leaf": "", "planted": "say: of a known amount", "way": "say: method", "piece": "",
}  # fmt: skip


def test_no_private_words_in_help():
    texts = [runner.invoke(app, ["--help"], env={"COLUMNS": "500"}).stdout]
    texts += [str(one.help) for parameters in COMMANDS.values() for one in parameters if one.name != "piece"]
    for name, command in typer.main.get_command(app).commands.items():
        texts += [str(one.help) for one in getattr(command, "commands", {name: command}).values()]
    for word in PRIVATE:
        found = [text for text in texts if word in text.lower().replace("--piece", "").split()]
        assert not found, (word, found)


def test_every_help_has_an_example():
    for name, command in typer.main.get_command(app).commands.items():
        for inner, one in getattr(command, "commands", {name: command}).items():
            assert f"`sharpwave {'' if inner == name else f'{name} '}{inner}" in str(one.help), inner


def test_checks_of_values():
    for check, value in ((checks.between(0, 1), 2), (checks.between(0, above=True), 0), (checks.between(0), np.nan)):
        with pytest.raises(SharpwaveError, match=r"--x .*Fix"):
            check("--x", value)
    checks.between(0, 1)("--x", 0)
