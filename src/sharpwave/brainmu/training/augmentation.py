"""Other people and other amplifiers: what differs between recordings of the same sleep, put into nights to learn from.

Simulated people resemble each other far more than real ones. On epochs of log power all of it is addition: a gain is a
constant, a filter or reference a curve over frequency, another person a curve for each stage.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.electrophysiology import Electrophysiology, normalise_to_level
from sharpwave.brainmu.epochs import N_STAGES, EpochedRecording, ModalityEpochs

WAKEFULNESS = (1.0, 0.5, 0.0, 0.0, 0.3)
"""How far each of the five stages takes part in what sets a person's wake apart from the person's deep sleep."""
KNOTS = 6
FEWEST_STEPS = 5
ANONYMOUS = "EEG"
LN10 = np.float32(np.log(10))


@dataclass(frozen=True)
class Variation:
    """How much recordings differ; standard deviations are of log10 power.

    Attributes:
        person: Smooth curve over frequency of each stage of a person.
        matched: Chance that a person has the contrast of a real one, where those are given.
        gain: Constant.
        tilt: Per decade of frequency.
        curve: Smooth curve over frequency: filters, reference, electrode.
        noise: Chance of a noise floor.
        lost: Chance that the highest bands are missing, as at a lower rate.
        anonymous: Chance that the channels' names say nothing.
    """

    person: float = 0.15
    matched: float = 0.7
    gain: float = 0.2
    tilt: float = 0.1
    curve: float = 0.1
    noise: float = 0.3
    lost: float = 0.3
    anonymous: float = 0.5


def draw_curve(shape: tuple[int, ...], n_bands: int, *, rng: np.random.Generator) -> Float[np.ndarray, "... band"]:
    """Smooth random curves over bands, about unit variance: straight lines between random knots."""
    knots = rng.standard_normal((*shape, KNOTS))
    place = np.linspace(0, KNOTS - 1, n_bands)
    left = np.minimum(place.astype(int), KNOTS - 2)
    share = place - left
    return knots[..., left] * (1 - share) + knots[..., left + 1] * share


def vary_person(
    night: EpochedRecording,
    *,
    rng: np.random.Generator,
    contrasts: Float[np.ndarray, "person band"] | None = None,
    variation: Variation | None = None,
) -> EpochedRecording:
    """A simulated night as another person would have slept it: the same stages, other spectra in each.

    Args:
        night: A night with stages among five; other nights come back as they are.
        rng: Random generator.
        contrasts: Log10 power of wake less that of deep sleep in the bands of the EEG, of real people; one of them
            becomes the night's own.
        variation: How much people differ beside that.
    """
    variation = variation or Variation()
    stages = np.asarray(night.stages)
    if night.n_stages != N_STAGES or not (stages >= 0).any():
        return night
    epochs = dict(night.epochs)
    for name, part in night.epochs.items():
        specification = ENCODERS[name]
        if not isinstance(specification, Electrophysiology):
            continue
        power = part.values[..., : specification.frames.n_bands]
        offsets = variation.person * draw_curve((N_STAGES,), power.shape[3], rng=rng)
        if name == "eeg" and contrasts is not None and len(contrasts) and rng.random() < variation.matched:
            own = compute_contrast(night)
            wanted = contrasts[rng.integers(len(contrasts))]
            offsets += 0 if own is None else np.outer(WAKEFULNESS, wanted - own)
        added = (offsets[np.maximum(stages, 0)] * (stages >= 0)[:, None]).astype(np.float32)
        epochs[name] = _normalise(part, np.where(power == 0, 0, power + added[:, None, None]))
    return replace(night, epochs=epochs)


def compute_contrast(night: EpochedRecording) -> Float[np.ndarray, " band"] | None:
    """Log10 power of wake less that of deep sleep in the bands of the EEG; None where either is too rare."""
    part, stages = night.epochs["eeg"], np.asarray(night.stages)
    power = part.values[..., : part.values.shape[3] // 2].mean(axis=2)
    means = []
    for stage in (0, 3):
        here = part.present & (stages == stage)[:, None]
        if here.sum() < FEWEST_STEPS:
            return None
        means.append(power[here].mean(axis=0))
    return means[0] - means[1]


def vary_recording(
    night: EpochedRecording, *, rng: np.random.Generator, variation: Variation | None = None
) -> EpochedRecording:
    """A night as another amplifier and other electrodes would have recorded it, channel by channel.

    Args:
        night: Any night.
        rng: Random generator.
        variation: How much recordings differ.
    """
    variation = variation or Variation()
    epochs = dict(night.epochs)
    for name, part in night.epochs.items():
        specification = ENCODERS[name]
        if not isinstance(specification, Electrophysiology):
            continue
        n_bands, n_channels = specification.frames.n_bands, len(part.channels)
        decades = np.log10(specification.frames.centres)
        slope = decades - decades.mean()
        added = variation.gain * rng.standard_normal((n_channels, 1))
        added = added + variation.tilt * rng.standard_normal((n_channels, 1)) * slope
        added += variation.curve * draw_curve((n_channels,), n_bands, rng=rng)
        power = part.values[..., :n_bands]
        varied = power + added[:, None].astype(np.float32)
        floor = rng.uniform(-3, -1.5, (n_channels, 1)) + rng.standard_normal((n_channels, 1)) * slope
        for channel in np.flatnonzero(rng.random(n_channels) < variation.noise):
            loud = floor[channel].astype(np.float32)
            varied[:, channel] = np.logaddexp(varied[:, channel] * LN10, loud * LN10) / LN10
        if rng.random() < variation.lost:
            varied[..., rng.integers(n_bands - 6, n_bands) :] = 0
        channels = part.channels
        if rng.random() < variation.anonymous:
            channels = tuple(ANONYMOUS if name == "eeg" else name for _ in channels)
        epochs[name] = _normalise(replace(part, channels=channels), np.where(power == 0, 0, varied))
    return replace(night, epochs=epochs)


def _normalise(part: ModalityEpochs, power: Float[np.ndarray, "step channel frame band"]) -> ModalityEpochs:
    """The epochs with other power where there is any, and their levels so far."""
    power = (power * part.present[..., None, None]).astype(np.float32)
    return normalise_to_level(ModalityEpochs(power, part.present, part.channels))[0]
