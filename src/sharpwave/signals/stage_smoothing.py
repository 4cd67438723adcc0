"""Stage probabilities made consistent with how nights run: a Markov chain over them, forward and backward.

The stagers take the transitions of the experts of the Dreem Open Datasets, which ship with them.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

TRANSITIONS = Path(__file__).parents[1] / "weights" / "dod_transitions.json"


def smooth_probabilities(
    probabilities: Float[np.ndarray, "epoch stage"],
    *,
    transitions: Float[np.ndarray, "stage stage"],
    prior: Float[np.ndarray, " stage"],
    weight: float,
) -> Float[np.ndarray, "epoch stage"]:
    """Posterior of each stage given the whole night, each epoch's evidence being (probability / prior) ** weight.

    Neighbouring epochs share features, so their evidence is not independent: `weight` below 1 counts it less.

    Args:
        probabilities: Output of a classifier, shape (epoch, stage); rows of NaN carry no evidence.
        transitions: Probability of the next stage (column) given this one (row).
        prior: Share of each stage in the classifier's training.
        weight: Weight of the evidence; 1 trusts each epoch fully, 0 not at all.

    Returns:
        Probability of each stage, rows summing to 1, also where the input was NaN.

    >>> found = smooth_probabilities(
    ...     np.array([[0.9, 0.1], [0.4, 0.6], [0.9, 0.1]]),  # a lone epoch that looks like sleep
    ...     transitions=np.array([[0.9, 0.1], [0.1, 0.9]]),
    ...     prior=np.array([0.5, 0.5]),
    ...     weight=1.0,
    ... )
    >>> found.argmax(axis=1).tolist()
    [0, 0, 0]
    """
    known = np.isfinite(probabilities).all(axis=1)
    evidence = np.ones_like(probabilities)
    evidence[known] = (np.maximum(probabilities[known], 1e-4) / np.maximum(prior, 1e-4)) ** weight
    forward, backward = np.empty_like(evidence), np.ones_like(evidence)
    state = np.asarray(prior, dtype=float)
    for index, likelihood in enumerate(evidence):
        state = (state if index == 0 else state @ transitions) * likelihood
        state = state / state.sum()
        forward[index] = state
    for index in range(len(evidence) - 2, -1, -1):
        message = transitions @ (evidence[index + 1] * backward[index + 1])
        backward[index] = message / message.sum()
    posterior = forward * backward
    return posterior / posterior.sum(axis=1, keepdims=True)


@lru_cache(maxsize=1)
def load_transitions() -> dict[str, Any]:
    """Stage transitions of the Dreem Open Datasets' experts, with their source."""
    content: dict[str, Any] = json.loads(TRANSITIONS.read_text(encoding="utf-8"))
    return content
