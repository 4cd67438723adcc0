"""Recordings whose headers alone are read: do the options fit, and what would decoding take?"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NoReturn

import typer

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.commands.tasks import NightTask
    from sharpwave.night.options import DecodeOptions

OF_RECORDINGS = (
    "lights_off", "lights_on", "channels", "event_channels", "lfp", "stages", "stager", "scorer", "cues",
)  # fmt: skip
"""Options that fit one recording and not another."""


def check_headers(tasks: Sequence[NightTask], options: DecodeOptions) -> None:
    """Refuse options that do not fit the recordings that they are given for, before any night is decoded.

    A recording that cannot be opened is passed over: what became of it is said in the record of all nights.

    Args:
        tasks: The nights; parts of long recordings are passed over, too.
        options: What the user chose.

    Raises:
        SharpwaveError: If an option does not fit; over several nights, with all that it does not fit.
    """
    if not any(getattr(options, name) for name in OF_RECORDINGS):
        return
    from sharpwave.night.options import open_source
    from sharpwave.night.plan import check_fit

    wrong: list[tuple[str, SharpwaveError]] = []
    for task in tasks:
        if task.night is not None:
            continue
        try:
            recording = open_source(task.source, options)
        except Exception:  # it is told when the recording is decoded
            continue
        try:
            check_fit(recording, options)
        except SharpwaveError as error:
            wrong.append((task.name, error))
    if len(tasks) == 1 and wrong:
        raise wrong[0][1]
    if wrong:
        raise SharpwaveError(
            f"options that fit all {len(tasks)} recordings",
            got="; ".join(f"{name}: {error}" for name, error in wrong[:3]) + (" …" if len(wrong) > 3 else ""),
            fix="decode these apart, or leave the option out",
        )


def show_plans(tasks: Sequence[NightTask], options: DecodeOptions, *, json_lines: bool) -> NoReturn:
    """Print what decoding each night would take; an unreadable one is named, and the exit code is then 1.

    Args:
        tasks: The nights.
        options: What the user chose.
        json_lines: Print one line of JSON for each night.
    """
    from sharpwave.commands.batch import quieten, take_part
    from sharpwave.night.options import open_source
    from sharpwave.night.plan import plan_night

    quieten()
    failed = 0
    for task in tasks:
        named = replace(options, source=show_path(task.source))
        try:
            recording = open_source(task.source, options)
            plan = plan_night(recording if task.night is None else take_part(recording, task), named)
        except SharpwaveError as error:
            failed += 1
            typer.echo(f"{task.name}: {show_path(error)}", err=True)
            continue
        typer.echo(json.dumps({"night": task.name, **plan.to_dict()}) if json_lines else plan.describe())
    raise typer.Exit(1 if failed else 0)
