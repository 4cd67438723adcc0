"""`sharpwave live` as it is typed: what it writes, what it refuses, and in which words."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from sharpwave.commands.cli import app
from sharpwave.errors import SharpwaveError

RUNNER = CliRunner()


def call(*arguments, **options):
    return RUNNER.invoke(app, ["live", *map(str, arguments)], catch_exceptions=True, **options)


def refuse(*arguments):
    result = call(*arguments)
    assert isinstance(result.exception, SharpwaveError), result.output
    return str(result.exception)


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live") / "night"
    result = call("--simulate", "--speed", 0, "--arm", "--no-page", "--asleep-after", 0, "--hours", 0.01, "-o", folder)
    assert result.exit_code == 0, result.output
    return folder, result.output


def test_a_simulated_night_says_what_it_was_and_how_to_go_on(night):
    folder, said = night
    assert "Not a medical device" in said
    assert f"sharpwave decode {folder / 'night.zarr'} --cues {folder / 'cues.tsv'}" in said
    wanted = {"audit.jsonl", "inputs.bin", "sealed.json", "cues.tsv", "events.tsv", "events.json", "night.zarr"}
    assert {path.name for path in folder.iterdir()} == wanted
    assert folder.with_name("night.checkpoint").is_file()


def test_the_log_of_a_night_is_whole_and_replays(night):
    folder, _ = night
    result = call("--verify", folder)
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "Whole.")
    assert "No checkpoint" not in result.output
    result = call("--replay", folder / "audit.jsonl")
    assert result.exit_code == 0
    assert result.output.startswith("The same, byte for byte")


def test_a_log_that_was_changed_is_not_whole(night, tmp_path):
    folder, _ = night
    copy = tmp_path / "night"
    copy.mkdir()
    text = (folder / "audit.jsonl").read_text()
    (copy / "audit.jsonl").write_text(text.replace('"simulate"', '"simulatE"'))
    result = call("--verify", copy)
    assert result.exit_code == 1
    assert "WRONG: record 0: changed" in result.output
    assert result.output.splitlines()[-1] == "Not whole."


def test_a_withdrawal_asks_first(night, tmp_path):
    folder = tmp_path / "night"
    folder.mkdir()
    (folder / "audit.jsonl").write_text("{}\n")
    (folder / "inputs.bin").write_bytes(b"signal")
    assert call("--withdraw", folder, input="n\n").exit_code == 1
    assert (folder / "inputs.bin").exists()
    assert "Deleted: inputs.bin" in call("--withdraw", folder, "--yes").output
    assert not (folder / "inputs.bin").exists()


def test_a_consent_is_drafted_then_sealed(tmp_path):
    path = tmp_path / "consent.json"
    assert "Wrote the form" in call("--seal-consent", path).output
    assert "in place of a name" in refuse("--seal-consent", path)
    form = json.loads(path.read_text())
    form |= {name: dict.fromkeys(form[name], True) for name in ("agreed", "excluded")}
    path.write_text(json.dumps({**form, "participant": "P-01", "signed": "2020-01-01", "expires": "2100-01-01"}))
    said = call("--seal-consent", path).output
    assert json.loads(path.read_text())["seal"] in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "one of --simulate, --source"),
        (("--simulate", "--verify", "x"), "got --simulate, --verify"),
        (("--simulate", "--sink", "radio"), "a sink among audio"),
        (("--simulate", "--sink", "lsl"), "a consent for sinks"),
        (("--simulate", "--sink", "lsl", "--speed", "20"), "--speed 1 and no --arm"),
        (("--simulate", "--sink", "lsl", "--arm"), "--speed 1 and no --arm"),
        (("--simulate", "--protocol", "mine"), "a protocol in TOML"),
        (("--source", "nowhere.edf"), "lsl:NAME, brainflow:BOARD or a recording"),
        (("--verify", "nowhere"), "a night with audit.jsonl"),
        (("--withdraw", "nowhere", "--yes"), "the folder of a night"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert words in refuse(*arguments, "--no-page")
    assert list(tmp_path.iterdir()) == []


def test_a_recording_is_replayed_as_if_it_came_now(tmp_path, night):
    folder, _ = night
    out = tmp_path / "again"
    result = call("--source", folder / "night.zarr", "--protocol", "sham", "--speed", 0, "--no-page", "-o", out)
    assert result.exit_code == 0, (result.output, result.exception)
    assert "0 trials" in result.output


def test_the_help_teaches_the_way_of_a_first_night():
    said = " ".join(call("--help").output.split())
    for step in ("--seal-consent", "--calibrate-sink", "--consent", "--verify", "Not a medical device", "Escape"):
        assert step in said
