"""`DecodedNight`: everything the page of one night needs, as plain tables and small values; no raw signal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram

Verdict = Literal["usable", "usable with care", "not usable"]
VERDICTS: tuple[Verdict, ...] = ("usable", "usable with care", "not usable")

COLUMNS: dict[str, tuple[str, ...]] = {
    "stager_evidence": ("data", "metric", "value"),
    "agreement": ("metric", "value"),
    "depth": ("onset", "depth"),
    "events": ("onset", "duration", "label"),
    "event_summary": ("label", "count"),
    "quality": ("channel", "verdict"),
    "quality_spans": ("onset", "duration", "label"),
    "statistics": ("name", "value", "unit", "definition"),
    "forecast": ("onset", "p_change"),
    "forecast_skill": ("method",),
    "reliability": ("predicted", "observed", "n"),
    "reactivations": ("content", "count"),
    "rules": ("verdict", "rule", "control_of_rule", "reason", "claim"),
    "peri_event": ("lag", "content", "value", "low", "high", "control", "n"),
    "explained_forecasts": ("onset", "horizon", "p_change", "modality"),
    "explained_parts": ("onset", "modality", "from", "to", "weight"),
    "modality_effects": ("modality", "effect", "share"),
    "latent_course": ("onset",),
    "latent_directions": ("name", "correlation", "named"),
    "novelty": ("onset", "abstain"),
}
"""Columns that each table must have when it has rows; further columns are named in `DecodedNight`."""


class Spectrogram(NamedTuple):
    """Power over time, already coarse enough to draw.

    Attributes:
        times: Centres of the windows in seconds from the start of the recording, shape (time,).
        frequencies: In Hz, rising, shape (frequency,).
        power_db: In dB, shape (frequency, time); NaN where nothing was recorded.
    """

    times: Float[np.ndarray, " time"]
    frequencies: Float[np.ndarray, " frequency"]
    power_db: Float[np.ndarray, "frequency time"]


def _empty() -> pd.DataFrame:
    return pd.DataFrame()


@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedNight:
    """One decoded night. Times are seconds from the start of the recording; shares and probabilities are 0 to 1.

    Tables may be empty; then their section says so. Columns in brackets are optional. `low` and `high` are a 95 %
    interval, but 80 % in `statistics`.

    Attributes:
        identifier: Short name of the night; also the page's title.
        source: File or data set it came from, as the user named it.
        duration: Length of the recording in seconds.
        hypnogram: Decoded stages, with probabilities where the stager gives them.
        stager: Name of the method that staged the night.
        verdict: "usable", "usable with care" or "not usable".
        reasons: Why that verdict, each a sentence.
        trust: How much to trust this: about five sentences, the first one first in importance.
        species: "human", "mouse", "rat".
        simulated: True where the signals are simulated; the page then says so throughout.
        subject: Name of the subject, or None.
        start: Clock time of the start of the recording, or None.
        night_start: Lights off in seconds, or None where unknown.
        night_end: Lights on in seconds, or None where unknown.
        expert: Expert hypnogram to draw over ours, or None.
        unclear_below: An epoch is unclear where its highest probability is below this.
        picks: Channel used for each role, e.g. {"EEG": "C4-M1"}.
        stager_evidence: How the stager does elsewhere: data, metric, value, [low, high, n].
        agreement: Agreement with the expert in this night: metric, value, [low, high, n].
        spectrogram: (times, frequencies, power_db) of one channel, or None.
        depth: onset, depth (any unit; see `depth_unit`).
        depth_unit: What `depth` is, for the axis.
        events: onset, duration, label, [channel, amplitude, frequency, ...].
        event_summary: label, count, [per_minute, stage, duration, amplitude, frequency, ...].
        quality: channel, verdict, [modality, rate, usable_fraction, note, ...].
        quality_spans: onset, duration, label (what is wrong), [channel].
        statistics: name, value, unit, definition, [low, high (80 % interval), scorer_spread, age_band];
            NaN where undefined.
        forecast: onset of the epoch forecast from, p_change of a change in the next epoch,
            [p_<stage>, persistence_p_change, markov_p_change].
        forecast_skill: method, [auprc, low, high, log_loss, brier, n, reference, log_loss_gain, gain_low, gain_high].
        forecast_note: One sentence: what the forecast is worth; "no better than persistence" is allowed.
        reliability: predicted, observed (mean per bin), n, [low, high].
        reactivations: content, count, [beyond_shuffles, shuffled, p, effect, low, high, n, claim].
        reactivations_note: Plain sentence that stands for, or above, that table.
        rules: What reactivations do to sleep, in words; see `RelatedNights` for this and the two that follow.
        peri_event: Depth around them, and around control moments.
        planted_effects: On simulated nights, what was found with the effect on and off.
        course_tables: By file name, what `sharpwave causality` reads of this night; not shown.
        explained_forecasts: Forecasts and what moved them; see `ExplainedNight` for this and the five that follow.
        explained_parts: What each stretch of each modality added to them.
        modality_effects: What each modality moves over the night.
        latent_course: Named directions of the model's latent over the night.
        latent_directions: How well each tracks what it is named after.
        novelty: Where the night is unlike anything that the model has seen.
        refusals: What was asked for or usual and not computed, and why.
        limits: What not to conclude.
        methods: Methods text, CC0.
        citations: One reference each.
        versions: Software versions.
        hashes: Checksums of the input and the configuration.
        repairs: What was corrected on reading.
        truth: For simulated nights: label → {"planted": n, "found": n, ...}; or None.
    """

    identifier: str
    source: str
    duration: float
    hypnogram: Hypnogram
    stager: str
    verdict: Verdict
    reasons: list[str] = field(default_factory=list)
    trust: list[str] = field(default_factory=list)
    species: str = "human"
    simulated: bool = False
    subject: str | None = None
    start: datetime | None = None
    night_start: float | None = None
    night_end: float | None = None
    expert: Hypnogram | None = None
    unclear_below: float = 0.6
    picks: Mapping[str, str] = field(default_factory=dict)
    stager_evidence: pd.DataFrame = field(default_factory=_empty)
    agreement: pd.DataFrame = field(default_factory=_empty)
    spectrogram: Spectrogram | tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    depth: pd.DataFrame = field(default_factory=_empty)
    depth_unit: str = "dB"
    events: pd.DataFrame = field(default_factory=_empty)
    event_summary: pd.DataFrame = field(default_factory=_empty)
    quality: pd.DataFrame = field(default_factory=_empty)
    quality_spans: pd.DataFrame = field(default_factory=_empty)
    statistics: pd.DataFrame = field(default_factory=_empty)
    forecast: pd.DataFrame = field(default_factory=_empty)
    forecast_skill: pd.DataFrame = field(default_factory=_empty)
    forecast_note: str = ""
    reliability: pd.DataFrame = field(default_factory=_empty)
    reactivations: pd.DataFrame = field(default_factory=_empty)
    reactivations_note: str = "Not computed: this needs spikes and a track that the animal ran on."
    rules: pd.DataFrame = field(default_factory=_empty)
    peri_event: pd.DataFrame = field(default_factory=_empty)
    planted_effects: pd.DataFrame = field(default_factory=_empty)
    course_tables: Mapping[str, pd.DataFrame] = field(default_factory=dict, metadata={"archived": False})
    explained_forecasts: pd.DataFrame = field(default_factory=_empty)
    explained_parts: pd.DataFrame = field(default_factory=_empty)
    modality_effects: pd.DataFrame = field(default_factory=_empty)
    latent_course: pd.DataFrame = field(default_factory=_empty)
    latent_directions: pd.DataFrame = field(default_factory=_empty)
    novelty: pd.DataFrame = field(default_factory=_empty)
    refusals: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    methods: str = ""
    citations: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    repairs: list[str] = field(default_factory=list)
    truth: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise SharpwaveError(
                f"a verdict among {', '.join(VERDICTS)}", got=repr(self.verdict), fix="use one of these words"
            )
        for name, columns in COLUMNS.items():
            table = getattr(self, name)
            missing = [column for column in columns if column not in table]
            if len(table) and missing:
                raise SharpwaveError(
                    f"a table {name!r} with the columns {', '.join(columns)}",
                    got=f"{', '.join(map(str, table.columns))}",
                    fix=f"add {', '.join(missing)}, or leave the table empty",
                )
        if self.spectrogram is not None:
            times, frequencies, power = self.spectrogram
            if np.shape(power) != (len(frequencies), len(times)):
                raise SharpwaveError(
                    f"a spectrogram of shape {(len(frequencies), len(times))} (frequency, time)",
                    got=f"shape {np.shape(power)}",
                    fix="give power_db with frequencies along the first axis",
                )
            object.__setattr__(self, "spectrogram", Spectrogram(*map(np.asarray, self.spectrogram)))
