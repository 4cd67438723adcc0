"""The page that lists several nights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from sharpwave.reports.downsample import downsample_hypnogram
from sharpwave.reports.formats import MISSING, show, show_duration
from sharpwave.reports.night import DecodedNight
from sharpwave.reports.templates import render
from sharpwave.reports.timeline import Timeline
from sharpwave.reports.tracks import draw_thumbnail


def write_index(nights: Mapping[str, DecodedNight], path: str | Path, *, statistics: int = 4) -> Path:
    """Write the group page: one row per night, linking to each night's own page.

    Args:
        nights: Decoded nights by the address of their page, relative to `path`'s folder.
        path: File to write; its folder must exist.
        statistics: How many sleep statistics to show: the first ones of the nights' tables.

    Returns:
        The path written.
    """
    names = list(dict.fromkeys(str(name) for night in nights.values() for name in night.statistics.get("name", ())))
    names = names[:statistics]
    rows = [
        {
            "address": address,
            "night": night,
            "length": show_duration(night.duration),
            "picture": draw_thumbnail(downsample_hypnogram(night.hypnogram, most=480), Timeline.of(night)),
            "cells": [_find_statistic(night.statistics, name) for name in names],
        }
        for address, night in nights.items()
    ]
    verdicts = Counter(night.verdict for night in nights.values())
    path = Path(path)
    path.write_text(render("index.html", rows=rows, heads=names, verdicts=verdicts), encoding="utf-8")
    return path


def _find_statistic(statistics: pd.DataFrame, name: str) -> str:
    if not len(statistics) or not (statistics["name"] == name).any():
        return MISSING
    row = statistics[statistics["name"] == name].iloc[0]
    value = show(row["value"])
    return value if value == MISSING else f"{value} {row['unit']}"
