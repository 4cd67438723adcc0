"""When a sleeper changes stage: a semi-Markov model fitted to expert hypnograms, with the time of night in it.

The odds of leaving stage s for stage k in the next epoch are exp(w_sk · x), where x holds the age of the bout, the
place in the REM cycle and the hour (`FEATURES`). At finer steps the hazard is ln(1 + Σ_k odds) / epoch length, shared
among the destinations in proportion to the odds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import exp, log1p
from operator import mul
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.simulation.clock import FEATURES, SleepClock

OLDEST = 64.0
"""Age in epochs beyond which a fit sees too few bouts to tell."""


@dataclass(frozen=True)
class Architecture:
    """Odds of every stage change.

    Attributes:
        species: "human", "mouse" or "rat".
        names: Stage names, in the order of their codes.
        epoch_length: Epoch of the odds, in seconds.
        shortest_bout: No bout is shorter, in seconds.
        oldest: Age in epochs beyond which a bout ages no more.
        weights: For each stage, for each destination, one weight per feature.
        source: Where the numbers come from.
    """

    species: str
    names: tuple[str, ...]
    epoch_length: float
    shortest_bout: float
    oldest: float
    weights: Mapping[int, Mapping[int, tuple[float, ...]]]
    source: str

    def compute_hazards(self, stage: int, clock: SleepClock) -> list[tuple[int, float]]:
        """Destination codes with their hazards per second.

        Args:
            stage: Present stage.
            clock: What the sleeper has behind.

        Returns:
            One (destination, hazard) pair for each destination; none below the shortest bout.
        """
        if clock.age < self.shortest_bout:
            return []
        x = clock.compute_features(self.epoch_length, oldest=self.oldest)
        odds = [(k, exp(sum(map(mul, w, x)))) for k, w in self.weights[stage].items()]
        total = sum(value for _, value in odds)
        if total == 0:
            return []
        hazard = log1p(total) / self.epoch_length
        return [(k, hazard * value / total) for k, value in odds]


def load_architecture(species: str) -> Architecture:
    """The shipped architecture of a species.

    Args:
        species: "human" (fitted to DOD-H), "mouse" or "rat" (set from published bout lengths, light phase first).

    Raises:
        SharpwaveError: If there is none.
    """
    path = files("sharpwave.simulation") / "architecture" / f"{species}.json"
    if not path.is_file():
        raise SharpwaveError("species human, mouse or rat", got=repr(species), fix="choose the nearest of them")
    return _from_dict(json.loads(path.read_text(encoding="utf-8")))


def _from_dict(content: dict[str, Any]) -> Architecture:
    names = tuple(content["names"])
    if tuple(content["features"]) != FEATURES:
        raise SharpwaveError(
            "the features " + ", ".join(FEATURES), got=str(content["features"]), fix="refit the architecture"
        )
    weights = {
        names.index(stage): {names.index(k): tuple(map(float, w)) for k, w in destinations.items()}
        for stage, destinations in content["weights"].items()
    }
    return Architecture(
        content["species"],
        names,
        content["epoch_length"],
        content["shortest_bout"],
        content["oldest"],
        weights,
        content["source"],
    )


def to_dict(architecture: Architecture) -> dict[str, Any]:
    """The architecture as it is shipped in JSON."""
    names = architecture.names
    return {
        "species": architecture.species,
        "source": architecture.source,
        "names": list(names),
        "epoch_length": architecture.epoch_length,
        "shortest_bout": architecture.shortest_bout,
        "oldest": architecture.oldest,
        "features": list(FEATURES),
        "weights": {
            names[s]: {names[k]: [round(x, 4) for x in w] for k, w in destinations.items()}
            for s, destinations in architecture.weights.items()
        },
    }


def fit_architecture(
    hypnograms: Sequence[Hypnogram], *, species: str = "human", source: str = "", ridge: float = 0.1
) -> Architecture:
    """Fit the odds of stage changes to scored nights by ridge multinomial regression.

    Args:
        hypnograms: Consensus hypnograms with one epoch length, each restricted to the span that every scorer scored.
        species: Species they come from.
        source: Citation, kept with the numbers.
        ridge: Strength of the penalty on all weights but the constant.

    Returns:
        The architecture; destinations never seen from a stage are left out.

    Raises:
        SharpwaveError: If epoch lengths or stage sets differ.
    """
    from sklearn.linear_model import LogisticRegression

    first = hypnograms[0]
    if any((h.epoch_length, h.n_stages) != (first.epoch_length, first.n_stages) for h in hypnograms):
        raise SharpwaveError(
            "hypnograms with one epoch length and stage set", got="several", fix="resample or merge them first"
        )
    rows: dict[int, list[tuple[float, ...]]] = {s: [] for s in range(first.n_stages)}
    targets: dict[int, list[int]] = {s: [] for s in range(first.n_stages)}
    for hypnogram in hypnograms:
        for stage, after, x in _walk(hypnogram):
            rows[stage].append(x)
            targets[stage].append(after)
    weights: dict[int, dict[int, tuple[float, ...]]] = {}
    for stage, samples in rows.items():
        design, after_all = np.array(samples)[:, 1:], np.array(targets[stage])
        model = LogisticRegression(C=1 / ridge, max_iter=5000).fit(design, after_all)
        table = np.column_stack([model.intercept_, model.coef_])
        stay = table[list(model.classes_).index(stage)]
        weights[stage] = {
            int(k): tuple(float(v) for v in row - stay)
            for k, row in zip(model.classes_, table, strict=True)
            if k != stage
        }
    return Architecture(species, first.names, first.epoch_length, first.epoch_length / 2, OLDEST, weights, source)


def _walk(hypnogram: Hypnogram) -> list[tuple[int, int, tuple[float, ...]]]:
    """(stage, next stage, features) of every pair of scored epochs."""
    stages, step = hypnogram.stages, hypnogram.epoch_length
    clock = SleepClock(hypnogram.n_stages - 1)
    out = []
    for index in range(len(stages) - 1):
        stage, after = int(stages[index]), int(stages[index + 1])
        if index and stages[index - 1] != stage:
            clock.age = 0.0
        clock.advance(stage, step)
        if UNSCORED not in (stage, after):
            out.append((stage, after, clock.compute_features(step, oldest=OLDEST)))
    return out
