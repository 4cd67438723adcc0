"""Whether a channel can be EEG at all: noise, hum, a flat line and other modalities under its label are told apart.

Sleep changes the shape of the spectrum from epoch to epoch; nothing else that is found under the label of an EEG does
so as much. A few measures of some hundred epochs, the same at every rate and gain, say what is wrong in a sentence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.recordings.recording import Signal

EPOCH = 30.0
"""Seconds of an epoch."""
MOST_EPOCHS = 240
"""Epochs that are looked at, spread evenly over the recording."""
FEWEST_EPOCHS = 20
RATE = 128.0
"""Hz: a faster signal is averaged down to about this rate."""
SLOWEST = 50.0
"""Hz: a slower signal has no beta band and is not judged."""

LEAST_CHANGE = 0.28
"""Least change of the spectrum within a quarter of a recording: real nights have 0.38 to 1.5, noise and hum to 0.2."""
LEAST_BRIEFLY, BRIEF, LONG = 0.15, 24, 80
"""The same in so few epochs, rising to `LEAST_CHANGE` in as many as that: a quarter of a short recording may be of one
stage. Pieces of 12 min of two real nights (UCDDB 022, Sleep-EDF SC4001) have 0.16 or more, white to brown noise 0.08 to
0.16."""
MOST_STEADY = 0.35
"""Change above which peaks and rhythms are not taken for a heart's, which changes by less than 0.2."""
FLATTEST, RISING = -0.35, 0.3
"""Median slope of the log spectrum, 1 to 30 Hz, that is doubtful, and that no EEG has: real ones have −0.7 to −2.8."""
MOST_PEAKED = 7.0
"""Largest median excess kurtosis, 0.75 to 30 Hz: real nights have up to 4.7, an ECG 6 to 19."""
MOST_PERIODIC = 0.45
"""Largest median correlation with itself a heart beat later: real nights have up to 0.27, a pulse 0.8."""
BEATS = (3.0, 0.28)
"""Kurtosis and periodicity that together say heart beats."""
MOST_SLOW = 0.95
"""Largest median share of power under 0.75 Hz: real nights have up to 0.77."""
SMALLEST_UV = 1.0
"""Smallest median standard deviation, 0.75 to 30 Hz, in µV: less is a floating input; real nights have 5 or more."""
EDGE = 2.0
"""Seconds at either end of an epoch that a filter spoils."""
MICROVOLTS = 1e6


@dataclass(frozen=True)
class Plausibility:
    """Measures of some hundred epochs of a channel, each a median over them.

    Attributes:
        change: Spread over epochs, 10th to 90th percentile, of log10 of delta over sigma and beta power; the median
            over the quarters of the recording, so that a step from one kind of noise to another is no change.
        slope: Slope of log power over log frequency, 1 to 30 Hz.
        peaked: Excess kurtosis, 0.75 to 30 Hz.
        periodic: Largest correlation of the rectified signal with itself 0.4 to 1.6 s later.
        slow: Share of the power that lies under 0.75 Hz.
        amplitude_uv: Standard deviation, 0.75 to 30 Hz, in µV.
        shape: log10 of delta over sigma and beta power by the onset of the epoch in s.
    """

    change: float
    slope: float
    peaked: float
    periodic: float
    slow: float
    amplitude_uv: float
    shape: Mapping[float, float]

    def find_objection(self, *, unit_known: bool = True) -> str | None:
        """Why the channel cannot be EEG, as the end of a sentence; None where nothing speaks against it.

        Args:
            unit_known: Whether the amplitude is in a known unit, so that it can be judged; True by default.

        >>> Plausibility(1.2, -2.0, 1.0, 0.1, 0.2, 20.0, {30.0 * k: 1.0 for k in range(60)}).find_objection() is None
        True
        """
        if not self.shape:
            return "holds no signal: it is flat or missing throughout"
        if self.slow > MOST_SLOW:
            return f"looks like breathing or drift: {self.slow:.0%} of its power lies under 0.75 Hz"
        if unit_known and self.amplitude_uv < SMALLEST_UV:
            return f"is flat: {self.amplitude_uv:.2g} µV between 0.75 and 30 Hz, as from an electrode that is off"
        if len(self.shape) < FEWEST_EPOCHS:
            return None
        beats = self.peaked > BEATS[0] and self.periodic > BEATS[1]
        if self.change < MOST_STEADY and (self.peaked > MOST_PEAKED or self.periodic > MOST_PERIODIC or beats):
            return "looks like an ECG or a pulse: the same peaks or waves come back with every heart beat"
        if self.slope > RISING:
            return "looks like muscle or noise: its power rises from 1 to 30 Hz"
        if self.change < np.interp(len(self.shape), (BRIEF, LONG), (LEAST_BRIEFLY, LEAST_CHANGE)):
            return (
                "looks like noise or hum: its spectrum hardly changes from epoch to epoch, as it does in sleep and wake"
            )
        return None

    def find_doubt(self) -> str | None:
        """Why the channel is unlike EEG without being surely something else; None where nothing is.

        >>> Plausibility(1.2, -0.1, 1.0, 0.1, 0.2, 20.0, {30.0 * k: 1.0 for k in range(60)}).find_doubt()
        'has a nearly flat spectrum from 1 to 30 Hz, as noise has'
        """
        if len(self.shape) < FEWEST_EPOCHS:
            return None
        if self.slope > FLATTEST:
            return "has a nearly flat spectrum from 1 to 30 Hz, as noise has"
        if self.change < LEAST_CHANGE:
            return "hardly changes from epoch to epoch: so do a short stretch of one stage, and noise"
        return None

    def correlate(self, other: Plausibility) -> float:
        """How far two channels rise and fall together from slow to fast waves: −1 to 1, NaN with too few epochs.

        Args:
            other: Measures of another channel of the same recording.

        >>> course = {30.0 * k: k % 7 for k in range(60)}
        >>> one = Plausibility(1.2, -2.0, 1.0, 0.1, 0.2, 20.0, course)
        >>> round(one.correlate(one), 6)
        1.0
        """
        both = sorted(set(self.shape) & set(other.shape))
        if len(both) < FEWEST_EPOCHS:
            return float("nan")
        return float(np.corrcoef([self.shape[onset] for onset in both], [other.shape[onset] for onset in both])[0, 1])


def measure_plausibility(signal: Signal) -> Plausibility | None:
    """What says whether a channel can be EEG; None where it is too slow to be judged.

    Args:
        signal: One channel; it may lie on disk, and at most `MOST_EPOCHS` epochs of it are read.

    >>> from sharpwave.recordings import MODALITIES
    >>> noise = np.random.default_rng(0).normal(0, 20e-6, 120_000)
    >>> found = measure_plausibility(Signal("C4-M1", noise, 100.0, MODALITIES["eeg"]))
    >>> found.find_objection()
    'looks like noise or hum: its spectrum hardly changes from epoch to epoch, as it does in sleep and wake'
    """
    if signal.times is not None or signal.rate < SLOWEST or len(signal.samples.shape) != 1:
        return None
    n_epochs = int((signal.end - signal.start) // EPOCH)
    chosen = np.unique(np.linspace(0, n_epochs - 1, min(n_epochs, MOST_EPOCHS)).round().astype(int))
    step = max(1, int(signal.rate // RATE))
    rows = {EPOCH * index: _read_epoch(signal, signal.start + EPOCH * index, step) for index in chosen.tolist()}
    found = {signal.start + onset: row for onset, row in rows.items() if row is not None}
    if not found:
        return Plausibility(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, {})
    length = min(map(len, found.values()))
    epochs = np.stack([row[:length] for row in found.values()]) * MICROVOLTS
    return _measure(epochs, signal.rate / step, list(found))


def _read_epoch(signal: Signal, start: float, step: int) -> Float[np.ndarray, " sample"] | None:
    """An epoch, averaged down by `step`, without its mean; None where it is flat or has missing samples."""
    samples = np.asarray(signal.read(start, start + EPOCH), dtype=float)
    samples = samples[: len(samples) // step * step].reshape(-1, step).mean(axis=1)
    if len(samples) < 0.9 * EPOCH * signal.rate / step or not np.isfinite(samples).all() or np.ptp(samples) == 0:
        return None
    return samples - samples.mean()


def _measure(epochs: Float[np.ndarray, "epoch sample"], rate: float, onsets: Sequence[float]) -> Plausibility:
    from scipy.signal import butter, sosfiltfilt, welch
    from scipy.stats import kurtosis

    highest = min(30.0, 0.45 * rate)
    frequencies, power = welch(epochs, rate, nperseg=int(4 * rate), axis=1)
    power += 1e-12 * power.max(axis=1, keepdims=True)
    inside = (frequencies >= 1) & (frequencies <= highest)
    x, y = np.log10(frequencies[inside]), np.log10(power[:, inside])
    slopes = (y - y.mean(axis=1, keepdims=True)) @ (x - x.mean()) / ((x - x.mean()) ** 2).sum()

    def sum_band(low: float, high: float) -> np.ndarray:
        return power[:, (frequencies >= low) & (frequencies < high)].sum(axis=1)

    shape = np.log10(sum_band(0.75, 4) / (sum_band(11, highest)))
    band = sosfiltfilt(butter(3, [0.75, highest], "band", fs=rate, output="sos"), epochs, axis=1)
    band = band[:, int(EDGE * rate) : -int(EDGE * rate)]
    values = {
        "slope": slopes,
        "peaked": kurtosis(band, axis=1),
        "periodic": _correlate(np.abs(band), rate),
        "slow": sum_band(0, 0.75) / power.sum(axis=1),
        "amplitude_uv": band.std(axis=1),
    }
    quarters = [np.ptp(np.percentile(part, (10, 90))) for part in np.array_split(shape, 4) if len(part) > 1]
    return Plausibility(
        float(np.median(quarters)) if quarters else 0.0,
        **{name: float(np.median(each)) for name, each in values.items()},
        shape=dict(zip(onsets, shape.tolist(), strict=True)),
    )


def _correlate(rectified: Float[np.ndarray, "epoch sample"], rate: float) -> Float[np.ndarray, " epoch"]:
    """Largest correlation of each epoch with itself 0.4 to 1.6 s later."""
    step = max(1, int(rate // 32))
    short = rectified[:, : rectified.shape[1] // step * step].reshape(len(rectified), -1, step).mean(axis=2)
    short = short - short.mean(axis=1, keepdims=True)
    spectrum = np.abs(np.fft.rfft(short, 2 * short.shape[1], axis=1)) ** 2
    lags = np.fft.irfft(spectrum, axis=1)
    first, last = int(0.4 * rate / step), int(1.6 * rate / step)
    return lags[:, first:last].max(axis=1) / np.maximum(lags[:, 0], 1e-30)
