"""The command line, assembled from one file a command. Each command calls a function you can call from Python."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from sharpwave import __version__
from sharpwave.commands.benchmark import benchmark
from sharpwave.commands.bids import bids
from sharpwave.commands.causality import causality
from sharpwave.commands.convert import convert
from sharpwave.commands.datasets import app as datasets
from sharpwave.commands.decode import decode
from sharpwave.commands.demo import demo
from sharpwave.commands.distil import distil
from sharpwave.commands.doctor import doctor
from sharpwave.commands.explain import explain
from sharpwave.commands.export import export
from sharpwave.commands.finetune import finetune
from sharpwave.commands.replay import replay
from sharpwave.commands.simulate import simulate
from sharpwave.commands.train import train
from sharpwave.errors import MissingExtraError, SharpwaveError

COMMANDS = (
    decode, bids, demo, explain, causality, replay,
    train, distil, finetune, export, simulate, convert, doctor, benchmark,
)  # fmt: skip
"""In the order of `sharpwave --help`."""

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reads sleep and memory in brains: a recording in; stages, what comes next, events and one page out.",
    epilog="Start with `sharpwave demo`, then `sharpwave decode night.edf`. Exit codes: 0 all done, "
    "1 some nights failed, 2 usage.",
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(datasets, name="datasets")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"sharpwave {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line; an expected error is one paragraph, not a traceback."""
    try:
        app()
    except SharpwaveError as error:
        typer.echo(f"sharpwave: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        typer.echo(f"sharpwave: {MissingExtraError(str(error.name), extra='brain')}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("sharpwave: interrupted; run the same command with --skip-existing to go on", err=True)
        sys.exit(130)
