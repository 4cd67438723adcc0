"""The main job: read → stage → forecast → detect → estimate effects → report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_statistics import SUSTAINED_REM, compute_sleep_statistics
from sharpwave.forecasting.forecaster import forecast_with_best
from sharpwave.night.architecture import describe_course, describe_person
from sharpwave.night.decoded import (
    DecodedNight,
    ForecastEvaluation,
    ForecastExplanation,
    ReactivationEffects,
    SleepArchitecture,
    Spectrogram,
)
from sharpwave.night.effects import estimate_night_effects
from sharpwave.night.methods import describe_night
from sharpwave.night.options import DecodeOptions, find_lights, find_randomised, read_cues
from sharpwave.night.oscillations import add_channels, measure_oscillations
from sharpwave.night.prepare import GIVEN, PreparedNight, list_electrical, prepare_night
from sharpwave.night.reactivations import look_for_reactivations
from sharpwave.night.scores import (
    add_expert,
    compute_agreement,
    count_truth,
    describe_forecast,
    score_forecast,
    summarise_events,
)
from sharpwave.night.signal_check import check_signals
from sharpwave.night.trust import (
    SEEN_BY_FORECASTER,
    UNCLEAR_BELOW,
    Judgement,
    compare_with_expert,
    judge_night,
    shorten_evidence,
    was_forecaster_trained_on,
    was_stager_trained_on,
)
from sharpwave.recordings import Recording
from sharpwave.recordings.annotations import find_scored_events
from sharpwave.recordings.recording import empty_events
from sharpwave.reprs import short_repr
from sharpwave.signals import compute_depth, compute_quality, compute_spectrogram

if TYPE_CHECKING:
    from sharpwave.simulation.truth import Truth

Progress = Callable[[str, int, int], None]

MICROVOLTS = 1e6
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
    prepared = prepare_night(recording, options, coupling=True, announce=step)
    step("forecast")
    forecast = forecast_stages(prepared, rng=rng)
    step("reactivations")
    found = find_effects(prepared, rng=rng)
    step("spectrum")
    spectrogram, depth = compute_overview(prepared)
    step("statistics")
    measures = measure_night(prepared, rng=rng)
    night = compose_night(prepared, forecast, found, measures, spectrogram=spectrogram, depth=depth, key=key)
    night = add_channels(prepared, night)
    night = replace(night, oscillations=measure_oscillations(prepared, night, rng=rng))
    step("done")
    return night if truth is None else replace(night, truth=count_truth(truth, found.events, duration=night.duration))


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

    __repr__ = short_repr

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

    recording, weights, chosen = prepared.recording, prepared.options.weights, prepared.options.forecaster
    found = None if prepared.staging.stager == GIVEN else prepared.staged_from
    table, why_not = forecast_with_best(
        prepared.hypnogram, recording=prepared.seen, weights=weights, forecaster=chosen, found_from=found
    )
    expert = recording.hypnogram
    skill, reliability = score_forecast(table, expert or prepared.hypnogram, rng=rng)
    judged_by = "the expert's stages" if expert else "the decoded stages themselves, for want of an expert's"
    note = f"By {table.attrs['method']}. {describe_forecast(skill, judged_by=judged_by)}"
    if was_forecaster_trained_on(recording, weights=weights):
        note = f"{note} {SEEN_BY_FORECASTER}"
    evaluation = ForecastEvaluation(skill=skill, reliability=reliability, note=note)
    explanation, unexplained = explain_forecasts(prepared, table)
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

    __repr__ = short_repr

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
    tables = [prepared.events, found.events, cues]
    scored = find_scored(prepared)
    events = pd.concat([*tables, scored] if len(scored) else tables, ignore_index=True)
    return FoundEffects(events, detectors, effects, refusals)


def find_scored(prepared: PreparedNight) -> pd.DataFrame:
    """Arousals, apnoeas and the like that a scorer marked in the recording or in the scoring given with it.

    Args:
        prepared: The night.
    """
    recording = prepared.recording
    if not len(recording.events):
        return empty_events()
    scored = find_scored_events(recording.events, scorer=prepared.options.scorer)
    return scored[scored["onset"].between(0.0, recording.duration)].reset_index(drop=True)


@dataclass(frozen=True, eq=False)
class Measures:
    """Numbers that describe a night, and how far to trust it.

    Attributes:
        lights_off: Time of lights off, in seconds from the start; None where not known.
        lights_on: Time of lights on, in seconds from the start; None where not known.
        statistics: Sleep statistics with intervals.
        architecture: Sleep cycles and transitions.
        agreement: Agreement with an expert; empty without one.
        quality: Signal quality, one row a channel.
        judgement: Verdict on the night, with its reasons.
    """

    __repr__ = short_repr

    lights_off: float | None
    lights_on: float | None
    statistics: pd.DataFrame
    architecture: SleepArchitecture
    agreement: pd.DataFrame
    quality: pd.DataFrame
    judgement: Judgement


def measure_night(prepared: PreparedNight, *, rng: np.random.Generator) -> Measures:
    """Sleep statistics, agreement with the expert, signal quality, and the verdict on them.

    Args:
        prepared: The night.
        rng: Random generator of the intervals.

    Raises:
        SharpwaveError: If a time of lights off or on cannot be placed.
    """
    recording, staging, options = prepared.recording, prepared.staging, prepared.options
    off, on = find_lights(recording, options)
    rule = None if recording.species in ("mouse", "rat") else SUSTAINED_REM
    statistics = compute_sleep_statistics(
        staging.hypnogram,
        lights_off=off,
        lights_on=on,
        rng=rng,
        age=recording.metadata.get("age"),
        night=options.night,
        scored_events=find_scored(prepared),
        sustained_rem=rule,
    )
    statistics = add_expert(statistics, prepared.expert, lights_off=off, lights_on=on, sustained_rem=rule)
    agreement = compute_agreement(staging.hypnogram, prepared.expert, rng=rng)
    electrical = list_electrical(recording, prepared.picks, others=staging.channels)
    quality = compute_quality(recording, electrical, artefacts=prepared.artefacts)
    judgement = judge_night(
        staging.hypnogram,
        duration=recording.duration,
        quality=count_substitutes(quality, prepared),
        evidence=staging.evidence,
        stager=staging.stager,
        species=recording.species,
        age=recording.metadata.get("age"),
        simulated=prepared.simulated,
        given=staging.stager == GIVEN,
        beside=compare_with_expert(staging.stager, agreement),
        check=check_signals(prepared),
        seen=was_stager_trained_on(recording, staging.stager, weights=options.weights),
    )
    architecture = describe_course(staging.hypnogram, recording.species, lights_off=off, lights_on=on)
    return Measures(off, on, statistics, architecture, agreement, quality, judgement)


def count_substitutes(quality: pd.DataFrame, prepared: PreparedNight) -> pd.DataFrame:
    """The quality of the channels, where several staged the night together: as usable as the parts that they staged."""
    staging = prepared.staging
    if len(staging.channels) < 2:
        return quality
    together = float(staging.hypnogram.scored.mean())
    mine = quality["channel"].isin(staging.channels)
    return quality.assign(usable_fraction=quality["usable_fraction"].where(~mine, together))


def compose_night(
    prepared: PreparedNight,
    forecast: StageForecast,
    found: FoundEffects,
    measures: Measures,
    *,
    spectrogram: Spectrogram | None,
    depth: pd.DataFrame,
    key: str,
) -> DecodedNight:
    """Put the decoded night together.

    Args:
        prepared: The night.
        forecast: Forecast of the night.
        found: Events and reactivations of the night, and their effects.
        measures: Numbers that describe the night, and how far to trust it.
        spectrogram: Power over time, or None.
        depth: Depth of sleep over time: onset, depth.
        key: Key under which the results are found again.
    """
    recording, hypnogram, staging, options = prepared.recording, prepared.hypnogram, prepared.staging, prepared.options
    night = DecodedNight(
        identifier=options.identifier or recording.subject,
        source=options.source or recording.source,
        species=recording.species,
        simulated=prepared.simulated,
        subject=recording.subject,
        **describe_person(recording),
        start=recording.start,
        duration=recording.duration,
        night_start=measures.lights_off,
        night_end=measures.lights_on,
        hypnogram=hypnogram,
        expert=prepared.expert,
        unclear_below=UNCLEAR_BELOW,
        stager=staging.stager,
        stager_evidence=shorten_evidence(staging.evidence),
        agreement=measures.agreement,
        verdict=measures.judgement.verdict,
        reasons=measures.judgement.reasons,
        trust=measures.judgement.trust,
        picks=name_channels(recording, prepared.picks),
        spectrogram=spectrogram,
        depth=depth,
        depth_unit="log10 µV²",
        events=found.events,
        event_summary=summarise_events(found.events, hypnogram, sources=staging.sources),
        quality=measures.quality,
        quality_spans=prepared.artefacts,
        statistics=measures.statistics,
        architecture=measures.architecture,
        forecast=forecast.table,
        forecast_evaluation=forecast.evaluation,
        effects=found.effects,
        explanation=forecast.explanation,
        refusals=[*staging.refusals, *forecast.refusals, *prepared.undetected, *found.refusals],
        repairs=list(recording.repairs),
    )
    return describe_night(
        night,
        detectors=found.detectors,
        given=["reactivation"] if options.reactivations is not None else [],
        forecaster=forecast.method,
        spikes=recording.spikes is not None,
        key=key,
    )


def name_channels(recording: Recording, picks: Mapping[str, str]) -> dict[str, str]:
    """The channels that were staged from, by role; without electrical ones, every signal by its modality."""
    if picks:
        return {role.upper(): name for role, name in picks.items()}
    return {signal.modality.name.replace("_", " "): name for name, signal in recording.signals.items()}


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


__getattr__ = moved.rename(
    __name__,
    {name: f"night.prepare:{name}" for name in ("detect_events", "detect_spans")},
)
