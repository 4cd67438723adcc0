"""The infraslow rhythm of sigma power, about 0.02 Hz: what ripples, heart rate and arousals have in common."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

FREQUENCY = 0.02
MEMORY = 60.0
BASELINE = 300.0
"""Seconds over which the rhythm's phase and the level around which it swings are forgotten."""


def estimate_infraslow_phase(
    sigma: Float[np.ndarray, " second"], *, asleep: Bool[np.ndarray, " second"]
) -> Float[np.ndarray, " second"]:
    """Phase of the infraslow rhythm of sigma power, each value from the past alone (Lecci et al. 2017).

    The power's departure x from its recent level is demodulated: z_t = x_t + e^(-1/60 s) e^(i 2π 0.02 Hz) z_(t-1), and
    the phase is the angle of z. A filter that looks ahead would know whether sigma is about to stop because sleep ends.

    Args:
        sigma: Sigma power in dB (or any other quantity that swings with it), one value a second; NaN where missing.
        asleep: Seconds of NREM sleep; elsewhere the rhythm only runs on.

    Returns:
        Phase in radians from -π to π, 0 at the peak of sigma power.
    """
    from scipy.signal import lfilter

    known = asleep & np.isfinite(sigma)
    values = np.where(known, sigma, 0.0)
    keep = np.exp(-1 / BASELINE)
    total = lfilter([1.0], [1.0, -keep], values)
    weight = lfilter([1.0], [1.0, -keep], known.astype(float))
    level = np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)
    departure = np.where(known, values - level, 0.0)
    turn = np.exp(-1 / MEMORY + 2j * np.pi * FREQUENCY)
    return np.angle(lfilter([1.0], [1.0, -turn], departure.astype(complex)))
