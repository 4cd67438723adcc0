"""Assumptions in two worlds: what each draws, what detectors find in it, and rows by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.benchmarks.reactivation import oracle, worlds
from sharpwave.benchmarks.reactivation.worlds import (
    FIRST,
    SECOND_ASSUMPTIONS,
    SECOND_EMPTY,
    Case,
    detect_in_case,
    draw_first,
    draw_second,
    to_world_rows,
)
from sharpwave.brainmu.reactivation.reactivation_head import load_reactivation_head
from sharpwave.evaluation.events import score_events
from sharpwave.recipes.difficulty import ASSUMPTIONS, EMPTY


@pytest.fixture(scope="module")
def stays() -> Case:
    """A session of the second world with many cells, in which the other bursts stay at one place."""
    return draw_second("stationary decoys", rng=np.random.default_rng(3), minutes=3.0, n_cells=90)


def test_both_worlds_ask_the_same_questions() -> None:
    assert list(ASSUMPTIONS) == list(SECOND_ASSUMPTIONS)
    assert set(SECOND_EMPTY) - {"Poisson"} == set(EMPTY) - {"exchanged cells"}
    assert ASSUMPTIONS["few units"].n_units == SECOND_ASSUMPTIONS["few units"]["n_cells"] == 20
    assert ASSUMPTIONS["slow"].firing.speed == SECOND_ASSUMPTIONS["slow"]["speed"]


def test_cases_are_what_they_are_called(stays: Case) -> None:
    assert stays.duration == pytest.approx(180, abs=1)
    assert len(stays.replays) > 5
    assert (stays.replays["onset"] > stays.start).all()
    first = draw_first("few units", rng=np.random.default_rng(0), hours=0.35)
    assert len(first.recording.spikes) == 20
    assert not first.recording.of("lfp")
    empty = draw_first("one place", rng=np.random.default_rng(0), hours=0.35)
    assert len(empty.replays) == 0


def test_paths_are_told_from_bursts_at_one_place(stays: Case) -> None:
    found = detect_in_case(stays, load_reactivation_head())
    assert set(found) == {"brainmu-lite", "frames alone", "bursts", "bursts whose places agree"}
    scores = {name: score_events(stays.replays, table, iou=0.5) for name, table in found.items()}
    assert scores["brainmu-lite"].precision > 0.75
    assert scores["brainmu-lite"].recall > 0.6
    assert scores["bursts"].precision < 0.4
    assert scores["brainmu-lite"].f1 > scores["bursts whose places agree"].f1 + 0.2


def test_rows_by_hand(rng: np.random.Generator, stays: Case) -> None:
    true = stays.replays.iloc[:4][["onset", "duration"]]
    right, half = score_events(true, true, duration=60), score_events(true, true.iloc[:2], duration=60)
    rows = to_world_rows(FIRST, "plain", [{"brainmu-lite": right}, {"brainmu-lite": half}], rng=rng)
    table = {row.metric: row for row in rows}
    assert table["precision"].value == 1.0
    assert table["recall"].value == pytest.approx(6 / 8)
    assert table["f1"].value == pytest.approx(12 / 14)
    assert (table["recall"].low, table["recall"].high) == (0.5, 1.0)
    nothing = replace(right, n_truth=0, n_matched=0, false_per_minute=4.0)
    rows = to_world_rows(FIRST, "one place", [{"brainmu-lite": nothing}], rng=rng)
    assert [(row.metric, row.value) for row in rows] == [("false_positives_per_minute", 4.0)]


@pytest.mark.slow
def test_every_assumption_has_its_rows(monkeypatch: pytest.MonkeyPatch, stays: Case) -> None:
    monkeypatch.setattr(oracle, "N_DRAWN", 400)
    monkeypatch.setattr(worlds, "draw_first", lambda name, *, rng: stays)
    monkeypatch.setattr(worlds, "draw_second", lambda name, *, rng: stays)
    monkeypatch.setattr(worlds, "ASSUMPTIONS", {"plain": None})
    monkeypatch.setattr(worlds, "EMPTY", {})
    monkeypatch.setattr(worlds, "SECOND_ASSUMPTIONS", {"plain": {}})
    monkeypatch.setattr(worlds, "SECOND_EMPTY", {})
    rows = list(worlds.iter_world_rows(load_reactivation_head(), sessions=1, rng=np.random.default_rng(0)))
    assert {row.metric for row in rows if row.method == worlds.ORACLE} > {"precision", "recall"}
    assert {(row.data, row.setting) for row in rows} == {("first world", "plain"), ("second world", "plain")}
