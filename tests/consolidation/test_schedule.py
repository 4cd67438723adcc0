from __future__ import annotations

import math

import pytest

from sharpwave.consolidation import FixedRatio, TwoProcess
from sharpwave.consolidation.schedule import Idle
from sharpwave.errors import SharpwaveError


def test_a_fixed_ratio() -> None:
    schedule = FixedRatio(0.1, every=50)
    assert [schedule.plan(n) for n in (3, 50, 104)] == [1, 5, 10]
    assert [schedule.is_due(n) for n in (49, 50)] == [False, True]
    assert not FixedRatio(0.1).is_due(10**6)


def test_pressure_follows_its_equations() -> None:
    schedule = TwoProcess(rise=50, fall=10, upper=0.6, lower=0.15, limit=1.0)
    schedule.experience(drift=0.5, forgetting=0.5, n_steps=50)
    assert schedule.pressure == pytest.approx(1 - math.exp(-1))
    assert schedule.is_due(100)
    n_steps = schedule.plan(100)
    assert n_steps == math.ceil(10 * math.log((1 - math.exp(-1)) / 0.15))
    for _ in range(n_steps):
        schedule.rest(0.0)
    assert schedule.pressure <= 0.15
    assert not schedule.is_due(100)


def test_a_network_that_stays_as_it_was_never_needs_sleep() -> None:
    schedule = TwoProcess()
    for _ in range(1000):
        schedule.experience(drift=0.0, forgetting=-0.3, n_steps=10)
    assert schedule.pressure == 0
    assert not schedule.is_due(10_000)


def test_more_drift_more_and_deeper_sleep() -> None:
    mild, strong = TwoProcess(limit=1.0), TwoProcess(limit=1.0)
    mild.experience(drift=1.0, forgetting=0.0, n_steps=50)
    strong.experience(drift=1.0, forgetting=2.0, n_steps=50)
    assert strong.plan(100) > mild.plan(100)
    assert strong.find_depth() > mild.find_depth()
    assert TwoProcess(limit=0.05).plan(40) <= 2


def test_the_circadian_process_moves_the_threshold() -> None:
    schedule = TwoProcess(amplitude=0.2, period=400)
    schedule.experience(drift=1.2, forgetting=0.0, n_steps=50)
    assert schedule.pressure is not None
    assert 0.6 < schedule.pressure < 0.74
    assert not schedule.is_due(1000)
    schedule.experience(drift=0.0, forgetting=0.0, n_steps=250)
    assert schedule.is_due(1000)


def test_idle_time_within_a_budget() -> None:
    free = True
    schedule = Idle(lambda: free, seconds=1.0)
    assert not schedule.is_due(0)
    assert schedule.is_due(1)
    assert schedule.rest(0.6)
    free = False
    assert not schedule.rest(0.1)
    assert not schedule.is_due(1)
    free = True
    assert not schedule.rest(0.5)
    assert not schedule.is_due(1)


@pytest.mark.parametrize("schedule", [TwoProcess(), Idle(lambda: True, seconds=5.0), FixedRatio()])
def test_states_come_back(schedule) -> None:
    schedule.experience(drift=1.0, forgetting=0.2, n_steps=30)
    schedule.rest(0.5)
    state = schedule.state_dict()
    pressure = schedule.pressure
    schedule.rest(0.7)
    schedule.load_state_dict(state)
    assert schedule.pressure == pressure
    assert schedule.state_dict() == state


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="a ratio above 0"):
        FixedRatio(0.0)
    with pytest.raises(SharpwaveError, match="0 < lower < upper < 1"):
        TwoProcess(lower=0.7)
