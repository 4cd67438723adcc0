"""Nights that several scored, as many nights: what any subset of the scorers would have made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sharpwave.brainmu.epochs import EpochedRecording, align_stages
from sharpwave.forecasting.brainmu_nights import relate_stages
from sharpwave.recordings.datasets import load_dataset
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus


@dataclass(frozen=True, eq=False)
class ScorerSubsets:
    """A source of pieces: the consensus of all scorers, or of a random subset, of a random night.

    A subset's stages and votes are history and target both, so no scorer's opinion leaks into another's.

    Attributes:
        nights: Windowed nights.
        scorers: Every scorer's hypnogram of each night.
        whole: Share of the pieces with all scorers.
    """

    nights: Sequence[EpochedRecording]
    scorers: Sequence[tuple[Hypnogram, ...]]
    whole: float = 0.5

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A piece of at most `n_steps` steps; the history before it is in its windows."""
        places = np.array([max(len(night) - n_steps, 0) + 1 for night in self.nights])
        index = int(rng.choice(len(places), p=places / places.sum()))
        night, scorers = self.nights[index], self.scorers[index]
        if rng.random() >= self.whole:
            count = int(rng.integers(1, len(scorers)))
            night = rescore(night, [scorers[i] for i in sorted(rng.choice(len(scorers), count, replace=False))])
        first = int(rng.integers(places[index]))
        return night.restrict(first, min(first + n_steps, len(night)))


def rescore(night: EpochedRecording, scorers: Sequence[Hypnogram]) -> EpochedRecording:
    """The night as these scorers alone would have it."""
    consensus = compute_consensus(scorers)
    stages, votes, _ = align_stages(consensus, replace(night.grid, start=consensus.start))
    return replace(night, epochs={**night.epochs, "stages": relate_stages(stages, votes)}, stages=stages, votes=votes)


def load_scorers(nights: Sequence[EpochedRecording], root: str | Path | None = None) -> list[tuple[Hypnogram, ...]]:
    """Every scorer's hypnogram of each of these nights of DOD."""
    return [
        tuple(load_dataset(f"{night.cohort}/{night.subject}", root).metadata["scorers"].values()) for night in nights
    ]
