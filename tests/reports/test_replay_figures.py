"""Pictures of replay: what is drawn stands where it should, and text is escaped."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from sharpwave.reports.replay_figures import DrawnEvent, draw_event, draw_shares


def make_event(title: str = "12.00 s") -> DrawnEvent:
    posterior = np.eye(10)
    return DrawnEvent(
        title=title,
        words="p = 0.01",
        posterior=posterior,
        places=np.linspace(0, 1.8, 10),
        unit="m",
        duration=0.1,
        spike_times=np.array([0.0, 0.05, 0.1]),
        spike_rows=np.array([0, 4, 9]),
        n_rows=10,
        path=(0.0, 1.8),
    )


def test_path_and_spikes_run_the_same_way() -> None:
    drawn = str(draw_event(make_event()))
    start, end = (
        float(y) for y in re.search(r'<line [^>]*y1="([\d.]+)" x2="[\d.]+" y2="([\d.]+)" stroke="#fff"', drawn).groups()
    )
    assert start > end
    spikes = [(float(x), float(y)) for x, y in re.findall(r'<rect x="([\d.]+)" y="([\d.]+)" width="1.4"', drawn)]
    assert len(spikes) == 3
    assert [x for x, _ in spikes] == sorted(x for x, _ in spikes)
    assert [y for _, y in spikes] == sorted((y for _, y in spikes), reverse=True)


def test_text_is_escaped() -> None:
    drawn = str(draw_event(make_event(title="<script>alert(1)</script>")))
    assert "<script>" not in drawn
    assert "&lt;script&gt;" in drawn


def test_shares_stand_in_order_and_bands_around_chance() -> None:
    tests = pd.DataFrame(
        {"epoch": ["before", "after", "after less before"], "share": [0.04, 0.24, 0.2], "low": [0.02, 0.03, -0.03],
         "high": [0.08, 0.07, 0.03]}
    )  # fmt: skip
    drawn = str(draw_shares(tests, summary="shares"))
    dots = [float(x) for x in re.findall(r'<circle cx="([\d.]+)"', drawn)]
    assert dots[0] < dots[2] < dots[1]
    bands = [(float(x), float(w)) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', drawn)]
    assert bands[0][0] < dots[0] < sum(bands[0])
    assert sum(bands[1]) < dots[1]
