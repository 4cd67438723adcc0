"""What a network in JAX remembers between steps and nights: the same buffer, schedule, day and files as in PyTorch."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.consolidation.budget import Budget
from sharpwave.consolidation.buffer import ReplayBuffer
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.protection import Guard, Protection
from sharpwave.consolidation.recipe import Recipe
from sharpwave.consolidation.schedule import Day, FixedRatio, Schedule, add_stage, expand_stages
from sharpwave.consolidation.sleep_report import WAKE, make_hypnogram
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.consolidation.wake import Wake, WakeStep, store_new
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.jax.carrier import Carrier, make_objective
from sharpwave.integrations.jax.network import (
    Network,
    as_network,
    to_arrays,
    to_tensor,
)
from sharpwave.recordings.hypnogram import Hypnogram

STATISTICS = nn.BatchNorm1d(1)
"""Stands for a network that takes statistics, where a budget asks whether it does."""


class Memory:
    """What is kept beside params and the state of the optimiser: stored items, the day, when to sleep, what was spent.

    It is changed by `wake_step` and `night`, as a buffer is by what it stores; params and states never are.

    Args:
        buffer: Replay buffer, as in PyTorch.
        key: Seed of all that is drawn: a number, a key of `jax.random`, or a generator of torch; default 0.
        schedule: When to sleep, and for how long; `FixedRatio()` where omitted.
        budget: What replay and nights may cost, as a share of plain training, or a `Budget`; None, the default, for
            what is most accurate.

    Example:
        >>> memory = Memory(ReplayBuffer(8), budget=0.15)
        >>> memory.draw(4)
        {}
        >>> memory.buffer.add({"x": torch.eye(3), "y": torch.arange(3)})
        >>> memory.draw(2)["x"].shape
        (2, 3)
    """

    def __init__(
        self,
        buffer: ReplayBuffer,
        *,
        key: Any = 0,
        schedule: Schedule | None = None,
        budget: Budget | float | None = None,
    ) -> None:
        self.schedule = schedule or FixedRatio()
        self.budget = Budget(budget) if isinstance(budget, int | float) else budget
        self.carrier = Carrier()
        self.learner = Learner(
            self.carrier,
            buffer,
            torch.optim.SGD([self.carrier.weights], lr=0.0),
            Objective(),
            make_generator(key),
        )
        self.guard: Guard | None = None
        self.phase: dict[str, Any] = {}
        self.n_calls = self.n_since_night = 0
        self.stages: list[list[int]] = []

    @property
    def buffer(self) -> ReplayBuffer:
        """The stored items."""
        buffer = self.learner.buffer
        assert buffer is not None
        return buffer

    @property
    def caution(self) -> float:
        """What rates are multiplied by."""
        return self.learner.caution

    @property
    def hypnogram(self) -> Hypnogram:
        """Wake and NREM of the run so far, a step each."""
        return make_hypnogram(expand_stages(self.stages))

    @property
    def is_due(self) -> bool:
        """Whether the schedule says that it is time to sleep; ask after each step."""
        return self.schedule.is_due(self.n_since_night)

    def draw(self, n_items: int, *, balanced: bool = False) -> dict[str, Any]:
        """Stored items as arrays; an empty dictionary where there are none yet.

        Args:
            n_items: Number of items; all there are, where there are fewer and `balanced` is not asked for.
            balanced: Whether there are as many of each class; default false.
        """
        if len(self.buffer) <= self.buffer.n_held_out:
            return {}
        return to_arrays(self.buffer.sample(n_items, generator=self.learner.generator, balanced=balanced))

    def transform(self, batch: Mapping[str, Any]) -> Mapping[str, Any]:
        """A batch as it is learned from: after the buffer's `transform`, where it has one.

        Args:
            batch: New items: a dictionary of arrays.
        """
        transform = self.buffer.transform
        return batch if transform is None else transform(to_tensors(batch))

    def draw_beside(self, batch: Mapping[str, Any], wake: Wake, *, apart: bool) -> tuple[list[dict[str, Any]], float]:
        """What is replayed beside new items, and the weight of these.

        Args:
            batch: New items.
            wake: How the network learns while awake.
            apart: Whether new and replayed items pass by themselves.
        """
        n_new, n_typical = len(jax.tree.leaves(dict(batch))[0]), self.learner.day.n_typical
        n_replay = None
        if self.budget is not None:
            n_replay = self.budget.plan_replay(n_new, STATISTICS if apart else None)
        if wake.method == "none" or n_replay == 0:
            return [], 1.0
        drawn = [self.draw(n_replay or wake.n_replay or max(n_new, n_typical)) for _ in range(wake.n_draws)]
        return [each for each in drawn if each], min(1.0, n_new / max(n_typical, 1))

    def take_in(
        self, batch: Mapping[str, Any], step: Any, plan: Recipe, *, task: int | None, rate: float, n_replayed: int
    ) -> None:
        """Store new items, and count the step.

        Args:
            batch: New items, as they were learned from.
            step: What their step gave (`Taken`).
            plan: What wake and nights are made of, which says whether logits are kept.
            task: Number of the task, stored where given.
            rate: Learning rate of the step; NaN where it is not known.
            n_replayed: Number of items that were replayed beside them.
        """
        began, learner, tensors = time.perf_counter(), self.learner, to_tensors(batch)
        done = WakeStep(torch.tensor(step.loss), to_tensor(step.logits), to_tensor(step.losses), n_replayed)
        distils = getattr(plan.nrem, "distillation", 0) > 0
        with_logits = plan.wake.method == "der++" or distils or self.schedule.measure_every > 0
        store_new(tensors, done, self.buffer, learner.objective, with_logits=with_logits, task=task)
        n_new = len(step.losses)
        planned = plan.wake.count_items(n_new) if self.budget is None else n_new
        learner.day.see(n_new, n_replayed, planned, [rate], batch=tensors)
        if self.budget is not None:
            self.budget.replayed += n_replayed
        self.n_calls += 1
        self.n_since_night += 1
        add_stage(self.stages, WAKE)
        kept = time.perf_counter() - began
        learner.day.seconds, learner.day.kept_seconds = learner.day.seconds + kept, learner.day.kept_seconds + kept

    def find_rate(self, opt_state: Any, rate: float | Callable[[Any], Any] | None) -> float:
        """The learning rate of the next step; NaN where nothing says it.

        Args:
            opt_state: State of an optax transformation.
            rate: A number; a schedule, of the number of steps in the state; or None, for what the state says.
        """
        if isinstance(rate, int | float):
            return float(rate)
        if callable(rate):
            counts = [np.asarray(leaf) for name, leaf in _list_named(opt_state) if name == "count"]
            return float(rate(int(counts[-1]) if counts else self.n_calls))
        found = [leaf for name, leaf in _list_named(opt_state) if name == "learning_rate"]
        return float(found[0]) if found else math.nan

    def bind(self, apply: Network | Callable[..., Any], variables: Any) -> Network:
        """Let the network be scored as it is now.

        Args:
            apply: The network, or its function.
            variables: Parameters, or `Variables`.
        """
        network = as_network(apply)
        if self.carrier.network is None or self.carrier.network != network:
            self.learner.objective = make_objective(network, label=self.buffer.label)
        self.carrier.network, self.carrier.variables = network, variables
        with torch.no_grad():
            self.carrier.weights.zero_()
        return network

    def end_day(self) -> None:
        """A night is over: the next day begins."""
        if self.budget is not None:
            self.budget.slept += self.learner.n_passes
        self.n_since_night, self.learner.day, self.learner.memories = 0, Day(), None

    def state_dict(self) -> dict[str, Any]:
        """Everything but params and the state of the optimiser, as a `Sleep` of PyTorch has it and can take it up."""
        phase = {name: value for name, value in self.phase.items() if name != "decoder"}
        blank: dict[str, Any] = {"head": "", "noise": {}, "decoder": None, "counts": {}, "replayed": [], "classes": []}
        return {
            "buffer": self.buffer.state_dict(),
            "generator": self.learner.generator.get_state(),
            "schedule": self.schedule.state_dict(),
            "budget": None if self.budget is None else self.budget.state_dict(),
            "counts": [self.n_calls, self.n_since_night, self.n_since_night, 0],
            "runs": [list(run) for run in self.stages],
            "phases": {1: blank | phase},
            "decoder": self.phase.get("decoder"),
            "guard": None if self.guard is None else self.guard.state_dict(),
            **dict.fromkeys(("optimiser", "stability", "night")),
            **self.learner.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave, here or in a `Sleep` that is awake.

        Args:
            state: Tensors, numbers and lists, as `load_state` reads them too.

        Raises:
            SharpwaveError: If the `Sleep` was asleep.
        """
        if state.get("night") is not None:
            raise SharpwaveError(
                "the state of a network that is awake", got="one in the middle of a night", fix="end it with wake_up()"
            )
        self.buffer.load_state_dict(state["buffer"])
        self.schedule.load_state_dict(state["schedule"])
        if self.budget is not None:
            self.budget.load_state_dict(state.get("budget"))
        self.guard = None
        if state.get("guard") is not None:
            self.guard = Guard(Protection())
            self.guard.load_state_dict(state["guard"])
        self.n_calls, self.n_since_night = state["counts"][:2]
        self.stages = [list(run) for run in state["runs"]]
        phase = dict(state["phases"].get(1, {}))
        self.phase = {**phase, "decoder": state.get("decoder")} if phase else {}
        self.learner.load_state_dict(state)
        self.learner.generator.set_state(state["generator"])


def find_night_rate(memory: Memory, wanted: float | None, rate: Any, *, name: str) -> tuple[float, float]:
    """The rate of a step of a night, and what `tx` has to be multiplied by so that it is that.

    Args:
        memory: Memory of the network, whose carrier holds the state of `tx`.
        wanted: Rate that the phase asks for; that of the day where it is None.
        rate: Learning rate of `tx`, as for `night`.
        name: Name of the phase's options, for the error.
    """
    now, day = memory.find_rate(memory.carrier.opt_state, rate), memory.learner.rates
    if math.isnan(now) and wanted is not None:
        raise SharpwaveError(
            f"the learning rate of tx, for {name}(rate=...)",
            got="a transformation that does not tell it",
            fix="give night(..., rate=0.1), or make tx with optax.inject_hyperparams",
        )
    wanted = wanted if wanted is not None else day[0] if day else now
    return (now, 1.0) if math.isnan(wanted) or not now > 0 else (wanted, wanted / now)


def make_generator(key: Any) -> torch.Generator:
    """A generator of torch, whose draws PyTorch's nights make too.

    Args:
        key: A number, a key of `jax.random`, or such a generator, which is given back.
    """
    if isinstance(key, torch.Generator):
        return key
    if isinstance(key, jax.Array):
        words = _open_key(key)
        key = np.random.SeedSequence(np.asarray(words, dtype=np.uint32).tolist()).generate_state(1)[0]
    return torch.Generator().manual_seed(int(key))


def to_tensors(batch: Mapping[str, Any]) -> Batch:
    """A batch of arrays as one of tensors."""
    return {
        name: to_tensors(value)
        if isinstance(value, Mapping)
        else value
        if isinstance(value, Tensor)
        else to_tensor(value)
        for name, value in batch.items()
    }


def _list_named(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of a tree, by the last part of their paths."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return [(str(getattr(path[-1], "name", getattr(path[-1], "key", ""))), leaf) for path, leaf in leaves if path]


def save_tree(tree: Any, folder: str | Path) -> Path:
    """Write a pytree of arrays (params, `Variables`, a state of optax) as safetensors and JSON; nothing is pickled.

    Args:
        tree: The pytree.
        folder: Folder to write into.

    Returns:
        The folder.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     load_tree({"w": np.zeros(2)}, save_tree({"w": np.ones(2)}, folder))
        {'w': Array([1., 1.], dtype=float32)}
    """
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return save_state({jax.tree_util.keystr(path): to_tensor(_open_key(leaf)) for path, leaf in leaves}, folder)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _open_key(leaf: Any) -> Any:
    """The words of a key of `jax.random`; any other array as it is."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def load_tree(like: Any, folder: str | Path) -> Any:
    """What `save_tree` wrote, in the structure of another tree.

    Args:
        like: A tree of the same structure and shapes, such as `tx.init(params)`.
        folder: The folder.

    Raises:
        SharpwaveError: If names or shapes differ.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     _ = save_tree({"w": np.ones(2)}, folder)
    ...     load_tree({"w": np.zeros(2)}, folder)["w"].tolist()
    [1.0, 1.0]
    """
    known = load_state(folder)
    leaves, shape = jax.tree_util.tree_flatten_with_path(like)
    shapes = {jax.tree_util.keystr(path): np.shape(_open_key(leaf)) for path, leaf in leaves}
    wrong = [name for name in shapes if name not in known or tuple(known[name].shape) != shapes[name]]
    if wrong or len(known) != len(shapes):
        raise SharpwaveError(
            f"a tree of {len(shapes)} arrays with the names and shapes of the one that was written",
            got=f"{len(known)} in {Path(folder).name}, {', '.join(wrong[:3]) or 'others'} not alike",
            fix="make `like` as the network and the transformation were made when it was written",
        )
    arrays = [jax.numpy.asarray(known[name].numpy()) for name in shapes]
    keys = [_is_key(leaf) for _, leaf in leaves]
    return jax.tree.unflatten(
        shape, [jax.random.wrap_key_data(a) if k else a for a, k in zip(arrays, keys, strict=True)]
    )
