"""The recipe with one ingredient more, less or other, for a table of what each does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from torch import nn

from sharpwave.benchmarks.continual.learners.contract import Learner, Setting
from sharpwave.benchmarks.continual.learners.sleeper import Sleeper, make_wake
from sharpwave.consolidation import NREM, REM, Homeostasis, Protection

NIGHTS: dict[str, Callable[[NREM], dict[str, Any]]] = {
    "sleep": lambda nrem: {},
    "sleep, rate not annealed": lambda nrem: {"nrem": replace(nrem, anneal=False)},
    "sleep, classes not balanced": lambda nrem: {"nrem": replace(nrem, balanced=False)},
    "sleep, no distillation": lambda nrem: {"nrem": replace(nrem, distillation=0.0)},
    "sleep, no labels": lambda nrem: {"nrem": replace(nrem, labels=0.0)},
    "sleep, softened distillation": lambda nrem: {"nrem": replace(nrem, temperature=2.0)},
    "sleep, logits not refreshed": lambda nrem: {"nrem": replace(nrem, refresh="none")},
    "sleep, all logits refreshed": lambda nrem: {"nrem": replace(nrem, refresh="replayed")},
    "sleep + noise": lambda nrem: {"nrem": replace(nrem, noise=0.1)},
    "sleep + noise, no distillation": lambda nrem: {"nrem": replace(nrem, noise=0.1, distillation=0.0)},
    "sleep + slow oscillation": lambda nrem: {"nrem": replace(nrem, noise=0.1, oscillation=8)},
    "sleep + reconstruction": lambda nrem: {"nrem": replace(nrem, noise=0.1, reconstruction=1.0)},
    "sleep + dreams": lambda nrem: {"rem": REM(batch_size=nrem.batch_size)},
    "sleep + anchor": lambda nrem: {"protection": Protection(anchor=3.0)},
    "sleep + smaller steps where significant": lambda nrem: {"protection": Protection(step_size=0.3)},
    "sleep + prune 10 %": lambda nrem: {"homeostasis": Homeostasis(prune=0.1)},
    "sleep + prune 10 %, regrow": lambda nrem: {"homeostasis": Homeostasis(prune=0.1, regrow=1.0)},
    "sleep + strengthen 5 %": lambda nrem: {"homeostasis": Homeostasis(strengthen=0.05)},
    "sleep + downscale 2 %": lambda nrem: {"homeostasis": Homeostasis(downscale=0.02)},
}
"""Options of `Sleep` by name of the variant, from the recipe's NREM."""

AWAKE = ("er", "er-ace")
"""Other ways to learn while awake, with the same nights."""


def list_variants(options: dict[str, float]) -> dict[str, Callable[[nn.Module, Setting], Learner]]:
    """Learners by name, all with the tuned options of `sleep`.

    Args:
        options: Of `Sleeper`: lr, alpha, beta.
    """
    variants: dict[str, Callable[[nn.Module, Setting], Learner]] = {
        name: partial(_make, options=options, change=change) for name, change in NIGHTS.items()
    }
    for method in AWAKE:
        variants[f"sleep, {method} awake"] = partial(_make_awake, options=options, method=method)
    variants["no sleep"] = partial(Sleeper, sleeps=False, **options)  # type: ignore[arg-type]
    return variants


def _make(
    model: nn.Module, setting: Setting, *, options: dict[str, float], change: Callable[[NREM], dict[str, Any]]
) -> Sleeper:
    plain = Sleeper(model, setting, **options).sleep.recipe.nrem  # type: ignore[arg-type]
    assert isinstance(plain, NREM)
    return Sleeper(model, setting, **options, changes=change(plain))  # type: ignore[arg-type]


def _make_awake(model: nn.Module, setting: Setting, *, options: dict[str, float], method: str) -> Sleeper:
    changes = {"wake": make_wake(setting, method, replay=options["beta"])}
    return Sleeper(model, setting, **options, changes=changes)  # type: ignore[arg-type]
