"""Sleeping in step: every process holds its share of the buffer, and all decide alike."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, distributed, nn


def is_shared() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def average(values: Iterable[float], device: torch.device) -> list[float]:
    """Mean over processes of each value."""
    values = list(values)
    if not is_shared():
        return values
    tensor = torch.tensor(values, dtype=torch.float32, device=device)
    distributed.all_reduce(tensor)
    return (tensor / distributed.get_world_size()).tolist()


def agree_any(flag: bool, device: torch.device) -> bool:
    """Whether it is so in any process."""
    return average([float(flag)], device)[0] > 0


def agree_first(value: int, device: torch.device) -> int:
    """The value of the first process."""
    if not is_shared():
        return value
    tensor = torch.tensor(value, dtype=torch.int64, device=device)
    distributed.broadcast(tensor, 0)
    return int(tensor)


@torch.no_grad()
def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Give every process the mean of each tensor, in place."""
    if is_shared():
        for tensor in tensors:
            distributed.all_reduce(tensor)
            tensor /= distributed.get_world_size()


@torch.no_grad()
def share_weights(model: nn.Module) -> None:
    """Give every process the first one's parameters and buffers."""
    if is_shared():
        for tensor in model.state_dict().values():
            distributed.broadcast(tensor, 0)


def unwrap(model: nn.Module) -> nn.Module:
    """The user's module within DistributedDataParallel or DataParallel."""
    inner = model.module if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) else model
    return cast(nn.Module, inner)
