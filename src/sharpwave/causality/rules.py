"""Rules a person can read, extracted from estimated effects: ranked, each with its control, nulls stated plainly.

Only what holds over several nights, passes false-discovery control, leaves out zero and has a quiet negative control
is called a rule; the reverse direction has no negative control and must pass the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.units import FEWEST_UNITS
from sharpwave.causality.wording import OBSERVATIONAL, RANDOMISED, describe_control, describe_effect, write_p
from sharpwave.errors import SharpwaveError

ALPHA = 0.05
HORIZON = 30.0
"""Seconds: the horizon a rule speaks of, chosen before looking; all horizons stay in the table of effects."""

PREFERRED = ("hazard", "matched")
"""Estimators of one question, the one that a rule speaks of first; depth has no hazard."""

QUESTION = ["direction", "outcome", "content", "stage", "period"]
NEEDED = (
    *QUESTION, "horizon", "estimator", "exposed", "control", "value", "low", "high", "ratio", "ratio_low",
    "ratio_high", "p", "q", "n_events", "n_nights", "e_value", "control_p", "note",
)  # fmt: skip
RULE_COLUMNS = ("rank", "verdict", "rule", "control_of_rule", "reason", "claim", *NEEDED)


def extract_rules(effects: pd.DataFrame, *, alpha: float = ALPHA, horizon: float = HORIZON) -> pd.DataFrame:
    """Rules from a table of effects, and beside them everything that was asked and not shown.

    One row a question (direction, outcome, content, stage, time of night): the estimate at `horizon`, or at the
    nearest one there is, by the first of `PREFERRED`. A randomised estimate has a row of its own; naive ones have none.

    Args:
        effects: As `estimate_effects` gives it, with at least the columns in `NEEDED`.
        alpha: Level of false-discovery control and of the negative control.
        horizon: In s.

    Returns:
        rank (from 1), verdict ("rule" or "not shown"), rule (the sentence), control_of_rule (a sentence), reason (why
        it is not shown), claim ("observational: …" or "randomised cues: caused"), and the effect's own columns. Rules
        come first, the surest at the top.

    Raises:
        SharpwaveError: If a column is missing.
    """
    missing = [name for name in NEEDED if name not in effects]
    if missing:
        raise SharpwaveError(
            "a table of effects, as estimate_effects gives it",
            got=f"no column {', '.join(missing)}",
            fix="give the table unchanged",
        )
    asked = effects[effects["estimator"].isin((*PREFERRED, "randomised")) & np.isfinite(effects["value"])]
    rows = [_judge(row, asked, alpha) for row in _choose(asked, horizon)]
    if not rows:
        return pd.DataFrame(columns=RULE_COLUMNS)
    table = pd.DataFrame(rows).sort_values(["verdict", "p"], ascending=[False, True], kind="stable", ignore_index=True)
    return table.assign(rank=np.arange(1, len(table) + 1))[list(RULE_COLUMNS)]


def describe_rules(rules: pd.DataFrame) -> str:
    """What was found, in one plain sentence; a null is stated as one."""
    if not len(rules):
        return f"Nothing could be estimated: there were too few reactivations. ({OBSERVATIONAL}.)"
    found = rules[rules["verdict"] == "rule"]
    forward = rules[rules["direction"] == "forward"]
    if not len(found):
        return f"No effect was shown: none of {len(rules)} questions passed every check. ({OBSERVATIONAL}.)"
    head = f"{len(found)} of {len(rules)} questions gave a rule. {found.iloc[0]['rule']}"
    if len(forward) and not (found["direction"] == "forward").any():
        head = f"No effect of reactivation on sleep was shown; of the reverse direction: {found.iloc[0]['rule']}"
    return f"{head} ({found.iloc[0]['claim']}.)"


def _choose(asked: pd.DataFrame, horizon: float) -> Sequence[Mapping[Any, Any]]:
    """One row a question and kind of estimate: the preferred estimator at the horizon nearest to the one wanted."""
    if not len(asked):
        return []
    order = {name: index for index, name in enumerate(("randomised", *PREFERRED))}
    table = asked.assign(
        randomised=asked["estimator"] == "randomised",
        preference=asked["estimator"].map(order),
        distance=(asked["horizon"] - horizon).abs(),
    )
    table = table.sort_values(["preference", "distance"], kind="stable")
    chosen = table.drop_duplicates([*QUESTION, "randomised"], keep="first")
    return chosen[list(NEEDED)].to_dict("records")


def _judge(row: Mapping[Any, Any], asked: pd.DataFrame, alpha: float) -> dict[str, Any]:
    reasons = _find_reasons(row, alpha)
    same = asked[(asked["direction"] == "reverse") & (asked["estimator"] != "randomised")]
    for name in ("content", "stage", "period"):
        same = same[same[name] == row[name]]
    reverse = same.iloc[0].to_dict() if len(same) and row["direction"] == "forward" else None
    return {
        "verdict": "not shown" if reasons else "rule",
        "rule": describe_effect(row, shown=not reasons),
        "control_of_rule": describe_control(row, reverse, alpha=alpha),
        "reason": "; ".join(reasons),
        "claim": RANDOMISED if row["estimator"] == "randomised" else OBSERVATIONAL,
        **row,
    }


def _find_reasons(row: Mapping[Any, Any], alpha: float) -> list[str]:
    """Why an effect is no rule; none where it is one."""
    reasons = []
    if row["n_nights"] < FEWEST_UNITS:
        reasons.append(f"fewer than {FEWEST_UNITS} nights")
    if not row["low"] > 0 and not row["high"] < 0:
        reasons.append("the interval holds zero")
    if not row["q"] <= alpha:
        reasons.append(f"does not pass false-discovery control ({write_p(row['q']).replace('p', 'q')})")
    if row["direction"] == "forward" and not row["control_p"] > alpha:
        known = np.isfinite(row["control_p"])
        reasons.append("the negative control moved as well" if known else "no negative control")
    return reasons
