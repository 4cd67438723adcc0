"""A network with sleep beside one without: the numbers that lead, and what sleep makes better and worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.reports.first_screen import Tile

Measure = tuple[str, float, float, float]
"""What is measured, its value with sleep and without, and what sleep gains by it."""


def show_forgetting(row: dict[Any, Any]) -> str:
    """Forgetting in per cent, with its interval in brackets where it is known."""
    value = f"{100 * float(row['forgetting']):.0f} %"
    low, high = row.get("forgetting_low", np.nan), row.get("forgetting_high", np.nan)
    known = np.isfinite(low) and np.isfinite(high)
    return f"{value} ({100 * low:.0f} to {100 * high:.0f})" if known else value


def list_tiles(summary: pd.DataFrame, ceiling: pd.DataFrame, *, sleeping: str, awake: str) -> list[Tile]:
    """The numbers that lead: forgetting and the accuracy at the end, with sleep and without, ceiling and time.

    Args:
        summary: One row a method, see `NetworkRun`.
        ceiling: task and accuracy of a network that learned all tasks together; may be empty.
        sleeping: Name of the method with sleep.
        awake: Name of the method that it is compared with.
    """
    found = {str(row["method"]): row for row in summary.to_dict("records")}
    ours, theirs = found[sleeping], found[awake]
    tiles = [
        Tile("Forgotten with sleep", *show_forgetting(ours).partition(" (")[::2]),
        Tile(f"Forgotten with {awake}", *show_forgetting(theirs).partition(" (")[::2]),
        Tile("At the end, with sleep", f"{100 * ours['final']:.0f} %", ""),
        Tile(f"At the end, {awake}", f"{100 * theirs['final']:.0f} %", ""),
    ]
    if len(ceiling):
        most = 100 * float(ceiling["accuracy"].mean())
        tiles.append(Tile("Ceiling", f"{most:.0f} %", "all tasks together, to the end"))
    if np.isfinite(ours.get("extra_time", np.nan)):
        tiles.append(Tile("Time of sleep", f"{100 * ours['extra_time']:+.0f} %".replace("-", "−"), f"on {awake}"))
    return [tile._replace(beside=tile.beside.rstrip(")")) for tile in tiles]


LEAST = 0.005
"""Difference of accuracy below which two methods are called the same."""


def compare_methods(
    summary: pd.DataFrame,
    curves: pd.DataFrame,
    resilience: pd.DataFrame,
    hurt: pd.DataFrame,
    *,
    sleeping: str,
    awake: str,
) -> dict[str, pd.DataFrame]:
    """What is better with sleep, worse, and the same: every measure that both methods have, at the same step.

    Args:
        summary: One row a method; this and the other tables are those of `NetworkRun`.
        curves: Accuracy on each task over the run; may be empty.
        resilience: Measures under damage; may be empty.
        hurt: Where a night lowered the accuracy; may be empty.
        sleeping: Name of the method with sleep.
        awake: Name of the method that it is compared with.

    Returns:
        Tables `better`, `worse` and `same`: what, with sleep, without, difference; the largest difference first.

    >>> summary = pd.DataFrame({"method": ["sleep", "replay"], "forgetting": [0.02, 0.27], "final": [0.8, 0.9]})
    >>> none = pd.DataFrame()
    >>> found = compare_methods(summary, none, none, none, sleeping="sleep", awake="replay")
    >>> found["better"]["what"].tolist(), found["worse"]["what"].tolist()
    (['forgetting'], ['accuracy at the end, all tasks'])
    """
    found = {str(row["method"]): row for row in summary.to_dict("records")}
    rows = [
        *_iter_totals(found[sleeping], found[awake]),
        *_iter_tasks(curves, sleeping, awake),
        *_iter_damages(resilience, sleeping, awake),
    ]
    table = pd.DataFrame(rows, columns=["what", "with sleep", "without", "gain"])
    worse = table[table["gain"] <= -LEAST]
    told = set(worse["what"])
    nights = [
        (str(row["what"]), row["after"], row["before"], row["after"] - row["before"])
        for row in hurt.to_dict("records")
        if not any(str(row["what"]).startswith(what) for what in told)
    ]
    worse = pd.concat([worse, pd.DataFrame(nights, columns=table.columns)]) if nights else worse
    parts = {"better": table[table["gain"] >= LEAST], "worse": worse, "same": table[table["gain"].abs() < LEAST]}
    return {name: _show_gains(part) for name, part in parts.items()}


def _iter_totals(ours: Mapping[Any, Any], theirs: Mapping[Any, Any]) -> Iterator[Measure]:
    """Measures of the whole run; more is better, but for forgetting and time."""
    for name, words, sign in (
        ("forgetting", "forgetting", -1),
        ("final", "accuracy at the end, all tasks", 1),
        ("minimum", "lowest that old tasks fell", 1),
        ("extra_time", "extra time, share of learning", -1),
    ):
        if name in ours and np.isfinite([ours[name], theirs[name]]).all():
            yield words, ours[name], theirs[name], sign * (ours[name] - theirs[name])


def _iter_tasks(curves: pd.DataFrame, sleeping: str, awake: str) -> Iterator[Measure]:
    """The accuracy on each task when the run is over."""
    if not len(curves):
        return
    last = curves.groupby(["task", "method"], sort=False)["accuracy"].last()
    for task in dict.fromkeys(curves["task"]):
        if (task, sleeping) in last.index and (task, awake) in last.index:
            ours, theirs = float(last[task, sleeping]), float(last[task, awake])
            yield f"task {task} at the end", ours, theirs, ours - theirs


def _iter_damages(resilience: pd.DataFrame, sleeping: str, awake: str) -> Iterator[Measure]:
    """The share of the score that each kind of damage leaves."""
    if not len(resilience):
        return
    kept = resilience[resilience["measure"] == "share kept"].groupby(["test", "method"], sort=False)["value"].first()
    for test in dict.fromkeys(kept.index.get_level_values("test")):
        if (test, sleeping) in kept.index and (test, awake) in kept.index:
            ours, theirs = float(kept[test, sleeping]), float(kept[test, awake])
            yield f"share kept under {test}", ours, theirs, ours - theirs


def _show_gains(table: pd.DataFrame) -> pd.DataFrame:
    """The largest difference first, as texts of two decimals."""
    ordered = table.sort_values("gain", key=lambda gains: -gains.abs(), kind="stable")
    signed = [f"{a - b:+.2f}".replace("-", "−") for a, b in zip(ordered["with sleep"], ordered["without"], strict=True)]
    texts = {name: [f"{value:.2f}" for value in ordered[name]] for name in ("with sleep", "without")}
    return pd.DataFrame({"what": ordered["what"].tolist(), **texts, "difference": signed})


def describe_same(table: pd.DataFrame) -> str:
    """What sleep changes by no more than nothing, in a sentence; empty where there is nothing."""
    return f"The same within {LEAST:g}: {', '.join(table['what'])}." if len(table) else ""
