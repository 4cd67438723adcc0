"""Everything that the shipped weights learn from, as one source of pieces: real cohorts and simulated nights."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.training.crops import Alternation, RandomCrops, Source, pick_source
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import load_windowed_cohort
from sharpwave.recipes.scorers import ScorerSubsets, load_scorers
from sharpwave.recordings.datasets import list_subjects, load_dataset

COHORTS: Mapping[str, float] = {"dod": 0.55, "walch": 0.2, "ucddb": 0.15, "pd-lfp": 0.1}
"""Weight of each cohort with whole nights of stages."""


@dataclass(frozen=True, eq=False)
class Forecasting:
    """Nights of the cohorts, for training: windows, and the scorers where several scored.

    Attributes:
        nights: By cohort.
        scorers: Of each of DOD's nights.
    """

    nights: Mapping[str, Sequence[EpochedRecording]]
    scorers: Sequence[tuple]

    def without(self, tested: Collection[str]) -> Forecasting:
        """Without these subjects ("cohort/subject")."""
        kept = {
            cohort: [night for night in nights if f"{cohort}/{night.subject}" not in tested]
            for cohort, nights in self.nights.items()
        }
        dod = self.nights.get("dod", ())
        scorers = [s for s, night in zip(self.scorers, dod, strict=True) if f"dod/{night.subject}" not in tested]
        return Forecasting({cohort: nights for cohort, nights in kept.items() if nights}, scorers)

    @property
    def subjects(self) -> list[str]:
        """Everyone, as "cohort/subject"."""
        return sorted(f"{cohort}/{night.subject}" for cohort, nights in self.nights.items() for night in nights)

    def make_source(self, *, whole: float = 0.4) -> Alternation:
        """Pieces of all cohorts, each update from one of them."""
        parts: list[tuple[Source, float]] = []
        for cohort, nights in self.nights.items():
            several = cohort == "dod"
            source = ScorerSubsets(nights, self.scorers, whole=whole) if several else RandomCrops(nights)
            parts.append((source, COHORTS[cohort]))
        return Alternation(parts)


def load_forecasting(data: str | Path | None = None) -> Forecasting:
    """The cohorts under `data`; those that are not there are left out.

    Raises:
        SharpwaveError: If none is there.
    """
    nights: dict[str, list[EpochedRecording]] = {}
    for cohort in COHORTS:
        try:
            nights[cohort] = load_windowed_cohort(cohort, data)
        except SharpwaveError:
            continue
    if not nights:
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}", got="none", fix="set SHARPWAVE_DATA, or pass --data"
        )
    return Forecasting(nights, load_scorers(nights.get("dod", []), data))


@dataclass(frozen=True, eq=False)
class FewModalities:
    """Of recordings with many modalities, a few in each update, and shorter pieces.

    Attributes:
        source: Of pieces.
        names: Modalities to choose among.
        most: How many at most.
        longest: Steps of a piece at most.
        always: Modality that is taken half of the time whatever the others are.
    """

    source: Source
    names: tuple[str, ...]
    most: int = 3
    longest: int = 90
    always: str = "stages"

    def pick(self, rng: np.random.Generator) -> Source:
        """The same modalities for a whole update."""
        count = int(rng.integers(1, self.most + 1))
        chosen = set(rng.choice(self.names, count, replace=False).tolist())
        if rng.random() < 0.5:
            chosen.add(self.always)
        return _Only(self.source, frozenset(chosen), self.longest)

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A piece with a few modalities of its own."""
        return pick_source(self, rng).draw(rng, n_steps)


@dataclass(frozen=True, eq=False)
class _Only:
    source: Source
    names: frozenset[str]
    longest: int

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        piece = self.source.draw(rng, min(n_steps, self.longest))
        few = piece.only(self.names)
        return few if few.epochs else piece


def load_unlabelled(data: str | Path | None = None) -> Iterator[EpochedRecording]:
    """Resting-state BOLD of people and CA1 of a rat on a track: no stages, the next step alone."""
    for cohort in ("human-rest-bold", "rat-ca1-linear-track"):
        for subject in list_subjects(cohort, data):
            yield epoch_recording(load_dataset(f"{cohort}/{subject}", data), cohort=cohort)


@dataclass(frozen=True)
class Shares:
    """How many of the updates each kind of night gets; they need not sum to one."""

    forecasting: float
    staging: float
    unlabelled: float
    human: float
    rodent: float


def make_mixture(
    forecasting: Forecasting,
    shares: Shares,
    *,
    staging: Source | None = None,
    unlabelled: Sequence[EpochedRecording] = (),
    simulated: Sequence[EpochedRecording] = (),
) -> Alternation:
    """One source of all of it.

    Args:
        forecasting: Stage histories and features of the cohorts.
        shares: Of the updates; `rodent` for each of mouse and rat.
        staging: EEG with stages.
        unlabelled: Recordings without stages.
        simulated: Nights; those with more than a polysomnogram serve here.
    """
    parts: list[tuple[Source, float]] = [(forecasting.make_source(), shares.forecasting)]
    if staging is not None:
        parts.append((staging, shares.staging))
    if unlabelled:
        parts.append((RandomCrops(unlabelled), shares.unlabelled))
    for species, share in (("human", shares.human), ("mouse", shares.rodent), ("rat", shares.rodent)):
        nights = [night for night in simulated if night.cohort == f"simulated-{species}" and "spikes" in night.epochs]
        if nights:
            names = tuple(dict.fromkeys(name for night in nights for name in night.epochs if name != "stages"))
            parts.append((FewModalities(RandomCrops(nights), names), share))
    return Alternation(parts)
