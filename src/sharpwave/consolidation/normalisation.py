"""BatchNorm after sleep: running statistics of balanced memories, not of whatever came last."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from sharpwave.consolidation.distributed import average_tensors


def find_batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Layers in training that keep running statistics."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and module.training
    ]


@torch.no_grad()
def rebalance_batch_norms(model: nn.Module, run: Callable[[], object], *, n_batches: int = 8) -> None:
    """Take running means and variances anew, as plain averages over some passes.

    Args:
        model: In training mode; without BatchNorm nothing is done.
        run: One pass over a balanced batch.
        n_batches: Passes.
    """
    norms = find_batch_norms(model)
    if not norms:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        for _ in range(n_batches):
            run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    statistics = [value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None]
    average_tensors(statistics)
