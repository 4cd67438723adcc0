"""The stager hears the past alone, survives gaps, and in its own process says the same."""

from __future__ import annotations

import io
import os
import signal
import time

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Chunk, StageResult
from sharpwave.live.protocol import Protocol, SignalPart
from sharpwave.live.stage import init_stager, step_stager
from sharpwave.live.stage_process import HEAD, RESULT, ProcessStager, serve

pytest.importorskip("yasa")
RATE = 100.0
PROTOCOL = Protocol("test", SignalPart(rate=RATE))


def make_eeg(seconds: float, *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE)) / RATE
    slow = 40e-6 * np.sin(2 * np.pi * 0.9 * times) * (0.5 + 0.5 * np.sin(2 * np.pi * times / 97))
    return (slow + rng.normal(0, 8e-6, times.size)).astype(np.float32)[:, None]


def tell(samples: np.ndarray, *, n: int = 500, every: float = 30.0) -> list[StageResult]:
    state, said = init_stager(PROTOCOL, every=every), []
    for begin in range(0, len(samples), n):
        part = samples[begin : begin + n]
        results, state = step_stager(state, part, index=begin, until=(begin + len(part)) / RATE)
        said += results
    return said


def test_what_comes_later_changes_nothing() -> None:
    eeg = make_eeg(480)
    changed = eeg.copy()
    changed[400 * 100 :] = np.random.default_rng(9).normal(0, 200e-6, changed[400 * 100 :].shape)
    before = [one for one in tell(eeg) if one.heard_until <= 400.0]
    after = [one for one in tell(changed) if one.heard_until <= 400.0]
    assert len(before) >= 3
    assert before == after
    assert [one.probabilities for one in tell(eeg)] != [one.probabilities for one in tell(changed)]


def test_chunks_of_any_size_give_the_same() -> None:
    eeg = make_eeg(400)
    assert [one.probabilities for one in tell(eeg, n=333)] == [one.probabilities for one in tell(eeg, n=40_000)]


def test_results_come_after_five_minutes_and_sum_to_one() -> None:
    said = tell(make_eeg(400), every=30.0)
    assert said[0].heard_until == pytest.approx(300.0)
    assert all(abs(sum(one.probabilities) - 1) < 1e-9 for one in said)


def test_a_long_gap_is_silence_and_not_an_old_stage() -> None:
    eeg, state, said = make_eeg(420), init_stager(PROTOCOL, every=30.0), []
    for begin, index in ((0, 0), (36_000, 36_000 + 9_000)):
        part = eeg[begin : begin + 36_000 if begin == 0 else None]
        results, state = step_stager(state, part, index=index, until=(index + len(part)) / RATE)
        said.append(results)
    assert said[0]
    assert all(one.heard_until >= 450.0 + 15.0 for one in said[1])


def test_a_flat_line_has_no_stage() -> None:
    assert tell(np.zeros((40_000, 1), np.float32)) == []


def test_a_rate_that_is_too_low_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="above 80 Hz"):
        init_stager(Protocol("slow", SignalPart(rate=64.0)))


def test_the_process_says_what_the_function_says_and_its_death_is_silence() -> None:
    eeg = make_eeg(360)
    stager = ProcessStager(PROTOCOL, every=30.0)
    try:
        for begin in range(0, len(eeg), 1000):
            stager.offer(Chunk(eeg[begin : begin + 1000], begin, 0.0, 0.0), (begin + 1000) / RATE)
        said: list[StageResult] = []
        deadline = time.monotonic() + 120.0
        while len(said) < 3 and time.monotonic() < deadline:
            said += stager.poll(400.0)
            time.sleep(0.05)
        assert [one.probabilities for one in said] == [one.probabilities for one in tell(eeg)]
        assert all(one.made_at == 400.0 for one in said)
        os.kill(stager.pid, signal.SIGKILL)
        time.sleep(0.2)
        stager.offer(Chunk(eeg[:1000], len(eeg), 0.0, 0.0), 370.0)
        assert stager.poll(401.0) == ()
    finally:
        stager.close()


def test_a_process_that_hangs_never_holds_up_the_loop() -> None:
    stager = ProcessStager(PROTOCOL)
    try:
        os.kill(stager.pid, signal.SIGSTOP)
        big = np.zeros((50_000, 1), np.float32)
        for count in range(120):
            stager.offer(Chunk(big, count * 50_000, 0.0, 0.0), 1.0)
        assert stager.poll(2.0) == ()
        assert len(stager._waiting) <= 1 << 24
    finally:
        os.kill(stager.pid, signal.SIGKILL)
        stager.close()


def test_a_damaged_frame_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="channels"):
        serve(io.BytesIO(HEAD.pack(0, 0.0, 8, 3) + bytes(96)), io.BytesIO(), PROTOCOL, every=5.0, rescale=False)
    out = io.BytesIO()
    serve(io.BytesIO(HEAD.pack(0, 0.0, 8, 1) + bytes(7)), out, PROTOCOL, every=5.0, rescale=False)
    assert len(out.getvalue()) % RESULT.size == 0
