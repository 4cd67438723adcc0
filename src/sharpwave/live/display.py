"""The loop's end of the page: hand over what a step found, take what the operator asked for; neither ever waits.

A thread writes to the server's process and another reads from it. If the page dies the loop goes on without it, for the
page decides nothing; only an attended night stops then.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.live.decision import Chunk, Command, Decision, StageResult
from sharpwave.live.view import BIN, OUTCOMES, SHOWN_TRIALS, Mode, NightCard, Outcome, Trial, bin_samples, compute_view
from sharpwave.live.view import show_card as show_card

if TYPE_CHECKING:
    from sharpwave.live.night import LiveNight
    from sharpwave.live.run import Started

FRAME_SECONDS = 0.1
"""Wall time between two words to the server."""
WAITING_STEPS = 8192
"""Steps that wait for the page at most: at high speed the oldest are not drawn."""
START_SECONDS = 60.0


class Frames:
    """Steps gathered into frames: a view of the newest, with the signal and the trials since the frame before.

    Args:
        card: What is said of the night as a whole.

    >>> frames = Frames(NightCard("simulated", "up-state", "9f2c", "simulate", "null", rate=256.0, channel="Fz"))
    >>> frames.note(1, onset=30.5, outcome="intended")
    >>> frames.note(1, onset=30.502, outcome="delivered")
    >>> frames.counts
    {'intended': 1, 'delivered': 1, 'failed': 0, 'cancelled': 0}
    >>> frames.take() is None
    True
    """

    def __init__(self, card: NightCard) -> None:
        self.card = card
        self.counts: dict[Outcome, int] = dict.fromkeys(OUTCOMES, 0)
        self._trials: dict[int, Trial] = {}
        self._steps: deque[tuple[Decision, Chunk | None]] = deque(maxlen=WAITING_STEPS)
        self._mode: Mode = "disarmed"
        self._ended = ""
        self._stage: StageResult | None = None
        self._left: tuple[np.ndarray, np.ndarray] = (np.empty(0), np.empty(0, np.float32))
        self._noted = False
        self._last: Decision | None = None

    def show(
        self, decision: Decision, chunk: Chunk | None = None, *, mode: Mode, stages: Sequence[StageResult] = ()
    ) -> None:
        """Keep a step for the next frame; it takes some microseconds."""
        self._steps.append((decision, chunk))
        self._mode = mode
        if stages:
            self._stage = stages[-1]

    def end(self, mode: Mode, why: str) -> None:
        """Say that the night was stopped or is over, and why."""
        self._mode, self._ended, self._noted = mode, why, True

    def note(self, trial: int, *, onset: float, outcome: Outcome) -> None:
        """Keep what became of a trial: `intended` first, then one of the others."""
        self.counts[outcome] += 1
        self._trials[trial] = Trial(trial, onset, outcome)
        while len(self._trials) > SHOWN_TRIALS:
            self._trials.pop(next(iter(self._trials)))
        self._noted = True

    def take(self) -> dict[str, Any] | None:
        """The frame of everything since the last one; None where nothing is new."""
        steps = [self._steps.popleft() for _ in range(len(self._steps))]
        if not steps and not (self._noted and self._last is not None):
            return None
        self._noted = False
        self._last = steps[-1][0] if steps else self._last
        view = compute_view(
            cast(Decision, self._last),
            mode=self._mode,
            ended=self._ended,
            stage=self._stage,
            trials=list(self._trials.values()),
            counts=self.counts,
        )
        waves = [_trace_slow_wave(decision) for decision, chunk in steps if _is_placed(decision, chunk)]
        return {"view": view, "signal": self._bin(steps), "slow": waves}

    def _bin(self, steps: list[tuple[Decision, Chunk | None]]) -> list[list[float | None]]:
        """The shown channel in pieces; the last piece, which may still grow, waits for the next frame."""
        times, samples = [self._left[0]], [self._left[1]]
        for decision, chunk in steps:
            if _is_placed(decision, chunk):
                after = np.arange(1 - len(cast(Chunk, chunk).samples), 1) / self.card.rate
                times.append(decision.estimates.until + after)
                samples.append(cast(Chunk, chunk).samples[:, 0])
        time_of, value = np.concatenate(times), np.concatenate(samples).astype(np.float32)
        order = np.argsort(time_of, kind="stable")
        time_of, value = time_of[order], value[order]
        pieces = bin_samples(time_of, value)
        if not pieces:
            return []
        kept = np.floor(time_of / BIN) == np.floor(time_of[-1] / BIN)
        self._left = (time_of[kept], value[kept])
        return pieces[:-1]


def _is_placed(decision: Decision, chunk: Chunk | None) -> bool:
    """Whether a step has samples, and a time for them that is not yet to come."""
    return chunk is not None and len(chunk.samples) > 0 and -np.inf < decision.estimates.until < decision.now + 1.0


def _trace_slow_wave(decision: Decision) -> list[float | None]:
    """The slow oscillation that the filters see: its amplitude times the cosine of its phase, in microvolts."""
    found = decision.estimates
    if found.phase is None or found.amplitude is None:
        return [round(found.until, 4), None]
    return [round(found.until, 4), round(found.amplitude * float(np.cos(found.phase)) * 1e6, 2)]


class LivePage:
    """A night's page while it runs; made by `open_live_page`, and closed by the end of a `with` block.

    Attributes:
        address: What the operator opens; the part after `#` is the token, which browsers do not send along.
        frames: What is shown.

    Args:
        card: What is said of the night as a whole.
        process: The process that serves the page.
        address: What the operator opens.
        on_stop: Called when STOP is pressed.

    >>> card = NightCard("simulated", "up-state", "9f2c", "simulate", "null", rate=256.0, channel="Fz")
    >>> with open_live_page(card) as page:
    ...     page.alive, page.take_commands(now=0.0)
    (True, ())
    """

    def __init__(
        self, card: NightCard, process: subprocess.Popen[bytes], address: str, on_stop: Callable[[], Any]
    ) -> None:
        self.address, self.frames = address, Frames(card)
        self._process, self._on_stop = process, on_stop
        self._asked: deque[str] = deque(maxlen=64)
        self._closing = threading.Event()
        self._write(cast("IO[bytes]", process.stdin), {"card": show_card(card)})
        self._writer = threading.Thread(target=self._keep_writing, daemon=True)
        self._reader = threading.Thread(target=self._keep_reading, daemon=True)
        self._writer.start()
        self._reader.start()

    @property
    def alive(self) -> bool:
        """Whether the page can still be opened and can still stop the night."""
        return self._process.poll() is None

    def show(
        self, decision: Decision, chunk: Chunk | None = None, *, mode: Mode, stages: Sequence[StageResult] = ()
    ) -> None:
        """Hand over a step: never waits, never fails."""
        self.frames.show(decision, chunk, mode=mode, stages=stages)

    def note(self, trial: int, *, onset: float, outcome: Outcome) -> None:
        """Hand over what became of a trial."""
        self.frames.note(trial, onset=onset, outcome=outcome)

    def take_commands(self, now: float) -> tuple[Command, ...]:
        """What the operator asked for since the last call, as commands that arrived at loop time `now`."""
        asked = [self._asked.popleft() for _ in range(len(self._asked))]
        return tuple(Command(cast(Any, name), at=now) for name in asked)

    def close(self, why: str = "") -> None:
        """Show the last frame, and end the server some seconds later.

        Args:
            why: Why the night is over.
        """
        self.frames.end("ended", why)
        self._closing.set()
        self._writer.join(timeout=5.0)

    def __enter__(self) -> LivePage:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _write(self, line: IO[bytes], message: dict[str, Any]) -> None:
        line.write(json.dumps(message).encode() + b"\n")
        line.flush()

    def _keep_writing(self) -> None:
        line = cast("IO[bytes]", self._process.stdin)
        with contextlib.suppress(OSError, ValueError):
            last = False
            while not last:
                last = self._closing.wait(FRAME_SECONDS)
                frame = self.frames.take()
                if frame is not None:
                    self._write(line, frame)
        with contextlib.suppress(OSError):
            line.close()

    def _keep_reading(self) -> None:
        for raw in cast("IO[bytes]", self._process.stdout):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                name = json.loads(raw)["command"]
                if name in ("arm", "pause", "resume", "stop"):
                    if name == "stop":
                        self._on_stop()
                    self._asked.append(name)
        if self.frames.card.attended and not self._closing.is_set():
            self._on_stop()
            self._asked.append("stop")


def open_live_page(card: NightCard, *, port: int = 0, on_stop: Callable[[], Any] = lambda: None) -> LivePage:
    """Start the page's server in a process of its own and say where the page is.

    Args:
        card: What the page says of the night as a whole.
        port: Port of 127.0.0.1; 0 takes a free one.
        on_stop: Called at once, in another thread, when the operator stops the night: a short way to the interlock
            beside the command that the next step of the loop finds.

    Raises:
        MissingExtraError: If the libraries of the page are not installed.
        SharpwaveError: If the port is taken or the server does not start.

    >>> card = NightCard("simulated", "up-state", "9f2c", "simulate", "null", rate=256.0, channel="Fz")
    >>> with open_live_page(card) as page:
    ...     page.address[:17], page.take_commands(now=0.0)
    ('http://127.0.0.1:', ())
    """
    from importlib.util import find_spec

    for package in ("fastapi", "uvicorn", "websockets"):
        if find_spec(package) is None:
            raise MissingExtraError(package, extra="live")
    token = secrets.token_urlsafe(32)
    process = subprocess.Popen(
        [sys.executable, "-m", "sharpwave.live.server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl+C ends the loop, which then ends the server
        env=os.environ | {"PYTHONPATH": _find_path(), "OTEL_SDK_DISABLED": "true"},  # nothing is reported to anyone
    )
    settings = {"port": port, "token": token, "attended": card.attended}
    started = _hear_start(process, json.dumps(settings).encode() + b"\n")
    if "port" not in started:
        process.kill()
        raise SharpwaveError(
            f"a free port on 127.0.0.1{f', such as {port}' if port else ''}",
            got=str(started.get("error", "a server that did not start")),
            fix="give another --port, or leave it out",
        )
    return LivePage(card, process, f"http://127.0.0.1:{started['port']}/#{token}", on_stop)


@contextlib.contextmanager
def open_night_page(started: Started, *, title: str, port: int = 0, attended: bool = False) -> Iterator[LivePage]:
    """The page of a night that `start_night` has made ready: shows each step, and brings what the operator asks.

    Args:
        started: The night; run it inside the `with` block.
        title: Code of the participant, or what is simulated; no name.
        port: Port of 127.0.0.1; 0 takes a free one.
        attended: Whether the night stops when no page is open any more.

    Yields:
        The page.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from sharpwave.live.protocol import load_protocol
    >>> from sharpwave.live.run import Plan, run_started, start_night
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> rng = np.random.default_rng(0)
    >>> source = SimulatedSource(("C4-M1",), rng=rng, hours=0.001)
    >>> with tempfile.TemporaryDirectory() as home:
    ...     plan = Plan(load_protocol("up-state"), source, Path(home) / "night", SimulatedStager(source, rng=rng))
    ...     started = start_night(plan)
    ...     with open_night_page(started, title="a simulated sleeper") as page:
    ...         run_started(started)
    >>> page.frames.card.channel
    'C4-M1'
    """
    real = started.simulated is None  # only an interlock of its own may be told from another thread
    on_stop = (lambda: started.night.link.stop("operator")) if real else (lambda: None)
    with open_live_page(describe_night(started, title=title, attended=attended), port=port, on_stop=on_stop) as page:
        started.night.listeners.append(follow_night(started.night, page.frames, page.take_commands))
        yield page
        page.close(started.night.ended or "end of the night")


def describe_night(started: Started, *, title: str, attended: bool = False) -> NightCard:
    """What the page says of a night as a whole, from its plan."""
    plan, protocol = started.plan, started.plan.protocol
    return NightCard(
        title,
        protocol.name,
        protocol.hash,
        plan.source.name,
        ", ".join(plan.sinks),
        rate=protocol.signal.rate,
        channel=protocol.signal.channels[0],
        target=float(np.deg2rad(protocol.target.phase_deg)),
        stage_limit=protocol.sleep.age_most,
        simulated=plan.source.name == "simulate",
        attended=attended,
    )


def follow_night(
    night: LiveNight, frames: Frames, take_commands: Callable[[float], Sequence[Command]] = lambda now: ()
) -> Callable[[Decision, Chunk | None], None]:
    """A listener of a night: each step goes into the frames, and what the operator asks into the next step.

    Args:
        night: The night.
        frames: Where steps are gathered.
        take_commands: Gives what the operator asked for since it was called last, at a loop time.
    """
    modes: dict[str, Mode] = {"waiting": "disarmed", "armed": "armed", "paused": "paused", "stopped": "stopped"}
    seen: dict[int, Outcome] = {}

    def listen(decision: Decision, chunk: Chunk | None) -> None:
        for command in take_commands(decision.now):
            night.command(command.name)
        if sum(night.counts.values()) != sum(frames.counts.values()):
            for record in list(night.trials.values())[-2 * SHOWN_TRIALS :]:
                if seen.get(record.trial) != record.outcome:
                    seen[record.trial] = record.outcome
                    frames.note(record.trial, onset=record.onset, outcome=record.outcome)
            frames.counts = {name: night.counts[name] for name in OUTCOMES}
        stages = () if night.stage is None else (night.stage,)
        mode = modes.get(night.state.operator, "stopped")
        frames.show(decision, chunk, mode=mode, stages=stages)
        if mode == "stopped":
            frames.end("stopped", night.ended)

    return listen


def _hear_start(process: subprocess.Popen[bytes], settings: bytes) -> dict[str, Any]:
    """The first line of the server, or nothing after a minute."""
    heard: list[bytes] = []

    def listen() -> None:
        with contextlib.suppress(OSError):
            cast("IO[bytes]", process.stdin).write(settings)
            cast("IO[bytes]", process.stdin).flush()
            heard.append(cast("IO[bytes]", process.stdout).readline())

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    listener.join(START_SECONDS)
    return cast("dict[str, Any]", json.loads(heard[0] or b"{}")) if heard else {}


def _find_path() -> str:
    """The way to this very package, wherever the loop found it."""
    here = str(Path(__file__).parents[2])
    return os.pathsep.join([here, *filter(None, [os.environ.get("PYTHONPATH")])])
