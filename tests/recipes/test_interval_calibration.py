"""Experts that differ in a known way, and the real ones."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from sharpwave.evaluation.sleep_statistics import MEMORY, NIGHT_SHARE, SPREAD_FILE
from sharpwave.recipes.interval_calibration import choose_persistence, fit_dissent, measure_coverage, measure_spread
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram


def experts(extra_n3: list[int]) -> list[Hypnogram]:
    """Nights of 100 epochs of N2 in which each expert calls that many N3."""
    return [Hypnogram(np.r_[np.full(n, 3), np.full(100 - n, 2)]) for n in extra_n3]


def test_spread_is_the_largest_minus_the_smallest_expert() -> None:
    spread = measure_spread([experts([0, 10, 20, 5, 5]), experts([10, 10, 50, 10, 10]), experts([1, 1, 1, 1, 3])])
    assert spread["N3"] == pytest.approx(10)
    assert spread["total_sleep_time"] == 0
    assert "time_in_bed" not in spread


def test_experts_who_agree_give_no_dissent_and_full_coverage() -> None:
    nights = [experts([20] * 5)] * 3
    dissent = fit_dissent(nights)
    assert dissent[3, 4, 3] > 0.999
    coverage = measure_coverage(nights, dissent, rng=np.random.default_rng(0), n_samples=20)
    assert coverage["N3"] == 1


def test_a_dissenter_is_learnt_at_the_rate_at_which_he_dissents() -> None:
    dissent = fit_dissent([experts([50, 50, 50, 50, 0])] * 2)
    # Where four say N3 the fifth says N2; where one of the four is he, the fifth is with the majority.
    assert dissent[3, 4, 2] == pytest.approx(1, abs=0.01)
    assert dissent[3, 3, 3] == pytest.approx(1, abs=0.01)


def test_real_intervals_hold_a_held_out_expert_about_as_often_as_they_say(data_root: Path) -> None:
    names = list_subjects("dod", data_root)[::4]
    nights = [list(load_dataset(f"dod/{name}", data_root).metadata["scorers"].values()) for name in names]
    coverage = measure_coverage(nights[1::2], fit_dissent(nights[::2]), rng=np.random.default_rng(0), n_samples=40)
    told = [value for name, value in coverage.items() if name not in ("level", "stage_shifts")]
    assert 0.65 < np.mean(told) < 0.95


def test_experts_who_lean_all_night_need_errors_that_last() -> None:
    lean = [0, 5, 30, 60, 95]
    nights = [experts(lean[k:] + lean[:k]) for k in range(5)] * 2
    candidates = ((0.0, 0.0), (0.6, 1800.0))
    assert choose_persistence(nights, rng=np.random.default_rng(0), candidates=candidates, n_samples=30) == (
        0.6,
        1800.0,
    )


def test_the_shipped_numbers_are_those_that_were_chosen() -> None:
    shipped = json.loads(SPREAD_FILE.read_text(encoding="utf-8"))
    assert (shipped["night_share"], shipped["memory"]) == (NIGHT_SHARE, MEMORY)
    told = [value for name, value in shipped["coverage"].items() if name not in ("level", "stage_shifts")]
    assert abs(np.mean(told) - shipped["coverage"]["level"]) < 0.03
    assert np.mean(list(shipped["coverage_if_epochs_erred_alone"].values())) < 0.5


def test_the_shipped_table_names_its_source_and_matches_what_was_reported() -> None:
    shipped = json.loads(SPREAD_FILE.read_text(encoding="utf-8"))
    assert "dreem" in shipped["source"].lower()
    assert shipped["nights"] >= 60
    assert 20 < shipped["median"]["total_sleep_time"] < 50
    assert 42 < shipped["median"]["N3"] < 70
