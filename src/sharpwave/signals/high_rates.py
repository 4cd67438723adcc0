"""Signals sampled far faster than sleep needs, at a tenth or a hundredth of their rate, formed while reading.

A filter at 0.3 Hz has 1,100 taps at 100 Hz and a million at 100 kHz; so what is faster than `HIGHEST_RATE` is lowered
once, before anything looks at it, block by block: memory does not grow with the rate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.recordings import Recording, Signal
from sharpwave.recordings.sliced import Sliced

HIGHEST_RATE = 5000.0
"""Rates up to this are left as they are."""

LOWERED_RATE = 1000.0
"""Lowest rate after lowering: ripples, the fastest thing looked for, end at 250 Hz."""

BLOCK = 1 << 19
"""Samples read at once."""

HALF_TAPS = 10
"""Reach of the low-pass filter to either side, in samples at the new rate."""


def lower_rate(signal: Signal) -> Signal:
    """The signal at a whole fraction of its rate, 1,000 to 2,000 Hz, where that is above 5,000 Hz; still unread.

    A low-pass filter (Kaiser, from 0.8 to 1 of the new Nyquist frequency) goes before. A sample whose filter touches a
    missing one is missing.

    Args:
        signal: One channel, or several, regularly sampled.

    >>> from sharpwave.recordings import MODALITIES
    >>> fast = Signal("EEG", np.ones(100_000), 1e5, MODALITIES["eeg"])
    >>> slow = lower_rate(fast)
    >>> slow.rate, len(slow), slow.duration == fast.duration, float(slow.read().mean().round(3))
    (1000.0, 1000, True, 1.0)
    """
    if signal.rate <= HIGHEST_RATE or signal.times is not None or len(signal.samples.shape) > 2:
        return signal
    factor = int(signal.rate // LOWERED_RATE)
    lowered = _Lowered(signal, factor)
    return (
        replace(signal, samples=lowered, rate=signal.rate / factor, scale=1.0, offset=0.0) if len(lowered) else signal
    )


def lower_rates(recording: Recording) -> Recording:
    """The recording with electrical signals above 5,000 Hz at a lower rate, still unread; declared as a repair.

    >>> lower_rates(Recording()).repairs
    ()
    """
    slower = {name: lower_rate(signal) for name, signal in recording.signals.items() if signal.modality.unit == "V"}
    slower = {name: signal for name, signal in slower.items() if signal is not recording[name]}
    if not slower:
        return recording
    repairs = [
        f"{name}: sampled at {recording[name].rate:g} Hz, used at {signal.rate:g} Hz" for name, signal in slower.items()
    ]
    return replace(recording, signals={**recording.signals, **slower}, repairs=(*recording.repairs, *repairs))


@dataclass(frozen=True, eq=False)
class _Lowered(Sliced):
    """Every `factor`-th sample of a low-passed signal, computed when it is asked for."""

    source: Signal
    factor: int

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.source) // self.factor, *self.source.samples.shape[1:])

    @property
    def dtype(self) -> Any:
        return np.dtype(np.float32)

    def _take(self, low: int, high: int) -> np.ndarray:
        size = max(1, BLOCK // self.factor)
        return np.concatenate([self._compute(first, min(first + size, high)) for first in range(low, high, size)])

    def _compute(self, low: int, high: int) -> np.ndarray:
        """Samples `low` to `high` at the new rate."""
        from scipy.signal import upfirdn

        reach = HALF_TAPS * self.factor
        begin, end = low * self.factor - reach, (high - 1) * self.factor + reach + 1
        inside = slice(max(begin, 0), min(end, len(self.source)))
        values = np.asarray(self.source.samples[inside], dtype=np.float64) * self.source.scale + self.source.offset
        before, after = inside.start - begin, end - inside.stop
        values = np.pad(values, [(before, after)] + [(0, 0)] * (values.ndim - 1), mode="edge")
        missing = ~np.isfinite(values)
        kept = slice(2 * HALF_TAPS, 2 * HALF_TAPS + high - low)
        taps = _design_low_pass(self.factor)
        lowered = upfirdn(taps, np.where(missing, 0.0, values) if missing.any() else values, down=self.factor, axis=0)
        result: np.ndarray = lowered[kept].astype(np.float32)
        if missing.any():
            touched = upfirdn(np.ones(taps.size), missing.astype(np.float64), down=self.factor, axis=0)
            result[touched[kept] > 0.5] = np.nan
        return result


@lru_cache(maxsize=8)
def _design_low_pass(factor: int) -> Float[np.ndarray, " tap"]:
    """Symmetric taps that leave what fits below the new Nyquist frequency."""
    from scipy.signal import firwin

    return np.asarray(firwin(2 * HALF_TAPS * factor + 1, 0.8 / factor, window=("kaiser", 5.0)))
