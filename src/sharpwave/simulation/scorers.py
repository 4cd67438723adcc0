"""Several imperfect experts: they doubt at transitions, they doubt together, and N1 is what they disagree on most."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.simulation.nuisance import compute_wander
from sharpwave.simulation.species import Species

_CONFUSION = {
    5: np.array(
        [
            [0.0, -1.6, -3.6, -6.5, -3.8],
            [-1.3, 0.0, -1.1, -6.5, -2.2],
            [-3.6, -1.9, 0.0, -2.4, -3.3],
            [-5.5, -6.5, -1.9, 0.0, -6.5],
            [-3.4, -2.2, -2.4, -6.5, 0.0],
        ]
    ),
    3: np.array([[0.0, -2.05, -3.25], [-2.05, 0.0, -2.45], [-2.65, -2.25, 0.0]]),
}
"""Log odds of each label (column) in an undisturbed epoch of each stage (row)."""

_SHARED, _OWN, _HABIT = 0.42, 0.73, 0.27
"""Standard deviations of the doubt that all experts share, of each expert's own, and of each one's lasting habits."""


def simulate_scorers(
    stage: Int[np.ndarray, " second"], *, species: Species, n_scorers: int = 5, rng: np.random.Generator
) -> dict[str, Hypnogram]:
    """Score the true stages by several experts.

    Args:
        stage: True stage per second.
        species: Gives the epoch and the number of stages.
        n_scorers: How many experts.
        rng: Random generator.

    Returns:
        Hypnogram by name of the expert. Any two agree at κ near 0.76 in human nights, as experts do (Lee et al. 2022,
        10.5664/jcsm.9538), and near 0.78 in rodents, for whom no such number is at hand.
    """
    shares = _compute_shares(stage, epoch=int(species.scoring_epoch), n_stages=species.n_stages)
    evidence = np.einsum("es,sk->ek", shares, np.exp(_CONFUSION[species.n_stages]))
    logits = np.log(evidence / evidence.sum(axis=1, keepdims=True))
    n_epochs = len(logits)

    def doubt() -> np.ndarray:
        return np.column_stack([compute_wander(n_epochs, time_constant=2.5, rng=rng) for _ in range(species.n_stages)])

    shared = _SHARED * doubt()
    out = {}
    for index in range(n_scorers):
        habit = _HABIT * rng.standard_normal(species.n_stages)
        codes = (logits + shared + _OWN * doubt() + habit).argmax(axis=1)
        name = f"expert_{index + 1}"
        out[name] = Hypnogram(codes.astype(np.int8), species.scoring_epoch, species.n_stages, scorer=name)
    return out


def _compute_shares(stage: np.ndarray, *, epoch: int, n_stages: int) -> Float[np.ndarray, "epoch stage"]:
    """Share of each stage in each epoch, with a little of the neighbouring epochs' (experts look at the context)."""
    n_epochs = len(stage) // epoch
    one_hot = np.eye(n_stages)[stage[: n_epochs * epoch]].reshape(n_epochs, epoch, n_stages).mean(axis=1)
    padded = np.concatenate([one_hot[:1], one_hot, one_hot[-1:]])
    mixed = 0.84 * padded[1:-1] + 0.08 * padded[:-2] + 0.08 * padded[2:]
    return mixed**1.5 / (mixed**1.5).sum(axis=1, keepdims=True)
