"""What the benchmarks count. Every metric takes weights per epoch, so that a bootstrap over subjects only re-weights.

Stages are codes (0 … n-1); epochs with a negative code on either side are left out by `compute_confusion`. A metric
that the data cannot define (no change at all, one class only) is NaN.

scikit-learn has these metrics too and is their oracle in the tests. A bootstrap calls them hundreds of times, and there
it takes 15 to 500 times as long.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

Codes = Int[np.ndarray, " epoch"]
Weights = Float[np.ndarray, " epoch"] | None


def compute_confusion(truth: Codes, found: Codes, *, n_stages: int, weights: Weights = None) -> np.ndarray:
    """Weight of epochs by true (row) and found (column) stage, shape (stage, stage)."""
    truth, found = np.asarray(truth), np.asarray(found)
    keep = (truth >= 0) & (found >= 0)
    cells = truth[keep].astype(int) * n_stages + found[keep].astype(int)
    counts = np.bincount(cells, weights=None if weights is None else weights[keep], minlength=n_stages**2)
    return counts.reshape(n_stages, n_stages).astype(float)


def compute_accuracy(confusion: np.ndarray) -> float:
    """Share of epochs on the diagonal."""
    return _ratio(np.trace(confusion), confusion.sum())


def compute_balanced_accuracy(confusion: np.ndarray) -> float:
    """Mean recall over the classes that occur in the truth."""
    support = confusion.sum(axis=1)
    present = support > 0
    return float((np.diag(confusion)[present] / support[present]).mean()) if present.any() else float("nan")


def compute_class_f1(confusion: np.ndarray) -> Float[np.ndarray, " stage"]:
    """F1 per class; NaN for a class that occurs on neither side."""
    total = confusion.sum(axis=0) + confusion.sum(axis=1)
    return np.divide(2 * np.diag(confusion), total, out=np.full(len(total), np.nan), where=total > 0)


def compute_macro_f1(confusion: np.ndarray) -> float:
    """Unweighted mean of F1 over the classes that occur on either side; not the weighted F1 often printed as "F1"."""
    f1 = compute_class_f1(confusion)
    return float(np.nanmean(f1)) if np.isfinite(f1).any() else float("nan")


def compute_kappa(confusion: np.ndarray) -> float:
    """Cohen's κ: agreement beyond what the two sides' stage shares give by chance (Cohen 1960)."""
    total = confusion.sum()
    if total == 0:
        return float("nan")
    chance = float((confusion.sum(axis=0) * confusion.sum(axis=1)).sum() / total**2)
    return _ratio(np.trace(confusion) / total - chance, 1 - chance)


def compute_auprc(
    truth: Bool[np.ndarray, " epoch"], score: Float[np.ndarray, " epoch"], *, weights: Weights = None
) -> float:
    """Average precision: precision at each distinct score, weighted by the recall it adds. Chance is the prevalence."""
    return compute_auprc_from_counts(*_count_by_score(truth, score, weights))


def compute_auprc_from_counts(events: Float[np.ndarray, " bin"], others: Float[np.ndarray, " bin"]) -> float:
    """`compute_auprc` from the weight of epochs with and without the event at each score, highest score first."""
    hits, found = np.cumsum(events), np.cumsum(events + others)
    if hits.size == 0 or hits[-1] <= 0:
        return float("nan")
    precision = np.divide(hits, found, out=np.zeros_like(hits), where=found > 0)
    return float(events @ precision / hits[-1])


def compute_auroc_from_counts(events: Float[np.ndarray, " bin"], others: Float[np.ndarray, " bin"]) -> float:
    """Probability that an epoch with the event scores above one without; ties count half.

    Args:
        events: Weight of the epochs with the event at each score, highest score first.
        others: Weight of the epochs without it.
    """
    total = events.sum() * others.sum()
    below = others.sum() - np.cumsum(others)
    return _ratio(events @ (below + others / 2), total)


def compute_log_loss(
    truth: Bool[np.ndarray, " epoch"], probability: Float[np.ndarray, " epoch"], *, weights: Weights = None
) -> float:
    """Mean negative log-likelihood of a binary event, in nats; probabilities are kept within 1e-6 of 0 and 1."""
    p = np.clip(probability, 1e-6, 1 - 1e-6)
    return _mean(np.where(truth, -np.log(p), -np.log1p(-p)), weights)


def compute_brier(
    truth: Bool[np.ndarray, " epoch"], probability: Float[np.ndarray, " epoch"], *, weights: Weights = None
) -> float:
    """Mean squared error of a binary event's probability (Brier 1950)."""
    return _mean((np.asarray(probability) - truth) ** 2, weights)


def compute_reliability(
    truth: Bool[np.ndarray, " epoch"],
    probability: Float[np.ndarray, " epoch"],
    *,
    n_bins: int = 10,
    weights: Weights = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a reliability plot shows: mean probability, observed share and weight per bin of equal width."""
    probability = np.asarray(probability, dtype=float)
    bins = np.minimum((probability * n_bins).astype(int), n_bins - 1)
    w = np.ones_like(probability) if weights is None else weights
    weight, predicted, observed = (
        np.bincount(bins, weights=values, minlength=n_bins) for values in (w, w * probability, w * truth)
    )
    safe = np.where(weight > 0, weight, np.nan)
    return predicted / safe, observed / safe, weight


def compute_ece(
    truth: Bool[np.ndarray, " epoch"], probability: Float[np.ndarray, " epoch"], *, weights: Weights = None
) -> float:
    """Expected calibration error over ten bins of equal width (Naeini et al. 2015)."""
    predicted, observed, weight = compute_reliability(truth, probability, weights=weights)
    return _ratio(np.nansum(weight * np.abs(predicted - observed)), weight.sum())


def _count_by_score(truth: np.ndarray, score: np.ndarray, weights: Weights) -> tuple[np.ndarray, np.ndarray]:
    """Weight of epochs with and without the event at each distinct score, highest score first."""
    distinct, place = np.unique(-np.asarray(score, dtype=float), return_inverse=True)
    events = np.asarray(truth, dtype=float)
    w = np.ones_like(events) if weights is None else weights
    return (
        np.bincount(place, weights=w * events, minlength=len(distinct)).astype(float),
        np.bincount(place, weights=w * (1 - events), minlength=len(distinct)).astype(float),
    )


def _mean(values: np.ndarray, weights: Weights) -> float:
    if weights is None:
        return float(values.mean()) if values.size else float("nan")
    return _ratio((values * weights).sum(), weights.sum())


def _ratio(numerator: float, denominator: float) -> float:
    return float(numerator / denominator) if denominator > 0 else float("nan")
