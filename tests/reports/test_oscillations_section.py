"""Spectra and coupling on the page say what the tables hold, and hide a phase that chance explains."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.night.parts import Oscillations
from sharpwave.reports import write_report
from sharpwave.reports.archive import read_archive, write_archive
from sharpwave.reports.files import summarise
from sharpwave.reports.oscillations_section import compose_oscillations, tabulate_coupling
from sharpwave.signals.coupling import Coupling
from sharpwave.signals.stage_spectra import summarise_spectra

from .conftest import HOSTILE, make_night

FOUND = Coupling("C4-M1", 100, 60, 0.6, 0.3, 0.002, -12.0, -30.4, 5.2, 0.5, 0.1, 0.01, "inverted", True)


def make_found(name: str = "C4-M1") -> Oscillations:
    frequencies = np.arange(121) / 4
    stages, cycles = np.array([0] * 6 + [2] * 8 + [3] * 8), np.array([0] * 6 + [1] * 16)
    power = np.where(stages == 3, 4.0, 1.0)[:, None] * np.ones((len(stages), 121))
    curves, table = summarise_spectra(power, frequencies, stages, ("W", "N1", "N2", "N3", "R"), cycles=cycles)
    bins = pd.DataFrame({"channel": name, "phase": np.arange(-170, 180, 20.0), "count": 3, "chance": 2.5})
    return Oscillations(
        curves=curves,
        power=table,
        coupling=pd.DataFrame([asdict(replace(FOUND, channel=name))]),
        phases=bins,
        channel=name,
        notes=[f"{name}: a sentence"],
    )


def test_the_page_says_what_the_tables_hold(tmp_path: Path) -> None:
    night = replace(make_night(hours=0.5), oscillations=make_found())
    shown = compose_oscillations(night)
    assert shown["power"].rows[-1][:2] == ["N3", "14 (12 %)"]
    assert [row[:2] for row in shown["cycles"].rows] == [["1", "N2"], ["1", "N3"]]
    assert shown["coupling"].rows == [
        [
            "C4-M1",
            "60 of 100",
            "60.0",
            "30.0",
            "0.0020",
            "−12°",
            "−30 to 5",
            "0.50",
            "0.10",
            "0.010",
            "inverted, turned",
        ]
    ]
    text = write_report(night, tmp_path / "night.html").read_text(encoding="utf-8")
    assert "Spectra and coupling" in text
    assert "C4-M1: a sentence" in text
    back = read_archive(write_archive(night, tmp_path / "night.json.gz"))
    pd.testing.assert_frame_equal(back.oscillations.power, night.oscillations.power)
    assert summarise(night)["coupling"][0]["polarity"] == "inverted"


def test_a_phase_that_chance_explains_is_not_shown() -> None:
    by_chance = tabulate_coupling(pd.DataFrame([asdict(replace(FOUND, strength_p=0.2))])).rows[0]
    assert by_chance[5:7] == ["–", "–"]
    assert by_chance[7] == "0.50"
    few = replace(FOUND, coupled=3, phase=np.nan, strength=np.nan, strength_chance=np.nan, strength_p=np.nan)
    assert tabulate_coupling(pd.DataFrame([asdict(few)])).rows[0][5:10] == ["–"] * 5


def test_names_of_channels_are_text(tmp_path: Path) -> None:
    night = replace(make_night(hours=0.5), oscillations=make_found(HOSTILE))
    assert "alert('x')" not in write_report(night, tmp_path / "night.html").read_text(encoding="utf-8")
