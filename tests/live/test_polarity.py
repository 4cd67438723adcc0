"""Polarity: told in N3 from waves with a deep down-state, the other way round where they are mirrored, else unknown."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.live.decision import StageResult
from sharpwave.live.phase import GRID, TAPS
from sharpwave.live.polarity import PolarityState, note_stages, step_polarity, tell_polarity

DEEP = (0.0, 0.0, 0.1, 0.9, 0.0)
LIGHT = (0.0, 0.3, 0.6, 0.1, 0.0)


def make_waves(seconds: float, *, depth: float) -> np.ndarray:
    """Slow waves on a grid of 32 Hz; `depth` above 0 makes the trough sharper and deeper than the peak."""
    rng = np.random.default_rng(1)
    times = np.arange(round(seconds * GRID)) / GRID
    phase = 2 * np.pi * np.cumsum(rng.normal(0.9, 0.4, times.size).clip(0.4, 2.0)) / GRID
    return 40 * np.cos(phase) + depth * 40 * np.cos(2 * phase + np.pi) + rng.normal(0, 6, times.size)


def measure(values: np.ndarray, probabilities: tuple[float, ...]) -> PolarityState:
    state = PolarityState()
    for end in range(TAPS, len(values), 32):
        now = end / GRID
        if end % 160 < 32:
            state = note_stages(state, [StageResult(now, now, probabilities)])  # type: ignore[arg-type]
        past = values[max(0, end - 159) : end].tolist()
        state = step_polarity(state, past, 32 if end > TAPS else 1, until=now)
    return state


@pytest.mark.parametrize(("sign", "told"), [(1.0, "as declared"), (-1.0, "inverted")])
def test_mirrored_waves_are_told_the_other_way_round(sign: float, told: str) -> None:
    assert tell_polarity(measure(sign * make_waves(420, depth=0.3), DEEP)) == told


def test_waves_that_are_the_same_either_way_up_stay_unknown() -> None:
    assert tell_polarity(measure(make_waves(420, depth=0.0), DEEP)) == "unknown"


def test_light_sleep_says_nothing() -> None:
    state = measure(make_waves(420, depth=0.3), LIGHT)
    assert state.skews[0] == 0


def test_less_than_three_minutes_say_nothing() -> None:
    assert tell_polarity(measure(make_waves(150, depth=0.3), DEEP)) == "unknown"


def test_one_artefact_does_not_turn_it_over() -> None:
    values = make_waves(420, depth=0.3)
    values[5000:5020] += 4000.0
    assert tell_polarity(measure(values, DEEP)) in {"as declared", "unknown"}
