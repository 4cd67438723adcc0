"""Power in the classical bands, per epoch."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.recordings import Signal
from sharpwave.signals.spectra import compute_spectrogram

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
        epoch_length: In s, at least 4.
        bands: Edges in Hz by name, lower edge within; None takes `BANDS`. A band beyond half the rate is left out.

    Returns:
        Columns `onset` (s) and one a band, in the signal's unit squared (V²); NaN where more than half is missing.
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
