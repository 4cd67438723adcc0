"""The first screen of a night page: can I trust it, how did they sleep, what next."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.formats import is_number, show, show_duration, show_interval, show_name
from sharpwave.reports.tables import compute_share_agreed
from sharpwave.reports.tracks import find_unclear

CHOICES: tuple[tuple[str, ...], ...] = (
    ("total_sleep_time",),
    ("sleep_efficiency", "sleep_maintenance"),
    ("wake_after_sleep_onset", "wake_until_last_sleep"),
    ("R_share",),
    ("N3_share", "DEEP_share", "NREM_share"),
    ("arousal_index", "sleep_latency", "rem_latency"),
)
"""Names of the numbers that lead: of each row the first one that this night has a value of."""

SOON = 0.02
"""Share of epochs above which those that are unclear, or that the expert calls otherwise, are worth a look."""


class Tile(NamedTuple):
    """A number that leads: its name, its value with the unit, and its interval."""

    name: str
    value: str
    beside: str


def choose_tiles(statistics: pd.DataFrame) -> list[Tile]:
    """At most six numbers of a night, those of `CHOICES`, each with its 80 % interval.

    Args:
        statistics: name, value, unit, [low, high]: the statistics of a decoded night.

    >>> row = {"name": "total_sleep_time", "value": 402.5, "unit": "min", "low": 391.0, "high": 411.5}
    >>> choose_tiles(pd.DataFrame([row]))
    [Tile(name='Total sleep time', value='6 h 42 min', beside='391.0 to 411.5 min')]
    """
    rows = {str(row["name"]): row for row in statistics.to_dict("records")} if "name" in statistics else {}
    tiles = []
    for names in CHOICES:
        row = next((rows[name] for name in names if name in rows and is_number(rows[name]["value"])), None)
        if row is not None:
            tiles.append(_fill(row))
    return tiles


def _fill(row: dict[Any, Any]) -> Tile:
    value, unit = float(row["value"]), str(row.get("unit", ""))
    low, high = row.get("low", np.nan), row.get("high", np.nan)
    interval = f"{show_interval(low, high, like=[value])} {unit}" if is_number(low) and is_number(high) else ""
    long = unit == "min" and value >= 60
    return Tile(
        show_name(str(row["name"])).replace(", share", " share"),
        show_duration(60 * value) if long else f"{show(value, like=[low, high])} {unit}".strip(),
        interval,
    )


def describe_reasons(night: DecodedNight, *, most: int = 3) -> list[str]:
    """Why the verdict is what it is, and the first of what is known of the stages; at most `most` sentences.

    >>> from sharpwave.recordings import Hypnogram
    >>> nap = dict(identifier="nap", source="nap.edf", duration=600.0, stager="hand", verdict="usable with care")
    >>> said = dict(reasons=["In 30% it is unclear."], trust=["In 30% it is unclear; see the figure.", "κ is 0.4."])
    >>> describe_reasons(DecodedNight(**nap, **said, hypnogram=Hypnogram(np.zeros(20, dtype=np.int8))))
    ['In 30% it is unclear.', 'κ is 0.4.']
    """
    said: list[str] = []
    for sentence in [*night.reasons, *night.trust]:
        if not any(sentence.startswith(before.removesuffix(".")) for before in said):
            said.append(sentence)
    return said[: max(most, len(night.reasons))]


def begins_asleep(hypnogram: Hypnogram) -> bool:
    """Whether the first epoch that is scored is one of sleep, as in a recording that was begun or cut late.

    >>> begins_asleep(Hypnogram.from_labels(["?", "N2", "W"])), begins_asleep(Hypnogram.from_labels(["W", "N2"]))
    (True, False)
    """
    scored = np.flatnonzero(hypnogram.scored)
    return len(scored) > 0 and hypnogram.names[hypnogram.stages[scored[0]]] != "W"


def describe_next_steps(night: DecodedNight) -> list[str]:
    """What to do with this night, the first thing first; at most three steps.

    >>> from sharpwave.recordings import Hypnogram
    >>> nap = dict(identifier="nap", source="nap.edf", duration=600.0, stager="hand")
    >>> hypnogram = Hypnogram(np.zeros(20, dtype=np.int8))
    >>> describe_next_steps(DecodedNight(**nap, hypnogram=hypnogram, verdict="not usable"))[0]
    'Do not read stages or numbers off this night.'
    >>> describe_next_steps(DecodedNight(**nap, hypnogram=Hypnogram.from_labels(["N2"] * 20), verdict="usable"))[0]
    'The recording begins in sleep: when that set in is not known, nor any latency counted from it.'
    """
    if night.verdict == "not usable":
        steps = ["Do not read stages or numbers off this night.", "See below, under Quality, which channel failed."]
        return [*steps, "Decode it again with other channels, or leave it out."]
    steps = []
    hypnogram = night.hypnogram
    unclear = find_unclear(hypnogram, night.unclear_below) & hypnogram.scored
    share = float(unclear.sum() / max(hypnogram.scored.sum(), 1))
    if share > SOON:
        minutes = show(float(unclear.sum() * hypnogram.epoch_length / 60))
        steps.append(
            f"Look at the {minutes} min that are unclear, {100 * share:.0f} % of the night, before you count on them."
        )
    if night.expert is not None:
        agreed = compute_share_agreed(hypnogram, night.expert)
        if np.isfinite(agreed) and agreed < 1 - SOON:
            steps.append(
                f"The expert says otherwise in {100 * (1 - agreed):.0f} % of epochs: see where, in the lane below."
            )
    if night.night_start is None and night.species not in ("mouse", "rat") and begins_asleep(hypnogram):
        steps.append("The recording begins in sleep: when that set in is not known, nor any latency counted from it.")
    if night.night_start is None or night.night_end is None:
        steps.append("Give the times of lights off and on: latency and efficiency need them.")
    steps.append("Read each number with its interval: a smaller difference between nights is no difference.")
    return steps[:3]
