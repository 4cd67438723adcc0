"""What open pages are told of a night and may ask of it: no network, no clock, so that every rule can be tested.

A page can always stop or pause. It can start cues only by a button that is held: the server itself counts the seconds,
so no stray click, key, reloaded tab or single message arms a night.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.view import BIN
from sharpwave.untrusted import explained, parse_json

HOLD_SECONDS = 2.0
"""How long the button of arming is held at least."""
LONGEST_HOLD = 10.0
"""After which a button that seems to be held is taken for one that was forgotten."""
SILENT = 1.0
"""Seconds without a word of the loop, from which nothing can be armed and the page says so."""
ALONE = 3.0
"""Seconds without an open page, after which an attended night stops."""
SHOWN_SECONDS = 60.0
"""Signal that is kept for a page which opens later."""
CALMING = ("stop", "pause")
STARTING = {"arm": "disarmed", "resume": "paused"}
"""What starts cues, and where the night must stand for it."""


@dataclass
class Visit:
    """One open page: what it has seen, and which button it holds."""

    seen_signal: int = 0
    seen_slow: int = 0
    begun: tuple[str, float] | None = None


class Hub:
    """The latest word of the loop and the last minute of signal, for any number of pages.

    Args:
        command: Called with the name of each command that a page was allowed to give.
        attended: Whether the night stops when no page is open any more.

    >>> asked = []
    >>> hub, visit = Hub(asked.append), Visit()
    >>> hub.take({"view": {"mode": "disarmed"}}, now=0.0)
    >>> hub.hear('{"command": "arm"}', visit, now=0.1), asked
    ({'refused': 'arm', 'why': 'the button was not held for 2 seconds'}, [])
    >>> hub.hear('{"begin": "arm"}', visit, now=0.2), hub.take({"view": {"mode": "disarmed"}}, now=2.2)
    ({'holding': 'arm'}, None)
    >>> hub.hear('{"command": "arm"}', visit, now=2.3), asked
    ({'heard': 'arm'}, ['arm'])
    """

    def __init__(self, command: Callable[[str], Any], *, attended: bool = False) -> None:
        kept = int(SHOWN_SECONDS / BIN)
        self.command, self.attended = command, attended
        self.card: dict[str, Any] = {}
        self.view: dict[str, Any] | None = None
        self.signal: deque[list[float | None]] = deque(maxlen=kept)
        self.slow: deque[list[float | None]] = deque(maxlen=kept)
        self.signal_count = self.slow_count = 0
        self.heard_at: float | None = None
        self.gone = False
        self.pages = 0
        self.alone_since: float | None = None

    def take(self, message: dict[str, Any], *, now: float) -> None:
        """A word of the loop: its card, or a view with the signal since the one before."""
        self.card = message.get("card", self.card)
        self.view = message.get("view", self.view)
        signal, slow = message.get("signal", ()), message.get("slow", ())
        self.signal.extend(signal)
        self.slow.extend(slow)
        self.signal_count += len(signal)
        self.slow_count += len(slow)
        self.heard_at = now

    def lose(self) -> None:
        """The loop has ended or died: its line is closed."""
        self.gone = True

    def tell(self, visit: Visit, *, now: float) -> dict[str, Any]:
        """What a page has not seen yet; the view as a whole each time."""
        told = {
            "view": self.view,
            "signal": _newest(self.signal, self.signal_count - visit.seen_signal),
            "slow": _newest(self.slow, self.slow_count - visit.seen_slow),
            "silent": self.silence(now),
            "gone": self.gone,
            "pages": self.pages,
        }
        visit.seen_signal, visit.seen_slow = self.signal_count, self.slow_count
        return told

    def silence(self, now: float) -> float | None:
        """Seconds since the last word of the loop; None before the first."""
        return None if self.heard_at is None else round(now - self.heard_at, 3)

    def hear(self, text: str | bytes, visit: Visit, *, now: float) -> dict[str, Any]:
        """Answer what a page says, and pass on what it may ask for.

        Raises:
            SharpwaveError: If it is not one of the few messages that a page sends.
        """
        verb, name = _read_message(text)
        if verb == "release":
            visit.begun = None
            return {"released": name}
        if verb == "command" and name in CALMING:
            visit.begun = None
            self.command(name)
            return {"heard": name}
        if verb == "begin":
            visit.begun = (name, now)
            return {"holding": name}
        begun, visit.begun = visit.begun, None
        why = self._refuse(name, begun, now)
        if why:
            return {"refused": name, "why": why}
        self.command(name)
        return {"heard": name}

    def _refuse(self, name: str, begun: tuple[str, float] | None, now: float) -> str:
        silent = self.silence(now)
        if self.gone or self.view is None or silent is None or silent > SILENT:
            return "the loop does not answer"
        if self.view.get("mode") != STARTING[name]:
            return f"the night is {self.view.get('mode')}"
        if begun is None or begun[0] != name or not HOLD_SECONDS <= now - begun[1] <= LONGEST_HOLD:
            return f"the button was not held for {HOLD_SECONDS:g} seconds"
        return ""

    def open_page(self) -> None:
        """A page with the right token has opened."""
        self.pages += 1
        self.alone_since = None

    def close_page(self, *, now: float) -> None:
        """A page has closed, or does not answer any more."""
        self.pages -= 1
        if not self.pages:
            self.alone_since = now

    def watch(self, *, now: float) -> None:
        """Stop an attended night that nobody attends any more; called a few times a second."""
        if self.attended and self.alone_since is not None and now - self.alone_since >= ALONE:
            self.alone_since = None
            self.command("stop")


def _newest(kept: deque[list[float | None]], count: int) -> list[list[float | None]]:
    count = min(count, len(kept))
    return [kept[len(kept) - count + place] for place in range(count)]


def _read_message(text: str | bytes) -> tuple[str, str]:
    raw = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    expected, fix = 'one of the few messages of a page, such as {"command": "stop"}', "open the page of this very loop"
    with explained(expected, name="message of a page", fix=fix):
        said = parse_json(raw)
    if isinstance(said, dict) and len(said) == 1:
        ((verb, name),) = said.items()
        known = {"command": (*CALMING, *STARTING), "begin": tuple(STARTING), "release": tuple(STARTING)}
        if verb in known and isinstance(name, str) and name in known[verb]:
            return verb, name
    raise SharpwaveError(expected, got=json.dumps(said)[:80], fix=fix)
