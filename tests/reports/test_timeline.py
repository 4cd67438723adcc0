from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings import Hypnogram
from sharpwave.reports.timeline import (
    Timeline,
    compute_rates,
    downsample_hypnogram,
    downsample_image,
    downsample_line,
)


def test_ticks_are_round_clock_times() -> None:
    line = Timeline(0, 8 * 3600, datetime(2020, 1, 1, 22, 17, 30))
    assert [line.write(tick) for tick in line.ticks()][:3] == ["23:00", "00:00", "01:00"]
    assert len(line.ticks()) <= 9


def test_long_recordings_name_the_day() -> None:
    line = Timeline(0, 7 * 86400, datetime(2020, 1, 1, 22, 0))
    words = [line.write(tick) for tick in line.ticks()]
    assert words[0] == "d2 00:00"
    assert len(words) <= 9


def test_places_are_shares_cut_at_the_ends() -> None:
    line = Timeline(100, 300)
    assert [line.percent(time) for time in (0, 100, 200, 300, 999)] == [0, 0, 50, 100, 100]


def test_axis_holds_recording_and_hypnogram(minimal: DecodedNight) -> None:
    night = replace(minimal, hypnogram=Hypnogram(np.zeros(10, dtype=np.int8), start=4000.0))
    line = Timeline.of(night)
    assert (line.start, line.end) == (0, 4300)


def test_short_nights_stay_as_they_are() -> None:
    hypnogram = Hypnogram(np.array([0, 1, 2], dtype=np.int8))
    assert downsample_hypnogram(hypnogram) is hypnogram


def test_blocks_take_the_most_frequent_stage(rng: np.random.Generator) -> None:
    stages = rng.integers(-1, 5, 1003).astype(np.int8)
    probabilities = rng.dirichlet(np.ones(5), 1003)
    coarse = downsample_hypnogram(Hypnogram(stages, 4.0, start=8.0, probabilities=probabilities), most=101)
    assert (coarse.epoch_length, coarse.start, len(coarse)) == (40.0, 8.0, 101)
    for index in range(101):
        block = stages[10 * index : 10 * index + 10]
        votes = [int((block == code).sum()) for code in range(5)]
        assert coarse.stages[index] == (int(np.argmax(votes)) if max(votes) else -1)
        np.testing.assert_allclose(
            coarse.probabilities[index], probabilities[10 * index : 10 * index + 10].mean(axis=0)
        )


def test_unscored_blocks_stay_unscored() -> None:
    coarse = downsample_hypnogram(Hypnogram(np.full(10, -1, dtype=np.int8)), most=2)
    assert coarse.stages.tolist() == [-1, -1]


def test_lines_and_images_are_averaged_and_gaps_stay_gaps() -> None:
    times = np.arange(10.0)
    values = np.array([1, 3, np.nan, 5, np.nan, np.nan, 2, 2, 9, 9.0])
    short_times, short = downsample_line(times, values, most=5)
    np.testing.assert_allclose(short_times, [0.5, 2.5, 4.5, 6.5, 8.5])
    np.testing.assert_allclose(short, [2, 5, np.nan, 2, 9])
    image_times, image = downsample_image(times, np.stack([values, 2 * values]), most=5)
    np.testing.assert_allclose(image_times, short_times)
    np.testing.assert_allclose(image[1], 2 * short)


def test_rates_keep_every_event_inside_the_span(rng: np.random.Generator) -> None:
    onsets = rng.uniform(-100, 8 * 3600, 5000)
    rates, width = compute_rates(pd.Series(onsets), start=0.0, end=8 * 3600.0)
    assert width == 60
    assert rates.sum() * width / 60 == (onsets >= 0).sum()
    assert rates[3] == ((onsets >= 180) & (onsets < 240)).sum()
