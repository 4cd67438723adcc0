"""Stage words of many scorers, and integers that mean different things."""

from __future__ import annotations

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.scoring import CONVENTIONS, codes_of_names, name_stage, names_of_codes

WORDS = {
    "Sleep stage W": "W", "Sleep stage 4": "N3", "Sleep stage R": "R", "Sleep stage ?": "?", "Stage 2": "N2",
    "stade 1": "N1", "Éveil": "W", "Wake": "W", "NREM 2": "N2", "S4": "N3", "N4": "N3", "REM": "R",
    "Movement time": "?", "n/a": "?", "NREM": "NREM", "Light": "LIGHT", "Deep sleep": "DEEP", "SLEEP-S2": "N2",
    "Rapide": None, "Hypopnée": None, "3": None, "REM-Schlaf": "R", "Wachzustand": "W", "Sommeil léger": "LIGHT",
    "Fase 2": "N2", "Stage III": "N3", "Stadio 1": "N1", "Sueño MOR": "R", "S3/S4": "N3", "Wake (W)": "W",
    "清醒期": "W", "N1期": "N1", "快速眼动": "R", "深睡眠": "DEEP", "ノンレム睡眠": "NREM",
    "Бодрствование": "W", "Стадия 2": "N2", "N2 - 2": "N2", "-": "?", "呼吸暂停": None, "Храп": None, "W/N1": None,
    "slow wave": None, "REM onset": None,
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_words(word: str) -> None:
    assert name_stage(word) == WORDS[word]


def test_bare_digits_only_where_they_are_stages() -> None:
    assert name_stage("4", digits=True) == "N3"
    assert name_stage("4") is None


def test_conventions_disagree_about_the_same_codes() -> None:
    assert {name: names_of_codes([4], convention=name)[0] for name in CONVENTIONS} == {
        "yasa": "R", "aasm": "R", "rk": "N3", "dreams": "R", "ucddb": "N3",
    }  # fmt: skip
    assert names_of_codes([-1, 2], convention="aasm") == ["?", "N2"]
    assert names_of_codes([7], convention={7: "REM"}) == ["R"]


@pytest.mark.parametrize(
    ("codes", "convention", "message"),
    [
        ([0, 1], None, "several conventions read differently"),
        ([5], "aasm", "codes 0, 1, 2, 3, 4 as in the convention"),
        ([0], "yours", "a convention among yasa"),
        ([0], {0: "lunch"}, "a stage such as"),
    ],
)
def test_ambiguous_integers(codes: list[int], convention: object, message: str) -> None:
    with pytest.raises(SharpwaveError, match=message):
        names_of_codes(codes, convention=convention)  # type: ignore[arg-type]


def test_stage_sets() -> None:
    assert codes_of_names(["W", "N3", "?", None])[0].tolist() == [0, 3, -1, -1]
    assert codes_of_names(["W", "NREM", "R"])[1] == 3
    assert codes_of_names(["W", "DEEP"])[1] == 4
    assert codes_of_names(["W", "S"])[1] == 2
    with pytest.raises(SharpwaveError, match="stages of one set"):
        codes_of_names(["N1", "DEEP"])
