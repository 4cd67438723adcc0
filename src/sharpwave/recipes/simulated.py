"""Simulated nights of the recipe: people and rodents with every modality that is simulated, scored by five."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording

HUMAN = ("eeg", "eog", "emg", "spikes", "bold", "heart_rate", "activity", "temperature")
POLYSOMNOGRAM = ("eeg", "eog", "emg")
RODENT = ("eeg", "emg", "lfp", "spikes")
N_UNITS = 12


def simulate_windowed(
    species: str, n: int, *, rng: np.random.Generator, hours: float, modalities: tuple[str, ...]
) -> Iterator[EpochedRecording]:
    """Nights of simulated subjects, windowed one by one, without any planted effect.

    Args:
        species: "human", "mouse" or "rat".
        n: Number of subjects.
        rng: Random generator.
        hours: Length of each night.
        modalities: Keys of `SIGNALS` of the simulator.
    """
    from sharpwave.simulation import simulate_cohort

    cohort = f"simulated-{species}"
    options = {"species": species, "hours": hours, "modalities": modalities, "n_units": N_UNITS}
    for recording, _ in simulate_cohort(n, rng=rng, **options):
        yield epoch_recording(recording, cohort=cohort)


def simulate_mixture(*, rng: np.random.Generator, scale: float = 1.0) -> Iterator[EpochedRecording]:
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
