"""`sharpwave benchmark staging-use`: the same weights, used in several ways: clock, smoothing, and together with YASA.

What is chosen here was chosen on UCDDB's one whole night and on simulated people; DREAMS is only looked at. The shipped
weights have learned from that whole night, so a small model that has not stands beside them ("trained without it").
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.staging.benchmark import collect_validation
from sharpwave.benchmarks.staging.cohorts import (
    CUT,
    cut_start,
    forget_clock,
    has_eeg,
    is_whole,
    load_recordings,
    only_eeg,
    simulate_recordings,
    take_down,
)
from sharpwave.benchmarks.staging.methods import HOURS, N_SIMULATED, SEED, compare, score_later
from sharpwave.benchmarks.staging.scores import Scored, summarise
from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.brainmu.runtime.staging import run_brainmu, smooth_stages
from sharpwave.brainmu.shipped import Weights, load_weights
from sharpwave.errors import SharpwaveError
from sharpwave.recipes.staging_training import train_on_eeg
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.datasets import data_root
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import prepare_signals
from sharpwave.signals.stage_smoothing import load_transitions
from sharpwave.staging.boosted import to_hypnogram
from sharpwave.staging.mean_stager import average_hypnograms
from sharpwave.staging.weights import FOLDER, load_card, save_json
from sharpwave.staging.yasa_stager import LEAST_RATE, YasaResampledStager, YasaStager

Nights = Sequence[Recording]
SIMULATED = (4, 4.0)
"""Simulated nights, and their hours."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Stage DREAMS, UCDDB's whole night and simulated people in each way of use.

    Args:
        data: Folder of data sets; `data_root()` where None.
        seeds: Trainings of the small model that has not seen UCDDB's whole night; with 1, it is left out.
        train: Write what this run finds of the shipped weights beside them, for the pages of decoded nights.

    Raises:
        SharpwaveError: If neither DREAMS nor UCDDB is there.
    """
    dreams = [only_eeg(r) for r in load_recordings("dreams", data) if has_eeg(r)]
    fast = [r for r in dreams if r[pick_channels(r)["eeg"]].rate > LEAST_RATE]
    ucddb = [only_eeg(r) for r in load_recordings("ucddb", data) if has_eeg(r) and is_whole(r)]
    if not dreams and not ucddb:
        raise SharpwaveError(
            "nights of DREAMS or UCDDB",
            got=f"none under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets",
        )
    n, hours = SIMULATED
    alone = [only_eeg(r) for r in simulate_recordings("human", n=n, hours=hours)]
    seen = [r for r in ucddb if f"ucddb/{r.subject}" in load_weights().card.get("trained_on", ())]
    rng = np.random.default_rng(0)
    score = partial(score_ways, rng=rng)
    rows = [
        *score(fast, data="DREAMS", setting="30 min excerpts"),
        *score([take_down(r) for r in dreams], data="DREAMS", setting="30 min excerpts, at 50 Hz"),
        *score([r for r in ucddb if r not in seen], data="UCDDB", setting="whole nights"),
        *score(seen, data="UCDDB", setting="whole nights, seen in training"),
        *score(alone, data="simulated human", setting="one EEG channel"),
        *score_cut(alone, data="simulated human", rng=rng),
        *score_cut(ucddb, data="UCDDB", rng=rng),
        *(score_trained_without(ucddb, data=data, seeds=seeds, rng=rng) if seeds > 1 else ()),
    ]
    if train:
        others = ("seen in training", "first two hours")
        validation = collect_validation([row for row in rows if not any(word in row.setting for word in others)])
        mine = {name: found for name, found in validation.items() if "brainmu" in name}
        save_json("stager_validation", {**load_card("stager_validation"), **mine}, folder=FOLDER)
    config = {
        "seeds": seeds,
        "unit": "mean over subjects, 95 % bootstrap interval over subjects",
        "chosen_on": "UCDDB's whole night and simulated people",
        "cut_s": CUT,
        "brainmu-lite": "as it is used: no clock unless it is known, smoothed by the length of the recording",
    }
    return config, rows


def score_ways(nights: Nights, *, data: str, setting: str, rng: np.random.Generator) -> list[Row]:
    """Every way of use on the same nights: those that YASA can stage."""
    weights, rows = load_weights(), []
    pairs = [(night, theirs) for night in nights if (theirs := stage_by_yasa(night)) is not None]
    for method, use in WAYS.items():
        scored = [compare(night, use(night, theirs, weights)) for night, theirs in pairs]
        rows += summarise(scored, n_stages=5, data=data, setting=setting, method=method, rng=rng)
    return rows


def stage_by_brainmu(
    night: Recording, theirs: Hypnogram, weights: Weights, *, clock: bool = False, smooth: bool | None = None
) -> Hypnogram:
    """Stages by Brainµ alone.

    Args:
        night: The recording.
        theirs: YASA's stages, which are not looked at.
        weights: The model and its calibration.
        clock: Take the start of the file for lights off.
        smooth: Smooth over the transitions of whole nights, whatever the length, or not at all; by its length if None.
    """
    timeless = forget_clock(night)
    if clock:
        timeless = replace(timeless, metadata={**timeless.metadata, "lights_off": 0.0})
    prepared = prepare_signals(timeless, pick_channels(night))
    transitions = np.asarray(load_transitions()["transitions"])
    said = run_brainmu(
        prepared,
        weights.model,
        calibration=weights.calibrate("signal-only"),
        transitions=transitions if smooth is None else None,
    ).hypnogram
    if smooth and said.probabilities is not None:
        return to_hypnogram(smooth_stages(np.asarray(said.probabilities), transitions), scorer=said.scorer or "")
    return said


def stage_by_yasa(night: Recording, *, from_file_start: bool = True) -> Hypnogram | None:
    """Stages by YASA alone, resampled where the rate is low; None where it cannot."""
    picks = pick_channels(night)
    for stager in (
        YasaStager(from_file_start=from_file_start),
        YasaResampledStager(from_file_start=from_file_start),
    ):
        if stager.accepts(night, picks) is None:
            return stager.stage(night, picks)
    return None


def stage_by_both(night: Recording, theirs: Hypnogram, weights: Weights) -> Hypnogram:
    """The mean of both, as `sharpwave decode` stages by default."""
    without_clock = stage_by_yasa(forget_clock(night), from_file_start=False)
    return average_hypnograms(without_clock or theirs, stage_by_brainmu(night, theirs, weights))


def stage_by_both_as_before(night: Recording, theirs: Hypnogram, weights: Weights) -> Hypnogram:
    """The mean of both, where YASA takes the start of the file for that of the night."""
    return average_hypnograms(theirs, stage_by_brainmu(night, theirs, weights))


WAYS: Mapping[str, Callable[[Recording, Hypnogram, Weights], Hypnogram]] = {
    "yasa": lambda night, theirs, weights: theirs,
    "brainmu-lite": stage_by_brainmu,
    "brainmu-lite, file start as lights off": partial(stage_by_brainmu, clock=True),
    "brainmu-lite, never smoothed": partial(stage_by_brainmu, smooth=False),
    "brainmu-lite, always smoothed": partial(stage_by_brainmu, smooth=True),
    "brainmu-lite, both as before": partial(stage_by_brainmu, clock=True, smooth=True),
    "yasa+brainmu": stage_by_both,
    "yasa+brainmu, file start as lights off": stage_by_both_as_before,
}
"""Ways of use by the name of the method in the rows."""


BOTH = ("yasa+brainmu", "yasa+brainmu, file start as lights off")


def score_cut(nights: Nights, *, data: str, rng: np.random.Generator) -> list[Row]:
    """κ after the first two hours: of the whole night, with those hours missing, and with them cut off.

    Missing, their history is lost; cut off, the file begins later as well, which may change nothing more.
    """
    rows = []
    cuts = [(night, blank_start(night), cut_start(night)) for night in nights]
    staged = [(files, [stage_by_yasa(file) for file in files]) for files in cuts]
    for method in ("brainmu-lite", "brainmu-lite, file start as lights off", *BOTH):
        kappas: dict[str, list[float]] = {
            name: [] for name in ("whole", "blanked", "cut", "lost_history", "file_start")
        }
        for files, theirs in staged:
            found = [
                WAYS[method](file, yasa, load_weights())
                for file, yasa in zip(files, theirs, strict=True)
                if yasa is not None
            ]
            if len(found) < len(files):
                continue
            values = [score_later(files[0], one) for one in (*found[:2], replace(found[2], start=CUT))]
            values += [values[1] - values[0], values[2] - values[1]]
            for name, value in zip(kappas, values, strict=True):
                kappas[name].append(value)
        for name, numbers in kappas.items():
            if numbers:
                setting = "after the first two hours"
                rows.append(estimate_row(data, setting, method, f"kappa_{name}", numbers, rng=rng))
    return rows


def blank_start(night: Recording, seconds: float = CUT) -> Recording:
    """The recording with its first seconds missing, and its clock as it was: what is lost is their history alone."""
    signals = {}
    for name, signal in night.signals.items():
        samples = signal.read().astype(np.float32)
        samples[: round((seconds - signal.start) * signal.rate)] = np.nan
        signals[name] = replace(signal, samples=samples, scale=1.0, offset=0.0)
    return forget_clock(replace(night, signals=signals, hypnogram=None))


def score_trained_without(whole: Nights, *, data: Path | None, seeds: int, rng: np.random.Generator) -> list[Row]:
    """UCDDB's whole night by a small Brainµ that has not learned from it, alone and together with YASA."""
    if not whole:
        return []
    simulated = [
        epoch_recording(night, modalities=("eeg",), every_channel=True)
        for night in simulate_recordings("human", n=N_SIMULATED, hours=HOURS, seed=SEED)
    ]
    methods = ("yasa", "brainmu-lite", "yasa+brainmu")
    scored: dict[str, list[Scored]] = {method: [] for method in methods}
    for seed in range(seeds):
        model = train_on_eeg(simulated, data=data, leave_out=[night.subject for night in whole], seed=seed)
        small = Weights(model, {}, "Brainµ, small")
        for night in whole:
            theirs = stage_by_yasa(night)
            if theirs is None:
                continue
            for method in methods:
                scored[method].append(compare(night, WAYS[method](night, theirs, small)))
    rows: list[Row] = []
    for method, nights in scored.items():
        named = method.replace("brainmu-lite", "brainmu-eeg").replace("+brainmu", "+brainmu-eeg")
        setting = "whole nights; small model trained without it"
        rows += summarise(nights, n_stages=5, data="UCDDB", setting=setting, method=named, rng=rng)
    return rows
