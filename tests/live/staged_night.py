"""A staged night for the page: sleeper, conditions and trials by hand, so that each state can be shown."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from sharpwave.live.decision import Chunk, Command, Condition, Decision, Estimates, Hold, Intend, StageResult
from sharpwave.live.display import LivePage
from sharpwave.live.view import Mode, NightCard

RATE = 256.0
CARD = NightCard(
    "sub-01, night 2",
    "up-state",
    "9f2c51d07b3ae4",
    "simulate",
    "null",
    rate=RATE,
    channel="Fz",
    target=-math.pi / 4,
    simulated=True,
)
NAMES: tuple[tuple[str, float | str | None, float | str | None, str], ...] = (
    ("armed", None, None, ""),
    ("loop running", 7000.0, 10.0, "s"),
    ("age of data", 0.04, 0.25, "s"),
    ("stamps", "steady", "steady", ""),
    ("rate", 0.00002, 0.005, ""),
    ("signal unbroken", 7000.0, 10.0, "s"),
    ("contact", 0.02, 0.5, ""),
    ("saturation", 0.0, 0.02, ""),
    ("mains", 0.3, 1.0, ""),
    ("arousal", 1.1, 3.0, ""),
    ("movement", 1.2, 4.0, ""),
    ("calm", 200.0, 30.0, "s"),
    ("polarity", "as declared", "as declared", ""),
    ("age of stage", 3.2, 10.0, "s"),
    ("asleep", 0.96, 0.8, ""),
    ("asleep for", 312.0, 60.0, "s"),
    ("since waking", 400.0, 120.0, "s"),
    ("slow wave", 62.0, 15.0, "µV"),
    ("artefact", 62.0, 300.0, "µV"),
    ("slow wave ratio", 1.8, 1.0, ""),
    ("target ahead", 0.09, 0.03, "s"),
    ("target near", 0.09, 0.15, "s"),
    ("spindle", "absent", "any", ""),
    ("ripple", "absent", "any", ""),
    ("refractory", 8.0, 6.0, "s"),
    ("trials this hour", 31.0, 200.0, ""),
    ("trials tonight", 41.0, 1000.0, ""),
    ("level", 40.0, 55.0, "dB(A)"),
    ("night begun", 7385.0, 0.0, "s"),
    ("night not over", 7385.0, 32400.0, "s"),
    ("arousals after trials", 1.0, 3.0, ""),
    ("wakings after trials", 0.0, 3.0, ""),
    ("no trial under way", "none", "none", ""),
)


@dataclass
class StagedNight:
    """A night that goes on by eighths of a second; `page` sees it, `mode` follows what the operator asks."""

    page: LivePage
    now: float = 7385.0
    mode: Mode = "disarmed"
    trial: int = 40
    heard: list[Command] = field(default_factory=list)
    index: int = 0
    alive: bool = True

    def step(self, seconds: float = 0.125) -> None:
        """Go on for some seconds of the night."""
        for command in self.page.take_commands(self.now):
            self.heard.append(command)
            self.mode = {"arm": "armed", "pause": "paused", "resume": "armed", "stop": "stopped"}[command.name]  # type: ignore[assignment]
        self.now += seconds
        count = round(seconds * RATE)
        times = self.now + np.arange(1 - count, 1) / RATE
        slow = 62e-6 * np.cos(2 * np.pi * 0.8 * times)
        fast = 9e-6 * np.sin(2 * np.pi * 13.1 * times) + 6e-6 * np.sin(2 * np.pi * 29 * times)
        samples = (slow + fast).astype(np.float32)[:, None]
        phase = math.remainder(2 * math.pi * 0.8 * self.now, 2 * math.pi)
        since = self.now % 8.0
        conditions = tuple(self._judge(*one, since=since) for one in NAMES)
        why = tuple(one.name for one in conditions if not one.holds)
        action: Hold | Intend = Hold(why)
        if not why and since < seconds:
            self.trial += 1
            action = Intend(self.now + 0.3, self.trial, "cue-03", 40.0, self.now + 0.32)
            self.page.note(self.trial, onset=self.now + 0.3, outcome="intended")
        elif 0.5 <= since < 0.5 + seconds and self.trial > 40 and not why[2:]:
            self.page.note(
                self.trial, onset=self.now - 0.2, outcome="cancelled" if self.trial % 5 == 4 else "delivered"
            )
        until = self.now - 0.04 if self.alive else self.now - 2.5
        found = Estimates(until, phase=phase, amplitude=62e-6, amplitude_ratio=1.8, polarity="as declared")
        stage = StageResult(self.now - 3.0, self.now - 3.2, (0.01, 0.02, 0.17, 0.79, 0.01))
        chunk = Chunk(samples, self.index, self.now, self.now)
        self.index += count
        self.page.show(
            Decision(self.now, conditions, action, found),
            chunk if self.alive else None,
            mode=self.mode,
            stages=(stage,),
        )

    def _judge(
        self, name: str, value: float | str | None, limit: float | str | None, unit: str, since: float
    ) -> Condition:
        if name == "armed":
            return Condition(name, self.mode == "armed", self.mode, "armed")
        if name == "refractory":
            return Condition(name, since >= 6.0 or since < 0.13, since if since >= 0.13 else 8.0, 6.0, "s")
        if name == "age of data" and not self.alive:
            return Condition(name, False, 2.5, 0.25, "s")
        return Condition(name, True, value, limit, unit)
