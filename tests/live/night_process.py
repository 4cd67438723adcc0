"""A process to be killed: a simulated night as fast as it can, or a loop that asks an interlock for a cue far ahead."""

from __future__ import annotations

import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.live import gate
from sharpwave.live.interlock import InterlockLimits
from sharpwave.live.interlock_link import InterlockProcess
from sharpwave.live.protocol import load_protocol
from sharpwave.live.run import Plan, run_live
from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager


def run_night(folder: Path, kind: str) -> None:
    """A night that says each time when something of this kind was written."""
    plain = gate.step_estimates

    def step(*given, **named):
        estimates, state = plain(*given, **named)
        return replace(estimates, polarity="as declared"), state

    gate.step_estimates = step
    protocol = load_protocol("up-state")
    source = SimulatedSource(("C4-M1",), rng=np.random.default_rng(0), asleep_after=0.0, hours=1.0, chunk=8)
    stager = SimulatedStager(source, rng=np.random.default_rng(1))

    def listen(decision, chunk):
        happened = {
            "step": decision.now > 20.0,
            "intent": decision.pending is not None and decision.release is None,
            "release": decision.release is not None,
        }
        if happened[kind]:
            print("now", flush=True)

    run_live(Plan(protocol, source, folder, stager, speed=float("inf"), arm=True), listeners=[listen])


def ask_ahead(log: Path) -> None:
    """A loop that gives signs of life and has asked for a cue three seconds ahead."""
    origin = time.monotonic()
    limits = InterlockLimits("token", cues=("click",))
    link = InterlockProcess(limits, ["null"], origin=origin, cues={}, log=log)

    def now() -> float:
        return time.monotonic() - origin

    link.beat(now())
    link.ask(1, "click", 40.0, onset=now() + 3.0, deadline=now() + 3.5)
    print(link.process.pid, flush=True)
    while not link.broken:
        link.beat(now())
        for record in link.poll():
            print(record, flush=True)
        time.sleep(0.01)
    print(link.broken, flush=True)


if __name__ == "__main__":
    where = Path(sys.argv[2])
    run_night(where, sys.argv[3]) if sys.argv[1] == "night" else ask_ahead(where)
