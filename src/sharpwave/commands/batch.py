"""Several nights: resume, parallel jobs, and one record from which exit code and last line both come."""

from __future__ import annotations

import hashlib
import json
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from sharpwave import __version__
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sharpwave.night.decoded import DecodedNight
    from sharpwave.night.options import DecodeOptions
    from sharpwave.night.several_nights import NightSpan

Existing = Literal["skip", "overwrite", "refuse"]


@dataclass(frozen=True)
class NightOutcome:
    """What became of one night.

    Attributes:
        identifier: Short name of the night.
        status: "done", "skipped" (already decoded), "refused" (a report that says why) or "failed".
        message: One sentence.
        report: The page, where there is one.
        seconds: Time it took, in seconds.
    """

    identifier: str
    status: Literal["done", "skipped", "refused", "failed"]
    message: str = ""
    report: Path | None = None
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "report": None if self.report is None else str(self.report)}


def compute_exit_code(outcomes: Sequence[NightOutcome]) -> int:
    """0 if all nights are done, 1 if one failed or could not be used."""
    return int(any(outcome.status in ("failed", "refused") for outcome in outcomes))


def describe_outcomes(outcomes: Sequence[NightOutcome]) -> str:
    """Lines that say what became of each night; the last one sums up what the exit code says."""
    lines = []
    for outcome in outcomes:
        where = f" → {outcome.report}" if outcome.report else ""
        lines.append(
            f"{outcome.identifier}: {outcome.status}{where}" + (f" ({outcome.message})" if outcome.message else "")
        )
    counts = {status: sum(o.status == status for o in outcomes) for status in ("done", "skipped", "refused", "failed")}
    bad = counts["failed"] + counts["refused"]
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing to do"
    if len(outcomes) == 1 and not bad and outcomes[0].report:
        lines.append(f"Open {outcomes[0].report}")
    else:
        lines.append(f"{'Some nights failed' if bad else 'All nights decoded'}: {summary}.")
    return "\n".join(lines)


def finish(outcomes: Sequence[NightOutcome], *, json_lines: bool = False) -> None:
    """Print what happened and exit: the code and the last line come from the same record."""
    if json_lines:
        for outcome in outcomes:
            typer.echo(json.dumps(outcome.to_dict()))
    typer.echo(describe_outcomes(outcomes), err=json_lines)
    raise typer.Exit(compute_exit_code(outcomes))


def name_source(source: str) -> str:
    """Short name of a night: the file's name without its endings, or `dataset-subject`."""
    path = Path(source)
    if path.exists():
        name = path.name
        for ending in (".gz", *path.suffixes[::-1]):
            name = name.removesuffix(ending)
        return name or path.name
    return source.replace("/", "-")


@dataclass(frozen=True)
class NightTask:
    """One night to decode, and where its results go.

    Attributes:
        source: Path of the recording, or a data set by name.
        name: Short name of the night.
        folder: Folder of its results; for BIDS derivatives, their root.
        entities: BIDS entities ("sub-01_ses-2_task-sleep"); None for plain files.
        hypnogram: Also write BIDS's proposed `_hypnogram.tsv`.
        night: The night to take of a recording of several days; None where the recording is one night.
    """

    source: str
    name: str
    folder: Path
    entities: str | None = None
    hypnogram: bool = False
    night: NightSpan | None = None

    @property
    def summary(self) -> Path:
        if self.entities is None:
            return self.folder / "summary.json"
        from sharpwave.reports.files import locate_summary

        return locate_summary(self.folder, self.entities)

    @property
    def page(self) -> Path:
        if self.entities is None:
            return self.folder / "report.html"
        from sharpwave.reports.files import locate_page

        return locate_page(self.folder, self.entities)

    @property
    def log(self) -> Path:
        if self.entities is None:
            return self.folder / "log.txt"
        return self.summary.with_name(self.summary.name.replace("_summary.json", "_log.txt"))

    def write(self, night: DecodedNight, options: DecodeOptions) -> Path:
        """Write all files; returns the path of the page."""
        from sharpwave.reports.files import write_bids_files, write_files

        if self.entities is None:
            return write_files(night, self.folder, config=options.to_dict())
        return write_bids_files(night, self.folder, self.entities, config=options.to_dict(), hypnogram=self.hypnogram)


class NightLog:
    """What happened to a night, step by step: passed on as progress, and written beside the results."""

    def __init__(self, path: Path, progress: Callable[[str, int, int], None] | None) -> None:
        self._path = path
        self._progress = progress
        self._begin = time.perf_counter()
        self._lines = [f"sharpwave {__version__}"]

    def __call__(self, step: str, done: int, total: int) -> None:
        self._lines.append(f"{time.perf_counter() - self._begin:8.1f} s  {step}")
        if self._progress is not None:
            self._progress(step, done, total)

    def write(self, lines: Sequence[str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("\n".join([*self._lines, *lines]) + "\n", encoding="utf-8")


def plan_nights(sources: Sequence[str], output: Path | None) -> list[NightTask]:
    """One task per source: one night goes to `output` itself, several to one folder each; default `sharpwave-NAME`."""
    names = unique_names([name_source(source) for source in sources])
    if output is None:
        folders = [Path(f"sharpwave-{name}") for name in names]
    else:
        folders = [output if len(sources) == 1 else output / name for name in names]
    return [NightTask(*parts) for parts in zip(sources, names, folders, strict=True)]


def decode_nights(
    tasks: Sequence[NightTask],
    options: DecodeOptions,
    *,
    jobs: int = 1,
    existing: Existing = "refuse",
    stop_on_first_crash: bool = False,
    verbose: bool = False,
) -> list[NightOutcome]:
    """Decode nights, with a progress bar on stderr.

    Args:
        tasks: What to decode and where to (see `plan_nights`).
        options: How to decode.
        jobs: Nights decoded at once, each in a process of its own.
        existing: What to do where there are results already: "skip" those of the same input, version and options and
            replace others, "overwrite" all, or "refuse" to replace others.
        stop_on_first_crash: Leave the remaining nights alone after a failure.
        verbose: Show tracebacks and library messages.

    Returns:
        One outcome per night, in the order given.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        run = _run_in_turn if jobs == 1 or len(tasks) == 1 else _run_in_parallel
        outcomes = run(tasks, options, existing, verbose, stop_on_first_crash, jobs, progress)
    return [
        outcomes.get(index, NightOutcome(task.name, "failed", "not tried: an earlier night failed"))
        for index, task in enumerate(tasks)
    ]


def _run_in_turn(
    tasks: Sequence[NightTask],
    options: DecodeOptions,
    existing: Existing,
    verbose: bool,
    stop: bool,
    jobs: int,
    progress: Progress,
) -> dict[int, NightOutcome]:
    outcomes: dict[int, NightOutcome] = {}
    for index, task in enumerate(tasks):
        bar = progress.add_task(task.name, total=None)

        def show(step: str, done: int, total: int, bar: TaskID = bar, name: str = task.name) -> None:
            progress.update(bar, description=f"{name}: {step}", completed=done, total=total)

        outcomes[index] = _decode_task(task, options, existing, verbose, show)
        progress.remove_task(bar)
        if stop and outcomes[index].status == "failed":
            break
    return outcomes


def _run_in_parallel(
    tasks: Sequence[NightTask],
    options: DecodeOptions,
    existing: Existing,
    verbose: bool,
    stop: bool,
    jobs: int,
    progress: Progress,
) -> dict[int, NightOutcome]:
    outcomes: dict[int, NightOutcome] = {}
    bar = progress.add_task("nights", total=len(tasks))
    with ProcessPoolExecutor(min(jobs, len(tasks)), mp_context=get_context("spawn")) as pool:
        futures = {
            pool.submit(_decode_task, task, options, existing, verbose): index for index, task in enumerate(tasks)
        }
        for future in as_completed(futures):
            index = futures[future]
            try:
                outcomes[index] = future.result()
            except CancelledError:
                continue
            except Exception as error:  # a killed worker must not take the other nights with it
                outcomes[index] = NightOutcome(tasks[index].name, "failed", f"the process died: {error}")
            progress.advance(bar)
            if stop and outcomes[index].status == "failed":
                pool.shutdown(wait=False, cancel_futures=True)
    return outcomes


def unique_names(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    unique = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        unique.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return unique


def _decode_task(
    task: NightTask,
    options: DecodeOptions,
    existing: Existing,
    verbose: bool,
    progress: Callable[[str, int, int], None] | None = None,
) -> NightOutcome:
    begin = time.perf_counter()
    if not verbose:
        quieten()
    from sharpwave.night.decode import decode_recording
    from sharpwave.night.options import open_source

    source = task.source if task.night is None else f"{task.source} ({task.night.label})"
    options = replace(options, identifier=task.name, source=source)
    log = NightLog(task.log, progress)
    try:
        key = compute_key(task.source, options)
        earlier = read_key(task.summary)
        if earlier == key and existing != "overwrite":
            return NightOutcome(task.name, "skipped", "already decoded from the same input", task.page)
        if earlier is not None and existing == "refuse":
            raise SharpwaveError(
                f"an empty folder for the results of {task.source}",
                got=f"{task.folder} with results of another input, version or setting",
                fix="give another --output, or --overwrite",
            )
        recording = open_source(task.source, options)
        if task.night is not None:
            from sharpwave.night.several_nights import take_night

            recording = take_night(recording, task.night)
        night = decode_recording(recording, options=options, key=key, progress=log)
        outcome = finish_night(night, task, options, begin)
        log.write([f"{outcome.status}: {outcome.message}", *night.repairs, *night.refusals])
        return outcome
    except SharpwaveError as error:
        log.write([f"failed: {error}"])
        return NightOutcome(task.name, "failed", str(error), None, time.perf_counter() - begin)
    except Exception as error:  # one night's crash must not take the others with it
        log.write([traceback.format_exc()])
        if verbose:
            traceback.print_exc()
        message = f"{type(error).__name__}: {error} ({task.log} says where)"
        return NightOutcome(task.name, "failed", message, None, time.perf_counter() - begin)


def finish_night(night: DecodedNight, task: NightTask, options: DecodeOptions, begin: float) -> NightOutcome:
    page = task.write(night, options)
    refused = night.verdict == "not usable"
    message = night.reasons[0] if refused else night.verdict
    return NightOutcome(task.name, "refused" if refused else "done", message, page, time.perf_counter() - begin)


def quieten() -> None:
    warnings.simplefilter("ignore")
    for name in ("mne", "yasa", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)


def compute_key(source: str, options: DecodeOptions) -> str:
    """SHA-256 over the input's bytes, the version and the options: the same key means the same results.

    A data set by name is known by its files' names and sizes; a store by its metadata and its chunks' sizes.
    """
    digest = hashlib.sha256()
    digest.update(json.dumps([__version__, options.to_dict()], sort_keys=True).encode())
    for path in (Path(source), options.stages, options.cues, options.reactivations):
        if path is None:
            continue
        if path.is_file():
            with path.open("rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        elif path.is_dir():
            for part in sorted(path.rglob("*")):
                if part.is_file():
                    digest.update(f"{part.relative_to(path)} {part.stat().st_size}".encode())
                    if part.name == "zarr.json":
                        digest.update(part.read_bytes())
    return digest.hexdigest()


def read_key(summary: Path) -> str | None:
    """The key under which results were made, or None where there are none."""
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["hashes"]["key"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def write_group_page(tasks: Sequence[NightTask], path: Path) -> Path | None:
    """The page that lists all nights with results; None where there are none."""
    from sharpwave.reports.index import write_index_of_summaries

    summaries = {task.page: task.summary for task in tasks if task.summary.is_file()}
    return write_index_of_summaries(summaries, path) if summaries else None
