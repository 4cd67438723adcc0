"""When a sleeper changes stage, and what several experts would score.

Stages follow a semi-Markov model fitted to expert hypnograms, with the time of night in it. The odds of leaving stage s
for stage k in the next epoch are exp(w_sk · x), where x holds the age of the bout, the place in the REM cycle and the
hour (`FEATURES`). At finer steps the hazard is ln(1 + Σ_k odds) / epoch length, shared among the destinations in
proportion to the odds. The experts are imperfect: they doubt at transitions, they doubt together, and N1 is what they
disagree on most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from math import exp, log, log1p
from operator import mul
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.simulation.effects import compute_wander
from sharpwave.simulation.species import Species

FEATURES = (
    "constant",
    "log_age",
    "log_age_over_4",
    "log_age_over_32",
    "before_sleep",
    "since_rem",
    "rem_episode_over",
    "nrem_since_rem",
    "nrem_since_rem_over_40",
    "nrem_since_rem_over_70",
    "no_rem_yet",
    "rem_in_episode",
    "hour",
    "hour_over_4",
    "dark",
)
"""log age of the bout (epochs, up to the oldest that the data show; hinges at 4 and 32 epochs; 0 before sleep), not
asleep yet (0/1), time since REM (h, at most 15 min; 0 before the first), 15 min without REM after some (0/1), NREM
sleep since REM or sleep onset (h, at most 1.5; hinges at 40 and 70 min), no REM yet (0/1), REM in the present episode
(h; over after 15 min without REM), hour of the recording (at most 12; hinge at 4), dark phase of the light cycle (0/1).
Counting NREM sleep instead of time since REM fits the experts' nights better."""

EPISODE_GAP = 15 * 60
"""A REM episode is over when REM has not come for so long, in seconds."""


@dataclass
class SleepClock:
    """Counts that a sleeper carries along, all in seconds.

    Attributes:
        rem: Stage code of REM.
        elapsed: Time since the start of the recording.
        age: Time since the bout began.
        asleep: Whether sleep has come yet.
        rem_seen: Whether REM has come yet.
        since_rem: Time since the last REM, or since sleep onset.
        nrem: Time in NREM sleep since then.
        rem_in_episode: Time in REM in the present episode.
    """

    rem: int
    elapsed: float = 0.0
    age: float = 0.0
    asleep: bool = False
    rem_seen: bool = False
    since_rem: float = 0.0
    nrem: float = 0.0
    rem_in_episode: float = 0.0

    def advance(self, stage: int, seconds: float = 1.0) -> None:
        """Live through some time of one stage; whoever changes the stage sets `age` to 0."""
        self.elapsed += seconds
        self.age += seconds
        if stage == self.rem:
            self.asleep = self.rem_seen = True
            self.since_rem = self.nrem = 0.0
            self.rem_in_episode += seconds
            return
        self.asleep = self.asleep or stage > 0
        if self.asleep:
            self.since_rem += seconds
        if stage > 0:
            self.nrem += seconds
        if self.since_rem > EPISODE_GAP:
            self.rem_in_episode = 0.0

    def compute_features(self, epoch_length: float, *, oldest: float) -> tuple[float, ...]:
        """The values of `FEATURES` now, with the age in epochs of that length (s), at most `oldest` of them."""
        log_age = log(min(max(self.age / epoch_length, 1.0), oldest)) if self.asleep else 0.0
        nrem, hour = min(self.nrem / 3600, 1.5), self.elapsed / 3600
        return (
            1.0,
            log_age,
            max(0.0, log_age - log(4)),
            max(0.0, log_age - log(32)),
            float(not self.asleep),
            min(self.since_rem, EPISODE_GAP) / 3600 if self.rem_seen else 0.0,
            float(self.rem_seen and self.since_rem >= EPISODE_GAP),
            nrem,
            max(0.0, nrem - 40 / 60),
            max(0.0, nrem - 70 / 60),
            float(not self.rem_seen),
            self.rem_in_episode / 3600,
            min(hour, 12.0),
            max(0.0, min(hour, 12.0) - 4.0),
            float(hour % 24 >= 12),
        )


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
        weights: One weight per feature, by stage and by the stage that follows.
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
            stage: Code of the present stage.
            clock: What the sleeper has lived through.

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

    >>> load_architecture("human").names
    ('W', 'N1', 'N2', 'N3', 'R')
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

    >>> rng = np.random.default_rng(0)
    >>> nights = [Hypnogram(np.repeat(rng.permutation(3), 4), 4.0, n_stages=3) for _ in range(20)]
    >>> fitted = fit_architecture(nights, species="mouse", source="made up")
    >>> fitted.epoch_length, sorted(fitted.weights[0])
    (4.0, [1, 2])
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
        stage: True stage code, one a second.
        species: Gives the epoch and the number of stages.
        n_scorers: Number of experts.
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
