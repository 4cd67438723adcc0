"""Scores of one night: agreement with an expert, skill of its forecast, events per stage, planted events found.

Intervals resample blocks of 10 minutes, because neighbouring epochs are not independent (Künsch 1989); one night says
nothing about other people, so a benchmark's interval over subjects stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.evaluation.events import score_events
from sharpwave.evaluation.metrics import (
    compute_accuracy,
    compute_auprc,
    compute_brier,
    compute_confusion,
    compute_kappa,
    compute_log_loss,
    compute_macro_f1,
    compute_reliability,
)
from sharpwave.evaluation.sleep_statistics import SUSTAINED_REM, compute_sleep_statistics
from sharpwave.recordings.hypnogram import Hypnogram

if TYPE_CHECKING:
    from sharpwave.simulation.truth import Truth

BLOCK = 600.0
"""Seconds of a resampled block."""

N_RESAMPLES = 500

TRUTH_IOU = 0.2
"""Overlap (intersection over union) from which a detected event counts as a planted one."""


def compute_agreement(hypnogram: Hypnogram, expert: Hypnogram | None, *, rng: np.random.Generator) -> pd.DataFrame:
    """Agreement with an expert over the epochs both scored: metric, value, low, high (95 %), n (epochs).

    Where the two differ in the number of stages, the finer one is merged; where they differ in epoch length, the
    expert is resampled to ours.
    """
    if expert is None:
        return pd.DataFrame()
    n_stages = min(hypnogram.n_stages, expert.n_stages)
    found = hypnogram.merge(n_stages)
    truth = align(expert.merge(n_stages), found)
    metrics: dict[str, Callable[[np.ndarray], float]] = {
        "kappa": compute_kappa,
        "accuracy": compute_accuracy,
        "macro_f1": compute_macro_f1,
    }
    n = int(((truth >= 0) & found.scored).sum())
    rows = []
    for name, metric in metrics.items():
        value = metric(compute_confusion(truth, found.stages, n_stages=n_stages))
        draws = [
            metric(compute_confusion(truth[index], found.stages[index], n_stages=n_stages))
            for index in _resample(len(found), found.epoch_length, rng)
        ]
        low, high = np.nanpercentile(draws, (2.5, 97.5)) if n else (np.nan, np.nan)
        rows.append({"metric": name, "value": value, "low": low, "high": high, "n": n})
    return pd.DataFrame(rows)


def align(expert: Hypnogram, hypnogram: Hypnogram) -> np.ndarray:
    """The expert's stage in each of our epochs, shape (epoch,): the stage at its middle, after resampling."""
    if expert.epoch_length < hypnogram.epoch_length:
        expert = expert.resample(hypnogram.epoch_length)
    return expert.at(hypnogram.onsets + hypnogram.epoch_length / 2)


def score_forecast(
    forecast: pd.DataFrame, reference: Hypnogram, *, rng: np.random.Generator
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """How good the probability of a change in the next epoch was, beside persistence and Markov.

    Args:
        forecast: `onset`, `p_change`, `persistence_p_change`, `markov_p_change`; made at the end of that epoch.
        reference: Stages that decide whether a change came.
        rng: Random generator of the bootstrap.

    Returns:
        Skill (method, ours first; auprc, low, high, log_loss, brier, n, prevalence; log_loss_gain, gain_low, gain_high:
        the log-loss saved against persistence), and reliability of ours (predicted, observed, n).
    """
    onsets = forecast["onset"].to_numpy(dtype=float)
    epoch_length = float(onsets[1] - onsets[0]) if len(onsets) > 1 else reference.epoch_length
    if reference.epoch_length < epoch_length:
        reference = reference.resample(epoch_length)
    middles = onsets + epoch_length / 2
    now, following = reference.at(middles), reference.at(middles + epoch_length)
    known = (now >= 0) & (following >= 0) & np.isfinite(forecast["p_change"].to_numpy())
    changed = (now != following)[known]
    ours = str(forecast.attrs.get("method", "forecast")).partition(" on ")[0].partition(",")[0]
    columns = {ours: "p_change", "markov": "markov_p_change", "persistence": "persistence_p_change"}
    columns = {method: column for method, column in columns.items() if column in forecast}
    if "markov" in columns and forecast["p_change"].equals(forecast["markov_p_change"]):
        del columns["markov"]
    scores = {method: forecast[column].to_numpy()[known] for method, column in columns.items()}
    if not changed.any() or changed.all():
        return pd.DataFrame(), pd.DataFrame()
    draws = list(_resample(len(changed), epoch_length, rng))
    baseline = scores.get("persistence")
    rows = []
    for method, score in scores.items():
        low, high = np.nanpercentile([compute_auprc(changed[i], score[i]) for i in draws], (2.5, 97.5))
        row = {
            "method": method,
            "auprc": compute_auprc(changed, score),
            "low": low,
            "high": high,
            "log_loss": compute_log_loss(changed, score),
            "brier": compute_brier(changed, score),
            "n": len(changed),
            "prevalence": changed.mean(),
        }
        if baseline is not None:
            gains = [compute_log_loss(changed[i], baseline[i]) - compute_log_loss(changed[i], score[i]) for i in draws]
            row["log_loss_gain"] = compute_log_loss(changed, baseline) - compute_log_loss(changed, score)
            row["gain_low"], row["gain_high"] = np.nanpercentile(gains, (2.5, 97.5))
        rows.append(row)
    predicted, observed, n = compute_reliability(changed, scores[ours])
    reliability = pd.DataFrame({"predicted": predicted, "observed": observed, "n": n})
    return pd.DataFrame(rows), reliability[reliability["n"] > 0].reset_index(drop=True)


def describe_forecast(skill: pd.DataFrame, *, judged_by: str) -> str:
    """What the forecast was worth in this night, in one sentence; "no better than persistence" is allowed."""
    if not len(skill):
        return "The night has no changes of stage to judge the forecast by."
    ours = skill.iloc[0]
    against = (
        f"AUPRC of a change {ours['auprc']:.2f} (95 % interval {ours['low']:.2f} to {ours['high']:.2f}; chance is "
        f"{ours['prevalence']:.2f}), judged by {judged_by}"
    )
    if "gain_low" in ours and ours["gain_low"] > 0:
        return f"Better than persistence in this night: {against}."
    return f"No better than persistence in this night, within the uncertainty: {against}."


def summarise_events(events: pd.DataFrame, hypnogram: Hypnogram, *, sources: np.ndarray | None = None) -> pd.DataFrame:
    """Counts by kind of event and stage: label, stage, count, minutes, per_minute, and medians of what was measured.

    An event belongs to the stage at its middle. Stages in which a kind never occurs are left out.

    Args:
        events: Detected events: onset, duration (s), label, channel, and what each detector measures.
        hypnogram: The stages.
        sources: EEG channel that each epoch was staged from; events of such a channel are counted, and their minutes
            with them, in its own epochs. None where there is one channel for all.
    """
    if not len(events):
        return pd.DataFrame()
    middle = events["onset"].to_numpy(dtype=float) + events["duration"].to_numpy(dtype=float) / 2
    names = np.array([*hypnogram.names, "?"])
    table = events.assign(stage=names[hypnogram.at(middle)])
    searched = set() if sources is None else {name for name in sources if name}

    def count_minutes(stage: str, channel: object) -> float:
        inside = hypnogram.stages == (hypnogram.names.index(stage) if stage in hypnogram.names else -1)
        if len(searched) > 1 and channel in searched and sources is not None:
            inside = inside & (sources == channel)
        return float(inside.sum() * hypnogram.epoch_length / 60)

    measured = [name for name in ("duration", "frequency", "amplitude_uv") if name in table]
    rows = []
    for (label, channel, stage), group in table.groupby(["label", "channel", "stage"], sort=True, dropna=False):
        spent = count_minutes(str(stage), channel)
        rows.append(
            {
                "label": label,
                "channel": channel,
                "stage": stage,
                "count": len(group),
                "minutes": spent,
                "per_minute": len(group) / spent if spent else np.nan,
                **{name: pd.to_numeric(group[name], errors="coerce").median() for name in measured},
                **({"microvolts": group["microvolts"].iloc[0]} if "microvolts" in group else {}),
            }
        )
    return pd.DataFrame(rows)


def count_truth(truth: Truth, events: pd.DataFrame, *, duration: float) -> dict[str, dict[str, Any]]:
    """Events planted in a simulated night beside those found: counts, precision and recall at IoU 0.2, by kind.

    An eye movement is a step whose length is a matter of definition, so both sides count as one second around it.
    """
    planted = {
        "spindle": truth.spindles,
        "slow_wave": truth.slow_oscillations,
        "ripple": truth.ripples,
        "rapid_eye_movement": truth.eye_movements[truth.eye_movements["label"] == "rem"],
    }
    counts = {}
    for label, table in planted.items():
        found = events[events["label"] == label]
        if label == "rapid_eye_movement":
            table, found = _around_middle(table), _around_middle(found)
        scores = score_events(table, found, iou=TRUTH_IOU, duration=duration)
        counts[label] = {
            "planted": len(table),
            "found": len(found),
            "precision": scores.precision,
            "recall": scores.recall,
        }
    return counts


def _around_middle(events: pd.DataFrame) -> pd.DataFrame:
    """Each event as one second around its middle."""
    middle = events["onset"].to_numpy(dtype=float) + events["duration"].to_numpy(dtype=float) / 2
    return pd.DataFrame({"onset": middle - 0.5, "duration": 1.0})


def _resample(n: int, epoch_length: float, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Indices of circular block bootstrap samples of n epochs."""
    length = max(1, min(n, round(BLOCK / epoch_length)))
    n_blocks = int(np.ceil(n / length))
    for _ in range(N_RESAMPLES):
        starts = rng.integers(0, n, n_blocks)
        yield (starts[:, None] + np.arange(length)).ravel()[:n] % n


def add_expert(
    statistics: pd.DataFrame,
    expert: Hypnogram | None,
    *,
    lights_off: float | None,
    lights_on: float | None,
    sustained_rem: tuple[float, float] | None = SUSTAINED_REM,
) -> pd.DataFrame:
    """The statistics with a column `expert`: the same of an expert's stages by the same rules, where there are any.

    Args:
        statistics: Sleep statistics of the decoded stages.
        expert: The expert's stages; None leaves the table as it is.
        lights_off: Time of lights off, in seconds from the start.
        lights_on: Time of lights on, in seconds from the start.
        sustained_rem: The rule of REM latency that the statistics follow (see `compute_sleep_statistics`).

    >>> decoded, expert = Hypnogram.from_labels(["N2", "R", "N2", "N2"]), Hypnogram.from_labels(["N2"] * 3 + ["R"])
    >>> ours = compute_sleep_statistics(decoded, rng=np.random.default_rng(0))
    >>> table = add_expert(ours, expert, lights_off=None, lights_on=None)
    >>> table.loc[table["name"] == "rem_latency_first_epoch", ["value", "expert"]].to_numpy().tolist()
    [[0.5, 1.5]]
    """
    if expert is None:
        return statistics
    rng = np.random.default_rng(0)  # only for intervals, which are not shown
    theirs = compute_sleep_statistics(
        expert, rng=rng, lights_off=lights_off, lights_on=lights_on, sustained_rem=sustained_rem
    )
    values = theirs.set_index("name")["value"]
    return statistics.assign(expert=pd.to_numeric(statistics["name"].map(values), errors="coerce"))
