"""The process of the interlock, and the loop's end of its socket.

They talk in lines of JSON, each of bounded length; nothing is ever unpickled. Both read the same monotonic clock, whose
zero the first line gives. The seed of the sham reaches this process alone: the loop asks for trials, and never learns
which of them sounded.
"""

from __future__ import annotations

import contextlib
import json
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.interlock import InterlockLimits, InterlockState, step_interlock
from sharpwave.live.sinks import Sink, open_sink

LONGEST_LINE = 4096
"""Bytes of a message after the first; what sends longer ones is not our loop."""
LONGEST_HEAD = 1 << 20
"""Bytes of the first message, which holds names and limits."""
TICK = 0.005
"""Longest time between two looks at the clock, in seconds."""
ALIVE_EVERY = 0.1
"""Time between signs of life to the loop, in seconds."""
START_WITHIN = 120.0
"""Longest time to wait for the process to open its sinks, in seconds."""

Draw = Callable[[int], float]
"""Gain of a trial: 1, or 0 for a sham."""


class Keeper:
    """Does what `step_interlock` judges: plays, silences, and tells the loop.

    Args:
        limits: What is allowed.
        sinks: Where cues go; all of them get each cue.
        draw: Gain of a trial.
        clock: Gives the loop time in seconds.

    >>> from sharpwave.live.sinks.null import NullSink
    >>> sink = NullSink(clock=lambda: 0.1)
    >>> keeper = Keeper(InterlockLimits("t", cues=("pink",)), [sink], draw=lambda trial: 1.0, clock=lambda: 0.1)
    >>> keeper.step({"kind": "beat", "token": "t", "number": 1, "at": 0.1})
    []
    >>> keeper.step(dict(kind="cue", token="t", trial=1, cue_ref="pink", level_db=40.0, onset=0.1, deadline=0.12))
    [{'kind': 'delivered', 'trial': 1, 'onset': 0.1}]
    """

    def __init__(
        self, limits: InterlockLimits, sinks: Sequence[Sink], *, draw: Draw, clock: Callable[[], float]
    ) -> None:
        self.limits, self.sinks, self.state = limits, list(sinks), InterlockState()
        self._draw, self._clock = draw, clock

    def step(self, message: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Judge a message, or the passing of time, and act; returns what the loop is to be told."""
        actions, self.state = step_interlock(self.limits, self.state, now=self._clock(), message=message)
        records: list[dict[str, Any]] = []
        for kind, content in actions:
            if kind == "play":
                records += self._play(content)
            elif kind == "silence":
                self.silence()
                records.append({"kind": "silent", "why": content, "at": self._clock()})
            else:
                records.append(content)
        for sink in self.sinks:
            for trial, onset, why in sink.poll():
                records.append({"kind": "failed", "trial": trial, "why": why} if onset is None
                               else {"kind": "delivered", "trial": trial, "onset": onset})  # fmt: skip
        return records

    def silence(self) -> None:
        """Every sink falls silent, whatever one of them says."""
        for sink in self.sinks:
            with contextlib.suppress(Exception):
                sink.silence()

    def _play(self, cue: Any) -> list[dict[str, Any]]:
        onsets: list[float] = []
        try:
            gain = self._draw(cue.trial)
            for sink in self.sinks:
                onset = sink.play(cue.trial, cue.cue_ref, cue.level_db, gain=gain)
                onsets += [] if onset is None else [onset]
        except Exception as error:  # a sink that fails must not end the interlock: it says so and falls silent
            self.silence()
            return [{"kind": "failed", "trial": cue.trial, "why": f"sink: {error}"[:300]}]
        if len(onsets) < len(self.sinks) or not onsets:  # a sink will tell when its sound began
            return []
        return [{"kind": "delivered", "trial": cue.trial, "onset": onsets[0]}]


def main() -> None:
    """Serve the socket whose descriptor is the last argument, until it closes."""
    channel = socket.socket(fileno=int(sys.argv[-1]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the loop, which then says stop
    signal.signal(signal.SIGTERM, _leave)
    lines = Lines(channel)
    try:
        while not (head := lines.read(LONGEST_HEAD)):
            select.select([channel], [], [])
        keeper = _open(json.loads(head[0]))
    except Exception as error:
        text = str(error) if isinstance(error, SharpwaveError) else f"{type(error).__name__}: {error}"
        _send(channel, {"kind": "refused", "why": text[:2000]})
        return
    try:
        _send(channel, {"kind": "ready", "latency": keeper.limits.latency})
        serve(channel, lines, keeper)
    finally:
        keeper.silence()
        for sink in keeper.sinks:
            with contextlib.suppress(Exception):
                sink.close()


def _leave(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def _open(head: Mapping[str, Any]) -> Keeper:
    origin = float(head["origin"])

    def clock() -> float:
        return time.monotonic() - origin

    log = head.get("log")
    calibration = head.get("calibration")
    sinks = [
        open_sink(
            name, clock=clock, cues=dict(head["cues"]), calibration=Path(calibration) if calibration else None,
            log=Path(log) if log else None,
        )
        for name in head["sinks"]
    ]  # fmt: skip
    limits = {**head["limits"], "cues": tuple(head["limits"]["cues"])}
    limits["latency"] = max((sink.latency for sink in sinks), default=0.0)
    return Keeper(InterlockLimits(**limits), sinks, draw=make_draw(head.get("seal")), clock=clock)


def make_draw(seal: Mapping[str, Any] | None) -> Draw:
    """Gain of each trial, from the seal of the night; 1 for all without one.

    Args:
        seal: Seed (hexadecimal), hash of the protocol and share of shams.
    """
    if seal is None:
        return lambda trial: 1.0
    from sharpwave.live.schedule import is_sham

    seed, share = bytes.fromhex(seal["seed"]), float(seal["share"])
    return lambda trial: 0.0 if is_sham(seed, trial, share) else 1.0


class Lines:
    """Whole lines from a socket that does not wait.

    >>> one, other = socket.socketpair()
    >>> lines = Lines(one)
    >>> _ = other.send(b'{"a": 1}\\n{"b"'), other.send(b": 2}\\n")
    >>> lines.read()
    ['{"a": 1}', '{"b": 2}']
    """

    def __init__(self, channel: socket.socket) -> None:
        channel.setblocking(False)
        self._channel, self._rest, self.closed = channel, b"", False

    def read(self, longest: int = LONGEST_LINE) -> list[str]:
        """Lines that are there; `closed` says whether the other end has gone.

        Raises:
            SharpwaveError: If one is longer than any of ours.
        """
        while not self.closed:
            try:
                block = self._channel.recv(1 << 16)
            except BlockingIOError:
                break
            except OSError:
                block = b""
            self.closed = not block
            self._rest += block
            if len(self._rest) > longest + (1 << 16):
                break
        *whole, self._rest = self._rest.split(b"\n")
        if any(len(line) > longest for line in (*whole, self._rest)):
            raise SharpwaveError("messages of the loop", got="a line that is too long", fix="start the night again")
        return [line.decode("utf-8", "replace") for line in whole]


def serve(channel: socket.socket, lines: Lines, keeper: Keeper) -> None:
    """Read, judge and act until the other end closes.

    Args:
        channel: The socket.
        lines: Its lines.
        keeper: Judges and acts.
    """
    last_alive = float("-inf")
    while True:
        select.select([channel], [], [], TICK)
        records = keeper.step()  # the dead man first: what was written before a stall is old
        for line in lines.read():
            try:
                message = json.loads(line)
            except ValueError:
                message = None
            records += keeper.step(message if isinstance(message, dict) else {"kind": "nonsense"})
        if lines.closed:
            return
        if time.monotonic() - last_alive > ALIVE_EVERY:
            last_alive = time.monotonic()
            records.append({"kind": "alive"})
        for record in records:
            _send(channel, record)


def _send(channel: socket.socket, record: Mapping[str, Any]) -> None:
    """Tell the loop; what it does not read is lost, for nothing here may wait for it."""
    with contextlib.suppress(OSError):
        channel.send(json.dumps(record).encode() + b"\n")


class InterlockProcess:
    """The loop's end: starts the process, sends, and reads what it says without waiting.

    Args:
        limits: What is allowed.
        sinks: Names of the sinks.
        origin: `time.monotonic()` at loop time 0.
        cues: Each consented cue's name and the file of its sound.
        seal: Seed of the sham, in hexadecimal, and its share; None where every trial sounds.
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
        seal: Mapping[str, Any] | None = None,
        calibration: Path | None = None,
        log: Path | None = None,
    ) -> None:
        self._channel, other = socket.socketpair()
        arguments = [sys.executable, "-m", "sharpwave.live.interlock_process", str(other.fileno())]
        self.process = subprocess.Popen(arguments, pass_fds=[other.fileno()], start_new_session=True)
        other.close()
        self._token, self._number, self.last_alive = limits.token, 0, time.monotonic()
        head = {"limits": asdict(limits), "sinks": list(sinks), "origin": origin, "cues": dict(cues), "seal": seal,
                "calibration": calibration and str(calibration), "log": log and str(log)}  # fmt: skip
        self._channel.sendall(json.dumps(head).encode() + b"\n")
        self._lines = Lines(self._channel)
        self.broken = ""
        self._await_ready()

    def beat(self, now: float) -> None:
        """A sign of life at this loop time: sent after a step that went well, and only then."""
        self._number += 1
        self._send({"kind": "beat", "number": self._number, "at": now})

    def ask(self, trial: int, cue_ref: str, level_db: float, *, onset: float, deadline: float) -> None:
        """Ask for a cue."""
        self._send({"kind": "cue", "trial": trial, "cue_ref": cue_ref, "level_db": level_db, "onset": onset,
                    "deadline": deadline})  # fmt: skip

    def cancel(self, trial: int, why: str) -> None:
        """Take a cue back that waits."""
        self._send({"kind": "cancel", "trial": trial, "why": why})

    def stop(self, why: str) -> None:
        """Silence, for good."""
        self._send({"kind": "stop", "why": why})

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

    def close(self) -> None:
        """End the process; what sounds falls silent."""
        self._channel.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: Mapping[str, Any]) -> None:
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
                    self.last_alive = time.monotonic()
                    return
                self.close()
                raise SharpwaveError("a sink that opens", got=record.get("why", "nothing"), fix="see what it says")
            if self._lines.closed:
                break
        self.close()
        raise SharpwaveError("an interlock that starts", got="none", fix="see what it printed, then start again")


if __name__ == "__main__":
    main()
