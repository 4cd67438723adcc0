"""Sleep statistics with their definition, an 80 % interval and how far experts differ on them.

The AASM manual's definitions, paraphrased. What is undefined is NaN, never 0: no REM latency without REM, no sleep
latency without lights-off. Where YASA's definition agrees the values are YASA's, which a test holds; they are computed
here because the interval needs them on hundreds of sampled hypnograms at once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sampled_hypnograms import sample_hypnograms
from sharpwave.evaluation.stage_measures import measure_stages
from sharpwave.recordings.hypnogram import Hypnogram

LEVEL = 0.8
SPREAD_FILE = Path(__file__).parents[1] / "weights" / "scorer_spread.json"


@dataclass(frozen=True)
class Statistic:
    """What one row of the table means.

    Attributes:
        name: Key.
        unit: "min", "%", "1/h".
        definition: In words.
        needs: What must be known: any of "lights-off", "lights-on".
        per_decade: Change per decade of age in adults (Boulos et al. 2019, 10.1016/S2213-2600(19)30057-8).
        has_interval: False where drawn hypnograms do not tell it: they change stage more often than any expert's.
    """

    name: str
    unit: str
    definition: str
    needs: tuple[str, ...] = ()
    per_decade: str = ""
    has_interval: bool = True


STATISTICS: tuple[Statistic, ...] = (
    Statistic("total_sleep_time", "min", "all epochs of sleep", per_decade="−10.1 min"),
    Statistic("sleep_latency", "min", "lights off to the first epoch of any sleep", ("lights-off",), "+1.1 min"),
    Statistic("rem_latency", "min", "sleep onset to the first epoch of REM"),
    Statistic("wake_after_sleep_onset", "min", "wake from sleep onset to lights on", ("lights-on",), "+9.7 min"),
    Statistic("wake_until_last_sleep", "min", "wake from sleep onset to the last epoch of sleep"),
    Statistic("time_in_bed", "min", "lights off to lights on", ("lights-off", "lights-on")),
    Statistic("sleep_efficiency", "%", "total sleep time / time in bed", ("lights-off", "lights-on"), "−2.1 %"),
    Statistic("sleep_period", "min", "sleep onset to the end of the last epoch of sleep"),
    Statistic("sleep_maintenance", "%", "total sleep time / sleep period"),
    Statistic("stage_shifts", "1/h", "changes of stage within the sleep period, per hour of it", has_interval=False),
    Statistic("fragmentation", "1/h", "changes from sleep to wake, per hour of sleep"),
)
"""Statistics of any hypnogram; minutes and shares of each stage follow them in the table."""

_SHARE_PER_DECADE = {"N1": "+0.5 %", "N3": "no significant change", "R": "no significant change"}


def compute_sleep_statistics(
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    lights_off: float | None = None,
    lights_on: float | None = None,
    n_samples: int = 200,
    age: float | None = None,
    night: int | None = None,
) -> pd.DataFrame:
    """Sleep statistics of one night.

    Args:
        hypnogram: 2 to 5 stages; where it has probabilities, the table has intervals.
        rng: Draws the hypnograms behind the intervals.
        lights_off: Seconds from the start of the recording; where None, what needs it is undefined, not invented.
        lights_on: The same.
        n_samples: Hypnograms drawn.
        age: In years.
        night: Which laboratory night, from 1. What age does is shown for adults where both are given.

    Returns:
        Columns name, value, unit, low, high (80 % interval), scorer_spread (median over nights of the largest minus
        the smallest value of five experts), definition, age_band.

    Raises:
        SharpwaveError: If the hypnogram counts training steps, or lights on is not after lights off.
    """
    if hypnogram.unit != "s":
        raise SharpwaveError("a hypnogram in seconds", got=f"unit {hypnogram.unit!r}", fix="give a night of sleep")
    if lights_off is not None and lights_on is not None and lights_on <= lights_off:
        raise SharpwaveError(
            "lights on after lights off", got=f"off at {lights_off:g} s, on at {lights_on:g} s", fix="check both times"
        )
    bed = hypnogram.restrict(
        hypnogram.start if lights_off is None else lights_off, hypnogram.end if lights_on is None else lights_on
    )
    clock: dict[str, Any] = {
        "n_stages": bed.n_stages,
        "epoch_length": bed.epoch_length,
        "lead": None if lights_off is None else max(bed.start - lights_off, 0.0),
        "in_bed": None if lights_off is None or lights_on is None else lights_on - lights_off,
        "to_lights_on": lights_on is not None,
    }
    values = measure_stages(bed.stages[None], **clock)
    drawn = None
    if bed.probabilities is not None and len(bed):
        drawn = measure_stages(sample_hypnograms(bed, rng=rng, n_samples=n_samples), **clock)
    missing = {"lights-off": lights_off is None, "lights-on": lights_on is None}
    rows = []
    for statistic in (*STATISTICS, *_describe_stages(bed.names)):
        value = float(values[statistic.name][0])
        low, high = np.nan, np.nan
        if drawn is not None and statistic.has_interval:
            low, high = compute_interval(drawn[statistic.name], value)
        needed = [name for name in statistic.needs if missing[name]]
        rows.append(
            {
                "name": statistic.name,
                "value": value,
                "unit": statistic.unit,
                "low": low,
                "high": high,
                "scorer_spread": load_scorer_spread().get(statistic.name, np.nan) if bed.n_stages == 5 else np.nan,
                "definition": statistic.definition + (f"; needs {' and '.join(needed)}" if needed else ""),
                "age_band": _describe_age(statistic, age=age, night=night),
            }
        )
    arousals = {"name": "arousal_index", "unit": "1/h", "definition": "arousals per hour of sleep; not scored"}
    return pd.DataFrame([*rows, {**arousals, "age_band": ""}], columns=list(rows[0]))


@lru_cache(maxsize=1)
def load_scorer_spread() -> dict[str, float]:
    """Largest minus smallest value of five experts, median over nights of the Dreem Open Datasets, by statistic."""
    content = json.loads(SPREAD_FILE.read_text(encoding="utf-8"))
    return {name: float(value) for name, value in content["median"].items()}


def compute_interval(drawn: Float[np.ndarray, " sample"], value: float) -> tuple[float, float]:
    """The central 80 % of the drawn values, widened to hold the value itself; NaN where the value is undefined."""
    drawn = drawn[np.isfinite(drawn)]
    if not np.isfinite(value) or not drawn.size:
        return np.nan, np.nan
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(min(low, value)), float(max(high, value))


def _describe_stages(names: tuple[str, ...]) -> list[Statistic]:
    """Minutes of each stage, and its share of sleep."""
    minutes = [Statistic(name, "min", f"minutes of {name}") for name in names]
    if len(names) == 2:
        return minutes
    shares = [
        Statistic(f"{name}_share", "%", f"{name} / total sleep time", per_decade=_SHARE_PER_DECADE.get(name, ""))
        for name in names[1:]
    ]
    return minutes + shares


def _describe_age(statistic: Statistic, *, age: float | None, night: int | None) -> str:
    if age is None or night is None or age < 18 or not statistic.per_decade:
        return ""
    later = "; later nights are longer than the first" if night == 1 and statistic.name == "total_sleep_time" else ""
    return f"{statistic.per_decade} per decade of age (means over 169 studies of healthy adults){later}"
