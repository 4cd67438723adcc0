"""Options of the command line, said once: as fields of a dataclass, or as a type that several commands share."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import typer
from typer.core import TyperCommand

from sharpwave.night.options import option

OWN = ("name", "flags", "type", "convert")
"""Entries of a field's metadata that are read here (see `option`); all others go to `typer.Option`."""
RUN = "Run"
"""Panel of the help text."""


_NUMBER = re.compile(r"-?\d+(\.\d*)?")


class ReplayCommand(TyperCommand):
    """The command as typer has it, but `--run START END` with two numbers is still one run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        return super().parse_args(ctx, join_runs(args))


def join_runs(args: Sequence[str]) -> list[str]:
    """Arguments in which two numbers after --run are one.

    >>> join_runs(["replay", "a.nwb", "--run", "3600", "6000", "--run", "track2"])
    ['replay', 'a.nwb', '--run', '3600-6000', '--run', 'track2']
    """
    joined, rest = [], list(args)
    while rest:
        joined.append(rest.pop(0))
        if joined[-1] == "--run" and len(rest) > 1 and all(_NUMBER.fullmatch(word) for word in rest[:2]):
            joined.append(f"{rest.pop(0)}-{rest.pop(0)}")
    return joined


def with_options(command: Callable[..., None]) -> Callable[..., None]:
    """The command with one option for each field made by `option` of those parameters that are dataclasses.

    Typer then sees the options one by one, and the command is called with the dataclasses. A parameter annotated
    `Annotated[Options, "one", "two"]` has options for these two fields only; the others keep their defaults.

    Args:
        command: Function whose parameters are typer's own, or dataclasses.

    >>> from dataclasses import dataclass
    >>> from sharpwave.night.options import option
    >>> @dataclass(frozen=True)
    ... class Bake:
    ...     minutes: int = option(40, "How long to bake.", min=1)
    >>> @with_options
    ... def bread(loaves: int, *, bake: Bake) -> None:
    ...     print(loaves, bake)
    >>> list(inspect.signature(bread).parameters)
    ['loaves', 'minutes']
    >>> bread(loaves=2, minutes=50)
    2 Bake(minutes=50)
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type, dict[str, Field]]] = {}
    parameters = []
    for parameter in inspect.signature(command).parameters.values():
        kind, *chosen = get_args(hints[parameter.name]) or (hints[parameter.name],)
        if is_dataclass(kind):
            taken = {_name(item): item for item in _list_fields(kind, chosen)}
            groups[parameter.name] = kind, taken  # type: ignore[assignment]
            parameters += [_make_parameter(item, kind) for item in taken.values()]
        else:
            parameters.append(parameter.replace(annotation=hints[parameter.name], kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**given: Any) -> None:
        for parameter, (kind, taken) in groups.items():
            typed = {item: given.pop(name) for name, item in taken.items()}
            given[parameter] = kind(**{item.name: _convert(item, value) for item, value in typed.items()})
        command(**given)

    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def _list_fields(kind: Any, chosen: list[str]) -> list[Field]:
    return [item for item in fields(kind) if "help" in item.metadata and (not chosen or item.name in chosen)]


def _name(item: Field) -> str:
    return item.metadata.get("name", item.name)


def _make_parameter(item: Field, kind: Any) -> inspect.Parameter:
    """What typer needs to know of a field."""
    hint = item.metadata.get("type", get_type_hints(kind)[item.name])
    default = None if item.default is MISSING or item.default == () else item.default
    if default is None and not (get_origin(hint) in (Union, UnionType) and type(None) in get_args(hint)):
        hint = hint | None
    flags = item.metadata.get("flags", ("--" + _name(item).replace("_", "-"),))
    how = {key: value for key, value in item.metadata.items() if key not in OWN}
    return inspect.Parameter(
        _name(item),
        inspect.Parameter.KEYWORD_ONLY,
        default=default,
        annotation=Annotated[hint, typer.Option(*flags, **how)],
    )


def _convert(item: Field, value: Any) -> Any:
    """What was typed as the field's value; the field's own default where nothing was."""
    if value is None:
        return item.default_factory() if item.default_factory is not MISSING else item.default
    try:
        return item.metadata.get("convert", lambda same: same)(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def read_config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become defaults, so that flags beat them."""
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{path} is not a readable TOML file: {error}") from error
    known = {parameter.name for parameter in ctx.command.params}
    unknown = sorted(set(table) - known)
    if unknown:
        raise typer.BadParameter(
            f"{path}: unknown option {', '.join(unknown)}; known: {', '.join(sorted(known - {None}))}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **table}
    return path


@dataclass(frozen=True)
class RunOptions:
    """How nights are worked through: options of `sharpwave decode` and `sharpwave bids`; others take the first two.

    Attributes:
        jobs: Nights (sessions, seeds) worked on at the same time, each in a process of its own.
        scheduler: Where they are worked on, if not in processes of this machine.
        skip_existing: Whether nights decoded from the same input are skipped and others replaced.
        overwrite: Whether all earlier results are replaced.
        stop_on_first_crash: Whether the remaining nights are left alone after a failure.
        json_lines: Whether a line of JSON is printed for each night.
        verbose: Whether tracebacks and messages of libraries are shown.
    """

    jobs: int = option(
        1, "How many nights (sessions, seeds) at the same time.", flags=("--jobs", "--n-jobs", "-j"), min=1, panel=RUN
    )
    scheduler: str | None = option(
        None,
        "Work on a dask cluster: `tcp://HOST:8786`, `slurm` (--jobs workers), `local`; `sharpwave[cluster]`.",
        metavar="WHERE",
        panel=RUN,
    )
    skip_existing: bool = option(
        False, "Go on where an earlier run stopped: skip nights that were decoded from the same input.", panel=RUN
    )
    overwrite: bool = option(False, "Decode again and replace earlier results.", panel=RUN)
    stop_on_first_crash: bool = option(False, "Stop at the first night that fails.", panel=RUN)
    json_lines: bool = option(
        False, "Print one line of JSON for each night on standard output.", flags=("--json",), panel=RUN
    )
    verbose: bool = option(False, "Show tracebacks and library messages.", flags=("--verbose", "-v"), panel=RUN)

    def to_arguments(self) -> dict[str, Any]:
        """Arguments of `decode_nights`."""
        return {
            "jobs": self.jobs,
            "scheduler": self.scheduler,
            "existing": "skip" if self.skip_existing else "overwrite" if self.overwrite else "refuse",
            "stop_on_first_crash": self.stop_on_first_crash,
            "verbose": self.verbose,
        }


Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        callback=read_config,
        is_eager=True,
        help="TOML file of options; what is given on the command line beats it.",
        rich_help_panel=RUN,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]
