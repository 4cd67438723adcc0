"""Probabilities that come out as often as they say, on subjects never seen."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.brainmu.uncertainty import (
    Calibration,
    StageSets,
    fit_calibration,
    fit_platt,
    fit_stage_sets,
    pool_quantile,
)
from sharpwave.errors import SharpwaveError


def _simulate_subject(rng: np.random.Generator, *, n_steps: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and stages of one subject; how good the probabilities are differs from subject to subject."""
    stages = rng.integers(0, 5, n_steps)
    skill = rng.uniform(0.3, 4.0)
    logits = skill * np.eye(5)[stages] + rng.normal(0, 1, (n_steps, 5))
    return Calibration().stages(logits), stages


def test_temperature_and_platt_undo_what_was_done(rng: np.random.Generator):
    logits = rng.normal(0, 2, (20_000, 5))
    stages = (logits + rng.gumbel(size=logits.shape)).argmax(axis=1)
    change = rng.normal(-2, 1.5, (20_000, 2))
    changed = (rng.random(change.shape) < 1 / (1 + np.exp(-change))).astype(float)
    changed[:50] = np.nan
    found = fit_calibration(3.0 * logits, stages, change_logits=2 * change + 1, changed=changed)
    assert found.temperature == pytest.approx(3.0, rel=0.05)
    np.testing.assert_allclose(found.slopes, 0.5, rtol=0.08)
    np.testing.assert_allclose(found.offsets, -0.5, atol=0.08)
    assert abs(found.changes(2 * change + 1)[50:].mean() - changed[50:].mean()) < 0.005


def test_calibration_keeps_the_order_of_stages(rng: np.random.Generator):
    logits = rng.normal(0, 2, (100, 5))
    calibrated = Calibration(temperature=2.5).stages(logits)
    assert (calibrated.argmax(axis=1) == logits.argmax(axis=1)).all()
    np.testing.assert_allclose(calibrated.sum(axis=1), 1)


def test_card_round_trip():
    card = {"calibration": {"observed +30": [0.8, -0.1], "signal-only +30": [0.5, 0.0]}}
    assert Calibration.from_card(card) == Calibration(1.0, (0.8, 1.0, 1.0), (-0.1, 0.0, 0.0))
    assert Calibration.from_card(card, protocol="signal-only", horizons=(30.0,)) == Calibration(1.0, (0.5,), (0.0,))
    logits = np.array([[0.3, -1.0, 2.0]])
    np.testing.assert_allclose(Calibration.from_card({}).change_logits(logits), logits)
    sets = StageSets((0.4, 0.5, 0.6, 0.7, 0.8), 0.9, 20, True)
    assert StageSets.from_card({"stage_sets": sets.to_dict()}) == sets
    assert StageSets.from_card({}) is None


@pytest.mark.parametrize("coverage", [0.8, 0.9])
def test_sets_cover_new_subjects_as_often_as_stated(coverage: float, rng: np.random.Generator):
    """Mean coverage of one new subject over many draws of 25 calibration subjects, all exchangeable."""
    found, sizes = [], []
    for _ in range(300):
        probabilities, stages = zip(*(_simulate_subject(rng) for _ in range(26)), strict=True)
        sets = fit_stage_sets(probabilities[:-1], stages[:-1], coverage=coverage)
        named = 1 - probabilities[-1] <= sets.thresholds[0]
        found.append(named[np.arange(len(stages[-1])), stages[-1]].mean())
        sizes.append(named.sum(axis=1).mean())
    error = np.std(found) / np.sqrt(len(found))
    assert np.mean(found) > coverage - 2 * error
    assert np.mean(found) < coverage + 0.05
    assert np.mean(sizes) < 4.5


def test_too_few_subjects_give_all_stages(rng: np.random.Generator):
    probabilities, stages = zip(*(_simulate_subject(rng) for _ in range(5)), strict=True)
    assert fit_stage_sets(probabilities, stages, coverage=0.9).predict(probabilities[0]).all()


def test_coverage_within_each_stage(rng: np.random.Generator):
    """One stage is always hard: only sets by stage cover it."""
    subjects = []
    for _ in range(60):
        stages = rng.integers(0, 5, 400)
        logits = 3.0 * np.eye(5)[stages] + rng.normal(0, 1, (400, 5))
        logits[stages == 1] = rng.normal(0, 1, ((stages == 1).sum(), 5)) - np.eye(5)[1]
        subjects.append((Calibration().stages(logits), stages))
    probabilities, stages = zip(*subjects, strict=True)
    covered = {}
    for by_stage in (False, True):
        sets = fit_stage_sets(probabilities[:40], stages[:40], coverage=0.9, by_stage=by_stage)
        hits = [sets.predict(p)[s == 1, 1].mean() for p, s in zip(probabilities[40:], stages[40:], strict=True)]
        covered[by_stage] = np.mean(hits)
    assert covered[True] > 0.87
    assert covered[False] < 0.75


def test_likeliest_stage_is_always_named(rng: np.random.Generator):
    probabilities, _ = _simulate_subject(rng)
    named = StageSets((0.0,) * 5, 0.5, 10).predict(probabilities)
    assert (named.sum(axis=1) == 1).all()
    assert (named.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_each_subject_weighs_the_same():
    groups = [np.full(1000, 0.9), np.array([0.1]), np.array([0.2]), np.array([0.3])]
    assert pool_quantile(groups, 0.5) == pytest.approx(0.3)
    assert pool_quantile(groups, 0.9) == 1.0


def test_refusals_say_what_to_do(rng: np.random.Generator):
    with pytest.raises(SharpwaveError, match="steps with a change and steps without"):
        fit_platt(rng.normal(size=10), np.ones(10))
    with pytest.raises(SharpwaveError, match="held-out steps with a stage"):
        fit_calibration(np.zeros((3, 5)), np.full(3, -1), change_logits=np.zeros((3, 1)), changed=np.zeros((3, 1)))
    with pytest.raises(SharpwaveError, match="a coverage between 0 and 1"):
        fit_stage_sets([np.ones((1, 5))], [np.zeros(1, int)], coverage=1.5)
    with pytest.raises(SharpwaveError, match="predict scored nights"):
        fit_stage_sets([np.ones((1, 5))], [np.full(1, -1)])
