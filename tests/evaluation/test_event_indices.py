"""Indices of scored events: counts and denominators by hand; what nobody scored is blank."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.evaluation.event_indices import compute_event_indices, count_events, find_periodic_movements
from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.recordings.hypnogram import Hypnogram

NIGHT = Hypnogram.from_labels(["W"] * 60 + ["N2"] * 240 + ["W"] * 60)  # 2 h of sleep from 1800 s


def events(label: str, onsets: list[float], duration: float = 10.0) -> pd.DataFrame:
    return pd.DataFrame({"onset": onsets, "duration": duration, "label": label})


def value(name: str, *tables: pd.DataFrame, hypnogram: Hypnogram = NIGHT) -> float:
    rows = compute_event_indices(hypnogram, pd.concat(tables, ignore_index=True) if tables else None)
    return {row["name"]: row["value"] for row in rows}[name]


def test_events_per_hour_of_sleep() -> None:
    scored = [
        events("arousal", [2000.0, 3000.0, 4000.0]),
        events("obstructive_apnea", [2000.0, 5000.0]),
        events("hypopnea", [6000.0]),
        events("desaturation", [2030.0], 30.0),
    ]
    assert value("arousal_index", *scored) == 1.5
    assert value("apnea_hypopnea_index", *scored) == 1.5
    assert value("oxygen_desaturation_index", *scored) == 0.5
    assert np.isnan(value("periodic_leg_movement_index", *scored))


def test_nothing_scored_is_blank_and_says_so() -> None:
    rows = compute_event_indices(NIGHT, None)
    assert len(rows) == 4
    assert all(np.isnan(row["value"]) and row["definition"].endswith("not scored") for row in rows)
    awake = Hypnogram.from_labels(["W"] * 10)
    assert np.isnan(value("arousal_index", events("arousal", [30.0]), hypnogram=awake))


def test_a_series_makes_leg_movements_periodic() -> None:
    series = [3000.0, 3030.0, 3060.0, 3090.0]
    legs = events("leg_movement", [2500.0, *series, 4000.0, 4050.0], 2.0)
    assert value("periodic_leg_movement_index", legs) == 2.0
    assert value("periodic_leg_movement_index", events("leg_movement", series, 15.0)) == 0  # too long to be one
    assert find_periodic_movements(events("leg_movement", [0.0, 2.0, 30.0, 60.0, 90.0], 1.0)).size == 4  # two legs
    awake = events("leg_movement", [100.0, 130.0, 160.0, 190.0], 1.0)
    assert value("periodic_leg_movement_index", legs, awake) == 2.0
    named = events("periodic_leg_movement", [3000.0], 1.0)
    assert value("periodic_leg_movement_index", named, legs) == 0.5  # the scorer's word counts


def test_one_event_on_two_channels_counts_once() -> None:
    assert len(count_events(events("hypopnea", [0.0, 3.0, 100.0], 20.0))) == 2
    assert len(count_events(events("desaturation", [0.0, 18.0], 20.0))) == 2  # they touch, and are two


def test_the_table_of_statistics_counts_within_lights() -> None:
    scored = events("arousal", [10.0, 2000.0, 3000.0])
    table = compute_sleep_statistics(
        NIGHT, rng=np.random.default_rng(0), lights_off=600.0, lights_on=10_000.0, scored_events=scored
    ).set_index("name")
    assert table.loc["arousal_index", "value"] == pytest.approx(1.0)
    assert "2 in 2.00 h; 1 outside" in table.loc["arousal_index", "definition"]
    assert np.isnan(table.loc["apnea_hypopnea_index", "value"])
