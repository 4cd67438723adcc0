"""Robustness: how much is kept under damage, as the area under score against dose.

What is damaged is a callable's business (weight noise, lesions, corrupted inputs, wrong labels, fewer channels), so the
same curve serves a network and a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True, eq=False)
class DoseCurve:
    """Score against dose.

    Attributes:
        doses: Rising, from 0, shape (dose,).
        scores: Mean score over repeats, shape (dose,).
        spread: Standard deviation over repeats, shape (dose,).
        area: Area under `scores` over the width of the doses: the mean score over the doses.
        kept: `area` above chance relative to the undamaged score above chance; 1 is unharmed, 0 is chance.
        half_dose: Dose at which half of the undamaged score above chance is lost; NaN where it never is.
    """

    doses: Float[np.ndarray, " dose"]
    scores: Float[np.ndarray, " dose"]
    spread: Float[np.ndarray, " dose"]
    area: float
    kept: float
    half_dose: float


def measure_robustness(
    score: Callable[[float, np.random.Generator], float],
    doses: Sequence[float],
    *,
    rng: np.random.Generator,
    n_repeats: int = 3,
    chance: float = 0.0,
    least: float = 0.0,
) -> DoseCurve:
    """Score under rising doses of damage.

    Args:
        score: Called with a dose and a generator; damages a copy and returns its score.
        doses: At least two, rising, starting with 0.
        rng: Source of the generators handed to `score`; the same for every dose, so that doses differ in size alone.
        n_repeats: Draws of the damage per dose.
        chance: Score of a guess.
        least: Undamaged score above chance below which nothing was learned, and shares of it are NaN; default 0.

    Raises:
        SharpwaveError: If the doses do not rise from 0, or an undamaged score is not finite.

    >>> curve = measure_robustness(lambda dose, rng: 1.0 - dose, [0.0, 0.5, 1.0], rng=np.random.default_rng(0))
    >>> curve.area, curve.half_dose
    (0.5, 0.5)
    """
    width = np.asarray(doses, dtype=float)
    if width.ndim != 1 or width.size < 2 or width[0] != 0 or np.any(np.diff(width) <= 0):
        raise SharpwaveError(
            "at least two rising doses, the first one 0",
            got=str(list(doses)),
            fix="start with 0: the undamaged score is what the others are held against",
        )
    seeds = rng.integers(0, 2**32, size=n_repeats)
    table = np.array([[score(dose, np.random.default_rng(seed)) for seed in seeds] for dose in width.tolist()])
    return summarise_doses(width, table, chance=chance, least=least)


def summarise_doses(
    doses: Float[np.ndarray, " dose"],
    scores: Float[np.ndarray, "dose repeat"],
    *,
    chance: float = 0.0,
    least: float = 0.0,
) -> DoseCurve:
    """Area, share kept and half dose of scores already measured.

    Args:
        doses: Rising, from 0.
        scores: Score at each dose and draw of the damage.
        chance: Score of a guess.
        least: Undamaged score above chance below which nothing was learned; default 0.

    Raises:
        SharpwaveError: If a score is not finite.
    """
    if not np.isfinite(scores).all():
        raise SharpwaveError(
            "finite scores",
            got=f"{int((~np.isfinite(scores)).sum())} of {scores.size} that are not",
            fix="let the score of a network that gives NaN be that of a wrong answer",
        )
    mean = scores.mean(axis=1)
    area = float(np.trapezoid(mean, doses) / (doses[-1] - doses[0]))
    whole = mean[0] - chance
    known = whole > least
    return DoseCurve(
        doses=np.asarray(doses, dtype=float),
        scores=mean,
        spread=scores.std(axis=1),
        area=area,
        kept=float((area - chance) / whole) if known else float("nan"),
        half_dose=find_crossing(doses, mean, level=chance + whole / 2) if known else float("nan"),
    )


def find_crossing(
    places: Float[np.ndarray, " place"], values: Float[np.ndarray, " place"], *, level: float, rising: bool = False
) -> float:
    """The first place at which values reach a level from above (from below with `rising`), between places by a line.

    >>> find_crossing(np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.8, 0.2]), level=0.5)
    1.5
    """
    reached = values >= level if rising else values <= level
    if not reached.any():
        return float("nan")
    index = int(np.argmax(reached))
    if index == 0:
        return float(places[0])
    before, after = values[index - 1], values[index]
    share = (before - level) / (before - after)
    return float(places[index - 1] + share * (places[index] - places[index - 1]))
