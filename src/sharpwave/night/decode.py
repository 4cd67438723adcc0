"""The main job: read → stage → forecast → detect → estimate effects → report.

`sharpwave decode` calls this once per night; so can you:

    from sharpwave.night.options import open_source

    recording = open_source("night.edf")
    night = decode_recording(recording)
    night.hypnogram, night.forecast, night.events
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.events import score_events
from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.forecasting.forecaster import forecast_with_best
from sharpwave.night.decoded import (
    DecodedNight,
    ForecastEvaluation,
    ForecastExplanation,
    Provenance,
    ReactivationEffects,
    Spectrogram,
)
from sharpwave.night.effects import estimate_night_effects
from sharpwave.night.methods import LIMITS, describe_methods, list_citations, read_versions
from sharpwave.night.options import DecodeOptions, find_lights, find_randomised, read_cues
from sharpwave.night.prepare import GIVEN, PreparedNight, list_electrical, prepare_night
from sharpwave.night.reactivations import look_for_reactivations
from sharpwave.night.scores import compute_agreement, describe_forecast, score_forecast, summarise_events
from sharpwave.night.trust import (
    SEEN_BY_FORECASTER,
    UNCLEAR_BELOW,
    Judgement,
    find_concerns,
    judge_night,
    was_forecaster_trained_on,
)
from sharpwave.recordings import Recording
from sharpwave.signals import compute_depth, compute_quality, compute_spectrogram

if TYPE_CHECKING:
    from sharpwave.simulation.truth import Truth

Progress = Callable[[str, int, int], None]

MICROVOLTS = 1e6
TRUTH_IOU = 0.2
STEPS = ("quality", "stages", "events", "forecast", "reactivations", "spectrum", "statistics")


def decode_recording(
    recording: Recording,
    *,
    options: DecodeOptions | None = None,
    truth: Truth | None = None,
    key: str = "",
    progress: Progress | None = None,
) -> DecodedNight:
    """Decode one night.

    Args:
        recording: The recording; its signals may lie on disk and are read piece by piece.
        options: What is known of the night beside the recording.
        truth: `Truth` of a simulated night, to count what was planted and found.
        key: Key under which the results are found again.
        progress: Called with (step, number done, number of steps).

    Returns:
        The decoded night. A recording that cannot be used gives a night whose verdict says so, not an error.

    Raises:
        SharpwaveError: If there is nothing to decode, or a given channel or time does not exist.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> stages = Hypnogram.from_labels(["W"] * 10 + ["N2"] * 50)
    >>> night = decode_recording(Recording(hypnogram=stages))
    >>> night.verdict, len(night.forecast)
    ('usable with care', 60)
    """
    rng = np.random.default_rng((options or DecodeOptions()).seed)
    step = _Stepper(progress)
    prepared = prepare_night(recording, options, announce=step)
    step("forecast")
    forecast = forecast_stages(prepared, rng=rng)
    step("reactivations")
    found = find_effects(prepared, rng=rng)
    step("spectrum")
    spectrogram, depth = compute_overview(prepared)
    step("statistics")
    night = compose_night(prepared, forecast, found, spectrogram=spectrogram, depth=depth, key=key, rng=rng)
    step("done")
    return night if truth is None else replace(night, truth=count_truth(truth, night.events, duration=night.duration))


class _Stepper:
    """Says which of `STEPS` is under way."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def __call__(self, step: str) -> None:
        if self._progress is not None:
            done = STEPS.index(step) if step in STEPS else len(STEPS)
            self._progress(step, done, len(STEPS))


@dataclass(frozen=True, eq=False)
class StageForecast:
    """The forecast of a night, what it was worth and what it depends on.

    Attributes:
        table: One row an epoch; see `forecast_with_best`.
        method: Name of the method that made it.
        evaluation: What it was worth in this night.
        explanation: What Brainµ's forecasts depend on.
        refusals: What could not be computed and why, one sentence each.
    """

    table: pd.DataFrame
    method: str
    evaluation: ForecastEvaluation
    explanation: ForecastExplanation
    refusals: list[str]


def forecast_stages(prepared: PreparedNight, *, rng: np.random.Generator) -> StageForecast:
    """Forecast the next stage throughout a night, judge it by the expert's stages or the decoded ones, and explain it.

    Args:
        prepared: The night.
        rng: Random generator of the bootstrap.
    """
    from sharpwave.night.explanation import explain_forecasts

    recording, weights = prepared.recording, prepared.options.weights
    table, why_not = forecast_with_best(prepared.hypnogram, recording=recording, weights=weights)
    expert = recording.hypnogram
    skill, reliability = score_forecast(table, expert or prepared.hypnogram, rng=rng)
    judged_by = "the expert's stages" if expert else "the decoded stages themselves, for want of an expert's"
    note = f"By {table.attrs['method']}. {describe_forecast(skill, judged_by=judged_by)}"
    if was_forecaster_trained_on(recording, weights=weights):
        note = f"{note} {SEEN_BY_FORECASTER}"
    evaluation = ForecastEvaluation(skill=skill, reliability=reliability, note=note)
    explanation, unexplained = explain_forecasts(prepared)
    return StageForecast(table, str(table.attrs["method"]), evaluation, explanation, [*why_not, *unexplained])


@dataclass(frozen=True, eq=False)
class FoundEffects:
    """The events of a night with its reactivations and cues, and what the reactivations do to sleep.

    Attributes:
        events: Detected events, reactivations and cues: onset, duration (s), label, channel, ...
        detectors: Labels of what was detected, in alphabetical order.
        effects: What the reactivations do to sleep.
        refusals: What could not be computed and why, one sentence each.
    """

    events: pd.DataFrame
    detectors: list[str]
    effects: ReactivationEffects
    refusals: list[str]


def find_effects(prepared: PreparedNight, *, rng: np.random.Generator) -> FoundEffects:
    """Look for reactivations and estimate what they do to sleep.

    Args:
        prepared: The night.
        rng: Random generator of the shuffles and the intervals.

    Raises:
        SharpwaveError: If a table of cues or reactivations that was given cannot be read.
    """
    cues = read_cues(prepared.options.cues)
    given = prepared.options.reactivations
    found, refusals = look_for_reactivations(prepared.recording, prepared.hypnogram, given=given, rng=rng)
    effects = ReactivationEffects(note=found.note)
    if len(found.events):
        try:
            effects = estimate_night_effects(prepared, found, cues=find_randomised(cues), rng=rng)
        except SharpwaveError as error:
            effects = ReactivationEffects(reactivations=found.counts, note=found.note)
            refusals = [f"What reactivations do to sleep was not estimated: {error}"]
    detectors = sorted({*prepared.events["label"], *found.events.get("label", ())})
    events = pd.concat([prepared.events, found.events, cues], ignore_index=True)
    return FoundEffects(events, detectors, effects, refusals)


def compose_night(
    prepared: PreparedNight,
    forecast: StageForecast,
    found: FoundEffects,
    *,
    spectrogram: Spectrogram | None,
    depth: pd.DataFrame,
    key: str,
    rng: np.random.Generator,
) -> DecodedNight:
    """Put the decoded night together: statistics, agreement with the expert, quality and verdict beside what was found.

    Args:
        prepared: The night.
        forecast: Forecast of the night.
        found: Events and reactivations of the night, and their effects.
        spectrogram: Power over time, or None.
        depth: Depth of sleep over time: onset, depth.
        key: Key under which the results are found again.
        rng: Random generator of the intervals.
    """
    recording, hypnogram, staging, options = prepared.recording, prepared.hypnogram, prepared.staging, prepared.options
    lights_off, lights_on = find_lights(recording, options)
    statistics = compute_sleep_statistics(
        hypnogram, lights_off=lights_off, lights_on=lights_on, rng=rng, age=options.age, night=options.night
    )
    agreement = compute_agreement(hypnogram, prepared.expert, rng=rng)
    quality = compute_quality(recording, list_electrical(recording, prepared.picks), artefacts=prepared.artefacts)
    judgement = judge_prepared(prepared, quality=quality, agreement=agreement)
    return DecodedNight(
        identifier=options.identifier or recording.subject,
        source=options.source or recording.source,
        species=recording.species,
        simulated=prepared.simulated,
        subject=recording.subject,
        start=recording.start,
        duration=recording.duration,
        night_start=lights_off,
        night_end=lights_on,
        hypnogram=hypnogram,
        expert=prepared.expert,
        unclear_below=UNCLEAR_BELOW,
        stager=staging.stager,
        stager_evidence=shorten_evidence(staging.evidence),
        agreement=agreement,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        trust=judgement.trust,
        picks=name_channels(recording, prepared.picks),
        spectrogram=spectrogram,
        depth=depth,
        depth_unit="log10 µV²",
        events=found.events,
        event_summary=summarise_events(found.events, hypnogram),
        quality=quality,
        quality_spans=prepared.artefacts,
        statistics=statistics,
        forecast=forecast.table,
        forecast_evaluation=forecast.evaluation,
        effects=found.effects,
        explanation=forecast.explanation,
        refusals=[*staging.refusals, *forecast.refusals, *prepared.undetected, *found.refusals],
        limits=list(LIMITS),
        provenance=describe_provenance(prepared, forecast.method, found.detectors, key=key),
        repairs=list(recording.repairs),
    )


def judge_prepared(prepared: PreparedNight, *, quality: pd.DataFrame, agreement: pd.DataFrame) -> Judgement:
    """The verdict on a night from its signal quality, its stages and its agreement with an expert."""
    recording, staging = prepared.recording, prepared.staging
    return judge_night(
        staging.hypnogram,
        duration=recording.duration,
        quality=quality,
        evidence=staging.evidence,
        stager=staging.stager,
        species=recording.species,
        age=recording.metadata.get("age"),
        simulated=prepared.simulated,
        given=staging.stager == GIVEN,
        concerns=find_concerns(recording, staging.stager, agreement, weights=prepared.options.weights),
    )


def describe_provenance(prepared: PreparedNight, forecaster: str, detectors: list[str], *, key: str) -> Provenance:
    """Methods text, references, versions and the key of a night."""
    stager = prepared.staging.stager
    methods = describe_methods(
        stager,
        name_channels(prepared.recording, prepared.picks),
        detectors,
        forecaster=forecaster,
        epoch_length=prepared.hypnogram.epoch_length,
        unclear_below=UNCLEAR_BELOW,
    )
    return Provenance(
        methods=methods,
        citations=list_citations(stager, detectors),
        versions=read_versions(),
        hashes={"key": key},
    )


def name_channels(recording: Recording, picks: Mapping[str, str]) -> dict[str, str]:
    """The channels that were staged from, by role; without electrical ones, every signal by its modality."""
    if picks:
        return {role.upper(): name for role, name in picks.items()}
    return {signal.modality.name.replace("_", " "): name for name, signal in recording.signals.items()}


def shorten_evidence(evidence: pd.DataFrame) -> pd.DataFrame:
    """The three metrics that the page shows of each validation; the rest is in `benchmarks/results/staging.json`."""
    if not len(evidence):
        return evidence
    kept = evidence[evidence["metric"].isin(("kappa", "accuracy", "macro_f1"))]
    return kept[[name for name in ("data", "metric", "value", "low", "high", "n") if name in kept]]


def compute_overview(prepared: PreparedNight) -> tuple[Spectrogram | None, pd.DataFrame]:
    """Spectrogram (dB) and depth of the EEG, or of the LFP where there is no EEG; nothing where there is neither."""
    name = prepared.depth_channel
    if name is None:
        return None, pd.DataFrame()
    signal = prepared.recording[name]
    window = max(prepared.hypnogram.epoch_length, 4.0)
    spectrogram = compute_spectrogram(signal, window=window, max_frequency=30.0)
    power = 10 * np.log10(np.maximum(spectrogram.power * MICROVOLTS**2, 1e-12)).T
    return Spectrogram(spectrogram.times, spectrogram.frequencies, power), compute_depth(signal, epoch_length=window)


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
