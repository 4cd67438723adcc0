"""Run minutes of a live night with a simulated sleeper, see why no cue comes, and check its log.

Run: python examples/live.py [--minutes 2] [--page]
Nothing sounds: the only ear is the simulated sleeper's. With --page it runs 20 times as fast as a night and waits for
you to open the page that it names and hold its button. Not a medical device; for research under an ethics board.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from sharpwave.live import Chunk, Decision, Hold, load_protocol, open_night_page, replay_log, verify_log
from sharpwave.live.run import Plan, Started, run_started, start_night
from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0, help="length of the night")
    parser.add_argument("--page", action="store_true", help="show it in a browser")
    options = parser.parse_args()
    with TemporaryDirectory() as home:
        started = prepare(Path(home) / "night", minutes=options.minutes, page=options.page)
        missing: Counter[str] = Counter()

        def listen(decision: Decision, chunk: Chunk | None) -> None:
            if isinstance(decision.action, Hold):
                missing.update(decision.action.why)

        started.night.listeners.append(listen)
        if options.page:
            with open_night_page(started, title="an example") as page:
                print("Open", page.address)
                run_started(started)
        else:
            run_started(started)
        print(started.night.counts)
        print("What kept cues back most often:", *(name for name, _ in missing.most_common(5)), sep="\n  ")
        verdict, again = verify_log(started.plan.folder), replay_log(started.plan.folder)
        print(f"{verdict.records} records, {'whole' if not verdict.problems else verdict.problems}")
        print(f"{again.steps} decisions computed again: {'the same' if again.differs is None else 'DIFFERENT'}")


def prepare(folder: Path, *, minutes: float, page: bool) -> Started:
    """A night of the shipped protocol, with a sleeper who is in N2 when it begins and answers sounds."""
    rng = np.random.default_rng(0)
    source = SimulatedSource(("C4-M1",), rng=rng, hours=minutes / 60, asleep_after=0.0)
    speed = 20.0 if page else float("inf")
    plan = Plan(load_protocol("up-state"), source, folder, SimulatedStager(source, rng=rng), speed=speed, arm=not page)
    return start_night(plan)


if __name__ == "__main__":
    main()
