"""`sharpwave benchmark live-page`: how fast STOP is silence, how soon what is old is called old, what it costs.

STOP is timed from before the key is pressed in a real browser until the interlock's process has silenced its sink while
a cue sounds; beside it stands the same from a bare WebSocket, and from the loop itself, which needs no page. Times are
of the machine and the load that the file names. Without a browser its rows are left out.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.live.latency import _start_interlock, _wait_for, to_rows
from sharpwave.benchmarks.rows import Row

BROWSER = Path("/usr/bin/chromium")
STOPS, STALES, STEPS = 30, 15, 5000
GOALS = {"STOP to silence": "250 ms", "old data shown": "1 s"}


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Measure the page on this machine.

    Args:
        data: Not used: everything is simulated.
        seeds: Not used: times of one machine.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    rows = [*time_frames(), *time_stops()]
    config = {
        "goals": GOALS,
        "browser": str(BROWSER) if BROWSER.exists() else "none",
        "load_before": round(load, 2),
        "interval": "none; low and high are the least and the largest of the n values",
    }
    return config, rows


def time_frames() -> list[Row]:
    """What the page costs: handing a step over, and what another thread makes of those of a tenth of a second."""
    from sharpwave.live.display import Frames
    from sharpwave.live.gate import init_live, step_live
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.sources.simulate import SimulatedSource
    from sharpwave.live.view import NightCard

    protocol, source = load_protocol("up-state"), SimulatedSource(("C4-M1",), rng=np.random.default_rng(0))
    frames = Frames(NightCard("simulated", "up-state", "", "simulate", "null", rate=256.0, channel="C4-M1"))
    state, handed, made = init_live(protocol, start=0.0), [], []
    for index in range(STEPS):
        now = source.next_arrival() or 0.0
        (chunk,) = source.pull(now)
        decision, state = step_live(protocol, state, chunk, now=now)
        first = time.perf_counter_ns()
        frames.show(decision, chunk, mode="disarmed")
        handed.append((time.perf_counter_ns() - first) / 1e3)
        if index % 3 == 0:
            first = time.perf_counter_ns()
            json.dumps(frames.take())
            made.append((time.perf_counter_ns() - first) / 1e3)
    return [
        *to_rows("a step is handed to the page", "sharpwave", "us", handed),
        *to_rows("a frame is made, in another thread", "sharpwave", "us", made),
    ]


def time_stops() -> list[Row]:
    """From STOP to silence by three ways, and from the loop's last word to the page that says so."""
    from sharpwave.live.display import open_live_page
    from sharpwave.live.view import NightCard

    card = NightCard("simulated", "up-state", "", "simulate", "null", rate=256.0, channel="C4-M1")
    target: list[Any] = []
    with (
        tempfile.TemporaryDirectory() as home,
        open_live_page(card, on_stop=lambda: target[-1].stop("measured")) as live,
    ):
        rows = to_rows(
            "STOP to silence", "from the loop itself", "ms", _time(home, target, lambda: target[-1].stop("it"))
        )
        with _open_socket(live.address) as send:
            rows += to_rows("STOP to silence", "a WebSocket", "ms", _time(home, target, send))
        if BROWSER.exists():
            with _open_browser(live.address) as page:
                _keep_alive(live, page)
                found = _time(home, target, lambda: page.keyboard.press("Escape"))
                rows += to_rows("STOP to silence", "sharpwave, Escape in a browser", "ms", found)
                rows += to_rows("old data shown", "sharpwave, in a browser", "ms", _time_staleness(live, page))
    return rows


def _time(home: str, target: list[Any], stop: Callable[[], Any]) -> list[float]:
    """Milliseconds from a stop to the sink's silence, each with an interlock of its own whose cue sounds."""
    found = []
    for index in range(STOPS):
        log = Path(home, f"{len(target)}-{index}.log")
        link, now = _start_interlock(log)
        target.append(link)
        ended = _keep_beating(link, now)
        link.ask(1, "click", 40.0, onset=now() + 0.02, deadline=now() + 1.0)
        _wait_for(log, "play")
        asked = now()
        stop()
        _wait_for(log, "silence")
        orders = [json.loads(line) for line in log.read_text().splitlines()]
        silent = [one["at"] for one in orders if one["order"] == "silence"]
        if asked <= silent[0]:  # else its dead man was first, on a machine that stood still
            found.append(1e3 * (silent[0] - asked))
        ended.set()
        link.close()
    return found


def _keep_beating(link: Any, now: Callable[[], float]) -> threading.Event:
    """Signs of life in a thread, so that STOP is timed and not the dead man; ends when the event is set."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.05):
            link.beat(now())

    link.beat(now())
    threading.Thread(target=beat, daemon=True).start()
    return ended


@contextlib.contextmanager
def _open_socket(address: str) -> Iterator[Callable[[], Any]]:
    from websockets.sync.client import connect
    from websockets.typing import Origin

    home, token = address.split("/#")
    with connect(home.replace("http", "ws") + "/live", origin=Origin(home)) as link:
        link.send(json.dumps({"token": token}))
        threading.Thread(target=lambda: [None for _ in link], daemon=True).start()  # a page that never reads is dropped
        yield lambda: link.send('{"command": "stop"}')


@contextlib.contextmanager
def _open_browser(address: str) -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(BROWSER), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        yield page
        browser.close()


def _keep_alive(live: Any, page: Any) -> None:
    """A first word of the loop, so that the page shows a night."""
    from sharpwave.live.decision import Decision, Estimates, Hold

    live.show(Decision(1.0, (), Hold(()), Estimates(1.0)), mode="armed")
    page.wait_for_selector("body[data-mode]", state="attached")


def _time_staleness(live: Any, page: Any) -> list[float]:
    """Milliseconds from the last step that was handed over until the page says that the loop is silent."""
    from sharpwave.live.decision import Decision, Estimates, Hold

    watch = "() => new MutationObserver(() => { if (!document.getElementById('alarm').hidden && !window.alarmed)"
    watch += " window.alarmed = Date.now(); }).observe(document.getElementById('alarm'), { attributes: true })"
    page.evaluate(watch)
    found = []
    for index in range(STALES):
        for _ in range(8):
            live.show(Decision(2.0 + index, (), Hold(()), Estimates(2.0 + index)), mode="armed")
            page.wait_for_timeout(100)
        page.wait_for_selector("#alarm[hidden]", state="attached")
        live.show(Decision(2.5 + index, (), Hold(()), Estimates(2.5 + index)), mode="armed")
        page.evaluate("() => { window.alarmed = 0; }")
        live.show(Decision(2.6 + index, (), Hold(()), Estimates(2.6 + index)), mode="armed")
        last = 1e3 * time.time()
        while not (seen := page.evaluate("() => window.alarmed")):
            page.wait_for_timeout(50)
        found.append(seen - last)
    return found
