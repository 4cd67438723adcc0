"""The learners by name, and sleep with each of its ingredients left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from sharpwave.benchmarks.language.adapters import LoRA, LoRASleep, OrthogonalLoRA, OrthogonalSubspaces
from sharpwave.benchmarks.language.learners import (
    BUDGET,
    DreamLearner,
    Finetune,
    Joint,
    Learner,
    LearningWithoutForgetting,
    OnlineEWC,
    Replay,
    SleepLearner,
)
from sharpwave.benchmarks.language.networks import Network
from sharpwave.consolidation import NREM, Wake
from sharpwave.consolidation.budget import Budget
from sharpwave.consolidation.probe import Probe
from sharpwave.errors import SharpwaveError


def _keep_all_nights() -> dict[str, Any]:
    return {"probe": Probe(tolerance=1e9)}


ABLATIONS: dict[str, Callable[..., Learner]] = {
    "sleep, no nights": partial(SleepLearner, sleeps=False, changes=lambda: {"budget": Budget(BUDGET, night=0.0)}),
    "sleep, nights alone": partial(SleepLearner, changes=lambda: {"wake": Wake("none")}),
    "sleep, full steps": partial(SleepLearner, changes=lambda: {"budget": Budget(BUDGET, n_steps=1)}),
    "sleep, shorter nights": partial(SleepLearner, changes=lambda: {"budget": Budget(BUDGET, n_steps=40)}),
    "sleep, no distillation": partial(
        SleepLearner, changes=lambda: {"wake": replace(Wake(), distillation=0.0), "nrem": NREM(distillation=0.0)}
    ),
    "sleep, labels not replayed": partial(SleepLearner, changes=lambda: {"nrem": NREM(labels=0.0)}),
    "sleep, not balanced": partial(SleepLearner, changes=lambda: {"nrem": NREM(balanced=False)}),
    "sleep, rate not annealed": partial(SleepLearner, changes=lambda: {"nrem": NREM(anneal=False)}),
    "sleep, all nights kept": partial(SleepLearner, changes=_keep_all_nights),
}
"""Sleep within its budget, with one ingredient left out or changed; options are those of `sleep`."""


LEARNERS: dict[str, Callable[..., Learner]] = {
    "finetune": Finetune,
    "finetune, LoRA": LoRA,
    "joint": Joint,
    "replay 1 %": partial(Replay, share=0.01),
    "replay 5 %": partial(Replay, share=0.05),
    "replay 15 %": partial(Replay, share=0.15),
    "replay 100 %": partial(Replay, share=1.0),
    "der++": partial(SleepLearner, sleeps=False, budget=None, changes=lambda: {"wake": Wake("der++", draws=1)}),
    "ewc": OnlineEWC,
    "lwf": LearningWithoutForgetting,
    "o-lora": OrthogonalLoRA,
    "osf": OrthogonalSubspaces,
    "dreams": DreamLearner,
    "sleep": SleepLearner,
    "sleep, no budget": partial(SleepLearner, budget=None),
    "sleep, LoRA": LoRASleep,
    **ABLATIONS,
}
"""Each is called as `(network, setting, lr=…, head_lr=…, **options)`. `der++` is `sleep, no budget` without nights."""

OURS = ("sleep", "sleep, no budget", "sleep, LoRA", *ABLATIONS)
WITHIN_BUDGET = ("sleep", "sleep, LoRA", *ABLATIONS)
"""Learners that may take 1.15 times what fine-tuning takes."""
TUNED_AS = {
    "der++": "sleep",
    "sleep, no budget": "sleep",
    "sleep, LoRA": "finetune, LoRA",
    **dict.fromkeys(("joint", "replay 1 %", "replay 5 %", "replay 15 %", "replay 100 %", "ewc", "lwf"), "finetune"),
    "osf": "finetune",
    "o-lora": "finetune, LoRA",
    **dict.fromkeys(ABLATIONS, "sleep"),
}
"""Learners that take the options of another, which is like them awake."""


def list_methods(network: Network) -> list[str]:
    """Learners that can learn with a network: dreams are of words, adapters are put on what was pretrained.

    OSF of PEFT takes linear layers alone, which GPT-2 is not made of.
    """
    left_out = set() if network.kind == "words" else {"dreams"}
    if network.kind == "images":
        left_out |= {"finetune, LoRA", "o-lora", "osf", "sleep, LoRA"}
    kinds = {type(network.model.get_submodule(name)).__name__ for name in network.list_layers()}
    return [name for name in LEARNERS if name not in left_out | (set() if kinds == {"Linear"} else {"osf"})]


def check_methods(methods: Sequence[str] | None) -> None:
    """Raise where a method that is asked for is none."""
    unknown = [name for name in methods or () if name not in LEARNERS]
    if unknown:
        raise SharpwaveError(
            f"methods among {', '.join(LEARNERS)}", got="; ".join(unknown), fix="separate several by a semicolon"
        )
