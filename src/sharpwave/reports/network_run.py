"""What the card of a network's run shows: plain tables, whoever made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram

COLUMNS: dict[str, tuple[str, ...]] = {
    "summary": ("way", "forgetting", "final", "n"),
    "losses": ("step", "loss"),
    "curves": ("task", "way", "step", "accuracy"),
    "matrix": ("after", "task", "accuracy"),
    "doses": ("damage", "way", "dose", "score"),
    "recovery": ("remedy", "copy", "step", "score"),
    "resilience": ("test", "way", "measure", "value"),
    "hurt": ("what", "before", "after"),
    "long": ("run", "seed", "step", "task", "metric", "value"),
}
"""Columns that a table must have where it is not empty."""


def _empty() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True, eq=False, kw_only=True)
class NetworkRun:
    """A network that learned one task after another, with sleep and without. Accuracies are 0 to 1.

    Tables may be empty; then their section says so. `low` and `high` are a 95 % interval over seeds.

    Attributes:
        identifier: Short name of the run; the page's title.
        source: What was learned, and by which network.
        sleeping: The way with sleep, as it is called in the tables.
        awake: The way without, that it is held against.
        hypnogram: Wake, NREM and REM of one run with sleep, `unit="step"`.
        summary: way, forgetting, [forgetting_low, forgetting_high], final, n (seeds), [extra_time (share of the time of
            `awake`), memory (bytes), gradient_samples, minimum].
        losses: step, loss, of the run whose hypnogram is shown.
        curves: task, way, step, accuracy: mean over seeds.
        matrix: after (task just learned), task, accuracy: with sleep, mean over seeds.
        doses: damage, way, dose, score.
        recovery: remedy, copy ("perturbed" or "twin"), step, score.
        resilience: test, way, measure, value, [low, high, n].
        hurt: what (a task or class), before, after, [n]: where sleep lowered the accuracy.
        trust: How much to trust this, the first one first in importance.
        limits: What not to conclude.
        long: run, seed, step, task, metric, value: everything, to save.
        simulated: True where the data were made by a program.
        versions: Software versions.
    """

    identifier: str
    source: str
    sleeping: str
    awake: str
    hypnogram: Hypnogram
    summary: pd.DataFrame
    losses: pd.DataFrame = field(default_factory=_empty)
    curves: pd.DataFrame = field(default_factory=_empty)
    matrix: pd.DataFrame = field(default_factory=_empty)
    doses: pd.DataFrame = field(default_factory=_empty)
    recovery: pd.DataFrame = field(default_factory=_empty)
    resilience: pd.DataFrame = field(default_factory=_empty)
    hurt: pd.DataFrame = field(default_factory=_empty)
    trust: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    long: pd.DataFrame = field(default_factory=_empty)
    simulated: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in COLUMNS.items():
            table = getattr(self, name)
            missing = [column for column in columns if column not in table]
            if len(table) and missing:
                raise SharpwaveError(
                    f"a table {name!r} with the columns {', '.join(columns)}",
                    got=f"{', '.join(map(str, table.columns))}",
                    fix=f"add {', '.join(missing)}, or leave the table empty",
                )
        ways = set(self.summary["way"]) if len(self.summary) else set()
        if not {self.sleeping, self.awake} <= ways:
            raise SharpwaveError(
                f"a summary with the ways {self.sleeping!r} and {self.awake!r}",
                got=", ".join(map(str, sorted(ways))) or "none",
                fix="give one row per way, or name the ways that are there",
            )
