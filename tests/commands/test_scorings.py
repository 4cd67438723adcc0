"""Scorings found beside nights that are named as public databases name theirs, whose they are, and what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.electrophysiology_files import write_edf, write_wfdb

from sharpwave.brainmu.training.crops import StoredEpochs
from sharpwave.commands import windows
from sharpwave.commands.scorings import Scorings, find_scoring, name_person, trim_wake
from sharpwave.commands.windows import describe_nights, need_stages, open_nights
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Hypnogram, Signal
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
        ("shhs1-200001", ["shhs1-200001-profusion.xml", "shhs1-200001-nsrr.xml"], 1),
        ("n2", ["n2.edf.st", "n2.txt"], 1),
        ("01-02-0001 PSG", ["01-02-0001 Spindles_E1.edf", "01-02-0001 Base.edf", "01-02-0002 Base.edf"], 1),
        ("ucddb002", ["ucddb002_respevt.txt", "ucddb002_stage.txt", "ucddb002_lifecard.edf"], 1),
        ("subject1", ["HypnogramR&K_subject1.txt", "HypnogramAASM_subject1.txt", "HypnogramAASM_subject10.txt"], 1),
        ("n1", ["a/n1.txt", "b/n2.txt"], 0),
    ],
)
def test_each_databases_names(tmp_path: Path, night: str, others: list[str], scoring: int) -> None:
    for name in [f"{night}.edf", *others]:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find_scoring(night, tmp_path)[0] == (tmp_path / others[scoring]).resolve()


@pytest.mark.parametrize("names", [["n10.txt"], ["n1_a.txt", "n1_b.txt"], ["a/n1.txt", "b/n1.txt"]])
def test_none_or_several_are_said(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(SharpwaveError, match=r"one scoring of n1 in .*name the scorings as the recordings"):
        find_scoring("n1", tmp_path)


def test_of_several_scorers_one_is_taken_and_said(tmp_path: Path) -> None:
    for name in ("1/1_1.txt", "1/1_2.txt", "2/1_1.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    first, said = find_scoring("1", tmp_path, beside=tmp_path / "1")
    assert (first.name, said) == ("1_1.txt", "2 scorings (1_1, 1_2): 1_1 was taken; --scorer chooses")
    assert find_scoring("1", tmp_path, beside=tmp_path / "1", scorer="2")[0].name == "1_2.txt"
    with pytest.raises(SharpwaveError, match=r"got 1_1\.txt, 1_2\.txt"):
        find_scoring("1", tmp_path, beside=tmp_path / "1", scorer="3")


@pytest.mark.parametrize(
    ("first", "second", "person"),
    [
        ("SC4001E0-PSG", "SC4002E0-PSG", "SC400"),
        ("ST7021J0-PSG", "ST7022J0-PSG", "ST702"),
        ("shhs1-200001", "shhs2-200001", "shhs200001"),
        ("mros-visit1-aa0001", "mros-visit2-aa0001", "mros0001"),
        ("mesa-sleep-0001", "edfs-mesa-sleep-0001", "mesa-sleep0001"),
    ],
)
def test_two_nights_of_a_person_are_one_persons(first: str, second: str, person: str) -> None:
    header = Recording(subject="X F X Female_33yr")
    assert {name_person(header, name).subject for name in (first, second)} == {person}


def test_a_participants_person_is_the_person() -> None:
    night = Recording(subject="12", metadata={"pid": 7})
    assert name_person(night, "sub-12_task-Sleep_acq-psg_eeg").subject == "pid-7"


def test_a_header_that_names_someone_is_kept() -> None:
    assert name_person(Recording(subject="p7"), "night1").subject == "p7"


def test_a_folder_of_sleep_edf_is_learned_from_as_it_comes(tmp_path: Path) -> None:
    stages = ("W", "2", "3", "R", "W", "2")
    scored = tmp_path / "scored"
    scored.mkdir()
    for name in ("SC4001E0", "SC4002E0"):
        write_edf(tmp_path / f"{name}-PSG.edf")
        write_edf(scored / f"{name[:7]}C-Hypnogram.edf", stages=stages)
    nights = open_nights([str(tmp_path)], tmp_path / "windows", scorings=Scorings(tmp_path))
    assert [night.subject for night in nights] == ["SC400", "SC400"]
    expected = read_hypnogram(scored / "SC4001EC-Hypnogram.edf").at(np.array([15.0, 45.0]))
    found = nights[0].restrict(0, len(nights[0])).stages
    np.testing.assert_array_equal(found, expected)
    said = describe_nights({"SC4001E0-PSG": nights[0], "SC4002E0-PSG": nights[1]})
    assert said[0].startswith("Nights: 2, of 1 person, 0.0 h; eeg in 2")
    assert said[1] == "Stages, in steps of 30 s: W 2, N2 2"
    assert nights[0].restrict(1, 2).lights_off == 3.5, "the scoring's mark is the clock, not the start of the file"


def test_a_night_is_hashed_once_and_again_when_its_scoring_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sharpwave import disk
    from sharpwave.commands import inputs

    hashed: list[list[str]] = []
    hash_sources = inputs.hash_sources
    monkeypatch.setattr(disk, "SETTLED", -1.0)
    monkeypatch.setattr(inputs, "hash_sources", lambda names: hashed.append(names) or hash_sources(names))
    night, scored = write_edf(tmp_path / "n1.edf"), tmp_path / "scored"
    scored.mkdir()
    for code, stage in (("2", "N2"), ("3", "N3")):
        (scored / "n1.txt").write_text(f"W\n{code}\n{code}\n")
        first, again = (open_nights([str(night)], tmp_path / "windows", scorings=Scorings(scored))[0] for _ in range(2))
        assert first.folder == again.folder
        assert set(first.count_stages()) == {"W", stage}
    assert len(hashed) == 2


def open_edf(folder: Path, codes: str, **how: str) -> list[StoredEpochs]:
    """One night whose scoring holds these integers, one a line."""
    night = write_edf(folder / "n1.edf")
    (folder / "n1.txt").write_text("\n".join(codes) + "\n")
    return open_nights([str(night)], folder / "windows", scorings=Scorings(folder, **how))


def test_integers_need_their_meaning_and_the_night_is_named(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"in n1\.txt; got integers 1, 5.*--stage-convention"):
        open_edf(tmp_path, "51")
    (night,) = open_edf(tmp_path, "51", stage_convention="rk")
    assert night.count_stages() == {"N1": 1, "R": 1}
    assert night.restrict(1, 2).lights_off == 1785, "11 PM of a recording from 22:30:15"
    (other,) = open_edf(tmp_path, "51", stage_convention="dreams")
    assert other.count_stages() == {"W": 1, "N3": 1}, "windows of another convention are not taken"


def test_nights_without_stages_are_said_before_anything_is_learned(tmp_path: Path) -> None:
    nights = open_nights([str(write_edf(tmp_path / "n1.edf"))], tmp_path / "windows")
    assert "n1: no stages are known" in describe_nights({"n1": nights[0]})
    with pytest.raises(SharpwaveError, match=r"nights with their sleep stages; got one without.*--scorings"):
        need_stages(nights)


def test_wake_of_the_day_is_said_and_left_out_on_demand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """20 minutes of EEG: 12 of wake, 4 of sleep from 22:42:15 on, 4 of wake; 2 minutes are kept."""
    (tmp_path / "n1.txt").write_text("\n".join("W" * 24 + "2" * 8 + "W" * 8) + "\n")
    night = str(write_edf(tmp_path / "n1.edf", seconds=1200))
    (whole,) = open_nights([night], tmp_path / "windows", scorings=Scorings(tmp_path))
    (kept,) = open_nights([night], tmp_path / "windows", scorings=Scorings(tmp_path, wake_margin=2))
    assert whole.count_stages() == {"W": 32, "N2": 8}
    assert kept.count_stages() == {"W": 8, "N2": 8}
    monkeypatch.setattr(windows, "FAR_WAKE", 2.0)
    said = "Wake more than 2 min before the first or after the last sleep: 24 of these steps. --wake-margin 2 leaves"
    assert describe_nights({"n1": whole})[2].startswith(said)
    assert len(describe_nights({"n1": kept})) == len(describe_nights({"n1": whole}))
    assert "0.2 h of 0.333 h are left out" in kept.about["repairs"][-1]
    np.testing.assert_array_equal(kept.restrict(4, 12).stages, 2)
    assert kept.restrict(0, 4).lights_off == whole.restrict(0, 4).lights_off - 600
    values = [one.restrict(first, first + 8).epochs["eeg"].values for one, first in ((whole, 24), (kept, 4))]
    np.testing.assert_allclose(values[0][4:], values[1][4:], atol=0.05)


def test_a_folder_of_physionet_is_learned_from_as_it_comes(tmp_path: Path) -> None:
    for name in ("slp01a", "slp01b", "tr03-0005"):
        (tmp_path / name).mkdir()
        write_wfdb(tmp_path / name / f"{name}.hea", storage=16 if name[0] == "t" else 212)
    nights = open_nights([str(tmp_path)], tmp_path / "windows")
    assert [night.subject for night in nights] == ["slp01", "slp01", "tr03-0005"]
    assert nights[2].count_stages() == {"W": 2, "N1": 1, "N2": 1, "N3": 1, "R": 1}


def test_a_day_of_wake_before_sleep_is_told() -> None:
    day = Recording(
        signals={"EEG": Signal("EEG", np.zeros(7200 * 2, np.float32), 2.0, MODALITIES["eeg"])},
        hypnogram=Hypnogram.from_labels(["W"] * 200 + ["N2"] * 40),
        metadata={"lights_off": 5000.0},
    )
    kept = trim_wake(day, 30)
    assert (kept.duration, len(kept["EEG"]), kept.metadata["lights_off"]) == (3000, 6000, 800)
    assert trim_wake(day, None) is day
    assert trim_wake(day, 200) is day
