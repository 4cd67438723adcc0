"""Nights to learn from and nights to be tested on: simulated ones, and real cohorts with several modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.multimodal.nights import PairedViews, simulate_paired_nights
from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs
from sharpwave.forecasting.brainmu_nights import window_features, window_night
from sharpwave.forecasting.cohorts import EpochTable, load_cohort
from sharpwave.recordings.datasets import list_subjects

REAL = ("walch", "ucddb", "pd-lfp")
"""Cohorts with stages and signals; DOD's public part has stages alone."""

N_SIMULATED = 12
SIMULATED_HOURS = 3.0


@dataclass(frozen=True, eq=False)
class Split:
    """A cohort in two, no subject in both.

    Attributes:
        data: Name.
        training: To learn from.
        testing: Two in every six subjects.
    """

    data: str
    training: list[PairedViews]
    testing: list[PairedViews]

    @property
    def modalities(self) -> tuple[str, ...]:
        """Of the first night."""
        return tuple(self.training[0].windowed.epochs)


def load_splits(data: Path | None, *, simulated: bool = True, rng: np.random.Generator) -> list[Split]:
    """The simulated nights, and the real cohorts that are under `data`."""
    splits = [split_subjects("simulated, precursor on", simulate_once(1.0), rng=rng)] if simulated else []
    for name in REAL:
        if not list_subjects(name, data, required=False):
            continue
        nights = [pair_night(night) for night in load_cohort(name, data)]
        if len({paired.night.subject for paired in nights}) > 2:
            splits.append(split_subjects(name, nights, rng=rng))
    return splits


@lru_cache(maxsize=2)
def simulate_once(
    precursor: float, n: int = N_SIMULATED, hours: float = SIMULATED_HOURS, seed: int = 5
) -> tuple[PairedViews, ...]:
    """The simulated nights of these benchmarks, kept for the next one that is run in the same process."""
    return tuple(simulate_paired_nights(n, rng=np.random.default_rng(seed), hours=hours, precursor=precursor))


def split_subjects(data: str, nights: Sequence[PairedViews], *, rng: np.random.Generator) -> Split:
    """A third of the subjects, at least one, for testing."""
    subjects = sorted({paired.night.subject for paired in nights})
    tested = set(rng.permutation(subjects)[: max(len(subjects) // 3, 1)].tolist())
    return Split(
        data,
        [paired for paired in nights if paired.night.subject not in tested],
        [paired for paired in nights if paired.night.subject in tested],
    )


def pair_night(night: EpochTable) -> PairedViews:
    """A night of a real cohort; heart rate and activity are modalities of their own."""
    windowed = window_night(night)
    groups = {name: [i for i, column in enumerate(night.names) if column.startswith(name)] for name in APART}
    if not all(groups.values()):
        return PairedViews(windowed, night)
    windows: dict[str, ModalityEpochs] = {"stages": windowed.epochs["stages"]}
    for name, columns in groups.items():
        windows[name] = window_features(night.features[:, columns], tuple(night.names[i] for i in columns))
    return PairedViews(replace(windowed, epochs=windows), night)


APART = ("heart_rate", "activity")


def hide_labels(
    nights: Sequence[EpochedRecording], share: float, *, rng: np.random.Generator
) -> list[EpochedRecording]:
    """The nights that are labelled where only a share of all steps is: whole ones in random order, the last in part."""
    left = max(round(share * sum(map(len, nights))), 2)
    kept = []
    for index in rng.permutation(len(nights)):
        night = nights[index]
        length = min(left, len(night))
        if length < 2:
            break
        first = int(rng.integers(len(night) - length + 1))
        kept.append(night.restrict(first, first + length))
        left -= length
    return kept
