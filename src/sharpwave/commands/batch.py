"""Several nights: resume, parallel jobs, and one record from which exit code and last line both come."""

from __future__ import annotations

import json
import logging
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import typer

from sharpwave.commands.inputs import compute_key, name_sources
from sharpwave.commands.progress import Lines
from sharpwave.commands.tasks import LOG, NightLog, NightTask, check_group_page, is_whole, read_key
from sharpwave.disk import explain_error, show_path
from sharpwave.errors import SharpwaveError
from sharpwave.executors import Finished, never, open_executor

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from sharpwave.night.decoded import DecodedNight
    from sharpwave.night.options import DecodeOptions
    from sharpwave.recordings import Recording

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
        return {**asdict(self), "report": None if self.report is None else show_path(self.report)}


def compute_exit_code(outcomes: Sequence[NightOutcome]) -> int:
    """0 if all nights are done, 1 if one failed or could not be used."""
    return int(any(outcome.status in ("failed", "refused") for outcome in outcomes))


def describe_outcomes(outcomes: Sequence[NightOutcome], *, what: str = "nights", done: str = "decoded") -> str:
    """Lines that say what became of each night; the last one sums up what the exit code says.

    Args:
        outcomes: One a night, or a session.
        what: What they are; nights by default.
        done: What was done with them; decoded by default.
    """
    lines = []
    for outcome in outcomes:
        where = f" → {show_path(outcome.report)}" if outcome.report else ""
        lines.append(
            f"{outcome.identifier}: {outcome.status}{where}" + (f" ({outcome.message})" if outcome.message else "")
        )
    counts = {status: sum(o.status == status for o in outcomes) for status in ("done", "skipped", "refused", "failed")}
    bad = counts["failed"] + counts["refused"]
    summary = ", ".join(f"{count} {status}" for status, count in counts.items() if count) or "nothing to do"
    if len(outcomes) == 1 and not bad and outcomes[0].report:
        lines.append(f"Open {show_path(outcomes[0].report)}")
    else:
        lines.append(f"{f'Some {what} failed' if bad else f'All {what} {done}'}: {summary}.")
    return "\n".join(lines)


def finish(outcomes: Sequence[NightOutcome], *, json_lines: bool = False, **words: str) -> None:
    """Print what happened and exit: the code and the last line come from the same record."""
    if json_lines:
        for outcome in outcomes:
            typer.echo(json.dumps(outcome.to_dict()))
    typer.echo(describe_outcomes(outcomes, **words), err=json_lines)
    raise typer.Exit(compute_exit_code(outcomes))


def plan_nights(sources: Sequence[str], output: Path | None) -> list[NightTask]:
    """One task per source: one night goes to `output` itself, several to one folder each; default `sharpwave-NAME`."""
    names = name_sources(sources)
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
    scheduler: str | None = None,
    existing: Existing = "refuse",
    stop_on_first_crash: bool = False,
    verbose: bool = False,
) -> list[NightOutcome]:
    """Decode nights, with a progress bar on stderr.

    Args:
        tasks: What to decode and where to (see `plan_nights`).
        options: How to decode.
        jobs: Nights decoded at once, each in a process of its own. One that kills its process is tried once more,
            alone, and then failed by name; no other night is touched by it.
        scheduler: Where the nights are decoded; this machine where omitted (see `open_executor`).
        existing: What to do where there are results already: "skip" those of the same input, version and options and
            replace others, "overwrite" all, or "refuse" to replace others.
        stop_on_first_crash: Leave the remaining nights alone after a failure.
        verbose: Show tracebacks and library messages.

    Returns:
        One outcome per night, in the order given.
    """
    days = any(task.days is not None for task in tasks)  # of a long recording: nothing may add up over them
    if scheduler is None and not days and (jobs == 1 or len(tasks) == 1):
        outcomes = _run_in_turn(tasks, options, existing, verbose, stop_on_first_crash)
    else:
        work = partial(_decode_task, options=options, existing=existing, verbose=verbose)
        outcomes = run_apart(
            work, tasks, jobs=jobs, scheduler=scheduler, fresh=days, stop_on_first_crash=stop_on_first_crash
        )
    return [
        outcomes.get(index, NightOutcome(task.name, "failed", "not tried: an earlier night failed"))
        for index, task in enumerate(tasks)
    ]


def _open_progress() -> Progress:
    """A bar on stderr, with how many are done and the time it took."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)


def _run_in_turn(
    tasks: Sequence[NightTask], options: DecodeOptions, existing: Existing, verbose: bool, stop: bool
) -> dict[int, NightOutcome]:
    outcomes: dict[int, NightOutcome] = {}
    lines = Lines(every=0)
    with _open_progress() as progress:
        for index, task in enumerate(tasks):
            bar = progress.add_task(task.name, total=None)
            lines(f"{task.name} ({index + 1} of {len(tasks)})")

            def show(step: str, done: int, total: int, bar: TaskID = bar, name: str = task.name) -> None:
                progress.update(bar, description=f"{name}: {step}", completed=done, total=total)
                if len(tasks) == 1:
                    lines(f"{name}: {step}")

            outcomes[index] = _decode_task(task, options, existing, verbose, show)
            progress.remove_task(bar)
            if stop and outcomes[index].status == "failed":
                break
    return outcomes


class Named(Protocol):
    """A task with the name that is told where it fails."""

    @property
    def name(self) -> str: ...


def run_apart(
    work: Callable[[Any], NightOutcome],
    tasks: Sequence[Named],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    fresh: bool = False,
    stop_on_first_crash: bool = False,
    what: str = "nights",
) -> dict[int, NightOutcome]:
    """Work on tasks through an executor: one that kills its process is tried once more, and then failed by name.

    Args:
        work: Function of a module that says what became of a task.
        tasks: What it is called with.
        jobs: Number of tasks at once, each in a process of its own; one after another in this process by default.
        scheduler: As for `open_executor`.
        fresh: Whether each task has a new process; False by default.
        stop_on_first_crash: Whether none begins after one that failed; False by default.
        what: What they are; nights by default.

    Returns:
        Outcomes by place among the tasks.
    """
    outcomes: dict[int, NightOutcome] = {}

    def read(finished: Finished) -> NightOutcome:
        return finished.value or NightOutcome(tasks[finished.index].name, "failed", finished.error)

    enough = (lambda finished: read(finished).status == "failed") if stop_on_first_crash else never
    lines = Lines()
    with (
        _open_progress() as progress,
        open_executor(jobs, scheduler, fresh=fresh, say=partial(progress.console.print, markup=False)) as executor,
    ):
        bar = progress.add_task(what, total=len(tasks))
        for finished in executor.run(work, tasks, enough=enough):
            outcomes[finished.index] = read(finished)
            progress.advance(bar)
            lines(f"{len(outcomes)} of {len(tasks)} {what}")
    return outcomes


def attempt(name: str, act: Callable[[], tuple[str, Path | None]], *, folder: Path | None = None) -> NightOutcome:
    """Do something for one night; whatever goes wrong is its outcome, in one line, and ends no batch.

    Args:
        name: Short name of the night.
        act: What is done; gives a sentence, and the page or None.
        folder: Folder that is written to, for what is said of a disk that is full; None where nothing is written.
    """
    begin = time.perf_counter()
    try:
        message, page = act()
        return NightOutcome(name, "done", message, page, time.perf_counter() - begin)
    except SharpwaveError as error:
        said = str(error)
    except Exception as error:  # one night's crash must not take the others with it
        explained = None if folder is None else explain_error(error, folder)
        said = str(explained or f"{type(error).__name__}: {error}")
    return NightOutcome(name, "failed", show_path(said), None, time.perf_counter() - begin)


def _decode_task(
    task: NightTask,
    options: DecodeOptions,
    existing: Existing,
    verbose: bool,
    progress: Callable[[str, int, int], None] | None = None,
) -> NightOutcome:
    """Decode one night; whatever goes wrong with it, in its files or on its disk, is an outcome and ends no batch."""
    begin = time.perf_counter()
    if not verbose:
        quieten()
    log = NightLog(task, progress)
    try:
        return _decode_night(task, options, existing, log, begin)
    except SharpwaveError as error:
        message, details = str(error), f"failed: {error}"
    except Exception as error:  # one night's crash must not take the others with it
        explained = explain_error(error, task.folder)
        message = str(explained or f"{type(error).__name__}: {error}")
        details = traceback.format_exc()
        if verbose:
            traceback.print_exc()
    where = log.write_failure(details)
    if where is not None and not details.startswith("failed:"):
        message += f" ({show_path(where)} says where)"
    return NightOutcome(task.name, "failed", show_path(message), None, time.perf_counter() - begin)


def _decode_night(
    task: NightTask, options: DecodeOptions, existing: Existing, log: NightLog, begin: float
) -> NightOutcome:
    from sharpwave.night.decode import decode_recording
    from sharpwave.night.options import open_source

    source = show_path(task.source) if task.night is None else f"{show_path(task.source)} ({task.night.label})"
    options = replace(options, identifier=task.name, source=source)
    task.settle()
    recording = None if task.days is None else take_part(open_source(task.source, options), task)
    key = compute_key(task.source, options, part=recording)
    earlier = read_key(task.summary)
    if earlier == key and existing != "overwrite" and is_whole(task):
        return NightOutcome(task.name, "skipped", "already decoded from the same input", task.page)
    if earlier not in (None, key) and existing == "refuse":
        raise SharpwaveError(
            f"an empty folder for the results of {options.source}",
            got=f"{task.folder} with results of another input, version or setting",
            fix="give another --output, or --overwrite",
        )
    task.check()
    log.begin()
    if recording is None:
        recording = take_part(open_source(task.source, options), task)
    night = decode_recording(recording, options=options, key=key, progress=log)
    if existing != "overwrite" and read_key(task.summary) == key and is_whole(task):
        return NightOutcome(task.name, "skipped", "another process decoded it meanwhile", task.page)
    return finish_night(night, task, options, begin, log=log)


def take_part(recording: Recording, task: NightTask) -> Recording:
    """The night of a recording of several days that a task is about; the whole where it is about all of it."""
    if task.night is None:
        return recording
    from sharpwave.night.days import DayClock, mark_day
    from sharpwave.night.several_nights import take_night

    part = take_night(recording, task.night)
    if task.days is None:
        return part
    return mark_day(part, task.night, DayClock(recording.start, task.days.time_zone))


def finish_night(
    night: DecodedNight, task: NightTask, options: DecodeOptions, begin: float, *, log: NightLog | None = None
) -> NightOutcome:
    """Write the results of a night, with its log among them, and say what became of it."""
    refused = night.verdict == "not usable"
    status: Literal["refused", "done"] = "refused" if refused else "done"
    message = night.reasons[0] if refused else night.verdict
    texts = {} if log is None else {LOG: log.compose([f"{status}: {message}", *night.repairs, *night.refusals])}
    page = task.write(night, options, texts)
    return NightOutcome(task.name, status, message, page, time.perf_counter() - begin)


def quieten() -> None:
    warnings.simplefilter("ignore")
    for name in ("mne", "yasa", "matplotlib"):
        logging.getLogger(name).setLevel(logging.ERROR)


def write_group_page(tasks: Sequence[NightTask], path: Path, outcomes: Sequence[NightOutcome] = ()) -> Path | None:
    """Write the page over all nights, with `nights.tsv` and `nights.parquet` beside it.

    Args:
        tasks: The nights, with results or without.
        path: The page; its folder must exist.
        outcomes: What became of the nights, so that the page says why one is missing.

    Returns:
        The page; None where no night has results, or it cannot be written.
    """
    from sharpwave.reports.nights_page import write_nights_page
    from sharpwave.reports.nights_table import NightResult, tabulate_nights, write_nights

    reasons = {outcome.identifier: outcome.message for outcome in outcomes if outcome.status == "failed"}
    results = []
    for task in tasks:
        task.settle()
        labels = dict(part.split("-", 1) for part in (task.entities or "").split("_") if "-" in part)
        there = task.summary.is_file()
        results.append(
            NightResult(
                task.name,
                summary=task.summary if there else None,
                page=task.page if there else None,
                session=labels.get("ses", ""),
                subject=labels.get("sub", ""),
                reason=reasons.get(task.name, ""),
            )
        )
    if not any(result.summary for result in results):
        return None
    try:
        check_group_page(path)
        table = tabulate_nights(results, folder=path.parent)
        if len(write_nights(table, path.parent)) == 1:
            typer.echo("nights.parquet is that of `sharpwave cohort`: run it again for what is new", err=True)
        return write_nights_page(table, path, actograms=[task.actogram for task in tasks if task.actogram is not None])
    except Exception as error:  # the nights are decoded all the same
        typer.echo(f"The page over all nights was not written: {show_path(error)}", err=True)
        return None
