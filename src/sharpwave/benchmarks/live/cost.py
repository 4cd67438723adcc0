"""What a step of the live filters costs on one core, and what the predictor costs as a graph for a small device.

A chunk of eight samples at 256 Hz comes 32 times a second; the whole step has phase, guard, polarity and spindles in
it. The median and the 99th of a hundred are of wall-clock time: on a machine that does other things they are high.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.rows import Row
from sharpwave.errors import MissingExtraError
from sharpwave.live.clock import Clocked
from sharpwave.live.decision import Chunk
from sharpwave.live.edge import KINDS, EdgePredictor, export_predictor
from sharpwave.live.estimates import init_estimates, step_estimates
from sharpwave.live.phase import TAPS, PhaseState, step_phase
from sharpwave.live.protocol import Protocol, SignalPart

RATE = 256.0
CHUNK = 8
MINUTES = 3.0


def _time(step: Callable[[int], None], n: int) -> list[float]:
    taken = []
    for place in range(n):
        begun = time.perf_counter()
        step(place)
        taken.append(1e6 * (time.perf_counter() - begun))
    return taken[n // 5 :]


def _to_rows(method: str, taken: list[float]) -> list[Row]:
    setting = "one core, a step each 31 ms"
    return [
        Row("simulated", setting, method, "median_us", float(np.median(taken)), n=len(taken)),
        Row("simulated", setting, method, "p99_us", float(np.quantile(taken, 0.99)), n=len(taken)),
        Row("simulated", setting, method, "share_of_core", float(np.median(taken)) * 32 / 1e6, n=len(taken)),
    ]


def measure_cost(*, rng: np.random.Generator) -> list[Row]:
    """Microseconds of a step: all estimates, the predictor alone, and its graph in floats and in eight bits.

    Args:
        rng: Makes the signal.
    """
    n = round(MINUTES * 60 * RATE / CHUNK)
    times = np.arange(n * CHUNK) / RATE
    samples = (50e-6 * np.sin(2 * np.pi * 0.9 * times) + rng.normal(0, 8e-6, times.size)).astype(np.float32)
    protocol = Protocol("cost", SignalPart(rate=RATE))
    estimates, phases = init_estimates(protocol), PhaseState()

    def step_all(place: int) -> None:
        nonlocal estimates
        first = place * CHUNK
        chunk = Chunk(samples[first : first + CHUNK, None], first, first / RATE, first / RATE)
        clocked = Clocked(first / RATE, (first + CHUNK - 1) / RATE, 1 / RATE)
        _, estimates = step_estimates(protocol, estimates, chunk, clocked)

    def step_one(place: int) -> None:
        nonlocal phases
        part = samples[place * CHUNK : (place + 1) * CHUNK].tolist()
        _, phases = step_phase(phases, part, rate=RATE, target=-0.8, latency=0.05)

    rows = _to_rows("all estimates", _time(step_all, n)) + _to_rows("learned predictor", _time(step_one, n))
    with tempfile.TemporaryDirectory() as folder:
        for kind in KINDS:
            try:
                said = export_predictor(Path(folder) / f"{kind}.onnx", kind=kind)
                edge = EdgePredictor(Path(folder) / f"{kind}.onnx")
            except MissingExtraError:
                continue
            rows += _measure_graph(f"graph, {kind}", edge, n)
            rows.append(Row("simulated", "size", f"graph, {kind}", "bytes", float(said["bytes"])))
    return rows


def _measure_graph(method: str, edge: EdgePredictor, n: int) -> list[Row]:
    cache = np.zeros(TAPS - 1, np.float32)

    def step(place: int) -> None:
        nonlocal cache
        _, cache = edge.step(cache, float(place % 7))

    return _to_rows(method, _time(step, n))
