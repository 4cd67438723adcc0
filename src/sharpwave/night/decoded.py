"""`DecodedNight`: everything the page of one night needs, as plain tables and small values; no raw signal."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.night.parts import Oscillations, SleepArchitecture, check_tables, empty
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reprs import short_repr

if TYPE_CHECKING:
    import mne
    import pynapple as nap
    from matplotlib.figure import Figure

Verdict = Literal["usable", "usable with care", "not usable"]
VERDICTS: tuple[Verdict, ...] = ("usable", "usable with care", "not usable")

NESTED: dict[str, tuple[str, str]] = {
    "forecast_skill": ("forecast_evaluation", "skill"),
    "forecast_note": ("forecast_evaluation", "note"),
    "reliability": ("forecast_evaluation", "reliability"),
    "reactivations": ("effects", "reactivations"),
    "reactivations_note": ("effects", "note"),
    "rules": ("effects", "rules"),
    "peri_event": ("effects", "peri_event"),
    "planted_effects": ("effects", "planted"),
    "course_tables": ("effects", "files"),
    "explained_forecasts": ("explanation", "forecasts"),
    "explained_parts": ("explanation", "parts"),
    "modality_effects": ("explanation", "modalities"),
    "latent_course": ("explanation", "latents"),
    "latent_directions": ("explanation", "directions"),
    "novelty": ("explanation", "out_of_distribution"),
    "methods": ("provenance", "methods"),
    "citations": ("provenance", "citations"),
    "versions": ("provenance", "versions"),
    "hashes": ("provenance", "hashes"),
}
"""Fields that `DecodedNight` had in version 0.1, and where each is now: field, field of that. Until version 0.3."""


class Spectrogram(NamedTuple):
    """Power over time, already coarse enough to draw.

    Attributes:
        times: Centres of the windows in seconds from the start of the recording, shape (time,).
        frequencies: Frequencies in Hz, rising, shape (frequency,).
        power_db: Power in dB, shape (frequency, time); NaN where nothing was recorded.
    """

    times: Float[np.ndarray, " time"]
    frequencies: Float[np.ndarray, " frequency"]
    power_db: Float[np.ndarray, "frequency time"]


def _front() -> Any:
    """The verbs of `sharpwave.api`, the front door above this room: what a night can draw and write of itself."""
    return import_module("sharpwave.api")


@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastEvaluation:
    """What the forecast of a night was worth.

    Attributes:
        skill: method, [auprc, low, high, log_loss, brier, n, reference, log_loss_gain, gain_low, gain_high].
        reliability: predicted, observed (mean per bin), n, [low, high].
        note: What the forecast is worth, in one sentence; "no better than persistence" is allowed.
    """

    __repr__ = short_repr

    COLUMNS: ClassVar = {"skill": ("method",), "reliability": ("predicted", "observed", "n")}

    skill: pd.DataFrame = field(default_factory=empty)
    reliability: pd.DataFrame = field(default_factory=empty)
    note: str = ""

    def __post_init__(self) -> None:
        check_tables(self, self.COLUMNS)


@dataclass(frozen=True, eq=False, kw_only=True)
class ReactivationEffects:
    """The reactivations of a night and what they do to sleep.

    Attributes:
        reactivations: content, count, [per_minute, beyond_shuffles, shuffled, p, effect, low, high, lighter_after,
            lighter_control]: counts by content, and by content the effect on depth (dB, with interval) and the chance
            of lighter sleep after one and at control moments (percent).
        note: Plain sentences that stand for, or above, that table.
        rules: Effects in words with their controls: rank, verdict ("rule", "too few nights", "not shown"), rule,
            control_of_rule, reason, claim; direction, outcome, content, stage, period, estimator, value, low, high,
            ratio, ratio_low, ratio_high, n_events, n_nights.
        peri_event: Depth around reactivations and around control moments: lag (s), content, value, low, high, control
            (dB), n.
        planted: On simulated nights: content, planted, and what was found with the effect on and off.
        files: By file name, the tables that `sharpwave causality` reads of this night; not shown, not archived.
    """

    __repr__ = short_repr

    COLUMNS: ClassVar = {
        "reactivations": ("content", "count"),
        "rules": ("verdict", "rule", "control_of_rule", "reason", "claim"),
        "peri_event": ("lag", "content", "value", "low", "high", "control", "n"),
    }

    reactivations: pd.DataFrame = field(default_factory=empty)
    note: str = "Not computed: this needs spikes and a track that the animal ran on."
    rules: pd.DataFrame = field(default_factory=empty)
    peri_event: pd.DataFrame = field(default_factory=empty)
    planted: pd.DataFrame = field(default_factory=empty)
    files: Mapping[str, pd.DataFrame] = field(default_factory=dict, metadata={"archived": False})

    def __post_init__(self) -> None:
        check_tables(self, self.COLUMNS)


@dataclass(frozen=True, eq=False, kw_only=True)
class ForecastExplanation:
    """Which modality, channel and moment Brainµ's forecasts of a night depend on; effects in log-odds of a change.

    Attributes:
        forecasts: One row a forecast explained: onset, horizon, p_change, p_typical, modality, channel, reach, effect,
            share, p_without.
        parts: What each stretch of each modality added to them: onset, modality, from, to, weight, effect.
        modalities: What each modality contributes over the night: modality, effect, share, [n, present].
        latents: Named directions of the model's latent over the night: onset and one column per direction.
        directions: How well each direction tracks what it is named after: name, correlation, low, high,
            null_correlation, null_high, n, named.
        out_of_distribution: Where the night is unlike the training data: onset, novelty, modality, channel, abstain.
    """

    __repr__ = short_repr

    COLUMNS: ClassVar = {
        "forecasts": ("onset", "horizon", "p_change", "modality"),
        "parts": ("onset", "modality", "from", "to", "weight"),
        "modalities": ("modality", "effect", "share"),
        "latents": ("onset",),
        "directions": ("name", "correlation", "named"),
        "out_of_distribution": ("onset", "abstain"),
    }

    forecasts: pd.DataFrame = field(default_factory=empty)
    parts: pd.DataFrame = field(default_factory=empty)
    modalities: pd.DataFrame = field(default_factory=empty)
    latents: pd.DataFrame = field(default_factory=empty)
    directions: pd.DataFrame = field(default_factory=empty)
    out_of_distribution: pd.DataFrame = field(default_factory=empty)

    def __post_init__(self) -> None:
        check_tables(self, self.COLUMNS)


@dataclass(frozen=True, eq=False, kw_only=True)
class Provenance:
    """How a night was decoded, to cite and to find again.

    Attributes:
        methods: Methods text, CC0.
        citations: One reference each.
        versions: Version of each software package, by its name.
        hashes: Checksums of the input and the configuration.
    """

    __repr__ = short_repr

    methods: str = ""
    citations: list[str] = field(default_factory=list)
    versions: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)


PARTS: dict[str, type] = {
    "architecture": SleepArchitecture,
    "oscillations": Oscillations,
    "forecast_evaluation": ForecastEvaluation,
    "effects": ReactivationEffects,
    "explanation": ForecastExplanation,
    "provenance": Provenance,
}
"""Fields of `DecodedNight` that hold fields of their own."""


def nest_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a decoded night with those named as in version 0.1 put where they are now."""
    nested = {name: value for name, value in values.items() if name not in NESTED}
    for name, value in values.items():
        if name in NESTED:
            part, new = NESTED[name]
            nested[part] = replace(nested.get(part) or PARTS[part](), **{new: value})
    return nested


_Class = TypeVar("_Class")


def _accept_old_fields(cls: type[_Class]) -> type[_Class]:
    """Let a class be made with the fields of version 0.1, with a warning that says the new ones."""
    init: Any = cls.__init__  # type: ignore[misc]

    @functools.wraps(init)
    def accept(self: Any, **values: Any) -> None:
        for name in values:
            if name in NESTED:
                part, new = NESTED[name]
                moved.warn(f"DecodedNight({name}=...)", f"DecodedNight({part}={PARTS[part].__name__}({new}=...))")
        init(self, **nest_fields(values))

    cls.__init__ = accept  # type: ignore[assignment,misc]
    return cls


@_accept_old_fields
@dataclass(frozen=True, eq=False, kw_only=True)
class DecodedNight:
    """One decoded night. Times are seconds from the start of the recording; shares and probabilities are 0 to 1.

    Tables may be empty; then their section says so. Columns in brackets are optional. `low` and `high` are a 95 %
    interval, but 80 % in `statistics`. What belongs together is one object: `forecast_evaluation`, `effects`,
    `explanation`, `provenance`; the forecast itself is the table `forecast`.

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
        age: Age in years, or None where unknown.
        sex: "female" or "male", or None where unknown.
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
        depth_unit: Unit of `depth`, for the axis.
        events: onset, duration, label, [channel, amplitude, frequency, ...].
        event_summary: label, count, [per_minute, stage, duration, amplitude, frequency, ...].
        quality: channel, verdict, [modality, rate, usable_fraction, note, ...].
        quality_spans: onset, duration, label (what is wrong), [channel].
        statistics: name, value, unit, definition, [low, high (80 % interval), scorer_spread, age_band];
            NaN where undefined.
        architecture: Sleep cycles, and which stage follows which.
        oscillations: Spectra by stage, their aperiodic part, and the coupling of spindles to slow waves.
        forecast: onset of the epoch forecast from, p_change of a change in the next epoch,
            [p_<stage>, persistence_p_change, markov_p_change].
        forecast_evaluation: What the forecast was worth: skill, reliability and a sentence.
        effects: The reactivations of the night, and what they do to sleep.
        explanation: What Brainµ's forecasts depend on; empty where Brainµ did not forecast.
        refusals: Results that were asked for or are usual and were not computed, and why.
        limits: Sentences on what not to conclude.
        provenance: Methods text, references, software versions and checksums.
        repairs: Corrections made on reading.
        truth: Planted and found events of a simulated night: label → {"planted": n, "found": n, ...}; or None.

    >>> from sharpwave.recordings import Hypnogram
    >>> stages = Hypnogram.from_labels(["W", "N2", "N2"])
    >>> night = DecodedNight(
    ...     identifier="a", source="a.edf", duration=90.0, hypnogram=stages, stager="mine", verdict="not usable"
    ... )
    >>> night.effects.note
    'Not computed: this needs spikes and a track that the animal ran on.'
    """

    COLUMNS: ClassVar = {
        "stager_evidence": ("data", "metric", "value"),
        "agreement": ("metric", "value"),
        "depth": ("onset", "depth"),
        "events": ("onset", "duration", "label"),
        "event_summary": ("label", "count"),
        "quality": ("channel", "verdict"),
        "quality_spans": ("onset", "duration", "label"),
        "statistics": ("name", "value", "unit", "definition"),
        "forecast": ("onset", "p_change"),
    }
    """Columns that each table must have when it has rows."""

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
    age: float | None = None
    sex: str | None = None
    start: datetime | None = None
    night_start: float | None = None
    night_end: float | None = None
    expert: Hypnogram | None = None
    unclear_below: float = 0.6
    picks: Mapping[str, str] = field(default_factory=dict)
    stager_evidence: pd.DataFrame = field(default_factory=empty)
    agreement: pd.DataFrame = field(default_factory=empty)
    spectrogram: Spectrogram | tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    depth: pd.DataFrame = field(default_factory=empty)
    depth_unit: str = "dB"
    events: pd.DataFrame = field(default_factory=empty)
    event_summary: pd.DataFrame = field(default_factory=empty)
    quality: pd.DataFrame = field(default_factory=empty)
    quality_spans: pd.DataFrame = field(default_factory=empty)
    statistics: pd.DataFrame = field(default_factory=empty)
    architecture: SleepArchitecture = field(default_factory=SleepArchitecture)
    oscillations: Oscillations = field(default_factory=Oscillations)
    forecast: pd.DataFrame = field(default_factory=empty)
    forecast_evaluation: ForecastEvaluation = field(default_factory=ForecastEvaluation)
    effects: ReactivationEffects = field(default_factory=ReactivationEffects)
    explanation: ForecastExplanation = field(default_factory=ForecastExplanation)
    refusals: list[str] = field(default_factory=list)
    limits: list[str] = field(default_factory=list)
    provenance: Provenance = field(default_factory=Provenance)
    repairs: list[str] = field(default_factory=list)
    truth: Mapping[str, Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        if self.verdict not in VERDICTS:
            raise SharpwaveError(
                f"a verdict among {', '.join(VERDICTS)}", got=repr(self.verdict), fix="use one of these words"
            )
        check_tables(self, self.COLUMNS)
        if self.spectrogram is not None:
            times, frequencies, power = self.spectrogram
            if np.shape(power) != (len(frequencies), len(times)):
                raise SharpwaveError(
                    f"a spectrogram of shape {(len(frequencies), len(times))} (frequency, time)",
                    got=f"shape {np.shape(power)}",
                    fix="give power_db with frequencies along the first axis",
                )
            object.__setattr__(self, "spectrogram", Spectrogram(*map(np.asarray, self.spectrogram)))

    def __repr__(self) -> str:
        how = f"stages {self.stager}" if self.stager.startswith("given") else f"staged by {self.stager}"
        simulated = "SIMULATED; " if self.simulated else ""
        return f"<DecodedNight {self.identifier!r}: {self.verdict}; {simulated}{self.duration / 3600:.2f} h, {how}>"

    def _repr_html_(self) -> str:
        return _front().show_html(self)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw the night, and write the picture to `path` (.png, .svg, .pdf) if it is given."""
        return _front().plot(self, path)

    def save(self, folder: str | Path) -> Path:
        """Write the page and the tables of the night into a folder; returns the path of the page."""
        return _front().save(self, folder)

    def to_mne(self) -> mne.Annotations:
        """Stages ("Sleep stage N2") and events as MNE's annotations, for `raw.set_annotations`; in s from its start."""
        return import_module("sharpwave.night.to_libraries").to_annotations(self.hypnogram, self.events)

    def to_pynapple(self) -> dict[str, nap.IntervalSet]:
        """Stages and events as pynapple's epochs by name ("W", "N2", "spindle"), in s from the recording's start."""
        return import_module("sharpwave.night.to_libraries").to_epochs(self.hypnogram, self.events)

    if not TYPE_CHECKING:  # with it, a type checker would accept any name

        def __getattr__(self, name: str) -> Any:
            """A field under its name of version 0.1, with a warning that says the new one."""
            if name not in NESTED:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            part, new = NESTED[name]
            moved.warn(f"DecodedNight.{name}", f"DecodedNight.{part}.{new}")
            return getattr(getattr(self, part), new)
