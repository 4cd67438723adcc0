"""Runs a benchmark module, prints its table and writes its JSON."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError

BENCHMARKS: dict[str, str] = {
    "forecast": "sharpwave.benchmarks.forecast.benchmark",
    "staging": "sharpwave.benchmarks.staging.benchmark",
    "spindles": "sharpwave.benchmarks.spindles",
    "multimodal": "sharpwave.benchmarks.multimodal.benchmark",
    "subsets": "sharpwave.benchmarks.multimodal.subsets",
    "labels": "sharpwave.benchmarks.multimodal.labels",
    "transfer": "sharpwave.benchmarks.multimodal.transfer",
    "ablations": "sharpwave.benchmarks.multimodal.ablations",
    "explanations": "sharpwave.benchmarks.explanations.benchmark",
    "causality": "sharpwave.benchmarks.causality.benchmark",
    "decode-speed": "sharpwave.benchmarks.decode.speed",
    "decode-memory": "sharpwave.benchmarks.decode.memory",
    "training-cost": "sharpwave.benchmarks.training_cost",
    "dynamics": "sharpwave.benchmarks.dynamics.benchmark",
    "resilience": "sharpwave.benchmarks.resilience.benchmark",
    "continual": "sharpwave.benchmarks.continual.benchmark",
    "continual-cifar10": "sharpwave.benchmarks.continual.benchmark:run_cifar10",
    "sleep-cost": "sharpwave.benchmarks.sleep_cost",
    "reactivation": "sharpwave.benchmarks.reactivation.benchmark",
    "run-decoding": "sharpwave.benchmarks.replay.run_decoding",
    "replay-speed": "sharpwave.benchmarks.replay.speed",
}
"""Benchmark modules by name. Each has `run(data, *, seeds, train=False) -> (config, rows)`, or the function named after
the colon."""


MOST_COLUMNS = 9
"""Metrics shown in the printed table; the JSON holds all."""


@dataclass(frozen=True)
class BenchmarkResult:
    """What a run found.

    Attributes:
        benchmark: Its name.
        config: Everything that was chosen.
        machine: Processor, cores, memory and Python.
        commit: Revision of the code; "unknown" outside a clone.
        rows: One estimate each.

    >>> row = Row("DREAMS", "at 50 Hz", "yasa", "kappa", 0.7)
    >>> BenchmarkResult("staging", {"seeds": 1}, {}, "unknown", [row]).rows[0].value
    0.7
    """

    benchmark: str
    config: dict[str, Any]
    machine: dict[str, Any]
    commit: str
    rows: list[Row]

    def write(self, path: Path) -> Path:
        """As JSON; undefined numbers are null."""
        path.parent.mkdir(parents=True, exist_ok=True)
        content = {**asdict(self), "rows": [row.to_dict() for row in self.rows]}
        head = json.dumps({**content, "rows": []}, indent=1)[: -len('"rows": []\n}')]
        rows = ",\n".join("  " + json.dumps(row) for row in content["rows"])
        path.write_text(f'{head}"rows": [\n{rows}\n ]\n}}\n', encoding="utf-8")
        return path


def run_benchmark(
    name: str, *, data: Path | None = None, seeds: int = 5, output: Path | None = None, train: bool = False
) -> BenchmarkResult:
    """Run a benchmark, print its table, and write it where `output` says.

    Args:
        name: Key of `BENCHMARKS`.
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of whatever is random.
        output: JSON file to write.
        train: Train the shipped weights again first.

    Raises:
        SharpwaveError: If there is no such benchmark, or nothing to run it on.

    >>> run_benchmark("weather")
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected a benchmark among forecast, staging, ...
    """
    if name not in BENCHMARKS:
        raise SharpwaveError(f"a benchmark among {', '.join(BENCHMARKS)}", got=repr(name), fix="choose one of these")
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(f"Benchmark {name}: minutes, not seconds; fewer --seeds are faster", total=None)
        module, _, function = BENCHMARKS[name].partition(":")
        config, rows = getattr(import_module(module), function or "run")(data, seeds=seeds, train=train)
    result = BenchmarkResult(name, config, describe_machine(), find_commit(), rows)
    print_result(result)
    if output is not None:
        result.write(output)
    return result


def describe_machine() -> dict[str, Any]:
    """Processor, cores, memory in GB and Python; nothing that names the machine."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":", 1)[1].strip() if names else model
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9 if hasattr(os, "sysconf") else math.nan
    return {"cpu": model, "cores": os.cpu_count(), "ram_gb": round(memory, 1), "python": platform.python_version()}


def find_commit() -> str:
    """Revision of the code that runs, "+" where files differ from it; "unknown" outside a clone."""
    here = Path(__file__).parent

    def ask(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        dirty = ask("status", "--porcelain", "--untracked-files=no", "--", ":/src")
        return ask("rev-parse", "--short=12", "HEAD") + ("+" if dirty else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def print_result(result: BenchmarkResult) -> None:
    """A table per data set and setting: methods down, the first metrics across, intervals below the values."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for note in result.config.get("notes", ()):
        console.print(note)
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in result.rows:
        groups.setdefault((row.data, row.setting), []).append(row)
    for (data, setting), rows in groups.items():
        counts = sorted({row.n for row in rows})
        title = f"{result.benchmark}: {data}, {setting} (n = {', '.join(map(str, counts))})"
        cells: dict[str, dict[str, str]] = {}
        for row in rows:
            cells.setdefault(row.metric, {})[row.method] = _cell(row)
        methods = list(dict.fromkeys(row.method for row in rows))
        for metrics in _share_out(cells, width=console.width - max(map(len, methods)) - 4):
            table = Table(title=title)
            table.add_column("method")
            for metric in metrics:
                table.add_column(metric.replace("_", " "), justify="right")
            for method in methods:
                if any(method in cells[metric] for metric in metrics):
                    table.add_row(method, *(cells[metric].get(method, "") for metric in metrics))
            console.print(table)
            title = f"{result.benchmark}: {data}, {setting}, continued"


def _share_out(cells: dict[str, dict[str, str]], *, width: int) -> list[list[str]]:
    """The first metrics in as many tables as it takes for their cells to fit."""
    tables: list[list[str]] = [[]]
    left = width
    for metric, column in list(cells.items())[:MOST_COLUMNS]:
        lines = [line for cell in column.values() for line in cell.splitlines()] + metric.split("_")
        taken = max(map(len, lines)) + 3
        if taken > left and tables[-1]:
            tables.append([])
            left = width
        tables[-1].append(metric)
        left -= taken
    return tables


def _cell(row: Row) -> str:
    if math.isnan(row.value):
        return "–"
    text = f"{row.value:.3g}"
    return text if math.isnan(row.low) or math.isnan(row.high) else f"{text}\n[{row.low:.3g}, {row.high:.3g}]"
