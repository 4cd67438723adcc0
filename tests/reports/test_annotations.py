"""Annotations for other programs: MNE, edfio and our own reader give back the stages and events of the night."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram, read_hypnogram
from sharpwave.reports.annotations import RECORD_BYTES, tabulate_annotations, write_annotations, write_edf_annotations
from sharpwave.reports.files import OURS, write_bids_files, write_files

from .conftest import make_night


@pytest.fixture(scope="module")
def night() -> DecodedNight:
    night = make_night(hours=3.0)
    events = night.events.copy()
    events.loc[0, "label"] = "odd, label\x14\0é"
    return replace(night, events=events)


def test_mne_reads_every_annotation(night: DecodedNight, tmp_path: Path) -> None:
    import mne

    table = tabulate_annotations(night)
    path, text = write_annotations(night, tmp_path)
    assert path.stat().st_size > 512 + 2 * RECORD_BYTES, "more than one record"
    found = mne.read_annotations(path)
    assert len(found) == len(table)
    order = np.lexsort((table["text"].to_numpy(), table["onset"].round(4).to_numpy()))
    expected = table.iloc[order]
    mine = pd.DataFrame({"onset": found.onset, "duration": found.duration, "text": found.description})
    mine = mine.sort_values(["onset", "text"], ignore_index=True)
    np.testing.assert_allclose(np.sort(mine["onset"]), np.sort(expected["onset"]), atol=1e-4)
    stages = mine[mine["text"].str.startswith("Sleep stage")]
    assert stages["text"].tolist() == [f"Sleep stage {label}" for label in night.hypnogram.labels]
    assert (stages["duration"] == 30).all()
    assert (mine["text"] == "Sleep spindle@@C4-M1").sum() == (night.events["label"] == "spindle").sum()
    assert len(text.read_text(encoding="utf-8").splitlines()) == len(table) + 1


def test_edfio_and_our_own_reader_agree(night: DecodedNight, tmp_path: Path) -> None:
    import edfio

    path, text = write_annotations(night, tmp_path)
    file = edfio.read_edf(path)
    assert file.starttime == night.start.time()
    assert file.startdate == night.start.date()
    assert file.patient.code == "P022"
    assert len(file.annotations) == len(tabulate_annotations(night))
    for source in (path, text):
        back = read_hypnogram(source)
        assert back.labels == night.hypnogram.labels
        assert back.epoch_length == 30


def test_odd_values_are_written_as_the_format_allows(tmp_path: Path) -> None:
    table = pd.DataFrame({"onset": [-1.5, 0.12344], "duration": [0.0, 0.5], "text": ["a" * 500, "b\x14c"]})
    path = write_edf_annotations(table, tmp_path / "a.edf", start=None, code="sub 1 é")
    raw = path.read_bytes()
    assert raw[8:20] == b"sub_1__ X X "
    assert b"Startdate X X" in raw
    assert b"-1.5\x14" + b"a" * 120 + b"\x14\0" in raw
    assert b"+0.1234\x150.5\x14b c\x14\0" in raw
    later = write_edf_annotations(table, tmp_path / "b.edf", start=datetime(2091, 3, 4, 5, 6, 7)).read_bytes()
    assert later[168:176] == b"04.03.yy"
    assert b"Startdate 04-MAR-2091" in later


def test_an_animals_states_and_ripples_are_read_by_pynwb(tmp_path: Path) -> None:
    import pynwb

    events = pd.DataFrame(
        {
            "onset": [31.0, 40.0, 65.5],
            "duration": [0.08, 0.5, 0.06],
            "label": ["ripple", "spindle", "ripple"],
            "channel": ["CA1", None, "CA1"],
            "amplitude": [1e-4, np.nan, 2e-4],
        }
    )
    stages = Hypnogram(np.array([0, 1, 1, 2, -1]), 20.0, n_stages=3)
    night = DecodedNight(
        identifier="a", source="a.nwb", duration=100.0, hypnogram=stages, stager="", verdict="usable",
        species="mouse", events=events, start=datetime(2024, 3, 1, 22, 30),
    )  # fmt: skip
    path = write_annotations(night, tmp_path)[2]
    with pynwb.NWBHDF5IO(path, "r") as file:
        content = file.read()
        ripples = content.intervals["ripples"].to_dataframe()
        states = content.intervals["sleep_states"].to_dataframe()
        assert content.subject.species == "Mus musculus"
        assert content.session_start_time.replace(tzinfo=None) == datetime(2024, 3, 1, 22, 30)
        assert "amplitude" not in content.intervals["spindles"].colnames  # not known of any
    np.testing.assert_allclose(ripples["start_time"], [31.0, 65.5])
    np.testing.assert_allclose(ripples["stop_time"], [31.08, 65.56])
    np.testing.assert_allclose(ripples["amplitude"], [1e-4, 2e-4])
    assert states["label"].tolist() == ["WAKE", "NREM", "REM"]
    assert states["stop_time"].tolist() == [20.0, 60.0, 80.0]
    assert pynwb.validate(path=str(path)) in ([], ([], 0), ([], False))
    assert len(write_annotations(replace(night, species="human"), tmp_path)) == 2


@pytest.mark.parametrize("species", ["human", "rat"])
def test_a_night_knows_its_own_files_and_replaces_them(species: str, tmp_path: Path) -> None:
    night = replace(make_night(hours=0.5), species=species)
    for _ in range(2):  # the second finds the files of the first
        write_files(night, tmp_path / "night", config={})
        write_bids_files(night, tmp_path / "bids", "sub-1", config={})
    assert {path.name for path in (tmp_path / "night").iterdir()} <= OURS
    named = {path.name for path in (tmp_path / "bids").rglob("sub-1*annotations.nwb")}
    assert bool(named) == (species == "rat")


@pytest.mark.parametrize("n_stages", [2, 3, 4, 5])
def test_any_set_of_stages_is_written_for_a_subject_of_unknown_species(n_stages: int, tmp_path: Path) -> None:
    import pynwb

    stages = Hypnogram(np.arange(n_stages, dtype=np.int8), 30.0, n_stages=n_stages)
    night = DecodedNight(
        identifier="a",
        source="rr.txt",
        duration=150.0,
        hypnogram=stages,
        stager="",
        verdict="usable",
        species="unknown",
    )
    with pynwb.NWBHDF5IO(write_annotations(night, tmp_path)[2], "r") as file:
        states = file.read().intervals["sleep_states"].to_dataframe()
    assert states["start_time"].tolist() == [30.0 * stage for stage in range(n_stages)]
    assert states["label"].nunique() == n_stages
    assert states["label"][0].startswith("W")
