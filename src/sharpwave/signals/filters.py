"""Zero-phase FIR filters and resampling, piece by piece: the same numbers as filtering the whole night.

The filters are MNE's default design (windowed sinc, Hamming), so detectors agree with YASA, which uses it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import lcm

import numpy as np
import scipy.fft
from jaxtyping import Complex, Float

from sharpwave.recordings import Signal
from sharpwave.signals.pieces import Piece, check_one_channel, read_piece

HAMMING_WIDTH = 3.3
"""Taps times transition width over rate, for a Hamming window."""

RESAMPLE_MARGIN = 30.0
"""Seconds read on either side when resampling: the filter's own reach (4.1 s) and the settling of the band edge."""


def design_bandpass(
    rate: float,
    low: float | None,
    high: float | None,
    *,
    low_transition: float | None = None,
    high_transition: float | None = None,
) -> Float[np.ndarray, " tap"]:
    """Taps of MNE's default band-pass (windowed sinc, Hamming, −53 dB).

    Args:
        rate: Sampling rate in Hz.
        low: Lower edge of the pass band in Hz, or None.
        high: Upper edge in Hz, or None.
        low_transition: Width of the lower transition in Hz; None takes MNE's.
        high_transition: Width of the upper transition in Hz; None takes MNE's.

    Returns:
        Odd number of symmetric taps.
    """
    from scipy.signal import firwin

    nyquist = rate / 2
    sizes = []
    if high is not None:
        width = min(max(0.25 * high, 2.0), nyquist - high) if high_transition is None else high_transition
        sizes.append((high + width / 2, width, 1.0))
    if low is not None:
        width = min(max(0.25 * low, 2.0), low) if low_transition is None else low_transition
        sizes.append((low - width / 2, width, -1.0))
    parts = []
    for cutoff, width, sign in sizes:
        size = int(np.round(HAMMING_WIDTH * rate / width))
        parts.append(sign * firwin(size + 1 - size % 2, cutoff, window="hamming", fs=rate))
    longest = max((part.size for part in parts), default=1)
    taps = np.zeros(longest + 1 - longest % 2)
    if high is None:
        taps[taps.size // 2] = 1.0
    for part in parts:
        offset = (taps.size - part.size) // 2
        taps[offset : offset + part.size] += part
    return taps


@dataclass(frozen=True, eq=False)
class PieceSpectrum:
    """The spectrum of a piece, to filter it several times for one forward transform.

    Within half the taps of either end the results are not valid.

    Attributes:
        values: Real FFT of the zero-padded samples.
        size: Length of the transform in samples.
        length: Number of samples of the piece.
    """

    values: Complex[np.ndarray, " frequency"]
    size: int
    length: int

    @classmethod
    def of(cls, samples: Float[np.ndarray, " time"]) -> PieceSpectrum:
        """Transform samples, shape (time,)."""
        size = scipy.fft.next_fast_len(samples.size, real=True)
        return cls(scipy.fft.rfft(samples, size), size, samples.size)

    def filtered(self, taps: Float[np.ndarray, " tap"]) -> Float[np.ndarray, " time"]:
        """The samples filtered by symmetric taps, without delay."""
        return scipy.fft.irfft(self.values * _zero_phase_response(taps.tobytes(), self.size), self.size)[: self.length]

    def analytic(self, taps: Float[np.ndarray, " tap"]) -> Complex[np.ndarray, " time"]:
        """The filtered samples as the real part, their Hilbert transform as the imaginary part."""
        spectrum = np.zeros(self.size, dtype=complex)
        half = spectrum[: self.values.size]
        np.multiply(self.values, _zero_phase_response(taps.tobytes(), self.size), out=half)
        half[1 : (self.size + 1) // 2] *= 2
        return scipy.fft.ifft(spectrum, overwrite_x=True)[: self.length]


def filter_piece(samples: Float[np.ndarray, " time"], taps: Float[np.ndarray, " tap"]) -> Float[np.ndarray, " time"]:
    """Samples filtered by symmetric taps without delay; within half the taps of either end the result is not valid.

    Args:
        samples: Samples in any unit, shape (time,).
        taps: Taps of a symmetric FIR filter.

    Returns:
        Filtered samples, same shape and unit.
    """
    return PieceSpectrum.of(samples).filtered(taps)


def iter_resampled(
    signal: Signal, *, rate: int, taps: Float[np.ndarray, " tap"], seconds: float, last: float
) -> Iterator[Piece]:
    """Pieces at a lower rate, filtered by `taps`: band-limited interpolation, block by block.

    Args:
        signal: One channel.
        rate: New rate in Hz, an integer.
        taps: Zero-phase filter at the new rate; its stop band must start below `rate` / 2.
        seconds: Least length of a piece; a multiple of it that fits both rates is used.
        last: Seconds after which no more is needed.

    Returns:
        Pieces without margin, in the modality's unit; indices count samples at the new rate.
    """
    check_one_channel(signal)
    old = Fraction(signal.rate).limit_denominator(300)
    unit = lcm(round(seconds), old.denominator)
    margin = old.denominator * int(np.ceil(RESAMPLE_MARGIN / old.denominator))
    n_in, pad_in = int(unit * old), int(margin * old)
    n_out, pad_out = unit * rate, margin * rate
    size_out = n_out + 2 * pad_out
    response = _zero_phase_response(taps.tobytes(), size_out)
    window = _fade_ends(n_in + 2 * pad_in, pad_in // 3)
    end = round(len(signal) * float(rate / old))
    total = int(min(last * rate + 1e-6, end))
    for block in range(int(np.ceil(total / n_out))):
        piece = read_piece(signal, block * n_in, n_in, pad=pad_in)
        spectrum = scipy.fft.rfft(piece.samples * window)
        kept = np.zeros(size_out // 2 + 1, dtype=complex)
        shared = min(kept.size, spectrum.size)
        kept[:shared] = spectrum[:shared] * (size_out / window.size)
        if size_out < window.size and size_out % 2 == 0:
            kept[-1] *= 2  # the bin at the new Nyquist frequency stands for itself and its mirror image
        first = block * n_out
        stop = end - first + pad_out
        if stop >= size_out:
            values = scipy.fft.irfft(kept * response, size_out)
        else:
            values = filter_piece(_reflect_after(scipy.fft.irfft(kept, size_out), stop), taps)
        length = min(n_out, total - first)
        nearest = np.minimum(pad_in + (np.arange(length) * float(old / rate)).astype(int), piece.missing.size - 1)
        yield Piece(first, length, 0, values[pad_out : pad_out + length], piece.missing[nearest])


def _reflect_after(values: np.ndarray, end: int) -> np.ndarray:
    """Values with everything from `end` on replaced by the odd reflection of what comes before."""
    out = np.zeros(values.size)
    out[:end] = values[:end]
    mirrored = 2 * values[end - 1] - values[: end - 1][::-1][: values.size - end]
    out[end : end + mirrored.size] = mirrored
    return out


@lru_cache(maxsize=16)
def _zero_phase_response(taps: bytes, size: int) -> np.ndarray:
    """Real frequency response of symmetric taps (float64) at the `size // 2 + 1` frequencies of a real FFT."""
    impulse = np.frombuffer(taps)
    half = min(impulse.size, size - 1 + size % 2) // 2
    middle = impulse.size // 2
    rolled = np.zeros(size)
    rolled[: half + 1] = impulse[middle : middle + half + 1]
    if half:
        rolled[-half:] = impulse[middle - half : middle]
    return scipy.fft.rfft(rolled).real


def _fade_ends(size: int, length: int) -> np.ndarray:
    """Ones with half a cosine at either end, so that a block's ends meet without a step."""
    window = np.ones(size)
    window[:length] = 0.5 - 0.5 * np.cos(np.pi * (np.arange(length) + 0.5) / max(length, 1))
    window[size - length :] = window[:length][::-1]
    return window
