"""Learners that train adapters by PEFT: LoRA, O-LoRA and OSF, and sleep on LoRA."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from sharpwave.benchmarks.language.learners import Finetune, Setting, SleepLearner
from sharpwave.benchmarks.language.networks import Network
from sharpwave.benchmarks.language.streams import Task
from sharpwave.consolidation.batches import Batch
from sharpwave.errors import MissingExtraError

RANK = 8
PRESERVED = (0.3, 0.7)
"""Share of the ranks that OSF holds: in the first task, and in the last."""


def import_peft() -> Any:
    """PEFT.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingExtraError("peft", extra="language") from error
    return peft


def add_lora(network: Network, layers: list[str], *, name: str = "default") -> None:
    """Put LoRA on some layers; heads stay trained, and all else is frozen."""
    peft = import_peft()
    config = peft.LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules=layers)
    peft.inject_adapter_in_model(config, network.model, name)
    free_heads(network)


def free_heads(network: Network) -> None:
    """Let the heads be trained."""
    for name in network.heads:
        network.model.get_submodule(name).requires_grad_(True)


class LoRA(Finetune):
    """Fine-tuning of LoRA (Hu et al. 2022), rank 8 on every trained layer, and of the heads."""

    def adapt(self) -> None:
        add_lora(self.network, self.network.list_layers())


class LoRASleep(SleepLearner):
    """Sleep whose network trains LoRA and the heads alone."""

    def adapt(self) -> None:
        add_lora(self.network, self.network.list_layers())


class OrthogonalLoRA(Finetune):
    """O-LoRA: a LoRA for each task, orthogonal to those before it, which stay (Wang et al. 2023, arXiv:2310.14152).

    Args:
        network: The network.
        setting: What is equal for all.
        strength: Weight of what the new one shares with those before.
        rates: As for `Learner`.
    """

    def __init__(self, network: Network, setting: Setting, *, strength: float = 0.5, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        self.strength = strength

    def adapt(self) -> None:
        self.layers = self.network.list_layers()

    def begin_task(self, index: int) -> None:
        super().begin_task(index)
        add_lora(self.network, self.layers, name=f"task{index}")
        names = [f"task{number}" for number in range(index + 1)]
        self.parts = [m for m in self.model.modules() if isinstance(getattr(m, "lora_A", None), nn.ModuleDict)]
        for part in self.parts:
            part.set_adapter(names)  # type: ignore[operator]
            for name in names:
                for kind in ("lora_A", "lora_B"):
                    getattr(part, kind)[name].requires_grad_(name == names[-1])
        free_heads(self.network)
        self.network.meter.watch(self.model)
        self.optimiser = self.make_optimiser()

    def observe(self, batch: Batch, index: int) -> None:
        loss = self.compute_loss(batch)
        shared: list[Tensor] = []
        for part in self.parts if index else ():
            ways: Any = part.lora_A
            new = ways[f"task{index}"].weight
            shared += [(ways[f"task{number}"].weight @ new.T).abs().sum() for number in range(index)]
        self.update(loss + self.strength * torch.stack(shared).sum() if shared else loss)


class OrthogonalSubspaces(Finetune):
    """OSF of PEFT: steps leave the strongest directions of each weight alone, more of them with each task.

    The share that is held rises from .3 to .7; after each task the weight is put together and taken apart anew.
    """

    def adapt(self) -> None:
        self.layers = self.network.list_layers()

    def begin_task(self, index: int) -> None:
        super().begin_task(index)
        peft = import_peft()
        first, last = PRESERVED
        share = first + (last - first) * index / max(self.setting.n_tasks - 1, 1)
        config = peft.OSFConfig(effective_rank=share, target_modules=self.layers)
        peft.inject_adapter_in_model(config, self.model, "default")
        free_heads(self.network)
        self.counted = [self._count(m) for m in self.model.modules() if hasattr(m, "osf_svd_params")]
        self.optimiser = self.make_optimiser()

    def _count(self, module: nn.Module) -> Any:
        """Count the layer as the plain one; what its parts cost beside that shows in the seconds."""
        meter, weight = self.network.meter, module.get_base_layer().weight  # type: ignore[operator]

        def count(_: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            if meter.is_on:
                n_rows = inputs[0].numel() / inputs[0].shape[-1]
                meter.operations += n_rows * weight.numel() * (3 if torch.is_grad_enabled() else 1)

        return module.register_forward_hook(count)

    def end_task(self, task: Task, index: int) -> None:
        for name, module in list(self.model.named_modules()):
            if hasattr(module, "osf_svd_params"):
                module.merge()  # type: ignore[operator]
                parent, _, child = name.rpartition(".")
                setattr(self.model.get_submodule(parent), child, module.get_base_layer())  # type: ignore[operator]
