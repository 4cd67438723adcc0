"""Sleep statistics with their definition, an 80 % interval and how far experts differ on them.

The AASM manual's definitions, paraphrased. What is undefined is NaN, never 0: no REM latency without REM, no sleep
latency without lights-off. Where YASA's definition agrees the values are YASA's, which a test holds; they are computed
here because the interval needs them on hundreds of sampled hypnograms at once.

The interval comes from whole hypnograms drawn from stage probabilities, with errors that last: neighbouring epochs are
wrong together. Stage k of epoch t is the one with the largest log p + Gumbel noise, so each epoch's share of stages is
its probabilities. The noise is a Gaussian copula: one part is the same all night (a scorer who leans towards N3 does so
all night), the rest forgets with a time constant. Both were chosen on half of the nights of the Dreem Open Datasets so
that 80 % intervals of sleep statistics hold a held-out expert's value in 80 % of nights; the other half measured that
(docs/sleep-statistics.md).

One spurious bout sets no statistic. A stager's first epoch of REM is often false, and one false epoch moves REM latency
by hours; so the latency is counted to the first epoch that begins fifteen minutes with at least five minutes of REM
(`SUSTAINED_REM`). Of fourteen rules two came nearest to the experts, and under this one of the two the experts differ
less among themselves; to ask for clear epochs besides made it worse. The first epoch however short, as the AASM manual
has it, stands beside it under its own name. Sleep onset keeps the first epoch of any sleep, because no rule came nearer
to the experts; persistent sleep has a row of its own (benchmarks/results/latency-rules.json).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.event_indices import compute_event_indices
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED, Hypnogram

DEFINITIONS = "2"
"""Version of the definitions of all statistics, to compare nights by; docs/sleep-statistics.md says what changed."""

LEVEL = 0.8
"""Share of nights whose value an interval should hold."""

SPREAD_FILE = Path(__file__).parents[1] / "weights" / "scorer_spread.json"

NIGHT_SHARE = 0.2
"""Share of the noise's variance that is the same all night."""

MEMORY = 1800.0
"""Time constant of the rest, in seconds."""

SUSTAINED_REM = (300.0, 900.0)
"""Seconds of REM that REM latency waits for, and the seconds within which they must lie (people)."""

ADULT = 18.0
"""Years below which what was measured on adults (the spread of experts, the change with age) is not shown."""
PERSISTENT_SLEEP = (600.0, 600.0)
"""Seconds of sleep that latency to persistent sleep waits for: ten minutes without a break."""


def sample_hypnograms(
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    n_samples: int = 200,
    night_share: float = NIGHT_SHARE,
    memory: float = MEMORY,
) -> Int[np.ndarray, "sample epoch"]:
    """Stage codes of hypnograms that the probabilities allow; unscored epochs stay unscored.

    Args:
        hypnogram: A hypnogram with probabilities.
        rng: Source of randomness.
        n_samples: Number of hypnograms to draw.
        night_share: Share of the noise's variance that lasts all night, 0 to 1.
        memory: Time constant of the rest, in seconds.

    Raises:
        SharpwaveError: If the hypnogram has no probabilities.
    """
    from scipy.signal import lfilter
    from scipy.special import log_ndtr

    if hypnogram.probabilities is None:
        raise SharpwaveError("a hypnogram with probabilities", got="stages only", fix="give each stage's probability")
    n_epochs, n_stages = len(hypnogram), hypnogram.n_stages
    known = hypnogram.scored & np.isfinite(hypnogram.probabilities).all(axis=1)
    log_p = np.log(np.maximum(np.nan_to_num(hypnogram.probabilities), 1e-9))
    stay = float(np.exp(-hypnogram.epoch_length / memory)) if memory > 0 else 0.0
    drawn = np.empty((n_samples, n_epochs), dtype=np.int8)
    for index in range(n_samples):
        steps = rng.standard_normal((n_epochs, n_stages))
        steps[1:] *= np.sqrt(1 - stay**2)
        passing = lfilter([1.0], [1.0, -stay], steps, axis=0)
        lasting = rng.standard_normal(n_stages)
        noise = np.sqrt(night_share) * lasting + np.sqrt(1 - night_share) * passing
        drawn[index] = (log_p - np.log(-log_ndtr(noise))).argmax(axis=1)
    drawn[:, ~known] = hypnogram.stages[~known]
    drawn[:, ~hypnogram.scored] = UNSCORED
    return drawn


def measure_stages(
    stages: Int[np.ndarray, "sample epoch"],
    *,
    n_stages: int,
    epoch_length: float,
    lead: float | None = None,
    in_bed: float | None = None,
    to_lights_on: bool = False,
    sustained_rem: tuple[float, float] | None = SUSTAINED_REM,
) -> dict[str, Float[np.ndarray, " sample"]]:
    """Statistics of each hypnogram; NaN where undefined.

    Args:
        stages: Stage codes, -1 where unscored: neither wake nor sleep.
        n_stages: Number of stages, 2 to 5.
        epoch_length: Length of an epoch in seconds.
        lead: Seconds from lights off to the first epoch; None where lights-off is not known.
        in_bed: Seconds from lights off to lights on; None where either is not known.
        to_lights_on: Whether the last epoch ends at lights on.
        sustained_rem: Seconds of REM that REM latency waits for, and the seconds within which they must lie; 300 in
            900 by default. None takes the first epoch of REM: right for rodents, whose bouts last a minute.

    Returns:
        By name: minutes, shares in per cent, rates per hour.
    """
    minutes, n_epochs = epoch_length / 60, stages.shape[1]
    asleep, awake, scored = stages > 0, stages == 0, stages >= 0
    slept = asleep.any(axis=1)
    onset = np.where(slept, asleep.argmax(axis=1), n_epochs) if n_epochs else np.zeros(len(stages), dtype=int)
    end = np.where(slept, n_epochs - asleep[:, ::-1].argmax(axis=1), n_epochs) if n_epochs else onset
    after_onset = np.arange(n_epochs) >= onset[:, None]
    within = after_onset & (np.arange(n_epochs) < end[:, None])
    total = asleep.sum(axis=1) * minutes
    period = _where(slept, (end - onset) * minutes)
    rem = stages == n_stages - 1
    first_rem = find_sustained(rem, epoch_length=epoch_length)
    lasting_rem = first_rem if sustained_rem is None else find_sustained(rem, *sustained_rem, epoch_length=epoch_length)
    lasting_sleep = find_sustained(asleep, *PERSISTENT_SLEEP, epoch_length=epoch_length)
    wake_inside, wake_after = ((awake & where).sum(axis=1) * minutes for where in (within, after_onset))
    inside = scored & within
    shifts = ((stages[:, 1:] != stages[:, :-1]) & inside[:, 1:] & inside[:, :-1]).sum(axis=1)
    known_period = _where(slept, inside.sum(axis=1) * minutes)
    wakings = (asleep[:, :-1] & awake[:, 1:]).sum(axis=1)
    undefined = np.full(len(stages), np.nan)
    bed = undefined if in_bed is None else np.full(len(stages), in_bed / 60)
    known_bed = _where(scored.any(axis=1), bed - (~scored).sum(axis=1) * minutes)
    values = {
        "total_sleep_time": total,
        "sleep_latency": undefined if lead is None else _where(slept, onset * minutes + lead / 60),
        "persistent_sleep_latency": undefined if lead is None else lasting_sleep * minutes + lead / 60,
        "rem_latency": undefined if n_stages == 2 else (lasting_rem - onset) * minutes,
        "rem_latency_first_epoch": undefined if n_stages == 2 else (first_rem - onset) * minutes,
        "wake_after_sleep_onset": _where(slept, wake_after) if to_lights_on else undefined,
        "wake_until_last_sleep": _where(slept, wake_inside),
        "time_in_bed": bed,
        "sleep_efficiency": 100 * total / known_bed,
        "sleep_period": period,
        "sleep_maintenance": 100 * total / known_period,
        "stage_shifts": 60 * shifts / known_period,
        "fragmentation": 60 * wakings / _where(slept, total),
        "awakenings": _where(slept, ((asleep[:, :-1] & awake[:, 1:]) & within[:, 1:]).sum(axis=1)),
    }
    for code, name in enumerate(STAGE_SETS[n_stages]):
        spent = (stages == code).sum(axis=1) * minutes
        values[name] = spent
        if code > 0 and n_stages > 2:
            values[f"{name}_share"] = 100 * spent / _where(slept, total)
    return {name: np.asarray(value, dtype=float) for name, value in values.items()}


def find_sustained(
    found: Bool[np.ndarray, "sample epoch"], seconds: float = 0.0, within: float = 0.0, *, epoch_length: float = 30.0
) -> Float[np.ndarray, " sample"]:
    """Index of the first epoch of a stage that begins a stretch with enough of it; NaN where there is none.

    Args:
        found: Whether each epoch is of the stage.
        seconds: Seconds of the stage that the stretch must hold; 0 takes the first epoch.
        within: Length of the stretch, in seconds; what lies behind the last epoch is not of the stage.
        epoch_length: Length of an epoch, in seconds.

    >>> false_then_true = np.array([[0, 1, 0, 0, 0, 1, 1, 0, 1, 0]], dtype=bool)
    >>> find_sustained(false_then_true, 90.0, 150.0).tolist(), find_sustained(false_then_true).tolist()
    ([5.0], [1.0])
    """
    length = max(1, int(np.ceil(within / epoch_length - 1e-9)))
    needed = max(1, int(np.ceil(seconds / epoch_length - 1e-9)))
    padded = np.pad(found.astype(int).cumsum(axis=1), ((0, 0), (1, length)), mode="edge" if found.size else "constant")
    enough = found & (padded[:, length : length + found.shape[1]] - padded[:, : found.shape[1]] >= needed)
    return _where(enough.any(axis=1), enough.argmax(axis=1) if found.shape[1] else 0)


def _where(defined: npt.ArrayLike, values: npt.ArrayLike) -> np.ndarray:
    return np.where(defined, values, np.nan)


@dataclass(frozen=True)
class Statistic:
    """What one row of the table means.

    Attributes:
        name: Name in the table.
        unit: Unit of the value: "min", "%", "1/h", or "n" for a number of times.
        definition: Definition in words.
        needs: What must be known for it: any of "lights-off", "lights-on".
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
    Statistic(
        "persistent_sleep_latency", "min", "lights off to the first 10 min of sleep without a break", ("lights-off",)
    ),
    Statistic(
        "rem_latency", "min", "sleep onset to the first epoch of REM that begins 15 min with at least 5 min of REM"
    ),
    Statistic("rem_latency_first_epoch", "min", "sleep onset to the first epoch of REM, however short (AASM)"),
    Statistic("wake_after_sleep_onset", "min", "wake from sleep onset to lights on", ("lights-on",), "+9.7 min"),
    Statistic("wake_until_last_sleep", "min", "wake from sleep onset to the last epoch of sleep"),
    Statistic("time_in_bed", "min", "lights off to lights on", ("lights-off", "lights-on")),
    Statistic(
        "sleep_efficiency",
        "%",
        "total sleep time / time in bed, less what is unscored in it",
        ("lights-off", "lights-on"),
        "−2.1 %",
    ),
    Statistic("sleep_period", "min", "sleep onset to the end of the last epoch of sleep"),
    Statistic("sleep_maintenance", "%", "total sleep time / sleep period, less what is unscored in it"),
    Statistic(
        "stage_shifts", "1/h", "changes of stage within the sleep period, per scored hour of it", has_interval=False
    ),
    Statistic("fragmentation", "1/h", "changes from sleep to wake, per hour of sleep"),
    Statistic("awakenings", "n", "bouts of wake between sleep onset and the last epoch of sleep", has_interval=False),
)
"""Statistics of any hypnogram; minutes and shares of each stage follow them in the table."""

SHARE_PER_DECADE = {"N1": "+0.5 %", "N3": "no significant change", "R": "no significant change"}


def compute_sleep_statistics(
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    lights_off: float | None = None,
    lights_on: float | None = None,
    n_samples: int = 200,
    age: float | None = None,
    night: int | None = None,
    scored_events: pd.DataFrame | None = None,
    sustained_rem: tuple[float, float] | None = SUSTAINED_REM,
) -> pd.DataFrame:
    """Sleep statistics of one night.

    Args:
        hypnogram: 2 to 5 stages; where it has probabilities, the table has intervals.
        rng: Source of randomness for the hypnograms behind the intervals.
        lights_off: Seconds from the start of the recording; where None, what needs it is undefined, not invented.
        lights_on: Seconds from the start of the recording, likewise.
        n_samples: Number of hypnograms drawn.
        age: Age of the sleeper in years.
        night: Number of the laboratory night, from 1. What age does is shown for adults where both are given.
        scored_events: Arousals, apnoeas and the like that a scorer marked (see `find_scored_events`); their indices
            count those between lights off and lights on, and are blank where none of their kind was scored.
        sustained_rem: Seconds of REM that REM latency waits for, and the seconds within which they must lie; 300 in
            900 by default. None takes the first epoch of REM: right for rodents, whose bouts last a minute.

    Returns:
        Columns name, value, unit, low, high (80 % interval), scorer_spread (median over nights of the largest minus
        the smallest value of five experts), definition, age_band.

    Raises:
        SharpwaveError: If the hypnogram counts training steps, or lights on is not after lights off.

    >>> night = Hypnogram.from_labels(["W", "N1", "R"] + ["N2"] * 30 + ["R"] * 10)
    >>> table = compute_sleep_statistics(night, rng=np.random.default_rng(0), lights_off=0.0).set_index("name")
    >>> table.loc[["sleep_latency", "rem_latency", "rem_latency_first_epoch"], "value"].to_dict()
    {'sleep_latency': 0.5, 'rem_latency': 16.0, 'rem_latency_first_epoch': 0.5}
    """
    bed, clock = _restrict_to_bed(hypnogram, lights_off=lights_off, lights_on=lights_on)
    clock["sustained_rem"] = sustained_rem
    values = measure_stages(bed.stages[None], **clock)
    if len(bed) and not bed.scored.any():  # no epoch could be used: nothing is known, which is not 0 min
        values = {name: np.full_like(value, np.nan) for name, value in values.items()}
    drawn = None
    if bed.probabilities is not None and len(bed):
        drawn = measure_stages(sample_hypnograms(bed, rng=rng, n_samples=n_samples), **clock)
    missing = {"lights-off": lights_off is None, "lights-on": lights_on is None}
    grown = age is None or not age < ADULT  # the spread was measured on adults' nights
    spread = load_scorer_spread() if bed.n_stages == 5 and grown else {}
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
                "scorer_spread": spread.get(statistic.name, np.nan),
                "definition": _define(statistic, needed=needed, values=values, sustained_rem=sustained_rem),
                "age_band": _describe_age(statistic, age=age, night=night),
            }
        )
    indices = [{**row, "age_band": ""} for row in compute_event_indices(bed, scored_events)]
    return pd.DataFrame([*rows, *indices], columns=list(rows[0]))


def _define(
    statistic: Statistic,
    *,
    needed: Sequence[str],
    values: Mapping[str, np.ndarray],
    sustained_rem: tuple[float, float] | None,
) -> str:
    """The definition as it was applied, with what is missing for it."""
    if statistic.name != "rem_latency":
        return statistic.definition + (f"; needs {' and '.join(needed)}" if needed else "")
    if sustained_rem is None:
        return "sleep onset to the first epoch of REM"
    least, within = (seconds / 60 for seconds in sustained_rem)
    rule = f"sleep onset to the first epoch of REM that begins {within:g} min with at least {least:g} min of REM"
    scattered = np.isnan(values["rem_latency"][0]) and np.isfinite(values["rem_latency_first_epoch"][0])
    return rule + ("; blank, since REM never lasted so long here" if scattered else "")


def _restrict_to_bed(
    hypnogram: Hypnogram, *, lights_off: float | None, lights_on: float | None
) -> tuple[Hypnogram, dict[str, Any]]:
    """The epochs between lights off and lights on, and what `measure_stages` must know of them."""
    if hypnogram.unit != "s":
        raise SharpwaveError("a hypnogram in seconds", got=f"unit {hypnogram.unit!r}", fix="give a night of sleep")
    if lights_off is not None and lights_on is not None and lights_on <= lights_off:
        raise SharpwaveError(
            "lights on after lights off", got=f"off at {lights_off:g} s, on at {lights_on:g} s", fix="check both times"
        )
    bed = hypnogram.restrict(
        hypnogram.start if lights_off is None else lights_off, hypnogram.end if lights_on is None else lights_on
    )
    return bed, {
        "n_stages": bed.n_stages,
        "epoch_length": bed.epoch_length,
        "lead": None if lights_off is None else max(bed.start - lights_off, 0.0),
        "in_bed": None if lights_off is None or lights_on is None else lights_on - lights_off,
        "to_lights_on": lights_on is not None,
    }


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
        Statistic(f"{name}_share", "%", f"{name} / total sleep time", per_decade=SHARE_PER_DECADE.get(name, ""))
        for name in names[1:]
    ]
    return minutes + shares


def _describe_age(statistic: Statistic, *, age: float | None, night: int | None) -> str:
    if age is None or night is None or age < ADULT or not statistic.per_decade:
        return ""
    later = "; later nights are longer than the first" if night == 1 and statistic.name == "total_sleep_time" else ""
    return f"{statistic.per_decade} per decade of age (means over 169 studies of healthy adults){later}"
