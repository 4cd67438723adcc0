"""Sleep in a loop of Lightning Fabric: one function, which gives `Sleep` what Fabric has set up.

    model, optimizer = fabric.setup(model, optimizer)
    sleep = make_sleep(fabric, model, ReplayBuffer(500), optimizer)
    for x, y in loader:
        optimizer.zero_grad()
        fabric.backward(sleep.wake({"x": x, "y": y}))
        optimizer.step()
    sleep.night()

In mixed precision Fabric wants every loss to go backward through itself, which nights do not: they take the network
within Fabric's wrapper, in the same precision. DistributedDataParallel stays around it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from sharpwave.consolidation import Sleep
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation import ReplayBuffer

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Precisions of Fabric in which passes are lower than the weights."""
WHOLE = ("32-true", "bf16-true", "16-true")
"""Precisions in which the wrapper is what has to be called: it turns inputs into the weights' type."""


def make_sleep(fabric: Any, model: nn.Module, buffer: ReplayBuffer | None, optimizer: Any, **options: Any) -> Sleep:
    """The `Sleep` of a model and an optimiser that Fabric has set up.

    Args:
        fabric: The `Fabric`, on one device or several with the strategy "ddp".
        model: What `fabric.setup` gave.
        buffer: Replay buffer; None for recipes that store nothing.
        optimizer: What `fabric.setup` gave, or a list of several.
        options: Options of `Sleep`; `autocast` and `scaler` are those of Fabric's precision where omitted.

    Raises:
        SharpwaveError: If the model was not set up by Fabric, or its precision is another.

    Example:
        >>> from lightning_fabric import Fabric
        >>> from sharpwave.consolidation import ReplayBuffer
        >>> fabric = Fabric(accelerator="cpu", precision="bf16-mixed")
        >>> network = nn.Linear(2, 2)
        >>> model, optimizer = fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.1))
        >>> sleep = make_sleep(fabric, model, ReplayBuffer(8), optimizer)
        >>> fabric.backward(sleep.wake({"x": torch.eye(2), "y": torch.arange(2)}))
        >>> sleep.night(1).committed
        True
    """
    inner = getattr(model, "_forward_module", None)
    if inner is None:
        raise SharpwaveError("a model from fabric.setup", got=type(model).__name__, fix="call fabric.setup first")
    plugin = fabric.strategy.precision
    precision = str(plugin.precision)
    parts = [getattr(each, "optimizer", each) for each in (optimizer if isinstance(optimizer, list) else [optimizer])]
    if precision in WHOLE:
        return Sleep(model, buffer, parts, **options)
    if precision not in MIXED:
        raise SharpwaveError(
            f"a precision among {', '.join((*WHOLE, *MIXED))}", got=precision, fix="choose one of these in Fabric"
        )
    lower = {"autocast": MIXED[precision], "scaler": getattr(plugin, "scaler", None)}
    return Sleep(inner, buffer, parts, **(lower | options))
