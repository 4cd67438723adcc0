"""Which devices train, and how they share the work: one, DDP (a copy each), or FSDP (a shard each).

Tensors that are sharded over devices are made whole to be written, and taken apart again; others pass unchanged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpwave.errors import MissingExtraError, SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


STRATEGIES = ("auto", "ddp", "fsdp")


def make_fabric(
    *,
    devices: int | str = "auto",
    strategy: str = "auto",
    precision: str = "32-true",
    nodes: int = 1,
    accelerator: str = "auto",
) -> Fabric:
    """Lightning Fabric, launched.

    Args:
        devices: Number per node; "auto" for all graphics cards, or one processor.
        strategy: "ddp" copies the model to each device; "fsdp" shards weights, gradients and moments over all.
        precision: "32-true" or "bf16-mixed".
        nodes: Machines.
        accelerator: "cpu", "cuda", or "auto".

    Raises:
        SharpwaveError: If there is no such strategy.
        MissingExtraError: If lightning-fabric is not installed.
    """
    if strategy not in STRATEGIES:
        raise SharpwaveError(f"a strategy among {', '.join(STRATEGIES)}", got=repr(strategy), fix="choose one of these")
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import ModelParallelStrategy
    except ImportError as error:
        raise MissingExtraError("lightning-fabric", extra="brain") from error
    chosen: Any = strategy
    if strategy == "fsdp":
        chosen = ModelParallelStrategy(shard, data_parallel_size=_count(devices) * nodes, tensor_parallel_size=1)
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=chosen, precision=precision, num_nodes=nodes)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Shard each block of attention, then the rest (FSDP2, Zhao et al. 2023): a block is whole only while it works."""
    from torch.distributed.fsdp import fully_shard

    from sharpwave.brainmu.attention import Block

    mesh = mesh["data_parallel"]
    for part in module.modules():
        if isinstance(part, Block):
            fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def _count(devices: int | str) -> int:
    import torch

    return devices if isinstance(devices, int) else max(1, torch.cuda.device_count())


@torch.no_grad()
def gather_tensor(value: Tensor) -> Tensor:
    """The whole of a tensor, on the CPU and of its own; every process must call this."""
    if torch.distributed.is_initialized():
        from torch.distributed.tensor import DTensor

        value = value.full_tensor() if isinstance(value, DTensor) else value
    return value.detach().cpu().clone().contiguous()


@torch.no_grad()
def scatter_tensor(whole: Tensor, target: Tensor) -> None:
    """Write a whole tensor into one that may be sharded; every process must call this, with the same tensor.

    Raises:
        RuntimeError: If the shapes differ.
    """
    if whole.shape != target.shape:
        raise RuntimeError(f"shape {tuple(whole.shape)} where the model has {tuple(target.shape)}")
    whole = whole.to(target.device)
    if torch.distributed.is_initialized():
        from torch.distributed.tensor import DTensor, distribute_tensor

        if isinstance(target, DTensor):
            whole = distribute_tensor(whole, target.device_mesh, target.placements)
    target.copy_(whole)
