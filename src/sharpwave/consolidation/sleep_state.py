"""The state of a `Sleep`: what is kept of it, in which layout, how another takes it up, and which of them is asleep."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, WeakKeyDictionary

from torch import nn

from sharpwave.consolidation.learner import N_SAMPLED
from sharpwave.consolidation.modules import list_state
from sharpwave.consolidation.night import Night
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.sleep import Sleep


SLEEPERS: WeakKeyDictionary[nn.Module, ReferenceType[Sleep]] = WeakKeyDictionary()
"""The `Sleep` that last put a network to sleep, so that two do not at once."""


def refuse_asleep(sleep: Sleep) -> None:
    """Raise where the network of a `Sleep` is asleep, in a night of its own or of another."""
    last = SLEEPERS[sleep.learner.module]() if sleep.learner.module in SLEEPERS else None
    if sleep.is_asleep or (last is not None and last.is_asleep):
        by = "" if sleep.is_asleep else ", in the night of another Sleep"
        raise SharpwaveError(
            "a network that is awake", got=f"one that is asleep{by}", fix="end the night with wake_up() or abandon()"
        )


def list_sleep_state(sleep: Sleep) -> dict[str, Any]:
    """Tensors, numbers and lists of a `Sleep`, awake or asleep: all but its model and the user's optimiser."""
    learner = sleep.learner
    return {
        "buffer": None if learner.buffer is None else learner.buffer.state_dict(),
        "generator": learner.generator.get_state(),
        "optimiser": learner.optimiser.state_dict() if sleep._owns_optimiser else None,
        "schedule": sleep.schedule.state_dict(),
        "guard": None if sleep.guard is None else sleep.guard.state_dict(),
        "budget": None if sleep.budget is None else sleep.budget.state_dict(),
        "private": None if sleep.private is None else sleep.private.state_dict(),
        "counts": [sleep._n_calls, sleep._n_since_night, sleep._n_since_measured, int(sleep._stops)],
        "runs": [list(run) for run in sleep._stages],
        "stability": sleep.stability.state_dict(),
        "phases": {stage: phase.state_dict() for stage, phase in sleep.phases.items()},
        "night": None if sleep._night is None else sleep._night.state_dict(),
        **learner.state_dict(),
    }


def take_up_sleep_state(sleep: Sleep, state: Mapping[str, Any]) -> None:
    """Take up a state, in a `Sleep` made with the same options; nothing at all where that is another one.

    Args:
        sleep: Wake and sleep of one network, whose model is loaded by the user.
        state: What `list_sleep_state` gave, now or in version 0.1.0.

    Raises:
        SharpwaveError: If it is none, holds what this `Sleep` has no place for, lacks what it cannot go on without,
            protects weights of another network, or is in the middle of a night of another.
    """
    if not isinstance(state, Mapping) or "counts" not in state or not {"runs", "stages"} & state.keys():
        got = f"entries {', '.join(map(str, state))[:80]}" if isinstance(state, Mapping) else type(state).__name__
        raise SharpwaveError("what Sleep.state_dict() gave", got=got, fix="give that part of what was saved")
    state, learner = _update_layout(state), sleep.learner
    _check_options(sleep, state)
    _check_night(sleep, state.get("night"))
    if sleep.guard is not None:
        sleep.guard.check(state["guard"], learner.module)
    if learner.buffer is not None:
        learner.buffer.load_state_dict(state["buffer"])
    if sleep._owns_optimiser:
        learner.optimiser.load_state_dict(state["optimiser"])
    sleep.schedule.load_state_dict(state["schedule"])
    if sleep.guard is not None:
        sleep.guard.load_state_dict(state["guard"])
    if sleep.budget is not None:
        sleep.budget.load_state_dict(state.get("budget"))
    if sleep.private is not None:
        sleep.private.load_state_dict(state.get("private"))
    sleep._n_calls, sleep._n_since_night, sleep._n_since_measured, stops = state["counts"]
    sleep._stops, sleep._stages, sleep._night = bool(stops), [list(run) for run in state["runs"]], None
    if state["night"] is not None:
        sleep._night = Night.resume(state["night"], learner, sleep.phases, probe=sleep.recipe.probe)
    learner.load_state_dict(state)
    sleep.stability.load_state_dict(state.get("stability"))
    weights = {} if sleep._night is None else sleep._night.snapshot.weights
    for stage, phase in sleep.phases.items():
        phase.load_state_dict(state["phases"].get(stage, {}), weights=weights)
    learner.generator.set_state(state["generator"])


PLACES = {
    "buffer": "a replay buffer: Sleep(model, buffer)",
    "optimiser": "an optimiser of its own: Sleep without optimiser=",
    "guard": "protection: Sleep(protection=Protection())",
    "private": "privacy: Sleep(private=Private(...))",
}
"""Parts of a state that one `Sleep` has and another has not, and how a `Sleep` is made that has them."""

LACKS = {
    "buffer": "take the state up in a Sleep that stores as the saved one did",
    "optimiser": "give the optimiser of the training loop, Sleep(optimiser=...), and load its state yourself",
    "private": "begin with weights that have learned nothing private: what was learned before is in no account",
}
"""What to do where a state lacks what a `Sleep` cannot go on without."""


def _check_options(sleep: Sleep, state: Mapping[str, Any]) -> None:
    """Refuse to drop in silence what was kept, such as memories, protection or how much privacy was spent."""
    has = {
        "buffer": sleep.learner.buffer is not None,
        "optimiser": sleep._owns_optimiser,
        "guard": sleep.guard is not None,
        "private": sleep.private is not None,
    }
    for name, is_here in has.items():
        is_kept = state.get(name) is not None
        if is_kept and not is_here:
            got = f"a state with {name!r}, and a Sleep without"
            fix = f"make it with {PLACES[name]}; to go on without, set state[{name!r}] = None"
        elif is_here and not is_kept and name in LACKS:
            got, fix = f"a state without {name!r}, and a Sleep with {PLACES[name]}", LACKS[name]
        else:
            continue
        raise SharpwaveError("a state of a Sleep that was made with the same options", got=got, fix=fix)


def _check_night(sleep: Sleep, night: Mapping[str, Any] | None) -> None:
    """Refuse a night under way that could neither be gone on with nor be undone in this network."""
    if night is None:
        return
    learner = sleep.learner
    kept = {name: tuple(value.shape) for name, value in night["weights"].items()}
    mine = {name: tuple(value.shape) for name, value in list_state(learner.module).items()}
    stages = sorted({int(stage) for stage in night["plan"]} - set(sleep.phases))
    changed = [name for name in {**kept, **mine} if kept.get(name) != mine.get(name)]
    if changed:
        got = f"{changed[0]}: {kept.get(changed[0], 'missing')}, here {mine.get(changed[0], 'missing')}"
        fix = "load it beside the network that slept, wrapped or compiled in the same way"
    elif stages:
        got, fix = f"steps of stage {stages[0]} (REM is 2), and a Sleep without", "make it with the same phases"
    elif _list_settings(night["moments"]) != _list_settings(learner.optimiser.state_dict()):
        got, fix = "the moments of another optimiser", "give the kind of optimiser that it was saved with"
    else:
        return
    raise SharpwaveError("a night under way of the same network, phases and optimiser", got=got, fix=fix)


def _list_settings(moments: Mapping[str, Any]) -> list[tuple[int, list[str]]]:
    """Number of parameters in each group of one or several optimisers, and what tells their kind."""
    groups = [group for part in moments.get("parts", [moments]) for group in part["param_groups"]]
    known = ("momentum", "betas", "alpha", "etas", "rho", "lambd", "lr_decay")
    return [(len(group["params"]), [name for name in known if name in group]) for group in groups]


def _update_layout(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of a `Sleep` as version 0.1.0 wrote it, in today's layout."""
    if "runs" not in state:
        state = {**state, "runs": [[stage, len(list(run))] for stage, run in groupby(state["stages"])]}
    if "sleeper" not in state:
        return state
    phase = {**state["sleeper"], "activity": state["activity"]}
    return {**state, "wake_items": phase.get("wake_items", N_SAMPLED), "phases": {1: phase}}
