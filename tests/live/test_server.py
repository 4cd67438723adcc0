"""The server as a process: who is let in, what is served, and what gets through to the loop."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from importlib import resources
from typing import Any

import pytest
from tests.live.staged_night import CARD, StagedNight

from sharpwave.errors import SharpwaveError
from sharpwave.live.display import LivePage, open_live_page
from sharpwave.live.server import FILES, POLICY, WRONG_TOKEN

pytest.importorskip("fastapi")
client = pytest.importorskip("websockets.sync.client")
exceptions = pytest.importorskip("websockets.exceptions")


@pytest.fixture(scope="module")
def live() -> Iterator[LivePage]:
    with open_live_page(CARD) as page:
        yield page


def split(page: LivePage) -> tuple[int, str]:
    port, token = page.address.removeprefix("http://127.0.0.1:").split("/#")
    return int(port), token


def get(page: LivePage, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", split(page)[0], timeout=60)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    return answer.status, answer.msg, answer.read()


def connect(page: LivePage, *, origin: str | None = "", host: str = "", token: str | None = "") -> Any:
    port, right = split(page)
    home = f"http://127.0.0.1:{port}" if origin == "" else origin
    headers = {"Host": host} if host else {}
    link = client.connect(f"ws://127.0.0.1:{port}/live", origin=home, additional_headers=headers, open_timeout=60)
    if token is not None:
        link.send(json.dumps({"token": token or right}))
    return link


def wait_for(happens: Callable[[], Any], seconds: float = 60.0) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = happens()
        if found:
            return found
        time.sleep(0.02)
    raise AssertionError("it did not happen")


def hear(link: Any, name: str) -> Any:
    """The next message that has a part of this name."""
    while True:
        said = json.loads(link.recv(timeout=60))
        if said.get(name) is not None:
            return said


@pytest.mark.parametrize("name", ["", *FILES])
def test_each_file_comes_with_a_policy_that_lets_nothing_in_from_outside(live: LivePage, name: str) -> None:
    status, headers, body = get(live, f"/{name}")
    assert status == 200
    assert body
    assert headers["content-security-policy"] == POLICY
    assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")
    assert (headers["x-frame-options"], headers["referrer-policy"]) == ("DENY", "no-referrer")


def test_the_policy_allows_the_page_itself_and_nothing_else() -> None:
    allowed = [source for rule in POLICY.split("; ") for source in rule.split(" ")[1:]]
    assert set(allowed) == {"'none'", "'self'"}
    assert POLICY.startswith("default-src 'none'")


@pytest.mark.parametrize(
    "path", ["/docs", "/openapi.json", "/../server.py", "/%2e%2e/server.py", "/page.js/..", "/live"]
)
def test_nothing_else_is_served(live: LivePage, path: str) -> None:
    assert get(live, path)[0] in (404, 405)


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:{port}", "[::1]:{port}"]
)
def test_a_foreign_host_is_refused(live: LivePage, host: str) -> None:
    port, _ = split(live)
    assert get(live, "/", Host=host.format(port=port))[0] == 421


def test_a_foreign_origin_is_refused(live: LivePage) -> None:
    assert get(live, "/", Origin="https://evil.example")[0] == 421


@pytest.mark.parametrize(
    "origin", [None, "null", "https://evil.example", "http://127.0.0.1:1", "https://127.0.0.1:{port}"]
)
def test_a_socket_from_anywhere_else_is_refused(live: LivePage, origin: str | None) -> None:
    port, _ = split(live)
    with pytest.raises(exceptions.InvalidStatus, match="403"):
        connect(live, origin=origin and origin.format(port=port))


@pytest.mark.parametrize("token", ["wrong", "\u20ac", " "])
def test_a_wrong_token_hears_nothing_and_is_turned_away(live: LivePage, token: str) -> None:
    with connect(live, token=token) as link, pytest.raises(exceptions.ConnectionClosed) as closed:
        link.recv(timeout=60)
    assert closed.value.rcvd.code == WRONG_TOKEN


@pytest.mark.parametrize("greeting", ["", "[]", "{}", '{"token": 5}', '{"command": "stop"}', "[" * 900])
def test_a_greeting_without_a_token_is_turned_away(live: LivePage, greeting: str) -> None:
    with connect(live, token=None) as link:
        link.send(greeting)
        with pytest.raises(exceptions.ConnectionClosed) as closed:
            link.recv(timeout=60)
    assert closed.value.rcvd.code == WRONG_TOKEN
    assert live.take_commands(0.0) == ()


def test_whoever_is_turned_away_leaves_no_trace_in_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with open_live_page(CARD) as live:
        for greeting in (" " * 5000, "[]", "{"):
            with connect(live, token=None) as link:
                link.send(greeting)
                with pytest.raises(exceptions.ConnectionClosed):
                    link.recv(timeout=60)
        connect(live, token=None).close()
        with connect(live) as link:
            link.send("nonsense")
            with pytest.raises(exceptions.ConnectionClosed):
                hear(link, "answer")
        connect(live).close()
    live._process.wait(60)
    said = capfd.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_ninth_page_is_turned_away(live: LivePage) -> None:
    links = [connect(live) for _ in range(8)]
    for link in links:
        hear(link, "card")
    with connect(live) as ninth, pytest.raises(exceptions.ConnectionClosed) as closed:
        ninth.recv(timeout=60)
    assert closed.value.rcvd.code == 4429
    for link in links:
        link.close()
    wait_for(lambda: hear_card(live))


def hear_card(live: LivePage) -> bool:
    """Whether a page is let in; the server may not yet know that others have left."""
    with connect(live) as link:
        try:
            return bool(hear(link, "card"))
        except exceptions.ConnectionClosed:
            return False


def test_the_token_is_nowhere_but_in_the_address(live: LivePage) -> None:
    _, token = split(live)
    assert len(token) >= 43
    assert token not in " ".join(str(part) for part in live._process.args)  # type: ignore[union-attr]
    assert all(token.encode() not in get(live, f"/{name}")[2] for name in ["", *FILES])
    with open_live_page(CARD) as other:
        assert split(other)[1] != token


def test_a_page_hears_of_the_night_and_stops_it(live: LivePage) -> None:
    night = StagedNight(live)
    night.step()
    with connect(live) as link:
        assert hear(link, "card")["card"]["protocol"] == "up-state"
        assert hear(link, "view")["view"]["mode"] == "disarmed"
        link.send('{"command": "stop"}')
        assert hear(link, "answer")["answer"] == {"heard": "stop"}
    (command,) = wait_for(lambda: live.take_commands(77.0))
    assert (command.name, command.at) == ("stop", 77.0)


def test_nonsense_closes_the_page_and_reaches_nobody(live: LivePage) -> None:
    with connect(live) as link:
        link.send('{"command": "louder"}')
        with pytest.raises(exceptions.ConnectionClosed):
            hear(link, "answer")
    assert live.take_commands(0.0) == ()


def test_too_long_a_message_closes_the_page(live: LivePage) -> None:
    with connect(live) as link:
        link.send('{"command": "stop"}' + " " * 2000)
        with pytest.raises(exceptions.ConnectionClosed):
            hear(link, "answer")
    assert live.take_commands(0.0) == ()


def test_stop_is_heard_though_the_loop_takes_no_commands() -> None:
    stopped: list[float] = []
    with open_live_page(CARD, on_stop=lambda: stopped.append(1.0)) as live, connect(live) as link:
        link.send('{"command": "stop"}')
        hear(link, "answer")
        wait_for(lambda: stopped)


def test_a_loop_that_falls_silent_or_ends_is_told_to_the_page() -> None:
    with open_live_page(CARD) as live:
        StagedNight(live).step()
        with connect(live) as link:
            while hear(link, "silent")["silent"] < 0.5:
                pass
            live.close()
            while not hear(link, "silent")["gone"]:
                pass
            assert live._process.wait(60) == 0  # though a page is still open


def test_a_server_that_dies_stops_an_attended_night_and_no_other() -> None:
    from dataclasses import replace

    for attended, heard in ((True, ["stop"]), (False, [])):
        with open_live_page(replace(CARD, attended=attended)) as live:
            live._process.kill()
            live._process.wait(60)
            live._reader.join(60)
            assert [one.name for one in live.take_commands(0.0)] == heard
            assert not live.alive
            StagedNight(live).step()  # and the loop goes on


def test_a_port_that_is_taken_is_one_clear_sentence(live: LivePage) -> None:
    with pytest.raises(SharpwaveError, match=r"expected a free port on 127\.0\.0\.1.*give another --port"):
        open_live_page(CARD, port=split(live)[0])


class Outside(HTMLParser):
    """Addresses that a page asks for, and anything that is written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.addresses += [str(given[name]) for name in ("src", "href") if name in given]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


def test_the_files_lie_in_the_package_and_name_no_address_outside() -> None:
    folder = resources.files("sharpwave.live") / "page"
    assert {one.name for one in folder.iterdir()} == set(FILES)
    page = Outside()
    page.feed((folder / "index.html").read_text(encoding="utf-8"))
    assert set(page.addresses) <= set(FILES)
    assert page.inline == []
    for name in ("page.js", "draw.js", "page.css", "uPlot.min.css"):
        text = (folder / name).read_text(encoding="utf-8")
        assert not re.search(r"https?://|@import|url\(|eval\(|new Function", text), name
    assert "Permission is hereby granted" in (folder / "uPlot.LICENSE.txt").read_text(encoding="utf-8")
