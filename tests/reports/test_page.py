"""The page: complete, safe, small and true to its input, for ordinary and odd nights alike."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram
from sharpwave.reports import page, write_report
from sharpwave.reports.formats import show_name

VOID = {"meta", "link", "img", "input", "br", "hr"}
SVG_LEAVES = {"rect", "line", "path", "circle", "image"}


class Reader(HTMLParser):
    """Collects tags, attributes, cells and visible text, and fails on a tag that is not closed."""

    def __init__(self, content: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.feed(content)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).replace("\xa0", " ").split())


def read(night: DecodedNight, folder: Path) -> tuple[str, Reader]:
    content = write_report(night, folder / "report.html").read_text(encoding="utf-8")
    return content, Reader(content)


def test_every_night_makes_a_page(variant: DecodedNight, tmp_path: Path) -> None:
    content, page_read = read(variant, tmp_path)
    assert len(content.encode()) < 3_000_000
    for heading in (
        "How much to trust this",
        "The night",
        "Numbers",
        "How well the stages are known",
        "Forecast",
        "Events",
    ):
        assert heading in page_read.text
    drawn = [value for _, attributes in page_read.tags for name, value in attributes.items() if name != "href"]
    assert not [value for value in drawn if value and re.search(r"\b(nan|inf)\b", value, re.I)]
    assert re.search(r"\bnan\b", page_read.text) is None
    assert variant.verdict in page_read.text


def test_every_night_keeps_within_itself(variant: DecodedNight, tmp_path: Path) -> None:
    content, page_read = read(variant, tmp_path)
    for tag, attributes in page_read.tags:
        for name in ("src", "href", "action", "srcset", "data", "xlink:href"):
            address = attributes.get(name)
            assert address is None or address.startswith(("data:", "#")), (tag, address)
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert tag not in ("link", "iframe", "object", "embed", "base")
    assert not re.search(r"url\((?!#)", content)
    assert "@import" not in content


def test_policy_names_this_style_and_script_and_no_network(night: DecodedNight, tmp_path: Path) -> None:
    content, page_read = read(night, tmp_path)
    policy = next(a["content"] or "" for _, a in page_read.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    assert "unsafe" not in policy
    style = re.search(r"<style>(.*?)</style>", content, re.S)
    script = re.search(r"<script>(.*?)</script>", content, re.S)
    assert style is not None
    assert script is not None
    for text, name in ((style[1], "style-src"), (script[1], "script-src")):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{name} 'sha256-{digest}'" in policy


def test_hostile_words_stay_words(hostile: DecodedNight, tmp_path: Path) -> None:
    content, page_read = read(hostile, tmp_path)
    assert "<script>alert" not in content
    assert "alert('x')" in page_read.text
    assert "{{ 7*7 }}" in page_read.text
    assert [tag for tag, _ in page_read.tags].count("script") == 2
    live = re.search(r'<script type="application/json" id="live">(.*?)</script>', content, re.S)
    assert live is not None
    assert json.loads(live[1])["key"] == hostile.identifier


def test_everything_is_said_without_the_script(night: DecodedNight, tmp_path: Path) -> None:
    _, page_read = read(night, tmp_path)
    said = page_read.text
    for words in (
        *night.trust,
        *night.reasons,
        *night.limits,
        *night.refusals,
        *night.provenance.citations,
        *night.repairs,
    ):
        assert " ".join(words.split()) in said
    for words in (night.identifier, night.source, night.stager, night.forecast_evaluation.note, night.effects.note):
        assert words in said
    for words in (*night.picks.values(), *night.provenance.versions.values(), *night.provenance.hashes.values()):
        assert words in said
    assert said.index("usable with care") < said.index("Can I trust it?") < said.index("Total sleep time")
    assert said.index("What next") < said.index("The night") < said.index("How much to trust this")


def test_numbers_are_the_inputs(night: DecodedNight, tmp_path: Path) -> None:
    _, page_read = read(night, tmp_path)
    rows: dict[str, list[str]] = {}
    for row in page_read.rows:
        rows.setdefault(row[0], row[1:])
    for row in night.statistics.to_dict("records"):
        value, unit, interval, spread = rows[show_name(row["name"])]
        assert row["definition"] in page_read.text
        if np.isnan(row["value"]):
            assert (value, interval, spread) == ("–", "–", "–")
            continue
        assert float(value) == pytest.approx(row["value"], abs=0.05)
        assert [float(end) for end in interval.split(" to ")] == pytest.approx([row["low"], row["high"]], abs=0.05)
        assert float(spread) == row["scorer_spread"]
        assert unit == row["unit"]
    for row in night.forecast_evaluation.skill.to_dict("records"):
        assert float(rows[row["method"]][0]) == pytest.approx(row["auprc"], abs=0.005)


def test_downloads_are_the_tables(night: DecodedNight, tmp_path: Path) -> None:
    _, page_read = read(night, tmp_path)
    links = {a["download"]: a["href"] for tag, a in page_read.tags if tag == "a" and "download" in a}
    encoded = (links["hypnogram.tsv"] or "").split("base64,")[1]
    table = pd.read_csv(io.BytesIO(base64.b64decode(encoded)), sep="\t")
    assert table["stage"].tolist() == night.hypnogram.labels
    np.testing.assert_allclose(table["p_N2"], night.hypnogram.probabilities[:, 2], rtol=1e-5)
    assert set(links) == {"hypnogram.tsv", "events.tsv", "forecast.tsv", "statistics.tsv", "quality.tsv"}


def test_simulated_is_said_loudly(simulated: DecodedNight, night: DecodedNight, tmp_path: Path) -> None:
    content, page_read = read(simulated, tmp_path)
    assert "Simulated night." in page_read.text
    assert "<title>night-022 (simulated)" in content
    assert ["spindle", "800", "771", "0.93"] in page_read.rows
    assert ["ripple", "1200", "0", "–"] in page_read.rows
    assert "imulated" not in read(night, tmp_path)[1].text


def test_figures_have_words_for_who_cannot_see_them(night: DecodedNight, tmp_path: Path) -> None:
    _, page_read = read(night, tmp_path)
    pictures = [a for tag, a in page_read.tags if tag == "svg" and a.get("role") == "img"]
    plots = [a for a in pictures if a.get("class") in ("plot", "chart")]
    assert len(plots) >= 10
    assert all(a["aria-label"] for a in plots)


def test_four_questions_are_answered_for_each_figure(night: DecodedNight, tmp_path: Path) -> None:
    _, page_read = read(night, tmp_path)
    assert page_read.text.count("How to read this figure") == page_read.text.count("What to do") == 5


def test_absent_things_are_named(tmp_path: Path, minimal: DecodedNight) -> None:
    said = read(minimal, tmp_path)[1].text
    for words in ("No forecast was computed", "No events were detected", "Not computed: this needs spikes and a track"):
        assert words in said


def test_large_pages_warn(night: DecodedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "WARN_ABOVE", 1000)
    with pytest.warns(UserWarning, match="browsers open pages above 10 MB slowly"):
        write_report(night, tmp_path / "report.html")


def test_week_stays_small(week: DecodedNight, tmp_path: Path) -> None:
    path = write_report(week, tmp_path / "report.html")
    assert path.stat().st_size < 3_000_000


def test_same_night_same_page(night: DecodedNight, tmp_path: Path) -> None:
    first = write_report(night, tmp_path / "a.html").read_bytes()
    assert write_report(night, tmp_path / "b.html").read_bytes() == first


def test_expert_with_fewer_stages_is_compared(night: DecodedNight, tmp_path: Path) -> None:
    coarse = replace(night, expert=night.hypnogram.merge(3))
    assert "The expert says the same in 100 % of epochs" in read(coarse, tmp_path)[1].text


def test_hypnogram_without_clock_counts_from_the_start(tmp_path: Path, minimal: DecodedNight) -> None:
    late = replace(minimal, hypnogram=Hypnogram(np.ones(20, dtype=np.int8)), duration=7200.0)
    said = read(late, tmp_path)[1].text
    assert "2 h 0 min, clock time unknown" in said
    assert "1:30 h" in said


def test_loss_saved_stands_with_its_interval(night: DecodedNight, tmp_path: Path) -> None:
    gains = {"log_loss_gain": [0.031, 0.02, 0.01, 0.0], "gain_low": [0.02, 0.01, -0.01, 0.0], "gain_high": 0.04}
    evaluation = night.forecast_evaluation
    richer = replace(night, forecast_evaluation=replace(evaluation, skill=evaluation.skill.assign(**gains)))
    rows = {row[0]: row for row in read(richer, tmp_path)[1].rows}
    assert rows["LightGBM, stage history"][-1] == "0.031 (0.020 to 0.040)"
    assert rows["Persistence"][-1] == "–"
    assert "gain low" not in rows["method"]


def test_labels_are_no_formulas_in_the_tables(tmp_path):
    from sharpwave.reports.embedded import encode_table
    from sharpwave.reports.files import write_table

    events = pd.DataFrame({"onset": [-1.0, 2.0], "duration": [1.0, 1.0], "label": ["=HYPERLINK(1)", "spindle"]})
    assert write_table(events, tmp_path / "events.tsv").read_text().splitlines()[1] == "-1\t1\t'=HYPERLINK(1)"
    address = encode_table("events.csv", events)["address"]
    assert base64.b64decode(address.partition(",")[2]).splitlines()[1] == b"-1,1,'=HYPERLINK(1)"
