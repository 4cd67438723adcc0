"""The command line of memory in sleep: argument parsing only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def causality(
    nights: Annotated[
        list[str],
        typer.Argument(
            help="Folders written by decode, replay or simulate (.truth), recordings, or data sets by name.",
            metavar="NIGHT...",
        ),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path(
        "sharpwave-causality"
    ),
    cues: Annotated[
        Path | None,
        typer.Option("--cues", help="TSV of randomised cues: night, onset, condition (cue or sham), content."),
    ] = None,
    memory: Annotated[
        Path | None, typer.Option("--memory", help="TSV of task scores in percent: night, before, after.")
    ] = None,
    surrogate: Annotated[
        str, typer.Option(help="linear, session or circular; the last is unsafe on signals that drift.")
    ] = "linear",
    stages: Annotated[
        str, typer.Option(help="any: all NREM together; each: and each stage of it; or names, as in N2,N3.")
    ] = "any",
    halves: Annotated[
        bool, typer.Option("--halves", help="Ask of the early and the late half of each night as well.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Seed of matches and surrogates.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per night on stdout.")] = False,
) -> None:
    """Pool nights and say what reactivation does to sleep: rules in words, each with its control, tables and a page.

    Writes `rules.tsv`, `effects.tsv`, `peri_event.tsv`, `summary.json` and `report.html`.

    - `sharpwave causality decoded/night-* -o related`
    - `sharpwave causality decoded/night-* --stages each --halves` asks by stage and time of night, too: every further
      question makes false-discovery control stricter for all
    - `sharpwave causality night.truth` knows a simulated night as no recording does
    """
    from sharpwave.commands.batch import compute_exit_code
    from sharpwave.commands.effects import estimate_with_progress

    outcome = estimate_with_progress(
        nights,
        output=output,
        seed=seed,
        cues=cues,
        memory=memory,
        surrogate=surrogate,
        stages=stages,
        halves=halves,
        overwrite=overwrite,
    )
    for night in outcome.nights:
        if json_lines:
            typer.echo(json.dumps(night.to_dict()))
        elif night.status == "failed":
            typer.echo(f"{night.identifier}: left out ({night.message})", err=True)
    for line in outcome.words:
        typer.echo(line, err=json_lines)
    typer.echo(f"Open {outcome.page}" if outcome.page else "No night could be used.", err=json_lines)
    raise typer.Exit(compute_exit_code(outcome.nights))


@app.command()
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
    run: Annotated[
        tuple[float, float] | None,
        typer.Option(help="Start and end of the experience in seconds [default: found from running]."),
    ] = None,
    events: Annotated[
        Path | None, typer.Option("--events", help="Your own candidate events: onset, duration in seconds.")
    ] = None,
    candidates: Annotated[
        str, typer.Option(help="ripples, bursts, or auto: ripples where there is an LFP for them.")
    ] = "auto",
    surrogate: Annotated[str, typer.Option(help="cell-identity, place-field, time-bin or poisson.")] = "cell-identity",
    n_surrogates: Annotated[int, typer.Option(min=20, help="How many.")] = 500,
    statistic: Annotated[
        str | None,
        typer.Option(help="correlation or trajectory [default: correlation on tracks, trajectory in open fields]."),
    ] = None,
    min_units: Annotated[int, typer.Option(min=2, help="Fewest place cells that fire in an event.")] = 5,
    seed: Annotated[int, typer.Option(help="Seed of the surrogates.")] = 0,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")] = False,
) -> None:
    """Find the replays of a session, and say how many exceed chance before and after the experience.

    Writes `reactivations.tsv` (the significant events), `candidates.tsv` (all, columns explained in
    `candidates.json`), `summary.json` and `report.html`.

    - `sharpwave replay session.nwb`
    - `sharpwave replay session.nwb --events ripples.tsv --surrogate place-field --run 3600 6000`
    """
    from sharpwave.commands.replay import ReplayOptions, replay_with_progress

    options = ReplayOptions(
        run=run,
        events=events,
        candidates=candidates,
        surrogate=surrogate,
        n_surrogates=n_surrogates,
        statistic=statistic,
        min_units=min_units,
        seed=seed,
    )
    page, words = replay_with_progress(session, output=output, options=options, overwrite=overwrite)
    for line in words:
        typer.echo(line)
    typer.echo(f"Open {page}")
