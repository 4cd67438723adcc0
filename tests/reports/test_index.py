from __future__ import annotations

from pathlib import Path

from sharpwave.reports import DecodedNight, write_index


def test_index_lists_every_night(
    night: DecodedNight, simulated: DecodedNight, minimal: DecodedNight, hostile: DecodedNight, tmp_path: Path
) -> None:
    nights = {"a/report.html": night, "b/report.html": simulated, "c/report.html": minimal, "d/report.html": hostile}
    content = write_index(nights, tmp_path / "index.html").read_text(encoding="utf-8")
    for address in nights:
        assert f'href="{address}"' in content
    assert "4 nights" in content
    assert "3 usable with care, 1 not usable" in content
    assert "402.5 min" in content
    assert "(simulated)" in content
    assert "<script" not in content
    assert "http" not in content.replace("http-equiv", "")


def test_index_of_no_nights(tmp_path: Path) -> None:
    assert "0 nights" in write_index({}, tmp_path / "index.html").read_text(encoding="utf-8")
