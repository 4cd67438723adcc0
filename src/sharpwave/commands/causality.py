"""`sharpwave causality`: nights in; what reactivation does to sleep out, as rules, tables and a page."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import compute_exit_code
from sharpwave.commands.options import Replace, with_options
from sharpwave.night.options import option


@dataclass(frozen=True)
class CausalityOptions:
    """What the user chose: arguments of `sharpwave.commands.relate.relate_to_folder`, which says what they are."""

    cues: Path | None = option(None, "TSV of randomised cues: night, onset, condition (cue or sham), content.")
    memory: Path | None = option(None, "TSV of task scores in percent: night, before, after.")
    surrogate: str = option("linear", "linear, session or circular; the last is unsafe on signals that drift.")
    stages: str = option("any", "any: all NREM together; each: and each stage of it; or names, as in N2,N3.")
    halves: bool = option(False, "Ask of the early and the late half of each night as well.")
    seed: int = option(0, "Seed of matches and surrogates.")


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
    overwrite: Replace = False,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON line per night on stdout.")] = False,
) -> None:
    """Pool nights and say what reactivation does to sleep: rules in words, each with its control, tables and a page.

    Writes `rules.tsv`, `effects.tsv`, `peri_event.tsv`, `summary.json` and `report.html`.

    - `sharpwave causality decoded/night-* -o related`
    - `sharpwave causality decoded/night-* --stages each --halves` asks by stage and time of night, too: every further
      question makes false-discovery control stricter for all
    - `sharpwave causality night.truth` knows a simulated night as no recording does
    """
    from sharpwave.commands.relate import relate_with_progress

    outcome = relate_with_progress(nights, output=output, overwrite=overwrite, **vars(options))
    for night in outcome.nights:
        if json_lines:
            typer.echo(json.dumps(night.to_dict()))
        elif night.status == "failed":
            typer.echo(f"{night.identifier}: left out ({night.message})", err=True)
    for line in outcome.words:
        typer.echo(line, err=json_lines)
    typer.echo(f"Open {outcome.page}" if outcome.page else "No night could be related.", err=json_lines)
    raise typer.Exit(compute_exit_code(outcome.nights))
