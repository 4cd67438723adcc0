"""How deep sleep is, from moment to moment: slow-wave activity."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.recordings import Signal
from sharpwave.signals.band_power import compute_band_power
from sharpwave.signals.pieces import MICROVOLTS

SLOW = (0.5, 4.0)


def compute_depth(signal: Signal, *, epoch_length: float = 4.0) -> pd.DataFrame:
    """Depth of sleep as slow-wave activity: log10 of the EEG's power between 0.5 and 4 Hz, in µV².

    Slow-wave activity follows sleep pressure and its decay through the night (Borbély 1982; Achermann et al. 1993),
    and the threshold to be woken rises with it. It is a depth within one person, one derivation and sleep: eye
    movements and sweat also raise it, in wake it means nothing, and its level falls with age.

    Args:
        signal: One EEG (or LFP) channel, in V.
        epoch_length: In s, at least 4.

    Returns:
        Columns `onset` (s) and `depth` (log10 µV²); NaN where more than half of an epoch is missing or it is flat.
    """
    power = compute_band_power(signal, epoch_length=epoch_length, bands={"slow": SLOW})
    squared_uv = power["slow"].to_numpy() * MICROVOLTS**2
    depth = np.log10(squared_uv, out=np.full(squared_uv.shape, np.nan), where=squared_uv > 0)
    return pd.DataFrame({"onset": power["onset"], "depth": depth})
