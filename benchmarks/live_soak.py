"""Does the live loop keep memory and pace over a day? 24 h of stream at 20 times real time, and an hour in real time.

Run: python benchmarks/live_soak.py [--output benchmarks/results/live-soak.json]
It takes an hour and a quarter; both streams run at the same time, each in a process of its own. Simulated sleeper,
protocol up-state, cues to the null sink. Cues end after 14 h, the longest night of a protocol; the loop goes on.
Memory is read once a minute of the stream, from the tenth minute on; growth is the mean of the last third less that of
the first; low and high are the least and the largest value. The file of raw samples and the audit grow on the disk.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sharpwave.benchmarks.live.latency import watch_stream
from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.runner import BenchmarkResult

STREAMS = {"24 h at 20 times real time": (24.0, 20.0), "one hour in real time": (1.0, 1.0)}
"""Hours of the stream, and how many times as fast as real time it runs."""


def main() -> None:
    """Run both streams at the same time and write their rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/live-soak.json"))
    output = parser.parse_args().output
    commit, load = find_commit(), os.getloadavg()[0]

    def watch(setting: str) -> list[Row]:
        hours, pace = STREAMS[setting]
        return watch_stream(setting, "sharpwave", hours=hours, seconds=3 * 3600 * hours / pace, pace=pace)

    with ThreadPoolExecutor(len(STREAMS)) as pool:
        rows = [row for found in pool.map(watch, STREAMS) for row in found]
    config = {
        "streams": {setting: {"hours": hours, "pace": pace} for setting, (hours, pace) in STREAMS.items()},
        "goal": "memory flat within 5 MB",
        "load_before": round(load, 2),
        "load_after": round(os.getloadavg()[0], 2),
        "interval": "none; low and high are the least and the largest of the n values",
    }
    provenance = describe_provenance("python benchmarks/live_soak.py")
    BenchmarkResult("live-soak", config, describe_machine(), commit, rows, provenance).write(output)


if __name__ == "__main__":
    main()
