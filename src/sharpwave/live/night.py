"""One night of the loop: what has arrived goes through the core, and what the core decides goes to log and interlock.

`LiveNight.step` is called as often as one likes and never waits; it makes a step of the core when samples, results of
the stager or commands have come, when a trial must be checked again, and at least every 100 ms. Which trial sounds it
cannot know: the interlock alone opens the seal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

from sharpwave.errors import SharpwaveError
from sharpwave.live import protocol as rules
from sharpwave.live.decision import Chunk, Command, Decision, Intend, StageResult
from sharpwave.live.gate import RECHECK, LiveState, init_live, step_live
from sharpwave.live.interlock_link import Link
from sharpwave.live.sources import Source

IDLE = 0.1
"""Longest time between two steps, in seconds."""
TRIALS_KEPT = 1000
"""Trials that are kept in memory for the page; the log has them all."""


class Log(Protocol):
    """Where a night is written down."""

    def take_step(
        self,
        decision: Decision,
        chunk: Chunk | None,
        stages: Sequence[StageResult],
        commands: Sequence[Command],
    ) -> None:
        """What went into a step of the core, and what came out."""

    def intend(self, intend: Intend) -> None:
        """A trial is intended; it is on its way to the disk."""

    def is_durable(self, trial: int) -> bool:
        """Whether the intent of this trial is on the disk."""

    def note(self, kind: str, content: dict[str, Any]) -> None:
        """What happened to a trial or to the night."""

    @property
    def broken(self) -> str:
        """Why nothing can be written any more; empty while it can."""

    def close(self) -> None:
        """Bring the rest to the disk."""


class Stager(Protocol):
    """What tells stages; it runs outside the loop."""

    def offer(self, chunk: Chunk, until: float) -> None:
        """Samples, and the loop time of the last of them; returns at once."""

    def poll(self, now: float) -> tuple[StageResult, ...]:
        """Results that have come since."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True)
class TrialRecord:
    """A trial as the loop knows it: never its condition.

    Attributes:
        trial: Its number.
        cue_ref: Which cue.
        level_db: Level in dB(A).
        onset: Loop time at which it was to be heard or, once delivered, was; in seconds.
        outcome: What became of it.
        why: Why it was cancelled or failed.
        position: Where in the signal its onset lies, in samples of the source's count; None unless delivered.
        disturbed: What the sleeper did within the window; empty until it is over.
    """

    trial: int
    cue_ref: str
    level_db: float
    onset: float
    outcome: Literal["intended", "delivered", "failed", "cancelled"] = "intended"
    why: str = ""
    position: float | None = None
    disturbed: str = ""


Listener = Callable[[Decision, Chunk | None], None]
"""Is told of each step, such as the page."""


class LiveNight:
    """A night under way.

    Args:
        protocol: What was decided before it.
        source: Where samples come from.
        link: The interlock.
        log: Where it is written down.
        stager: Tells stages.
        start: Loop time at which it begins, in seconds.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from sharpwave.live import Plan, load_protocol, start_night
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1))
    >>> with TemporaryDirectory() as home:
    ...     night = start_night(Plan(load_protocol("up-state"), source, Path(home, "night"), stager)).night
    ...     decision = night.step(1.0)
    ...     night.close("shown")
    >>> decision.action.why[:2], night.counts["intended"]
    (('armed', 'loop running'), 0)
    """

    def __init__(
        self, protocol: rules.Protocol, source: Source, link: Link, *, log: Log, stager: Stager, start: float = 0.0
    ) -> None:
        self.protocol, self.source, self.link, self.log, self.stager = protocol, source, link, log, stager
        self.state: LiveState = init_live(protocol, start=start)
        self.decision: Decision | None = None
        self.trials: dict[int, TrialRecord] = {}
        self.counts = dict.fromkeys(("intended", "delivered", "failed", "cancelled"), 0)
        self.listeners: list[Listener] = []
        self.stage: StageResult | None = None
        self.ended, self.closed = "", False
        self._commands: list[Command] = []
        self._waiting: list[tuple[str, str]] = []
        self._last_step = -math.inf

    def command(self, name: Literal["arm", "pause", "resume", "stop"], why: str = "operator") -> None:
        """What the operator asks for; a stop reaches the interlock at once, before any step."""
        if name == "stop":
            self.link.stop(why)
            self.ended = self.ended or why
        self._waiting.append((name, why))

    def next_due(self) -> float:
        """Loop time by which `step` must be called again, if nothing arrives before."""
        due = self._last_step + IDLE
        if self.state.pending is not None:
            check = self.state.pending.onset - RECHECK
            due = min(due, check if self._last_step < check else self.state.pending.onset)
        return due

    def step(self, now: float) -> Decision | None:
        """Take in what has arrived by now, decide, act.

        Args:
            now: Loop time in seconds.

        Returns:
            The last decision; None where there was nothing to do.
        """
        self._watch(now)
        commands = tuple(Command(name, at=now) for name, _ in self._waiting)  # type: ignore[arg-type]
        for name, why in self._waiting:
            self.log.note("asked", {"name": name, "why": why, "at": now})
        self._waiting.clear()
        stages = self.stager.poll(now)
        self.stage = stages[-1] if stages else self.stage
        chunks: list[Chunk | None] = [one for one in self.source.pull(now) if self._fits(one, now)]
        if not chunks and not stages and not commands and now < self.next_due():
            return None
        for chunk in chunks or [None]:
            self._step_core(now, chunk, stages, commands)
            stages, commands = (), ()
        self._last_step = now
        self.link.beat(now)
        return self.decision

    def close(self, why: str = "end of the night") -> None:
        """Silence, and everything written."""
        self.closed = True
        self.link.stop(why)
        self._hear_interlock(self.link.hear_silence())
        for part in (self.link, self.stager, self.source, self.log):
            part.close()

    def _step_core(
        self, now: float, chunk: Chunk | None, stages: tuple[StageResult, ...], commands: tuple[Command, ...]
    ) -> None:
        decision, self.state = step_live(self.protocol, self.state, chunk, now=now, stages=stages, commands=commands)
        self.decision = decision
        self.log.take_step(decision, chunk, stages, commands)
        if self.log.broken:  # what is not written down is not done
            self._watch(now)
            return
        if chunk is not None:
            self.stager.offer(chunk, decision.estimates.until)
        if isinstance(decision.action, Intend):
            self._intend(decision.action)
        if decision.cancelled is not None:
            self._change(decision.cancelled.trial, "cancelled", ", ".join(decision.cancelled.why))
        if decision.release is not None:
            self._release(decision.release)
        for outcome in decision.outcomes:
            self.link.tell(outcome.trial, outcome.onset, outcome.disturbed)
            record = self.trials.get(outcome.trial)
            if record is not None:
                self.trials[outcome.trial] = replace(record, disturbed=outcome.disturbed)
        for listener in self.listeners:
            listener(decision, chunk)
        self._hear_interlock()

    def _intend(self, intend: Intend) -> None:
        self.log.intend(intend)
        self.trials[intend.trial] = TrialRecord(intend.trial, intend.cue_ref, intend.level_db, intend.onset)
        self.counts["intended"] += 1
        while len(self.trials) > TRIALS_KEPT:
            del self.trials[next(iter(self.trials))]

    def _release(self, intend: Intend) -> None:
        """Only what is on the disk reaches the interlock: a cue that cannot be logged is not given."""
        if not self.log.is_durable(intend.trial):
            self._change(intend.trial, "failed", "its intent was not on the disk in time")
            return
        self.link.ask(intend.trial, intend.cue_ref, intend.level_db, onset=intend.onset, deadline=intend.deadline)

    def _change(self, trial: int, outcome: Any, why: str, onset: float | None = None) -> None:
        record = self.trials.get(trial)
        if record is None:
            return
        position = None
        if onset is not None and self.state.clock.next_index is not None:
            last = self.state.clock.next_index - 1
            position = last + (onset - self.state.estimates.until) * self.protocol.signal.rate
        at = record.onset if onset is None else onset
        self.trials[trial] = replace(record, outcome=outcome, why=why, onset=at, position=position)
        self.counts[outcome] += 1
        if outcome == "delivered":
            self.log.note(outcome, {"trial": trial, "onset": onset, "position": position})
        elif outcome == "failed":
            self.log.note(outcome, {"trial": trial, "why": why})

    def _hear_interlock(self, records: list[dict[str, Any]] | None = None) -> None:
        for record in self.link.poll() if records is None else records:
            kind, trial = record["kind"], record.get("trial")
            if kind == "delivered" and isinstance(trial, int):
                self._change(trial, "delivered", "", float(record["onset"]))
            elif kind == "failed" and isinstance(trial, int):
                self._change(trial, "failed", str(record["why"]))
            else:
                self.log.note(kind, {name: value for name, value in record.items() if name != "kind"})
                if kind == "silent" and not self.ended and record["why"] != "no sign of life" and not self.closed:
                    self.command("stop", str(record["why"]))

    def _watch(self, now: float) -> None:
        """A log that cannot be written and an interlock that cannot be trusted end the night."""
        self._hear_interlock()
        why = self.log.broken or self.link.broken
        if why and not self.ended:
            self.command("stop", why)

    def _fits(self, chunk: Chunk, now: float) -> bool:
        """Whether a chunk has the channels of the protocol; one that has not is left out, so that data grow old."""
        wanted = len(self.protocol.signal.channels)
        if chunk.samples.ndim == 2 and chunk.samples.shape[1] == wanted:
            return True
        self.log.note("left out", {"shape": list(chunk.samples.shape), "at": now})
        return False


def check_source(protocol: rules.Protocol, source: Source) -> None:
    """Refuse a source that delivers something else than the protocol says.

    Args:
        protocol: What was decided.
        source: What is there.

    Raises:
        SharpwaveError: If channels or rate differ.

    >>> from sharpwave.live.sources.simulate import SimulatedSource
    >>> import numpy as np
    >>> check_source(rules.Protocol("mine"), SimulatedSource(("EMG chin",), rng=np.random.default_rng(0)))
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected a source with the channels C4-M1, in this order; got EMG chin. Fix: ...
    """
    if tuple(source.channels) != tuple(protocol.signal.channels):
        raise SharpwaveError(
            f"a source with the channels {', '.join(protocol.signal.channels)}, in this order",
            got=", ".join(source.channels),
            fix="name the channels of the source in [signal] of the protocol, as the amplifier has them",
        )
    if abs(source.rate / protocol.signal.rate - 1) > protocol.signal.rate_tolerance:
        raise SharpwaveError(
            f"{protocol.signal.rate:g} samples a second",
            got=f"{source.rate:g} from {source.name}",
            fix="write the rate of the amplifier into [signal] of the protocol",
        )
