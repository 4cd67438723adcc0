"""Small recordings of each modality that Brainµ knows, and ways to spoil them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

RATES: dict[str, tuple[float, ...]] = {
    "eeg": (50.0, 100.02, 128.0, 1000.0),
    "eog": (50.0, 200.0),
    "emg": (100.0, 256.0),
    "ecg": (100.0, 256.0),
    "lfp": (250.0, 1000.0),
    "bold": (0.5, 1 / 1.5, 1 / 0.8),
    "calcium": (10.0, 31.0),
    "acceleration": (20.0, 51.2),
    "heart_rate": (1.0, 1 / 30, 0.21),
    "activity": (1.0, 30.0),
    "oxygen": (1.0, 8.0),
    "temperature": (1 / 60, 1.0),
    "position": (30.0, 39.06),
    "performance": (0.1,),
    "features": (1 / 30, 0.2),
}
"""Usual and unusual sampling rates of each modality in Hz, the first for most tests."""

SPOILT = 7.0
"""Factor on noise that replaces samples."""


def make_recording(
    name: str,
    rng: np.random.Generator,
    *,
    seconds: float = 300.0,
    n_channels: int = 2,
    rate: float | None = None,
    irregular: bool = False,
) -> Recording:
    """A recording of one modality, of noise."""
    if name == "stages":
        n_epochs = int(seconds // 30)
        votes = rng.dirichlet(np.ones(5), n_epochs)
        return Recording(hypnogram=Hypnogram(votes.argmax(axis=1), probabilities=votes))
    if name == "spikes":
        import pynapple as nap

        units = {u: nap.Ts(np.sort(rng.uniform(0, seconds, 300 + 100 * u))) for u in range(n_channels)}
        return Recording(spikes=nap.TsGroup(units, time_support=nap.IntervalSet(0, seconds)))
    rate = RATES[name][0] if rate is None else rate
    n_samples = int(seconds * rate)
    times = np.arange(n_samples) / rate
    if irregular:
        times = times + rng.uniform(0, 0.4 / rate, n_samples)
    shape = (n_samples, 3) if name == "acceleration" else (n_samples,)
    signals = {}
    for index in range(n_channels):
        samples = 50 + 10 * rng.standard_normal(shape)
        signals[f"{name} {index}"] = Signal(
            f"{name} {index}",
            samples.astype(np.float32),
            rate,
            MODALITIES[name],
            scale=1e-6 if name in ("eeg", "eog", "emg", "ecg", "lfp") else 1.0,
            times=times if irregular else None,
        )
    return Recording(signals=signals)


def spoil_after(recording: Recording, moment: float, rng: np.random.Generator) -> Recording:
    """The recording with everything from a moment on replaced by other noise, and slow samples that last beyond it."""
    signals = {}
    for name, signal in recording.signals.items():
        times = signal.start + np.arange(len(signal)) / signal.rate if signal.times is None else signal.times
        samples = np.array(signal.samples[:])
        lasts = 1 / signal.rate if signal.rate <= 1 and signal.times is None else 0.0
        later = (times >= moment - 1e-9) | (times + lasts > moment + 1e-6)
        samples[later] = SPOILT * rng.standard_normal(samples[later].shape) * np.std(samples)
        signals[name] = replace(signal, samples=samples)
    hypnogram = recording.hypnogram
    if hypnogram is not None:
        later = hypnogram.onsets + hypnogram.epoch_length > moment + 1e-9
        stages = np.array(hypnogram.stages)
        stages[later] = rng.integers(0, hypnogram.n_stages, later.sum())
        probabilities = np.eye(hypnogram.n_stages)[np.maximum(stages, 0)]
        if hypnogram.probabilities is not None:
            probabilities[~later] = np.asarray(hypnogram.probabilities)[~later]
        hypnogram = replace(hypnogram, stages=stages, probabilities=probabilities)
    return replace(recording, signals=signals, hypnogram=hypnogram, spikes=_spoil_spikes(recording, moment, rng))


def _spoil_spikes(recording: Recording, moment: float, rng: np.random.Generator) -> object:
    if recording.spikes is None:
        return None
    import pynapple as nap

    support = recording.spikes.time_support
    end = float(support.end[-1])
    units = {}
    for unit in recording.spikes.keys():  # noqa: SIM118
        before = recording.spikes[unit].t
        units[unit] = nap.Ts(np.r_[before[before < moment], moment, np.sort(rng.uniform(moment, end, 900))])
    return nap.TsGroup(units, time_support=support)
