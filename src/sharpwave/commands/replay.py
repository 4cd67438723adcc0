"""`sharpwave replay`: the candidate events of a session with units, and which exceed chance before and after."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.batch import quieten
from sharpwave.commands.inputs import name_source
from sharpwave.commands.options import Overwrite, with_options
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import open_source, option
from sharpwave.outputs import check_folder, replace_folder

if TYPE_CHECKING:
    import pandas as pd

    from sharpwave.reactivation.session import Progress, ReplaySession
    from sharpwave.recordings import Recording
    from sharpwave.reports.replay_figures import DrawnEvent

FILES = ("reactivations.tsv", "candidates.tsv", "candidates.json", "summary.json", "report.html")
"""What is written: the significant events, all candidates, what their columns mean, the numbers, and the page."""

FOLDERS = ("rat-ca1", "rat-ca1-events")
"""Data sets whose files may also be given as a folder of any name."""

N_DRAWN = 6

COLUMNS: dict[str, str] = {
    "onset": "Seconds from the start of the recording",
    "duration": "Seconds",
    "label": "reactivation where significant, else candidate",
    "content": "Track (environment) with the largest posterior probability",
    "run_direction": "outbound or inbound: whose place fields are replayed; empty where not known",
    "epoch": "before, during or after the experience; rest where its time is not known",
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


@dataclass(frozen=True)
class ReplayOptions:
    """What the user chose.

    Attributes:
        run: Start and end of the experience, in seconds; found from running where None.
        events: Table of candidate events (onset, duration in s).
        candidates: "ripples", "bursts" or "auto".
        surrogate: Kind of surrogates.
        n_surrogates: Number of surrogates of each event.
        statistic: Score that gives p; the default of the environment where None.
        min_units: Fewest place cells that fire in an event.
        seed: Seed of the surrogates.
    """

    run: tuple[float, float] | None = option(
        None, "Start and end of the experience in seconds [default: found from running]."
    )
    events: Path | None = option(None, "Table of your own candidate events: onset and duration in seconds.")
    candidates: str = option(
        "auto", "What the candidate events are: ripples, bursts (of spikes), or auto (ripples where there is an LFP)."
    )
    surrogate: str = option(
        "cell-identity",
        "What surrogates exchange: cell-identity. place-field, time-bin and poisson are not calibrated alone, and are "
        "paired with it: p is the larger of both.",
    )
    n_surrogates: int = option(
        500, "Number of surrogates; events that look significant get up to 20 times as many.", min=20
    )
    statistic: str | None = option(
        None,
        "Score of an event: correlation or trajectory [default: correlation on tracks, trajectory in open fields].",
    )
    min_units: int = option(5, "Smallest number of place cells that fire in an event.", min=2)
    seed: int = option(0, "Seed of the surrogates.")


@with_options
def replay(
    session: Annotated[
        str,
        typer.Argument(
            help="A recording with sorted units (NWB, store), a folder of spikes and tracking, or a data set by name.",
            metavar="SESSION",
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME-replay].")
    ] = None,
    *,
    options: ReplayOptions,
    overwrite: Overwrite = False,
) -> None:
    """Find the replays of a session, and say how many exceed chance before and after the experience.

    Writes `reactivations.tsv` (the significant events), `candidates.tsv` (all, columns explained in
    `candidates.json`), `summary.json` and `report.html`.

    - `sharpwave replay session.nwb`
    - `sharpwave replay session.nwb --events ripples.tsv --n-surrogates 1000 --run 3600 6000`
    """
    page, words = replay_with_progress(session, output=output, options=options, overwrite=overwrite)
    for line in words:
        typer.echo(line)
    typer.echo(f"Open {page}")


def replay_to_folder(
    source: str,
    *,
    output: Path | None = None,
    options: ReplayOptions | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> tuple[Path, list[str]]:
    """Find the replays of a session and write `FILES`.

    Args:
        source: A recording with units (NWB, store), a folder `rat-ca1-*`, or a data set by name.
        output: Folder for the results; `sharpwave-NAME-replay` where omitted.
        options: What the user chose.
        overwrite: Replace earlier results.
        progress: Called with (step, number done, number of steps).

    Returns:
        The page's path, and the findings in words.

    Raises:
        SharpwaveError: If the folder has results already or something else in it, or the session has no units, no
            experience or no candidates.
    """
    import numpy as np

    from sharpwave.reactivation.session import analyse_session
    from sharpwave.reports.replay_page import describe_test

    options = options or ReplayOptions()
    name = name_source(source)
    folder = output or Path(f"sharpwave-{name}-replay")
    if (folder / FILES[0]).exists() and not overwrite:
        raise SharpwaveError(
            "a folder without reactivations", got=str(folder), fix="give another --output, or --overwrite"
        )
    check_folder(folder, known=FILES)
    recording = open_session(source)
    session = analyse_session(
        recording,
        rng=np.random.default_rng(options.seed),
        run=options.run,
        events=None if options.events is None else read_events(options.events),
        source=options.candidates,
        surrogate=options.surrogate,
        n_surrogates=options.n_surrogates,
        statistic=options.statistic,
        min_units=options.min_units,
        progress=progress,
    )
    with replace_folder(folder, known=FILES) as partial:
        write_session(session, recording, partial, identifier=name, source=show_path(source), seed=options.seed)
    found = [describe_test(row) for row in session.tests.to_dict("records")]
    return folder / "report.html", [*found, *session.notes]


def replay_with_progress(source: str, **arguments: Any) -> tuple[Path, list[str]]:
    """`replay_to_folder` with what is under way on stderr."""
    from rich.console import Console

    quieten()
    with Console(stderr=True).status("Opening the session ...") as status:

        def report(step: str, done: int, total: int) -> None:
            status.update(f"{step} ({min(done + 1, total)} of {total}) ...")

        return replay_to_folder(source, progress=report, **arguments)


def open_session(source: str) -> Recording:
    """Open a recording by path or data-set name, or a folder of `FOLDERS`' files whatever its name."""
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    path = Path(source)
    if path.is_dir() and path.suffix != ".zarr":
        for name in FOLDERS:
            try:
                subjects = list_subjects(name, path)
            except SharpwaveError:
                continue
            return load_dataset(f"{name}/{subjects[0]}", path)
        raise SharpwaveError(
            "a recording, or a folder with spikes*.mat or Spiking*.mat",
            got=f"the folder {source} without either",
            fix="name a file, a store (.zarr), or a data set",
        )
    return open_source(source)


def read_events(path: Path) -> pd.DataFrame:
    """The user's candidate events, from a table with columns onset and duration in seconds.

    Raises:
        SharpwaveError: If the file is no such table.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path, sep=None, engine="python")[["onset", "duration"]].astype(float)
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            "a table of events with columns onset and duration in seconds",
            got=f"{path.name}: {type(error).__name__}: {error}",
            fix="write one row an event, tab- or comma-separated",
        ) from error
    return table[table["duration"] > 0].reset_index(drop=True)


def write_session(
    session: ReplaySession, recording: Recording, folder: Path, *, identifier: str, source: str, seed: int
) -> Path:
    """Write the table, its columns' meaning, the summary and the page.

    Returns:
        The page's path.
    """
    import numpy as np

    from sharpwave.night.methods import read_versions
    from sharpwave.reports.archive import to_json
    from sharpwave.reports.files import records, write_table
    from sharpwave.reports.replay_page import ReplayPage, write_replay_page

    folder.mkdir(parents=True, exist_ok=True)
    events = session.events
    notes = [*session.experience.notes, *session.notes, *recording.repairs]
    versions = read_versions(("numpy", "scipy", "pandas", "pynapple", "numba", "ripple-detection"))
    write_table(events, folder / "candidates.tsv")
    write_table(events[events["significant"]], folder / "reactivations.tsv")
    names = [str(name) for name in events]
    meanings = {name: {"Description": COLUMNS[name.removesuffix("_x").removesuffix("_y")]} for name in names}
    (folder / "candidates.json").write_text(to_json(meanings), encoding="utf-8")
    contents = tabulate_contents(events)
    summary = {
        "identifier": identifier,
        "source": source,
        "species": recording.species,
        "simulated": recording.source.startswith("simulated"),
        "duration_s": recording.duration,
        "n_events": len(events),
        "n_significant": int(events["significant"].sum()),
        "tests": records(session.tests),
        "contents": records(contents),
        "settings": session.settings | {"seed": seed},
        "notes": notes,
        "versions": versions,
    }
    (folder / "summary.json").write_text(to_json(summary), encoding="utf-8")
    order = np.argsort(-events["z"].to_numpy())
    middle = np.argsort(np.abs(events["p"].rank(pct=True).to_numpy() - 0.5), kind="stable")
    page = ReplayPage(
        identifier=identifier,
        source=source,
        simulated=recording.source.startswith("simulated"),
        duration=recording.duration,
        settings=session.settings | {"seed": seed},
        tests=session.tests,
        contents=contents,
        best=draw_events(session, order[:N_DRAWN].tolist()),
        typical=draw_events(session, middle[:N_DRAWN].tolist()),
        notes=notes,
        versions=versions,
    )
    return write_replay_page(page, folder / "report.html")


def tabulate_contents(events: pd.DataFrame) -> pd.DataFrame:
    """Events and significant events by epoch and content; empty where there is one content."""
    import pandas as pd

    if events["content"].nunique() < 2:
        return pd.DataFrame(columns=["epoch", "content", "n_events", "n_significant"])
    grouped = events.groupby(["epoch", "content"], sort=True)["significant"]
    return grouped.agg(n_events="size", n_significant="sum").reset_index()


def draw_events(session: ReplaySession, chosen: Sequence[int]) -> list[DrawnEvent]:
    """Some events with their posterior over the places of their content, and their spikes."""
    import numpy as np

    from sharpwave.reactivation.state_space import decode_posteriors
    from sharpwave.reports.replay_figures import DrawnEvent

    fields, binned = session.experience.fields, session.binned
    drawn = []
    for event, posterior in zip(chosen, decode_posteriors(binned, fields, events=chosen), strict=True):
        row = session.events.iloc[event]
        own = fields.content == fields.contents.index(row["content"])
        along = fields.position[own, 0]
        places = np.arange(along.min(), along.max() + fields.bin_size / 2, fields.bin_size)
        nearest = np.clip(np.rint((along - along.min()) / fields.bin_size).astype(int), 0, len(places) - 1)
        image = np.zeros((len(places), len(posterior)))
        np.add.at(image, nearest, posterior.sum(axis=1)[:, own].T)
        counts = binned.of(event)
        bins, unit = np.nonzero(counts)
        rank = np.empty(len(fields.units), dtype=int)
        rank[np.argsort(along[fields.rates[:, own].argmax(axis=1)], kind="stable")] = np.arange(len(fields.units))
        suffix = "" if "path_start" in row else "_x"
        drawn.append(
            DrawnEvent(
                title=f"{row['onset']:.2f} s · {row['content']} {row['run_direction']}".strip(),
                words=f"p = {row['p']:.3g}, q = {row['q']:.2g}, z = {row['z']:.1f}, {row['epoch']}",
                posterior=image.T,
                places=places,
                unit=fields.unit,
                duration=float(row["duration"]),
                spike_times=(bins + 0.5) * binned.bin_size,
                spike_rows=rank[unit],
                n_rows=len(fields.units),
                path=(float(row[f"path_start{suffix}"]), float(row[f"path_end{suffix}"])),
            )
        )
    return drawn
