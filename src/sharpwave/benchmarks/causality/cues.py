"""Randomised cues on a simulated night, with an effect that is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from sharpwave.causality.series import NightSeries
from sharpwave.simulation.dynamics import Dynamics

SPACING = (60.0, 120.0)
"""Shortest and longest time between two cues, in seconds."""

AROUSAL = 8
"""Length of an arousal that a cue brings, in seconds."""


def add_cues(
    course: NightSeries,
    dynamics: Dynamics,
    *,
    hazard_ratio: float,
    rng: np.random.Generator,
    window: int = 30,
) -> NightSeries:
    """The night with cues and shams drawn by a coin during NREM sleep.

    For `window` s after a cue, not after a sham, sleep lightens at (ratio - 1) times the hazard that would hold without
    any reactivation, in addition to what it did: an arousal of `AROUSAL` s.

    Args:
        course: The night.
        dynamics: Behind it; gives the hazard.
        hazard_ratio: At least 1; 1 is null.
        rng: Random generator.
        window: In s.

    Returns:
        The course with `cues`.
    """
    onsets = np.cumsum(rng.uniform(*SPACING, size=int(len(course.time) / SPACING[0])))
    onsets = onsets[onsets < len(course.time) - 2 * window]
    onsets = onsets[np.isin(course.stage[onsets.astype(int)], course.nrem)]
    cued = rng.random(len(onsets)) < 0.5
    stage = course.stage.copy()
    for second in onsets[cued].astype(int):
        extra = (hazard_ratio - 1) * dynamics.lightening_hazard[second + 1 : second + 1 + window]
        comes = np.flatnonzero(rng.random(window) < -np.expm1(-extra))
        moment = second + 2 + int(comes[0]) if comes.size else 0
        if comes.size and np.isin(stage[second:moment], course.nrem).all():
            stage[moment : moment + AROUSAL] = np.where(
                stage[moment : moment + AROUSAL] > 0, 0, stage[moment : moment + AROUSAL]
            )
    table = pd.DataFrame({"onset": onsets, "condition": np.where(cued, "cue", "sham"), "content": "sound"})
    return replace(course, stage=stage, cues=table)
