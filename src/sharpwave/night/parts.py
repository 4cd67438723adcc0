"""Parts of a decoded night that a sleep laboratory reads beside the statistics: its course, and its oscillations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.reprs import short_repr


def empty() -> pd.DataFrame:
    """A table without rows or columns."""
    return pd.DataFrame()


def check_tables(holder: Any, columns: Mapping[str, tuple[str, ...]]) -> None:
    """Raise if a table has rows and lacks one of its columns.

    Args:
        holder: Object whose attributes are the tables.
        columns: Columns that each table must have, by its name.

    Raises:
        SharpwaveError: If one is missing.
    """
    for name, needed in columns.items():
        table = getattr(holder, name)
        missing = [column for column in needed if column not in table]
        if len(table) and missing:
            raise SharpwaveError(
                f"a table {name!r} with the columns {', '.join(needed)}",
                got=f"{', '.join(map(str, table.columns))}",
                fix=f"add {', '.join(missing)}, or leave the table empty",
            )


@dataclass(frozen=True, eq=False, kw_only=True)
class SleepArchitecture:
    """The course of a night beside its statistics.

    Attributes:
        cycles: Sleep cycles (see `find_sleep_cycles`): cycle, onset (s), length and minutes of its stages, complete.
        transitions: Which stage follows which, epoch by epoch: stage, next_stage, count, share.
        note: What the cycles are, or why there are none.
    """

    __repr__ = short_repr

    COLUMNS: ClassVar = {"cycles": ("cycle", "onset", "length"), "transitions": ("stage", "next_stage", "count")}

    cycles: pd.DataFrame = field(default_factory=empty)
    transitions: pd.DataFrame = field(default_factory=empty)
    note: str = ""

    def __post_init__(self) -> None:
        check_tables(self, self.COLUMNS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Oscillations:
    """Spectra by stage of the picked EEG channel, their aperiodic part, and spindles on slow waves.

    Attributes:
        curves: Median spectrum of each stage: frequency (Hz), and one column a stage in µV²/Hz.
        power: Band power by stage and sleep cycle (see `summarise_spectra`): stage, cycle, epochs, one column a band in
            µV², and their shares.
        aperiodic: Exponent and offset of each stage's aperiodic part (see `fit_aperiodic`).
        coupling: Spindles on slow waves, one row an EEG channel (see `Coupling`).
        phases: Their histogram: channel, phase (degrees), count, chance.
        channel: Channel of the spectra.
        notes: What must be known of them, and what was not computed and why; one sentence each.
    """

    __repr__ = short_repr

    COLUMNS: ClassVar = {
        "curves": ("frequency",),
        "power": ("stage", "cycle", "epochs"),
        "aperiodic": ("stage", "exponent"),
        "coupling": ("channel", "spindles", "coupled", "share"),
        "phases": ("channel", "phase", "count", "chance"),
    }

    curves: pd.DataFrame = field(default_factory=empty)
    power: pd.DataFrame = field(default_factory=empty)
    aperiodic: pd.DataFrame = field(default_factory=empty)
    coupling: pd.DataFrame = field(default_factory=empty)
    phases: pd.DataFrame = field(default_factory=empty)
    channel: str = ""
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_tables(self, self.COLUMNS)
