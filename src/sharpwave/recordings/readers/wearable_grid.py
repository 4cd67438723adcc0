"""Rows of a table in the order of their times: repeats, gaps, and a regular grid for electrical signals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

GAP_FACTOR = 5.0
SHORTEST_GAP = 1.0
"""Seconds: what is missing from an electrical signal for less is jitter of the times, not a gap."""
LEAST_COPIES = 3
"""Rows in a block that repeats earlier ones."""
LONGEST_REPEAT = 120.0
"""Seconds between times that are rounded to the minute, with room."""


def drop_copies(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table without blocks of rows that repeat earlier ones, times and values, as where exports overlap.

    Args:
        table: Rows with their times, as they stand in the file.

    >>> rows = {"time": [0, 30, 60, 90, 30, 60, 90, 120], "hr": [60, 61, 62, 63, 61, 62, 63, 64]}
    >>> table, said = drop_copies(pd.DataFrame(rows))
    >>> table["time"].tolist(), said
    ([0, 30, 60, 90, 120], ['3 rows are copies of earlier ones, as where two exports overlap; left out'])
    """
    again = table.duplicated().to_numpy()
    edges = np.diff(np.r_[0, again.astype(int), 0])
    kept = np.ones(len(table), dtype=bool)
    for first, last in zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True):
        block = table.iloc[first:last]
        if last - first >= LEAST_COPIES and (block.nunique() > 1).sum() > 1:  # more than the times change
            kept[first:last] = False
    n_copies = int((~kept).sum())
    if not n_copies:
        return table, []
    said = f"{n_copies} rows are copies of earlier ones, as where two exports overlap; left out"
    return table[kept].reset_index(drop=True), [said]


def spread_repeats(
    seconds: Float[np.ndarray, " row"], values: pd.DataFrame
) -> tuple[Float[np.ndarray, " row"], list[str]]:
    """Times of rows that were rounded to whole seconds or minutes, so that several rows share one: spread evenly.

    Args:
        seconds: Times of the rows, NaN where unknown.
        values: The other columns; rows that repeat these too are copies, and nothing is spread.

    Returns:
        The times, and sentences on what was done.

    >>> spread_repeats(np.array([0.0, 0, 60, 60, 120, 120]), pd.DataFrame({"hr": [60, 61, 62, 63, 64, 65]}))[0].tolist()
    [0.0, 30.0, 60.0, 90.0, 120.0, 150.0]
    """
    known = np.flatnonzero(np.isfinite(seconds))
    times = seconds[known]
    if known.size < 4 or (np.diff(times) < 0).any():
        return seconds, []
    moments, first, count = np.unique(times, return_index=True, return_counts=True)
    steps = np.diff(moments)
    again = np.diff(times) == 0
    if again.mean() < 0.4 or not steps.size or np.median(steps) > LONGEST_REPEAT:
        return seconds, []
    if values.iloc[known].duplicated()[np.r_[False, again]].mean() > 0.5:
        return seconds, []
    usual = float(np.median(steps))
    room = np.minimum(np.r_[steps, usual], usual)
    full = np.median(count[1:-1]) if len(count) > 2 else count.max()
    within = np.arange(times.size) - np.repeat(first, count)
    late = np.where(np.arange(count.size) == 0, np.maximum(full - count, 0), 0)  # the first second is cut in front
    each = np.maximum(count + late, full) if full else count
    spread = seconds.copy()
    spread[known] = times + np.repeat(room / each, count) * (within + np.repeat(late, count))
    return spread, [f"about {full:g} rows share each time, which is rounded; they were spread evenly in between"]


def order_rows(seconds: Float[np.ndarray, " row"]) -> tuple[Int[np.ndarray, " kept"], list[str]]:
    """Rows in the order of time, each time once, and sentences on what was put in order or left out.

    Args:
        seconds: Times of the rows, NaN where unknown.

    >>> order_rows(np.array([0.0, 60, 30]))
    (array([0, 2, 1]), ['times ran backwards in 1 places; rows were put in order'])
    """
    readable = np.flatnonzero(np.isfinite(seconds))
    repairs = []
    backwards = int((np.diff(seconds[readable]) < 0).sum())
    if backwards:
        repairs.append(f"times ran backwards in {backwards} places; rows were put in order")
    order = readable[np.argsort(seconds[readable], kind="stable")]
    again = np.r_[False, np.diff(seconds[order]) == 0]
    if again.any():
        repairs.append(f"{int(again.sum())} rows repeat a time; the first of each was kept")
    return order[~again], repairs


def find_gaps(seconds: Float[np.ndarray, " row"]) -> list[tuple[float, float]]:
    """Spans without samples, longer than five usual intervals, as (start, end) in seconds.

    Args:
        seconds: Times of the rows, in order.
    """
    if len(seconds) < 3:
        return []
    intervals = np.diff(seconds)
    long = np.flatnonzero(intervals > GAP_FACTOR * np.median(intervals))
    return [(float(seconds[index]), float(seconds[index + 1])) for index in long]


def put_on_grid(
    values: Float[np.ndarray, " row"], seconds: Float[np.ndarray, " row"]
) -> tuple[Float[np.ndarray, " sample"], float, list[str]]:
    """An electrical signal on a regular grid at its mean rate: jitter of its times is dropped, gaps become NaN.

    Args:
        values: Samples, NaN where missing.
        seconds: Their times, in order.

    Returns:
        Samples, the step in seconds, and sentences that declare it.
    """
    known = np.isfinite(values)
    values, seconds = values[known], seconds[known]
    steps = np.diff(seconds)
    limit = max(SHORTEST_GAP, GAP_FACTOR * float(np.median(steps))) if steps.size else SHORTEST_GAP
    breaks = np.flatnonzero(steps > limit)
    sampled = float(steps[steps <= limit].sum())
    step = sampled / max(steps.size - breaks.size, 1) if sampled > 0 else 1.0
    bounds = np.r_[0, breaks + 1, len(values)]
    begins = [round((seconds[low] - seconds[0]) / step) for low in bounds[:-1]]
    sizes = np.diff(bounds)
    for index in range(1, len(begins)):  # never over the samples before
        begins[index] = max(begins[index], begins[index - 1] + int(sizes[index - 1]))
    grid = np.full(begins[-1] + int(sizes[-1]), np.nan)
    for low, begin, size in zip(bounds[:-1], begins, sizes, strict=True):
        grid[begin : begin + size] = values[low : low + size]
    missing = f"; {breaks.size} gaps of over {limit:g} s are missing samples" if breaks.size else ""
    return grid, step, [f"irregular times of electrical columns were put on a grid of {1 / step:.4g} Hz{missing}"]
