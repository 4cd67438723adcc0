from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from sharpwave.night.decoded import DecodedNight
from sharpwave.reports import write_index, write_index_of_summaries
from sharpwave.reports.archive import to_json
from sharpwave.reports.files import summarise


def test_index_lists_every_night(
    night: DecodedNight, simulated: DecodedNight, minimal: DecodedNight, hostile: DecodedNight, tmp_path: Path
) -> None:
    nights = {"a/report.html": night, "b/report.html": simulated, "c/report.html": minimal, "d/report.html": hostile}
    content = write_index(nights, tmp_path / "index.html").read_text(encoding="utf-8").replace("\xa0", " ")
    for address in nights:
        assert f'href="{address}"' in content
    assert "4 nights" in content
    assert "3 usable with care, 1 not usable" in content
    assert "402.5 min" in content
    assert "(simulated)" in content
    assert "<script" not in content
    assert "http" not in content.replace("http-equiv", "")


def test_index_of_no_nights(tmp_path: Path) -> None:
    assert "0\xa0nights" in write_index({}, tmp_path / "index.html").read_text(encoding="utf-8")


def test_index_of_summaries_says_the_same(night: DecodedNight, minimal: DecodedNight, tmp_path: Path) -> None:
    summaries = {}
    for name, each in (("night #1", night), ("b", minimal)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "summary.json").write_text(to_json(summarise(each)), encoding="utf-8")
        summaries[folder / "report.html"] = folder / "summary.json"
    assert json.loads((tmp_path / "b" / "summary.json").read_text(encoding="utf-8"))["identifier"] == "minimal"
    content = (
        write_index_of_summaries(summaries, tmp_path / "index.html").read_text(encoding="utf-8").replace("\xa0", " ")
    )
    assert 'href="night%20%231/report.html"' in content
    assert ">402.5<" in content
    assert "1 usable with care, 1 not usable" in content


def test_a_night_that_cannot_be_used_lends_the_group_no_numbers(night: DecodedNight, tmp_path: Path) -> None:
    unusable = replace(night, verdict="not usable", identifier="dead electrode")
    content = (
        write_index({"a.html": unusable}, tmp_path / "index.html").read_text(encoding="utf-8").replace("\xa0", " ")
    )
    assert "dead electrode" in content
    assert "402.5 min" not in content
