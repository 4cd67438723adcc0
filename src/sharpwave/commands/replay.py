"""`sharpwave replay`: the candidate events of a session with units, and which exceed chance before and after."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.batch import NightOutcome, attempt, finish, quieten, run_apart
from sharpwave.commands.inputs import name_source, name_sources
from sharpwave.commands.options import Overwrite, RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.commands.replay_options import ReplayOptions
from sharpwave.commands.sources import expand_sources, open_session
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import check_folder, replace_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from sharpwave.reactivation.run_check import RunCheck
    from sharpwave.reactivation.session import Progress, ReplaySession
    from sharpwave.recordings import Recording
    from sharpwave.reports.replay_page import ReplayPage

FILES = ("reactivations.tsv", "candidates.tsv", "candidates.json", "candidates.nwb", "summary.json", "report.html")
"""What is written: the significant events, all candidates, what their columns mean, the same as NWB with the sleep
states, the numbers, and the page."""

N_DRAWN = 6

COLUMNS: dict[str, str] = {
    "onset": "Seconds from the start of the recording",
    "duration": "Seconds",
    "label": "reactivation where significant, else candidate",
    "content": "Track (environment) with the largest posterior probability",
    "run_direction": "outbound or inbound: whose place fields are replayed; empty where not known",
    "epoch": "before, during or after the experience; rest between its runs, or where its time is not known",
    "source": "Where the candidate comes from: ripple, burst or given",
    "significant": "True where q is at most 0.05",
    "p": "(1 + surrogates that gain as much from the order of their bursts) / (1 + surrogates)",
    "q": "False-discovery rate over the events of the epoch (Benjamini-Hochberg)",
    "p_control": "Rank of z among the events before the experience; n/a for these themselves",
    "z": "Gain from the order of the bursts, in standard deviations from the mean of the event's surrogates",
    "n_surrogates": "Surrogates drawn for the event: p is never below 1 / (1 + n_surrogates)",
    "trajectory": "log p(spikes | continuous path) - log p(spikes | jumps anywhere)",
    "correlation": "Weighted correlation of decoded place with time in the best map, times the map's probability",
    "n_spikes": "Spikes of place cells",
    "n_active_units": "Place cells that fire",
    "content_probability": "Posterior probability of the content",
    "direction_probability": "Posterior probability of the direction, given the content",
    "p_stationary": "Share of the event in stationary dynamics",
    "p_continuous": "Share in continuous dynamics",
    "p_fragmented": "Share in fragmented dynamics",
    "dynamics": "The largest of these three",
    "speed": "Speed along the straight line through the posterior, position units per second",
    "path_start": "Position at the onset, on that line",
    "path_end": "Position at the end",
    "log_likelihood": "log p(spikes) of the state-space model",
}
"""Meaning of each column of both tables; two-dimensional paths have _x and _y."""


@with_options
def replay(
    session: Annotated[
        list[str],
        typer.Argument(
            help="Recordings with sorted units (NWB, store), folders of spikes and tracking, or data sets by name.",
            metavar="SESSION...",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME-replay].")
    ] = None,
    *,
    options: ReplayOptions,
    overwrite: Overwrite = False,
    run: Annotated[RunOptions, "jobs", "scheduler"],
) -> None:
    """Find the replays of a session, and say how many exceed chance before and after the experience.

    Writes `reactivations.tsv` (the significant events), `candidates.tsv` (all, columns explained in
    `candidates.json`), `summary.json` and `report.html`; several sessions go to one folder each.

    - `sharpwave replay session.nwb`
    - `sharpwave replay session.nwb --events ripples.tsv --n-surrogates 1000 --run 3600-6000`
    - `sharpwave replay two-tracks.nwb --run track1 --run track2`
    - `sharpwave replay session/ --area CA1 --cell-type pyramidal --quality good`
    - `sharpwave replay sessions/*.nwb -o results --jobs 4`
    """
    sources = expand_sources(session, folders=False)
    say(f"Opening {show_path(sources[0])}{f' and {len(sources) - 1} more' if len(sources) > 1 else ''} ...")
    if len(sources) > 1 or run.jobs > 1 or run.scheduler is not None:
        done = replay_sessions(
            sources, output=output, options=options, overwrite=overwrite, jobs=run.jobs, scheduler=run.scheduler
        )
        finish(done, what="sessions", done="searched for replay")
    page, words = replay_with_progress(sources[0], output=output, options=options, overwrite=overwrite)
    typer.echo("\n".join([*words, f"Open {page}"]))


@dataclass(frozen=True)
class SessionTask:
    """A session to look for replay in: how the user named it, its short name, and the folder of its results."""

    source: str
    name: str
    folder: Path


def replay_sessions(
    sources: Sequence[str],
    *,
    output: Path | None = None,
    options: ReplayOptions | None = None,
    overwrite: bool = False,
    jobs: int = 1,
    scheduler: str | None = None,
) -> list[NightOutcome]:
    """Find the replays of sessions, each with a folder of its own.

    Args:
        sources: As for `replay_to_folder`.
        output: Folder for the results of one, or for the folders of several; `sharpwave-NAME-replay` where omitted.
        options: What the user chose, for all of them.
        overwrite: Replace earlier results.
        jobs: Number of sessions at once, each in a process of its own.
        scheduler: Where they are worked on; this machine where omitted (see `open_executor`).

    Returns:
        What became of each session, in the order given.
    """
    names = name_sources(sources)
    if output is None:
        folders = [Path(f"sharpwave-{name}-replay") for name in names]
    else:
        folders = [output if len(sources) == 1 else output / name for name in names]
    tasks = [SessionTask(*parts) for parts in zip(sources, names, folders, strict=True)]
    work = partial(_replay_task, options=options, overwrite=overwrite)
    outcomes = run_apart(work, tasks, jobs=jobs, scheduler=scheduler, what="sessions")
    return [outcomes[index] for index in range(len(tasks))]


def _replay_task(task: SessionTask, options: ReplayOptions | None, overwrite: bool) -> NightOutcome:
    quieten()

    def act() -> tuple[str, Path]:
        page, words = replay_to_folder(
            task.source, output=task.folder, name=task.name, options=options, overwrite=overwrite
        )
        return " ".join(words), page

    return attempt(task.name, act, folder=task.folder)


def replay_to_folder(
    source: str,
    *,
    output: Path | None = None,
    name: str | None = None,
    options: ReplayOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, list[str]]:
    """Find the replays of a session and write `FILES`.

    Args:
        source: A recording with units (NWB, store), a folder `rat-ca1-*`, or a data set by name.
        output: Folder for the results; `sharpwave-NAME-replay` where omitted.
        name: Short name of the session; that of its file where omitted.
        options: What the user chose.
        overwrite: Replace earlier results.
        progress: Called with (step, number done, number of steps).

    Returns:
        The page's path, and the findings in words.

    Raises:
        SharpwaveError: If the folder has results already or something else in it, or the session has no units, no
            experience or no candidates.
    """
    from sharpwave.reports.replay_page import describe_test
    from sharpwave.reports.replay_run import describe_check

    options = options or ReplayOptions()
    name = name or name_source(source)
    folder = output or Path(f"sharpwave-{name}-replay")
    if (folder / FILES[0]).exists() and not overwrite:
        raise SharpwaveError(
            "a folder without reactivations", got=str(folder), fix="give another --output, or --overwrite"
        )
    check_folder(folder, known=FILES)
    recording = choose_signals(open_session(source), options)
    session, check = _analyse(recording, options, progress)
    with replace_folder(folder, known=FILES) as partial:
        write_session(
            session, recording, partial, check=check, identifier=name, source=show_path(source), seed=options.seed
        )
    words = [] if check is None else describe_check(check)
    found = [describe_test(row, n_runs=len(session.experience.runs)) for row in session.tests.to_dict("records")]
    return folder / "report.html", [*words, *found, *session.notes]


def _analyse(
    recording: Recording, options: ReplayOptions, progress: Progress | None
) -> tuple[ReplaySession, RunCheck | None]:
    """The session as the user chose it, and whether its run was decoded; None where it has none."""
    import numpy as np

    from sharpwave.reactivation.given_events import read_events
    from sharpwave.reactivation.run_check import check_run
    from sharpwave.reactivation.session import analyse_session
    from sharpwave.reactivation.tracks import read_track_graph

    session = analyse_session(
        recording,
        rng=np.random.default_rng(options.seed),
        run=options.run or None,
        lag=options.lag,
        graph=None if options.track_graph is None else read_track_graph(options.track_graph),
        events=None if options.events is None else read_events(options.events),
        source=options.candidates,
        surrogate=options.surrogate,
        n_surrogates=options.n_surrogates,
        statistic=options.statistic,
        min_units=options.min_units,
        progress=progress,
    )
    if not session.experience.environments:
        return session, None
    if progress is not None:
        progress("decoding the run", 0, 1)
    rng = np.random.default_rng([options.seed, 1])
    return session, check_run(recording.spikes, session.experience.environments, rng=rng)


def replay_with_progress(source: str, **arguments: Any) -> tuple[Path, list[str]]:
    """`replay_to_folder` with what is under way on stderr."""
    from rich.console import Console

    quieten()
    with Console(stderr=True).status("Opening the session ...") as status:

        def report(step: str, done: int, total: int) -> None:
            status.update(f"{step} ({min(done + 1, total)} of {total}) ...")

        return replay_to_folder(source, progress=report, **arguments)


def choose_signals(recording: Recording, options: ReplayOptions) -> Recording:
    """The session with the units, the LFP channel and the position that the user named, or those that fit best.

    Args:
        recording: The session.
        options: What the user chose.

    Raises:
        SharpwaveError: If there is no channel or series of this name, or no such unit.
    """
    from sharpwave.reactivation.tracking import choose_position
    from sharpwave.reactivation.unit_choice import choose_units, drop_repeated_units
    from sharpwave.signals.lfp_channels import choose_lfp

    words = {"area": options.area, "cell_type": options.cell_type, "quality": options.quality}
    recording = choose_units(drop_repeated_units(recording), **{name: chosen or () for name, chosen in words.items()})
    if options.position is not None:
        recording = choose_position(recording, options.position)
    ripples = options.events is None and options.candidates != "bursts"
    return choose_lfp(recording, options.lfp, single=True) if ripples or options.lfp is not None else recording


def write_session(
    session: ReplaySession,
    recording: Recording,
    folder: Path,
    *,
    check: RunCheck | None = None,
    identifier: str,
    source: str,
    seed: int,
) -> Path:
    """Write the table, its columns' meaning, the summary and the page.

    Args:
        session: What was found.
        recording: The recording it was found in.
        folder: Folder to write to.
        check: Whether the run was decoded; None where it was not checked.
        identifier: Short name of the session.
        source: How the user named it.
        seed: Seed of the surrogates.

    Returns:
        The page's path.
    """
    import numpy as np

    from sharpwave.night.methods import read_versions
    from sharpwave.recordings.store.write_nwb import write_nwb_intervals
    from sharpwave.reports.archive import to_json
    from sharpwave.reports.replay_figures import take_events
    from sharpwave.reports.replay_page import ReplayPage, write_replay_page

    folder.mkdir(parents=True, exist_ok=True)
    events = session.events
    _write_tables(events, folder)
    write_nwb_intervals(recording, {"candidates": events}, folder / "candidates.nwb", descriptions=COLUMNS)
    order = np.argsort(-events["z"].to_numpy())
    middle = np.argsort(np.abs(events["p"].rank(pct=True).to_numpy() - 0.5), kind="stable")
    page = ReplayPage(
        identifier=identifier,
        source=source,
        simulated=recording.source.startswith("simulated"),
        duration=recording.duration,
        settings=session.settings | {"seed": seed},
        tests=session.tests,
        contents=tabulate_contents(events),
        best=take_events(session, order[:N_DRAWN].tolist()),
        typical=take_events(session, middle[:N_DRAWN].tolist()),
        notes=[*session.experience.notes, *session.notes, *recording.repairs],
        versions=read_versions(("numpy", "scipy", "pandas", "pynapple", "numba", "ripple-detection")),
        fields=session.experience.fields,
        check=check,
        n_runs=len(session.experience.runs),
    )
    (folder / "summary.json").write_text(to_json(_summarise(page, events, recording.species)), encoding="utf-8")
    return write_replay_page(page, folder / "report.html")


def _write_tables(events: pd.DataFrame, folder: Path) -> None:
    """All candidates, the significant ones, and what the columns mean."""
    from sharpwave.reports.archive import to_json
    from sharpwave.reports.files import write_table

    write_table(events, folder / "candidates.tsv")
    write_table(events[events["significant"]], folder / "reactivations.tsv")
    names = [str(name) for name in events]
    meanings = {name: {"Description": COLUMNS[name.removesuffix("_x").removesuffix("_y")]} for name in names}
    (folder / "candidates.json").write_text(to_json(meanings), encoding="utf-8")


def _summarise(page: ReplayPage, events: pd.DataFrame, species: str) -> dict[str, Any]:
    """What the page says, as `summary.json` holds it."""
    from sharpwave.reports.files import records

    return {
        "identifier": page.identifier,
        "source": page.source,
        "species": species,
        "simulated": page.simulated,
        "duration_s": page.duration,
        "n_events": len(events),
        "n_significant": int(events["significant"].sum()),
        "tests": records(page.tests),
        "contents": records(page.contents),
        "run_check": None if page.check is None else page.check.to_dict(),
        "settings": page.settings,
        "notes": page.notes,
        "versions": page.versions,
    }


def tabulate_contents(events: pd.DataFrame) -> pd.DataFrame:
    """Events and significant events by epoch and content; empty where there is one content."""
    import pandas as pd

    if events["content"].nunique() < 2:
        return pd.DataFrame(columns=["epoch", "content", "n_events", "n_significant"])
    grouped = events.groupby(["epoch", "content"], sort=True)["significant"]
    return grouped.agg(n_events="size", n_significant="sum").reset_index()
