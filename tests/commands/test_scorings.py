"""Scorings found beside nights that are named as Sleep-EDF, HMC, CAP and SHHS name theirs, and whose they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.electrophysiology_files import write_edf

from sharpwave.commands.scorings import find_scoring, name_person
from sharpwave.commands.windows import open_nights
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_hypnogram
from sharpwave.recordings.recording import Recording


@pytest.mark.parametrize(
    ("night", "others", "scoring"),
    [
        ("SC4001E0-PSG", ["SC4001EC-Hypnogram.edf", "SC4002EC-Hypnogram.edf", "SC4011EH-Hypnogram.edf"], 0),
        ("ST7021J0-PSG", ["ST7022JM-Hypnogram.edf", "ST7021JM-Hypnogram.edf"], 1),
        ("SN001", ["SN001_sleepscoring.txt", "SN001_sleepscoring.edf", "SN002_sleepscoring.edf"], 1),
        ("n1", ["n10.txt", "n1.txt", "n11.txt", "n1.edf"], 1),
        ("shhs1-200001", ["shhs1-200001-nsrr.xml", "shhs1-200002-nsrr.xml", "shhs1-200001.edf"], 0),
    ],
)
def test_each_databases_names(tmp_path: Path, night: str, others: list[str], scoring: int) -> None:
    for name in [f"{night}.edf", *others]:
        (tmp_path / name).touch()
    assert find_scoring(night, tmp_path).name == others[scoring]


@pytest.mark.parametrize("names", [["n10.txt"], ["n1_a.txt", "n1_b.txt"]])
def test_none_or_several_are_said(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(SharpwaveError, match=r"one scoring of n1 in .*name the scorings as the recordings"):
        find_scoring("n1", tmp_path)


@pytest.mark.parametrize(
    ("first", "second", "person"),
    [
        ("SC4001E0-PSG", "SC4002E0-PSG", "SC400"),
        ("ST7021J0-PSG", "ST7022J0-PSG", "ST702"),
        ("shhs1-200001", "shhs2-200001", "shhs200001"),
    ],
)
def test_two_nights_of_a_person_are_one_persons(first: str, second: str, person: str) -> None:
    header = Recording(subject="X F X Female_33yr")
    assert {name_person(header, name).subject for name in (first, second)} == {person}


def test_a_header_that_names_someone_is_kept() -> None:
    assert name_person(Recording(subject="p7"), "night1").subject == "p7"


def test_a_folder_of_sleep_edf_is_learned_from_as_it_comes(tmp_path: Path) -> None:
    stages = ("W", "2", "3", "R", "W", "2")
    scored = tmp_path / "scored"
    scored.mkdir()
    for name in ("SC4001E0", "SC4002E0"):
        write_edf(tmp_path / f"{name}-PSG.edf")
        write_edf(scored / f"{name[:7]}C-Hypnogram.edf", stages=stages)
    nights = open_nights([str(p) for p in sorted(tmp_path.glob("*.edf"))], tmp_path / "windows", scorings=scored)
    assert [night.subject for night in nights] == ["SC400", "SC400"]
    expected = read_hypnogram(scored / "SC4001EC-Hypnogram.edf").at(np.array([15.0, 45.0]))
    found = nights[0].restrict(0, len(nights[0])).stages
    np.testing.assert_array_equal(found, expected)
