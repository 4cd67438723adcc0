"""The loop's end of the interlock: a process of its own or, for a simulated night, the same judgement in the loop.

A process is what a night with a person needs: it falls silent when the loop dies, stands still or forgets it. A
simulated night in simulated time has nobody to protect and no clock to share, so its interlock lives in the loop.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.interlock import InterlockLimits
from sharpwave.live.interlock_process import ALIVE_EVERY, Keeper, Lines, Seal
from sharpwave.live.sinks import Sink

START_WITHIN = 120.0
"""Longest time to wait for the process to open its sinks, in seconds."""


class Link(ABC):
    """What the loop asks of an interlock: how it is said is here, how it gets there is each link's own.

    Attributes:
        broken: Why it can no longer be trusted; empty while it can.
    """

    broken = ""
    _number = 0

    def beat(self, now: float) -> None:
        """A sign of life at this loop time: sent after a step that went well, and only then."""
        self._number += 1
        self._send({"kind": "beat", "number": self._number, "at": now})

    def ask(self, trial: int, cue_ref: str, level_db: float, *, onset: float, deadline: float) -> None:
        """Ask for a cue."""
        self._send(make_cue(trial, cue_ref, level_db, onset, deadline))

    def cancel(self, trial: int, why: str) -> None:
        """Take a cue back that waits."""
        self._send({"kind": "cancel", "trial": trial, "why": why})

    def tell(self, trial: int, onset: float, disturbed: str) -> None:
        """What the sleeper did after a trial: whoever knows what sounded judges whether the night must end."""
        self._send({"kind": "outcome", "trial": trial, "onset": onset, "disturbed": disturbed})

    def stop(self, why: str) -> None:
        """Silence, for good."""
        self._send({"kind": "stop", "why": why})

    @abstractmethod
    def poll(self) -> list[dict[str, Any]]:
        """What it said since, without waiting."""

    @abstractmethod
    def hear_silence(self) -> list[dict[str, Any]]:
        """What it says after a stop, waiting a little for it to say that all is silent."""

    @abstractmethod
    def close(self) -> None:
        """End it; what sounds falls silent."""

    @abstractmethod
    def _send(self, message: dict[str, Any]) -> None:
        """Hand a message over, with the token of the night."""


class LocalInterlock(Link):
    """The interlock of a simulated night, in the loop's own process and in its time.

    Args:
        limits: What is allowed.
        sinks: Where cues go.
        seal: Which trials are sham; None where every trial sounds.
        clock: Gives the loop time in seconds.

    >>> from sharpwave.live.sinks.null import NullSink
    >>> sink = NullSink(clock=lambda: 0.1)
    >>> link = LocalInterlock(InterlockLimits("t", cues=("click",)), [sink], clock=lambda: 0.1)
    >>> link.beat(0.1)
    >>> link.ask(1, "click", 40.0, onset=0.1, deadline=0.12)
    >>> link.poll()
    [{'kind': 'delivered', 'trial': 1, 'onset': 0.1}]
    """

    def __init__(
        self, limits: InterlockLimits, sinks: Sequence[Sink], *, clock: Callable[[], float], seal: Seal | None = None
    ) -> None:
        self._keeper, self._token = Keeper(limits, sinks, seal=seal, clock=clock), limits.token
        self._records: list[dict[str, Any]] = []
        self._number, self.broken = 0, ""

    @property
    def due(self) -> float:
        """Loop time at which a waiting cue is given; infinity where none waits."""
        waiting = self._keeper.state.waiting
        return waiting.onset - self._keeper.limits.latency if waiting is not None else float("inf")

    def poll(self) -> list[dict[str, Any]]:
        """What it said since."""
        found, self._records = [*self._records, *self._keeper.step()], []
        return found

    def hear_silence(self) -> list[dict[str, Any]]:
        """What it says after a stop."""
        return self.poll()

    def close(self) -> None:
        """What sounds falls silent."""
        self._keeper.close()

    def _send(self, message: dict[str, Any]) -> None:
        self._records += self._keeper.step({**message, "token": self._token})


def make_cue(trial: int, cue_ref: str, level_db: float, onset: float, deadline: float) -> dict[str, Any]:
    """The message that asks for a cue."""
    return {"kind": "cue", "trial": trial, "cue_ref": cue_ref, "level_db": level_db, "onset": onset,
            "deadline": deadline}  # fmt: skip


class InterlockProcess(Link):
    """The loop's end: starts the process, sends, and reads what it says without waiting.

    Args:
        limits: What is allowed.
        sinks: Names of the sinks.
        origin: `time.monotonic()` at loop time 0.
        cues: Each consented cue's name and the file of its sound.
        seal: Which trials are sham; None where every trial sounds.
        calibration: Record of the sink's calibration.
        log: File of the null sink, for tests.

    Raises:
        SharpwaveError: If a sink cannot be opened: a library, a device or a calibration is missing.
    """

    def __init__(
        self,
        limits: InterlockLimits,
        sinks: Sequence[str],
        *,
        origin: float,
        cues: Mapping[str, str],
        seal: Seal | None = None,
        calibration: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self._channel, other = socket.socketpair()
        arguments = [sys.executable, "-m", "sharpwave.live.interlock_process", str(other.fileno())]
        self.process = subprocess.Popen(arguments, pass_fds=[other.fileno()], start_new_session=True)
        other.close()
        self._token, self._number, self.last_alive = limits.token, 0, time.monotonic()
        sealed = seal and {"seed": seal.seed.hex(), "share": seal.share, "excess_p": seal.excess_p}
        head = {"limits": asdict(limits), "sinks": list(sinks), "origin": origin, "cues": dict(cues), "seal": sealed,
                "calibration": calibration and str(calibration), "log": log and str(log)}  # fmt: skip
        self._channel.sendall(json.dumps(head).encode() + b"\n")
        self._lines = Lines(self._channel)
        self.broken, self.latency = "", 0.0
        self._await_ready()

    def poll(self) -> list[dict[str, Any]]:
        """What it said since, signs of life left out; `broken` says why where it can no longer be trusted."""
        try:
            lines = self._lines.read()
        except SharpwaveError as error:
            lines, self.broken = [], str(error)
        records = [json.loads(line) for line in lines]
        if records:
            self.last_alive = time.monotonic()
        if self._lines.closed or self.process.poll() is not None:
            self.broken = self.broken or "the interlock ended"
        elif time.monotonic() - self.last_alive > 5 * ALIVE_EVERY:
            self.broken = self.broken or "the interlock gives no sign of life"
        return [record for record in records if record["kind"] != "alive"]

    def hear_silence(self) -> list[dict[str, Any]]:
        """What it says after a stop, waiting for its word that all is silent for a second at most."""
        found, until = self.poll(), time.monotonic() + 1.0
        while not self.broken and time.monotonic() < until and not any(one["kind"] == "silent" for one in found):
            select.select([self._channel], [], [], 0.05)
            found += self.poll()
        return found

    def close(self) -> None:
        """End the process; what sounds falls silent."""
        self._channel.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps({**message, "token": self._token}).encode() + b"\n")
        except OSError:  # gone, or its buffer is full because it stands still
            self.broken = self.broken or "the interlock takes no messages"

    def _await_ready(self) -> None:
        until = time.monotonic() + START_WITHIN
        while time.monotonic() < until:
            select.select([self._channel], [], [], 0.1)
            for line in self._lines.read():
                record = json.loads(line)
                if record["kind"] == "ready":
                    self.last_alive, self.latency = time.monotonic(), float(record["latency"])
                    return
                self.close()
                raise SharpwaveError("a sink that opens", got=record.get("why", "nothing"), fix="see what it says")
            if self._lines.closed:
                break
        self.close()
        raise SharpwaveError("an interlock that starts", got="none", fix="see what it printed, then start again")
