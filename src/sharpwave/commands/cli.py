"""The command line, assembled from one file a command. Each command calls a function you can call from Python."""

from __future__ import annotations

import signal
import sys
from types import FrameType
from typing import Annotated

import typer

from sharpwave import __version__
from sharpwave.commands.append import append
from sharpwave.commands.benchmark import benchmark
from sharpwave.commands.bids import bids
from sharpwave.commands.causality import causality
from sharpwave.commands.cohort import cohort
from sharpwave.commands.convert import convert
from sharpwave.commands.datasets import app as datasets
from sharpwave.commands.decode import decode
from sharpwave.commands.demo import demo
from sharpwave.commands.distil import distil
from sharpwave.commands.doctor import doctor
from sharpwave.commands.explain import explain
from sharpwave.commands.export import export
from sharpwave.commands.finetune import finetune
from sharpwave.commands.live import live
from sharpwave.commands.options import ReplayCommand
from sharpwave.commands.replay import replay
from sharpwave.commands.rules import checked
from sharpwave.commands.simulate import simulate
from sharpwave.commands.train import train
from sharpwave.disk import explain_error, show_path
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.executors.processes import collect_less

COMMANDS = (
    decode, bids, cohort, demo, explain, causality, replay, live,
    train, distil, finetune, export, simulate, convert, append, doctor, benchmark,
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
    app.command(cls=ReplayCommand if command is replay else None)(checked(command))
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


FROM_CHECKPOINT = "run the same command again to go on from the last checkpoint; before the first one, from the start"
AGAIN = "nothing half written counts: run the same command again"
GOING_ON = {
    **dict.fromkeys(
        ("decode", "bids"), "run the same command with --skip-existing to go on after the last whole night"
    ),
    **dict.fromkeys(("train", "distil", "finetune"), FROM_CHECKPOINT),
    "live": "sharpwave live --finish FOLDER writes the tables of a night that was cut off",
    "append": "the store is as it was: run the same command again, without the recordings that were named as appended",
    "convert": "stores that are there are whole; name the recordings that have none yet",
}
"""How to go on with a command that was stopped, where it is not just run again."""


class _StoppedError(BaseException):
    """Ctrl-C or a request to end (SIGTERM); no library takes it for an error of its own."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def _stop(number: int, _frame: FrameType | None) -> None:
    raise _StoppedError(number)


def main() -> None:
    """Run the command line; an expected error is one paragraph, not a traceback."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    collect_less()
    try:
        app()
    except SharpwaveError as error:
        typer.echo(f"sharpwave: {show_path(error)}", err=True)
        sys.exit(2)
    except OSError as error:
        explained = explain_error(error, error.filename or "the results")
        if explained is None:
            raise
        typer.echo(f"sharpwave: {explained}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        typer.echo(f"sharpwave: {MissingExtraError(str(error.name), extra='brain')}", err=True)
        sys.exit(2)
    except _StoppedError as stopped:
        name = next((word for word in sys.argv[1:] if not word.startswith("-")), "")
        typer.echo(f"sharpwave: stopped; {GOING_ON.get(name, AGAIN)}", err=True)
        sys.exit(128 + stopped.number)
