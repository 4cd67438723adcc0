"""The page in a real browser: what it shows, what stops, and that nothing starts by accident."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.live.staged_night import CARD, NAMES, StagedNight

from sharpwave.live.display import LivePage, open_live_page
from sharpwave.live.hub import HOLD_SECONDS

pytest.importorskip("fastapi")
playwright = pytest.importorskip("playwright.sync_api")
BROWSER = Path("/usr/bin/chromium")
PATIENCE = 60_000
"""Milliseconds: a busy machine takes long, and no test here depends on how long."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if not BROWSER.exists():
        pytest.skip(f"no browser: {BROWSER} is not installed")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=str(BROWSER), args=["--no-sandbox"])
        yield running
        running.close()


class Playing:
    """A staged night that goes on in a thread of its own, beside the browser that looks at it."""

    def __init__(self, live: LivePage) -> None:
        self.live, self.night = live, StagedNight(live)
        for _ in range(240):
            self.night.step()
        self._ended = threading.Event()
        self.going = threading.Event()
        self.going.set()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def _play(self) -> None:
        while not self._ended.wait(0.05):
            if self.going.is_set():
                self.night.step()

    def heard(self) -> list[str]:
        return [command.name for command in self.night.heard]

    def end(self) -> None:
        self._ended.set()
        self._thread.join(60)


@pytest.fixture(scope="module")
def shared() -> Iterator[Playing]:
    with open_live_page(CARD) as live:
        started = Playing(live)
        yield started
        started.end()


@pytest.fixture
def playing(shared: Playing) -> Playing:
    """The night of all tests, begun anew: not armed, with its signal, and nothing asked for yet."""
    shared.live.take_commands(0.0)
    shared.night.mode, shared.night.alive = "disarmed", True
    shared.night.heard.clear()
    shared.going.set()
    return shared


@pytest.fixture
def page(browser: Any, playing: Playing) -> Iterator[Any]:
    """The page, loaded, with what it complains of and whatever it asks the network for."""
    context = browser.new_context(viewport={"width": 1280, "height": 800}, color_scheme="light")
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.complaints, opened.asked = [], []
    opened.on("console", lambda said: opened.complaints.append(said.text))
    opened.on("pageerror", lambda error: opened.complaints.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    opened.goto(playing.live.address)
    see(opened, "body[data-mode=disarmed]")
    yield opened
    context.close()


def see(page: Any, place: str) -> None:
    """Wait until something is on the page; its policy forbids to look by a script."""
    page.wait_for_selector(place, state="attached", timeout=PATIENCE)


def text(page: Any, place: str) -> str:
    return str(page.locator(place).inner_text())


def wait_until(page: Any, happens: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE / 1000
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        page.wait_for_timeout(20)


def arm(page: Any) -> None:
    """Hold the button; again where the loop was silent meanwhile, as on a machine that has too much to do."""
    for _ in range(10):
        page.hover("#start")
        page.mouse.down()
        see(page, "body[data-mode=armed], #hint:has-text('Not done'), #hint:has-text('Let go')")
        page.mouse.up()
        if page.get_attribute("body", "data-mode") == "armed":
            return
    raise AssertionError("it could not be armed")


def test_it_shows_every_condition_with_its_value_and_limit_and_a_sign(page: Any) -> None:
    rows = page.locator("#conditions li")
    assert rows.count() == len(NAMES)
    found = {row.locator(".name").inner_text(): row for row in rows.all()}
    assert list(found) == [name for name, *_ in NAMES]
    armed, asleep = found["armed"], found["asleep"]
    assert armed.get_attribute("class") == "fails"
    assert (armed.locator(".lamp").inner_text(), armed.locator(".lamp").get_attribute("aria-label")) == (
        "✕",
        "does not hold",
    )
    assert (armed.locator(".value").inner_text(), armed.locator(".limit").inner_text()) == ("disarmed", "= armed")
    assert (asleep.locator(".lamp").inner_text(), asleep.locator(".lamp").get_attribute("aria-label")) == ("✓", "holds")
    assert (asleep.locator(".value").inner_text(), asleep.locator(".limit").inner_text()) == ("0.96", "≥ 0.8")
    assert text(page, "#mode") == "Not armed"
    assert "armed" in text(page, "#why")


def test_it_shows_stage_phase_signal_and_the_night(page: Any) -> None:
    assert text(page, "#stage") == "N3"
    assert text(page, "#stage-age") == "heard 3.2 s ago"
    assert "°" in text(page, "#phase")
    assert text(page, "#target") == "target −45° ± 45°"
    assert "Simulated sleeper" in text(page, "#night")
    assert "Not a medical device" in text(page, "footer")
    drawn = page.evaluate(
        "() => { const c = document.querySelector('#plot canvas'), d = c.getContext('2d').getImageData(0, 0, c.width, "
        "c.height).data; const seen = new Set(); for (let i = 0; i < d.length; i += 4) if (d[i + 3]) "
        "seen.add(d[i] + ',' + d[i + 1] + ',' + d[i + 2]); return [seen.has('41,96,173'), seen.has('125,139,153')]; }"
    )
    assert drawn == [True, True]  # the slow oscillation and the signal, each in its colour


def test_nothing_comes_from_outside_and_nothing_is_blocked_or_broken(page: Any, playing: Playing) -> None:
    home = playing.live.address.split("#")[0]
    assert page.complaints == []
    assert all(address.startswith(home) for address in page.asked)
    assert page.url == home  # the token has left the address bar
    page.evaluate("fetch('https://example.com/').catch(() => 0)")
    wait_until(page, lambda: any("Content Security Policy" in said for said in page.complaints))


def test_a_loaded_page_starts_nothing_whatever_is_clicked_or_typed(page: Any, playing: Playing) -> None:
    page.click("#start")
    page.dblclick("#start")
    for key in ("Enter", "Space", "a", "Tab"):
        page.keyboard.press(key)
    page.reload()
    see(page, "body[data-mode=disarmed]")
    page.focus("#start")
    for _ in range(3):
        page.keyboard.press("Enter")
    page.evaluate("document.getElementById('start').click()")
    page.wait_for_timeout(300)
    assert playing.heard() == []


def test_letting_go_early_or_leaving_the_button_starts_nothing(page: Any, playing: Playing) -> None:
    page.hover("#start")
    page.mouse.down()
    page.wait_for_timeout(500)
    page.mouse.up()
    assert "Let go too early" in text(page, "#hint")
    page.mouse.down()
    page.wait_for_timeout(300)
    page.mouse.move(10, 400)
    page.wait_for_timeout(1000 * HOLD_SECONDS + 600)
    page.mouse.up()
    assert playing.heard() == []


def test_a_held_button_arms_pause_pauses_and_a_held_button_resumes(page: Any, playing: Playing) -> None:
    arm(page)
    assert text(page, "#mode") == "Armed"
    page.click("#pause")
    see(page, "body[data-mode=paused]")
    assert text(page, "#start-word") == "Hold 2 s to resume"
    page.focus("#start")
    page.keyboard.down("Space")
    see(page, "body[data-mode=armed]")
    page.keyboard.up("Space")
    assert playing.heard() == ["arm", "pause", "resume"]


@pytest.mark.parametrize("way", ["button", "Escape", "Escape while another button has the focus"])
def test_stop_stops_for_the_night(page: Any, playing: Playing, way: str) -> None:
    arm(page)
    if way == "button":
        page.click("#stop")
    else:
        page.focus("#pause" if "focus" in way else "body")
        page.keyboard.press("Escape")
    see(page, "body[data-mode=stopped]")
    assert playing.heard() == ["arm", "stop"]
    assert text(page, "#stop-word") == "STOPPED"
    assert not page.is_visible("#start")
    assert not page.is_visible("#pause")


def test_every_open_page_can_stop_and_sees_it(browser: Any, page: Any, playing: Playing) -> None:
    arm(page)
    context = browser.new_context()
    other = context.new_page()
    other.goto(playing.live.address)
    see(other, "body[data-mode=armed]")
    other.keyboard.press("Escape")
    see(page, "body[data-mode=stopped]")
    context.close()


def test_trials_are_shown_by_number_and_never_by_condition(page: Any, playing: Playing) -> None:
    arm(page)
    playing.going.clear()
    for _ in range(800):
        playing.night.step()
    wait_until(page, lambda: page.locator("#trials tr").count() == 10)
    first = page.locator("#trials tr").first.locator("td").all_inner_texts()
    assert int(first[0]) > 40
    assert any(word in first[2] for word in ("given", "planned", "cancelled"))
    assert "sealed until the morning" in text(page, ".trials")
    assert "cue-03" not in page.content()


def test_a_silent_loop_is_shown_within_a_second_and_nothing_old_is_believed(page: Any, playing: Playing) -> None:
    playing.going.clear()
    see(page, "#alarm:not([hidden])")
    assert text(page, "#alarm-word") == "THE LOOP IS SILENT"
    assert "stale" in str(page.get_attribute("body", "class"))
    assert text(page, "#mode").startswith("Not known")
    assert text(page, "#stage") == "not known"
    assert set(page.locator("#conditions .lamp").all_inner_texts()) == {"?"}
    assert page.is_disabled("#start")
    playing.going.set()
    see(page, "#alarm[hidden]")
    assert text(page, "#stage") == "N3"


def test_the_time_until_what_is_old_is_called_old_is_below_a_second(page: Any) -> None:
    """On a clock that the test turns: no word for 0.65 s is believed, and a word that is 0.95 s old is not."""
    rule = page.evaluate("fetch('page.js').then(answer => answer.text())")
    stale = float(rule.split("const STALE = ")[1].split(";")[0])
    every = float(rule.split("setInterval(refresh, ")[1].split(")")[0]) / 1000
    assert 0.5 <= stale < stale + every < 1.0


def test_a_lost_server_is_shown_and_a_stop_waits_for_it(browser: Any) -> None:
    with open_live_page(CARD) as live:
        StagedNight(live).step()
        page = browser.new_page()
        page.goto(live.address)
        see(page, "body[data-mode]")
        live._process.kill()
    see(page, "#alarm:not([hidden])")
    see(page, "#alarm-word:text-is('LINK LOST')")
    assert "this page cannot stop the night" in text(page, "#alarm-note")
    page.keyboard.press("Escape")
    assert text(page, "#stop-note") == "sending …"
    see(page, "#alarm-note:has-text('as soon as the link is back')")
    assert text(page, "#stop-word") == "STOP"
    page.close()


def test_no_new_signal_is_shown(page: Any, playing: Playing) -> None:
    playing.night.alive = False
    see(page, "#alarm-word:text-is('NO NEW SIGNAL')")
    assert "fails" in str(page.locator("#conditions li").nth(2).get_attribute("class"))


def test_a_page_without_the_token_says_so(browser: Any, playing: Playing) -> None:
    context = browser.new_context()
    opened = context.new_page()
    opened.set_default_timeout(PATIENCE)
    opened.goto(playing.live.address.split("#")[0])
    see(opened, "#alarm-note:has-text('has no token')")
    opened.goto(playing.live.address.split("#")[0] + "#wrong")
    opened.reload()
    see(opened, "#alarm-note:has-text('token is wrong')")
    opened.keyboard.press("Escape")
    opened.wait_for_timeout(300)
    assert playing.heard() == []
    context.close()


@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_and_stop_stays_in_sight_in_daylight_and_in_the_dark(page: Any, width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)
    page.set_viewport_size({"width": width, "height": 800})
    see(page, f"html[data-theme={scheme}]")
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth")  # drawings take a frame to follow
    for place in (0, 100_000):
        page.evaluate(f"scrollTo(0, {place})")
        box = page.locator("#stop").bounding_box()
        assert 0 <= box["y"] <= box["y"] + box["height"] <= 800
        assert box["width"] * box["height"] > 15_000
    assert measure_contrast(page, "#mode") >= 4.5
    assert measure_contrast(page, "#stop") >= 4.5
    assert measure_contrast(page, "#stage-age") >= 4.5


def measure_contrast(page: Any, place: str) -> float:
    """Contrast of a text with what lies under it, as WCAG has it."""
    found = page.evaluate(
        """place => { let node = document.querySelector(place); const ink = getComputedStyle(node).color;
        let under = getComputedStyle(node).backgroundColor;
        while (under === 'rgba(0, 0, 0, 0)' && node.parentElement) {
            node = node.parentElement;
            under = getComputedStyle(node).backgroundColor;
        }
        return [ink, under]; }""",
        place,
    )
    light = []
    for colour in found:
        parts = [float(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        light.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(light) + 0.05) / (min(light) + 0.05)


def test_a_stop_that_could_not_be_sent_goes_first_once_the_link_is_back_and_nothing_else_does(
    browser: Any, playing: Playing
) -> None:
    page = browser.new_page()
    links: list[list[str]] = []

    def link(socket: Any) -> None:
        said: list[str] = []
        links.append(said)
        socket.on_message(lambda text: said.append(str(text)))
        if len(links) == 1:
            socket.close()

    page.route_web_socket("**/live", link)
    page.goto(playing.live.address)
    page.keyboard.press("Escape")
    wait_until(page, lambda: len(links) > 1 and len(links[-1]) > 1)
    assert '"token"' in links[-1][0]
    assert links[-1][1:] == ['{"command":"stop"}']
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_axe_finds_nothing(browser: Any, playing: Playing, width: int, scheme: str):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, bypass_csp=True)
    opened = context.new_page()
    opened.goto(playing.live.address)
    see(opened, "body[data-mode=disarmed]")
    found = axe.Axe().run(opened).response["violations"]
    context.close()
    assert [(rule["id"], node["html"][:120]) for rule in found for node in rule["nodes"]] == []
