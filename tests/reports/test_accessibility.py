"""Every page under axe-core in a real browser, at two widths and in both schemes; and what needs no browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sharpwave.reports import write_index, write_report
from sharpwave.reports.formats import STAGE_COLOURS, STAGE_COLOURS_DARK, compute_luminance, tint
from sharpwave.reports.network_page import write_network_card
from sharpwave.reports.templates import _read_asset, bind_numbers

from .conftest import make_night
from .test_network_page import make_run

BROWSER = Path("/usr/bin/chromium")
WIDTHS, SCHEMES = (400, 1280), ("light", "dark")


def _write_night(path: Path) -> None:
    night = make_night(hours=1.0)
    write_report(replace(night, events=night.events.head(200)), path)


def _write_index(path: Path) -> None:
    night = make_night(hours=1.0)
    write_index({"a.html": night, "b.html": replace(night, verdict="not usable")}, path)


def _write_effects(path: Path) -> None:
    from sharpwave.night.decoded import ReactivationEffects
    from sharpwave.reports.causality_page import CausalityPage, write_causality_page

    rule = {"verdict": "too few nights", "rule": "A.", "control_of_rule": "B.", "reason": "c", "claim": "d", "mark": ""}
    rule |= {"direction": "forward", "outcome": "lighter", "content": "any", "stage": "any", "period": "any"}
    rule |= {"estimator": "hazard", "horizon": 30.0, "exposed": 0.1, "control": 0.04, "n_events": 60.0, "n_nights": 2.0}
    rule |= {"value": 0.06, "low": 0.01, "high": 0.1, "ratio": 2.5, "ratio_low": 1.2, "ratio_high": 4.0, "q": 0.02}
    nights = pd.DataFrame({"night": ["a"], "reactivations": [60], "simulated": [True]})
    rules = pd.DataFrame([rule])
    page = CausalityPage(
        effects=ReactivationEffects(rules=rules), estimates=rules, nights=nights, answer=["Few."], simulated=1
    )
    write_causality_page(page, path)


def _write_replay(path: Path) -> None:
    from sharpwave.reports.replay_page import ReplayPage, write_replay_page

    from .test_replay_figures import make_event

    test = {"epoch": "after", "n_events": 15, "n_significant": 0, "share": 1 / 15, "low": 0.0, "high": 0.2, "p": 0.5}
    settings = {"n_place_cells": 13, "n_units": 31, "n_surrogates": 100, "surrogate": "cell-identity"}
    settings |= {"statistic": "correlation", "experience_start_s": 0.0, "experience_end_s": 900.0, "n_candidates": 15}
    settings |= {"min_units": 5, "bin_size_s": 0.02, "decoder_bin_size_s": 0.005}
    page = ReplayPage(
        identifier="rat",
        source="rat.nwb",
        simulated=False,
        duration=1800.0,
        settings=settings,
        tests=pd.DataFrame([test]),
        contents=pd.DataFrame(columns=["epoch", "content", "n_events", "n_significant"]),
        best=[make_event()],
        typical=[make_event()],
        notes=["A note."],
        versions={"numpy": "2"},
    )
    write_replay_page(page, path)


PAGES: dict[str, Callable[[Path], Any]] = {
    "night": _write_night,
    "index": _write_index,
    "network": lambda path: write_network_card(make_run(), path),
    "causality": _write_effects,
    "replay": _write_replay,
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    if not BROWSER.exists():
        pytest.skip(f"no browser: {BROWSER} is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(BROWSER), args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker, which the package `axe-playwright-python` carries; it is no part of sharpwave."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-core is not installed: pip install axe-playwright-python")
    return Path(spec.origin).with_name("axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", PAGES)
def test_axe_finds_nothing(name: str, browser: Any, axe: str, tmp_path: Path) -> None:
    path = tmp_path / f"{name}.html"
    PAGES[name](path)
    for width in WIDTHS:
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
            page.set_default_timeout(120_000)
            page.goto(path.as_uri())
            page.evaluate(axe)
            rules = "" if scheme == "light" else ", runOnly: ['color-contrast']"  # all else is the same in the dark
            found = page.evaluate(f"axe.run(document, {{resultTypes: ['violations']{rules}}})")["violations"]
            said = [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]
            assert not said, f"{name}, {width} px, {scheme}: {said}"
            assert page.evaluate("document.documentElement.scrollWidth") <= width, f"{name} is cut at {width} px"
            page.close()


@pytest.mark.parametrize("name", PAGES)
def test_tables_scroll_in_a_box_of_their_own_that_can_be_focused(name: str, tmp_path: Path) -> None:
    PAGES[name](tmp_path / "page.html")
    content = (tmp_path / "page.html").read_text(encoding="utf-8")
    boxes = re.findall(r'<div class="table-box" tabindex="0" role="group" aria-label="Table: [^"]+"><table', content)
    assert len(boxes) == content.count("<table") > 0


def _read_scheme(dark: bool) -> dict[str, tuple[int, int, int]]:
    """Colours of one scheme, by variable."""
    light, _, rest = _read_asset("page.css").partition("@media screen and (prefers-color-scheme: dark)")
    words = rest.partition("\n}")[0] if dark else light
    found = re.findall(r"--([\w-]+): (#[0-9A-Fa-f]{3,6})", words)
    codes = {name: code if len(code) == 7 else "#" + "".join(2 * digit for digit in code[1:]) for name, code in found}
    return {name: (int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)) for name, code in codes.items()}


def _contrast(first: tuple[int, ...], second: tuple[int, ...]) -> float:
    low, high = sorted((compute_luminance(np.array(first)), compute_luminance(np.array(second))))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_figures_have_contrast_in_both_schemes(dark: bool) -> None:
    """What axe cannot judge in pictures: words 4.5 to 1, lines and areas 3 to 1."""
    colours = _read_scheme(dark)
    for name in ("ink", "soft", "link", "good", "care", "ill"):
        for ground in ("page", "paper"):
            assert _contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    drawn = ("w", "r", "n1", "n2", "n3", "blue", "ochre", "red", "line", "doubt", "worse", "differs")
    for name in (*drawn, *(f"c{number}" for number in range(8))):
        assert _contrast(colours[name], colours["page"]) >= 3, name
    assert len({colours[f"c{number}"] for number in range(8)}) == 8
    table = STAGE_COLOURS_DARK if dark else STAGE_COLOURS
    for stage, name in (("W", "w"), ("R", "r"), ("N1", "n1"), ("N2", "n2"), ("N3", "n3")):
        code = table[stage]
        assert colours[name] == tuple(int(code[at : at + 2], 16) for at in (1, 3, 5)), stage


@pytest.mark.parametrize("colour", ["#2960AD", "#8F5A10"])
def test_numbers_on_cells_can_be_read(colour: str) -> None:
    inks = {"on-dark": (255, 255, 255), "on-light": (11, 15, 20)}
    for strength in np.linspace(0, 1, 21).tolist():
        fill, css = tint(colour, strength)
        assert _contrast(tuple(int(fill[at : at + 2], 16) for at in (1, 3, 5)), inks[css]) >= 4.4


def test_a_number_keeps_its_unit_and_nothing_else_changes() -> None:
    said = bind_numbers('<p title="5 min">from 10 % to 5 min, n = 3, 7 people</p><script>"5 min"</script>')
    assert said == ('<p title="5 min">from 10\xa0% to 5\xa0min, n\xa0=\xa03, 7 people</p><script>"5 min"</script>')


def test_a_long_table_is_laid_out_as_far_as_it_is_read(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pandas as pd

    from sharpwave.reports import nights_page
    from sharpwave.reports.nights_table import NightResult, tabulate_nights

    monkeypatch.setattr(nights_page, "FIRST_ROWS", 4)
    table = tabulate_nights([NightResult(f"n{index}", reason="x") for index in range(9)])
    table["age"] = pd.Series([50.0, 51, 52, 53, 54, 55, 56, 57, 7.5])
    table["hours"] = 8.0
    path = nights_page.write_nights_page(table, tmp_path / "index.html")
    visible = (
        "[...document.querySelectorAll('tbody tr')].filter(r => r.offsetHeight > 0).map(r => r.cells[0].innerText)"
    )
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(path.as_uri())
    assert page.evaluate(visible) == ["n0", "n1", "n2", "n3"]
    page.click("button.sort:text-is('age')")
    assert page.evaluate(visible) == ["n8", "n0", "n1", "n2"]  # sorted over all, not over those that are shown
    page.click("button.more")
    assert len(page.evaluate(visible)) == 9
    page.close()
    plain = browser.new_context(java_script_enabled=False).new_page()
    plain.goto(path.as_uri())
    assert plain.locator("tbody tr:visible").count() == 9
    plain.close()
