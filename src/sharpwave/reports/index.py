"""The page that lists several nights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from sharpwave.disk import show_path
from sharpwave.night.decoded import DecodedNight
from sharpwave.outputs import write_file
from sharpwave.reports.formats import MISSING, show, show_duration, show_name
from sharpwave.reports.nights_page import write_nights_page
from sharpwave.reports.nights_table import NightResult, tabulate_nights
from sharpwave.reports.templates import render
from sharpwave.reports.timeline import Timeline, downsample_hypnogram
from sharpwave.reports.tracks import draw_thumbnail


@dataclass(frozen=True)
class _Row:
    address: str
    identifier: str
    simulated: bool
    verdict: str
    stager: str
    duration: float
    statistics: Sequence[Mapping[Any, Any]]
    picture: Markup | str = ""

    @property
    def length(self) -> str:
        return show_duration(self.duration)

    def show_statistic(self, name: str) -> str:
        """The value and unit of one statistic; an en dash where this night has none, or cannot be used."""
        if self.verdict == "not usable":
            return MISSING
        row = next((row for row in self.statistics if row["name"] == name), None)
        value = MISSING if row is None else show(row["value"])
        return value if row is None or value == MISSING else f"{value} {row['unit']}"


def write_index(nights: Mapping[str, DecodedNight], path: str | Path, *, statistics: int = 4) -> Path:
    """Write the group page: one row per night, linking to each night's own page.

    Args:
        nights: Decoded nights by the address of their page, relative to `path`'s folder.
        path: File to write; its folder must exist.
        statistics: Number of sleep statistics to show: the first ones of the nights' tables.

    Returns:
        The path written.

    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sharpwave.recordings import Hypnogram
    >>> hypnogram = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    >>> nap = DecodedNight(
    ...     identifier="nap", source="nap.edf", duration=120.0, hypnogram=hypnogram, stager="hand", verdict="usable"
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     page = write_index({"nap.html": nap}, Path(folder) / "index.html").read_text(encoding="utf-8")
    >>> 'href="nap.html"' in page
    True
    """
    rows = [
        _Row(
            address=address,
            identifier=night.identifier,
            simulated=night.simulated,
            verdict=night.verdict,
            stager=night.stager,
            duration=night.duration,
            statistics=night.statistics.to_dict("records"),
            picture=draw_thumbnail(downsample_hypnogram(night.hypnogram, most=480), Timeline.of(night)),
        )
        for address, night in nights.items()
    ]
    return _write(rows, Path(path), statistics=statistics)


def write_index_of_summaries(summaries: Mapping[Path, Path], path: str | Path) -> Path:
    """Write the page over many nights from results on disk.

    Args:
        summaries: `summary.json` of each night by its page; a night whose file is damaged is listed as such.
        path: File to write; its folder must exist.

    Returns:
        The path written.

    >>> from tempfile import TemporaryDirectory
    >>> import json
    >>> nap = {"identifier": "nap", "simulated": False, "verdict": "usable", "stager": "hand", "duration_s": 120.0}
    >>> with TemporaryDirectory() as folder:
    ...     summary = Path(folder, "summary.json")
    ...     _ = summary.write_text(json.dumps(nap | {"statistics": []}))
    ...     page = write_index_of_summaries({Path(folder, "nap.html"): summary}, Path(folder, "index.html"))
    ...     'href="nap.html"' in page.read_text(encoding="utf-8")
    True
    """
    path = Path(path)
    results = [NightResult(show_path(page.parent.name), summary, page) for page, summary in summaries.items()]
    return write_nights_page(tabulate_nights(results, folder=path.parent), path)


def _write(rows: list[_Row], path: Path, *, statistics: int) -> Path:
    heads = _collect_names(rows)[:statistics]
    verdicts = Counter(row.verdict for row in rows)
    pictures = any(row.picture for row in rows)
    content = render("index.html", rows=rows, heads=heads, show_name=show_name, verdicts=verdicts, pictures=pictures)
    return write_file(path, show_path(content))


def _collect_names(rows: Iterable[_Row]) -> list[str]:
    return list(dict.fromkeys(str(statistic["name"]) for row in rows for statistic in row.statistics))
