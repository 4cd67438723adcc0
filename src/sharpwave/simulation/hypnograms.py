"""When a sleeper changes stage: a semi-Markov model fitted to expert hypnograms, with the time of night in it.

The odds of leaving stage s for stage k in the next epoch are exp(w_sk · x), where x holds the age of the bout, the time
since REM, the time since sleep onset and the hour (`FEATURES`). At finer steps the hazard is ln(1 + Σ_k odds) / epoch
length, shared among the destinations in proportion to the odds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import exp, log, log1p
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram

FEATURES = (
    "constant",
    "log_age",
    "log_age_over_4",
    "log_age_over_32",
    "before_sleep",
    "since_rem",
    "since_rem_over_50",
    "no_rem_yet",
    "hour",
    "hour_over_4",
    "dark",
)
"""log age of the bout (epochs, at most 64; hinges at 4 and 32 epochs; 0 before sleep), not asleep yet (0/1), time since
REM or sleep onset (h, at most 2; hinge at 50 min), no REM yet (0/1), hour of the recording (at most 12; hinge at 4),
dark phase of the light cycle (0/1)."""


@dataclass(frozen=True)
class Architecture:
    """Odds of every stage change.

    Attributes:
        species: "human", "mouse" or "rat".
        names: Stage names, in the order of their codes.
        epoch_length: Epoch of the odds, in seconds.
        shortest_bout: No bout is shorter, in seconds.
        weights: For each stage, for each destination, one weight per feature.
        source: Where the numbers come from.
    """

    species: str
    names: tuple[str, ...]
    epoch_length: float
    shortest_bout: float
    weights: Mapping[int, Mapping[int, tuple[float, ...]]]
    source: str

    def compute_hazards(
        self, stage: int, *, age: float, since_rem: float, no_rem_yet: bool, before_sleep: bool, hour: float
    ) -> list[tuple[int, float]]:
        """Destination codes with their hazards per second.

        Args:
            stage: Present stage.
            age: Seconds since it began.
            since_rem: Seconds since the last REM epoch, or since sleep onset.
            no_rem_yet: Whether REM has not come yet.
            before_sleep: Whether sleep has not come yet.
            hour: Hours since the start.

        Returns:
            One (destination, hazard) pair for each destination; none below the shortest bout.
        """
        if age < self.shortest_bout:
            return []
        x = _features(max(age / self.epoch_length, 1.0), since_rem / 3600, no_rem_yet, before_sleep, hour)
        odds = [(k, exp(sum(a * b for a, b in zip(w, x, strict=True)))) for k, w in self.weights[stage].items()]
        total = sum(value for _, value in odds)
        if total == 0:
            return []
        hazard = log1p(total) / self.epoch_length
        return [(k, hazard * value / total) for k, value in odds]


def _features(
    age_epochs: float, since_rem: float, no_rem_yet: bool, before_sleep: bool, hour: float
) -> tuple[float, ...]:
    log_age = 0.0 if before_sleep else min(log(age_epochs), log(64))
    gap = min(since_rem, 2.0)
    return (
        1.0,
        log_age,
        max(0.0, log_age - log(4)),
        max(0.0, log_age - log(32)),
        float(before_sleep),
        gap,
        max(0.0, gap - 50 / 60),
        float(no_rem_yet),
        min(hour, 12.0),
        max(0.0, min(hour, 12.0) - 4.0),
        float(hour % 24 >= 12),
    )


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
        content["species"], names, content["epoch_length"], content["shortest_bout"], weights, content["source"]
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
    return Architecture(species, first.names, first.epoch_length, first.epoch_length / 2, weights, source)


def _walk(hypnogram: Hypnogram) -> list[tuple[int, int, tuple[float, ...]]]:
    """(stage, next stage, features) of every pair of scored epochs."""
    stages, rem, step = hypnogram.stages, hypnogram.n_stages - 1, hypnogram.epoch_length
    age, last_rem, onset, rem_seen = 0, 0.0, None, False
    out = []
    for index in range(len(stages) - 1):
        stage, after = int(stages[index]), int(stages[index + 1])
        now = (index + 1) * step
        age = age + 1 if index and stages[index - 1] == stage else 1
        if stage > 0 and onset is None:
            onset = last_rem = now - step
        if stage == rem:
            last_rem, rem_seen = now, True
        if UNSCORED not in (stage, after):
            gap = 0.0 if onset is None else (now - last_rem) / 3600
            out.append((stage, after, _features(age, gap, not rem_seen, onset is None, now / 3600)))
    return out
