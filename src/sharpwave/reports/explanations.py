"""What each figure says in one sentence, and how to read it: what is shown, better, worse, what to do."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import numpy as np
import pandas as pd

from sharpwave.night.decoded import DecodedNight, Spectrogram
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.formats import STAGE_WORDS, order_stages, show, show_duration
from sharpwave.reports.raster import compute_limits
from sharpwave.reports.tables import compute_share_agreed
from sharpwave.reports.timeline import Timeline, compute_rates
from sharpwave.reports.tracks import MOST_MARKS, find_unclear


class Explanation(NamedTuple):
    """Four questions that each figure must answer."""

    shown: str
    better: str
    worse: str
    do: str


EXPLANATIONS: dict[str, Explanation] = {
    "night": Explanation(
        "On one time axis: the stage in each epoch and how probable each was, power, depth, events, bad signal.",
        "Long bars of one colour, one stage filling the probability band, power that changes where the stage does.",
        "Many unclear epochs, bands of several colours, stages that change with a bad signal.",
        "Look at the signal itself in unclear and bad spans before you count anything in them.",
    ),
    "stages": Explanation(
        "Minutes the expert gave to each stage, by the stage decoded; and how this stager did on other data.",
        "Minutes on the diagonal; the interval of κ near that between two experts, about 0.76.",
        "N1 and REM far off the diagonal, or evidence from people unlike this one.",
        "Score a part of the night by eye where the two differ and it matters for your question.",
    ),
    "forecast": Explanation(
        "Before each epoch, how probable a change of stage was called; below it, where the stage did change.",
        "High just before changes and low elsewhere; dots of the reliability plot on the diagonal.",
        "An interval that overlaps persistence or the Markov chain: then the signal adds nothing.",
        "Use the forecast only where it beats both, and as a probability, not as a switch.",
    ),
    "events": Explanation(
        "How many events of each kind were found, how dense they were, and how one property spreads.",
        "Spindles mostly in N2 and N3, near 12 to 15 Hz in adults; one peak in the distribution.",
        "Events in wake, rates that follow the artefacts, a distribution cut off at one side.",
        "Compare densities only between nights from the same channel, detector and settings.",
    ),
    "reactivations": Explanation(
        "For each content, how often it came back, against shuffled data, and what followed.",
        "Counts far above the shuffles; an interval that leaves out zero beside time-matched moments.",
        "Few events, or an interval that holds zero: then nothing was found.",
        "Say “associated”; say “caused” only where cues were given at random.",
    ),
    "quality": Explanation(
        "For each channel, the share of the night with a usable signal, and the verdict.",
        "The channels used for staging are usable throughout.",
        "A channel used for staging was lost, flat or clipped for long.",
        "Choose another channel, or leave the bad hours out.",
    ),
}


def describe_stages(night: DecodedNight) -> str:
    """Minutes in each stage, the share that is unclear, and the agreement with the expert."""
    hypnogram = night.hypnogram
    if not hypnogram.scored.any():
        return "No epoch has a stage."
    minutes = [
        f"{STAGE_WORDS.get(name, name)} {show(_minutes(hypnogram, name))} min" for name in order_stages(hypnogram.names)
    ]
    parts = [f"Decoded stages over {show_duration(len(hypnogram) * hypnogram.epoch_length)}: {', '.join(minutes)}."]
    if hypnogram.probabilities is not None:
        share = 100 * find_unclear(hypnogram, night.unclear_below)[hypnogram.scored].mean()
        parts.append(
            f"{show(float(share))} % of epochs are unclear (highest probability below {night.unclear_below:g})."
        )
    unscored = int((~hypnogram.scored).sum())
    if unscored:
        parts.append(f"{show_duration(unscored * hypnogram.epoch_length)} are not scored.")
    if night.expert is not None:
        share = compute_share_agreed(hypnogram, night.expert)
        if np.isfinite(share):
            parts.append(f"The expert says the same in {show(100 * share)} % of epochs.")
    return " ".join(parts)


def _minutes(hypnogram: Hypnogram, name: str) -> float:
    return float((hypnogram.stages == hypnogram.names.index(name)).sum() * hypnogram.epoch_length / 60)


def describe_probabilities(hypnogram: Hypnogram) -> str:
    """How sure the stager was."""
    if hypnogram.probabilities is None or not np.isfinite(hypnogram.probabilities).any():
        return "No probabilities."
    top = np.nanmedian(hypnogram.probabilities.max(axis=1))
    return f"Probability of each stage, stacked to 1; the highest one has a median of {show(float(top))}."


def describe_spectrogram(spectrogram: Spectrogram) -> str:
    """The ranges of time, frequency and power drawn."""
    low, high = compute_limits(spectrogram)
    first, last = spectrogram.frequencies[0], spectrogram.frequencies[-1]
    return f"Power from {first:g} to {last:g} Hz; dark is {show(round(low, 1))} dB, bright {show(round(high, 1))} dB."


def describe_depth(depth: pd.DataFrame, unit: str) -> str:
    """Median and range of the depth."""
    values = depth["depth"].dropna()
    if values.empty:
        return "No depth."
    low, middle, high = (show(float(value)) for value in values.quantile([0.05, 0.5, 0.95]))
    return f"Sleep depth has a median of {middle} {unit}; 90 % lies between {low} and {high}."


def describe_events(events: pd.DataFrame, line: Timeline) -> str:
    """Counts by kind, and the highest rates, to which the bars of each row are scaled."""
    if not len(events):
        return "No events."
    parts = []
    for label, count in events["label"].value_counts().head(8).items():
        words = f"{str(label).replace('_', ' ')} {count}"
        if count > MOST_MARKS:
            rates, _ = compute_rates(events.loc[events["label"] == label, "onset"], start=line.start, end=line.end)
            words += f" (up to {show(float(rates.max()))} per minute)"
        parts.append(words)
    return f"{', '.join(parts)}. Bars are rates, each row scaled to its own highest; marks are single events."


def describe_quality(spans: pd.DataFrame) -> str:
    """Minutes of bad signal by reason."""
    if not len(spans):
        return "No bad spans."
    minutes = spans.groupby("label", sort=False)["duration"].sum() / 60
    return "Bad signal: " + ", ".join(f"{label} {show(float(value))} min" for label, value in minutes.items()) + "."


def describe_forecast(forecast: pd.DataFrame, changes: int) -> str:
    """How many epochs were forecast and how often the stage changed."""
    if not len(forecast):
        return "No forecast."
    mean = show(float(forecast["p_change"].mean()))
    return f"{len(forecast)} epochs forecast; mean P(change) {mean}; the decoded stage changed {changes} times."


def describe_span(night: DecodedNight) -> str:
    """Clock span and length of the recording."""
    length = show_duration(night.duration)
    if night.start is None:
        return f"{length}, clock time unknown"
    end = night.start + timedelta(seconds=night.duration)
    day = f"{end.day} {end:%B %Y}, " if night.duration > 86400 else ""
    return f"{night.start.day} {night.start:%B %Y}, {night.start:%H:%M} to {day}{end:%H:%M} ({length})"
