"""Spectra, spectrograms, band power and depth of sleep: densities in V²/Hz, by Welch's method, window after window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Signal
from sharpwave.signals.pieces import MICROVOLTS, PIECE_SECONDS, Piece, check_one_channel, iter_pieces

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
    spectra = Spectra(signal, window=window, segment=segment, edges=(min_frequency, max_frequency))
    for piece in iter_pieces(signal, pad=0, seconds=PIECE_SECONDS):
        spectra.add(piece)
    return Spectrogram(spectra.times, spectra.frequencies, spectra.power)


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


class Spectra:
    """A spectrogram that takes in the pieces of a signal one by one, for those who need these for something else too.

    Attributes:
        frequencies: Frequencies in Hz that are kept.

    Args:
        signal: One channel.
        window: Length of a window in s; each has the same number of samples and starts at the sample nearest to its
            time.
        segment: Length of a Welch segment in s.
        edges: Lowest and highest frequency kept, in Hz.
        dtype: Precision of the transforms, float64 or float32.
        sums: What is kept of each density, shape (frequency, sum); the density itself where omitted.
    """

    def __init__(
        self,
        signal: Signal,
        *,
        window: float,
        segment: float,
        edges: tuple[float, float],
        dtype: type = np.float64,
        sums: Callable[[Float[np.ndarray, " frequency"]], Float[np.ndarray, "frequency sum"]] | None = None,
    ) -> None:
        check_one_channel(signal)
        self.start, self.window, self.length = signal.start, window, len(signal)
        self.size, self.segment = round(window * signal.rate), round(segment * signal.rate)
        n_windows = int((len(signal) + 0.5) // (window * signal.rate))
        self._starts: np.ndarray = np.round(np.arange(n_windows) * window * signal.rate).astype(int)
        frequencies = np.fft.rfftfreq(self.segment, 1 / signal.rate)
        kept = (frequencies >= edges[0] - 1e-9) & (frequencies <= edges[1] + 1e-9)
        self.frequencies = frequencies[kept]
        self._density = _Welch(self.segment, signal.rate, kept, dtype=dtype)
        self._sums: np.ndarray | None = None if sums is None else sums(self.frequencies).astype(dtype)
        n_columns = self.frequencies.size if self._sums is None else self._sums.shape[1]
        self._rows: list[np.ndarray] = [np.empty((0, n_columns), dtype=np.float32 if sums is None else dtype)]
        self._done = 0
        self._rest: np.ndarray = np.empty(0, dtype=dtype)
        self._missing = np.empty(0, dtype=bool)

    @property
    def times(self) -> Float[np.ndarray, " window"]:
        """Middle of each window in s from the start of the recording."""
        return self.start + (np.arange(self._done) + 0.5) * self.window

    @property
    def power(self) -> Float[np.ndarray, "window column"]:
        """Density, or sums of it, of each window so far; NaN where more than half of it is missing."""
        return np.concatenate(self._rows)

    def add(self, piece: Piece) -> None:
        """Take in the next piece, without margins."""
        samples, missing = piece.samples, piece.missing
        if self._rest.size:
            samples = np.concatenate((self._rest, samples))
            missing = np.concatenate((self._missing, missing))
        begin, end = piece.first + piece.length - samples.size, piece.first + piece.length
        ready = (
            self._starts.size if end == self.length else int(np.searchsorted(self._starts + self.size, end, "right"))
        )
        lacking = int(self._starts[ready - 1]) + self.size - end if ready else 0
        if lacking > 0:  # the last window, where rounding takes it past the end
            samples = np.pad(samples, (0, lacking), mode="reflect", reflect_type="odd")
            missing = np.pad(missing, (0, lacking))
        together = max(1, int(WINDOWS_SECONDS // self.window))
        for low in range(self._done, ready, together):
            begins = self._starts[low : min(low + together, ready)] - begin
            touching = bool(np.all(np.diff(begins) == self.size))  # such windows are views
            rows: slice | np.ndarray = slice(int(begins[0]), int(begins[-1]) + self.size)
            if not touching:
                rows = begins[:, None] + np.arange(self.size)
            power = self._measure(*(values[rows].reshape(-1, self.size) for values in (samples, missing)))
            self._rows.append(power if self._sums is None else power @ self._sums)
        self._done = ready
        left = max(int(self._starts[ready]) - begin, 0) if ready < self._starts.size else samples.size
        self._rest, self._missing = samples[left:], missing[left:]

    def _measure(
        self, samples: Float[np.ndarray, "window time"], missing: Bool[np.ndarray, "window time"]
    ) -> Float[np.ndarray, "window frequency"]:
        """Density of each window; segments that touch a gap are left out."""
        size = self.segment
        samples = samples - samples[:, :1]  # an offset would leave little of the seven digits of single precision
        if not missing.any():
            return self._density(_cut_segments(samples, size)).astype(np.float32, copy=False)
        power = np.full((len(samples), self.frequencies.size), np.nan, dtype=np.float32)
        whole = ~missing.any(axis=1)
        power[whole] = self._density(_cut_segments(samples[whole], size))
        for index in np.flatnonzero(~whole & (missing.mean(axis=1) <= MOST_MISSING)):
            present = ~_cut_segments(missing[index], size).any(axis=-1)
            if present.any():
                power[index] = self._density(_cut_segments(samples[index], size)[present])
        return power


def _cut_segments(values: np.ndarray, size: int) -> np.ndarray:
    """Half-overlapping segments along the last axis, shape (..., segment, time)."""
    return np.lib.stride_tricks.sliding_window_view(values, size, axis=-1)[..., :: max(1, size // 2), :]


class _Welch:
    """One-sided power density of segments, their mean removed, under a Hann taper, averaged over the last axis but one.

    Its arrays are kept from call to call: to ask the system for new ones takes longer than the transforms.
    """

    def __init__(self, size: int, rate: float, kept: Bool[np.ndarray, " frequency"], *, dtype: type) -> None:
        taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
        scale = np.full(kept.size, 1 / (rate * (taper @ taper)))
        scale[1 : (size + 1) // 2] *= 2
        scale = scale.astype(dtype)
        first, last = (int(np.flatnonzero(kept)[end]) for end in (0, -1)) if kept.any() else (0, -1)
        self.kept, self.scale = slice(first, last + 1), scale[first : last + 1]
        self.taper: np.ndarray = taper.astype(dtype)
        self.of_mean = np.fft.rfft(taper)[:2]
        self.dtype = dtype
        self.shape: tuple[int, ...] = ()

    def __call__(self, segments: Float[np.ndarray, "... segment time"]) -> Float[np.ndarray, "... frequency"]:
        if segments.shape != self.shape:
            self.shape = segments.shape
            self.tapered: np.ndarray = np.empty(segments.shape, self.dtype)
            self.parts: np.ndarray = np.empty((*segments.shape[:-1], 2 * self.scale.size), self.dtype)
        np.multiply(segments, self.taper, out=self.tapered)
        spectrum = self._transform(self.tapered)
        if (
            self.kept.start < 2
        ):  # the mean is taken off its spectrum: a Hann taper carries it no further than two places
            spectrum[..., :2] -= segments.mean(axis=-1, keepdims=True) * self.of_mean
        parts: np.ndarray = spectrum[..., self.kept].view(self.dtype)  # real and imaginary parts in turn
        total = np.add.reduce(np.square(parts, out=self.parts), axis=-2)
        total *= self.dtype(1 / segments.shape[-2])
        return np.asarray((total[..., ::2] + total[..., 1::2]) * self.scale)

    def _transform(self, tapered: np.ndarray) -> np.ndarray:
        if self.dtype is np.float64:
            return np.fft.rfft(tapered, axis=-1)
        from scipy.fft import rfft  # NumPy's takes three times as long in single precision

        return np.asarray(rfft(tapered, axis=-1))


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
