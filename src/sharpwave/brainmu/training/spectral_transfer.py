"""Spectral transfer: nights of which band power alone is known, made into epochs of EEG to learn staging from.

Band power of a night in wide bands says what each epoch's spectrum was, but not how it ran within the epoch. So an
epoch that was recorded elsewhere, of the same stage where there is one, is moved by a curve over frequency until its
means over the wide bands are those of the night:

    power'[frame, f] = power[frame, f] + curve[f]                      (log10)
    curve            = straight lines over log f between one knot per wide band
    mean over frames and band b of 10^power' = 10^target[b]            for every b

The curve is the same in all frames of an epoch, so bursts stay bursts. Sequence, stages and contrasts between stages
are the night's own; what happens inside 30 s is the other recording's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from sharpwave.brainmu.encoders.electrophysiology import EEG
from sharpwave.brainmu.epochs import N_STAGES, STEP, UNSCORED, EpochedRecording, EpochGrid, ModalityEpochs
from sharpwave.brainmu.training.augmentation import (
    FEWEST_STEPS,
    LN10,
    Variation,
    draw_curve,
    vary_recording,
)
from sharpwave.errors import SharpwaveError

ITERATIONS = 8
FINE = 64
"""Frequencies within a wide band at which the spectrum between two centres is taken."""
LONGEST_PAST = 120
"""Steps before a crop at most, from which the channels' levels come."""
FRESH = 0.4
"""Share of the crops that begin a recording."""
SAME_STAGE = 0.8
"""Share of the crops whose epochs come from the same stage; in the others, nothing within an epoch tells its stage."""
ALIKE = ((0, 1, 4, 2, 3), (1, 0, 4, 2, 3), (2, 3, 1, 4, 0), (3, 2, 1, 4, 0), (4, 1, 0, 2, 3))
"""For each stage the stages whose epochs serve, the likest first."""
VARIATION = Variation(person=0.1)


@dataclass(frozen=True, eq=False)
class BandNight:
    """A night known by its band power.

    Attributes:
        log_power: Log10 µV²/Hz (relative power will do, gain varies anyway), NaN where unknown, (epoch, channel, band).
        edges: Lowest and highest frequency of each band in Hz.
        stages: Codes of five stages, -1 where unscored.
        channels: Name of each channel.
        subject: Who.
        cohort: Name of the cohort.
    """

    log_power: Float[np.ndarray, "epoch channel band"]
    edges: tuple[tuple[float, float], ...]
    stages: Int[np.ndarray, " epoch"]
    channels: tuple[str, ...]
    subject: str = "unknown"
    cohort: str = ""

    def __len__(self) -> int:
        return len(self.stages)


def compute_averaging(edges: Sequence[tuple[float, float]]) -> Float[np.ndarray, "band centre"]:
    """Weights that make the mean power of each wide band of the power at the encoder's frequencies.

    Args:
        edges: Lowest and highest frequency of each wide band in Hz.

    Example:
        >>> compute_averaging([(0.5, 4.0), (8.0, 12.0)]).sum(axis=1).round(6).tolist()
        [1.0, 1.0]
    """
    centres = EEG.frames.centres
    corners = np.eye(len(centres))
    rows = []
    for low, high in edges:
        places = np.linspace(low, high, FINE)
        rows.append([np.interp(places, centres, corner).mean() for corner in corners])
    return np.array(rows)


def make_basis(edges: Sequence[tuple[float, float]]) -> Float[np.ndarray, "band centre"]:
    """What each knot, in the middle of a wide band, adds at the encoder's frequencies: straight lines between them."""
    middles = np.log([np.sqrt(low * high) for low, high in edges])
    return np.array([np.interp(np.log(EEG.frames.centres), middles, corner) for corner in np.eye(len(edges))])


def compute_curves(
    power: Float[np.ndarray, "step centre"],
    target: Float[np.ndarray, "step channel band"],
    edges: Sequence[tuple[float, float]],
) -> Float[np.ndarray, "step channel centre"]:
    """Curve in log10 that brings the mean power of each wide band to its target; 0 where a target is NaN.

    Args:
        power: Mean power over the frames of an epoch, not its log, at the encoder's frequencies.
        target: Log10 of the mean power of each wide band.
        edges: Lowest and highest frequency of each wide band in Hz.

    Example:
        >>> flat = np.ones((1, 24))
        >>> curve = compute_curves(flat, np.array([[[1.0, 0.0]]]), [(0.5, 4.0), (8.0, 12.0)])
        >>> averaged = compute_averaging([(0.5, 4.0), (8.0, 12.0)]) @ 10 ** curve[0, 0]
        >>> np.log10(averaged).round(3).tolist()
        [1.0, 0.0]
    """
    averaging, basis = compute_averaging(edges), make_basis(edges)
    known = np.isfinite(target)
    target = np.where(known, target, 0.0)
    target, averaging, basis = (np.asarray(values, dtype=np.float32) for values in (target, averaging.T, basis))
    log_power = np.log(np.maximum(power, 1e-12)).astype(np.float32)[:, None]
    knots = np.zeros_like(target)
    for _ in range(ITERATIONS):
        moved = np.exp(log_power + LN10 * (knots @ basis)) @ averaging
        knots += np.where(known, target - np.log10(np.maximum(moved, 1e-12)), 0)
    return knots @ basis


@dataclass(frozen=True, eq=False)
class Templates:
    """Recorded epochs of each stage, from which transferred ones get what happens within 30 s.

    Attributes:
        power: Log10 power of the epochs of each stage, shape (epoch, frame, centre).
        weights: How often each epoch is taken, summing to one.

    Example:
        >>> templates = Templates.collect([(np.zeros((5, 29, 24)), np.array([0, 1, 2, 3, 4]), 1.0)])
        >>> templates.draw(np.array([3, -1]), np.random.default_rng(0)).shape
        (2, 29, 24)
    """

    power: Mapping[int, Float[np.ndarray, "epoch frame centre"]]
    weights: Mapping[int, Float[np.ndarray, " epoch"]]

    @classmethod
    def collect(cls, parts: Sequence[tuple[np.ndarray, np.ndarray, float]]) -> Templates:
        """Epochs of several recordings, each with their stages and the weight that each recording has in each stage.

        A stage of which there is none takes the epochs of the stage most like it.

        Raises:
            SharpwaveError: If there is no epoch.
        """
        power, weights = {}, {}
        for stage in range(N_STAGES):
            chosen = [(values[codes == stage], weight) for values, codes, weight in parts if (codes == stage).any()]
            if chosen:
                power[stage] = np.concatenate([values for values, _ in chosen])
                shares = np.concatenate([np.full(len(values), weight / len(values)) for values, weight in chosen])
                weights[stage] = shares / shares.sum()
        if not power:
            raise SharpwaveError("recorded or simulated epochs with stages", got="none", fix="add simulated nights")
        found = {stage: next(other for other in ALIKE[stage] if other in power) for stage in range(N_STAGES)}
        return cls(*({stage: part[other] for stage, other in found.items()} for part in (power, weights)))

    def draw(
        self, stages: Int[np.ndarray, " step"], rng: np.random.Generator
    ) -> Float[np.ndarray, "step frame centre"]:
        """An epoch of each of these stages, by chance; of any stage where it is -1."""
        stages = np.where(stages < 0, rng.integers(N_STAGES, size=len(stages)), stages)
        out = np.empty((len(stages), *next(iter(self.power.values())).shape[1:]), dtype=np.float32)
        for stage in np.unique(stages):
            here = np.flatnonzero(stages == stage)
            pool = self.power[int(stage)]
            out[here] = pool[rng.choice(len(pool), len(here), p=self.weights[int(stage)])]
        return out


class TransferredNights:
    """A source of crops of nights that are known by band power alone.

    Each crop gets other templates, a montage between the night's channels, another amplifier, and a start of its own.

    Args:
        nights: Nights with band power and stages.
        templates: Recorded epochs by stage.
        variation: How much people and recordings differ beside that.

    Raises:
        SharpwaveError: If there is no night with an epoch.

    Example:
        >>> templates = Templates.collect([(np.zeros((5, 29, 24)), np.array([0, 1, 2, 3, 4]), 1.0)])
        >>> night = BandNight(np.zeros((40, 2, 1)), ((0.5, 4.0),), np.zeros(40, dtype=np.int8), ("Fz", "Pz"))
        >>> crop = TransferredNights([night], templates).draw(np.random.default_rng(0), 10)
        >>> len(crop), crop.epochs["eeg"].values.shape[2:]
        (10, (29, 48))
    """

    def __init__(self, nights: Sequence[BandNight], templates: Templates, *, variation: Variation = VARIATION) -> None:
        self.nights = [night for night in nights if len(night)]
        if not self.nights:
            raise SharpwaveError(
                "at least one night with band power", got="none", fix="add one, or leave this source out"
            )
        self.templates, self.variation = templates, variation

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of a night round an epoch of some stage, every night and each of its stages alike.

        Deep sleep is a twentieth of what these people sleep, who are old: drawn as it comes, it would be unlearned.
        """
        night = self.nights[int(rng.integers(len(self.nights)))]
        stage = rng.choice(np.unique(night.stages[night.stages >= 0])) if (night.stages >= 0).any() else UNSCORED
        held = int(rng.choice(np.flatnonzero(night.stages == stage)))
        latest = max(len(night) - n_steps, 0)
        first = int(rng.integers(min(max(held - n_steps + 1, 0), latest), min(held, latest) + 1))
        past = 0 if rng.random() < FRESH else int(rng.integers(LONGEST_PAST + 1))
        begin, last = max(first - past, 0), min(first + n_steps, len(night))
        mixed = mix_channels(night, begin, last, rng)
        crop = _render(mixed, self.templates, rng, same_stage=SAME_STAGE, person=self.variation.person)
        crop = replace(crop, grid=replace(crop.grid, start=begin * STEP))
        return vary_recording(crop, rng=rng, variation=self.variation).restrict(first - begin, last - begin)


def mix_channels(night: BandNight, first: int, last: int, rng: np.random.Generator) -> BandNight:
    """Steps first to last (excluded), every channel at some place between it and another one."""
    power = night.log_power[first:last]
    n_channels = power.shape[1]
    shares = np.where(rng.random(n_channels) < 0.7, rng.uniform(0, 0.5, n_channels), 0.0)
    others = rng.permutation(n_channels)
    mixed = power * (1 - shares[:, None]) + power[:, others] * shares[:, None]
    return BandNight(mixed, night.edges, night.stages[first:last], night.channels, night.subject, night.cohort)


def transfer(
    night: BandNight, templates: Templates, *, rng: np.random.Generator, same_stage: float = SAME_STAGE
) -> EpochedRecording:
    """A night of band power as epochs of EEG; a step without any band power is absent.

    Args:
        night: Band power and stages.
        templates: Recorded epochs by stage.
        rng: Draws the templates.
        same_stage: Chance that templates are of the same stage; else they are of any, for all steps at once.
    """
    raw = _render(night, templates, rng, same_stage=same_stage, person=0.0)
    return replace(raw, epochs={"eeg": EEG.normalise(raw.epochs["eeg"])[0]})


def _render(
    night: BandNight, templates: Templates, rng: np.random.Generator, *, same_stage: float, person: float
) -> EpochedRecording:
    """The same as log power alone, not compared with its level; `person` is how far each stage's spectrum varies."""
    stages = np.asarray(night.stages, dtype=np.int8)
    kept = stages if rng.random() < same_stage else np.full_like(stages, UNSCORED)
    frames = templates.draw(kept, rng)
    curves = compute_curves(np.exp(LN10 * frames).mean(axis=1), night.log_power, night.edges)
    curves += person * draw_curve((N_STAGES + 1,), EEG.frames.n_bands, rng=rng).astype(np.float32)[stages, None]
    present = np.isfinite(night.log_power).any(axis=2)
    values = (frames[:, None] + curves[:, :, None]) * present[..., None, None]
    votes = np.zeros((len(stages), N_STAGES), dtype=np.float32)
    votes[stages >= 0, stages[stages >= 0]] = 1.0
    part = ModalityEpochs(values.astype(np.float32), present, night.channels)
    grid = EpochGrid(0.0, STEP, len(stages))
    return EpochedRecording(grid, {"eeg": part}, stages, votes, cohort=night.cohort, subject=night.subject)


def lend_contrasts(night: EpochedRecording, person: BandNight) -> EpochedRecording:
    """A night whose stages differ from each other, in the EEG, as those of this person do; what they share stays.

    Simulated people resemble each other far too much: this gives one the five spectra of someone real.

    Args:
        night: A night with EEG and five stages.
        person: Band power and stages; stages that either lacks stay as they are.
    """
    part, stages = night.epochs["eeg"], np.asarray(night.stages)
    power = part.values[..., : EEG.frames.n_bands]
    linear = np.exp(LN10 * power).mean(axis=2) @ compute_averaging(person.edges).T
    own, wanted = np.full((2, N_STAGES, len(person.edges)), np.nan)
    for stage in range(N_STAGES):
        here = part.present & (stages == stage)[:, None]
        theirs = person.log_power[person.stages == stage].reshape(-1, len(person.edges))
        theirs = theirs[np.isfinite(theirs).all(axis=1)]
        if here.sum() >= FEWEST_STEPS and len(theirs) >= FEWEST_STEPS:
            own[stage] = np.log10(np.maximum(linear[here], 1e-12)).mean(axis=0)
            wanted[stage] = theirs.mean(axis=0)
    known = np.isfinite(own).all(axis=1)
    difference = np.where(known[:, None], wanted - own, 0.0)
    difference[known] -= difference[known].mean(axis=0) if known.any() else 0.0
    offsets = np.concatenate([difference @ make_basis(person.edges), np.zeros((1, power.shape[3]))])
    moved = np.where(power == 0, 0, power + offsets[stages].astype(np.float32)[:, None, None])
    raw = ModalityEpochs(moved * part.present[..., None, None], part.present, part.channels)
    return replace(night, epochs={**night.epochs, "eeg": EEG.normalise(raw)[0]})
