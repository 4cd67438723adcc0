"""Laboratories to adapt a stager to: simulated ones with settings of their own, and real people known by band power.

A simulated laboratory records sleepers of `sharpwave.simulation` with its own derivation, filter, tilt, noise and age;
each sleeper has spectra of their own beside, in each stage, which differ between people as much as real ones do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.staging.baselines import StagedFeatures
from sharpwave.benchmarks.staging.left_out import BANDS, SHARED, make_night
from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.training.spectral_transfer import BandNight, Templates, transfer
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.staging import compute_staging_features, smooth_features
from sharpwave.staging.yasa_stager import YasaStager, resample_signal

RATE = 100.0
HOURS = 3.0
WINDOW = 400
"""Samples of a window in which spectra are changed."""
N_WAVES = 4
"""Smooth curves over frequency are sums of so many cosines."""
BETWEEN_PEOPLE, BETWEEN_STAGES = 2.0, 2.5
"""Standard deviation in dB of a person's spectrum, and of each stage's beside it: log power of real people differs by
.2 to .45 in what a stage changes."""
DEEP = 3
SLOW = 4.0


@dataclass(frozen=True)
class Lab:
    """How a laboratory records, and whom.

    Attributes:
        name: What the table calls it.
        n_nights: Nights of as many people.
        channel: Derivation, as its files name it.
        frontal: Share of the frontal channel that is taken away from the central one; 0 for the mastoid.
        band: Highpass and lowpass in Hz.
        tilt: Slope of the amplifier in dB per octave.
        floor: Noise in µV.
        gain: Factor on the amplitude.
        age: How much smaller slow waves of deep sleep are, in dB.
    """

    name: str
    n_nights: int
    channel: str
    frontal: float
    band: tuple[float, float]
    tilt: float
    floor: float
    gain: float
    age: float


LABS = (
    Lab("simulated lab, 5 nights", 5, "C4-M1", 0.0, (0.5, 35.0), -1.0, 2.0, 1.0, 0.0),
    Lab("simulated lab, 10 nights", 10, "Fpz-Cz", 0.7, (0.3, 30.0), 1.5, 3.0, 0.6, 4.0),
    Lab("simulated lab, 20 nights", 20, "C3-A2", 0.3, (1.0, 45.0), -2.0, 6.0, 1.8, 2.0),
)
TRIAL = Lab("simulated lab of trials", 8, "C4-A1", 0.5, (0.7, 40.0), 1.0, 4.0, 1.3, 3.0)
"""On which settings of fine-tuning are chosen; no row comes from it."""


@dataclass(frozen=True, eq=False)
class LabNight:
    """A night in every form that some method learns from.

    Attributes:
        subject: Whose.
        epochs: As Brainµ sees it, with the stages as history.
        tested: The same as it is tested, where that differs; `epochs` else.
        table: As LightGBM sees it.
        yasa: Probabilities by YASA's classifier as published, None where there is no signal for it.
    """

    subject: str
    epochs: EpochedRecording
    tested: EpochedRecording
    table: StagedFeatures
    yasa: Float[np.ndarray, "epoch stage"] | None = None


def simulate_sleepers(n: int, *, seed: int, hours: float = HOURS) -> list[tuple[Recording, Hypnogram]]:
    """Two channels of EEG at `RATE` with an expert's stages, and the true ones."""
    from sharpwave.simulation import simulate_night

    sleepers = []
    for index, stream in enumerate(np.random.default_rng(seed).spawn(n)):
        night, truth = simulate_night("human", hours, rng=stream, subject=f"sleeper-{index}", modalities=("eeg",))
        signals = {name: resample_signal(signal, rate=RATE) for name, signal in night.signals.items()}
        sleepers.append((replace(night, signals=signals), truth.hypnogram))
    return sleepers


def record_in_lab(night: Recording, truth: Hypnogram, lab: Lab, *, rng: np.random.Generator) -> Recording:
    """A sleeper as this laboratory records them: one channel, no clock.

    Args:
        night: A central and a frontal channel.
        truth: True stages, which the sleeper's own spectra follow.
        lab: The laboratory.
        rng: Draws the sleeper's spectra and the noise.
    """
    from scipy.signal import butter, istft, sosfiltfilt, stft

    central, frontal = (night[name].read(dtype=np.float64) for name in list(night.signals)[:2])
    samples = central - lab.frontal * frontal
    frequencies, times, spectrum = stft(samples, RATE, nperseg=WINDOW)
    octaves = np.log2(np.clip(frequencies, 0.3, None) / 10.0)
    own = draw_curves(6, frequencies, rng=rng) * np.array([BETWEEN_PEOPLE, *[BETWEEN_STAGES] * 5])[:, None]
    stages = np.clip(truth.at(np.clip(times, 0, truth.end - 1e-3)), 0, 4).astype(int)
    gains = own[0] + lab.tilt * octaves + own[1 + stages]
    gains -= lab.age * (stages == DEEP)[:, None] * (frequencies < SLOW)
    smooth = np.stack([np.convolve(column, np.full(5, 0.2), mode="same") for column in gains.T])
    samples = istft(spectrum * 10 ** (smooth / 20), RATE, nperseg=WINDOW)[1][: len(samples)]
    low, high = lab.band
    samples = sosfiltfilt(butter(2, (low, high), "bandpass", fs=RATE, output="sos"), samples)
    samples = lab.gain * (samples + 1e-6 * lab.floor * rng.standard_normal(len(samples)))
    source = next(iter(night.signals.values()))
    signal = replace(source, name=lab.channel, samples=samples.astype(np.float32), scale=1.0, offset=0.0)
    metadata = {name: value for name, value in night.metadata.items() if not name.startswith("lights_")}
    return replace(night, signals={lab.channel: signal}, metadata=metadata, start=None)


def draw_curves(
    n: int, frequencies: Float[np.ndarray, " frequency"], *, rng: np.random.Generator
) -> Float[np.ndarray, "curve frequency"]:
    """Smooth random curves over the logarithm of frequency, of unit standard deviation.

    >>> draw_curves(2, np.linspace(0, 50, 11), rng=np.random.default_rng(0)).shape
    (2, 11)
    """
    place = np.log(np.clip(frequencies, 0.5, 50.0) / 0.5) / np.log(100.0)
    waves = np.cos(np.pi * np.arange(N_WAVES)[:, None] * place) * np.sqrt([1.0, *[2.0] * (N_WAVES - 1)])[:, None]
    return rng.standard_normal((n, N_WAVES)) @ waves / np.sqrt(N_WAVES)


def open_lab(lab: Lab, sleepers: Sequence[tuple[Recording, Hypnogram]], *, seed: int) -> list[LabNight]:
    """The first sleepers, as many as the laboratory has nights, in every form."""
    streams = np.random.default_rng(seed).spawn(lab.n_nights)
    return [
        describe_night(record_in_lab(night, truth, lab, rng=rng), lab.channel)
        for (night, truth), rng in zip(sleepers, streams, strict=False)
    ]


def describe_night(recording: Recording, channel: str) -> LabNight:
    """A recording of one channel in every form."""
    epochs = epoch_recording(recording, modalities=("stages", "eeg"), cohort="lab", every_channel=True)
    yasa = YasaStager(from_file_start=False).stage(recording, {"eeg": channel})
    features, missing = compute_staging_features({"eeg": recording[channel]})
    table = smooth_features(features, missing=missing, demography={}, hours_before=None)
    rows = min(len(epochs), len(table), len(yasa))
    stages = np.asarray(epochs.stages[:rows], dtype=int)
    staged = StagedFeatures(recording.subject, table.iloc[:rows], table.shape[1], stages)
    epochs = epochs.restrict(0, rows)
    assert yasa.probabilities is not None  # YASA's classifier gives them
    return LabNight(recording.subject, epochs, epochs, staged, np.asarray(yasa.probabilities[:rows]))


SETS = {"Sleep-EDF": "sleep-edf-bands", "HMC": "hmc-bands"}
MOST_PEOPLE = 12
"""Of HMC."""


def load_banded(name: str, data: Path | None, simulated: Sequence[Recording]) -> list[LabNight]:
    """Real people by spectral transfer; none where their data set, or UCDDB whose epochs are moved, is absent.

    What happens within 30 s comes from other recordings of the same stage. Nights to learn from take it from UCDDB's
    022 and half of the simulated sleepers, nights to be tested from the other people of UCDDB and the other half: what
    is learned of it serves nobody in the test.

    Args:
        name: Key of `SETS`.
        data: Folder of data sets.
        simulated: Simulated sleepers.

    Raises:
        SharpwaveError: If one of the data sets is damaged.
    """
    from sharpwave.recipes.band_nights import collect_templates, load_band_nights, take_bands
    from sharpwave.recipes.staging_nights import WHOLE, load_raw_ucddb
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    if not all(list_subjects(one, data, required=False) for one in (SETS[name], "ucddb")):
        return []
    if name == "HMC":
        recordings = (load_dataset(f"{SETS[name]}/{one}", data) for one in list_subjects(SETS[name], data))
        found = [night for r in recordings if r.signals and (night := take_bands(r)) is not None]
        nights = [without_wake(night) for night in found][:MOST_PEOPLE]
    else:
        nights = load_band_nights(data, sets=(SETS[name],))
    recorded = load_raw_ucddb(data)
    own = [epoch_recording(r, modalities=("eeg",), cohort="simulated human", every_channel=True) for r in simulated]
    known = [night for night in recorded if night.subject in WHOLE]
    others = [night for night in recorded if night.subject not in WHOLE]
    learned, tested = collect_templates(known, own[::2]), collect_templates(others, own[1::2])
    measures = list(SHARED) if name == "HMC" else list(BANDS)
    return [render(night, learned, tested, measures, seed=index) for index, night in enumerate(nights)]


def without_wake(night: BandNight) -> BandNight:
    """The scored epochs of sleep, end to end: HMC's bands hold no wake."""
    kept = np.flatnonzero(night.stages > 0)
    return replace(night, log_power=night.log_power[kept], stages=night.stages[kept])


def render(night: BandNight, learned: Templates, tested: Templates, measures: Sequence[str], *, seed: int) -> LabNight:
    """A night of band power in every form; the stage history beside it is the expert's."""
    rng = np.random.default_rng([7, seed])
    forms = [transfer(night, templates, rng=rng, same_stage=1.0) for templates in (learned, tested)]
    power = night.log_power[:, :, : len(measures)].reshape(len(night), -1)
    names = [f"{channel} {measure}" for channel in night.channels for measure in measures]
    table = make_table(night, power, names)
    return LabNight(night.subject, add_history(forms[0]), forms[1], table)


def make_table(night: BandNight, power: np.ndarray, names: Sequence[str]) -> StagedFeatures:
    """Band power relative to the night, with context; epochs without it are kept, as NaN."""
    here = np.isfinite(power).all(axis=1)
    part = make_night(night.subject, power, night.stages, names)
    table = part.table.set_axis(np.flatnonzero(here), axis=0).reindex(np.arange(len(night)))
    return StagedFeatures(night.subject, table, part.n_own, np.asarray(night.stages, dtype=int))


def add_history(night: EpochedRecording) -> EpochedRecording:
    """With its stages as the history that `sharpwave finetune` sees beside the signals."""
    stages = Hypnogram(np.asarray(night.stages, dtype=np.int8), night.grid.step)
    history = epoch_recording(Recording(hypnogram=stages), modalities=("stages",)).epochs["stages"]
    return replace(night, epochs={"stages": history, **night.epochs})
