"""A real night of the loop on its page: what the operator asks reaches the next step, and the page sees what it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharpwave.live.decision import Chunk, Command, Decision, Estimates, Hold
from sharpwave.live.display import Frames, describe_night, follow_night
from sharpwave.live.protocol import load_protocol
from sharpwave.live.run import Plan, Started, run_started, start_night
from sharpwave.live.sources.simulate import SimulatedSource, SimulatedStager


@pytest.fixture
def begin(tmp_path: Path) -> Callable[..., Started]:
    def start(hours: float) -> Started:
        rng = np.random.default_rng(0)
        source = SimulatedSource(("C4-M1",), rng=rng, hours=hours, asleep_after=0.0)
        stager = SimulatedStager(source, rng=rng)
        return start_night(
            Plan(load_protocol("up-state"), source, tmp_path / "night", stager, speed=float("inf"), seed=bytes(32))
        )

    return start


def test_what_the_operator_asks_is_in_the_next_step_and_on_the_page(begin: Callable[..., Started]) -> None:
    started = begin(12 / 3600)
    asked = {2.0: "arm", 4.0: "pause", 6.0: "resume", 8.0: "stop"}
    frames = Frames(describe_night(started, title="simulated"))

    def take_commands(now: float) -> list[Command]:
        return [Command(asked.pop(at), at=now) for at in list(asked) if now >= at]  # type: ignore[arg-type]

    seen: dict[str, float] = {}

    def look(decision: Decision, chunk: Chunk | None) -> None:
        frame = frames.take()
        assert frame is not None
        json.dumps(frame, allow_nan=False)
        seen.setdefault(frame["view"]["mode"] + str(len(asked)), decision.now)

    started.night.listeners += [follow_night(started.night, frames, take_commands), look]
    run_started(started)
    assert list(seen) == [
        "disarmed4",
        "disarmed3",
        "armed3",
        "armed2",
        "paused2",
        "paused1",
        "armed1",
        "armed0",
        "stopped0",
    ]
    for before, after in (
        ("disarmed3", "armed3"),
        ("armed2", "paused2"),
        ("paused1", "armed1"),
        ("armed0", "stopped0"),
    ):
        assert 0 < seen[after] - seen[before] <= 0.1  # the next step
    assert started.night.state.operator == "stopped"
    frames.end("ended", started.night.ended)
    assert (frames.take() or {})["view"]["ended"] == "operator"


def test_every_frame_of_a_night_is_json_and_its_signal_rises_in_time(begin: Callable[..., Started]) -> None:
    started = begin(12 / 3600)
    frames = Frames(describe_night(started, title="simulated"))
    times: list[float] = []
    views: list[dict[str, Any]] = []

    def look(decision: Decision, chunk: Chunk | None) -> None:
        if len(frames._steps) == 20:
            frame = json.loads(json.dumps(frames.take(), allow_nan=False))
            times.extend(piece[0] for piece in frame["signal"])
            views.append(frame["view"])

    started.night.listeners += [follow_night(started.night, frames), look]
    run_started(started)
    assert np.all(np.diff(times) > 0)
    assert 9 < times[-1] - times[0] < 12
    assert {len(view["conditions"]) for view in views} == {33}


def test_samples_of_a_time_to_come_and_of_none_are_not_drawn(begin: Callable[..., Started]) -> None:
    frames = Frames(describe_night(begin(1 / 3600), title="simulated"))
    chunk = Chunk(np.ones((8, 1), np.float32), 0, 0.0, 0.0)
    for until in (-np.inf, np.nan, 200_000.0, np.inf):
        frames.show(Decision(10.0, (), Hold(()), Estimates(until)), chunk, mode="armed")
    frame = frames.take() or {}
    json.dumps(frame, allow_nan=False)
    assert (frame["signal"], frame["slow"]) == ([], [])


def test_the_card_of_a_night_is_that_of_its_protocol(begin: Callable[..., Started]) -> None:
    started = begin(1 / 3600)
    card = describe_night(started, title="sub-01", attended=True)
    protocol = started.plan.protocol
    assert (card.protocol, card.protocol_hash, card.source, card.sink) == (
        "up-state",
        protocol.hash,
        "simulate",
        "null",
    )
    assert (card.channel, card.rate, card.simulated, card.attended) == ("C4-M1", 256.0, True, True)
    assert card.target == pytest.approx(np.deg2rad(-45.0))
