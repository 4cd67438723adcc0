"""Reactivations and sleep of one night: what the page says of it, and what is kept for many nights together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality import compute_night_series
from sharpwave.causality.peri_event import compute_peri_event
from sharpwave.causality.rules import HORIZON, describe_rules, extract_rules
from sharpwave.causality.series_files import tabulate_files
from sharpwave.night.reactivations import FoundReactivations
from sharpwave.recordings import Hypnogram, Recording

FEWEST = 20
"""Reactivations in a night below which nothing is estimated from it."""

SAME = 0.3
"""Seconds: a ripple and the reactivation that it carries are found by different detectors."""

ONE_NIGHT = (
    "One night holds few events, and its intervals speak of this night alone: relate several with sharpwave causality."
)


@dataclass(frozen=True, eq=False)
class NightEffects:
    """What became of a night's reactivations.

    Attributes:
        reactivations: The counts, and by content the effect on depth (dB, with interval) and the chance of lighter
            sleep after one and at control moments (percent).
        rules: As `extract_rules` gives them.
        peri_event: As `compute_peri_event` gives it.
        note: In words.
        course_tables: By file name, what `sharpwave causality` reads.
    """

    reactivations: pd.DataFrame
    rules: pd.DataFrame = field(default_factory=pd.DataFrame)
    peri_event: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""
    course_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    def to_fields(self) -> dict[str, Any]:
        """The same as fields of a decoded night."""
        return {
            "reactivations": self.reactivations,
            "reactivations_note": self.note,
            "rules": self.rules,
            "peri_event": self.peri_event,
            "course_tables": self.course_tables,
        }


def relate_night(
    recording: Recording,
    hypnogram: Hypnogram,
    found: FoundReactivations,
    *,
    rng: np.random.Generator,
    channel: str | None = None,
    events: pd.DataFrame | None = None,
    artefacts: pd.DataFrame | None = None,
    cues: pd.DataFrame | None = None,
) -> NightEffects:
    """Estimate what a night's reactivations do to depth and to its stages.

    Args:
        recording: Gives depth and muscle tone.
        hypnogram: Stages on the same clock.
        found: Its reactivations.
        rng: Random generator.
        channel: Signal that gives the depth; the first EEG, else LFP, where omitted.
        events: Other events; ripples among them are the candidates that carry no reactivation.
        artefacts: onset and duration (s) of what is left out.
        cues: onset, condition ("cue", "sham"), content of randomised stimulation.

    Raises:
        SharpwaveError: If depth cannot be computed.
    """
    from sharpwave.causality import estimate_effects

    course = compute_night_series(
        recording,
        hypnogram,
        found.events.drop(columns=["label", "channel"]),
        channel=channel,
        candidates=None if events is None else join_candidates(found.events, events[events["label"] == "ripple"]),
        artefacts=artefacts,
        cues=cues,
    )
    kept = tabulate_files(course)
    if len(found.events) < FEWEST:
        note = f"{found.note} {len(found.events)} are too few to estimate anything of this night."
        return NightEffects(found.counts, note=note, course_tables=kept)
    effects = estimate_effects([course], rng=rng)
    rules = extract_rules(effects)
    return NightEffects(
        reactivations=_join_effects(found.counts, effects),
        rules=rules,
        peri_event=compute_peri_event([course], rng=rng),
        note=f"{found.note} {describe_rules(rules)} {ONE_NIGHT}",
        course_tables=kept,
    )


def join_candidates(reactivations: pd.DataFrame, others: pd.DataFrame) -> np.ndarray | None:
    """Onsets (s) of all candidate events, reactivations among them; None where there are no others.

    What begins within `SAME` seconds of a reactivation is that reactivation, and counts once.
    """
    if not len(others):
        return None
    mine = np.sort(reactivations["onset"].to_numpy(dtype=float))
    onsets = others["onset"].to_numpy(dtype=float)
    near = np.searchsorted(mine, onsets + SAME, side="right") > np.searchsorted(mine, onsets - SAME, side="left")
    return np.sort(np.r_[onsets[~near], mine])


def _join_effects(counts: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Beside each content's count its effect on depth and the chance of lighter sleep, at the rules' horizon.

    Where there is but one stage of NREM, lighter is awake.
    """
    chosen = effects[
        (effects["direction"] == "forward")
        & (effects["stage"] == "any")
        & (effects["period"] == "any")
        & (effects["horizon"] == HORIZON)
    ]
    depth = chosen[(chosen["outcome"] == "depth") & (chosen["estimator"] == "matched")]
    hazards = chosen[chosen["estimator"] == "hazard"]
    lighter = hazards[hazards["outcome"] == ("lighter" if (hazards["outcome"] == "lighter").any() else "wake")]
    table = counts.merge(
        depth[["content", "value", "low", "high"]].rename(columns={"value": "effect"}), on="content", how="left"
    )
    chances = pd.DataFrame(
        {
            "content": lighter["content"],
            "lighter_after": 100 * lighter["exposed"],
            "lighter_control": 100 * lighter["control"],
        }
    )
    return table.merge(chances, on="content", how="left")
