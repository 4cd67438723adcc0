"""The estimates of a stream: the same in chunks of any size, right on a planted wave, and none where there is none."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.live.clock import Clocked
from sharpwave.live.decision import Chunk, Estimates
from sharpwave.live.estimates import EstimatesState, init_estimates, step_estimates
from sharpwave.live.protocol import Protocol, SignalPart, TargetPart

RATE = 128.0


def make_protocol(*, rate: float = RATE, polarity: str = "positive", phase_deg: float = -45.0) -> Protocol:
    return Protocol("test", SignalPart(rate=rate, polarity=polarity), TargetPart(phase_deg=phase_deg))


def feed(
    samples: np.ndarray,
    n: int,
    protocol: Protocol,
    *,
    state: EstimatesState | None = None,
    first: int = 0,
    gap: float = 0.0,
) -> tuple[list[Estimates], EstimatesState]:
    state = state or init_estimates(protocol)
    said = []
    for begin in range(0, len(samples), n):
        part = samples[begin : begin + n].astype(np.float32)[:, None]
        chunk = Chunk(part, first + begin, 0.0, 0.0)
        until = (first + begin + len(part) - 1) / protocol.signal.rate
        begun = (first + begin) / protocol.signal.rate
        clocked = Clocked(begun, until, 1 / protocol.signal.rate, gap=gap if begin == 0 else 0.0)
        estimates, state = step_estimates(protocol, state, chunk, clocked)
        said.append(estimates)
    return said, state


def make_wave(seconds: float, *, rate: float = RATE, frequency: float = 0.9) -> np.ndarray:
    rng = np.random.default_rng(0)
    times = np.arange(round(seconds * rate)) / rate
    return 50e-6 * np.sin(2 * np.pi * frequency * times) + rng.normal(0, 4e-6, times.size)


@pytest.mark.parametrize("n", [1, 7, 64, 1280])
def test_chunks_of_any_size_give_the_same_bits(n: int) -> None:
    wave = make_wave(36)
    protocol = make_protocol()
    assert feed(wave, n, protocol)[0][-1] == feed(wave, 128, protocol)[0][-1]


@pytest.mark.parametrize(("rate", "polarity"), [(128.0, "positive"), (256.0, "negative"), (250.0, "positive")])
def test_a_crossing_comes_when_the_wave_reaches_the_target_less_the_latency(rate: float, polarity: str) -> None:
    sign = 1.0 if polarity == "positive" else -1.0
    wave = sign * make_wave(40, rate=rate)
    said, _ = feed(wave, 8, make_protocol(rate=rate, polarity=polarity))
    crossings = np.array([one.crossing for one in said[-200:] if one.crossing and one.crossing - one.until < 0.1])
    phase = np.angle(np.exp(1j * (2 * np.pi * 0.9 * (crossings + 0.05) - np.pi / 2)))
    assert crossings.size > 5
    assert np.degrees(np.abs(phase + np.pi / 4)).max() < 12.0


def test_nothing_is_known_for_four_seconds_nor_after_a_gap() -> None:
    protocol = make_protocol()
    said, state = feed(make_wave(20), 8, protocol)
    assert said[30].phase is None
    assert said[-1].phase is not None
    again, _ = feed(make_wave(8), 8, protocol, state=state, gap=0.5)
    assert again[0].crossing is None
    assert again[-1].crossing is not None


def test_samples_that_are_no_numbers_are_told_at_once_and_do_not_stay() -> None:
    protocol = make_protocol()
    wave = make_wave(20)
    _, state = feed(wave, 8, protocol)
    broken = wave[:8].copy()
    broken[3] = np.nan
    broken[5] = np.inf
    said, state = feed(broken, 8, protocol, state=state)
    assert said[0].phase is None
    assert said[0].saturated_share is not None
    assert said[0].saturated_share > 0.01
    said, _ = feed(wave, 8, protocol, state=state)
    assert said[-1].saturated_share == 0.0
    assert said[-1].amplitude is not None
    assert np.isfinite(said[-1].amplitude)
