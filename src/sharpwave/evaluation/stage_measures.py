"""Sleep statistics of many hypnograms at once, as plain arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Int

from sharpwave.recordings.hypnogram import STAGE_SETS


def measure_stages(
    stages: Int[np.ndarray, "sample epoch"],
    *,
    n_stages: int,
    epoch_length: float,
    lead: float | None = None,
    in_bed: float | None = None,
    to_lights_on: bool = False,
) -> dict[str, Float[np.ndarray, " sample"]]:
    """Statistics of each hypnogram; NaN where undefined.

    Args:
        stages: Codes, -1 where unscored: neither wake nor sleep.
        n_stages: 2 to 5.
        epoch_length: In seconds.
        lead: Seconds from lights off to the first epoch; None where lights-off is not known.
        in_bed: Seconds from lights off to lights on; None where either is not known.
        to_lights_on: Whether the last epoch ends at lights on.

    Returns:
        By name: minutes, shares in per cent, rates per hour.
    """
    minutes = epoch_length / 60
    n_epochs = stages.shape[1]
    asleep, awake = stages > 0, stages == 0
    slept = asleep.any(axis=1)
    onset = np.where(slept, asleep.argmax(axis=1), n_epochs) if n_epochs else np.zeros(len(stages), dtype=int)
    end = np.where(slept, n_epochs - asleep[:, ::-1].argmax(axis=1), n_epochs) if n_epochs else onset
    index = np.arange(n_epochs)
    after_onset = index >= onset[:, None]
    within = after_onset & (index < end[:, None])
    total = asleep.sum(axis=1) * minutes
    period = _where(slept, (end - onset) * minutes)
    rem = stages == n_stages - 1
    first_rem = rem.argmax(axis=1) if n_epochs else onset
    wake_inside = (awake & within).sum(axis=1) * minutes
    wake_after = (awake & after_onset).sum(axis=1) * minutes
    shifts = ((stages[:, 1:] != stages[:, :-1]) & within[:, 1:] & within[:, :-1]).sum(axis=1)
    wakings = (asleep[:, :-1] & awake[:, 1:]).sum(axis=1)
    undefined = np.full(len(stages), np.nan)
    bed = undefined if in_bed is None else np.full(len(stages), in_bed / 60)
    values = {
        "total_sleep_time": total,
        "sleep_latency": undefined if lead is None else _where(slept, onset * minutes + lead / 60),
        "rem_latency": undefined if n_stages == 2 else _where(rem.any(axis=1), (first_rem - onset) * minutes),
        "wake_after_sleep_onset": _where(slept, wake_after) if to_lights_on else undefined,
        "wake_until_last_sleep": _where(slept, wake_inside),
        "time_in_bed": bed,
        "sleep_efficiency": 100 * total / bed,
        "sleep_period": period,
        "sleep_maintenance": 100 * total / period,
        "stage_shifts": 60 * shifts / period,
        "fragmentation": 60 * wakings / _where(slept, total),
    }
    for code, name in enumerate(STAGE_SETS[n_stages]):
        spent = (stages == code).sum(axis=1) * minutes
        values[name] = spent
        if code > 0 and n_stages > 2:
            values[f"{name}_share"] = 100 * spent / _where(slept, total)
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}


def _where(defined: npt.ArrayLike, values: npt.ArrayLike) -> np.ndarray:
    return np.where(defined, values, np.nan)
