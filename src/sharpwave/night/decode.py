"""The main job: read → stage → forecast → detect → relate → report.

`sharpwave decode` calls this once per night; so can you:

    from sharpwave.night.options import open_source

    recording = open_source("night.edf")
    night = decode_recording(recording)
    night.hypnogram, night.forecast, night.events
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.events import score_events
from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.forecasting.forecaster import forecast_with_best
from sharpwave.night.decoded import DecodedNight, Spectrogram
from sharpwave.night.effects import relate_night
from sharpwave.night.methods import LIMITS, describe_methods, list_citations, read_versions
from sharpwave.night.options import DecodeOptions, apply_options, find_lights, find_randomised, read_cues
from sharpwave.night.reactivations import FoundReactivations, look_for_reactivations
from sharpwave.night.scores import compute_agreement, describe_forecast, score_forecast, summarise_events
from sharpwave.night.seen import was_forecaster_trained_on, was_stager_trained_on
from sharpwave.night.trust import UNCLEAR_BELOW, judge_night
from sharpwave.recordings import Hypnogram, Recording
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.recording import empty_events
from sharpwave.signals import (
    compute_depth,
    compute_quality,
    compute_spectrogram,
    detect_artefacts,
    detect_eye_movements,
    detect_ripples,
    detect_slow_waves,
    detect_spindles,
    rescale_signal,
)
from sharpwave.staging import choose_stager

if TYPE_CHECKING:
    from sharpwave.simulation.truth import Truth

Progress = Callable[[str, int, int], None]

MICROVOLTS = 1e6
TRUTH_IOU = 0.2
POOR_KAPPA = 0.4
N_EXPLAINED = 3
"""Forecasts explained on a night's page; `sharpwave explain` gives more."""
GIVEN = "given with the recording"
SEEN_BY_STAGER = "The stager was trained on this very person: its agreement with the expert here proves nothing."
SEEN_BY_FORECASTER = "The forecast was trained on this very person's stages, so its skill here proves nothing."
STEPS = ("quality", "stages", "forecast", "events", "reactivations", "spectrum", "statistics")


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
        recording: What was recorded; signals may lie on disk and are read piece by piece.
        options: What is known of the night beside the recording.
        truth: `Truth` of a simulated night, to count what was planted and found.
        key: Under which the results are found again.
        progress: Called with (step, number done, number of steps).

    Returns:
        The decoded night. A recording that cannot be used gives a night whose verdict says so, not an error.

    Raises:
        SharpwaveError: If there is nothing to decode, or a given channel or time does not exist.
    """
    options = options or DecodeOptions()
    step = _Stepper(progress)
    rng = np.random.default_rng(options.seed)
    recording = apply_options(options, recording)
    picks = pick_channels(recording, channels=options.channels)
    recording = calibrate(recording, picks)
    expert = recording.hypnogram

    step("quality")
    artefacts = detect_spans(recording, picks)
    quality = compute_quality(recording, electrical(recording, picks), artefacts=artefacts)

    step("stages")
    hypnogram, stager, evidence, refusals = stage(recording, picks, options)

    step("forecast")
    forecast, why_not = forecast_with_best(hypnogram, recording=recording, weights=options.weights)
    skill, reliability = score_forecast(forecast, expert or hypnogram, rng=rng)
    moved, unexplained = explain_forecast(recording, picks, hypnogram, options)
    judged_by = "the expert's stages" if expert else "the decoded stages themselves, for want of an expert's"

    step("events")
    events, missing = detect_events(recording, picks, hypnogram)
    cues = read_cues(options.cues)

    step("reactivations")
    beside = {"events": events, "artefacts": artefacts, "cues": cues}
    found, related, unrelated = relate(recording, picks, hypnogram, options, **beside, rng=rng)
    detectors = sorted({*events["label"], *found.events.get("label", ())})
    events = pd.concat([events, found.events, cues], ignore_index=True)

    step("spectrum")
    spectrogram, depth = compute_overview(recording, picks, hypnogram)

    step("statistics")
    lights_off, lights_on = find_lights(recording, options)
    statistics = compute_sleep_statistics(
        hypnogram, lights_off=lights_off, lights_on=lights_on, rng=rng, age=options.age, night=options.night
    )
    simulated = recording.source.startswith("simulated")
    agreement = compute_agreement(hypnogram, None if stager == GIVEN else expert, rng=rng)
    judgement = judge_night(
        hypnogram,
        duration=recording.duration,
        quality=quality,
        evidence=evidence,
        stager=stager,
        species=recording.species,
        age=recording.metadata.get("age"),
        simulated=simulated,
        given=stager == GIVEN,
        concerns=find_concerns(recording, stager, agreement, weights=options.weights),
    )
    step("done")
    return DecodedNight(
        identifier=options.identifier or recording.subject,
        source=options.source or recording.source,
        species=recording.species,
        simulated=simulated,
        subject=recording.subject,
        start=recording.start,
        duration=recording.duration,
        night_start=lights_off,
        night_end=lights_on,
        hypnogram=hypnogram,
        expert=None if stager == GIVEN else expert,
        unclear_below=UNCLEAR_BELOW,
        stager=stager,
        stager_evidence=shorten_evidence(evidence),
        agreement=agreement,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        trust=judgement.trust,
        picks=name_channels(recording, picks),
        spectrogram=spectrogram,
        depth=depth,
        depth_unit="log10 µV²",
        events=events,
        event_summary=summarise_events(events, hypnogram),
        quality=quality,
        quality_spans=artefacts,
        statistics=statistics,
        forecast=forecast,
        forecast_skill=skill,
        forecast_note=f"By {forecast.attrs['method']}. {describe_forecast(skill, judged_by=judged_by)}"
        + (f" {SEEN_BY_FORECASTER}" if was_forecaster_trained_on(recording, weights=options.weights) else ""),
        reliability=reliability,
        **moved,
        **related,
        refusals=[*refusals, *why_not, *unexplained, *missing, *unrelated],
        limits=list(LIMITS),
        methods=describe_methods(
            stager,
            name_channels(recording, picks),
            detectors,
            forecaster=str(forecast.attrs["method"]),
            epoch_length=hypnogram.epoch_length,
            unclear_below=UNCLEAR_BELOW,
        ),
        citations=list_citations(stager, detectors),
        versions=read_versions(),
        hashes={"key": key},
        repairs=list(recording.repairs),
        truth=None if truth is None else count_truth(truth, events, duration=recording.duration),
    )


class _Stepper:
    """Says which of `STEPS` is under way."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def __call__(self, step: str) -> None:
        if self._progress is not None:
            done = STEPS.index(step) if step in STEPS else len(STEPS)
            self._progress(step, done, len(STEPS))


def electrical(recording: Recording, picks: Mapping[str, str]) -> list[str]:
    """Names of the signals whose quality matters: those picked, and those searched for events."""
    return list(dict.fromkeys([*picks.values(), *recording.of("eog"), *recording.of("lfp")]))


def detect_spans(recording: Recording, picks: Mapping[str, str]) -> pd.DataFrame:
    """Artefact spans of every picked channel."""
    tables = [detect_artefacts(recording[name]) for name in electrical(recording, picks)]
    tables = [table for table in tables if len(table)]
    return pd.concat(tables, ignore_index=True) if tables else empty_events().assign(channel="")


def detect_events(
    recording: Recording, picks: Mapping[str, str], hypnogram: Hypnogram
) -> tuple[pd.DataFrame, list[str]]:
    """Spindles, slow waves, rapid eye movements and ripples, where their channels are; and why others are missing."""
    jobs: list[tuple[str, Callable[[], pd.DataFrame]]] = []
    if "eeg" in picks:
        eeg = recording[picks["eeg"]]
        jobs.append(("spindles", partial(detect_spindles, eeg, hypnogram=hypnogram)))
        jobs.append(("slow waves", partial(detect_slow_waves, eeg, hypnogram=hypnogram)))
    eyes = list(recording.of("eog").values())
    if len(eyes) >= 2:
        jobs.append(("rapid eye movements", partial(detect_eye_movements, eyes[0], eyes[1], hypnogram=hypnogram)))
    for signal in recording.of("lfp").values():
        ripples = partial(detect_ripples, signal, species=recording.species, hypnogram=hypnogram)
        jobs.append((f"ripples in {signal.name}", ripples))
    tables, refusals = [empty_events()], []
    for what, job in jobs:
        try:
            tables.append(job())
        except SharpwaveError as error:
            refusals.append(f"{what[0].upper()}{what[1:]} were not detected: {error}")
    found = [table for table in tables if len(table)]
    events = pd.concat(found, ignore_index=True) if found else empty_events().assign(channel="")
    return events.sort_values("onset", kind="stable", ignore_index=True), refusals


def stage(
    recording: Recording, picks: Mapping[str, str], options: DecodeOptions
) -> tuple[Hypnogram, str, pd.DataFrame, list[str]]:
    """Stages, who staged, what is known of the stager, and why better ones refused.

    A recording that no stager can use keeps the stages it came with.

    Raises:
        SharpwaveError: If no stager can use it and it came without stages, or the chosen stager cannot.
    """
    try:
        stager, refusals = choose_stager(recording, picks, name=options.stager, weights=options.weights)
    except SharpwaveError as error:
        if recording.hypnogram is None or options.stager is not None:
            raise
        return recording.hypnogram, GIVEN, pd.DataFrame(), [f"Nothing was staged: no stager can use {error.got}."]
    return stager.stage(recording, picks), stager.name, pd.DataFrame(stager.validation(recording, picks)), refusals


def explain_forecast(
    recording: Recording, picks: Mapping[str, str], hypnogram: Hypnogram, options: DecodeOptions
) -> tuple[dict[str, Any], list[str]]:
    """What moves Brainµ's forecasts from the stages and all that was recorded; or why that cannot be said."""
    from sharpwave.brainmu.shipped import find_refusal, keep_picked
    from sharpwave.night.explaining import explain_recording

    if hypnogram.n_stages != 5 or find_refusal(options.weights) is not None:
        return {}, []
    seen = keep_picked(recording, picks)
    try:
        found = explain_recording(seen, history=hypnogram, n_forecasts=N_EXPLAINED, weights=options.weights)
    except SharpwaveError as error:
        return {}, [f"What moved the forecasts is not known: {error}"]
    return found.to_fields(), []


def relate(
    recording: Recording,
    picks: Mapping[str, str],
    hypnogram: Hypnogram,
    options: DecodeOptions,
    *,
    events: pd.DataFrame,
    artefacts: pd.DataFrame,
    cues: pd.DataFrame,
    rng: np.random.Generator,
) -> tuple[FoundReactivations, dict[str, Any], list[str]]:
    """Reactivations, what they do to sleep as fields of the decoded night, and why either is missing."""
    found, why = look_for_reactivations(recording, hypnogram, given=options.reactivations, rng=rng)
    if not len(found.events):
        return found, {"reactivations_note": found.note}, why
    channel = picks.get("eeg") or next(iter(recording.of("lfp")), None)
    bad = artefacts[artefacts["channel"] == channel] if len(artefacts) else None
    try:
        effects = relate_night(
            recording,
            hypnogram,
            found,
            channel=channel,
            events=events,
            artefacts=bad,
            cues=find_randomised(cues),
            rng=rng,
        )
    except SharpwaveError as error:
        fields = {"reactivations": found.counts, "reactivations_note": found.note}
        return found, fields, [f"What reactivations do to sleep was not estimated: {error}"]
    return found, effects.to_fields(), why


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


def find_concerns(
    recording: Recording, stager: str, agreement: pd.DataFrame, *, weights: Path | None = None
) -> list[str]:
    """Reasons for care that only this night shows: stages it was trained on, or an expert who disagrees."""
    concerns = [SEEN_BY_STAGER] if was_stager_trained_on(recording, stager, weights=weights) else []
    kappas = agreement.loc[agreement["metric"] == "kappa", "value"] if len(agreement) else agreement
    if len(kappas) and kappas.iloc[0] < POOR_KAPPA:
        concerns.append(f"In this very recording {stager} and the expert agree only at κ {kappas.iloc[0]:.2f}.")
    return concerns


def calibrate(recording: Recording, picks: Mapping[str, str]) -> Recording:
    """The recording with its EEG as large as a usual night's, where its unit is unknown; declared as a repair."""
    if recording.metadata.get("amplitude_unit") != "unknown" or "eeg" not in picks:
        return recording
    signal, _ = rescale_signal(recording[picks["eeg"]])
    repair = f"{signal.name}: its unit is unknown, so it was scaled to the amplitude of a usual night"
    return replace(
        recording,
        signals={**recording.signals, signal.name: signal},
        repairs=(*recording.repairs, repair),
        metadata={**recording.metadata, "amplitude_unit": "rescaled"},
    )


def compute_overview(
    recording: Recording, picks: Mapping[str, str], hypnogram: Hypnogram
) -> tuple[Spectrogram | None, pd.DataFrame]:
    """Spectrogram (dB) and depth of the EEG, or of the LFP where there is no EEG; nothing where there is neither."""
    name = picks.get("eeg") or next(iter(recording.of("lfp")), None)
    if name is None:
        return None, pd.DataFrame()
    signal = recording[name]
    window = max(hypnogram.epoch_length, 4.0)
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
