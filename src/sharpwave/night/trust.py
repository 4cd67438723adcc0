"""How much to trust a decoded night: a verdict with its reasons, five sentences, and whom the weights have seen.

The verdict grades the night: whether its signal can be what its label says, how clear its stages are, how unlike other
nights it is, and whether its channels agree. What is known of the stager stands beside it and changes no verdict.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from sharpwave.evaluation.sleep_statistics import ADULT
from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.weights import load_card

UNCLEAR_BELOW = 0.6
"""An epoch is unclear where its most probable stage has less than this probability."""

HUMAN_KAPPA = 0.76
"""Agreement between human scorers over all stages (meta-analysis of Lee et al. 2022, 10.5664/jcsm.9538)."""

INFANT = 0.5
"""Years below which sleep has other stages (AASM manual: infants' rules up to 2 months, N1 to N3 from about 6)."""
MINIMUM_MINUTES = 10.0

MOST_UNCLEAR, LEAST_MEAN = 0.25, 0.75
"""Largest share of unclear epochs, and least mean probability of the likeliest stage, of a clear night.

Set with all nights of UCDDB and DREAMS and some of Walch and PD-LFP in view, and on simulated nights; not held out."""
MOST_UNLIKE = 0.3
"""Largest share of epochs unlike anything that the models have seen; the same nights have up to .15."""
LEAST_AGREEMENT = 0.5
"""Least correlation of the courses of slow against fast waves in two EEG channels; simulated nights have .9."""

POOR_KAPPA = 0.4
"""Agreement with the expert of this very night below which the page says so, beside the verdict."""

CLEAR = "The signal is like that of other nights, and the stages are clear."
FAULTLESS = "No fault was found in the recording. Without EEG, how clear stages are does not say how right they are."
"""Why a night is usable: with electrical channels; without, where clarity tells nothing (Walch, `docs/report.md`)."""

SEEN_BY_STAGER = "The stager was trained on this very person: its agreement with the expert here proves nothing."
SEEN_BY_FORECASTER = "The forecast was trained on this very person's stages, so its skill here proves nothing."

_COHORTS = {"lightgbm-wearable": "walch", "lightgbm-lfp": "pd-lfp", "lightgbm-heart": "slpdb-beats"}
"""Data set that each shipped stager was trained on."""


@dataclass(frozen=True)
class Judgement:
    """Verdict, why, and what a reader needs to know before the numbers.

    Attributes:
        verdict: "usable", "usable with care" or "not usable".
        reasons: Why, one sentence each.
        trust: Sentences for "How much to trust this".
    """

    verdict: Literal["usable", "usable with care", "not usable"]
    reasons: list[str]
    trust: list[str]


def compute_unclear_share(hypnogram: Hypnogram, *, below: float = UNCLEAR_BELOW) -> float:
    """Share of scored epochs whose most probable stage is under `below`; NaN without probabilities."""
    if hypnogram.probabilities is None or not hypnogram.scored.any():
        return float("nan")
    return float((hypnogram.probabilities[hypnogram.scored].max(axis=1) < below).mean())


@dataclass(frozen=True)
class SignalCheck:
    """What the signals themselves say against a night.

    Attributes:
        objection: Why the staged channel cannot be what its label says; None where it can.
        doubts: Further reasons for care, one sentence each.
        unlike: Share of the recorded epochs that are unlike anything the models have seen; NaN where not known.

    >>> SignalCheck().objection is None
    True
    """

    objection: str | None = None
    doubts: tuple[str, ...] = ()
    unlike: float = float("nan")


def judge_night(
    hypnogram: Hypnogram,
    *,
    duration: float,
    quality: pd.DataFrame,
    evidence: pd.DataFrame,
    stager: str,
    species: str,
    age: float | None = None,
    simulated: bool = False,
    given: bool = False,
    concerns: list[str] | None = None,
    beside: str = "",
    check: SignalCheck | None = None,
    seen: bool = False,
) -> Judgement:
    """Weigh what the signal is, its quality, and the clarity of the stages; the stager's record is a second line.

    Args:
        hypnogram: Decoded stages.
        duration: Length of the recording, in seconds.
        quality: One row per electrical channel used: `channel`, `usable_fraction`; where there is none (wearables), the
            share of epochs that could be staged stands for it, and clarity is that of wake, NREM and REM sleep.
        evidence: What is known of the stager: `data`, `metric`, `value`, `low`, `high`, `n`.
        stager: Name of the stager.
        species: Species of the subject.
        age: Age of the subject in years; None where not known.
        simulated: True for simulated signals.
        given: True where the stages came with the recording and nothing was staged.
        concerns: Further reasons for care, found in the recording while decoding.
        beside: What an expert of this very night says of the stages: a second line that changes no verdict, because a
            verdict that waits for the expert cannot be given where there is none.
        check: What the signals say against the night; nothing where omitted.
        seen: True where the stager was trained on this very person.
    """
    check = check or SignalCheck()
    staged_minutes = float(hypnogram.scored.sum() * hypnogram.epoch_length / 60)
    scored = float(hypnogram.scored.mean()) if len(hypnogram) else 0.0
    usable = float(quality["usable_fraction"].max()) if len(quality) else scored
    usable_minutes = min(staged_minutes, usable * duration / 60)
    told = hypnogram if len(quality) else merge_probabilities(hypnogram)
    stages = "no stage" if told is hypnogram else "none of wake, NREM and REM sleep"
    blocking: list[str] = [] if check.objection is None else [check.objection]
    if usable_minutes < MINIMUM_MINUTES:
        blocking.append(f"Only {usable_minutes:.0f} minutes could be used; {MINIMUM_MINUTES:.0f} are needed.")
    care = [*(concerns or []), *check.doubts, *_list_doubts(usable, told, check.unlike, stages, given=given)]
    if species == "human" and age is not None and age < ADULT and not simulated:
        care.append(_describe_child(age, given))
    if staged_minutes < 120 and not blocking:
        care.append(f"{staged_minutes:.0f} minutes are not a night: the sleep statistics describe this piece only.")
    record = (
        "Who scored the stages, and how well, is not known here."
        if given
        else _evidence_sentence(_pick_evidence(evidence), stager)
    )
    return Judgement(
        "not usable" if blocking else "usable with care" if care else "usable",
        blocking + care or ([CLEAR] if len(quality) else [FAULTLESS, record]),
        [
            f"{staged_minutes:.0f} of {duration / 60:.0f} minutes could be staged; the best channel was usable in "
            f"{usable:.0%} of the recording.",
            _clarity_sentence(told, stages, compute_unclear_share(hypnogram)),
            " ".join(part for part in (record, beside, SEEN_BY_STAGER if seen else "") if part),
            _range_sentence(species, age, simulated),
            "This is not a diagnosis.",
        ],
    )


def merge_probabilities(hypnogram: Hypnogram) -> Hypnogram:
    """Wake, NREM and REM sleep of a hypnogram of five stages, with their probabilities: what a wearable can tell."""
    if hypnogram.n_stages != 5 or hypnogram.probabilities is None:
        return hypnogram
    five = np.asarray(hypnogram.probabilities)
    three = np.column_stack([five[:, 0], five[:, 1:4].sum(axis=1), five[:, 4]])
    return replace(hypnogram.merge(3), probabilities=three)


def _list_doubts(usable: float, hypnogram: Hypnogram, unlike: float, stages: str, *, given: bool) -> list[str]:
    """Reasons for care in the quality of the signals, in the clarity of the stages, and in how unusual the night is."""
    doubts = []
    if usable < 0.8:
        doubts.append(f"The best channel was usable in {usable:.0%} of the recording.")
    if given:
        return [*doubts, "The stages came with the recording; nothing in it could be staged here."]
    unclear, mean = compute_unclear_share(hypnogram), compute_mean_probability(hypnogram)
    if unclear > MOST_UNCLEAR:
        doubts.append(f"In {unclear:.0%} of epochs {stages} reached {UNCLEAR_BELOW:.0%} probability.")
    elif mean < LEAST_MEAN:
        doubts.append(f"The likeliest stage has a probability of {mean:.0%} on average; in clear nights it has more.")
    if unlike > MOST_UNLIKE:
        doubts.append(f"{unlike:.0%} of the epochs are unlike anything that the models have seen.")
    return doubts


def compute_mean_probability(hypnogram: Hypnogram) -> float:
    """Mean probability of the likeliest stage over the scored epochs; NaN without probabilities."""
    if hypnogram.probabilities is None or not hypnogram.scored.any():
        return float("nan")
    return float(np.nanmean(hypnogram.probabilities[hypnogram.scored].max(axis=1)))


def _pick_evidence(evidence: pd.DataFrame) -> pd.Series | None:
    """The κ that speaks for this night: real data before simulated ones, then the most subjects."""
    if not len(evidence):
        return None
    rows = evidence[evidence["metric"] == "kappa"]
    if not len(rows):
        return None
    simulated = rows["data"].str.contains("simulat", case=False)
    rows = rows[~simulated] if (~simulated).any() else rows
    n = pd.to_numeric(rows["n"], errors="coerce").fillna(0) if "n" in rows else pd.Series(0, index=rows.index)
    return rows.iloc[int(n.to_numpy().argmax())]


def _clarity_sentence(told: Hypnogram, stages: str, hatched: float) -> str:
    """How many epochs are unclear by what could be told, and how many are hatched where the page shows more stages."""
    unclear = compute_unclear_share(told)
    if np.isnan(unclear):
        return "The stager gives no probabilities, so unclear epochs cannot be shown."
    they = "they" if round(100 * unclear) == round(100 * hatched) else f"the {hatched:.0%} that are so by five stages"
    return (
        f"In {unclear:.0%} of epochs {stages} reached {UNCLEAR_BELOW:.0%} probability; {they} are hatched, and the "
        "intervals below carry that uncertainty."
    )


def _evidence_sentence(kappa: pd.Series | None, stager: str) -> str:
    if kappa is None:
        return f"How well {stager} does on recordings like this one is not known."
    interval = ""
    if {"low", "high"} <= set(kappa.index) and np.isfinite([kappa["low"], kappa["high"]]).all():
        interval = f" (95 % interval {float(kappa['low']):.2f} to {float(kappa['high']):.2f})"
    subjects = (
        f", {int(kappa['n'])} subject{'s' if int(kappa['n']) != 1 else ''}"
        if "n" in kappa and kappa["n"] == kappa["n"]
        else ""
    )
    return (
        f"On {kappa['data']}{subjects}, not used to train it, {stager} agreed with experts at κ "
        f"{float(kappa['value']):.2f}{interval}; experts agree with each other at about {HUMAN_KAPPA} "
        "over five stages."
    )


def _describe_child(age: float, given: bool) -> str:
    """What was learned or set on adults, and may be wrong in a child."""
    if age < INFANT:
        years = f"{12 * age:.0f} months"
        return (
            f"The sleeper is {years} old: stages N1 to N3, spindles and slow waves are not defined at this age as they "
            f"are here; take wake and sleep at most."
        )
    whose = "forecast, spindles and slow waves" if given else "stages, forecast, spindles and slow waves"
    return (
        f"The sleeper is {age:.0f} years old: what is said of {whose} was learned or set on adults. Slow waves of more "
        f"than 350 µV, which children have, are left out; experts' spread and norms by age are not shown."
    )


def _range_sentence(species: str, age: float | None, simulated: bool) -> str:
    if simulated:
        return "The signals are simulated: what holds here need not hold in a real night."
    if species == "unknown":
        return "The species is not known; most of what is known of automatic staging is about adult humans (--species)."
    if species != "human":
        return f"The subject is a {species}: most of what is known of automatic staging is about adult humans."
    if age is None:
        return "The age is not known; automatic staging is less certain in children and in old age (give --age)."
    if age < 18 or age > 80:
        return f"The age, {age:.0f}, is outside the 18 to 80 years in which automatic staging is best known."
    return f"The age, {age:.0f}, is within the range in which automatic staging is best known."


def compare_with_expert(stager: str, agreement: pd.DataFrame) -> str:
    """What the expert of this very night says of the stages, where the two hardly agree; "" else.

    >>> compare_with_expert("yasa", pd.DataFrame({"metric": ["kappa"], "value": [0.1]}))
    'In this very recording yasa and the expert agree only at κ 0.10.'
    """
    kappas = agreement.loc[agreement["metric"] == "kappa", "value"] if len(agreement) else agreement
    if len(kappas) and kappas.iloc[0] < POOR_KAPPA:
        return f"In this very recording {stager} and the expert agree only at κ {kappas.iloc[0]:.2f}."
    return ""


def was_stager_trained_on(recording: Recording, stager: str, *, weights: Path | None = None) -> bool:
    """True if the stager's weights saw this subject's stages."""
    if "brainmu" in stager:
        return _is_in_brainmu(f"{recording.source.partition('/')[0]}/{recording.subject}", weights)
    cohort = _COHORTS.get(stager)
    if cohort is None or not recording.source.startswith(f"{cohort}/"):
        return False
    return recording.subject in load_card(stager)["training_subjects"]


def was_forecaster_trained_on(recording: Recording, *, weights: Path | None = None) -> bool:
    """True if the forecast's weights, LightGBM's or Brainµ's, saw this subject's stages."""
    person = f"{recording.source.partition('/')[0]}/{recording.subject}"
    return person in load_shipped_forecaster(30.0).subjects or _is_in_brainmu(person, weights)


def _is_in_brainmu(person: str, weights: Path | None) -> bool:
    from sharpwave.brainmu.shipped import find_refusal, load_weights

    return find_refusal(weights) is None and person in load_weights(weights).card.get("trained_on", ())


def shorten_evidence(evidence: pd.DataFrame) -> pd.DataFrame:
    """The three metrics that the page shows of each validation; the rest is in `benchmarks/results/staging.json`."""
    if not len(evidence):
        return evidence
    kept = evidence[evidence["metric"].isin(("kappa", "accuracy", "macro_f1"))]
    return kept[[name for name in ("data", "metric", "value", "low", "high", "n") if name in kept]]
