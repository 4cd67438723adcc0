"""Data that the page carries inside itself: small tables to save, and what its script reads."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.formats import STAGE_WORDS
from sharpwave.reports.timeline import Timeline
from sharpwave.untrusted import make_cells_safe

_MOST_CELLS = 70_000
"""Cells of a table, about half a megabyte, above which the page names it without carrying it."""


_TIMES = frozenset(("onset", "duration", "start", "end", "step"))
"""Columns of times, in which six digits would not do."""


def encode_downloads(night: DecodedNight) -> list[dict[str, Any]]:
    """Tables as files inside the page; only their names where they are too long for that."""
    contents = {
        "hypnogram.tsv": night.hypnogram.to_frame(),
        "events.tsv": night.events,
        "forecast.tsv": night.forecast,
        "statistics.tsv": night.statistics,
        "quality.tsv": night.quality,
        "spectra.tsv": night.oscillations.curves,
    }
    return [encode_table(name, table) for name, table in contents.items() if len(table)]


def encode_table(name: str, table: pd.DataFrame) -> dict[str, Any]:
    """A table as a file inside the page, with commas where its name ends in .csv; its name alone where it is long."""
    if table.size > _MOST_CELLS:
        return {"name": name, "rows": len(table), "size": None, "address": None}
    kind, separator = ("csv", ",") if name.endswith(".csv") else ("tab-separated-values", "\t")
    text = (
        make_cells_safe(_shorten(table)).to_csv(sep=separator, index=False, na_rep="n/a", float_format="%.10g").encode()
    )
    address = f"data:text/{kind};base64," + base64.b64encode(text).decode()
    return {"name": name, "rows": len(table), "size": f"{max(len(text) / 1e3, 0.1):.1f} kB", "address": address}


def _shorten(table: pd.DataFrame) -> pd.DataFrame:
    """The table with six significant digits; times keep all of theirs."""
    rounded = {
        name: [float(f"{value:.6g}") for value in column.tolist()]
        for name, column in table.items()
        if column.dtype.kind == "f" and str(name) not in _TIMES
    }
    return table.assign(**{str(name): values for name, values in rounded.items()})


def encode_live(night: DecodedNight, drawn: Hypnogram, line: Timeline) -> dict[str, Any]:
    """What the script needs to answer a moving cursor: a few characters per epoch drawn."""
    confidence: list[int] = []
    if drawn.probabilities is not None:
        confidence = np.floor(np.nan_to_num(1000 * drawn.probabilities.max(axis=1), nan=-1) + 1e-9).astype(int).tolist()
    expert: list[int] = []
    if night.expert is not None and night.expert.n_stages >= drawn.n_stages:
        expert = night.expert.merge(drawn.n_stages).at(drawn.onsets + drawn.epoch_length / 2).tolist()
    return {
        "key": night.identifier,
        "start": line.start,
        "end": line.end,
        "clock": None if night.start is None else night.start.replace(tzinfo=None).isoformat() + "Z",
        "epochStart": drawn.start,
        "epoch": drawn.epoch_length,
        "names": [STAGE_WORDS.get(name, name) for name in drawn.names],
        "stages": drawn.stages.tolist(),
        "confidence": confidence,
        "expert": expert,
        "threshold": night.unclear_below,
    }
