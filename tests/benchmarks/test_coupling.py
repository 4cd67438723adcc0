"""The second world of coupling holds what was planted, and its scores count it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sharpwave.benchmarks.coupling import make_eeg, measure_night, score_people, score_world
from sharpwave.signals.coupling import COUPLED_SPINDLES, Coupling
from sharpwave.signals.spindles import SpindleSettings

FOUND = Coupling("EEG", 100, 60, 0.6, 0.3, 0.01, -55.0, -70.0, -40.0, 0.5, 0.1, 0.01, "inverted", True)


def test_a_planted_phase_is_found_in_the_second_world() -> None:
    found = measure_night(0, -60.0, COUPLED_SPINDLES)
    assert found.strength_p < 0.05
    assert abs(found.phase + 60) < 25
    assert found.share > 2 * found.share_chance


def test_spindles_against_the_broad_band_miss_those_on_slow_waves() -> None:
    """Why coupled spindles have settings of their own: nothing is planted, and the share is far from chance."""
    usual, ours = (measure_night(1, None, settings) for settings in (SpindleSettings(), COUPLED_SPINDLES))
    assert usual.share < 0.4 * usual.share_chance
    assert ours.share > 0.6 * ours.share_chance


def test_scores_count_what_was_found() -> None:
    rng = np.random.default_rng(0)
    nights = [FOUND, replace(FOUND, strength_p=0.5, phase=125.0), replace(FOUND, strength_p=np.nan, phase=np.nan)]
    rows = {row.metric: row for row in score_world("w", -60.0, "m", nights, rng=rng)}
    assert rows["phase_found"].values == (1.0, 0.0)
    assert rows["phase_error_deg"].values == (5.0, 175.0)
    assert rows["no_phase_given"].value == 1 / 3
    people = {row.metric: row for row in score_people([("a", FOUND), ("b", replace(FOUND, phase=-35.0))], rng=rng)}
    assert people["polarity_inverted"].value == 1.0
    assert round(people["mean_phase_deg"].value) == -45
    assert score_people([], rng=rng) == []


def test_noise_alone_has_neither() -> None:
    values = make_eeg(np.random.default_rng(0), None, waves=False)
    assert np.isclose(values.std(), 12)
