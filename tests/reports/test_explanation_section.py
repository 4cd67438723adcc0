"""Explanations on a page: what is said is what the tables hold, and nothing breaks where they hold nothing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from tests.reports.conftest import HOSTILE, make_night

from sharpwave.night.decoded import ForecastExplanation
from sharpwave.reports import write_report
from sharpwave.reports.archive import read_archive, write_archive
from sharpwave.reports.explanation_figures import draw_directions, draw_parts
from sharpwave.reports.explanation_section import (
    ExplanationPage,
    compose_explanation,
    describe_forecast,
    describe_modalities,
    describe_out_of_distribution,
    write_explanation,
)
from sharpwave.reports.timeline import Timeline

LINE = Timeline(0, 7200, datetime(2026, 1, 1, 23, 0))
ROW = {
    "onset": 3600.0,
    "horizon": 30.0,
    "p_change": 0.62,
    "p_typical": 0.1,
    "modality": "eeg",
    "channel": "C4-M1",
    "reach": 90.0,
    "effect": 1.8,
    "share": 0.7,
    "p_without": 0.21,
}
STRANGE = pd.DataFrame(
    {"onset": np.arange(4) * 30.0, "novelty": [0.0, 5, 0, 0], "abstain": [False, True, False, False]}
)


@pytest.fixture
def explained() -> ExplanationPage:
    parts = pd.DataFrame(
        {"onset": 3600.0, "modality": ["eeg", "eeg", "stages"], "from": [-30.0, -60.0, -30.0], "to": [0.0, -30.0, 0.0]}
        | {"weight": [1.2, -0.4, 0.001], "effect": [1.2, 0.8, 0.0]}
    )
    return ExplanationPage(
        identifier="night",
        source="night.edf",
        duration=7200.0,
        start=LINE.clock,
        tables=ForecastExplanation(
            forecasts=pd.DataFrame([ROW]),
            parts=parts,
            modalities=pd.DataFrame({"modality": ["eeg", "stages"], "effect": [0.4, 0.1], "share": [0.8, 0.2]}),
            latents=pd.DataFrame({"onset": np.arange(240) * 30.0, "depth": np.sin(np.arange(240) / 20)}),
            directions=pd.DataFrame(
                [{"name": "depth", "correlation": 0.7, "low": 0.6, "high": 0.8, "n": 9, "named": True}]
            ),
            out_of_distribution=STRANGE.assign(modality="eeg", channel="C4-M1"),
        ),
    )


def test_words_hold_the_numbers():
    words = describe_forecast(ROW, LINE)
    assert words.startswith("At 00:00 the model gave 62 % for a change of stage within 30 s (10 % is usual")
    assert (
        "Most of the rise came from the EEG (C4-M1) of the last 90 s: without that it would have given 21 %." in words
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [(1.2, "Nearly all of the rise"), (0.5, "Most of the rise"), (0.35, "A good part"), (0.1, "A small part")],
)
def test_words_for_how_much(share: float, words: str):
    assert words in describe_forecast(ROW | {"share": share}, LINE)


def test_forecast_below_the_usual_fell_and_long_spans_are_minutes():
    words = describe_forecast(ROW | {"p_change": 0.02, "reach": 600.0, "modality": "heart_rate", "channel": ""}, LINE)
    assert "of the fall came from the heart rate of the last 10 min" in words


def test_nothing_named_is_said():
    assert "No single modality carried it" in describe_forecast(ROW | {"modality": ""}, LINE)


def test_modality_that_matters_most_is_named_first(explained):
    assert "leans most on the EEG" in describe_modalities(explained.tables.modalities)
    assert "80 %" in describe_modalities(explained.tables.modalities)


def test_out_of_distribution_in_words(explained):
    assert describe_out_of_distribution(explained.tables.out_of_distribution).startswith("25 % of the steps are unlike")
    assert "C4-M1" in describe_out_of_distribution(explained.tables.out_of_distribution)
    assert describe_out_of_distribution(explained.tables.out_of_distribution.assign(abstain=False)).startswith(
        "No step"
    )


def test_boxes_show_weights_and_their_side(explained):
    drawn = draw_parts(explained.tables.parts, summary="x")
    assert "+1.20" in drawn
    assert "−0.40" in drawn
    fills = [
        tuple(int(code[at : at + 2], 16) for at in (0, 2, 4)) for code in re.findall('fill="#([0-9a-f]{6})"', drawn)
    ]
    assert sorted(blue > red for red, _, blue in fills) == [False, True, True]  # for a change blue, against it ochre


def test_latents_without_directions_and_strange_steps_are_left_out():
    assert draw_directions(pd.DataFrame({"onset": [0.0]}), pd.DataFrame(), LINE) is None


def test_page_of_its_own(explained, tmp_path):
    page = write_explanation(explained, tmp_path / "explanation.html").read_text()
    assert describe_forecast(ROW, LINE) in page
    assert "stage history" in page
    assert "Depth" in page
    assert "What not to conclude" in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_nothing_explained_is_said(tmp_path):
    empty = ExplanationPage(identifier="night", source="x", duration=10.0)
    assert compose_explanation(empty) is None
    assert "Nothing was explained." in write_explanation(empty, tmp_path / "e.html").read_text()


def test_hostile_names_are_escaped(explained, tmp_path):
    hostile = replace(
        explained,
        identifier=HOSTILE,
        tables=replace(explained.tables, forecasts=pd.DataFrame([ROW | {"channel": HOSTILE}])),
    )
    page = write_explanation(hostile, tmp_path / "e.html").read_text()
    assert "<script>alert" not in page


def test_section_of_the_night_survives_the_archive(explained, tmp_path):
    night = replace(make_night(hours=2), explanation=explained.tables)
    write_archive(night, tmp_path / "night.json.gz")
    page = write_report(read_archive(tmp_path / "night.json.gz"), tmp_path / "report.html").read_text()
    assert "What moved the forecasts" in page
    assert "of the EEG" in page or "from the EEG (C4-M1)" in page
    without = write_report(make_night(hours=2), tmp_path / "without.html").read_text()
    assert "What moved the forecasts" not in without
