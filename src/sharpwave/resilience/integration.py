"""Integration and segregation: how much the whole shares, and how far its groups keep to themselves."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError


def compute_integration(signals: Float[np.ndarray, "time channel"], *, shrinkage: float = 0.05) -> float:
    """Information that channels share beyond what each holds alone, in nats per channel.

    Total correlation of Gaussian signals, `-½ log det C / N` with `C` their correlations (Tononi, Sporns & Edelman
    1994, doi:10.1073/pnas.91.11.5033). 0 where channels are independent.

    Args:
        signals: Time first.
        shrinkage: Weight of the identity in `C`, so that few samples do not make it singular.

    Raises:
        SharpwaveError: If there is one channel only, or one does not vary.
    """
    signals = np.asarray(signals, dtype=float)
    if signals.ndim != 2 or signals.shape[1] < 2 or not (signals.std(axis=0) > 0).all():
        raise SharpwaveError(
            "signals (time, channel) of at least two channels that vary",
            got=f"shape {signals.shape}",
            fix="leave constant channels out",
        )
    n = signals.shape[1]
    correlations = (1 - shrinkage) * np.corrcoef(signals.T) + shrinkage * np.eye(n)
    return float(-np.linalg.slogdet(correlations)[1] / (2 * n))


def compute_participation(
    weights: Float[np.ndarray, "node node"], groups: Int[np.ndarray, " node"]
) -> Float[np.ndarray, " node"]:
    """How evenly a node's weight is spread over groups: 0 all in one, up to 1 (Guimerà & Amaral 2005).

    `P_i = 1 - Σ_g (k_ig / k_i)²`, doi:10.1038/nature03288. NaN for a node without edges.

    Args:
        weights: Symmetric, not negative.
        groups: Group of each node.
    """
    weights = np.asarray(weights, dtype=float)
    member = np.asarray(groups)[:, None] == np.unique(groups)
    total = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights @ member, total, out=np.full((len(weights), member.shape[1]), np.nan), where=total > 0)
    return 1 - (shares**2).sum(axis=1)


def compute_segregation(weights: Float[np.ndarray, "node node"], groups: Int[np.ndarray, " node"]) -> float:
    """Mean weight within groups minus mean weight between them, relative to within.

    System segregation (Chan et al. 2014, doi:10.1073/pnas.1415122111); NaN where all nodes are in one group.

    Args:
        weights: Symmetric, not negative.
        groups: Group of each node.
    """
    weights = np.asarray(weights, dtype=float)
    same = np.asarray(groups)[:, None] == np.asarray(groups)[None, :]
    pairs = np.triu_indices(len(weights), 1)
    within, between = weights[pairs][same[pairs]], weights[pairs][~same[pairs]]
    if not within.size or not between.size or not within.mean() > 0:
        return float("nan")
    return float((within.mean() - between.mean()) / within.mean())
