"""Everything that the shipped weights learn from, as one source of crops: real cohorts and simulated nights."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sharpwave.brainmu.epochs import EpochedRecording, align_stages, epoch_recording, make_epoch_grid
from sharpwave.brainmu.training.crops import Alternation, RandomCrops, Source, pick_source
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import load_windowed_cohort, window_stages
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus
from sharpwave.recordings.recording import Recording

COHORTS: Mapping[str, float] = {"dod": 0.55, "walch": 0.2, "ucddb": 0.15, "pd-lfp": 0.1}
"""Weight of each cohort with whole nights of stages."""
MACHINES = 0.2
"""Weight of the nights that machines staged beside experts."""
KEPT = 3
"""Of the people of BOAS about every third, by a checksum of the name, is kept for testing."""


@dataclass(frozen=True, eq=False)
class Forecasting:
    """Nights of the cohorts, for training, cut into epochs, and the scorers where several scored.

    Attributes:
        nights: Nights by cohort.
        scorers: Scorers of each of DOD's nights.
        machines: Nights that machines staged beside experts.
    """

    nights: Mapping[str, Sequence[EpochedRecording]]
    scorers: Sequence[tuple]
    machines: Sequence[Recording] = ()

    def without(self, tested: Collection[str]) -> Forecasting:
        """Without these subjects ("cohort/subject")."""
        kept = {
            cohort: [night for night in nights if f"{cohort}/{night.subject}" not in tested]
            for cohort, nights in self.nights.items()
        }
        dod = self.nights.get("dod", ())
        scorers = [s for s, night in zip(self.scorers, dod, strict=True) if f"dod/{night.subject}" not in tested]
        machines = [night for night in self.machines if f"boas/{night.subject}" not in tested]
        return Forecasting({cohort: nights for cohort, nights in kept.items() if nights}, scorers, machines)

    @property
    def subjects(self) -> list[str]:
        """Everyone, as "cohort/subject"."""
        people = {f"{cohort}/{night.subject}" for cohort, nights in self.nights.items() for night in nights}
        return sorted(people | {f"boas/{night.subject}" for night in self.machines})

    def make_source(self, *, whole: float = 0.4) -> Alternation:
        """Crops of all cohorts, each update from one of them."""
        parts: list[tuple[Source, float]] = []
        for cohort, nights in self.nights.items():
            several = cohort == "dod"
            source = ScorerSubsets(nights, self.scorers, whole=whole) if several else RandomCrops(nights)
            parts.append((source, COHORTS[cohort]))
        if self.machines:
            parts.append((MachineHistories(self.machines), MACHINES))
        return Alternation(parts)


def load_forecasting(data: str | Path | None = None) -> Forecasting:
    """The cohorts under `data`; those that are not there are left out.

    Raises:
        SharpwaveError: If none is there, or one is damaged.
    """
    nights: dict[str, list[EpochedRecording]] = {}
    for cohort in COHORTS:
        if list_subjects(cohort, data, required=False):
            nights[cohort] = load_windowed_cohort(cohort, data)
    if not nights:
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}", got="none", fix="set SHARPWAVE_DATA, or pass --data"
        )
    return Forecasting(nights, load_scorers(nights.get("dod", []), data), load_machine_nights(data))


def load_machine_nights(data: str | Path | None = None, *, kept: bool = False) -> list[Recording]:
    """Nights of BOAS to learn from; none where the data set is not there.

    Args:
        data: Folder of data sets.
        kept: Those of the people who are kept for testing, in place of the others.
    """
    nights = [load_dataset(f"boas/{name}", data) for name in list_subjects("boas", data, required=False)]
    return [night for night in nights if (zlib.crc32(night.subject.encode()) % KEPT == 0) == kept]


@dataclass(frozen=True, eq=False)
class FewModalities:
    """Of recordings with many modalities, a few in each update, and shorter crops.

    Attributes:
        source: Source of crops.
        names: Modalities to choose among.
        most: Most modalities in an update.
        longest: Steps of a crop at most.
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
        """A crop with a few modalities of its own."""
        return pick_source(self, rng).draw(rng, n_steps)


@dataclass(frozen=True, eq=False)
class _Only:
    source: Source
    names: frozenset[str]
    longest: int

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        crop = self.source.draw(rng, min(n_steps, self.longest))
        few = crop.only(self.names)
        return few if few.epochs else crop


def load_unlabelled(data: str | Path | None = None) -> Iterator[EpochedRecording]:
    """Resting-state BOLD of people and CA1 of a rat on a track: no stages, the next step alone."""
    for cohort in ("human-rest-bold", "rat-ca1-linear-track"):
        for subject in list_subjects(cohort, data):
            yield epoch_recording(load_dataset(f"{cohort}/{subject}", data), cohort=cohort, every_channel=True)


@dataclass(frozen=True)
class SamplingWeights:
    """How many of the updates each kind of night gets; they need not sum to one."""

    forecasting: float
    staging: float
    unlabelled: float
    human: float
    rodent: float


def combine_sources(
    forecasting: Forecasting,
    weights: SamplingWeights,
    *,
    staging: Source | None = None,
    unlabelled: Sequence[EpochedRecording] = (),
    simulated: Sequence[EpochedRecording] = (),
) -> Alternation:
    """One source of all of it.

    Args:
        forecasting: Stage histories and features of the cohorts.
        weights: Weight of each kind of night in the updates; `rodent` counts for mouse and rat each.
        staging: EEG with stages.
        unlabelled: Recordings without stages.
        simulated: Simulated nights; those with more than a polysomnogram serve here.
    """
    parts: list[tuple[Source, float]] = [(forecasting.make_source(), weights.forecasting)]
    if staging is not None:
        parts.append((staging, weights.staging))
    if unlabelled:
        parts.append((RandomCrops(unlabelled), weights.unlabelled))
    for species, weight in (("human", weights.human), ("mouse", weights.rodent), ("rat", weights.rodent)):
        nights = [night for night in simulated if night.cohort == f"simulated-{species}" and "spikes" in night.epochs]
        if nights:
            names = tuple(dict.fromkeys(name for night in nights for name in night.epochs if name != "stages"))
            parts.append((FewModalities(RandomCrops(nights), names), weight))
    return Alternation(parts)


@dataclass(frozen=True, eq=False)
class ScorerSubsets:
    """A source of crops: the consensus of all scorers, or of a random subset, of a random night.

    A subset's stages and votes are history and target both, so no scorer's opinion leaks into another's.

    Attributes:
        nights: Nights, cut into epochs.
        scorers: Every scorer's hypnogram of each night.
        whole: Share of the crops with all scorers.
    """

    nights: Sequence[EpochedRecording]
    scorers: Sequence[tuple[Hypnogram, ...]]
    whole: float = 0.5

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of at most `n_steps` steps; the history of stages before it is in its epochs."""
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
    return replace(night, epochs={**night.epochs, "stages": window_stages(stages, votes)}, stages=stages, votes=votes)


def load_scorers(nights: Sequence[EpochedRecording], root: str | Path | None = None) -> list[tuple[Hypnogram, ...]]:
    """Every scorer's hypnogram of each of these nights of DOD."""
    return [
        tuple(load_dataset(f"{night.cohort}/{night.subject}", root).metadata["scorers"].values()) for night in nights
    ]


@dataclass(frozen=True, eq=False)
class MachineHistories:
    """A source of crops whose history of stages is a machine's or the experts', and whose targets are the experts'.

    So forecasts learn from stages as machines make them: a change that a machine sees late, or where there is none.

    Attributes:
        nights: Nights of experts with `metadata["machines"]`.
        experts: Share of the crops whose history is the experts' own.
    """

    nights: Sequence[Recording]
    experts: float = 0.4

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of at most `n_steps` steps; the history of stages before it is in its epochs."""
        night = self.nights[int(rng.integers(len(self.nights)))]
        machines = list(night.metadata["machines"].values())
        history = night.hypnogram
        if rng.random() >= self.experts and machines:
            history = machines[int(rng.integers(len(machines)))]
        whole = stage_by(night, history)
        first = int(rng.integers(max(len(whole) - n_steps, 0) + 1))
        return whole.restrict(first, min(first + n_steps, len(whole)))


def stage_by(night: Recording, history: Hypnogram | None) -> EpochedRecording:
    """A night with one hypnogram for its history, and its own for targets."""
    hypnogram = night.hypnogram
    grid = make_epoch_grid(night)
    stages, votes, _ = align_stages(hypnogram, grid)
    seen, seen_votes, _ = align_stages(history, grid)
    epochs = {"stages": window_stages(seen, seen_votes)}
    return EpochedRecording(grid, epochs, stages, votes, cohort="boas", subject=night.subject)


HUMAN = ("eeg", "eog", "emg", "spikes", "bold", "heart_rate", "activity", "temperature")
POLYSOMNOGRAM = ("eeg", "eog", "emg")
RODENT = ("eeg", "emg", "lfp", "spikes")
N_UNITS = 12


def simulate_windowed(
    species: str, n: int, *, rng: np.random.Generator, hours: float, modalities: tuple[str, ...]
) -> Iterator[EpochedRecording]:
    """Nights of simulated subjects, cut into epochs one by one, without any planted effect.

    Args:
        species: "human", "mouse" or "rat".
        n: Number of subjects.
        rng: Random generator.
        hours: Length of each night, in h.
        modalities: Keys of `SIGNALS` of the simulator.
    """
    from sharpwave.simulation import simulate_cohort

    cohort = f"simulated-{species}"
    options = {"species": species, "hours": hours, "modalities": modalities, "n_units": N_UNITS}
    for recording, _ in simulate_cohort(n, rng=rng, **options):
        yield epoch_recording(recording, cohort=cohort, every_channel=True)


def simulate_training_nights(*, rng: np.random.Generator, scale: float = 1.0) -> Iterator[EpochedRecording]:
    """The simulated nights that the shipped weights learn from.

    Args:
        rng: Random generator.
        scale: Length of every night as a share of the recipe's.
    """
    plan = (
        ("human", 10, 6.0, HUMAN),
        ("human", 2, 4.0, (*HUMAN, "lfp")),
        ("mouse", 4, 4.0, RODENT),
        ("rat", 2, 4.0, RODENT),
        ("human", 16, 7.0, POLYSOMNOGRAM),
    )
    for species, n, hours, modalities in plan:
        yield from simulate_windowed(species, n, rng=rng, hours=hours * scale, modalities=modalities)
