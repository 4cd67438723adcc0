"""When reactivations come: within spindles, and at which phase of the slow oscillation.

Phase runs through the four times that a slow wave is known by: trough −π, crossing −π/2, crest 0, end π/2, so that 0 is
the top of the up-state (Staresina et al. 2015, 10.1038/nn.4119, nest ripples in spindles in up-states).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

NREM = ("N1", "N2", "N3", "LIGHT", "DEEP", "NREM", "S")
FEWEST = 10
"""Events in slow waves below which no phase locking is given."""


@dataclass(frozen=True)
class Coupling:
    """How events sit in spindles and slow waves.

    Attributes:
        n_events: Events looked at.
        in_spindle: Share of events within a spindle.
        in_slow_wave: Share within a slow wave.
        phase: Mean phase in slow waves, in rad; 0 is the top of the up-state. NaN without events there.
        locking: Pairwise phase consistency (Vinck et al. 2010, 10.1016/j.neuroimage.2010.01.073): 0 without locking
            whatever the number of events, 1 for perfect locking. NaN with fewer than `FEWEST`.
    """

    n_events: int
    in_spindle: float
    in_slow_wave: float
    phase: float
    locking: float


def compute_coupling(
    times: Float[np.ndarray, " event"], *, slow_waves: pd.DataFrame, spindles: pd.DataFrame
) -> Coupling:
    """Coupling of events to spindles and slow oscillations.

    Args:
        times: Of the events, in s.
        slow_waves: As `detect_slow_waves` gives them: onset, duration, negative_peak, mid_crossing, positive_peak (s).
        spindles: onset, duration (s).

    Returns:
        The coupling; shares are NaN without events.
    """
    phases = compute_slow_phase(times, slow_waves)
    inside = phases[np.isfinite(phases)]
    n, share = len(times), np.isfinite(phases)
    mean = np.exp(1j * inside).mean() if len(inside) else np.nan
    locking = (len(inside) * abs(mean) ** 2 - 1) / (len(inside) - 1) if len(inside) >= FEWEST else np.nan
    return Coupling(
        n_events=n,
        in_spindle=float(_lie_within(times, spindles).mean()) if n else np.nan,
        in_slow_wave=float(share.mean()) if n else np.nan,
        phase=float(np.angle(mean)) if len(inside) else np.nan,
        locking=float(locking),
    )


def compute_slow_phase(times: Float[np.ndarray, " event"], slow_waves: pd.DataFrame) -> Float[np.ndarray, " event"]:
    """Phase of the slow oscillation at each time, in rad; NaN outside slow waves.

    Args:
        times: In s.
        slow_waves: As `detect_slow_waves` gives them.
    """
    phases = np.full(len(times), np.nan)
    if not len(slow_waves) or not len(times):
        return phases
    waves = slow_waves.sort_values("onset", kind="stable")
    onset = waves["onset"].to_numpy(dtype=float)
    named = [waves[name].to_numpy(dtype=float) for name in ("negative_peak", "mid_crossing", "positive_peak")]
    nodes = np.stack([onset, *named, onset + waves["duration"].to_numpy(dtype=float)], axis=1)
    which = np.searchsorted(onset, times, side="right") - 1
    for index in np.flatnonzero((which >= 0) & (times < nodes[np.maximum(which, 0), -1])):
        phases[index] = np.interp(times[index], nodes[which[index]], np.array([-1.5, -1.0, -0.5, 0.0, 0.5]) * np.pi)
    return np.angle(np.exp(1j * phases))


def _lie_within(times: Float[np.ndarray, " event"], spans: pd.DataFrame) -> np.ndarray:
    """Which times lie in one of the spans."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    ordered = spans.sort_values("onset", kind="stable")
    onset = ordered["onset"].to_numpy(dtype=float)
    end = np.maximum.accumulate(onset + ordered["duration"].to_numpy(dtype=float))
    which = np.searchsorted(onset, times, side="right") - 1
    return (which >= 0) & (times < end[np.maximum(which, 0)])
