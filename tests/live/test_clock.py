"""Stamps of every broken kind: none makes old samples new, and each is named."""

from __future__ import annotations

import math

import numpy as np
import pytest

from sharpwave.live.clock import ClockState, step_clock
from sharpwave.live.decision import Chunk

RATE = 256.0


def feed(chunks: list[tuple[int, float, float, int]], state: ClockState | None = None):
    """Clock of each chunk, given as index, stamp, arrival and number of samples."""
    state, said = state or ClockState(), []
    for index, stamp, arrival, n in chunks:
        clocked, state = step_clock(RATE, state, Chunk(np.zeros((n, 1), np.float32), index, stamp, arrival))
        said.append(clocked)
    return said, state


def stream(seconds: float, *, epoch: float = 0.0, delay: float = 0.005, drift: float = 0.0, begin: int = 0):
    """Chunks of 8 samples that arrive `delay` after their last one."""
    return [
        (8 * n, epoch + (8 * n / RATE) * (1 + drift), (8 * n + 7) / RATE + delay, 8)
        for n in range(begin, int(seconds * RATE / 8))
    ]


@pytest.mark.parametrize("epoch", [0.0, 1.7e9, -500.0])
def test_a_steady_stream_is_steady_whatever_its_clock_counts_from(epoch: float) -> None:
    said, state = feed(stream(90.0, epoch=epoch))
    assert said[0].gap == math.inf
    assert all(one.fault == "" and one.gap == 0.0 and one.skip == 0 for one in said[1:])
    assert state.rate == pytest.approx(RATE, rel=1e-4)
    assert said[-1].until == pytest.approx(state.last_arrival, abs=1e-6)


def test_a_drift_of_50_ppm_is_followed() -> None:
    for drift in (50e-6, -50e-6):
        whole = stream(1200.0, drift=drift)
        said, state = feed([(8 * n, whole[n][1], whole[n + 7][2], 64) for n in range(0, len(whole), 8)])
        assert all(one.fault == "" for one in said)
        assert abs(said[-1].until - state.last_arrival) < 0.01


def test_a_backlog_stays_old_for_as_long_as_it_lasts() -> None:
    _, state = feed(stream(30.0))
    late = [(index, stamp, arrival + 8.0, n) for index, stamp, arrival, n in stream(330.0, begin=960)]
    said, _ = feed(late, state)
    ages = [chunk[2] - one.until for chunk, one in zip(late, said, strict=True)]
    assert min(ages) > 7.9
    assert {one.fault for one in said} == {""}


def test_a_pause_in_the_count_and_one_in_the_stamps_are_gaps() -> None:
    _, state = feed(stream(10.0))
    index, end = 2560, 2560 / RATE
    counted, _ = feed([(index + 256, end + 1.0, end + 1.036, 8)], state)
    assert counted[0].gap == pytest.approx(1.0)
    stamped, after = feed([(index, end + 1.0, end + 1.036, 8)], state)
    assert stamped[0].gap == pytest.approx(1.0)
    assert stamped[0].fault == ""
    assert after.gap_at == end + 1.036
    assert after.rate is None


@pytest.mark.parametrize(
    ("index", "stamp", "fault"),
    [
        (2560, 9.0, "stamps went back"),
        (2560, 200_000.0, "stamps jumped"),
        (2560, float("nan"), "stamp is no number"),
        (2560, float("inf"), "stamp is no number"),
        (2552, 10.0 - 8 / RATE, "samples came again"),
        (0, 10.0, "count went back"),
    ],
)
def test_each_fault_is_named(index: int, stamp: float, fault: str) -> None:
    _, state = feed(stream(10.0))
    said, after = feed([(index, stamp, 10.04, 8)], state)
    assert said[0].fault == fault
    assert after.fault == fault
    assert after.fault_at == 10.04
    assert said[0].until <= 10.04


def test_a_stamp_that_stands_still_is_found_within_a_fifth_of_a_second() -> None:
    _, state = feed(stream(10.0))
    still = [(2560 + 8 * n, 10.0, 10.0 + 8 * (n + 1) / RATE, 8) for n in range(1, 300)]
    said, _ = feed(still, state)
    first = next(n for n, one in enumerate(said) if one.fault)
    assert first * 8 / RATE < 0.2
    assert sum(bool(one.fault) for one in said) > 40


def test_a_wrong_nominal_rate_shows_in_the_measured_one() -> None:
    slow = [(8 * n, 8 * n / RATE, (8 * n + 7) / 250.0, 8) for n in range(2000)]
    _, state = feed(slow)
    assert state.rate == pytest.approx(250.0, rel=1e-3)
    stamped = [(8 * n, 8 * n / 250.0, (8 * n + 7) / 250.0, 8) for n in range(2000)]
    said, _ = feed(stamped)
    assert any(one.fault == "stamps jumped" for one in said)


def test_chunks_of_one_and_of_ten_thousand_say_the_same() -> None:
    ones, _ = feed([(n, n / RATE, n / RATE + 0.004, 1) for n in range(10_000)])
    whole, _ = feed([(0, 0.0, 9999 / RATE + 0.004, 10_000)])
    assert ones[-1].until == pytest.approx(whole[-1].until)
    again, _ = feed([(5000, 5000 / RATE, 40.0, 5000)], feed([(0, 0.0, 30.0, 7000)])[1])
    assert again[0].skip == 2000


def test_arrivals_that_go_back_are_a_fault_and_make_nothing_younger() -> None:
    _, state = feed(stream(10.0))
    said, after = feed([(2560, 10.0, 9.0, 8)], state)
    assert said[0].fault == "arrivals went back"
    assert after.last_arrival == state.last_arrival
