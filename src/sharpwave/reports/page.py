"""The page of one night: one HTML file that needs no network and no JavaScript."""

from __future__ import annotations

from pathlib import Path

from sharpwave.reports.night import DecodedNight
from sharpwave.reports.templates import render


def write_report(night: DecodedNight, path: str | Path) -> Path:
    """Write one decoded night as a self-contained HTML page.

    Args:
        night: What to show.
        path: File to write; its folder must exist.

    Returns:
        The path written.
    """
    path = Path(path)
    path.write_text(render("night.html", night=night), encoding="utf-8")
    return path
