"""What many data sets say about the estimators: false positive rate, coverage, power, sign, bias."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd

from sharpwave.benchmarks.causality.oracles import pool_oracle_risk
from sharpwave.benchmarks.rows import Row

ALPHA = 0.05
SETTINGS = {
    "null": "nothing planted",
    "planted": "planted: hazard ratio 2, depth 1 dB",
    "reverse": "planted: depth changes the rate of ripples, nothing else",
}


def compute_rows(trials: pd.DataFrame, oracle: pd.DataFrame) -> list[Row]:
    """Rows of the benchmark.

    Args:
        trials: Rows of `run_trial` from all data sets.
        oracle: Counts of `tabulate_oracle_risk`, with their scenario.

    Returns:
        One row a scenario, question, content, method and metric.
    """
    trials = trials.copy()
    for scenario, counts in oracle.groupby("scenario"):
        asked = (trials["scenario"] == scenario) & (trials["method"] == "matched") & (trials["question"] == "wake")
        trials.loc[asked & (trials["content"] == "aversive"), "truth"] = pool_oracle_risk(counts)
    powered = trials["scenario"].str.startswith("power")
    rows = [row for _, group in _groups(trials[~powered], "scenario") for row in _score(group)]
    rows += [row for _, group in _groups(trials[powered], "scenario", "n_nights") for row in _score_power(group)]
    return rows + list(_score_signs(trials[trials["scenario"] == "planted"]))


def compute_share(hits: Sequence[bool]) -> tuple[float, float, float]:
    """Share of hits with its 95 % interval (Wilson 1927)."""
    from scipy.stats import binomtest

    interval = binomtest(int(np.sum(hits)), len(hits)).proportion_ci(method="wilson")
    return float(np.mean(hits)), float(interval.low), float(interval.high)


def _groups(trials: pd.DataFrame, *first: str) -> Iterator[tuple[object, pd.DataFrame]]:
    yield from trials.groupby([*first, "question", "content", "method"], sort=False)


def _score(group: pd.DataFrame) -> Iterator[Row]:
    head, known = group.iloc[0], group.dropna(subset=["p", "low"])
    null = head["scenario"] == "null" or (known["truth"] == 0).all()
    place = ("simulated", f"{SETTINGS[head['scenario']]}; {head['question']}, {head['content']}", head["method"])
    if "cues double" in head["question"]:
        null = False
    yield _share_row(place, "false_positive_rate" if null else "power", (known["p"] < ALPHA).tolist())
    if known["truth"].notna().all():
        covered = (known["low"] <= known["truth"]) & (known["truth"] <= known["high"])
        yield _share_row(place, "coverage", covered.tolist())
        error = known["value"] - known["truth"]
        half = 1.96 * float(error.std() / np.sqrt(len(error)))
        mean = float(error.mean())
        yield Row(*place, "bias", mean, mean - half, mean + half, len(known))


def _score_power(group: pd.DataFrame) -> Iterator[Row]:
    head = group.iloc[0]
    ratio = head["scenario"].split()[1]
    setting = f"hazard ratio {ratio}; {head['question']}, {head['content']}; {head['n_nights']} nights"
    metric = "false_positive_rate" if head["content"] == "neutral" else "power"
    yield _share_row(("simulated", setting, head["method"]), metric, (group["p"] < ALPHA).tolist())


def _score_signs(trials: pd.DataFrame) -> Iterator[Row]:
    """Share of data sets in which aversive lightens and rewarding stabilises."""
    hazards = trials[(trials["method"] == "hazard") & (trials["question"] == "wake")]
    sign = hazards["value"].to_numpy() > 0
    content = hazards["content"].to_numpy()
    for name, right in (("aversive", True), ("rewarding", False)):
        place = ("simulated", f"{SETTINGS['planted']}; wake, {name}", "hazard")
        yield _share_row(place, "sign_accuracy", (sign[content == name] == right).tolist())


def _share_row(place: tuple[str, str, str], metric: str, hits: Sequence[bool]) -> Row:
    return Row(*place, metric, *compute_share(hits), len(hits))
