"""How far a network has moved from what it remembers: what sleep pressure is made of."""

from __future__ import annotations

import torch
from torch import Tensor

from sharpwave.consolidation.body import Body
from sharpwave.consolidation.distributed import average
from sharpwave.consolidation.modes import evaluating
from sharpwave.errors import SharpwaveError


@torch.no_grad()
def measure_strain(body: Body, *, n_items: int = 64) -> tuple[float, float]:
    """Drift and forgetting since the items' logits were stored, in evaluation mode.

    Args:
        body: The network.
        n_items: Items drawn from its buffer.

    Returns:
        Drift: mean squared change of the logits over their variance. Forgetting: mean rise of the loss in nats, falls
        counted as 0.

    Raises:
        SharpwaveError: If the buffer holds no logits.
    """
    items = body.draw(n_items, balanced=False)
    if "logits" not in items:
        raise SharpwaveError(
            "a buffer that holds logits, to measure drift and forgetting",
            got=f"entries {', '.join(items)}",
            fix="use wake method 'der++', or schedule=FixedRatio()",
        )
    with evaluating(body.model):
        now, then = body.forward(items).float(), items["logits"].float()
    drift = (now - then).square().mean() / then.var().clamp(min=torch.finfo(then.dtype).tiny)
    rise: Tensor = body.objective.loss(now, items) - body.objective.loss(then, items)
    drift_mean, forgetting = average([float(drift), float(rise.clamp(min=0).mean())], body.device)
    return drift_mean, forgetting
