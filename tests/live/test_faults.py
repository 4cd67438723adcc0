"""Every fault of the list, injected into a night under way: hold within 250 ms of its own time, with its reason.

A night of deep sleep in which cues are being given is brought to minute three; each fault begins there. `hold` counts
from the moment at which the fault begins until the last decision that would still have intended a cue for its sake.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest

from sharpwave.live import gate
from sharpwave.live.decision import Chunk, Estimates, StageResult
from sharpwave.live.interlock import InterlockLimits
from sharpwave.live.interlock_link import LocalInterlock
from sharpwave.live.night import LiveNight
from sharpwave.live.protocol import Protocol, SignalPart
from sharpwave.live.sinks.null import NullSink

RATE, CHUNK = 64.0, 4
DEEP = (0.01, 0.01, 0.08, 0.89, 0.01)
BEGIN = 150.0
"""When faults begin, in seconds: long after everything has settled."""
SOON = 0.25
"""Time within which the loop must hold, in seconds."""


class Waves:
    """A stream of slow waves of 1 Hz over noise, arriving 10 ms late, that faults change on its way."""

    name, rate, channels, paced = "waves", RATE, ("C4-M1",), True

    def __init__(self, true_rate: float = RATE) -> None:
        self.true_rate, rng = true_rate, np.random.default_rng(0)
        t = np.arange(round(300 * RATE)) / RATE
        self.signal = (
            60e-6 * (1 + 0.4 * np.sin(2 * np.pi * t / 11)) * np.cos(2 * np.pi * 0.9 * t)
            + 4e-6 * rng.standard_normal(len(t))
        ).astype(np.float32)
        self.index = 0
        self.change: Callable[[Chunk], list[Chunk]] = lambda chunk: [chunk]
        self.held: list[Chunk] = []

    def next_arrival(self) -> float:
        return (self.index + CHUNK) / self.true_rate + 0.01

    def pull(self, now: float) -> list[Chunk]:
        found = []
        while self.next_arrival() <= now:
            arrival = self.next_arrival()
            samples = self.signal[self.index : self.index + CHUNK, None]
            chunk = Chunk(samples, self.index, 5000.0 + self.index / self.true_rate, arrival)
            self.index += CHUNK
            found += self.change(chunk) if arrival >= BEGIN else [chunk]
        return found

    def hear(self, onset: float, level_db: float) -> None:
        pass

    def close(self) -> None:
        pass


class Stages:
    """A stager that sees deep sleep every five seconds, until a fault."""

    def __init__(self) -> None:
        self.last, self.change = 0.0, lambda result: [result]
        self.until = 0.0

    def offer(self, chunk: Chunk, until: float) -> None:
        self.until = until

    def poll(self, now: float) -> tuple[StageResult, ...]:
        if now - self.last < 5.0:
            return ()
        self.last = now
        result = StageResult(now, now - 0.3, DEEP)
        return tuple(self.change(result)) if now >= BEGIN else (result,)

    def close(self) -> None:
        pass


class Log:
    """A log in memory, whose disk a fault may break."""

    def __init__(self) -> None:
        self.broken, self.durable, self.notes = "", True, []

    def take_step(self, *given: Any) -> None:
        pass

    def intend(self, intend: Any) -> None:
        pass

    def is_durable(self, trial: int) -> bool:
        return self.durable and not self.broken

    def note(self, kind: str, content: dict) -> None:
        self.notes.append((kind, content))

    def close(self) -> None:
        pass


@dataclass
class Bed:
    """A night under way, in its own time."""

    now: float = 0.0
    speed: float = 1.0
    decisions: list = field(default_factory=list)

    def __post_init__(self) -> None:
        self.protocol = Protocol("faults", signal=SignalPart(rate=RATE))
        self.source, self.stages, self.log = Waves(), Stages(), Log()
        self.sink = NullSink(clock=lambda: self.now)
        limits = InterlockLimits("token", cues=self.protocol.schedule.cues)
        self.link = LocalInterlock(limits, [self.sink], clock=lambda: self.now)
        self.night = LiveNight(self.protocol, self.source, self.link, log=self.log, stager=self.stages)
        self.night.command("arm")

    def go(self, until: float, *, step: Callable[[float], None] = lambda now: None) -> None:
        while True:
            now = min(self.source.next_arrival(), self.night.next_due(), self.link.due)
            if now > until:
                self.now = until
                return
            self.now = max(now, self.now)
            step(self.now)
            decision = self.night.step(self.now)
            if decision is not None:
                self.decisions.append(decision)

    def copy_into(self, other: Bed) -> None:
        other.now, other.night.state, other.source.index = self.now, self.night.state, self.source.index
        other.night._waiting.clear()
        other.night._last_step, other.stages.last = self.night._last_step, self.stages.last
        other.link._keeper.state, other.link._number = self.link._keeper.state, self.link._number
        other.night.trials = dict(self.night.trials)

    def since(self, begin: float) -> list:
        return [one for one in self.decisions if one.now >= begin]


def know_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polarity is believed and the ratio forgiving, so that only faults hold."""
    plain = gate.step_estimates

    def step(*given: Any, **named: Any) -> tuple[Estimates, Any]:
        estimates, state = plain(*given, **named)
        return replace(estimates, polarity="as declared"), state

    monkeypatch.setattr(gate, "step_estimates", step)


@pytest.fixture(scope="module")
def settled():
    """A bed at the moment at which faults begin, made once."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        know_everything(monkeypatch)
        bed = Bed()
        bed.go(BEGIN)
        assert bed.sink.given, bed.decisions[-1].action
        yield bed


@pytest.fixture
def bed(settled, monkeypatch):
    know_everything(monkeypatch)
    fresh = Bed()
    settled.copy_into(fresh)
    return fresh


def test_without_a_fault_cues_go_on(bed):
    bed.go(BEGIN + 30)
    assert len(bed.sink.given) >= 2


def drop(seconds):
    return lambda chunk: [] if chunk.arrival < BEGIN + seconds else [chunk]


def shift(by):
    return lambda chunk: [replace(chunk, stamp=chunk.stamp + by)]


def fill(value):
    return lambda chunk: [replace(chunk, samples=np.full_like(chunk.samples, value))]


def scale(factor):
    return lambda chunk: [replace(chunk, samples=chunk.samples * np.float32(factor))]


def spoil(chunk):
    samples = chunk.samples.copy()
    samples[1] = np.nan
    return [replace(chunk, samples=samples)]


def widen(chunk):
    return [replace(chunk, samples=np.repeat(chunk.samples, 2, axis=1))]


SIGNAL_FAULTS = {
    "dropout of 1 s": (drop(1.0), "age of data", SOON),
    "stream dies": (drop(99.0), "age of data", SOON),
    "stamps back": (shift(-3.0), "stamps", SOON),
    "stamps forward 200,000 s": (shift(200_000.0), "stamps", SOON),
    "stamps of another clock": (shift(1.7e9), "stamps", SOON),
    "constant stamps": (lambda chunk: [replace(chunk, stamp=5000.0 + BEGIN)], "stamps", 0.5),
    "NaN": (spoil, "target ahead", SOON),
    "Inf": (fill(np.inf), "target ahead", SOON),
    "stamps that are no numbers": (shift(np.nan), "stamps", SOON),
    "volts taken for microvolts": (scale(1e6), "artefact", SOON),
    "saturated": (fill(3.2e-3), "saturation", SOON),
    "flat": (fill(0.0), "contact", 1.0),
    "more channels": (widen, "age of data", SOON),
    "half the samples lost": (lambda chunk: [chunk] if chunk.index // CHUNK % 2 else [], "signal unbroken", SOON),
}
"""Change on the way, the condition that must say so, and within what time; a share of a second takes a second."""


@pytest.mark.parametrize("name", SIGNAL_FAULTS)
def test_a_fault_of_the_signal_holds_with_its_reason(bed, name):
    change, reason, within = SIGNAL_FAULTS[name]
    bed.source.change = change
    bed.go(BEGIN + within + 3.0)
    late = [one for one in bed.since(BEGIN + within) if one.now < BEGIN + within + (0.4 if "1 s" in name else 3.0)]
    held = [one for one in late if reason in one.action.why]
    assert len(held) == len(late), {why for one in late for why in one.action.why}
    assert not [given for given in bed.sink.given if given[4] > BEGIN + within]


def test_a_short_dropout_is_a_gap_and_not_closed(bed):
    bed.source.change = drop(0.05 + CHUNK / RATE)
    bed.go(BEGIN + 2.0)
    assert all("signal unbroken" in one.action.why for one in bed.since(BEGIN + 0.4))


def test_a_backlog_after_a_stall_does_not_become_the_present(bed):
    """LSL hands out the oldest first: eight seconds of it must not be taken for now."""
    late = []

    def change(chunk):
        late.append(chunk)
        if chunk.arrival < BEGIN + 8.0:
            return []
        return [replace(late.pop(0), arrival=chunk.arrival)]

    bed.source.change = change
    bed.go(BEGIN + 12.0)
    assert all("age of data" in one.action.why for one in bed.since(BEGIN + SOON))
    assert not bed.sink.given


def test_chunks_that_come_twice_or_out_of_order_give_nothing_wrong(bed):
    held = []

    def change(chunk):
        held.append(chunk)
        if len(held) < 3:
            return []
        two, one, zero = held.pop(), held.pop(), held.pop()
        return [replace(each, arrival=two.arrival) for each in (zero, two, one, one, zero)]

    bed.source.change = change
    bed.go(BEGIN + 3.0)
    why = [set(one.action.why) for one in bed.since(BEGIN + 1.0)]
    assert all(one & {"stamps", "signal unbroken"} for one in why)


def test_a_chunk_of_ten_thousand_samples_is_old_at_its_start(bed):
    big = Chunk(np.zeros((10_000, 1), np.float32), bed.source.index, 5000.0 + bed.source.index / RATE, BEGIN + 0.1)
    bed.source.change = lambda chunk: [replace(big, arrival=chunk.arrival)]
    bed.go(BEGIN + 2.0)
    assert all(one.action.why for one in bed.since(BEGIN + SOON))
    assert not bed.sink.given


@pytest.mark.parametrize(("true_rate", "holds"), [(RATE * 250 / 256, False), (10.0, False), (RATE * (1 + 5e-5), True)])
def test_a_rate_that_is_not_the_declared_one_holds_and_a_slow_drift_does_not(true_rate, holds):
    bed = Bed()
    bed.source.true_rate = true_rate
    bed.go(60.0)
    late = [one for one in bed.decisions if one.now > 45.0]
    assert {"rate" not in one.action.why for one in late} == {holds}


def test_mains_at_ten_times_the_signal_holds():
    protocol = Protocol("mains", signal=SignalPart(rate=256.0))
    state, rng = gate.init_live(protocol, start=0.0), np.random.default_rng(0)
    why = {}
    for index in range(0, 8 * 256, 16):
        t = (index + np.arange(16)) / 256.0
        wave = 60e-6 * np.cos(2 * np.pi * 0.9 * t) + 4e-6 * rng.standard_normal(16)
        wave = wave + (600e-6 * np.sin(2 * np.pi * 50 * t) if index >= 5 * 256 else 0.0)
        chunk = Chunk(wave.astype(np.float32)[:, None], index, index / 256, (index + 16) / 256 + 0.01)
        decision, state = gate.step_live(protocol, state, chunk, now=chunk.arrival)
        why[decision.now] = decision.action.why
    assert all("mains" in names for now, names in why.items() if now > 6.0)
    assert not any("mains" in names for now, names in why.items() if 3.0 < now < 5.0)


STAGE_FAULTS = {
    "hangs": (lambda result: [], "age of stage", 10.5),
    "NaN": (lambda result: [replace(result, probabilities=(float("nan"),) * 5)], "asleep", 5.5),
    "yesterday's": (lambda result: [replace(result, made_at=-86_000.0, heard_until=-86_000.3)], "asleep", 5.5),
    "of the future": (lambda result: [replace(result, heard_until=result.made_at + 60)], "asleep", 5.5),
    "wake": (lambda result: [replace(result, probabilities=(0.9, 0.05, 0.03, 0.01, 0.01))], "asleep", 5.5),
}


@pytest.mark.parametrize("name", STAGE_FAULTS)
def test_a_fault_of_the_stager_holds_with_its_reason(bed, name):
    change, reason, within = STAGE_FAULTS[name]
    bed.stages.change = change
    bed.go(BEGIN + within + 2.0)
    assert all(reason in one.action.why for one in bed.since(BEGIN + within))
    assert not [given for given in bed.sink.given if given[4] > BEGIN + within]


@pytest.mark.parametrize("stall", [0.6, 8.0, 30.0])
def test_a_loop_that_stood_still_holds_and_its_interlock_fell_silent(bed, stall):
    """A stall of the processor, SIGSTOP, a laptop that was suspended: time went on without the loop."""
    bed.now = BEGIN + stall
    said = bed.link.poll()
    assert {"kind": "silent", "why": "no sign of life", "at": BEGIN + stall} in said
    bed.go(BEGIN + stall + 2.0)
    assert all("loop running" in one.action.why for one in bed.since(BEGIN + stall))
    assert not bed.sink.given


def test_a_clock_that_goes_back_holds(bed):
    bed.go(BEGIN + 1.0)
    decision, bed.night.state = gate.step_live(bed.protocol, bed.night.state, None, now=BEGIN - 5.0)
    assert "loop running" in decision.action.why


def test_a_disk_that_fails_ends_the_cues(bed):
    bed.go(BEGIN + 1.0)
    bed.log.broken = "the log: No space left on device"
    given = len(bed.sink.given)
    bed.go(BEGIN + 15.0)
    assert len(bed.sink.given) == given
    assert all("armed" in one.action.why for one in bed.since(BEGIN + 1.0 + SOON))
    assert bed.night.ended == "the log: No space left on device"


def test_an_intent_that_is_not_on_the_disk_in_time_is_not_given(bed):
    bed.log.durable = False
    bed.go(BEGIN + 15.0)
    assert not bed.sink.given
    assert "its intent was not on the disk in time" in {one.why for one in bed.night.trials.values()}


def test_a_sink_that_is_unplugged_fails_each_trial_and_says_why(bed):
    def fail(*given, **named):
        raise OSError("device unplugged")

    bed.sink.play = fail
    bed.go(BEGIN + 15.0)
    failed = [one for one in bed.night.trials.values() if one.outcome == "failed"]
    assert failed
    assert all("device unplugged" in one.why for one in failed)
    assert not any(kind == "delivered" for kind, _ in bed.log.notes)


def test_a_broken_interlock_ends_the_cues(bed):
    bed.link.broken = "the interlock ended"
    bed.go(BEGIN + 3.0)
    assert all("armed" in one.action.why for one in bed.since(BEGIN + SOON))
    assert bed.night.ended == "the interlock ended"


def test_a_stop_reaches_the_interlock_before_any_step(bed):
    bed.sink.duration = 5.0
    bed.go(BEGIN + 15.0, step=lambda now: None)
    assert bed.sink.given
    bed.sink.play(999, "click", 40.0, gain=1.0)
    assert bed.sink.sounding
    bed.night.command("stop")
    assert not bed.sink.sounding
    given = len(bed.sink.given)
    bed.go(BEGIN + 30.0)
    assert len(bed.sink.given) == given
