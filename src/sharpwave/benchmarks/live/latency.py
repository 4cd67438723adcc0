"""`sharpwave benchmark live-latency`: what a step costs, how late a decision is, how fast STOP is; memory.

Every figure stands beside the least that could be done in its place: a mean of the chunk for a step, a stream that is
only read for the way through LSL, a call inside one process for STOP, a file that is only written for a durable intent.
Times are of the machine and the load that the file names; the load is read before and after.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row

STEPS = 20_000
"""Steps that are timed."""
LSL_SECONDS = 30.0
STOPS = 30
CUES = 100
STREAM_HOURS = 8.0
"""Longest stream by which memory is judged, in hours of its own time."""
STREAM_SECONDS = 90.0
"""Longest time that it takes, in seconds of the clock on the wall."""
WARM = 600.0
"""Stream that comes before memory is judged, in seconds: medians of minutes fill until then."""
GOALS = {
    "sample step": "250 µs",
    "decision": "20 µs",
    "LSL to decision": "p99 of 30 ms on an idle machine",
    "STOP to silence": "250 ms",
    "memory": "5 MB in 24 h at 20 times real time",
}


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Measure cost, latency and memory of the live loop on this machine.

    Args:
        data: Not used: everything is simulated.
        seeds: Number of simulated sleepers whose steps are timed.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    rows = [
        *time_steps(seeds),
        *time_lsl(),
        *time_stop(),
        *time_cues(),
        *time_intents(),
        *watch_memory(),
    ]
    after = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    config = {
        "goals": GOALS,
        "chunk": "8 samples of 256 Hz, one channel",
        "load_before": round(load, 2),
        "load_after": round(after, 2),
        "interval": "none; low and high are the least and the largest of the n values",
    }
    return config, rows


def to_rows(setting: str, method: str, unit: str, values: Sequence[float]) -> list[Row]:
    """Median, 95th and 99th percentile of times; low and high are the least and the largest of them.

    Args:
        setting: What was timed.
        method: How.
        unit: Unit of the values, for the names of the metrics.
        values: One each.
    """
    found = np.asarray(values, dtype=float)
    low, high = float(found.min()), float(found.max())
    return [
        Row("simulated", setting, method, f"{name}_{unit}", float(np.percentile(found, at)), low, high, len(found))
        for name, at in (("p50", 50), ("p95", 95), ("p99", 99))
    ]


def time_steps(seeds: int) -> list[Row]:
    """A step with a chunk, a step that decides alone, and the mean of a chunk."""
    from sharpwave.live.gate import init_live, step_gate, step_live
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.sources.simulate import SimulatedSource

    protocol = load_protocol("up-state")
    whole, alone, least = [], [], []
    for seed in range(seeds):
        source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(seed), asleep_after=0.0)
        state, now = init_live(protocol, start=0.0), 0.0
        for index in range(STEPS // seeds + 2000):
            now = source.next_arrival() or 0.0
            (chunk,) = source.pull(now)
            first = time.perf_counter_ns()
            _, state = step_live(protocol, state, chunk, now=now)
            second = time.perf_counter_ns()
            step_gate(protocol, state, now=now)
            third = time.perf_counter_ns()
            chunk.samples.mean()
            fourth = time.perf_counter_ns()
            if index >= 2000:  # the first minute warms up
                whole.append((second - first) / 1e3)
                alone.append((third - second) / 1e3)
                least.append((fourth - third) / 1e3)
    return [
        *to_rows("sample step", "sharpwave", "us", whole),
        *to_rows("sample step", "mean of the chunk", "us", least),
        *to_rows("decision", "sharpwave", "us", alone),
    ]


OUTLET = """
import sys, time, pylsl
info = pylsl.StreamInfo("sharpwave-latency", "EEG", 1, 256, "float32", sys.argv[1])
channel = info.desc().append_child("channels").append_child("channel")
channel.append_child_value("label", "C4-M1"); channel.append_child_value("unit", "microvolts")
outlet, start, k = pylsl.StreamOutlet(info, chunk_size=8), pylsl.local_clock(), 0
while True:
    k += 8
    while (left := start + k / 256 - pylsl.local_clock()) > 0:
        time.sleep(min(left, 0.002))
    outlet.push_chunk([[float(i % 100)] for i in range(8)], pylsl.local_clock())
"""


def time_lsl() -> list[Row]:
    """From a chunk that another process pushes to the decision that hears of it; and only to its arrival."""
    from sharpwave.errors import MissingExtraError
    from sharpwave.live.gate import init_live, step_live
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.sources.lsl import LslSource, load_pylsl

    try:
        pylsl = load_pylsl()
    except MissingExtraError:
        return []
    protocol = load_protocol("up-state")
    rows = []
    for method in ("sharpwave", "only read"):
        process = subprocess.Popen([sys.executable, "-c", OUTLET, f"latency-{os.getpid()}-{method}"])
        try:
            source = LslSource("sharpwave-latency", ("C4-M1",), wait=30.0)
            state, begun, late = init_live(protocol, start=0.0), time.monotonic(), []
            while (now := time.monotonic() - begun) < LSL_SECONDS:
                chunks = source.pull(now)
                for chunk in chunks:
                    if method == "sharpwave":
                        _, state = step_live(protocol, state, chunk, now=now)
                if chunks and now > 2.0 and source.last_stamp is not None:  # the stamp of the last sample's push
                    late.append(1e3 * (pylsl.local_clock() - source.last_stamp))
                time.sleep(0.002)
            source.close()
        finally:
            process.kill()
            process.wait()
        rows += to_rows("LSL to decision", method, "ms", late)
    return rows


def time_stop() -> list[Row]:
    """From the operator's stop to the sink's silence, while a cue sounds: in the interlock's process, and in one."""
    from sharpwave.live.interlock import InterlockLimits
    from sharpwave.live.interlock_link import LocalInterlock
    from sharpwave.live.sinks.null import NullSink

    found = []
    with tempfile.TemporaryDirectory() as home:
        for index in range(STOPS):
            log = Path(home, f"{index}.log")
            link, now = _start_interlock(log)
            link.beat(now())
            link.ask(1, "click", 40.0, onset=now() + 0.02, deadline=now() + 4.0)
            if _see(log, "play", 0.0, partial(_beat, link, now)) is not None:
                asked = now()
                link.stop("measured")
                silent = _see(log, "silence", asked, lambda: None)
                found += [] if silent is None else [1e3 * (silent - asked)]
            link.close()
    least = []
    for _ in range(STOPS):
        local = LocalInterlock(InterlockLimits("t", cues=("click",)), [NullSink(clock=time.monotonic)],
                               clock=time.monotonic)  # fmt: skip
        asked = time.monotonic()
        local.stop("measured")
        least.append(1e3 * (time.monotonic() - asked))
    return [
        *to_rows("STOP to silence", "sharpwave", "ms", found),
        *to_rows("STOP to silence", "a call in one process", "ms", least),
    ]


def time_cues() -> list[Row]:
    """How far a cue's onset in the interlock's process lies from the one that was asked for."""
    with tempfile.TemporaryDirectory() as home:
        link, now = _start_interlock(Path(home, "log"), spacing=0.05)
        late = []
        for trial in range(1, CUES + 1):
            onset = now() + 0.1
            link.beat(now())
            link.ask(trial, "click", 40.0, onset=onset, deadline=onset + 1.0)
            until = now() + 5.0
            while now() < until:
                link.beat(now())
                said = link.poll()
                if said:
                    late.append(1e3 * (said[0]["onset"] - onset))
                    break
                time.sleep(0.005)
        link.close()
    return to_rows("onset after it was asked for", "sharpwave", "ms", late)


def _start_interlock(log: Path, *, spacing: float = 6.0) -> tuple[Any, Callable[[], float]]:
    from sharpwave.live.interlock import InterlockLimits
    from sharpwave.live.interlock_link import InterlockProcess

    origin = time.monotonic()
    limits = InterlockLimits("token", cues=("click",), spacing=spacing, per_hour=10**6, per_night=10**6)
    link = InterlockProcess(limits, ["null"], origin=origin, cues={}, log=log)
    return link, lambda: time.monotonic() - origin


def _wait_for(log: Path, order: str) -> None:
    """Wait until a sink has had this order, for half a minute at most."""
    until = time.monotonic() + 30.0
    while f'"{order}"' not in log.read_text() and time.monotonic() < until:
        time.sleep(0.001)


def _beat(link: Any, now: Callable[[], float]) -> None:
    link.beat(now())


def _see(log: Path, order: str, since: float, meanwhile: Callable[[], Any]) -> float | None:
    """Loop time of the first such order of the sink since then; None where none comes."""
    until = time.monotonic() + 10.0
    while time.monotonic() < until:
        meanwhile()
        for line in log.read_text().splitlines():
            said = json.loads(line) if line.endswith("}") else {}
            if said.get("order") == order and said["at"] >= since:
                return float(said["at"])
        time.sleep(0.001)
    return None


def time_intents() -> list[Row]:
    """An intent until it is on the disk, and the same bytes that are only written."""
    from sharpwave.live.audit import AuditLog
    from sharpwave.live.protocol import load_protocol

    with tempfile.TemporaryDirectory() as home:
        log = AuditLog(Path(home, "night"), load_protocol("up-state"), start=0.0, seal="0" * 64)
        durable, written = [], []
        for trial in range(500):
            first = time.perf_counter()
            log.append("note", trial=trial, text="x" * 1500)
            second = time.perf_counter()
            log.sync()
            written.append(1e3 * (second - first))
            durable.append(1e3 * (time.perf_counter() - first))
        log.close()
    return [
        *to_rows("intent on the disk", "sharpwave", "ms", durable),
        *to_rows("intent on the disk", "only written", "ms", written),
    ]


STREAM = """
import sys
from sharpwave.benchmarks.live.latency import run_stream
run_stream(sys.argv[1], hours=float(sys.argv[2]), seconds=float(sys.argv[3]), pace=float(sys.argv[4]))
"""


def watch_memory() -> list[Row]:
    """Memory of a process that runs a long night, and of one that only makes its samples."""
    rows = []
    for method, seconds in (("sharpwave", STREAM_SECONDS), ("samples alone", STREAM_SECONDS / 20)):
        rows += watch_stream("long stream, one value a minute", method, hours=STREAM_HOURS, seconds=seconds)
    return rows


def watch_stream(setting: str, method: str, *, hours: float, seconds: float, pace: float = float("inf")) -> list[Row]:
    """Rows of one stream that runs in a process of its own; see `run_stream`."""
    command = [sys.executable, "-c", STREAM, method, str(hours), str(seconds), str(pace)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]
    found = json.loads(said)
    memory = np.array(found["mb"])
    n = len(memory)
    third = max(n // 3, 1)
    growth = float(memory[-third:].mean() - memory[:third].mean())
    return [
        Row("simulated", setting, method, "growth_mb", growth, float(memory.min()), float(memory.max()), n),
        Row("simulated", setting, method, "hours", found["hours"], n=n),
        Row("simulated", setting, method, "times_real_time", found["speed"], n=n),
        Row("simulated", setting, method, "trials", found["trials"], n=n),
    ]


def run_stream(method: str, *, hours: float, seconds: float, pace: float = float("inf")) -> None:
    """Run a night as fast as it goes, until its hours or these seconds are over, and print what memory did.

    Args:
        method: `sharpwave`, or `samples alone`.
        hours: Length of the night.
        seconds: Longest time that it may take.
        pace: How many times as fast as real time the night runs; without end: as fast as it can.
    """
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.run import Plan, run_started, start_night
    from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager

    protocol = load_protocol("up-state")
    protocol = replace(protocol, limits=replace(protocol.limits, hours=min(hours, 14.0)))
    source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=hours, asleep_after=0.0)
    begun, memory, next_look, now, trials = time.monotonic(), [], WARM, 0.0, 0

    def look(at: float) -> bool:
        """Note memory once a minute of the stream; whether time is over."""
        nonlocal next_look, now
        now = at
        if at >= next_look:
            next_look += 60.0
            memory.append(read_memory())
        return time.monotonic() - begun > seconds

    if method == "samples alone":
        while (arrival := source.next_arrival() or 0.0) < 3600 * hours and not look(arrival):
            source.pull(arrival)
    else:
        with tempfile.TemporaryDirectory() as home:
            stager = SimulatedStager(source, rng=np.random.default_rng(1))
            plan = Plan(protocol, source, Path(home, "night"), stager, speed=pace, arm=True, hours=hours)
            started = start_night(plan)

            def listen(decision: Any, _chunk: Any) -> None:
                if look(decision.now):
                    source.end()

            started.night.listeners.append(listen)
            run_started(started)
            trials = started.night.counts["delivered"]
    speed = now / (time.monotonic() - begun)
    print(json.dumps({"mb": memory or [read_memory()], "hours": now / 3600, "speed": speed, "trials": trials}))


def read_memory() -> float:
    """Resident memory of this process, in MB; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
