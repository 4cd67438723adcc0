"""A night of a network in JAX: params and the optimiser's state in, params and state out, nothing changed in between.

The transaction, the probe and the report are those of PyTorch (`consolidation.night.Night`); the steps are JAX's. A
night that harmed gives back the very arrays that it was given.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import jax
import optax

from sharpwave.consolidation.budget import Shallow
from sharpwave.consolidation.night import Night, Phase
from sharpwave.consolidation.nrem import NREM
from sharpwave.consolidation.protection import Protection
from sharpwave.consolidation.recipe import Recipe, make_plan
from sharpwave.consolidation.rem import REM
from sharpwave.consolidation.schedule import Schedule, add_stage
from sharpwave.consolidation.sleep_report import NREM_STAGE, REM_STAGE, SleepReport
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.jax.dreams import JaxDreams
from sharpwave.integrations.jax.memory import Memory, make_generator
from sharpwave.integrations.jax.network import Network, name_path, unpack
from sharpwave.integrations.jax.replay import JaxReplay, Top
from sharpwave.integrations.jax.significance import gather


def night(
    params: Any,
    opt_state: Any,
    memory: Memory,
    tx: optax.GradientTransformation,
    plan: Recipe | None = None,
    key: Any = None,
    *,
    apply: Network | Callable[..., Any],
    steps: int | None = None,
    rate: float | Callable[[Any], Any] | None = None,
    until: Callable[[], bool] | None = None,
) -> tuple[Any, Any, SleepReport]:
    """A night, as a function: what it is given is not changed, and is what it gives back where the night harmed.

    Args:
        params: Parameters, or `Variables`.
        opt_state: State of `tx`.
        memory: What is remembered; its buffer's logits are refreshed if the night is kept.
        tx: The optax transformation of the training loop, as it is; its updates shrink over the night.
        plan: What the night is made of: `Recipe()` where omitted, `make_ssr()` for Synaptic Sleep Replay.
        key: Seed of what this night draws, as for `Memory`; where omitted, the memory's own generator goes on.
        apply: The network, or its function of params and a batch, as for `wake_step`.
        steps: Number of steps; that of the memory's schedule, or budget, where omitted.
        rate: Learning rate of `tx`, as for `wake_step`.
        until: Function that is asked after each step whether to wake up.

    Returns:
        Parameters, state, and what was done.

    Raises:
        SharpwaveError: If the plan has a part that nights in JAX do not have.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> memory, tx, params = Memory(ReplayBuffer(8)), optax.sgd(0.1), {"kernel": jax.numpy.zeros((2, 2))}
        >>> memory.buffer.add({"x": torch.eye(2), "y": torch.arange(2)})
        >>> apply = lambda params, batch: batch["x"] @ params["kernel"]
        >>> params, opt_state, report = night(params, tx.init(params), memory, tx, apply=apply, steps=4)
        >>> print(report)
        4 NREM and 0 REM steps in ... s; score (not held out) 0.5 → 1; kept
    """
    recipe = _check(plan or Recipe())
    network, learner = memory.bind(apply, params), memory.learner
    learner.generator = learner.generator if key is None else make_generator(key)
    learner.prepare_night()
    memory.carrier.opt_state, schedule = opt_state, recipe.schedule or memory.schedule
    asleep = _lie_down(memory, network, tx, recipe, steps, rate)
    asleep.begin()
    _sleep(asleep, memory, schedule, until)
    with memory.buffer.undoable() if getattr(recipe.nrem, "refresh", "none") != "none" else nullcontext():
        report = asleep.end(pressure=schedule.pressure)
        if report.committed and recipe.protection is not None:
            _protect(memory, recipe.protection)
    memory.end_day()
    after, memory.carrier.opt_state = memory.carrier.opt_state, None
    return (memory.carrier.variables, after, report) if report.committed else (params, opt_state, report)


def _protect(memory: Memory, protection: Protection) -> None:
    """Anchor the weights where they are after a night that was kept."""
    if protection.anchor or protection.step_size:
        guard = memory.guard or protection.make_guard()
        guard.protection = protection
        gather(guard, memory.carrier, memory.learner.sample(protection.n_items))
        memory.guard = guard


def _lie_down(memory: Memory, network: Network, tx: Any, recipe: Recipe, steps: int | None, rate: Any) -> Night:
    """The night that is to come: its phases, its plan and its probe."""
    n_full, shallow, n_shallow, probe = _plan(memory, network, recipe, steps)
    phases: dict[int, Phase] = {NREM_STAGE: JaxReplay(memory, tx, recipe, rate)}
    if isinstance(recipe.rem, REM):
        anneal = getattr(recipe.nrem, "anneal", False)
        phases[REM_STAGE] = JaxDreams(memory, tx, recipe.rem, rate, anneal=anneal)
    start, schedule = sum(n for _, n in memory.stages), recipe.schedule or memory.schedule
    stages = make_plan(n_full, recipe.rem, depth=schedule.find_depth()) + [NREM_STAGE] * n_shallow
    asleep = Night(memory.learner, phases, stages, probe=probe, start=start, pressure=schedule.pressure)
    asleep.shallow = shallow
    return asleep


def _sleep(asleep: Night, memory: Memory, schedule: Schedule, until: Callable[[], bool] | None) -> None:
    """Step by step, until the plan is done, the schedule says so, or somebody wakes it."""
    while not asleep.is_over:
        seconds = asleep.step()
        add_stage(memory.stages, asleep.plan[asleep.position - 1])
        if not schedule.rest(seconds) or (until is not None and until()):
            break


def _plan(memory: Memory, network: Network, recipe: Recipe, steps: int | None) -> tuple[int, Shallow | None, int, Any]:
    """Number of full steps, what makes the last steps shallow, the number of those, and the probe."""
    learner, budget, probe = memory.learner, memory.budget, recipe.probe
    buffer = learner.get_buffer()
    if budget is None or steps is not None:
        return (steps or (recipe.schedule or memory.schedule).plan(memory.n_since_night)), None, 0, probe
    n_items, n_stored = learner.wake_items, len(buffer) - buffer.n_held_out
    share = None if network.split is None else _measure_share(network, memory.carrier.variables)
    if share is None:
        budget.say("Network(split=None) does not say where its top begins")
    found = budget.plan_night(n_items=n_items, n_stored=n_stored, share=share)
    if not found.n_shallow and share is not None:
        share, found = None, budget.plan_night(n_items=n_items, n_stored=n_stored, share=None)
    probe = replace(probe, n_items=min(probe.n_items, found.n_probed))
    if share is None:
        learner.n_refreshed = found.n_memories if found.n_full else 0
        return found.n_full, None, 0, probe
    shallow = Shallow(found.n_full, Top(memory, share), found.n_memories)  # type: ignore[arg-type]
    return found.n_full, shallow, found.n_shallow, probe


def _measure_share(network: Network, variables: Any) -> float:
    """Share of the top in a pass: as it was said, else that of its kernels."""
    split = network.get_split()
    if split.share is not None:
        return split.share
    leaves = [pair for pair in jax.tree_util.tree_leaves_with_path(unpack(variables)[0]) if pair[1].ndim > 1]
    top = sum(leaf.size for path, leaf in leaves if network.is_top(name_path(path)))
    return top / max(sum(leaf.size for _, leaf in leaves), 1)


def _check(recipe: Recipe) -> Recipe:
    """A recipe that nights in JAX can follow."""
    nrem = recipe.nrem
    wrong = [] if recipe.rem is None or isinstance(recipe.rem, REM) else [f"rem={type(recipe.rem).__name__}"]
    wrong += [] if isinstance(nrem, NREM) and not nrem.check else ["nrem"]
    wrong += ["probe.held_out as a function of a module"] if callable(recipe.probe.held_out) else []
    if wrong:
        raise SharpwaveError(
            "a recipe of wake, NREM(check=False), REM, homeostasis, protection, steering and a probe of items, in JAX",
            got=f"one with {', '.join(wrong)}, which ask for a module of torch",
            fix="leave these out, or let the network sleep in PyTorch",
        )
    return recipe
