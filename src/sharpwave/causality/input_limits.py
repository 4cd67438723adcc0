"""What the input takes from the estimates, in sentences: epochs of 30 s, candidates that are not known, wrong contents;
and what the control of hidden causes saw, beside its power.

The figures are those of `sharpwave benchmark causality-worlds`, where the same nights are estimated with and without.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.exposure_control import ODDS
from sharpwave.causality.series import NightSeries

COARSE = 20
"""Seconds from which epochs of stages or windows of depth are called coarse."""

LEFT_OF_RATIO = 0.7
LEFT_OF_DEPTH = 0.5
LEFT_BY_LABELS = 0.7
"""What 30-s epochs leave of a log hazard ratio and of a difference in depth, and one wrong content in five of both."""


def describe_inputs(nights: Sequence[NightSeries]) -> list[str]:
    """Sentences on what the nights lack, and what that does to the estimates; none where they lack nothing.

    Args:
        nights: Time series of each night, one `NightSeries` a night.

    >>> import numpy as np, pandas as pd
    >>> stage, found = np.repeat([2, 3, 2, 0], 30), pd.DataFrame({"onset": [12.5], "content": ["maze"]})
    >>> depth, usable, known = np.random.default_rng(0).normal(size=120), np.ones(120, bool), np.array([12.5])
    >>> night = NightSeries("a", np.arange(120.0), stage, 5, depth, None, None, found, usable, candidates=known)
    >>> [sentence[:34] for sentence in describe_inputs([night])]
    ['Stages come in epochs of 30 s: the']
    """
    said = []
    stages = max(series.stage_epoch for series in nights)
    if stages >= COARSE:
        said.append(
            f"Stages come in epochs of {stages} s: the time of a transition is hardly known and brief arousals are not "
            f"seen. On simulated nights scored so, {LEFT_OF_RATIO:.0%} of a log hazard ratio was left: chances after a "
            "reactivation are nearer to those without one than they are in truth."
        )
    depth = max(series.depth_window for series in nights)
    if depth >= COARSE:
        said.append(
            f"Depth has one value every {depth} s: what follows a reactivation is taken from {depth} s after it on, "
            f"when part of an effect has faded. On simulated nights measured so, {LEFT_OF_DEPTH:.0%} of the difference "
            "in depth was left."
        )
    known = sum(series.candidates is not None for series in nights)
    if known < len(nights):
        missing = ", ".join(series.night for series in nights if series.candidates is None)
        said.append(
            f"Candidate events (ripples, bursts) are not known of {missing}"
            + (f", so those of the other {known} nights were not used either" if known else "")
            + ": reactivations are compared with moments without one, which is not safe from whatever drives ripples, "
            "and no control sees a hidden cause. candidates.tsv beside reactivations.tsv would tell them."
        )
    if len({name for series in nights for name in series.contents}) > 1:
        said.append(
            "Contents that were told wrongly pull the effects of each content together: with one in five wrong, "
            f"{LEFT_BY_LABELS:.0%} of an effect was left on simulated nights."
        )
    return said


def describe_controls(effects: pd.DataFrame, *, alpha: float = 0.05) -> list[str]:
    """What the control of hidden causes saw in these nights, and how often it would see one; none where it was not run.

    Args:
        effects: Table of effects, as `estimate_effects` gives it.
        alpha: Level of the control; .05 by default.

    >>> table = pd.DataFrame({"content": ["maze"], "stage": ["any"], "period": ["any"], "exposure_p": [0.4]})
    >>> describe_controls(table.assign(exposure_power=0.9))[0][:44]
    'Hidden causes: nothing before an event tells'
    """
    if "exposure_p" not in effects:
        return []
    whole = effects[(effects["stage"] == "any") & (effects["period"] == "any") & np.isfinite(effects["exposure_p"])]
    rows = whole.drop_duplicates("content")
    if not len(rows):
        return []
    odds = np.exp(ODDS)
    each = "; ".join(
        f"{'any content' if row['content'] == 'any' else row['content']} p = {row['exposure_p']:.3f}, power "
        f"{row['exposure_power']:.0%}{_describe_slow(row)}"
        for row in rows.to_dict("records")
    )
    seen = rows[rows["exposure_p"] <= alpha]
    verdict = (
        "nothing before an event tells whether it carries a memory"
        if not len(seen)
        else f"which events carry a memory follows more than the time of night ({', '.join(seen['content'])}), so that "
        "no effect of these is called a rule"
    )
    return [
        f"Hidden causes: {verdict} ({each}). The power is how often this control would see, in these nights, an "
        f"infraslow cause (in brackets one that drifts over 40 min) that changes the odds by {odds:.1f} per standard "
        "deviation; at a low power a quiet control says little."
    ]


def _describe_slow(row: Mapping[Any, Any]) -> str:
    """The power to see a slow cause, where it is known."""
    slow = row.get("exposure_slow_power", np.nan)
    return f" ({slow:.0%} where slow)" if np.isfinite(slow) else ""
