"""What differs between human, mouse and rat in the events of sleep; * marks a default without a checked source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class Species:
    """Rates and shapes of one species.

    Attributes:
        name: "human", "mouse" or "rat".
        n_stages: 5 (W, N1, N2, N3, R) or 3 (W, NREM, R).
        scoring_epoch: Epoch of the experts, in seconds.
        eeg_rate: Sampling rate of EEG, EOG and EMG, in Hz.
        lfp_rate: Sampling rate of the hippocampal LFP, in Hz.
        task_length: Time on the tracks, in seconds.
        depth: Depth by stage, in dB of slow-wave power relative to N2 (human) or NREM (rodent).
        ripple_rate: Sharp-wave ripples a minute, by stage.
        ripple_frequency: Mean and standard deviation, in Hz.
        ripple_duration: Median (s) and log standard deviation.
        spindle_rate: Spindles a minute, by stage.
        spindle_frequency: Mean and standard deviation, in Hz.
        arousal_rate: Brief arousals an hour, by stage.
        infraslow_gate: How far each stage follows the infraslow rhythm, 0 to 1.
        infraslow_spread: Standard deviation of the infraslow frequency, in Hz.
        theta: Theta frequency of the hippocampus, in Hz.
        wake_heart_rate: Heart rate in wake, in beats a minute.
        haemodynamics: Factor on the time of the canonical haemodynamic response.
        repetition_time: Repetition time of BOLD, in seconds.
        lighter: Codes of the lighter stages, for each stage.
    """

    name: str
    n_stages: int
    scoring_epoch: float
    eeg_rate: float
    lfp_rate: float
    task_length: float
    depth: tuple[float, ...]
    ripple_rate: tuple[float, ...]
    ripple_frequency: tuple[float, float]
    ripple_duration: tuple[float, float]
    spindle_rate: tuple[float, ...]
    spindle_frequency: tuple[float, float]
    arousal_rate: tuple[float, ...]
    infraslow_gate: tuple[float, ...]
    infraslow_spread: float
    theta: float
    wake_heart_rate: float
    haemodynamics: float
    repetition_time: float
    lighter: Mapping[int, tuple[int, ...]]

    @property
    def nrem(self) -> tuple[int, ...]:
        """Codes of the NREM stages in which memories are replayed (N2 and N3, or NREM)."""
        return (2, 3) if self.n_stages == 5 else (1,)

    @property
    def rem(self) -> int:
        return self.n_stages - 1


_HUMAN = Species(
    name="human",
    n_stages=5,
    scoring_epoch=30.0,
    eeg_rate=256.0,
    lfp_rate=512.0,
    task_length=360.0,
    depth=(-7.0, -4.0, 0.0, 8.5, -5.0),  # *
    ripple_rate=(
        1.0,
        1.5,
        8.6,
        13.9,
        0.8,
    ),  # 9 in N2, 15 in N3, else below 2: Jiang 2020, 10.1002/hipo.23183
    ripple_frequency=(85.0, 4.0),  # Jiang 2020
    ripple_duration=(0.070, 0.35),  # * 50–120 ms, right-skewed, as in rodents
    spindle_rate=(0.0, 0.3, 4.1, 2.0, 0.0),  # *
    spindle_frequency=(13.5, 0.6),  # 12 frontal, 14 centro-parietal (s41467-020-19076-2)
    arousal_rate=(0.0, 25.0, 17.0, 7.0, 16.0),  # mean near 14.7/h, Boselli 1998
    infraslow_gate=(0.0, 0.0, 1.0, 0.0, 0.0),  # Lecci 2017: human N2 only
    infraslow_spread=0.004,
    theta=5.5,
    wake_heart_rate=66.0,  # *
    haemodynamics=1.0,
    repetition_time=2.0,
    lighter={0: (), 1: (0,), 2: (0, 1), 3: (0, 1, 2), 4: (0, 1)},
)

_MOUSE = Species(
    name="mouse",
    n_stages=3,
    scoring_epoch=4.0,
    eeg_rate=256.0,
    lfp_rate=1000.0,
    task_length=900.0,
    depth=(-8.0, 0.0, -7.0),  # *
    ripple_rate=(4.0, 30.0, 0.3),  # *
    ripple_frequency=(150.0, 12.0),  # 110–180 Hz, Liu 2022, 10.1038/s41467-022-33536-x
    ripple_duration=(0.065, 0.35),  # 50–120 ms, right-skewed
    spindle_rate=(0.0, 3.0, 0.0),  # *
    spindle_frequency=(11.5, 0.8),  # *
    arousal_rate=(0.0, 30.0, 8.0),  # *
    infraslow_gate=(0.0, 1.0, 0.0),  # Lecci 2017: all mouse NREM
    infraslow_spread=0.006,
    theta=7.5,  # 6–9 Hz
    wake_heart_rate=600.0,  # *
    haemodynamics=0.5,  # faster and narrower than canonical in rat, PMC8734587
    repetition_time=1.5,  # *
    lighter={0: (), 1: (0,), 2: (0,)},
)

_RAT = Species(
    name="rat",
    n_stages=3,
    scoring_epoch=5.0,
    eeg_rate=256.0,
    lfp_rate=1000.0,
    task_length=900.0,
    depth=(-8.0, 0.0, -7.0),  # *
    ripple_rate=(5.0, 28.0, 0.3),  # *
    ripple_frequency=(160.0, 10.0),  # 140–200 Hz in rat
    ripple_duration=(0.065, 0.35),
    spindle_rate=(0.0, 3.0, 0.0),  # *
    spindle_frequency=(12.0, 0.8),  # *
    arousal_rate=(0.0, 24.0, 8.0),  # *
    infraslow_gate=(0.0, 1.0, 0.0),
    infraslow_spread=0.006,
    theta=7.5,  # 6–10 Hz, PMC3774294
    wake_heart_rate=380.0,  # *
    haemodynamics=0.6,  # PMC8734587
    repetition_time=1.5,  # *
    lighter={0: (), 1: (0,), 2: (0,)},
)

SPECIES = {species.name: species for species in (_HUMAN, _MOUSE, _RAT)}


def get_species(name: str | Species) -> Species:
    """The preset of a species; one that is given is taken as it is.

    Raises:
        SharpwaveError: If there is none.
    """
    if isinstance(name, Species):
        return name
    if name not in SPECIES:
        raise SharpwaveError("species human, mouse or rat", got=repr(name), fix="choose the nearest of them")
    return SPECIES[name]
