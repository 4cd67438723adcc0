"""A live night in simulated time: a sleeper who answers sounds is cued, the log is checked, the page can be played."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

SHOWN_MINUTES = 5.0
"""End of the night that the page shows."""


def demonstrate_live_night(page: Path, *, seed: int = 0, minutes: float = 12.0) -> tuple[Path, str]:
    """Cue a simulated sleeper as fast as the computer can, and write the last minutes as a page that can be played.

    Nothing sounds: the sink is the simulated sleeper's ear. All else is what a night of a person runs through.

    Args:
        page: Where the page goes.
        seed: Seed of the sleeper and of the stager's mistakes.
        minutes: Length of the night, which begins in N2; minutes pass until polarity is known and cues may come.

    Returns:
        The page, and what happened, in two sentences.
    """
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.recorded import NightRecorder, write_recorded_page
    from sharpwave.live.run import Plan, run_started, start_night
    from sharpwave.live.schedule import draw_condition
    from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager
    from sharpwave.live.verify import replay_log, verify_log

    rng, secret = np.random.default_rng(seed), np.random.default_rng([seed, 1]).bytes(32)
    source = SimulatedSource(("C4-M1",), rng=rng, hours=minutes / 60, asleep_after=0.0)
    protocol = load_protocol("up-state")
    with TemporaryDirectory() as home:
        folder, checkpoint = Path(home) / "night", Path(home) / "night.checkpoint"
        stager = SimulatedStager(source, rng=rng)
        plan = Plan(protocol, source, folder, stager, checkpoint=checkpoint, speed=np.inf, seed=secret, arm=True)
        started = start_night(plan)
        recorder = NightRecorder(started, title=f"seed {seed}", seconds=60 * SHOWN_MINUTES)
        run_started(started)
        verdict, replay = verify_log(folder, checkpoint=checkpoint), replay_log(folder)
    write_recorded_page(page, recorder.card, list(recorder.frames))
    given = [record for record in started.night.trials.values() if record.outcome == "delivered"]
    kinds = Counter(draw_condition(secret, protocol.schedule, record.trial) for record in given)
    whole = "is whole" if not verdict.problems and verdict.pinned and verdict.closed else "IS BROKEN"
    same = "the same, byte for byte" if replay.differs is None and replay.left == 0 else "DIFFERENT"
    return page, (
        f"{started.night.counts['intended']} trials were intended and {len(given)} given; the seal, opened at the end, "
        f"says that {kinds['cue']} sounded and {kinds['sham']} were sham. The log {whole}, and {replay.steps:,} "
        f"decisions computed again from it are {same}."
    )
