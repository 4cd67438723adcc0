"""Seeds of a benchmark through an executor: the same numbers, some of them at the same time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sharpwave.errors import SharpwaveError
from sharpwave.executors import Executor, Finished

T = TypeVar("T")


@dataclass(frozen=True)
class _OnOneThread:
    """A function of a seed that computes on one thread, in whatever process: sums then come out alike."""

    function: Callable[..., Any]

    def __call__(self, seed: int) -> Any:
        torch = sys.modules.get("torch")
        if torch is None:
            return self.function(seed=seed)
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return self.function(seed=seed)
        finally:
            torch.set_num_threads(threads)


def run_seeds(function: Callable[..., T], seeds: int, on: Executor | None = None) -> list[T]:
    """What a function returns for each seed, in order.

    Args:
        function: Called with `seed=` alone; a function of a module, or a `partial` of one, since other processes must
            find it.
        seeds: Number of seeds.
        on: What runs them; one after another in this process where omitted.

    Raises:
        SharpwaveError: If a seed failed, by its number.

    >>> run_seeds(lambda seed: seed + 1, 3)
    [1, 2, 3]
    """
    if on is None:
        return [_OnOneThread(function)(seed) for seed in range(seeds)]
    found = {finished.index: finished for finished in on.run(_OnOneThread(function), range(seeds))}
    return take_values([found[seed] for seed in range(seeds)], [f"seed {seed}" for seed in range(seeds)])


def take_values(found: Sequence[Finished], names: Sequence[str]) -> list[Any]:
    """Values of tasks that are done.

    Args:
        found: What became of each.
        names: Names of the tasks.

    Raises:
        SharpwaveError: If one failed, by its name.

    >>> take_values([Finished(0, value=2), Finished(1, error="ValueError: no")], ["seed 0", "seed 1"])
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected a value of each part; got seed 1: ValueError: no. Fix: ...
    """
    failed = [f"{name}: {finished.error}" for finished, name in zip(found, names, strict=True) if finished.error]
    if failed:
        raise SharpwaveError("a value of each part", got="; ".join(failed), fix="run it without --jobs to see where")
    return [finished.value for finished in found]
