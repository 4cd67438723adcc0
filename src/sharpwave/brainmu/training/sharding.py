"""Tensors that are sharded over devices, made whole and taken apart again; others pass unchanged."""

from __future__ import annotations

import torch
from torch import Tensor


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
