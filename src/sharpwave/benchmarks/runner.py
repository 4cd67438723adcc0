"""Runs a benchmark module, prints its table and writes its JSON."""

from __future__ import annotations

import inspect
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from sharpwave.benchmarks.provenance import (
    describe_command,
    describe_machine,
    describe_provenance,
    find_commit,
    refuse_dirty,
    refuse_smaller,
)
from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.seeds import take_values
from sharpwave.errors import SharpwaveError
from sharpwave.executors import open_executor
from sharpwave.outputs import write_file

BENCHMARKS: dict[str, str] = {
    "forecast": "sharpwave.benchmarks.forecast.benchmark",
    "forecast-eeg": "sharpwave.benchmarks.forecast.eeg",
    "external": "sharpwave.benchmarks.forecast.external",
    "staging": "sharpwave.benchmarks.staging.benchmark",
    "staging-use": "sharpwave.benchmarks.staging.use",
    "staging-seeds": "sharpwave.benchmarks.staging.trainings",
    "finetune": "sharpwave.benchmarks.staging.finetune",
    "rodent": "sharpwave.benchmarks.staging.rodent",
    "cohorts": "sharpwave.benchmarks.staging.left_out",
    "hearts": "sharpwave.benchmarks.staging.hearts",
    "spindles": "sharpwave.benchmarks.spindles",
    "coupling": "sharpwave.benchmarks.coupling",
    "live-phase": "sharpwave.benchmarks.live.phase",
    "live-gate": "sharpwave.benchmarks.live.gate",
    "live-latency": "sharpwave.benchmarks.live.latency",
    "live-page": "sharpwave.benchmarks.live.page",
    "multimodal": "sharpwave.benchmarks.multimodal.benchmark",
    "subsets": "sharpwave.benchmarks.multimodal.subsets",
    "labels": "sharpwave.benchmarks.multimodal.labels",
    "pretraining": "sharpwave.benchmarks.multimodal.pretraining",
    "pretraining-nights": "sharpwave.benchmarks.multimodal.pretraining:run_nights",
    "transfer": "sharpwave.benchmarks.multimodal.transfer",
    "ablations": "sharpwave.benchmarks.multimodal.ablations",
    "explanations": "sharpwave.benchmarks.explanations.benchmark",
    "causality": "sharpwave.benchmarks.causality.benchmark",
    "causality-worlds": "sharpwave.benchmarks.causality.worlds_benchmark",
    "decode-speed": "sharpwave.benchmarks.decode.speed",
    "decode-memory": "sharpwave.benchmarks.decode.memory",
    "scale": "sharpwave.benchmarks.scale.benchmark",
    "rodent-recovery": "sharpwave.benchmarks.scale.recovery",
    "training-cost": "sharpwave.benchmarks.training_cost",
    "dynamics": "sharpwave.benchmarks.dynamics.benchmark",
    "criticality": "sharpwave.benchmarks.dynamics.networks",
    "resilience": "sharpwave.benchmarks.resilience.benchmark",
    "continual": "sharpwave.benchmarks.continual.benchmark",
    "continual-cifar10": "sharpwave.benchmarks.continual.benchmark:run_cifar10",
    "continual-step-sizes": "sharpwave.benchmarks.continual.step_sizes",
    "language": "sharpwave.benchmarks.language.benchmark",
    "agents": "sharpwave.benchmarks.agents",
    "jax": "sharpwave.benchmarks.jax.benchmark",
    "sleep-cost": "sharpwave.benchmarks.sleep_cost",
    "sleep-budget": "sharpwave.benchmarks.sleep_budget",
    "private": "sharpwave.benchmarks.private.benchmark",
    "private-audit": "sharpwave.benchmarks.private.audit",
    "off-peak": "sharpwave.benchmarks.off_peak",
    "private-text": "sharpwave.benchmarks.private.texts",
    "distributed": "sharpwave.benchmarks.distributed",
    "reactivation": "sharpwave.benchmarks.reactivation.benchmark",
    "reactivation-worlds": "sharpwave.benchmarks.reactivation.worlds",
    "run-decoding": "sharpwave.benchmarks.replay.run_decoding",
    "replay-speed": "sharpwave.benchmarks.replay.speed",
    "replay-null": "sharpwave.benchmarks.replay.null",
    "live-proof": "sharpwave.benchmarks.live.proof",
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
        provenance: Command, seeds, versions of libraries, threads, and what was allowed, such as a dirty tree.

    >>> row = Row("DREAMS", "at 50 Hz", "yasa", "kappa", 0.7)
    >>> BenchmarkResult("staging", {"seeds": 1}, {}, "unknown", [row]).rows[0].value
    0.7
    """

    benchmark: str
    config: dict[str, Any]
    machine: dict[str, Any]
    commit: str
    rows: list[Row]
    provenance: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> Path:
        """As JSON; undefined numbers are null."""
        content = {
            "benchmark": self.benchmark,
            "config": self.config,
            "machine": self.machine,
            "commit": self.commit,
            "provenance": self.provenance,
            "rows": [],
        }
        head = json.dumps(content, indent=1)[: -len('"rows": []\n}')]
        rows = ",\n".join("  " + json.dumps(row.to_dict()) for row in self.rows)
        return write_file(path, f'{head}"rows": [\n{rows}\n ]\n}}\n')


def run_benchmark(
    name: str,
    *,
    data: Path | None = None,
    seeds: int = 5,
    output: Path | None = None,
    train: bool = False,
    allow_dirty: bool = False,
    allow_smaller: bool = False,
    methods: Sequence[str] | None = None,
    stream: str | None = None,
    model: Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
) -> BenchmarkResult:
    """Run a benchmark, print its table, and write it where `output` says.

    Args:
        name: Key of `BENCHMARKS`.
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Seeds of whatever is random.
        output: JSON file to write.
        train: Train the shipped weights again first.
        allow_dirty: Write a published result although files of the code differ from their commit; the file says so.
        allow_smaller: Overwrite a result that has more seeds, a larger n or further rows; the file says so.
        methods: Methods to run now, where a benchmark keeps each run (in `NAME.parts`, beside `output`); default all.
        stream: Which of its streams, where a benchmark has several: `language`.
        model: Folder of the model that learns, where a benchmark takes one: `language`, `private-text`.
        jobs: Seeds or methods at once, where a benchmark has independent ones; default 1.
        scheduler: Where these run; this machine where omitted (see `open_executor`).

    Raises:
        SharpwaveError: If there is no such benchmark, it takes no such option, there is nothing to run it on, the tree
            is dirty, or the result in `output` is larger; then the new one is beside it, as `NAME.smaller.json`.

    >>> run_benchmark("weather")
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected a benchmark among forecast, forecast-eeg, ...
    """
    if name not in BENCHMARKS:
        raise SharpwaveError(f"a benchmark among {', '.join(BENCHMARKS)}", got=repr(name), fix="choose one of these")
    allowed = []
    if output is not None:
        allowed += refuse_dirty(output, allowed=allow_dirty)
        refuse_smaller(output, [], seeds=seeds, allowed=allow_smaller)
    with _show_progress(name):
        run = _find_run(name)
        chosen = {"seeds": seeds, "train": train} | _choose_parts(name, run, output, methods)
        chosen |= _choose_stream(name, run, stream, model)
        with ExitStack() as stack:
            if jobs > 1 or scheduler is not None:
                chosen = _share_out_work(name, data, jobs, scheduler, chosen, stack)
            config, rows = run(data, **chosen)
    own = {"own_data": data is not None, "own_model": model is not None}
    command = describe_command(name, seeds=seeds, train=train, stream=stream, methods=methods, **own)
    provenance = describe_provenance(command, seeds=seeds, allowed=allowed)
    result = BenchmarkResult(name, config, describe_machine(), find_commit(), rows, provenance)
    print_result(result)
    return result if output is None else _write(result, output, seeds=seeds, allow_smaller=allow_smaller)


def _write(result: BenchmarkResult, output: Path, *, seeds: int, allow_smaller: bool) -> BenchmarkResult:
    """Write it, or, where the one that is there is larger, beside it."""
    try:
        result.provenance["allowed"] += refuse_smaller(output, result.rows, seeds=seeds, allowed=allow_smaller)
    except SharpwaveError:
        result.write(output.with_suffix(".smaller.json"))
        raise
    result.write(output)
    return result


def _find_run(name: str) -> Callable[..., tuple[dict[str, Any], list[Row]]]:
    module, _, function = BENCHMARKS[name].partition(":")
    return getattr(import_module(module), function or "run")


@contextmanager
def _show_progress(name: str) -> Iterator[None]:
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        progress.add_task(f"Benchmark {name}: minutes, not seconds; fewer --seeds are faster", total=None)
        yield


def _choose_parts(
    name: str, run: Callable[..., Any], output: Path | None, methods: Sequence[str] | None
) -> dict[str, Any]:
    """Arguments of a benchmark that keeps its runs one by one: which methods to run now, and where parts lie."""
    taken = inspect.signature(run).parameters
    if "methods" not in taken:
        if methods:
            raise SharpwaveError(
                "a benchmark that runs some methods alone: continual, continual-cifar10, language or scale",
                got=f"--methods with {name}",
                fix="leave --methods out",
            )
        return {} if "parts" not in taken else {"parts": None if output is None else output.with_suffix(".parts")}
    if methods and output is None:
        raise SharpwaveError(
            "--output with --methods, beside which the other methods' runs are kept",
            got="no output",
            fix="name the JSON file with --output",
        )
    return {"methods": methods, "parts": None if output is None else output.with_suffix(".parts")}


def _choose_stream(name: str, run: Callable[..., Any], stream: str | None, model: Path | None) -> dict[str, Any]:
    """Arguments of a benchmark that has several streams and learns with a model of the user's."""
    if "stream" in inspect.signature(run).parameters:
        return {"stream": stream, "model": model}
    if stream is not None or model is not None:
        raise SharpwaveError(
            "a benchmark that takes --stream and --model: language, and --model: private-text",
            got=f"{'--stream' if model is None else '--model'} with {name}",
            fix="leave it out",
        )
    return {}


def _share_out_work(
    name: str, data: Path | None, jobs: int, scheduler: str | None, chosen: dict[str, Any], stack: ExitStack
) -> dict[str, Any]:
    """Arguments of a benchmark whose seeds, or kept runs of methods, are worked on several at a time.

    Methods run alone and keep their runs; what follows is the benchmark as it is, which finds them.
    """
    module = import_module(BENCHMARKS[name].partition(":")[0])
    by_seed = "on" in inspect.signature(_find_run(name)).parameters
    methods = [*getattr(module, "LEARNERS", ()), *([module.ABLATION] if hasattr(module, "ABLATION") else [])]
    if not by_seed and ("parts" not in chosen or not methods or chosen["train"]):
        raise SharpwaveError(
            "a benchmark of independent parts, without --train: agents, continual, continual-cifar10, criticality, "
            "language or private-audit",
            got=f"--jobs or --scheduler with {name}" + " and --train" * bool(chosen["train"]),
            fix="leave it out",
        )
    on = stack.enter_context(open_executor(jobs, scheduler, say=partial(print, file=sys.stderr)))
    if by_seed:
        return {**chosen, "on": on}
    if chosen["parts"] is None:
        chosen = {**chosen, "parts": Path(stack.enter_context(TemporaryDirectory()))}
    now = chosen["methods"] or methods
    found = {each.index: each for each in on.run(partial(_run_method, name=name, data=data, chosen=chosen), now)}
    take_values([found[index] for index in range(len(now))], now)
    return chosen


def _run_method(method: str, *, name: str, data: Path | None, chosen: dict[str, Any]) -> None:
    """Run one method, which keeps its runs; that it has nothing to be compared with does not matter here."""
    with suppress(SharpwaveError):
        _find_run(name)(data, **{**chosen, "methods": [method]})


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
