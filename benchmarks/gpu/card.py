"""What the scripts of this folder share: options, results that a stopped run goes on from, and the clock of a card."""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.runner import BenchmarkResult


def make_parser(description: str, *, output: str, seeds: int = 1) -> argparse.ArgumentParser:
    """Options that every script has.

    Args:
        description: What the script measures; the first lines of its help.
        output: Name of its file of results.
        seeds: Default of `--seeds`.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results") / output, help="JSON file of results")
    parser.add_argument("--device", default="cuda", help='"cuda", or "cpu" to try the script out (default: cuda)')
    parser.add_argument("--limit", type=float, default=540.0, help="begin nothing new after so many seconds (540)")
    parser.add_argument("--seeds", type=int, default=seeds, help=f"seeds of whatever is random (default: {seeds})")
    return parser


def check_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        SystemExit: If there is no such device.
    """
    device = torch.device(name)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise SystemExit("expected a graphics card that torch sees, got none. Fix: pass --device cpu to try it out")
    return device


class Results:
    """Rows that are written after each piece of work, so that a run that is stopped goes on where it was.

    Args:
        benchmark: Name in the file.
        path: JSON file; what it holds from the same settings is kept and not done again.
        config: Settings of the run.
        limit: Seconds after which `may_begin` says no.
    """

    def __init__(self, benchmark: str, path: Path, config: dict[str, Any], *, limit: float) -> None:
        self.benchmark, self.path, self.config, self.limit = benchmark, path, config, limit
        self.began = time.monotonic()
        self.rows = self._load()

    def has(self, setting: str, method: str) -> bool:
        """Whether a piece of work is done."""
        return any(row.setting == setting and row.method == method for row in self.rows)

    def may_begin(self) -> bool:
        """Whether there is time for another piece of work."""
        return time.monotonic() - self.began < self.limit

    def add(self, *rows: Row) -> None:
        """Keep rows, and write the file."""
        self.rows += rows
        for row in rows:
            print(f"{time.monotonic() - self.began:6.0f} s  {row.setting}: {row.method} {row.metric} {row.value:.4g}")
        machine = describe_machine() | describe_card()
        provenance = describe_provenance(f"python benchmarks/gpu/{self.path.stem.replace('-', '_')}.py")
        result = BenchmarkResult(self.benchmark, self.config, machine, find_commit(), self.rows, provenance)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        result.write(part).replace(self.path)

    def _load(self) -> list[Row]:
        if not self.path.is_file():
            return []
        content = json.loads(self.path.read_text(encoding="utf-8"))
        if content.get("config") != json.loads(json.dumps(self.config)):
            raise SystemExit(f"expected results of the same settings in {self.path.name}. Fix: name another --output")
        numbers = ("value", "low", "high")
        kept = [
            {key: math.nan if key in numbers and row[key] is None else row[key] for key in row}
            for row in content["rows"]
        ]
        return [Row(**(row | {"values": tuple(row.get("values", ()))})) for row in kept]


def describe_card() -> dict[str, Any]:
    """Name and memory of the graphics card; nothing where there is none."""
    if not torch.cuda.is_available():
        return {}
    properties = torch.cuda.get_device_properties(0)
    return {"card": properties.name, "card_gb": round(properties.total_memory / 1e9, 1)}


def time_step(step: Callable[[], object], *, device: torch.device) -> float:
    """Seconds of one step, until the card has done it."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began
