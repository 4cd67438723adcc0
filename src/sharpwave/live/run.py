"""Arranges a night: source, core, audit, interlock and stager, in real time or in simulated time.

In real time the interlock is a process of its own. A simulated sleeper whose cues go nowhere needs no real time: its
night runs as fast as it can, or at any speed, and every wait, deadline and dead man counts in its own time.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sharpwave.errors import SharpwaveError
from sharpwave.live.audit import AuditLog
from sharpwave.live.audit_writer import AuditWriter
from sharpwave.live.consent import Consent, check_agreed, hash_sound, read_consent
from sharpwave.live.decision import Chunk, StageResult
from sharpwave.live.gate import RECHECK
from sharpwave.live.interlock import InterlockLimits
from sharpwave.live.interlock_link import InterlockProcess, Link, LocalInterlock
from sharpwave.live.interlock_process import Seal
from sharpwave.live.morning import SEALED
from sharpwave.live.night import Listener, LiveNight, Stager, check_source
from sharpwave.live.protocol import Protocol
from sharpwave.live.schedule import seal_seed
from sharpwave.live.sinks import needs_consent
from sharpwave.live.sinks.null import NullSink
from sharpwave.live.sources import Source

CONSENT_EVERY = 1.0
"""Time between two looks at the consent, in seconds."""
POLL = 0.002
"""Longest sleep in real time, in seconds."""


@dataclass(frozen=True)
class Plan:
    """A night that is to be run.

    Attributes:
        protocol: What was decided.
        source: Where samples come from.
        folder: New folder for everything that the night writes.
        stager: Tells stages.
        sinks: Where cues go.
        sounds: File of each cue's sound, or `builtin:…`.
        consent: File of the consent; needed where a sink reaches a person.
        calibration: Record of the loudspeaker.
        checkpoint: File outside the folder for length and head of the log; None for `FOLDER.checkpoint` beside it.
        speed: How many times as fast as real time a simulated night runs; infinity for as fast as it can.
        hours: After how many hours it ends; None for those of the protocol.
        seed: Seed of the sham, 32 bytes; drawn where None.
        arm: Whether it is armed from the start; only a night that reaches nobody may be.

    >>> import numpy as np
    >>> from sharpwave.live.protocol import load_protocol
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1))
    >>> Plan(load_protocol("up-state"), source, Path("night"), stager, hours=0.001, speed=60.0).sinks
    ('null',)
    """

    protocol: Protocol
    source: Source
    folder: Path
    stager: Stager
    sinks: tuple[str, ...] = ("null",)
    sounds: Mapping[str, str] = field(default_factory=dict)
    consent: Path | None = None
    calibration: Path | None = None
    checkpoint: Path | None = None
    speed: float = 1.0
    hours: float | None = None
    seed: bytes | None = None
    arm: bool = False


class InlineStager:
    """The stager in the loop itself, for a night in simulated time, where nothing is late by waiting for it.

    Args:
        protocol: Of the night.
    """

    def __init__(self, protocol: Protocol) -> None:
        from sharpwave.live.stage import init_stager

        self._state, self._results = init_stager(protocol), list[StageResult]()

    def offer(self, chunk: Chunk, until: float) -> None:
        """Take in samples."""
        from sharpwave.live.stage import step_stager

        results, self._state = step_stager(self._state, chunk.samples, index=chunk.index, until=until)
        self._results += results

    def poll(self, now: float) -> tuple[StageResult, ...]:
        """Results since; they count as made now."""
        found = tuple(StageResult(max(now, one.heard_until), one.heard_until, one.probabilities)
                      for one in self._results)  # fmt: skip
        self._results.clear()
        return found

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Started:
    """A night that is ready to run.

    Attributes:
        night: It.
        link: Its interlock.
        clock: Gives the loop time in seconds.
        plan: What it was made from.
        simulated: The time of a night in simulated time, moved by whoever runs it; None in real time.
        consent: What was agreed to; None where nobody is reached.
    """

    night: LiveNight
    link: Link
    clock: Callable[[], float]
    plan: Plan
    simulated: list[float] | None
    consent: Consent | None


def start_night(plan: Plan, *, today: datetime.date | None = None) -> Started:
    """Check everything, open everything, and write the head of the log: from here on it may be armed.

    Args:
        plan: What is to be run.
        today: Date of the night; that of the system where None.

    Raises:
        SharpwaveError: If anything is missing: consent, calibration, device, room on the disk, a matching source.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.live.protocol import load_protocol
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1))
    >>> with TemporaryDirectory() as home:
    ...     started = start_night(Plan(load_protocol("up-state"), source, Path(home, "night"), stager))
    ...     started.night.close()
    >>> started.consent is None, started.simulated
    (True, [0.0])
    """
    check_source(plan.protocol, plan.source)
    consent = _check_consent(plan, today or datetime.date.today())
    seed = plan.seed if plan.seed is not None else secrets.token_bytes(32)
    seal = Seal(seed, plan.protocol.schedule.sham_share, plan.protocol.schedule.excess_p)
    alone = plan.source.paced and all(not needs_consent(name) for name in plan.sinks)
    simulated = [0.0] if alone else None
    origin = time.monotonic()

    def clock() -> float:
        return simulated[0] if simulated is not None else time.monotonic() - origin

    limits = _make_limits(plan, consent)
    link: Link
    if simulated is not None:
        link = LocalInterlock(limits, [NullSink(clock=clock, hear=plan.source.hear)], clock=clock, seal=seal)
    else:
        link = InterlockProcess(
            limits, plan.sinks, origin=origin, cues=plan.sounds, seal=seal, calibration=plan.calibration
        )
    try:
        begin = clock()
        log = _open_log(plan, seed, link, consent, begin=begin, threaded=simulated is None)
    except BaseException:
        link.close()
        raise
    night = LiveNight(plan.protocol, plan.source, link, log=log, stager=plan.stager, start=begin)
    if plan.arm:
        night.command("arm", "from the start")
    return Started(night, link, clock, plan, simulated, consent)


def run_live(plan: Plan, *, listeners: Sequence[Listener] = (), today: datetime.date | None = None) -> LiveNight:
    """Run a night to its end; whatever ends it, the last thing is silence, and then what the morning needs.

    Args:
        plan: What is to be run.
        listeners: Are told of each step.
        today: Date of the night; that of the system where None.

    Returns:
        The night, closed.

    Raises:
        SharpwaveError: If it cannot start.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.live.protocol import load_protocol
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> with TemporaryDirectory() as home:
    ...     stager = SimulatedStager(source, rng=np.random.default_rng(1))
    ...     plan = Plan(load_protocol("up-state"), source, Path(home) / "night", stager, speed=math.inf)
    ...     night = run_live(plan)
    >>> night.closed, night.counts["delivered"]
    (True, 0)
    """
    started = start_night(plan, today=today)
    started.night.listeners += listeners
    run_started(started)
    return started.night


def run_started(started: Started) -> None:
    """Run a night that was started, until its source, its hours or its operator end it, or an exception does.

    Args:
        started: What `start_night` gave.

    >>> import numpy as np
    >>> from tempfile import TemporaryDirectory
    >>> from sharpwave.live.protocol import load_protocol
    >>> from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    >>> source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), hours=0.001)
    >>> stager = SimulatedStager(source, rng=np.random.default_rng(1))
    >>> with TemporaryDirectory() as home:
    ...     started = start_night(Plan(load_protocol("up-state"), source, Path(home, "night"), stager, speed=math.inf))
    ...     run_started(started)
    >>> started.night.closed
    True
    """
    why = "ended by the operator"
    try:
        why = _run_simulated(started) if started.simulated is not None else _run_real(started)
    except Exception as error:
        why = f"the loop failed: {type(error).__name__}"
        raise
    finally:
        started.night.close(why)


def _run_simulated(started: Started) -> str:
    night, plan, time_of = started.night, started.plan, started.simulated
    assert time_of is not None
    end, begun = _find_end(plan), time.monotonic()
    while (arrival := plan.source.next_arrival()) is not None:
        if arrival == math.inf and night.state.pending is None:
            return "the source ended"
        now = max(min(arrival, night.next_due(), getattr(started.link, "due", math.inf)), time_of[0])
        if now > end:
            return "the hours are over"
        while (wait := begun + now / plan.speed - time.monotonic()) > 0:
            time.sleep(min(wait, 0.02))
        time_of[0] = now
        night.step(now)
        if night.log.broken:
            return night.log.broken
    return "the source ended"


def _run_real(started: Started) -> str:
    night, clock = started.night, started.clock
    end, looked = _find_end(started.plan), 0.0
    while (now := clock()) < end:
        night.step(now)
        if night.log.broken:
            return night.log.broken
        if now - looked > CONSENT_EVERY:
            looked = now
            check_unchanged(started)
        if started.plan.source.next_arrival() == math.inf:
            return "the source ended"
        wait = min(night.next_due() - clock(), POLL)
        if wait > 0:
            time.sleep(wait)
    return "the hours are over"


def _find_end(plan: Plan) -> float:
    return 3600.0 * (plan.protocol.limits.hours if plan.hours is None else plan.hours)


def _check_consent(plan: Plan, today: datetime.date) -> Consent | None:
    real = [name for name in plan.sinks if needs_consent(name)]
    if not real:
        return None
    if plan.arm:
        raise SharpwaveError(
            "a night that is armed by its operator",
            got="arm from the start",
            fix="arm it on the page, once all is well",
        )
    if plan.consent is None:
        raise SharpwaveError(
            f"a consent for {', '.join(real)}, which may reach a person",
            got="none",
            fix="pass --consent FILE (`sharpwave live --seal-consent FILE` writes the form), or --sink null",
        )
    consent = read_consent(plan.consent, today=today)
    check_agreed(consent, plan.protocol, plan.sounds)
    return consent


def check_unchanged(started: Started) -> None:
    """A consent that was edited, withdrawn or taken away during the night ends the cues."""
    consent, path = started.consent, started.plan.consent
    if consent is None or path is None or started.night.ended:
        return
    try:
        now = read_consent(path, today=datetime.date.today())
        why = "" if now.seal == consent.seal else "the consent was changed during the night"
    except SharpwaveError as error:
        why = f"the consent no longer holds: {error.got}"
    if why:
        started.night.command("stop", why)


def _make_limits(plan: Plan, consent: Consent | None) -> InterlockLimits:
    limits = plan.protocol.limits
    level = limits.level_most_db if consent is None else min(limits.level_most_db, consent.level_db)
    most = limits.per_night if consent is None else min(limits.per_night, consent.per_night)
    return InterlockLimits(
        secrets.token_hex(16), plan.protocol.schedule.cues, level, limits.refractory, limits.per_hour, most
    )


def _open_log(
    plan: Plan, seed: bytes, link: Link, consent: Consent | None, *, begin: float, threaded: bool
) -> AuditWriter:
    """A new folder with the sealed seed and the head of the log."""
    latency = float(getattr(link, "latency", 0.0))
    most = RECHECK + plan.protocol.target.late_most
    if latency > most:
        raise SharpwaveError(
            f"a sink that sounds within {1e3 * most:.0f} ms of being asked",
            got=f"{1e3 * latency:.0f} ms, as calibrated",
            fix="take a device with less delay (wired, not Bluetooth), then calibrate it",
        )
    about = {
        "source": plan.source.name,
        "sinks": list(plan.sinks),
        "cues": {name: hash_sound(sound) for name, sound in plan.sounds.items()},
        "latency": latency,
        "consent": None if consent is None else {"seal": consent.seal, "participant": consent.participant},
        "began": datetime.datetime.now().isoformat(timespec="seconds"),
    }
    checkpoint = plan.checkpoint or plan.folder.with_name(f"{plan.folder.name}.checkpoint")
    audit = AuditLog(
        plan.folder, plan.protocol, start=begin, seal=seal_seed(seed, plan.protocol), about=about, checkpoint=checkpoint
    )
    descriptor = os.open(plan.folder / SEALED, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"seed": seed.hex()}, file)
        file.flush()
        os.fsync(file.fileno())
    return AuditWriter(audit, threaded=threaded)
