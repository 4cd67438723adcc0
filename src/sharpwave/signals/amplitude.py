"""How large an EEG is, and what to do where nobody wrote down the unit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Signal
from sharpwave.signals.filters import design_bandpass, iter_resampled
from sharpwave.signals.pieces import MICROVOLTS

TYPICAL_UV = 15.0
"""Standard deviation (0.4–30 Hz) that the median epoch of a night is given; that of N2 in adults at C4–A1."""


def compute_epoch_amplitude(signal: Signal, *, epoch_length: int = 30) -> Float[np.ndarray, " epoch"]:
    """Standard deviation between 0.4 and 30 Hz in each epoch, in µV.

    Args:
        signal: One channel, in V.
        epoch_length: Whole seconds.

    Returns:
        Shape (epoch,); NaN where any sample is missing.
    """
    n_epochs = int(signal.duration / epoch_length + 1e-9)
    taps = design_bandpass(100, 0.4, 30)
    rows = []
    for piece in iter_resampled(signal, rate=100, taps=taps, seconds=20 * epoch_length, last=n_epochs * epoch_length):
        samples = np.where(piece.missing, np.nan, piece.samples).reshape(-1, epoch_length * 100)
        rows.append(samples.std(axis=1) * MICROVOLTS)
    return np.concatenate(rows) if rows else np.empty(0)


def rescale_signal(signal: Signal, *, typical_uv: float = TYPICAL_UV) -> tuple[Signal, float]:
    """The signal scaled so that its median epoch is as large as a usual night's, without looking at stages.

    Args:
        signal: One EEG channel whose amplitude is in an unknown unit.
        typical_uv: Standard deviation (0.4–30 Hz) that the median 30 s epoch gets, in µV.

    Returns:
        The signal with another `scale`, still unread, and the factor that was applied.

    Raises:
        SharpwaveError: If there is no whole epoch of signal, or it is flat.
    """
    amplitude = compute_epoch_amplitude(signal)
    present = amplitude[np.isfinite(amplitude)]
    typical = float(np.median(present)) if present.size else 0.0
    if typical <= 0:
        raise SharpwaveError(
            f"some signal in {signal.name!r}", got="a flat or missing channel", fix="choose another EEG channel"
        )
    factor = typical_uv / typical
    return replace(signal, scale=signal.scale * factor, offset=signal.offset * factor), factor
