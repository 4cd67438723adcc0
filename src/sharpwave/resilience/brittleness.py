"""Brittleness: which parts lose most per unit of damage."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class BrittlenessMap:
    """Loss of score per unit of damage to each part.

    Attributes:
        parts: Names of the parts, most brittle first.
        loss: Mean loss of score under the dose, shape (part,).
        per_damage: `loss` divided by the damage done, shape (part,).
        spread: Standard deviation of `loss` over repeats, shape (part,).

    >>> score = {None: 0.9, "first": 0.4, "last": 0.9}
    >>> found = map_brittleness(lambda part, rng: score[part], ["first", "last"], rng=np.random.default_rng(0))
    >>> found.loss.tolist()
    [0.5, 0.0]
    """

    parts: tuple[str, ...]
    loss: Float[np.ndarray, " part"]
    per_damage: Float[np.ndarray, " part"]
    spread: Float[np.ndarray, " part"]


def map_brittleness(
    score: Callable[[str | None, np.random.Generator], float],
    parts: Iterable[str],
    *,
    rng: np.random.Generator,
    damage: Callable[[str], float] = lambda part: 1.0,
    n_repeats: int = 3,
) -> BrittlenessMap:
    """Damage one part at a time and see what is lost.

    Args:
        score: Called with a part (None for nothing damaged) and a generator; damages that part of a copy and returns
            its score.
        parts: Names of layers, units, channels.
        rng: Source of the generators; every part sees the same ones.
        damage: How much damage the dose is in a part (its number of weights, its share of the norm), so that a large
            layer is not brittle by its size alone.
        n_repeats: Draws of the damage per part.

    Raises:
        SharpwaveError: If there is no part to damage.

    >>> def score(part, rng):
    ...     return {None: 0.9, "first": 0.5, "last": 0.8}[part]
    >>> map_brittleness(score, ["last", "first"], rng=np.random.default_rng(0)).parts
    ('first', 'last')
    """
    names = list(parts)
    if not names:
        raise SharpwaveError("at least one part to damage", got="none", fix="name the layers or units")
    seeds = rng.integers(0, 2**32, size=n_repeats)
    whole = np.mean([score(None, np.random.default_rng(seed)) for seed in seeds])
    table = np.array([[whole - score(name, np.random.default_rng(seed)) for seed in seeds] for name in names])
    loss = table.mean(axis=1)
    per_damage = loss / np.array([damage(name) for name in names])
    order = np.argsort(-per_damage, kind="stable")
    return BrittlenessMap(
        parts=tuple(names[index] for index in order),
        loss=loss[order],
        per_damage=per_damage[order],
        spread=table.std(axis=1)[order],
    )
