"""Sleep states of rodent laboratories, in words, one table a state, and codes; what is not understood is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.nwb_files import add_intervals, add_series, add_units, fire, open_nwb

from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.recordings.readers.nwb_states import name_state

ROWS = [(0, 100), (100, 300), (300, 350), (350, 500), (500, 600)]
ORDER = (0, 1, 2, 1, 0)
TRUE = ["W", "NREM", "R", "NREM", "W"]


def read(path: Path, **tables: dict):
    with open_nwb(path) as file:
        add_units(file, fire(2, 600.0))
        for name, columns in tables.items():
            add_intervals(file, name, columns.pop("rows", ROWS), **columns)
    return read_nwb(path)


def stages(recording) -> list[str]:
    return [recording.hypnogram.labels[int(low / recording.hypnogram.epoch_length)] for low, _ in ROWS]


@pytest.mark.parametrize(
    "words",
    [
        ("WAKEstate", "NREMstate", "REMstate"),
        ("Quiet wake", "Slow wave sleep", "Paradoxical sleep"),
        ("active_wake", "NonREM sleep", "rapid eye movement sleep"),
        ("AW", "SWS", "PS"),
        ("QWake", "slow-wave", "REMS"),
        ("Wake epochs", "non-REM", "REM_sleep"),
        ("éveil", "sommeil lent", "sommeil paradoxal"),
        ("wake", "nREM", "rem"),
        ("Wach", "NREM-Schlaf", "REM-Schlaf"),
        ("清醒", "慢波睡眠", "快速眼动睡眠"),
        ("WAKE", "SWS_PACKET", "REM_theta"),
        ("wake (0)", "NonREM sleep (SWS)", "REM (2)"),
        ("W", "N", "R"),
        ("a", "s", "p"),
    ],
)
def test_words_for_states(tmp_path: Path, words: tuple[str, str, str]) -> None:
    recording = read(tmp_path / "a.nwb", states={"label": [words[index] for index in ORDER]})
    assert stages(recording) == TRUE
    assert "table" not in recording.events or "states" not in set(recording.events["table"])


def test_words_of_people_stay_what_they_were() -> None:
    assert [name_state(word) for word in ("N1", "S2", "N3", "Sleep stage R", "Éveil", "?")] == [
        "N1", "N2", "N3", "R", "W", "?",
    ]  # fmt: skip
    assert [name_state(word) for word in ("left", "reward", "trial 3", "run", "")] == [None, None, None, None, "?"]


def test_a_table_for_each_state_is_joined_and_said(tmp_path: Path) -> None:
    tables = {
        name: {"rows": [row for row, which in zip(ROWS, ORDER, strict=True) if which == index]}
        for index, name in enumerate(("WAKE", "NREM_epochs", "REM"))
    }
    recording = read(tmp_path / "a.nwb", **tables, trials={"rows": [(3, 4), (5, 6)]})
    assert stages(recording) == TRUE
    assert set(recording.events["table"]) == {"trials"}
    assert any("joined from the tables 'NREM_epochs', 'REM', 'WAKE'" in said for said in recording.repairs)


@pytest.mark.parametrize(
    "legend",
    [
        "1: WAKE, 3: NREM, 5: REM",
        "wake = 1; NREM = 3; REM = 5",
        "1=awake 3=SWS 5=REM sleep",
        "1 - éveil, 3 - sommeil lent, 5 - REM",
        "(wake, nrem, rem) = (1, 3, 5)",
        "[1] wake [3] nrem [5] rem",
        "wake is 1, NREM is 3 and REM is 5",
    ],
)
@pytest.mark.parametrize("where", ["", "state"])
def test_codes_with_a_legend_are_stages(tmp_path: Path, legend: str, where: str) -> None:
    codes = [(1, 3, 5)[index] for index in ORDER]
    recording = read(tmp_path / "a.nwb", states={"state": codes, "descriptions": {where: legend}})
    assert stages(recording) == TRUE
    assert any("codes in 'state' of the table 'states' were read by its description" in s for s in recording.repairs)


def test_codes_without_a_legend_and_strange_words_are_named(tmp_path: Path) -> None:
    recording = read(
        tmp_path / "a.nwb",
        states={"state": [(1, 3, 5)[index] for index in ORDER]},
        sleep_scoring={"label": ["A", "B", "C", "B", "A"]},
        trials={"rows": [(3, 4), (5, 6)], "choice": [0, 1]},
    )
    assert recording.hypnogram is None
    assert any("'states' has codes 1, 3, 5 in 'state' and no legend" in said for said in recording.repairs)
    assert any("'sleep_scoring' was not understood as sleep states: A, B, C" in said for said in recording.repairs)
    assert not any("trials" in said for said in recording.repairs)
    assert np.isclose(recording.events["onset"].min(), 0)


def test_states_that_are_understood_in_part_spoil_no_file_and_are_said(tmp_path: Path) -> None:
    for name, words, said in (
        ("a", ("清醒", "甲", "乙"), "not understood as sleep states: 清醒, 甲, 乙"),
        ("b", ("M", "S", "R"), "not used as a hypnogram: expected stages of one set"),
        ("c", ("NREM", "NREM", "NREM"), "holds one state alone"),
    ):
        recording = read(tmp_path / f"{name}.nwb", states={"label": [words[index] for index in ORDER]})
        assert recording.hypnogram is None
        assert any(said in sentence for sentence in recording.repairs), recording.repairs
    with open_nwb(tmp_path / "d.nwb") as file:
        add_units(file, fire(2, 600.0))
        add_series(file, "acquisition/sleep_state", np.repeat([0, 1, 2], 200), rate=1.0, kind="TimeSeries", unit="n/a")
    recording = read_nwb(tmp_path / "d.nwb")
    assert any("'sleep_state' may hold sleep states" in said for said in recording.repairs)
