"""Two days and two nights of the same network in PyTorch and in JAX, from the same draws."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import jax
import numpy as np
import optax
import torch

from sharpwave.benchmarks.jax.networks import PAIRS, Pair, list_weights
from sharpwave.consolidation import Recipe, ReplayBuffer, Sleep, SleepReport
from sharpwave.integrations.jax import Memory, night, wake_step

RATE = 0.02


def compare_weights(
    name: str,
    *,
    recipe: Recipe | None = None,
    double: bool = True,
    budget: float | None = None,
    days: int = 2,
    steps: int = 25,
    batch: int = 8,
    capacity: int = 40,
    seed: int = 0,
    adam: bool = False,
) -> dict[str, float]:
    """How far apart the weights of both are in the end, and how far they have moved.

    Args:
        name: Key of `PAIRS`.
        recipe: What wake and nights are made of; `Recipe()` where omitted.
        double: Whether values have 64 bits; default true.
        budget: What replay and nights may cost; None, the default, for any.
        days: Number of days with a night each, a task each; default 2.
        steps: Number of steps of a day; default 25.
        batch: Number of new items of a step; the last of a day has five fewer.
        capacity: Number of items of the buffer.
        seed: Seed of weights and items.
        adam: Whether the optimiser is Adam; SGD with momentum otherwise.

    Returns:
        `difference`, the largest between any two weights, `moved`, by how much the weight that moved most did, and
        `kept`, the share of nights that were kept (in both, or the difference is infinite).
    """
    with jax.enable_x64(True) if double else nullcontext():
        pair = PAIRS[name](torch.float64 if double else torch.float32, seed=seed)
        start = [mine.copy() for mine, _ in list_weights(pair, pair.params)]
        reports, params = _live(pair, recipe or Recipe(), budget, days, steps, batch, capacity, seed, adam)
        weights = list_weights(pair, params)
    alike = all(first.committed == second.committed for first, second in reports)
    return {
        "difference": max(float(np.abs(a - b).max()) for a, b in weights) if alike else np.inf,
        "moved": max(float(np.abs(a - b).max()) for (a, _), b in zip(weights, start, strict=True)),
        "kept": float(np.mean([first.committed for first, _ in reports])),
    }


def _live(
    pair: Pair,
    recipe: Recipe,
    budget: float | None,
    days: int,
    steps: int,
    batch: int,
    capacity: int,
    seed: int,
    adam: bool,
) -> tuple[list[tuple[SleepReport, SleepReport]], Any]:
    buffers = [ReplayBuffer(capacity, generator=torch.Generator().manual_seed(seed)) for _ in range(2)]
    parameters, tx = pair.module.parameters(), optax.adam(RATE) if adam else optax.sgd(RATE, momentum=0.9)
    make: Any = torch.optim.Adam if adam else torch.optim.SGD
    optimiser = make(parameters, lr=RATE, **({} if adam else {"momentum": 0.9}))
    generator = torch.Generator().manual_seed(seed)
    sleep = Sleep(pair.module, buffers[0], optimiser, recipe=recipe, generator=generator, budget=budget)
    memory = Memory(buffers[1], key=seed, budget=budget)
    items = torch.Generator().manual_seed(seed + 1)
    params, reports = pair.params, []
    state = tx.init(params.params if hasattr(params, "params") else params)
    for task in range(days):
        for number in range(steps):
            new = pair.draw(items, batch - 5 * (number + 1 == steps), task)
            optimiser.zero_grad()
            sleep.wake(dict(new), task=task).backward()
            optimiser.step()
            params, state, _ = wake_step(
                params, state, memory, new, tx=tx, apply=pair.network, plan=recipe, task=task, rate=RATE
            )
        if sleep.budget is not None:  # the passes that look for the top, which JAX is told, are no part of the night
            sleep.budget._find_top(sleep.learner)
        params, state, report = night(params, state, memory, tx, recipe, apply=pair.network, rate=RATE)
        reports.append((sleep.night(), report))
    return reports, params
