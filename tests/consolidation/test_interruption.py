"""Stopped anywhere, as by Ctrl-C: no item is half stored, no night half slept; and two nights are never under way."""

from __future__ import annotations

import copy
import gc
import pickle
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from tests.consolidation.planted import make_network, make_points, make_sleeper
from torch import nn

from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.errors import SharpwaveError


@contextmanager
def stopping(line: int) -> Iterator[list[int]]:
    """Ctrl-C at the n-th line that runs in the room of networks; a list with the number of lines so far."""
    counted = [0]

    def look(frame: Any, event: str, _: Any) -> Any:
        if "sharpwave/consolidation" not in frame.f_code.co_filename:
            return None
        counted[0] += event == "line"
        if counted[0] == line and event == "line":
            sys.settrace(None)
            raise KeyboardInterrupt
        return look

    sys.settrace(look)
    try:
        yield counted
    finally:
        sys.settrace(None)


def make_items(first: int, n_items: int = 6) -> dict[str, torch.Tensor]:
    labels = torch.arange(first, first + n_items) + 1
    return {"x": labels[:, None].float().expand(-1, 3).contiguous(), "y": labels}


@pytest.mark.parametrize(("policy", "n_full"), [("reservoir", 0), ("reservoir", 5), ("balanced", 5)])
def test_no_item_is_half_stored(policy: str, n_full: int) -> None:
    def fill() -> ReplayBuffer:
        buffer = ReplayBuffer(20, policy=policy, generator=torch.Generator().manual_seed(0))
        for batch in range(n_full):
            buffer.add(make_items(6 * batch))
        return buffer

    whole = fill()
    with stopping(10**9) as lines:
        whole.add(make_items(100, 20))
    for line in range(1, lines[0], 7):
        buffer = fill()
        with pytest.raises(KeyboardInterrupt), stopping(line):
            buffer.add(make_items(100, 20))
        buffer.add(make_items(200, 20))
        items = buffer.read(torch.arange(len(buffer)))
        assert torch.equal(items["x"][:, 0].long(), items["y"])
        assert int(items["y"].min()) > 0
        assert [(label,) for label in items["y"].tolist()] == [buffer._index.keys[slot] for slot in range(len(buffer))]
        assert len(buffer.sample(8, balanced=True)["x"]) == 8
        assert len(buffer) > 8


def test_stopped_before_its_first_step_the_network_is_awake_and_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    points, labels = make_points(8, seed=1)
    sleep = make_sleeper()
    sleep.wake({"x": points, "y": labels}).backward()
    model = sleep.learner.module.eval()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fall_asleep = Sleep.fall_asleep

    def stop(mine: Sleep, steps: int) -> None:
        fall_asleep(mine, steps)
        raise KeyboardInterrupt

    monkeypatch.setattr(Sleep, "fall_asleep", stop)
    with pytest.raises(KeyboardInterrupt):
        sleep.night(3)
    assert (sleep.is_asleep, model.training) == (False, False)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is not None for parameter in model.parameters())


class Unscalable:
    """A scaler of gradients whose state cannot be had, as where memory is short when the network is copied."""

    unscale_ = None

    def state_dict(self) -> dict:
        raise MemoryError("no room")


def test_what_cannot_be_copied_is_said_as_it_is_and_nothing_is_lost() -> None:
    sleep = make_sleeper(scaler=Unscalable())
    points, labels = make_points(8, seed=1)
    sleep.wake({"x": points, "y": labels}).backward()
    with pytest.raises(MemoryError, match="no room"):
        sleep.night(1)
    assert not sleep.is_asleep
    assert all(parameter.grad is not None for parameter in sleep.learner.module.parameters())
    lazy = Sleep(nn.Sequential(nn.LazyLinear(3)), ReplayBuffer(5))
    with pytest.raises(SharpwaveError, match="of a lazy one"):
        lazy.night(1)


def test_one_night_at_a_time() -> None:
    points, labels = make_points(8, seed=1)
    first = make_sleeper()
    second = Sleep(first.learner.module, ReplayBuffer(20), first.learner.optimiser)
    for sleep in (first, second):
        sleep.wake({"x": points, "y": labels}).backward()
    first.fall_asleep(2)
    first.step()
    for verb in (second.fall_asleep, second.night, lambda: second.wake({"x": points, "y": labels})):
        with pytest.raises(SharpwaveError, match="in the night of another Sleep"):
            verb()
    first.wake_up()
    assert second.night(1).committed


def test_a_sleep_that_is_gone_watches_no_steps_and_a_copy_watches_its_own() -> None:
    points, labels = make_points(8, seed=1)
    sleep = make_sleeper()
    for each in (copy.deepcopy(sleep), pickle.loads(pickle.dumps(sleep))):
        each.wake({"x": points, "y": labels}).backward()
        each.learner.optimiser.step()
        assert each.learner.day.seconds > 0
    assert sleep.learner.day.seconds == 0
    optimiser, told = sleep.learner.optimiser, []
    sleep.learner.day = type("Day", (), {"seconds": property(lambda _: 0, lambda _, value: told.append(value))})()
    sleep._woken = 0.0
    optimiser.step()
    assert told
    sleep._woken = 0.0
    del sleep, each
    gc.collect()
    optimiser.step()
    assert len(told) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate=4"), ({"accumulate": 2.5}, "accumulate=4"), ({"generator": 3}, "generator="),
        ({"autocast": "bf16"}, "autocast=torch"), ({"scaler": True}, "scaler="), ({"recipe": "ssr"}, "recipe="),
        ({"objective": nn.CrossEntropyLoss()}, "objective="), ({"budget": "15%"}, "budget=0.15"),
    ],
)  # fmt: skip
def test_options_of_another_kind_are_named(options: dict, message: str) -> None:
    with pytest.raises(SharpwaveError, match=message):
        Sleep(make_network(), ReplayBuffer(5), **options)
