"""Spectra, spectrograms, band power and depth of sleep: densities in V²/Hz, by Welch's method, window after window."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Signal
from sharpwave.signals.pieces import MICROVOLTS, PIECE_SECONDS, check_one_channel, read_piece

SEGMENT = 4.0
"""Seconds of a Welch segment: 0.25 Hz resolution."""

MOST_MISSING = 0.5

WINDOWS_SECONDS = 120.0
"""Windows are read `PIECE_SECONDS` and transformed this many seconds at a time: few enough to stay in the cache."""


@dataclass(frozen=True, eq=False)
class Spectrogram:
    """Power over time and frequency.

    Attributes:
        times: Middle of each window in s from the start of the recording.
        frequencies: Frequencies in Hz.
        power: One-sided density in the signal's unit squared per Hz (V²/Hz), shape (time, frequency); NaN where more
            than half of a window is missing.

    >>> Spectrogram(times=np.array([15.0]), frequencies=np.array([0.0, 0.25]), power=np.zeros((1, 2))).power.shape
    (1, 2)
    """

    times: Float[np.ndarray, " time"]
    frequencies: Float[np.ndarray, " frequency"]
    power: Float[np.ndarray, "time frequency"]


def compute_spectrogram(
    signal: Signal,
    *,
    window: float = 30.0,
    min_frequency: float = 0.0,
    max_frequency: float = 30.0,
    segment: float = SEGMENT,
) -> Spectrogram:
    """Spectrogram of one channel: in each window the mean over half-overlapping Hann segments (Welch 1967).

    Segments that touch a gap are left out.

    Args:
        signal: One channel.
        window: Length of a window in s; windows do not overlap, and a last one that is not whole is left out.
        min_frequency: Lowest frequency kept, in Hz.
        max_frequency: Highest frequency kept, in Hz.
        segment: Length of a Welch segment in s.

    Returns:
        The spectrogram, float32.

    Raises:
        SharpwaveError: If a window is shorter than a segment.

    >>> from sharpwave.recordings import MODALITIES
    >>> wave = np.sin(2 * np.pi * 10 * np.arange(6000) / 100)
    >>> found = compute_spectrogram(Signal("EEG", wave, 100.0, MODALITIES["eeg"], scale=1e-6))
    >>> found.times.tolist(), found.frequencies[found.power.argmax(axis=1)].tolist()
    ([15.0, 45.0], [10.0, 10.0])
    """
    if window < segment:
        raise SharpwaveError(
            f"windows of at least one segment ({segment:g} s)", got=f"{window:g} s", fix="lengthen the window"
        )
    size = round(segment * signal.rate)
    frequencies = np.fft.rfftfreq(size, 1 / signal.rate)
    kept = (frequencies >= min_frequency - 1e-9) & (frequencies <= max_frequency + 1e-9)
    density = _Welch(size, signal.rate, kept)
    times, rows = [np.empty(0)], [np.empty((0, int(kept.sum())), dtype=np.float32)]
    for middle, samples, missing in iter_windows(signal, window=window):
        power = np.full((len(samples), int(kept.sum())), np.nan, dtype=np.float32)
        whole = ~missing.any(axis=1)
        power[whole] = density(_segments(samples if whole.all() else samples[whole], size))
        for index in np.flatnonzero(~whole & (missing.mean(axis=1) <= MOST_MISSING)):
            present = ~_segments(missing[index], size).any(axis=-1)
            if present.any():
                power[index] = density(_segments(samples[index], size)[present])
        rows.append(power)
        times.append(middle)
    return Spectrogram(np.concatenate(times), frequencies[kept], np.concatenate(rows))


def compute_spectrum(
    signal: Signal, *, max_frequency: float = 100.0, segment: float = SEGMENT
) -> tuple[Float[np.ndarray, " frequency"], Float[np.ndarray, " frequency"]]:
    """Median over the recording of 30 s spectra: robust against artefacts, whatever the length.

    Args:
        signal: One channel.
        max_frequency: Highest frequency kept, in Hz.
        segment: Length of a Welch segment in s.

    Returns:
        Frequencies in Hz, density in the signal's unit squared per Hz (NaN where there is no signal).

    >>> from sharpwave.recordings import MODALITIES
    >>> wave = np.sin(2 * np.pi * 10 * np.arange(6000) / 100)
    >>> frequencies, density = compute_spectrum(Signal("EEG", wave, 100.0, MODALITIES["eeg"], scale=1e-6))
    >>> float(frequencies[density.argmax()])
    10.0
    """
    window = min(30.0, max(segment, signal.duration))
    spectrogram = compute_spectrogram(signal, window=window, max_frequency=max_frequency, segment=segment)
    present = np.isfinite(spectrogram.power).all(axis=1)
    if not present.any():
        return spectrogram.frequencies, np.full(spectrogram.frequencies.shape, np.nan)
    return spectrogram.frequencies, np.median(spectrogram.power[present], axis=0).astype(float)


def iter_windows(
    signal: Signal, *, window: float
) -> Iterator[tuple[Float[np.ndarray, " window"], Float[np.ndarray, "window time"], Bool[np.ndarray, "window time"]]]:
    """Consecutive whole windows, some minutes at a time.

    Args:
        signal: One channel.
        window: Length in s; each window has the same number of samples and starts at the sample nearest to its time.

    Yields:
        Middles of the windows in s, samples in the signal's unit (gaps filled), and where samples are missing.
    """
    check_one_channel(signal)
    size = round(window * signal.rate)
    n_windows = int((len(signal) + 0.5) // (window * signal.rate))
    read, together = (max(1, int(seconds // window)) for seconds in (PIECE_SECONDS, WINDOWS_SECONDS))
    for first in range(0, n_windows, read):
        last = min(first + read, n_windows)
        starts = np.round(np.arange(first, last) * window * signal.rate).astype(int)
        piece = read_piece(signal, int(starts[0]), int(starts[-1] - starts[0]) + size, pad=0)
        for low in range(first, last, together):
            index = np.arange(low, min(low + together, last))
            begins = starts[index - first] - starts[0]
            rows: slice | np.ndarray = begins[:, None] + np.arange(size)
            if np.all(np.diff(begins) == size):  # windows that touch are views
                rows = slice(int(begins[0]), int(begins[-1]) + size)
            samples, missing = (values[rows].reshape(-1, size) for values in (piece.samples, piece.missing))
            yield signal.start + (index + 0.5) * window, samples, missing


def _segments(values: np.ndarray, size: int) -> np.ndarray:
    """Half-overlapping segments along the last axis, shape (..., segment, time)."""
    return np.lib.stride_tricks.sliding_window_view(values, size, axis=-1)[..., :: max(1, size // 2), :]


class _Welch:
    """One-sided power density of segments, their mean removed, under a Hann taper, averaged over the last axis but one.

    Its arrays are kept from call to call: to ask the system for new ones takes longer than the transforms.
    """

    def __init__(self, size: int, rate: float, kept: Bool[np.ndarray, " frequency"]) -> None:
        self.taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        self.of_mean = np.fft.rfft(self.taper)[:2]  # a Hann taper carries a mean no further than this
        scale = np.full(kept.size, 1 / (rate * (self.taper @ self.taper)))
        scale[1 : (size + 1) // 2] *= 2
        first, last = (int(np.flatnonzero(kept)[end]) for end in (0, -1)) if kept.any() else (0, -1)
        self.kept, self.scale = slice(first, last + 1), scale[first : last + 1]
        self.shape: tuple[int, ...] = ()

    def __call__(self, segments: Float[np.ndarray, "... segment time"]) -> Float[np.ndarray, "... frequency"]:
        if segments.shape != self.shape:
            self.shape = segments.shape
            self.tapered = np.empty(segments.shape)
            self.spectrum = np.empty((*segments.shape[:-1], segments.shape[-1] // 2 + 1), dtype=complex)
            self.power, self.imaginary = (np.empty((*segments.shape[:-1], self.scale.size)) for _ in range(2))
        np.multiply(segments, self.taper, out=self.tapered)
        np.fft.rfft(self.tapered, axis=-1, out=self.spectrum)
        self.spectrum[..., :2] -= segments.mean(axis=-1, keepdims=True) * self.of_mean
        spectrum = self.spectrum[..., self.kept]
        np.square(spectrum.real, out=self.power)
        np.square(spectrum.imag, out=self.imaginary)
        self.power += self.imaginary
        return np.asarray(self.power.mean(axis=-2) * self.scale)


BANDS: dict[str, tuple[float, float]] = {
    "delta": (0.5, 4.0),
    "theta": (4.0, 8.0),
    "alpha": (8.0, 12.0),
    "sigma": (12.0, 16.0),
    "beta": (16.0, 30.0),
    "gamma": (30.0, 45.0),
}


def compute_band_power(
    signal: Signal, *, epoch_length: float = 30.0, bands: dict[str, tuple[float, float]] | None = None
) -> pd.DataFrame:
    """Power in each band and epoch, from Welch spectra (Hann segments of 4 s, half-overlapping).

    Args:
        signal: One channel.
        epoch_length: Length of an epoch in seconds, at least 4.
        bands: Edges in Hz by name, lower edge within; None takes `BANDS`. A band beyond half the rate is left out.

    Returns:
        Columns `onset` (s) and one a band, in the signal's unit squared (V²); NaN where more than half is missing.

    >>> from sharpwave.recordings import MODALITIES
    >>> wave = np.sin(2 * np.pi * 10 * np.arange(6000) / 100)
    >>> table = compute_band_power(Signal("EEG", wave, 100.0, MODALITIES["eeg"], scale=1e-6))
    >>> table.set_index("onset").idxmax(axis=1).to_dict()
    {0.0: 'alpha', 30.0: 'alpha'}
    """
    bands = {name: edges for name, edges in (bands or BANDS).items() if edges[1] <= signal.rate / 2}
    highest = max((high for _, high in bands.values()), default=0.0)
    spectrogram = compute_spectrogram(signal, window=epoch_length, max_frequency=highest)
    step = spectrogram.frequencies[1] - spectrogram.frequencies[0]
    table = {"onset": spectrogram.times - epoch_length / 2}
    for name, (low, high) in bands.items():
        inside = (spectrogram.frequencies >= low) & (spectrogram.frequencies < high)
        table[name] = spectrogram.power[:, inside].sum(axis=1, dtype=np.float64) * step
    return pd.DataFrame(table)


SLOW = (0.5, 4.0)


def compute_depth(signal: Signal, *, epoch_length: float = 4.0) -> pd.DataFrame:
    """Depth of sleep as slow-wave activity: log10 of the EEG's power between 0.5 and 4 Hz, in µV².

    Slow-wave activity follows sleep pressure and its decay through the night (Borbély 1982; Achermann et al. 1993),
    and the threshold to be woken rises with it. It is a depth within one person, one derivation and sleep: eye
    movements and sweat also raise it, in wake it means nothing, and its level falls with age.

    Args:
        signal: One EEG (or LFP) channel, in V.
        epoch_length: Length of an epoch in seconds, at least 4.

    Returns:
        Columns `onset` (s) and `depth` (log10 µV²); NaN where more than half of an epoch is missing or it is flat.

    >>> from sharpwave.recordings import MODALITIES
    >>> times = np.arange(800) / 100
    >>> wave = np.where(times < 4, 10, 100) * np.sin(2 * np.pi * times)  # 10 µV, then 100 µV, at 1 Hz
    >>> compute_depth(Signal("EEG", wave, 100.0, MODALITIES["eeg"], scale=1e-6)).round(2)
       onset  depth
    0    0.0    1.7
    1    4.0    3.7
    """
    power = compute_band_power(signal, epoch_length=epoch_length, bands={"slow": SLOW})
    squared_uv = power["slow"].to_numpy() * MICROVOLTS**2
    depth = np.log10(squared_uv, out=np.full(squared_uv.shape, np.nan), where=squared_uv > 0)
    return pd.DataFrame({"onset": power["onset"], "depth": depth})
