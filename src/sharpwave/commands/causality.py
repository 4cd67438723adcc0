"""`sharpwave causality`: nights in; what reactivation does to sleep out, as rules, tables and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import compute_exit_code
from sharpwave.commands.options import Overwrite, RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.night.options import option


@dataclass(frozen=True)
class CausalityOptions:
    """What the user chose: arguments of `sharpwave.commands.effects.estimate_to_folder`, which says what they are."""

    cues: Path | None = option(
        None, "Table (.tsv) of randomised cues: night, onset in seconds, condition (cue or sham), content."
    )
    memory: Path | None = option(None, "Table (.tsv) of scores in a memory task, in percent: night, before, after.")
    surrogate: str = option(
        "linear",
        "How chance is drawn: linear (shifts), session (exchanged nights) or circular (unsafe where signals drift).",
    )
    stages: str = option(
        "any", "any (all NREM sleep together), each (every NREM stage on its own as well), or names such as N2,N3."
    )
    halves: bool = option(False, "Ask about the first and the second half of each night as well.")
    seed: int = option(0, "Seed of the matched moments and the surrogates, which are drawn at random.")


@with_options
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
    *,
    options: CausalityOptions,
    overwrite: Overwrite = False,
    run: Annotated[RunOptions, "jobs", "scheduler"],
    json_lines: Annotated[
        bool, typer.Option("--json", help="Print one line of JSON for each night on standard output.")
    ] = False,
) -> None:
    """Pool nights and say what reactivation does to sleep: rules in words, each with its control, tables and a page.

    Writes `rules.tsv`, `effects.tsv`, `peri_event.tsv`, `summary.json` and `report.html`.

    - `sharpwave causality decoded/night-* -o related`
    - `sharpwave causality decoded/night-* --stages each --halves` also asks by stage and by time of night; every
      further question makes false-discovery control stricter for all
    - `sharpwave causality nights/*.nwb --jobs 4` opens that many nights at once; the estimate over them is one
    - `sharpwave causality night.truth` takes a simulated night as it truly was
    """
    say(f"Opening {len(nights)} night{'s' * (len(nights) > 1)} ...")
    from sharpwave.commands.effects import estimate_with_progress

    where = {"jobs": run.jobs, "scheduler": run.scheduler}
    outcome = estimate_with_progress(nights, output=output, overwrite=overwrite, **where, **vars(options))
    for night in outcome.nights:
        if json_lines:
            typer.echo(json.dumps(night.to_dict()))
        elif night.status == "failed":
            typer.echo(f"{night.identifier}: left out ({night.message})", err=True)
    for line in outcome.words:
        typer.echo(line, err=json_lines)
    typer.echo(f"Open {outcome.page}" if outcome.page else "No night could be used.", err=json_lines)
    raise typer.Exit(compute_exit_code(outcome.nights))
