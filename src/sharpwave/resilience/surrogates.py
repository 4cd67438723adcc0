"""Surrogates: signals with the same spectra in which something is destroyed, to hold a measure against."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float


def randomise_phases(
    signals: Float[np.ndarray, "time channel"], *, rng: np.random.Generator, keep_coupling: bool = True
) -> Float[np.ndarray, "time channel"]:
    """Random phases at every frequency: the same power spectra, and nothing that is not linear and stationary.

    Theiler et al. 1992, doi:10.1016/0167-2789(92)90102-S; with `keep_coupling` the same random phase is added to all
    channels (Prichard & Theiler 1994, doi:10.1103/PhysRevLett.73.951), so that their correlations stay as they are.

    Args:
        signals: Time first.
        rng: For the phases.
        keep_coupling: Keep the correlations between channels; otherwise destroy them too.
    """
    signals = np.asarray(signals, dtype=float)
    spectrum = np.fft.rfft(signals, axis=0)
    shape = (len(spectrum), 1 if keep_coupling else signals.shape[1])
    turns = np.exp(2j * np.pi * rng.random(shape))
    turns[0] = 1
    if len(signals) % 2 == 0:
        turns[-1] = 1
    return np.fft.irfft(spectrum * turns, n=len(signals), axis=0)
