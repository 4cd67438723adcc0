"""The end of the demonstration: a simulated sleeper is cued, and the page of it plays without a server."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest

from sharpwave.demonstrations.live_night import demonstrate_live_night
from sharpwave.errors import SharpwaveError
from sharpwave.live.recorded import write_recorded_page
from sharpwave.live.view import NightCard

BROWSER = Path("/usr/bin/chromium")


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return demonstrate_live_night(tmp_path_factory.mktemp("demo") / "live-night.html", minutes=0.4)


def read_frames(page: Path) -> dict[str, Any]:
    packed = re.findall(r'<script type="text/plain" id="recorded">([^<]*)</script>', page.read_text(encoding="utf-8"))
    found: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed[0])))
    return found


def test_the_log_is_whole_and_every_decision_is_the_same_again(shown: tuple[Path, str]) -> None:
    assert "The log is whole" in shown[1]
    assert "the same, byte for byte" in shown[1]
    assert "BROKEN" not in shown[1]


def test_the_page_holds_what_was_shown_and_no_condition_of_a_trial(shown: tuple[Path, str]) -> None:
    content = read_frames(shown[0])
    frames = content["frames"]
    assert 40 <= len(frames) <= 50
    assert frames[-1]["view"]["now"] - frames[0]["view"]["now"] == pytest.approx(23.5, abs=1)
    assert {one["name"] for one in frames[-1]["view"]["conditions"]} >= {"armed", "polarity", "age of data"}
    assert "sham" not in json.dumps(frames)
    times = [piece[0] for frame in frames for piece in frame["signal"]]
    assert times == sorted(set(times))


def test_the_policy_names_each_script_by_its_hash_and_allows_nothing_else(shown: tuple[Path, str]) -> None:
    text = shown[0].read_text(encoding="utf-8")
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)[0]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    scripts = re.findall(r"<script>(.*?)</script>\n", text, re.DOTALL)
    assert len(scripts) == 4
    for script in (*scripts, *re.findall(r"<style>(.*?)</style>", text, re.DOTALL)):
        assert base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() in policy
    assert not re.search(r"unsafe|https?:", policy)
    assert "Permission is hereby granted" in text


def test_it_plays_in_a_browser_and_has_nothing_to_press_that_acts(shown: tuple[Path, str]) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if not BROWSER.exists():
        pytest.skip(f"no browser: {BROWSER} is not installed")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(BROWSER), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        said: list[str] = []
        asked: list[str] = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(shown[0].as_uri())
        page.wait_for_selector(".player")
        first = page.inner_text("#clock")
        page.wait_for_selector(f"#clock:not(:text-is('{first}'))")
        page.keyboard.press("Escape")
        assert page.inner_text(".player button") == "Play"
        page.locator(".player input").fill("40")
        assert page.inner_text("#clock") in ("00:00:20", "00:00:21")
        assert "Recording of a simulated night" in page.inner_text("#night")
        assert not any(page.is_visible(place) for place in ("#stop", "#start", "#pause", "#alarm"))
        assert (said, asked) == ([], [shown[0].as_uri()])
        browser.close()


def test_a_page_without_frames_is_refused(tmp_path: Path) -> None:
    card = NightCard("a", "b", "c", "simulate", "null", 256.0, "Fz")
    with pytest.raises(SharpwaveError, match="expected frames of a night; got none"):
        write_recorded_page(tmp_path / "page.html", card, [])
