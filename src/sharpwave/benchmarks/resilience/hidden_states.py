"""Hidden states of a network over tokens, as a signal whose dynamics can be measured: a proxy, not a brain's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.errors import SharpwaveError


@torch.no_grad()
def record_hidden_states(model: nn.Module, inputs: Any, *, layer: str) -> Float[np.ndarray, "time unit"]:
    """What a layer gives for one sequence, token by token, for `sharpwave.resilience.card(states, rate=1.0)`.

    Args:
        model: Recurrent or attending network; put back into the mode it was in.
        inputs: What the model is called with: one sequence in its batch.
        layer: Name of a module in `named_modules`, whose output is (token, unit), (1, token, unit), or a tuple that
            begins with one of these, as recurrent layers give.

    Raises:
        SharpwaveError: If there is no such layer, or its output has no axis of tokens.
    """
    modules = dict(model.named_modules())
    if layer not in modules:
        raise SharpwaveError(
            f"a layer among {', '.join(name for name in modules if name)}", got=repr(layer), fix="choose one of these"
        )
    found: list[Tensor] = []

    def keep(module: nn.Module, arguments: Any, output: Any) -> None:
        found.append(output[0] if isinstance(output, tuple) else output)

    training = model.training
    hook = modules[layer].register_forward_hook(keep)
    try:
        model.eval()
        model(inputs)
    finally:
        hook.remove()
        model.train(training)
    states = found[-1]
    states = states[0] if states.ndim == 3 and len(states) == 1 else states
    if states.ndim != 2 or len(states) < 2:
        raise SharpwaveError(
            "hidden states (token, unit) of one sequence",
            got=f"shape {tuple(found[-1].shape)}",
            fix="give one sequence at a time, with the batch first",
        )
    return states.float().cpu().numpy().astype(np.float64)
