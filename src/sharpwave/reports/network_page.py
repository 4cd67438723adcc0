"""The card of a network's run, from plain tables: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import write_file
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports import network_charts, tables, tracks
from sharpwave.reports.embedded import encode_table
from sharpwave.reports.explanations import Explanation
from sharpwave.reports.formats import show, show_interval
from sharpwave.reports.network_comparison import compare_methods, describe_same, list_tiles, show_forgetting
from sharpwave.reports.templates import Heading, render
from sharpwave.reports.timeline import Timeline, downsample_hypnogram

COLUMNS: dict[str, tuple[str, ...]] = {
    "summary": ("method", "forgetting", "final", "n"),
    "losses": ("step", "loss"),
    "curves": ("task", "method", "step", "accuracy"),
    "matrix": ("after", "task", "accuracy"),
    "doses": ("damage", "method", "dose", "score"),
    "recovery": ("remedy", "copy", "step", "score"),
    "resilience": ("test", "method", "measure", "value"),
    "hurt": ("what", "before", "after"),
    "ceiling": ("task", "accuracy"),
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
        source: Task that was learned, and the network that learned it.
        sleeping: Name in the tables of the method with sleep.
        awake: Name in the tables of the method without sleep, with which it is compared.
        hypnogram: Wake, NREM and REM of one run with sleep, `unit="step"`.
        control: Name in the tables of plain replay in place of the nights, which tells sleep from replay; named beside
            them where the summary has it; default "plain replay".
        summary: method, forgetting, [forgetting_low, forgetting_high], final, n (seeds), [extra_time (share of the time
            of `awake`), memory (bytes), gradient_samples, minimum].
        losses: step, loss, of the run whose hypnogram is shown.
        curves: task, method, step, accuracy (mean over seeds), [low, high: lowest and highest seed].
        matrix: after (task just learned), task, accuracy: with sleep, mean over seeds.
        doses: damage, method, dose, score, [low, high: lowest and highest seed].
        recovery: remedy, copy ("perturbed" or "twin"), step, score, [low, high: lowest and highest seed].
        resilience: test, method, measure, value, [low, high, n].
        hurt: what (a task or class), before, after, [n]: where sleep lowered the accuracy.
        ceiling: task, accuracy of a network that learned all tasks together, to the end: what could be kept at most.
        trust: How much to trust this, the first one first in importance.
        limits: Sentences on what not to conclude.
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
    ceiling: pd.DataFrame = field(default_factory=_empty)
    trust: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    control: str = "plain replay"
    long: pd.DataFrame = field(default_factory=_empty)
    simulated: bool = False
    versions: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, columns in COLUMNS.items():
            table = getattr(self, name)
            if "method" in columns and "way" in table:  # as version 0.1 called it; until version 0.3
                table = table.rename(columns={"way": "method"})
                object.__setattr__(self, name, table)
            missing = [column for column in columns if column not in table]
            if len(table) and missing:
                raise SharpwaveError(
                    f"a table {name!r} with the columns {', '.join(columns)}",
                    got=f"{', '.join(map(str, table.columns))}",
                    fix=f"add {', '.join(missing)}, or leave the table empty",
                )
        methods = set(self.summary["method"]) if len(self.summary) else set()
        if not {self.sleeping, self.awake} <= methods:
            raise SharpwaveError(
                f"a summary with the methods {self.sleeping!r} and {self.awake!r}",
                got=", ".join(map(str, sorted(methods))) or "none",
                fix="give one row per method, or name the methods that are there",
            )


EXPLANATIONS: dict[str, Explanation] = {
    "night": Explanation(
        "What the network did at each step, the loss of that step for one seed, and the accuracy on each task, mean "
        "over seeds; upright dashed lines are nights, whose steps count too.",
        "Short nights after each task, and lines that stay where they were when their task was over, near the ceiling.",
        "A line that falls as soon as the next task begins, or that is lifted by each night and falls between.",
        "Compare methods at the same step only: they hold the same memory and take as many gradient samples.",
    ),
    "matrix": Explanation(
        "With sleep: accuracy on each task (across) after each task (down).",
        "Columns that stay dark downwards.",
        "Columns that fade; rows that never get dark at their end, where keeping the old cost the new.",
        "Read the last row for what is known at the end, and the diagonal for what was learned.",
    ),
    "resilience": Explanation(
        "Score under rising damage, and recovery after a shock beside a twin that was not shocked.",
        "Lines that stay up; a perturbed line that meets its twin's.",
        "A perturbed line that rises only as much as its twin does: that is learning, not recovery.",
        "Judge recovery by the gap to the twin, never by the score before the shock.",
    ),
}

_STAGES = {"W": "wake", "NREM": "NREM", "R": "REM"}


def write_network_card(run: NetworkRun, path: str | Path) -> Path:
    """Write the card of a run as a self-contained HTML page.

    Args:
        run: The run to show.
        path: File to write; its folder must exist.

    Returns:
        The path written.
    """
    path = Path(path)
    write_file(path, show_path(render("network.html", **compose_network(run))))
    return path


def compose_network(run: NetworkRun) -> dict[str, Any]:
    """Everything the template prints, as text, tables and pictures."""
    line = Timeline(0.0, max(run.hypnogram.end, 1.0), unit="step")
    night = tracks.draw_hypnogram(
        downsample_hypnogram(run.hypnogram), line, expert=None, unclear_below=0.0, summary=_describe_stages(run)
    )
    rows = [night]
    if len(run.losses):
        rows.append(network_charts.draw_loss(run.losses, line, summary=_describe_losses(run)))
    rows += _draw_curves(run, line)
    bouts = run.hypnogram.bouts()
    nights = {str(onset): float(onset) for onset in bouts.loc[bouts["stage"] != "W", "onset"]}
    compared = compare_methods(
        run.summary, run.curves, run.resilience, run.hurt, sleeping=run.sleeping, awake=run.awake
    )
    return {
        "run": run,
        "sentence": describe_run(run),
        "tiles": list_tiles(run.summary, run.ceiling, sleeping=run.sleeping, awake=run.awake),
        "rows": rows,
        "axis": tracks.draw_axis(line, marks={}),
        "grid": tracks.draw_grid(line, marks=nights, height=sum(row.height for row in rows)),
        "summary": tables.arrange(_tidy(run.summary)),
        "curves_key": network_charts.draw_key(_list_methods(run, run.curves)) if len(run.curves) else "",
        "bands": "bands: from the lowest to the highest seed" if "low" in run.curves else "",
        "ceiling": len(run.ceiling) > 0,
        "matrix": network_charts.draw_matrix(run.matrix, summary=_describe_matrix(run)) if len(run.matrix) else None,
        **_draw_resilience(run),
        "resilience": tables.arrange(run.resilience),
        "better": tables.arrange(compared["better"]),
        "worse": tables.arrange(compared["worse"]),
        "same": describe_same(compared["same"]),
        "explanations": EXPLANATIONS,
        "sections": _list_sections(run),
        "dreams": "R" in run.hypnogram.labels,
        "downloads": [encode_table("run.csv", run.long)] if len(run.long) else [],
    }


def _list_sections(run: NetworkRun) -> list[Heading]:
    """The sections below the nights, as the list of contents names them."""
    found = {
        "trust": ("Trust", 1),
        "numbers": ("Numbers", 1),
        "better": ("Better and worse", 1),
        "matrix": ("Every task after every task", len(run.matrix)),
        "resilience": ("Resilience", 1),
        "limits": ("Limits", len(run.limits)),
        "files": ("Files", 1),
    }
    return [Heading(anchor, short) for anchor, (short, there) in found.items() if there]


def describe_run(run: NetworkRun) -> str:
    """The run in a sentence or two: forgetting with sleep, plain replay and neither, seeds, extra time, memory."""
    found = {str(row["method"]): row for row in run.summary.to_dict("records")}
    asleep, awake = found[run.sleeping], found[run.awake]
    control = found.get(run.control)
    beside = "" if control is None else f" with {run.control} in place of the nights {show_forgetting(control)};"
    sentence = (
        f"Without sleep ({run.awake}) the network forgot {show_forgetting(awake)} of what it had known;{beside} with "
        f"sleep {show_forgetting(asleep)}, over {_count(asleep['n'], 'seed')}."
    )
    if np.isfinite(asleep.get("extra_time", np.nan)):
        share = 100 * float(asleep["extra_time"])
        sentence += f" Sleep took {abs(share):.0f} % {'more' if share >= 0 else 'less'} time than {run.awake}"
        memory = asleep.get("memory", np.nan)
        sentence += f", and {float(memory) / 1e3:,.0f} kB of memory." if np.isfinite(memory) else "."
    return sentence


def _count(n: float, word: str) -> str:
    return f"{int(n)} {word}{'s' if n != 1 else ''}"


def _tidy(summary: pd.DataFrame) -> pd.DataFrame:
    """The summary with its interval as text, time in per cent and memory in kB."""
    table = summary.copy()
    if {"forgetting_low", "forgetting_high"} <= set(table.columns):
        ends = zip(table.pop("forgetting_low"), table.pop("forgetting_high"), strict=True)
        place = list(table.columns).index("forgetting") + 1
        table.insert(place, "95 % interval", [show_interval(low, high) for low, high in ends])
    if "extra_time" in table:
        table["extra time, %"] = [show(round(100 * value, 1)) for value in table.pop("extra_time")]
    if "memory" in table:
        table["memory, kB"] = [show(round(value / 1e3)) for value in table.pop("memory")]
    return table


def _describe_stages(run: NetworkRun) -> str:
    labels = run.hypnogram.labels
    parts = [f"{labels.count(stage)} steps of {words}" for stage, words in _STAGES.items() if stage in labels]
    return f"{', '.join(parts)}." if parts else "No step was taken."


def _describe_losses(run: NetworkRun) -> str:
    stages = np.array(run.hypnogram.labels)
    losses = run.losses["loss"].to_numpy(dtype=float)[: len(stages)]
    parts = [
        f"{show(float(np.nanmean(losses[stages[: len(losses)] == stage])))} in {words}"
        for stage, words in _STAGES.items()
        if (stages[: len(losses)] == stage).any()
    ]
    return f"Mean loss {', '.join(parts)}; that of sleep is of replayed items, so the two cannot be compared."


def _describe_matrix(run: NetworkRun) -> str:
    last = run.matrix[run.matrix["after"] == run.matrix["after"].iloc[-1]]
    return "At the end: " + ", ".join(f"task {row.task} {row.accuracy:.2f}" for row in last.itertuples()) + "."


def _draw_curves(run: NetworkRun, line: Timeline) -> list[tracks.Track]:
    """One row a task: accuracy of every method on the axis of the nights."""
    styles = _list_methods(run, run.curves) if len(run.curves) else {}
    ceilings = dict(zip(run.ceiling["task"], run.ceiling["accuracy"], strict=True)) if len(run.ceiling) else {}
    rows = []
    for task, mine in run.curves.groupby("task", sort=False) if len(run.curves) else ():
        last = {method: mine[mine["method"] == method]["accuracy"] for method in styles}
        said = ", ".join(f"{method} {values.iloc[-1]:.2f}" for method, values in last.items() if len(values))
        ceiling = ceilings.get(task)
        most = "" if ceiling is None else f"; all tasks learned together, to the end: {ceiling:.2f}"
        summary = f"Accuracy at the end: {said}{most}."
        rows.append(
            network_charts.draw_accuracy(mine, line, styles, name=f"Task {task}", ceiling=ceiling, summary=summary)
        )
    return rows


def _list_methods(run: NetworkRun, table: pd.DataFrame) -> dict[str, network_charts.Style]:
    """Styles of the lines of a table: sleep first, so that it looks the same in every chart."""
    others = [str(name) for name in dict.fromkeys(table["method"]) if name not in (run.sleeping, run.awake)]
    return network_charts.list_styles([run.sleeping, run.awake, *others])


def _draw_resilience(run: NetworkRun) -> dict[str, Any]:
    found: dict[str, Any] = {"doses": [], "doses_key": "", "recoveries": [], "recoveries_key": ""}
    if len(run.doses):
        styles = _list_methods(run, run.doses)
        found["doses_key"] = network_charts.draw_key(styles)
        for damage, rows in run.doses.groupby("damage", sort=False):
            name = str(damage).replace("_", " ")
            found["doses"].append(
                network_charts.draw_lines(
                    rows,
                    x="dose",
                    y="score",
                    line="method",
                    styles=styles,
                    title=name,
                    below="dose",
                    summary=f"Score against the dose of {name}, as in the table below",
                )
            )
    if len(run.recovery):
        styles = network_charts.list_styles(["perturbed", "twin"])
        found["recoveries_key"] = network_charts.draw_key(styles)
        for remedy, rows in run.recovery.groupby("remedy", sort=False):
            found["recoveries"].append(
                network_charts.draw_lines(
                    rows,
                    x="step",
                    y="score",
                    line="copy",
                    styles=styles,
                    title=str(remedy),
                    below="step",
                    summary=f"Score after the shock with {remedy}, beside the twin, as in the table below",
                )
            )
    return found
