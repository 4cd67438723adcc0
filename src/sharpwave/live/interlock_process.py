"""The process of the interlock, and the loop's end of its socket.

They talk in lines of JSON, each of bounded length; nothing is ever unpickled. Both read the same monotonic clock, whose
zero the first line gives. The seed of the sham reaches this process alone: the loop asks for trials, and never learns
which of them sounded.
"""

from __future__ import annotations

import contextlib
import json
import math
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import Outcome
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
DISTURBED = "sound disturbs this sleeper more than silence does"
"""Why the interlock itself ends a night."""


@dataclass(frozen=True)
class Seal:
    """What opens the condition of a trial; only whoever holds the sinks has it before the morning.

    Attributes:
        seed: Seed of the night.
        share: Share of trials that are sham.
        excess_p: Chance below which an excess of arousals after sound over silence ends the night.

    >>> seal = Seal(bytes(32), share=0.5)
    >>> sorted(seal.draw_gain(trial) for trial in range(1, 21)).count(0.0)
    10
    """

    seed: bytes
    share: float
    excess_p: float = 0.01

    def draw_gain(self, trial: int) -> float:
        """1 for a cue, 0 for a sham."""
        from sharpwave.live.protocol import SchedulePart
        from sharpwave.live.schedule import draw_condition

        return 1.0 if draw_condition(self.seed, SchedulePart(sham_share=self.share), trial) == "cue" else 0.0

    def judge(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether sound disturbs so much more than silence that the night must end."""
        from sharpwave.live.schedule import judge_night

        kinds = {one.trial: "cue" if self.draw_gain(one.trial) else "sham" for one in outcomes}
        return judge_night(outcomes, kinds, excess_p=self.excess_p)[0]


class Keeper:
    """Does what `step_interlock` judges: plays, silences, and tells the loop.

    Args:
        limits: What is allowed.
        sinks: Where cues go; all of them get each cue.
        seal: Which trials are sham; None where every trial sounds.
        clock: Gives the loop time in seconds.

    >>> from sharpwave.live.sinks.null import NullSink
    >>> sink = NullSink(clock=lambda: 0.1)
    >>> keeper = Keeper(InterlockLimits("t", cues=("pink",)), [sink], clock=lambda: 0.1)
    >>> keeper.step({"kind": "beat", "token": "t", "number": 1, "at": 0.1})
    []
    >>> keeper.step(dict(kind="cue", token="t", trial=1, cue_ref="pink", level_db=40.0, onset=0.1, deadline=0.12))
    [{'kind': 'delivered', 'trial': 1, 'onset': 0.1}]
    """

    def __init__(
        self, limits: InterlockLimits, sinks: Sequence[Sink], *, clock: Callable[[], float], seal: Seal | None = None
    ) -> None:
        self.limits, self.sinks, self.state = limits, list(sinks), InterlockState()
        self._seal, self._clock = seal, clock
        self._outcomes: list[Outcome] = []

    def step(self, message: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Judge a message, or the passing of time, and act; returns what the loop is to be told."""
        if message is not None and message.get("kind") == "outcome":
            message = self._judge(message)
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

    @property
    def wait(self) -> float:
        """Time until a waiting cue is given, in seconds; infinity where none waits."""
        cue = self.state.waiting
        return math.inf if cue is None else max(cue.onset - self.limits.latency - self._clock(), 0.0)

    def silence(self) -> None:
        """Every sink falls silent, whatever one of them says."""
        for sink in self.sinks:
            with contextlib.suppress(Exception):
                sink.silence()

    def close(self) -> None:
        """Silence, and the sinks are closed."""
        self.silence()
        for sink in self.sinks:
            with contextlib.suppress(Exception):
                sink.close()

    def _judge(self, message: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Remember what followed a trial; a stop where sound disturbs more than silence does."""
        values: list[Any] = [message.get(name) for name in ("trial", "onset", "disturbed")]
        trial, onset, disturbed = values
        known = (
            isinstance(trial, int) and 0 < trial <= self.state.last_trial and disturbed in ("no", "arousal", "waking")
        )
        if message.get("token") != self.limits.token or not known or not isinstance(onset, int | float):
            return {"kind": "nonsense"}
        if self._seal is None or trial in {one.trial for one in self._outcomes}:
            return None
        self._outcomes.append(Outcome(trial, onset, disturbed))
        return {"kind": "stop", "why": DISTURBED} if self._seal.judge(self._outcomes) else None

    def _play(self, cue: Any) -> list[dict[str, Any]]:
        onsets: list[float] = []
        try:
            gain = 1.0 if self._seal is None else self._seal.draw_gain(cue.trial)
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
            if lines.closed:
                return  # the loop died before it said what is to be held
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
        keeper.close()


def _leave(number: int, _frame: Any) -> None:
    raise SystemExit(128 + number)


def _open(head: Mapping[str, Any]) -> Keeper:
    origin = float(head["origin"])

    def clock() -> float:
        return time.monotonic() - origin

    calibration, log, sealed = (head.get(name) for name in ("calibration", "log", "seal"))
    record = Path(calibration) if calibration else None
    cues, where = dict(head["cues"]), Path(log) if log else None
    sinks = [open_sink(name, clock=clock, cues=cues, calibration=record, log=where) for name in head["sinks"]]
    limits = {**head["limits"], "cues": tuple(head["limits"]["cues"])}
    limits["latency"] = max((sink.latency for sink in sinks), default=0.0)
    seal = Seal(bytes.fromhex(sealed["seed"]), sealed["share"], sealed["excess_p"]) if sealed else None
    return Keeper(InterlockLimits(**limits), sinks, clock=clock, seal=seal)


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
        select.select([channel], [], [], min(TICK, keeper.wait))
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


if __name__ == "__main__":
    main()
