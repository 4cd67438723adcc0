"""The guard: planted arousals, movement, mains, a flat line and a limit are told, and quiet sleep is not."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.live.guard import Guard, GuardState, step_guard

RATE = 128.0


def make_sleep(seconds: float) -> np.ndarray:
    rng = np.random.default_rng(4)
    times = np.arange(round(seconds * RATE)) / RATE
    return 40 * np.sin(2 * np.pi * 0.9 * times) + rng.normal(0, 6, times.size)


def watch(samples: np.ndarray, *, n: int = 32, state: GuardState | None = None) -> tuple[list[Guard], GuardState]:
    state, said = state or GuardState(), []
    for begin in range(0, len(samples), n):
        guard, state = step_guard(state, samples[begin : begin + n].tolist(), rate=RATE, limit=3000.0, mains=50.0)
        said.append(guard)
    return said, state


def test_quiet_sleep_raises_nothing() -> None:
    said, _ = watch(make_sleep(120))
    late = said[-200:]
    assert max(one.arousal_ratio or 0.0 for one in late) < 2.0
    assert max(one.movement_ratio or 0.0 for one in late) < 2.0
    assert max(one.mains_ratio or 0.0 for one in late) < 0.2
    assert said[40].arousal_ratio is None


def test_an_arousal_of_two_seconds_is_told_before_it_ends() -> None:
    samples = make_sleep(120)
    times = np.arange(256) / RATE
    samples[100 * 128 : 102 * 128] += 25 * np.sin(2 * np.pi * 22 * times)
    said, _ = watch(samples)
    told = [place / 4 for place, one in enumerate(said) if (one.arousal_ratio or 0.0) > 3.0]
    assert told
    assert 100.0 <= told[0] < 101.5
    assert told[-1] - told[0] > 2.0  # it is held against minutes, not against itself
    assert told[-1] < 106.0


def test_movement_is_told_within_half_a_second() -> None:
    samples = make_sleep(120)
    samples[100 * 128 : 101 * 128] += 600 * np.sin(2 * np.pi * 3 * np.arange(128) / RATE)
    said, _ = watch(samples)
    told = [place / 4 for place, one in enumerate(said) if (one.movement_ratio or 0.0) > 4.0]
    assert told
    assert 100.0 <= told[0] <= 100.5


def test_a_flat_line_is_told_within_a_second() -> None:
    samples = make_sleep(60)
    samples[50 * 128 :] = samples[50 * 128]
    said, _ = watch(samples)
    told = [place / 4 for place, one in enumerate(said) if (one.flat_share or 0.0) > 0.5]
    assert told
    assert told[0] <= 50.75


@pytest.mark.parametrize("value", [3000.0, -5000.0, np.nan, np.inf, 4e7])
def test_a_limit_and_what_is_no_number_are_told_in_the_same_chunk(value: float) -> None:
    samples = make_sleep(60)
    _, state = watch(samples)
    samples[:32] = value
    said, state = watch(samples[:32], state=state)
    assert (said[0].saturated_share or 0.0) > 0.02
    said, _ = watch(make_sleep(70), state=state)
    assert said[-1].saturated_share == 0.0
    assert said[-1].arousal_ratio is not None
    assert np.isfinite(said[-1].arousal_ratio)


def test_mains_ten_times_as_large_are_told() -> None:
    samples = make_sleep(60)
    samples[40 * 128 :] += 400 * np.sin(2 * np.pi * 50 * np.arange(20 * 128) / RATE)
    said, _ = watch(samples)
    assert (said[-1].mains_ratio or 0.0) > 1.0


def test_chunks_of_any_size_give_the_same_bits() -> None:
    samples = make_sleep(60)
    assert watch(samples, n=1)[0][-1] == watch(samples, n=480)[0][-1]
