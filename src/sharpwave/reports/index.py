"""The page that lists several nights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sharpwave.reports.night import DecodedNight
from sharpwave.reports.templates import render


def write_index(nights: Mapping[str, DecodedNight], path: str | Path) -> Path:
    """Write the group page: one row per night, linking to each night's own page.

    Args:
        nights: Decoded nights by the address of their page, relative to `path`'s folder.
        path: File to write; its folder must exist.

    Returns:
        The path written.
    """
    path = Path(path)
    path.write_text(render("index.html", nights=nights), encoding="utf-8")
    return path
