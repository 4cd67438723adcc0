"""Cycles and transitions on the page say what the tables hold."""

from __future__ import annotations

from dataclasses import replace

from sharpwave.night.architecture import describe_course
from sharpwave.recordings import Hypnogram
from sharpwave.reports import write_report
from sharpwave.reports.archive import read_archive, write_archive
from sharpwave.reports.course_section import compose_course
from sharpwave.reports.files import summarise

from .conftest import make_night

STAGES = Hypnogram.from_labels(["W"] * 20 + ["N2"] * 100 + ["R"] * 20 + ["N3"] * 60 + ["R"] * 30 + ["N2"] * 60)


def test_the_page_and_the_summary_hold_cycles_and_transitions(tmp_path) -> None:
    course = describe_course(STAGES, "human")
    night = replace(make_night(hours=1.0), hypnogram=STAGES, expert=None, architecture=course)
    shown = compose_course(night)
    assert shown["cycles"].rows[0][2:] == ["60.0", "50.0", "10.0", "0.0", "0.0", ""]
    assert shown["cycles"].rows[-1][:3] == ["mean", "of 2 complete", "52.5"]
    assert shown["cycles"].rows[2][-1] == "no REM followed"
    wake = shown["transitions"].rows[0]
    assert wake == ["Wake", "95.0", "0.0", "0.0", "5.0", "0.0", "20"]
    text = write_report(night, tmp_path / "night.html").read_text(encoding="utf-8")
    assert "Cycles and transitions" in text
    assert "Feinberg" in text
    summary = summarise(night)
    assert [row["complete"] for row in summary["sleep_cycles"]] == [True, True, False]
    assert summary["statistics_definitions"]
    back = read_archive(write_archive(night, tmp_path / "night.json.gz"))
    assert back.architecture.cycles.equals(course.cycles)


def test_lights_bound_the_course() -> None:
    course = describe_course(STAGES, "human", lights_on=20 * 30.0 + 120 * 30.0)
    assert course.cycles["length"].tolist() == [60.0]
    assert course.transitions["count"].sum() == 139
    assert not len(describe_course(STAGES.merge(2), "human").cycles)


def test_a_night_without_them_has_no_section(tmp_path) -> None:
    text = write_report(make_night(hours=0.5), tmp_path / "night.html").read_text(encoding="utf-8")
    assert 'id="course"' not in text
