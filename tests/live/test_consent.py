"""Consent: what is missing, edited, expired or beyond it stops a night; a withdrawal deletes signals."""

import datetime
import json
from dataclasses import replace

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.consent import (
    EXCLUSIONS,
    ITEMS,
    check_agreed,
    draft_consent,
    read_consent,
    seal_consent,
    withdraw,
)
from sharpwave.live.protocol import load_protocol

TODAY = datetime.date(2027, 1, 15)
SOUNDS = {"click": "builtin:click"}


def fill(**changes):
    form = draft_consent(SOUNDS, level_db=40.0, per_night=1000)
    form["agreed"] = dict.fromkeys(ITEMS, True)
    form["excluded"] = dict.fromkeys(EXCLUSIONS, True)
    return {**form, "participant": "P-01", "signed": "2027-01-01", "expires": "2027-12-31", **changes}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "consent.json"
    path.write_text(json.dumps(fill()))
    seal_consent(path)
    return path


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_sealed_consent_is_read(path):
    consent = read_consent(path, today=TODAY)
    assert (consent.participant, consent.level_db, list(consent.cues)) == ("P-01", 40.0, ["click"])
    check_agreed(consent, load_protocol("up-state"), SOUNDS)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"participant": "Anna Berg"}, "in place of a name"),
        ({"participant": "anna@home"}, "in place of a name"),
        ({"agreed": {**dict.fromkeys(ITEMS, True), ITEMS[1]: False}}, "some trials without a cue"),
        ({"agreed": {**dict.fromkeys(ITEMS, True), ITEMS[0]: 1}}, "cues while asleep"),
        ({"excluded": {}}, "epilepsy"),
        ({"level_db": 56}, "at most 55"),
        ({"level_db": float("nan")}, "at most 55"),
        ({"per_night": True}, "per_night"),
        ({"cues": {"click": "../../etc"}}, "SHA-256"),
        ({"signed": "soon"}, "a day such as"),
        ({"notes": "likes jazz"}, "holds no names and no notes"),
    ],
)
def test_a_form_that_is_not_filled_in_is_not_sealed(tmp_path, changes, match):
    path = tmp_path / "consent.json"
    path.write_text(json.dumps(fill(**changes)))
    with pytest.raises(SharpwaveError, match=match):
        seal_consent(path)


def test_an_edit_after_the_seal_is_seen(path):
    edit(path, level_db=45.0)
    with pytest.raises(SharpwaveError, match="something in it was changed since"):
        read_consent(path, today=TODAY)


@pytest.mark.parametrize("today", [datetime.date(2026, 12, 31), datetime.date(2028, 1, 1)])
def test_a_consent_holds_from_its_day_to_its_end(path, today):
    with pytest.raises(SharpwaveError, match="a consent in force"):
        read_consent(path, today=today)


@pytest.mark.parametrize("text", ["", "[]", "{" * 50_000, '{"version": 1}', "\xff"])
def test_a_broken_file_is_explained(tmp_path, text):
    path = tmp_path / "consent.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SharpwaveError, match=r"consent\.json"):
        read_consent(path, today=TODAY)


def test_a_missing_file_is_explained(tmp_path):
    with pytest.raises(SharpwaveError, match="a consent"):
        read_consent(tmp_path / "none.json", today=TODAY)


def test_nothing_beyond_what_was_agreed_to_is_taken(path):
    consent, protocol = read_consent(path, today=TODAY), load_protocol("up-state")
    with pytest.raises(SharpwaveError, match="a level in dB"):
        check_agreed(replace(consent, level_db=35.0), protocol, SOUNDS)
    with pytest.raises(SharpwaveError, match="a number of cues in a night"):
        check_agreed(replace(consent, per_night=10), protocol, SOUNDS)
    with pytest.raises(SharpwaveError, match="cues that the participant agreed to"):
        check_agreed(consent, load_protocol("tmr"), SOUNDS)


def test_another_sound_under_an_agreed_name_is_refused(path, tmp_path):
    other = tmp_path / "click.wav"
    other.write_bytes(b"RIFF, but not what was agreed to")
    with pytest.raises(SharpwaveError, match="the sound of 'click' that the participant agreed to"):
        check_agreed(read_consent(path, today=TODAY), load_protocol("up-state"), {"click": str(other)})


def make_night(folder):
    folder.mkdir()
    (folder / "audit.jsonl").write_text("{}\n")
    (folder / "inputs.bin").write_bytes(b"signal")
    (folder / "night.zarr" / "eeg").mkdir(parents=True)
    (folder / "night.zarr" / "eeg" / "c").write_bytes(b"signal")
    (folder / "notes.txt").write_text("mine")
    return folder


def test_a_withdrawal_deletes_signals_and_keeps_hashes(tmp_path):
    folder = make_night(tmp_path / "night")
    gone = withdraw(folder, now=datetime.datetime(2027, 1, 2))
    assert sorted(gone) == ["inputs.bin", "night.zarr"]
    assert sorted(path.name for path in folder.iterdir()) == ["audit.jsonl", "notes.txt", "withdrawn.json"]
    assert json.loads((folder / "withdrawn.json").read_text())["deleted"] == gone
    assert withdraw(folder, now=datetime.datetime(2027, 1, 3)) == gone  # again: nothing is forgotten


def test_a_withdrawal_follows_no_link_and_touches_no_other_folder(tmp_path):
    outside = make_night(tmp_path / "other")
    folder = make_night(tmp_path / "night")
    (folder / "inputs.bin").unlink()
    (folder / "inputs.bin").symlink_to(outside / "inputs.bin")
    (folder / "night.zarr" / "link").symlink_to(outside / "night.zarr")
    withdraw(folder, now=datetime.datetime(2027, 1, 2))
    assert (outside / "inputs.bin").read_bytes() == b"signal"
    assert (outside / "night.zarr" / "eeg" / "c").read_bytes() == b"signal"
    assert not (folder / "night.zarr").exists()
    with pytest.raises(SharpwaveError, match="the folder of a night"):
        withdraw(tmp_path, now=datetime.datetime(2027, 1, 2))
