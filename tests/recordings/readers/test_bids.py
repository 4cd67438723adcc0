"""BIDS nights: sidecars are found by inheritance and believed, and contradictions are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.files import BIDS_EPOCHS, write_small_bids
from typer.testing import CliRunner

from sharpwave.commands.bids import plan_bids_nights
from sharpwave.commands.cli import app
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, apply_options, open_source
from sharpwave.recordings.readers.bids import list_bids_nights, read_bids
from sharpwave.recordings.readers.bids_layout import find_sidecar


def rewrite(path: Path, **columns: list) -> None:
    pd.read_csv(path, sep="\t").assign(**columns).to_csv(path, sep="\t", index=False, na_rep="n/a")


def sidecar(eeg: Path, suffix: str) -> Path:
    return eeg.with_name(eeg.name.replace("_eeg.edf", f"_{suffix}"))


def test_a_night_with_its_sidecars(tmp_path: Path) -> None:
    recording = read_bids(write_small_bids(tmp_path))
    assert {name: signal.modality.name for name, signal in recording.signals.items()} == {
        "C4-M1": "eeg",
        "E1": "eog",
        "EMG chin": "emg",
        "broken": "eeg",
    }
    assert recording.metadata["bad_channels"] == ["broken"]
    assert recording.hypnogram.labels == list(BIDS_EPOCHS)
    assert recording.events["label"].tolist() == ["lights off", "spindle"]
    assert recording.events["onset"].tolist() == [1.5, 70.0]
    assert (recording.subject, recording.metadata["age"], recording.metadata["sex"]) == ("01", 34, "F")
    assert recording.metadata["power_line_hz"] == 50


def test_nights_by_participant_and_session(tmp_path: Path) -> None:
    first = write_small_bids(tmp_path)
    second = write_small_bids(tmp_path, subject="02", session=None)
    (tmp_path / "derivatives" / "sub-09" / "eeg").mkdir(parents=True)
    (tmp_path / "derivatives" / "sub-09" / "eeg" / "sub-09_task-x_eeg.edf").touch()
    assert list_bids_nights(tmp_path) == [first, second]
    assert list_bids_nights(tmp_path, ["sub-02"]) == list_bids_nights(tmp_path, ["02"]) == [second]
    assert list_bids_nights(tmp_path, sessions=["ses-1"]) == [first]
    with pytest.raises(SharpwaveError, match=r"EEG of sub-03.*sub 01, 02"):
        list_bids_nights(tmp_path, ["01", "03"])
    with pytest.raises(SharpwaveError, match="one night in"):
        read_bids(tmp_path)
    assert read_bids(tmp_path / "sub-02").subject == "02"
    with pytest.raises(SharpwaveError, match="a folder of a BIDS data set"):
        list_bids_nights(tmp_path / "nowhere")


def test_sidecars_are_inherited_from_above_the_nearest_first(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    sidecar(eeg, "channels.tsv").rename(tmp_path / "task-sleep_channels.tsv")
    assert read_bids(eeg).metadata["bad_channels"] == ["broken"]
    (tmp_path / "task-waking_channels.tsv").write_text("name\ttype\n")
    assert find_sidecar(eeg, "channels.tsv").name == "task-sleep_channels.tsv"
    (tmp_path / "sub-01" / "sub-01_channels.tsv").write_text("name\ttype\tstatus\nE1\tEOG\tbad\n")
    assert find_sidecar(eeg, "channels.tsv").name == "sub-01_channels.tsv"
    assert read_bids(eeg).metadata["bad_channels"] == ["E1"]


def test_stages_among_events_or_derivatives_are_found(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    hypnogram = sidecar(eeg, "hypnogram.tsv")
    folder = tmp_path / "derivatives" / "scoring" / "sub-01" / "eeg"
    folder.mkdir(parents=True)
    moved = folder / "sub-01_ses-1_task-sleep_desc-expert_hypnogram.tsv"
    hypnogram.rename(moved)
    assert read_bids(eeg).hypnogram.labels == list(BIDS_EPOCHS)
    moved.unlink()
    stages = pd.DataFrame(
        {
            "onset": [0, 30, 60, 90],
            "duration": 30,
            "trial_type": [f"Sleep stage {name}" for name in ("W", "1", "2", "R")],
        }
    )
    stages.to_csv(sidecar(eeg, "events.tsv"), sep="\t", index=False)
    assert read_bids(eeg).hypnogram.labels == ["W", "N1", "N2", "R"]
    sidecar(eeg, "events.tsv").unlink()
    assert read_bids(eeg).hypnogram is None


def test_types_of_the_table_win_over_unknown_names(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    rewrite(sidecar(eeg, "channels.tsv"), type=["EEG", "EOG", "EMG", "ECG"])
    assert read_bids(eeg)["broken"].modality.name == "ecg"


def test_channels_that_the_file_lacks_are_said(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    rewrite(sidecar(eeg, "channels.tsv"), name=["C4-M1", "E1", "EMG chin", "O2-M1"])
    assert any("O2-M1" in repair for repair in read_bids(eeg).repairs)


def test_sidecars_that_contradict_the_file_are_refused(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    content = json.loads(sidecar(eeg, "eeg.json").read_text())
    sidecar(eeg, "eeg.json").write_text(json.dumps({**content, "SamplingFrequency": 256}))
    with pytest.raises(SharpwaveError, match="SamplingFrequency 256"):
        read_bids(eeg)
    sidecar(eeg, "eeg.json").write_text(json.dumps({**content, "RecordingDuration": 60}))
    with pytest.raises(SharpwaveError, match="to last 60 s"):
        read_bids(eeg)
    sidecar(eeg, "eeg.json").write_text("{")
    with pytest.raises(SharpwaveError, match="a BIDS sidecar"):
        read_bids(eeg)


def test_tables_without_their_columns_are_refused(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    sidecar(eeg, "events.tsv").write_text("when\twhat\n1\tx\n")
    with pytest.raises(SharpwaveError, match="a column 'onset'"):
        read_bids(eeg)
    sidecar(eeg, "channels.tsv").write_text("label\ttype\nC4\tEEG\n")
    with pytest.raises(SharpwaveError, match="a column 'name'"):
        read_bids(eeg)


def test_an_age_that_cannot_be_is_left_out_and_declared(tmp_path: Path) -> None:
    path = write_small_bids(tmp_path)
    table = tmp_path / "participants.tsv"
    table.write_text(table.read_text().replace("34", "999"))
    recording = read_bids(path)
    assert recording.metadata.get("age") != 999
    assert any("participants.tsv gives an age of 999 years" in repair for repair in recording.repairs)


def test_data_sets_as_laboratories_leave_them(tmp_path: Path) -> None:
    """Nobody wrote the description, columns are capitalised, and the raw files lie there, too."""
    path = write_small_bids(tmp_path)
    (tmp_path / "dataset_description.json").unlink()
    table = tmp_path / "participants.tsv"
    table.write_text(table.read_text().replace("participant_id", "Participant_ID"))
    write_small_bids(tmp_path / "sourcedata")
    write_small_bids(tmp_path / ".trash")
    assert read_bids(path).metadata["age"] == 34
    assert list_bids_nights(tmp_path) == [path]
    path.with_suffix(".set").touch()
    with pytest.raises(SharpwaveError, match=r"one EEG file of sub-01_ses-1_task-sleep; got .*[.]edf and .*[.]set"):
        plan_bids_nights(tmp_path, tmp_path / "out")


def write_codes(eeg: Path, codes: list[int]) -> Path:
    table = sidecar(eeg, "hypnogram.tsv")
    rewrite(table, stage=codes)
    return table


def test_integers_of_a_hypnogram_mean_what_the_levels_of_its_json_say(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    write_codes(eeg, [0, 7, 7, 1])
    with pytest.raises(SharpwaveError, match="--stage-convention"):
        read_bids(eeg)
    levels = {"0": "Wake", "1": {"LongName": "N1 sleep", "Description": "light"}, "7": "N2"}
    sidecar(eeg, "hypnogram.json").write_text(json.dumps({"onset": {"Units": "s"}, "stage": {"Levels": levels}}))
    recording = read_bids(eeg)
    assert recording.hypnogram.labels == ["W", "N2", "N2", "N1"]
    assert any("7 is N2" in repair for repair in recording.repairs)


def test_levels_are_inherited_and_beaten_by_the_user(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    write_codes(eeg, [0, 1, 2, 5])
    (tmp_path / "task-sleep_hypnogram.json").write_text(
        json.dumps({"stage": {"Levels": {"0": "W", "1": "N1", "2": "N2", "5": "artefact"}}})
    )
    assert read_bids(eeg).hypnogram.labels == ["W", "N1", "N2", "?"]
    assert read_bids(eeg, convention="rk").hypnogram.labels == ["W", "N1", "N2", "R"]


@pytest.mark.parametrize("levels", [{}, {"0": "left", "1": "right"}, {"a": "W"}, ["W"], None])
def test_levels_that_say_nothing_of_stages_are_not_believed(levels: object, tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    write_codes(eeg, [0, 1, 1, 1])
    sidecar(eeg, "hypnogram.json").write_text(json.dumps({"stage": {"Levels": levels}}))
    with pytest.raises(SharpwaveError, match="--stage-convention"):
        read_bids(eeg)


def test_integers_among_events_mean_what_their_levels_say(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    sidecar(eeg, "hypnogram.tsv").unlink()
    events = pd.DataFrame({"onset": [0, 30, 60, 90], "duration": 30, "trial_type": [0, 2, 2, 5]})
    events.to_csv(sidecar(eeg, "events.tsv"), sep="\t", index=False)
    assert read_bids(eeg).hypnogram is None
    levels = {"trial_type": {"Levels": {"0": "wake", "2": "N2", "5": "REM"}}}
    sidecar(eeg, "events.json").write_text(json.dumps(levels))
    assert read_bids(eeg).hypnogram.labels == ["W", "N2", "N2", "R"]


def test_the_experts_stages_of_boas_are_read_and_said(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    sidecar(eeg, "hypnogram.tsv").unlink()
    events = pd.DataFrame({"onset": [0, 30, 60, 90], "duration": 30, "stage_hum": [0, 8, 2, 4], "stage_ai": 1})
    events.to_csv(sidecar(eeg, "events.tsv"), sep="\t", index=False)
    recording = read_bids(eeg)
    assert recording.hypnogram.labels == ["W", "?", "N2", "R"]
    assert any("stages are those of stage_hum, where 0 to 4 is W, N1, N2, N3, REM" in s for s in recording.repairs)


def test_options_of_stages_reach_the_hypnogram_beside_the_recording(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    write_codes(eeg, [0, 1, 2, 5])
    result = CliRunner().invoke(app, ["bids", str(tmp_path), str(tmp_path / "out"), "participant"])
    assert "--stage-convention" in result.output
    options = DecodeOptions(stage_convention="rk")
    assert apply_options(options, open_source(eeg, options)).hypnogram.labels == ["W", "N1", "N2", "R"]
    arguments = ["bids", str(tmp_path), str(tmp_path / "out"), "participant", "--stage-convention", "rk"]
    assert "--stage-convention" not in CliRunner().invoke(app, arguments).output


def test_of_two_scorers_of_a_night_one_can_be_asked_for(tmp_path: Path) -> None:
    eeg = write_small_bids(tmp_path)
    table = pd.read_csv(sidecar(eeg, "hypnogram.tsv"), sep="\t")
    both = pd.concat([table.assign(scorer="anna"), table.assign(scorer="ben", stage="N1")])
    both.to_csv(sidecar(eeg, "hypnogram.tsv"), sep="\t", index=False)
    for scorer, labels in (("anna", list(BIDS_EPOCHS)), ("ben", ["N1"] * 4)):
        options = DecodeOptions(scorer=scorer)
        assert apply_options(options, open_source(eeg, options)).hypnogram.labels == labels
