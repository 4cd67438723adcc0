"""The whole way from samples to a cue, through every fault, with its audit: what `live-proof` measures last.

Three judges look at each night: the checker, with what went into the gate; the planted faults, during which nothing may
be intended or released once the loop can know of them; and the replay of the audit, byte for byte.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from math import inf, nan
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.live import checker
from sharpwave.benchmarks.live.broken_nights import (
    DETECTED,
    FAULTS,
    RATE,
    WITHIN,
    BrokenNight,
    BrokenStager,
    make_night,
    stream,
)
from sharpwave.benchmarks.rows import Row
from sharpwave.live.audit import AuditLog
from sharpwave.live.decision import Chunk, Command, Decision, Hold, Intend, StageResult
from sharpwave.live.gate import RECHECK, LiveState, init_live, step_live
from sharpwave.live.protocol import Protocol, SignalPart
from sharpwave.live.verify import replay_log, verify_log

NIGHT = 50.0
"""Minutes of a night."""
IDLE = 0.1
"""Seconds after which the loop steps without samples."""


@dataclass
class Found:
    """What was found in some nights."""

    nights: int = 0
    steps: int = 0
    cues: int = 0
    intents: int = 0
    outside: int = 0
    in_fault: int = 0
    awake: int = 0
    replayed: int = 0
    whole: int = 0
    faults: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in FAULTS})
    counts: np.ndarray = field(default_factory=lambda: np.zeros(len(checker.RULES), np.int64))


def run_pipeline(minutes: float, *, seed: int) -> list[Row]:
    """Nights from samples, judged and replayed.

    Args:
        minutes: Simulated minutes, in nights of `NIGHT`.
        seed: Where chance comes from.
    """
    found = Found()
    for rng in np.random.default_rng(seed).spawn(max(1, round(minutes / NIGHT))):
        run_night(make_night(rng, minutes=NIGHT), rng, found)
    place = ("simulated", f"{found.nights * NIGHT:g} minutes from samples, with faults")
    rows = [
        Row(*place, "sharpwave", "cues_outside_the_gate", float(found.outside), n=found.cues),
        Row(*place, "sharpwave", "intended_or_given_in_a_fault", float(found.in_fault), n=found.intents + found.cues),
        Row(*place, "sharpwave", "cues", float(found.cues), n=found.cues),
        Row(*place, "sharpwave", "cues_in_true_wake_or_rem", float(found.awake), n=found.cues),
        Row(*place, "sharpwave", "nights_replayed_to_the_byte", found.replayed / found.nights, n=found.nights),
        Row(*place, "sharpwave", "audits_whole", found.whole / found.nights, n=found.nights),
        Row(*place, "sharpwave", "steps", float(found.steps), n=found.steps),
    ]
    for kind, delays in found.faults.items():
        known = [one for one in delays if one < inf]
        n, setting = len(delays), "faults from samples"
        rows.append(Row("simulated", setting, kind, "named", len(known) / n if n else nan, n=n))
        rows.append(Row("simulated", setting, kind, "s_until_named_most", max(known, default=nan), n=len(known)))
    return rows


def run_night(night: BrokenNight, rng: np.random.Generator, found: Found) -> None:
    """One night, into `found`."""
    protocol = Protocol("broken nights", signal=SignalPart(rate=RATE))
    table, delays = Table(), [inf] * len(night.faults)
    with tempfile.TemporaryDirectory() as folder:
        with AuditLog(Path(folder, "night"), protocol, start=0.0, seal="0" * 64) as log:
            for step in walk(protocol, night, rng, log):
                table.add(step)
                watch(night, step, delays, found)
        found.whole += verify_log(Path(folder, "night")).problems == ()
        replay = replay_log(Path(folder, "night"))
        found.replayed += replay.differs is None and replay.left == 0 and replay.steps == len(table.times)
    for (kind, _, _), delay in zip(night.faults, delays, strict=True):
        found.faults[kind].append(delay)
    found.nights += 1
    found.steps += len(table.times)
    found.outside += table.judge(protocol, found.counts)


@dataclass
class Step:
    """A step of the loop.

    Attributes:
        at: True time in seconds, which a loop whose clock goes back does not know.
        decision: What came out.
        state: State after it.
        stages: What the stager said.
        commands: What the operator asked for.
    """

    at: float
    decision: Decision
    state: LiveState
    stages: tuple[StageResult, ...]
    commands: tuple[Command, ...]


def walk(protocol: Protocol, night: BrokenNight, rng: np.random.Generator, log: AuditLog) -> Iterator[Step]:
    """Steps of the loop: at each chunk, before each onset, and every 0.1 s without samples."""
    state, stager = init_live(protocol, start=0.0), BrokenStager(night, rng)
    shift, last, armed = 0.0, 0.0, False
    for chunk in stream(night, rng):
        arrival = chunk.arrival
        for kind, begin, end in night.faults:
            if kind == "loop stands still" and begin <= arrival < end:
                arrival = end
            if kind == "loop clock back" and last < begin <= arrival:
                shift += 2.0
        fed = None
        while fed is None:
            pending = state.pending
            check = inf if pending is None else pending.onset - RECHECK + shift
            at = min(arrival, last + IDLE, check if check > last else inf)
            at = arrival if arrival > chunk.arrival else at  # no step while the loop stands still
            now = pending.onset - RECHECK if pending is not None and at == check else at - shift
            fed = Chunk(chunk.samples, chunk.index, chunk.stamp, now) if at == arrival else None
            commands = () if armed or at < 200.0 else (Command("arm", now),)
            armed, stages = armed or bool(commands), stager.poll(at, shift)
            decision, state = step_live(protocol, state, fed, now=now, stages=stages, commands=commands)
            log.step(fed, decision, stages=stages, commands=commands)
            last = at
            yield Step(at, decision, state, stages, commands)


def watch(night: BrokenNight, step: Step, delays: list[float], found: Found) -> None:
    """Hold a step against what was planted; `delays` are seconds until each fault was named."""
    intends, given = isinstance(step.decision.action, Intend), step.decision.release is not None
    found.intents += intends
    found.cues += given
    if given:
        found.awake += int(night.stages[min(int(step.at), len(night.stages) - 1)]) not in (2, 3)
    for index, (kind, begin, end) in enumerate(night.faults):
        if kind == "loop stands still":  # no step while it does: what counts is that it is known after
            begin, end = end, end + 5.0
        if not begin <= step.at < end + 1.0:
            continue
        if (intends or given) and begin + WITHIN.get(kind, DETECTED) <= step.at < end:
            found.in_fault += 1
        why = step.decision.action.why if isinstance(step.decision.action, Hold) else ()
        if delays[index] == inf and set(why) & set(FAULTS[kind]):
            delays[index] = step.at - begin


class Table:
    """What went into the gate at each step, as the checker reads it."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self._estimates: list[list[float]] = []
        self._stages: list[list[float]] = []
        self._commands: list[int] = []
        self._intents: list[list[float]] = []
        self._releases: list[list[float]] = []
        self._fault_at, self._gap_at = -inf, -inf

    def add(self, step: Step) -> None:
        """Take in a step."""
        found, clock, decision = step.decision.estimates, step.state.clock, step.decision
        place = float(len(self.times))
        numbers = [
            found.amplitude,
            found.amplitude_ratio,
            found.crossing,
            found.arousal_ratio,
            found.movement_ratio,
            found.flat_share,
            found.saturated_share,
            found.mains_ratio,
        ]
        row = [found.until, *(nan if one is None else one for one in numbers)]
        row += [("unknown", "as declared", "inverted").index(found.polarity), nan, nan]
        row += [float(clock.fault_at != self._fault_at), float(clock.gap_at != self._gap_at)]
        row += [clock.fault_at, clock.gap_at, nan if clock.rate is None else clock.rate]
        self._fault_at, self._gap_at = clock.fault_at, clock.gap_at
        self.times.append(decision.now)
        self._estimates.append(row)
        self._stages.append([0.0] * 8)
        for one in step.stages:
            self._stages[-1] = [1.0, one.made_at, one.heard_until, *one.probabilities]
        self._commands.append(1 if step.commands else 0)
        for trial, rows in ((decision.action, self._intents), (decision.release, self._releases)):
            if isinstance(trial, Intend):
                rows.append([place, trial.onset, float(trial.trial), trial.level_db])

    def judge(self, protocol: Protocol, counts: np.ndarray) -> int:
        """Cues that the checker finds outside the gate."""
        intents, releases = (np.array(rows).reshape(-1, 4) for rows in (self._intents, self._releases))
        raw = np.array(self.times), np.array(self._estimates), np.array(self._stages), np.array(self._commands, np.int8)
        rules = checker.read_rules(asdict(protocol))
        return int(checker.judge(rules, 0.0, len(raw[0]), *raw, intents, releases, counts))
