"""Networks of channels: what the whole shares, how far its groups keep to themselves, and which groups there are.

Modularity is that of Newman & Girvan 2004, doi:10.1103/PhysRevE.69.026113; groups by Leiden (Traag, Waltman & van Eck
2019, doi:10.1038/s41598-019-41695-z) or Louvain (Blondel et al. 2008; the default), from scikit-network.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError

N_FOLDS = 5
SHRINKAGE = np.array([0.0, 0.003, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0])
"""Weights of the identity that are tried."""


def compute_integration(signals: Float[np.ndarray, "time channel"], *, shrinkage: float | None = None) -> float:
    """Information that channels share beyond what each holds alone, in nats per channel.

    Total correlation of Gaussian signals, `-½ log det C / N` with `C` their correlations (Tononi, Sporns & Edelman
    1994, doi:10.1073/pnas.91.11.5033). 0 where channels are independent.

    With few samples the determinant of plain correlations is far too small. So several `C` are tried: correlations
    shrunk towards none and towards one common correlation, and few factors. The best on stretches of time that it was
    not computed from is taken, and what it gains there over independent channels is the integration. Where the truth is
    richer than the samples can show this is a lower bound.

    Args:
        signals: Signals, time first.
        shrinkage: Weight of the identity in `C`, whose determinant is then taken as it is; None, the default, chooses
            by cross-validation.

    Raises:
        SharpwaveError: If there is one channel only, or one does not vary, or there are fewer than 10 samples.

    >>> rng = np.random.default_rng(0)
    >>> compute_integration(rng.normal(size=(30, 94))) < 0.02
    True
    """
    signals = np.asarray(signals, dtype=float)
    if signals.ndim != 2 or signals.shape[1] < 2 or len(signals) < 2 * N_FOLDS or not (signals.std(axis=0) > 0).all():
        raise SharpwaveError(
            f"signals (time, channel) of at least two channels that vary, and {2 * N_FOLDS} samples",
            got=f"shape {signals.shape}{_name_flat(signals)}",
            fix="leave constant channels out",
        )
    n = signals.shape[1]
    if shrinkage is not None:
        correlations = (1 - shrinkage) * np.corrcoef(signals.T) + shrinkage * np.eye(n)
        return float(-np.linalg.slogdet(correlations)[1] / (2 * n))
    gains = []
    for held in np.array_split(np.arange(len(signals)), N_FOLDS):
        known = np.delete(signals, held, axis=0)
        spread = known.std(axis=0)
        scale = np.where(spread > 0, spread, signals.std(axis=0))
        known, seen = ((part - known.mean(axis=0)) / scale for part in (known, signals[held]))
        fits = _fit_correlations(known.T @ known / len(known), seen, n_samples=len(known))
        gains.append(np.concatenate(list(fits), axis=1) + (seen**2).sum(axis=1, keepdims=True) / 2)
    mean = np.concatenate(gains).mean(axis=0)
    return max(0.0, float(mean.max() / n))


def _name_flat(signals: np.ndarray) -> str:
    flat = np.flatnonzero(~(signals.std(axis=0) > 0)).tolist() if signals.ndim == 2 else []
    return f", channels {flat} do not vary" if flat else ""


def _fit_correlations(
    correlations: Float[np.ndarray, "channel channel"], seen: Float[np.ndarray, "time channel"], *, n_samples: int
) -> Iterator[Float[np.ndarray, "time model"]]:
    """Log-likelihood of samples, but for a constant, under each way to fit correlations; very low where it is none."""
    n = len(correlations)
    powers, vectors = np.linalg.eigh(correlations)
    powers = np.clip(powers, 0.0, None)
    shrunk = (1 - SHRINKAGE)[:, None] * powers + SHRINKAGE[:, None]
    usable = shrunk.min(axis=1) > 1e-6
    safe = np.where(usable[:, None], shrunk, 1.0)
    fitted = -(((seen @ vectors) ** 2) @ (1 / safe).T + np.log(safe).sum(axis=1)) / 2
    yield np.where(usable, fitted, IMPOSSIBLE)
    common = float(np.clip((correlations.sum() - n) / (n * (n - 1)), 0.0, 0.99))
    target = (1 - common) * np.eye(n) + common
    models = [(1 - weight) * correlations + weight * target for weight in (1.0, 0.9, 0.8, 0.65, 0.5, 0.3, 0.15)]
    for n_factors in (1, 2, 3, 4, 6):
        if n_factors >= min(n - 1, n_samples - 2):
            break
        excess = np.clip(powers[-n_factors:] - powers[:-n_factors].mean(), 0.0, None)
        shared = (vectors[:, -n_factors:] * excess) @ vectors[:, -n_factors:].T
        for weight in (1.0, 0.8, 0.6, 0.4):
            model = min(weight, 0.98 / max(float(np.diag(shared).max()), 1e-9)) * shared
            np.fill_diagonal(model, 1.0)
            models.append(model)
    for model in models:
        yield _compute_likelihood(model, seen)[:, None]


IMPOSSIBLE = -1e9
"""Log-likelihood under correlations that are not positive definite."""


def _compute_likelihood(
    model: Float[np.ndarray, "channel channel"], seen: Float[np.ndarray, "time channel"]
) -> Float[np.ndarray, " time"]:
    from scipy.linalg import solve_triangular

    try:
        root = np.linalg.cholesky(model)
    except np.linalg.LinAlgError:
        return np.full(len(seen), IMPOSSIBLE)
    whitened = solve_triangular(root, seen.T, lower=True)
    return -(whitened**2).sum(axis=0) / 2 - np.log(np.diag(root)).sum()


def compute_participation(
    weights: Float[np.ndarray, "node node"], groups: Int[np.ndarray, " node"]
) -> Float[np.ndarray, " node"]:
    """How evenly a node's weight is spread over groups: 0 all in one, up to 1 (Guimerà & Amaral 2005).

    `P_i = 1 - Σ_g (k_ig / k_i)²`, doi:10.1038/nature03288. NaN for a node without edges.

    Args:
        weights: Weight of each pair of nodes, symmetric and not negative.
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
        weights: Weight of each pair of nodes, symmetric and not negative.
        groups: Group of each node.
    """
    weights = np.asarray(weights, dtype=float)
    same = np.asarray(groups)[:, None] == np.asarray(groups)[None, :]
    pairs = np.triu_indices(len(weights), 1)
    within, between = weights[pairs][same[pairs]], weights[pairs][~same[pairs]]
    if not within.size or not between.size or not within.mean() > 0:
        return float("nan")
    return float((within.mean() - between.mean()) / within.mean())


@dataclass(frozen=True, eq=False)
class Modularity:
    """The best division found.

    Attributes:
        value: Q: the share of weight within groups minus what the degrees alone give.
        groups: Group of each node, shape (node,).
        n_groups: Number of groups.
    """

    value: float
    groups: Int[np.ndarray, " node"]
    n_groups: int


def compute_connectivity(
    signals: Float[np.ndarray, "time channel"], *, density: float | None = None
) -> Float[np.ndarray, "channel channel"]:
    """Correlations of channels as weights: negative ones and the diagonal are 0.

    Args:
        signals: Signals, time first.
        density: Keep this share of pairs, the strongest, so that graphs of different states have as many edges (a
            state in which everything correlates is otherwise less modular by that alone); None keeps all.

    Raises:
        SharpwaveError: If there are fewer than three channels or too few samples.
    """
    signals = np.asarray(signals, dtype=float)
    if signals.ndim != 2 or signals.shape[1] < 3 or signals.shape[0] < 3:
        raise SharpwaveError(
            "signals (time, channel) with at least 3 channels and 3 samples",
            got=f"shape {signals.shape}",
            fix="connectivity needs several channels; for one channel see sharpwave.resilience.entropy",
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.nan_to_num(np.corrcoef(signals.T))
    weights = (weights + weights.T) / 2
    np.fill_diagonal(weights, 0.0)
    weights = np.clip(weights, 0.0, None)
    if density is not None:
        upper = weights[np.triu_indices(len(weights), 1)]
        kept = max(1, round(density * upper.size))
        weights = np.where(weights >= np.sort(upper)[-kept], weights, 0.0)
    return weights


def compute_modularity(
    weights: Float[np.ndarray, "node node"],
    *,
    rng: np.random.Generator,
    method: Literal["leiden", "louvain"] = "louvain",
    resolution: float = 1.0,
    n_repeats: int = 10,
) -> Modularity:
    """The highest modularity that several runs of a greedy search find.

    Args:
        weights: Symmetric, not negative, diagonal 0.
        rng: Source of the order in which nodes are visited.
        method: Search for groups: "louvain", the default, or "leiden", which ignores `rng` where groups are weak.
        resolution: Above 1 finds more and smaller groups.
        n_repeats: Runs, of which the best is kept.

    Raises:
        SharpwaveError: If the weights are not those of an undirected graph with at least one edge.
    """
    from scipy.sparse import csr_matrix
    from sknetwork.clustering import Leiden, Louvain, get_modularity

    weights = np.asarray(weights, dtype=float)
    square = weights.ndim == 2 and weights.shape[0] == weights.shape[1]
    if not square or not np.allclose(weights, weights.T) or weights.min() < 0 or not weights.any():
        raise SharpwaveError(
            "symmetric weights that are not negative and not all 0",
            got=f"shape {weights.shape}",
            fix="use compute_connectivity, or symmetrise the matrix and clip it at 0",
        )
    graph = csr_matrix(weights)
    search = {"leiden": Leiden, "louvain": Louvain}[method]
    best = Modularity(-np.inf, np.zeros(len(weights), dtype=int), 0)
    for seed in rng.integers(0, 2**31 - 1, size=n_repeats).tolist():
        found = search(resolution=resolution, shuffle_nodes=True, random_state=seed).fit_predict(graph)
        value = float(get_modularity(graph, found, resolution=resolution))
        if value > best.value:
            best = Modularity(value, np.asarray(found, dtype=int), len(np.unique(found)))
    return best
