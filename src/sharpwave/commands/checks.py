"""What one option may be: checks of a value, used by the tables of `rules`.

What needs a recording's header (do lights and channels fit it?) is in `sharpwave.night.plan`. Nothing here loads a
numerical library, but where a data set or a stager was named.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sharpwave.disk import show_path
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.remote import RemotePath, check_writable, locate

Check = Callable[[str, Any], None]
"""Takes an option as it is typed (`--stages`) and its value, and raises `SharpwaveError`."""


def one_of(*names: str) -> Check:
    """The value is one of these words.

    >>> one_of("human", "rat")("--species", "cat")
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected --species human or rat; got 'cat'. Fix: give one of these
    """

    def check(option: str, value: Any) -> None:
        for word in value if isinstance(value, list | tuple) else [value]:
            if word not in names:
                listed = ", ".join(names[:-1]) + f" or {names[-1]}"
                raise SharpwaveError(f"{option} {listed}", got=repr(word), fix="give one of these")

    return check


def between(low: float, high: float = math.inf, *, unit: str = "", above: bool = False) -> Check:
    """The value is a finite number in this range.

    Args:
        low: Smallest value.
        high: Largest value.
        unit: Its unit, for the message.
        above: Whether the smallest value itself is left out.

    >>> between(0)("--seed", -1)
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected --seed of 0 or more; got -1. Fix: give such a number
    """
    range_ = f"above {low:g}" if above else f"of {low:g} or more" if high == math.inf else f"of {low:g} to {high:g}"

    def check(option: str, value: float) -> None:
        inside = math.isfinite(value) and (value > low if above else value >= low) and value <= high
        if not inside:
            raise SharpwaveError(f"{option} {range_}{unit and ' ' + unit}", got=f"{value:g}", fix="give such a number")

    return check


def is_file(option: str, value: Path | Sequence[Path]) -> None:
    """The path, or each of them, is a file that can be read."""
    for path in [value] if isinstance(value, str | Path) else value:
        if not Path(path).is_file() or not os.access(path, os.R_OK):
            got = "a folder" if Path(path).is_dir() else "no such file" if not Path(path).exists() else "unreadable"
            raise SharpwaveError(f"a file for {option}", got=f"{show_path(path)}: {got}", fix="check the path")


def is_folder(option: str, value: Path | Sequence[Path]) -> None:
    """The path, or each of them, is a folder."""
    for path in [value] if isinstance(value, str | Path) else value:
        if not Path(path).is_dir():
            got = "a file" if Path(path).exists() else "no such folder"
            raise SharpwaveError(f"a folder for {option}", got=f"{show_path(path)}: {got}", fix="check the path")


def holds_weights(option: str, value: Path | Sequence[Path]) -> None:
    """The path, or each of them, is a folder of weights."""
    for path in [value] if isinstance(value, str | Path) else value:
        missing = [name for name in ("config.json", "model.safetensors") if not (Path(path) / name).is_file()]
        if missing:
            raise SharpwaveError(
                f"a folder of weights for {option}",
                got=f"{show_path(path)} without {' and '.join(missing)}",
                fix="give the folder that `sharpwave train` or `finetune` wrote",
            )


def is_there(option: str, value: str | Sequence[str]) -> None:
    """Each source is a path that exists, an address, or a data set by name."""
    for source in [value] if isinstance(value, str) else value:
        if Path(source).exists() or "://" in source:
            continue
        from sharpwave.recordings.datasets import DATASETS, list_subjects

        name, _, subject = source.partition("/")
        if name not in DATASETS:
            raise SharpwaveError(
                f"a recording that is there, or a data set by name, for {option}",
                got=f"{show_path(source)}, which is neither",
                fix="check the path, or see `sharpwave datasets list`",
            )
        subjects = list_subjects(name)  # says how to get it, where it is not here
        if subject and subject not in subjects:
            raise SharpwaveError(
                f"a subject of {name}", got=repr(subject), fix=f"take one of {', '.join(subjects[:8])} …"
            )


def can_be_made(option: str, value: Path) -> None:
    """The path can be written: its nearest folder that exists is one, and may be written into."""
    above = next(parent for parent in (Path(value), *Path(value).absolute().parents) if os.path.lexists(parent))
    if above == Path(value) and not above.is_dir():
        return  # a file that is there: each command knows which are its own
    if not above.is_dir() or not os.access(above, os.W_OK):
        got = "may not be written into" if above.is_dir() else "is a file"
        raise SharpwaveError(
            f"a place that can be written for {option}",
            got=f"{show_path(value)}: {show_path(above)} {got}",
            fix="give another place, or change the permissions",
        )


def ends_in(*endings: str) -> Check:
    """The path ends in one of these, and can be written."""

    def check(option: str, value: Path) -> None:
        if Path(value).suffix.lower() not in endings:
            raise SharpwaveError(
                f"a name for {option} that ends in {' or '.join(endings)}",
                got=show_path(value),
                fix=f"write {show_path(Path(value).with_suffix(endings[0]))}",
            )
        can_be_made(option, value)

    return check


def can_be_appended_to(option: str, value: str) -> None:
    """A store on a disk, or an address where one may be written."""
    path = locate(value)
    if isinstance(path, RemotePath):
        check_writable(path)
    else:
        ends_in(".zarr")(option, path)


def is_stager(option: str, value: str) -> None:
    """The name is that of a stager."""
    from sharpwave.staging import STAGERS

    one_of(*STAGERS)(option, value)


def is_modality(option: str, value: Sequence[str]) -> None:
    """Each is a modality that Brainµ has an encoder for."""
    from sharpwave.brainmu.encoders import ENCODERS

    one_of(*ENCODERS)(option, value)


def is_simulated_signal(option: str, value: Sequence[str]) -> None:
    """Each is a signal that can be simulated."""
    from sharpwave.simulation.night import SIGNALS

    one_of(*SIGNALS)(option, [name for text in value for name in text.split(",")])


def is_data_set(option: str, value: str) -> None:
    """The name is that of a data set."""
    from sharpwave.recordings.datasets.load import find_dataset

    find_dataset(value)


def is_unit(option: str, value: str) -> None:
    """The unit is one of voltage."""
    from sharpwave.recordings import MODALITIES
    from sharpwave.recordings.units import convert_unit

    if convert_unit(value, MODALITIES["eeg"]) is None:
        raise SharpwaveError(f"{option} with a unit of voltage, such as uV", got=repr(value), fix="write uV, mV or V")


def is_time(option: str, value: str | Sequence[str]) -> None:
    """Each is a clock time or a number of seconds."""
    from datetime import datetime

    from sharpwave.recordings.day_times import place_time

    for time in [value] if isinstance(value, str) else value:
        try:
            place_time(time, datetime(2024, 1, 1), duration=None)
        except SharpwaveError as error:
            raise SharpwaveError(f"{error.expected} for {option}", got=error.got, fix=error.fix) from error


def is_table_of(*columns: str) -> Check:
    """The file is a table with these columns."""

    def check(option: str, value: Path) -> None:
        is_file(option, value)
        with Path(value).open(encoding="utf-8-sig", errors="replace") as file:
            head = file.readline(1 << 16)
        mark = max("\t,; ", key=head.count)
        named = [name.strip().strip('"') for name in head.rstrip("\n").split(mark)]
        if missing := [name for name in columns if name not in named]:
            raise SharpwaveError(
                f"a table with the columns {', '.join(columns)} for {option}",
                got=f"{show_path(value)} without {', '.join(missing)}",
                fix="name them in the first line, with tabs or commas between",
            )

    return check


def is_of_participants(option: str, value: Path) -> None:
    """The file is a table of participants."""
    from sharpwave.reports.participants import read_participants

    is_file(option, value)
    try:
        read_participants(value)
    except SharpwaveError as error:
        raise SharpwaveError(f"{error.expected} for {option}", got=error.got, fix=error.fix) from error


def is_scheduler(option: str, value: str) -> None:
    """The place is a scheduler, and the extra that reaches it is installed."""
    if not (value in ("local", "slurm") or "://" in value):
        raise SharpwaveError(f"{option} tcp://HOST:8786, slurm or local", got=repr(value), fix="write it so")
    need("cluster", ("distributed",) if value != "slurm" else ("distributed", "dask_jobqueue"))


def is_sink(option: str, value: Sequence[str]) -> None:
    """Each is a place where cues can go."""
    from sharpwave.live.sinks import check_sink

    for name in value:
        check_sink(name)


def is_protocol(option: str, value: str) -> None:
    """The name or file is a protocol, within the limits of all protocols."""
    from sharpwave.live.protocol import load_protocol

    load_protocol(value)


def is_number_or_auto(option: str, value: str | int) -> None:
    """A number of devices, or auto."""
    if str(value) != "auto" and not (str(value).isdigit() and int(value) > 0):
        raise SharpwaveError(f"{option} with a number from 1, or auto", got=repr(value), fix="write it so")


def need(extra: str, modules: Sequence[str]) -> None:
    """Refuse to begin where a library of an extra is not installed; none is loaded.

    Args:
        extra: Name of the extra.
        modules: Names of modules that it brings.

    Raises:
        MissingExtraError: If one is missing.

    >>> need("brain", ["numpy"])
    """
    for name in modules:
        try:
            found = find_spec(name) is not None
        except ValueError:
            found = False
        if not found:
            raise MissingExtraError(name, extra=extra)
