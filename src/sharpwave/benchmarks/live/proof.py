"""`sharpwave benchmark live-proof`: is a cue ever given outside the gate?

Three ways. A numba twin of the gate lives through a million minutes of random raw inputs, and an independent judge
looks at every cue; each condition and rule is broken in turn, and the judge must notice. The twin and the Python core
that ships go through the same minutes and must agree at every step, to the bit. And the core runs from samples: a
simulated sleeper, an amplifier and a loop that fail in every way of the list, each night replayed byte for byte.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.live import checker, scenes, twin
from sharpwave.benchmarks.rows import Row
from sharpwave.live.clock import ClockState
from sharpwave.live.decision import Command, Decision, Estimates, Intend, StageResult
from sharpwave.live.gate import init_gate, step_gate
from sharpwave.live.protocol import LimitPart, Protocol, SchedulePart, SleepPart, TargetPart

MINUTES = 1_000_000
"""Simulated minutes of the twin, all seeds together."""
EQUAL_MINUTES = 10_000
"""Minutes in which twin and core are compared."""
PIPELINE_MINUTES = 100
"""Minutes from samples a seed; each takes a second, replay included."""
NIGHT = 240.0
"""Minutes of a night."""
MUTANT_MINUTES = 60_000
"""Minutes after which a mutant that was not noticed counts as missed."""
COMMANDS = {twin.ARM: "arm", twin.PAUSE: "pause", twin.RESUME: "resume", twin.STOP: "stop"}


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Prove the gate, or find where it fails.

    Args:
        data: Not used: everything is simulated.
        seeds: Seeds among which the minutes are shared.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    from sharpwave.benchmarks.live.pipeline import run_pipeline

    rows = [*prove_twin(MINUTES, seeds=seeds), *find_mutants(seed=seeds), *compare(EQUAL_MINUTES, seed=seeds + 1)]
    rows += run_pipeline(PIPELINE_MINUTES * seeds, seed=seeds + 2)
    config = {
        "minutes": MINUTES,
        "minutes_twin_and_core": EQUAL_MINUTES,
        "minutes_from_samples": PIPELINE_MINUTES * seeds,
        "night_minutes": NIGHT,
        "steps_a_second": 4,
        "rules_of_the_checker": list(checker.RULES),
        "simulated": "all of it; protocols are drawn at random within the limits of safety, one a night",
    }
    return config, rows


def draw_protocol(rng: np.random.Generator) -> Protocol:
    """A protocol within the limits of safety, in which each limit is met in some nights."""
    few = rng.random() < 0.3
    return Protocol(
        "random",
        target=TargetPart(
            amplitude_ratio=float(rng.uniform(0.6, 2.0)),
            spindle=str(rng.choice(["any", "absent", "present"])),
            ripple=str(rng.choice(["any", "absent", "present"])),
            late_most=float(rng.uniform(0.0, 0.05)),
        ),
        sleep=SleepPart(
            stages=[("N2", "N3"), ("N2", "N3"), ("N3",)][rng.integers(3)],
            probability=float(rng.uniform(0.5, 0.9)),
            stable=float(rng.uniform(60.0, 120.0)),
            wake_lock=float(rng.uniform(120.0, 300.0)),
        ),
        limits=LimitPart(
            level_db=float(rng.uniform(36.0, 55.0)),
            level_step_db=float(rng.uniform(0.5, 3.0)),
            refractory=float(rng.uniform(6.0, 10.0)),
            per_hour=int(rng.integers(5, 40)) if few else 400,
            per_night=int(rng.integers(10, 80)) if rng.random() < 0.3 else 3000,
            hours=float(rng.uniform(1.0, 5.0)),
            first_after=float(rng.uniform(0.0, 3600.0)) if rng.random() < 0.5 else 0.0,
        ),
        schedule=SchedulePart(
            window=15.0,
            arousals_of_ten=int(rng.integers(1, 6)),
            wakings_most=int(rng.integers(0, 4)),
        ),
    )


def make_nights(
    minutes: float, rng: np.random.Generator, mutant: int = -1
) -> Iterator[tuple[Protocol, float, int, Any]]:
    """Nights of random protocols until so many minutes are full: protocol, start, number of steps and arrays.

    The arrays are used again for the next night.
    """
    arrays = scenes.allocate(NIGHT)
    left = minutes
    while left > 0:
        protocol = draw_protocol(rng)
        start, stirs = float(rng.uniform(0.0, 1e5)), float(rng.choice([0.005, 0.02, 0.1]))
        numbers = twin.pack_protocol(protocol)
        n = scenes.make_night(rng, numbers, start, min(NIGHT, left), stirs, *arrays, mutant)
        yield protocol, start, n, arrays
        left -= NIGHT


def judge(protocol: Protocol, start: float, n: int, arrays: Any, counts: np.ndarray) -> tuple[int, int, int]:
    """Cues of a night, those that broke a rule, and intents; `counts` is added to."""
    times, estimates, stages, commands, out = arrays
    intents, releases = (_rows(out[:n], code) for code in (twin.INTEND, twin.RELEASE))
    rules = checker.read_rules(asdict(protocol))
    bad = checker.judge(rules, start, n, times, estimates, stages, commands, intents, releases, counts)
    return len(releases), int(bad), len(intents)


def _rows(out: np.ndarray, code: int) -> np.ndarray:
    steps = np.flatnonzero(out[:, 1] == code)
    return np.column_stack([steps, out[steps, 2:5]])


def prove_twin(minutes: float, *, seeds: int) -> list[Row]:
    """Count cues outside the gate."""
    counts, cues, bad, intents, steps = np.zeros(len(checker.RULES), np.int64), 0, 0, 0, 0
    begin = time.perf_counter()
    for seed in range(seeds):
        for protocol, start, n, arrays in make_nights(minutes / seeds, np.random.default_rng(seed)):
            found = judge(protocol, start, n, arrays, counts)
            cues, bad, intents, steps = cues + found[0], bad + found[1], intents + found[2], steps + n
    seconds = time.perf_counter() - begin
    high = 3.0 / cues if bad == 0 and cues else float("nan")
    place = ("simulated", f"{minutes:g} minutes of raw inputs")
    return [
        Row(*place, "sharpwave (twin)", "cues_outside_the_gate", float(bad), n=cues),
        Row(*place, "sharpwave (twin)", "share_outside", bad / max(cues, 1), 0.0, high, cues),
        Row(*place, "sharpwave (twin)", "cues", float(cues), n=cues),
        Row(*place, "sharpwave (twin)", "cancelled_before_the_onset", float(intents - cues), n=intents),
        Row(*place, "sharpwave (twin)", "steps", float(steps), n=steps),
        Row(*place, "sharpwave (twin)", "us_per_step_with_judge", seconds / max(steps, 1) * 1e6, n=steps),
    ]


def find_mutants(*, seed: int, minutes: float = MUTANT_MINUTES, names: tuple[str, ...] | None = None) -> list[Row]:
    """Break each condition and rule, and count minutes until the judge notices."""
    rows, caught = [], 0
    chosen = tuple(twin.MUTANTS) if names is None else names
    for name in chosen:
        counts, spent, bad, cues = np.zeros(len(checker.RULES), np.int64), 0.0, 0, 0
        for protocol, start, n, arrays in make_nights(minutes, np.random.default_rng(seed), twin.MUTANTS[name]):
            found = judge(protocol, start, n, arrays, counts)
            spent, bad, cues = spent + NIGHT, bad + found[1], cues + found[0]
            if bad:
                break
        caught += bad > 0
        value = spent if bad else float("nan")
        rows.append(Row("simulated", "mutants", name, "minutes_until_noticed", value, n=cues))
    rows.append(Row("simulated", "mutants", "all", "noticed", caught / len(chosen), n=len(chosen)))
    return rows


def compare(minutes: float, *, seed: int) -> list[Row]:
    """Lead the Python core through the twin's nights and count steps at which they differ."""
    steps, differ, cues, seconds = 0, 0, 0, 0.0
    for protocol, start, n, arrays in make_nights(minutes, np.random.default_rng(seed)):
        begin = time.perf_counter()
        for index, decision in enumerate(walk_core(protocol, start, n, arrays)):
            differ += encode(decision, protocol) != encode_twin(arrays[4][index])
            cues += decision.release is not None
        seconds += time.perf_counter() - begin
        steps += n
    place = ("simulated", f"{minutes:g} minutes, twin and core")
    return [
        Row(*place, "sharpwave", "steps_that_differ", float(differ), n=steps),
        Row(*place, "sharpwave", "cues", float(cues), n=cues),
        Row(*place, "sharpwave", "us_per_step_of_the_core", seconds / max(steps, 1) * 1e6, n=steps),
    ]


def walk_core(protocol: Protocol, start: float, n: int, arrays: Any) -> Iterator[Decision]:
    """Decisions of the Python core, given a night's raw inputs."""
    times, estimates, stages, commands, _ = arrays
    state = init_gate(protocol, start=start)
    for index in range(n):
        now = float(times[index])
        found, clock = to_estimates(estimates[index].tolist())
        state = replace(state, estimates=found, clock=clock)
        results: tuple[StageResult, ...] = ()
        orders: tuple[Command, ...] = ()
        if stages[index, 0]:
            _, made, heard, *p = stages[index].tolist()
            results = (StageResult(made, heard, tuple(p)),)  # type: ignore[arg-type]
        if commands[index]:
            orders = (Command(COMMANDS[int(commands[index])], now),)  # type: ignore[arg-type]
        decision, state = step_gate(protocol, state, now=now, stages=results, commands=orders)
        yield decision


def to_estimates(e: list[float]) -> tuple[Estimates, ClockState]:
    """A row of raw inputs as the core takes it."""
    known = [None if np.isnan(value) else value for value in e]
    polarity = {0.0: "unknown", 1.0: "as declared", 2.0: "inverted"}[e[twin.POLARITY]]
    events = [None if value is None else value == 1.0 for value in (known[twin.SPINDLE], known[twin.RIPPLE])]
    found = Estimates(
        until=e[twin.UNTIL],
        amplitude=known[twin.AMPLITUDE],
        amplitude_ratio=known[twin.RATIO],
        crossing=known[twin.CROSSING],
        arousal_ratio=known[twin.AROUSAL],
        movement_ratio=known[twin.MOVEMENT],
        flat_share=known[twin.FLAT],
        saturated_share=known[twin.SATURATED],
        mains_ratio=known[twin.MAINS],
        polarity=polarity,  # type: ignore[arg-type]
        spindle=events[0],
        ripple=events[1],
    )
    return found, ClockState(
        next_index=1, fault="fault", fault_at=e[twin.FAULT_AT], gap_at=e[twin.GAP_AT], rate=known[twin.RATE]
    )


def encode(decision: Decision, protocol: Protocol) -> tuple[Any, ...]:
    """What a decision of the core says, in the twin's terms."""
    mask = sum(1 << place for place, one in enumerate(decision.conditions) if one.holds)
    late = protocol.target.late_most
    if isinstance(decision.action, Intend):
        return mask, twin.INTEND, *_trial(decision.action)
    if decision.release is not None:
        return mask, twin.RELEASE, *_trial(decision.release)
    if decision.cancelled is not None:
        return mask, twin.CANCEL, decision.cancelled.trial
    if decision.pending is not None:
        assert decision.pending.deadline == decision.pending.onset + late
        return mask, twin.PENDING, *_trial(decision.pending)
    return mask, twin.HOLD


def _trial(trial: Intend) -> tuple[float, ...]:
    return trial.onset, trial.trial, trial.level_db, trial.deadline


def encode_twin(out: np.ndarray) -> tuple[Any, ...]:
    """What the twin says, in the same terms."""
    mask, code, *rest = out.tolist()
    if code == twin.HOLD:
        return int(mask), twin.HOLD
    if code == twin.CANCEL:
        return int(mask), twin.CANCEL, rest[1]
    return int(mask), int(code), *rest
