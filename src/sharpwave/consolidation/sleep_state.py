"""Everything of a `Sleep` but its model and the user's optimiser, to save at any step and to go on from."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import groupby
from typing import TYPE_CHECKING, Any

from sharpwave.consolidation.learner import N_SAMPLED
from sharpwave.consolidation.night import Night

if TYPE_CHECKING:
    from sharpwave.consolidation.sleep import Sleep


def list_sleep_state(sleep: Sleep) -> dict[str, Any]:
    """The state of a `Sleep`, awake or asleep: tensors, numbers, lists.

    Args:
        sleep: Wake and sleep of one network.
    """
    learner, night = sleep.learner, sleep._night
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
        "night": None if night is None else night.state_dict(),
        **learner.state_dict(),
    }


def take_up_sleep_state(sleep: Sleep, state: Mapping[str, Any]) -> None:
    """Take up a state, in a `Sleep` that was made with the same options.

    Args:
        sleep: Wake and sleep of one network, whose model is loaded by the user.
        state: What `list_sleep_state` gave, now or in version 0.1.0.
    """
    state, learner = update_layout(state), sleep.learner
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
    kept = state["night"]
    if kept is not None:
        sleep._night = Night.resume(kept, learner, sleep.phases, probe=sleep.recipe.probe)
    learner.load_state_dict(state)
    sleep.stability.load_state_dict(state.get("stability"))
    weights = {} if sleep._night is None else sleep._night.snapshot.weights
    for stage, phase in sleep.phases.items():
        phase.load_state_dict(state["phases"].get(stage, {}), weights=weights)
    learner.generator.set_state(state["generator"])


def update_layout(state: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of a `Sleep` as version 0.1.0 wrote it, in today's layout."""
    if "runs" not in state:
        state = {**state, "runs": [[stage, len(list(run))] for stage, run in groupby(state["stages"])]}
    if "sleeper" not in state:
        return state
    phase = {**state["sleeper"], "activity": state["activity"]}
    return {**state, "wake_items": phase.get("wake_items", N_SAMPLED), "phases": {1: phase}}
