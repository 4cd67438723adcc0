from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram
from sharpwave.reports.timeline import Timeline
from sharpwave.reports.tracks import (
    draw_depth,
    draw_events,
    draw_hypnodensity,
    draw_hypnogram,
    draw_quality,
    draw_spectrogram,
    find_unclear,
)


def _lengths(plot: str, css: str) -> list[float]:
    """Lengths of the bars of one class, in per cent of the axis."""
    return [float(width) for width in re.findall(rf'width="([\d.]+)%" height="[\d.]+" class="{css}"', plot)]


def _widths(svg: str, fill: str) -> list[float]:
    return [float(width) for width in re.findall(rf'width="([\d.]+)%" height="[\d.]+" fill="{re.escape(fill)}"', svg)]


def test_bars_are_as_long_as_the_stages(night: DecodedNight) -> None:
    line = Timeline.of(night)
    plot = str(draw_hypnogram(night.hypnogram, line, expert=None, unclear_below=0.6, summary="").plot)
    for code, name in enumerate(night.hypnogram.names):
        share = 100 * (night.hypnogram.stages == code).sum() * 30 / line.span
        assert sum(_lengths(plot, name)) == pytest.approx(share, abs=0.1)


def test_unclear_strip_is_as_long_as_the_unclear_epochs(night: DecodedNight) -> None:
    line = Timeline.of(night)
    plot = str(draw_hypnogram(night.hypnogram, line, expert=None, unclear_below=0.6, summary="").plot)
    unclear = (night.hypnogram.probabilities.max(axis=1) < 0.6).sum()
    assert unclear > 20
    assert sum(_widths(plot, "url(#doubt)")) == pytest.approx(100 * unclear * 30 / line.span, abs=0.1)


def test_nothing_is_unclear_without_probabilities_or_where_they_are_missing() -> None:
    assert not find_unclear(Hypnogram(np.zeros(5, dtype=np.int8)), 0.9).any()
    probabilities = np.full((2, 5), 0.2)
    probabilities[0] = np.nan
    hypnogram = Hypnogram(np.zeros(2, dtype=np.int8), probabilities=probabilities)
    assert find_unclear(hypnogram, 0.9).tolist() == [False, True]


def test_expert_has_a_lane_below_ours(night: DecodedNight) -> None:
    """Each stage in its own colour, below every bar of ours, and the strip marks the epochs in which both differ."""
    line = Timeline.of(night)
    plot = str(draw_hypnogram(night.hypnogram, line, expert=night.expert, unclear_below=0.6, summary="").plot)
    places = [(float(y), float(high)) for y, high in re.findall(r'y="([\d.]+)"[^>]*height="([\d.]+)" class="N3"', plot)]
    ours, theirs = [y for y, high in places if high > 10], [y for y, high in places if high < 10]
    assert max(ours) < min(theirs)
    for code, name in enumerate(night.expert.names):
        both = (night.hypnogram.stages == code).sum() + (night.expert.stages == code).sum()
        assert sum(_lengths(plot, name)) == pytest.approx(100 * both * 30 / line.span, abs=0.2)
    differ = 100 * (night.hypnogram.stages != night.expert.stages).sum() * 30 / line.span
    assert differ > 1
    assert sum(_lengths(plot, "differs")) == pytest.approx(differ, abs=0.1)


def test_hypnodensity_keeps_its_areas_in_order(night: DecodedNight) -> None:
    track = draw_hypnodensity(night.hypnogram, Timeline.of(night), summary="")
    assert track is not None
    assert re.findall(r'Z" class="(\w+)"', str(track.plot)) == ["W", "R", "N1", "N2", "N3"]
    assert draw_hypnodensity(replace(night.hypnogram, probabilities=None), Timeline.of(night), summary="") is None


def test_hypnodensity_areas_are_the_mean_probabilities() -> None:
    probabilities = np.tile([0.1, 0.2, 0.3, 0.25, 0.15], (100, 1))
    hypnogram = Hypnogram(np.full(100, 2, dtype=np.int8), probabilities=probabilities)
    track = draw_hypnodensity(hypnogram, Timeline(0, 3000), summary="")
    assert track is not None
    for path, share in zip(
        re.findall(r'<path d="M([^"]*)Z" class', str(track.plot)), (0.1, 0.15, 0.2, 0.3, 0.25), strict=True
    ):
        points = np.array([[float(value) for value in point.split()] for point in path.split("L")])
        assert np.ptp(points[:, 1]) == pytest.approx(1000 * share, abs=0.2)


def test_few_events_are_marks_and_many_are_rates() -> None:
    line = Timeline(0, 3600)
    few = pd.DataFrame({"onset": np.arange(10.0), "duration": 1.0, "label": "cue"})
    many = pd.DataFrame({"onset": np.linspace(0, 3599, 600), "duration": 1.0, "label": "spindle"})
    track = draw_events(pd.concat([few, many]), line, summary="")
    assert track is not None
    assert str(track.plot).count('class="mark"') == 10
    assert 'class="rate"' in str(track.plot)
    assert draw_events(pd.DataFrame(), line, summary="") is None


def test_rarer_kinds_of_event_are_named_as_left_out() -> None:
    events = pd.DataFrame({"onset": np.arange(9.0), "duration": 1.0, "label": [f"kind {i}" for i in range(9)]})
    track = draw_events(events, Timeline(0, 10), summary="")
    assert track is not None
    assert "+ 3 more" in str(track.labels)


def test_bad_spans_are_drawn_where_they_are() -> None:
    spans = pd.DataFrame({"onset": [250.0], "duration": [500.0], "label": ["flat"]})
    plot = str(draw_quality(spans, Timeline(0, 1000), summary="").plot)
    assert '<rect x="25%" y="3" width="50%" height="10" fill="url(#bad)"/>' in plot


def test_depth_of_nothing_is_not_drawn() -> None:
    depth = pd.DataFrame({"onset": [0.0, 30.0], "depth": [np.nan, np.nan]})
    assert draw_depth(depth, Timeline(0, 60), unit="dB", summary="") is None


def test_spectrogram_lies_where_it_was_recorded(night: DecodedNight) -> None:
    plot = str(draw_spectrogram(night.spectrogram, Timeline(0, 57600), summary="").plot)
    assert '<image x="0%" y="0" width="50%"' in plot
