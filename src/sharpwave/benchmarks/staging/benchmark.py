"""`sharpwave benchmark staging`: every stager and baseline against experts, by subject.

Shipped weights meet only subjects they were not trained on ("held-out subjects"), beside baselines trained on the same
subjects as they; a cohort of five subjects or more is cross-validated by subject as well. DREAMS is scored every 5 s by
its experts: their 30 s stage is the one that holds most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.staging.baselines import BASELINES, StagedFeatures
from sharpwave.benchmarks.staging.cohorts import (
    CUT,
    Fold,
    cut_start,
    has_eeg,
    is_whole,
    leave_out,
    load_recordings,
    only_eeg,
    only_lfp,
    simulate_recordings,
    take_down,
    to_features,
)
from sharpwave.benchmarks.staging.methods import (
    compare,
    run_baselines,
    run_shipped,
    run_stager,
    run_trained_on_eeg,
    run_trained_on_wearables,
    score_later,
)
from sharpwave.benchmarks.staging.scores import Scored, summarise
from sharpwave.errors import SharpwaveError
from sharpwave.recipes.stagers import TABLES, cross_validate, train_stagers
from sharpwave.recordings.datasets import data_root
from sharpwave.recordings.recording import Recording
from sharpwave.staging import STAGERS, load_stager
from sharpwave.staging.boosted import RECIPES, soften, to_hypnogram
from sharpwave.staging.weights import load_card, load_weights, save_json

N_FOLDS = 5
SIMULATED = {"human": (4, 4.0), "mouse": (4, 2.0), "rat": (4, 2.0)}
"""Simulated nights per species, and their hours."""
WATCHES = (6, 7.0)
"""Simulated nights of a watch, and their hours."""
COHORTS = {"ucddb": "UCDDB", "dreams": "DREAMS", "walch": "Walch", "pd-lfp": "PD-LFP"}
SIGNALS = {"Walch": "wearable", "PD-LFP": "lfp"}
"""What each data set is staged from; others from EEG, or LFP where the setting says so."""
LEARNED = {"lightgbm-wearable": ("walch", 2), "lightgbm-lfp": ("pd-lfp", 18)}
"""Learned stagers: their cohort, and how many of their columns are an epoch's own features."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Stage every cohort under `data`, and simulated nights.

    Args:
        data: Folder of data sets; `data_root()` where None. Cohorts that are not there are left out, with a note.
        seeds: Seeds of whatever is random: folds, initial weights, subsampling.
        train: Train the shipped weights on `data` first, and write what this run finds of each stager beside them.

    Returns:
        What was chosen, and one row per data set, setting, method and metric.

    Raises:
        SharpwaveError: If none of the cohorts is there, or one of their files is damaged.
    """
    nights = {cohort: load_recordings(cohort, data) for cohort in COHORTS}
    absent = [cohort for cohort, recordings in nights.items() if not recordings]
    if len(absent) == len(COHORTS):
        raise SharpwaveError(
            f"at least one of the cohorts {', '.join(COHORTS)}",
            got=f"none with stages under {data or data_root() or 'any folder of data sets'}",
            fix="pass --data, or set SHARPWAVE_DATA to the folder that holds the data sets; on nights of your own "
            "`sharpwave decode night.edf --stages scored.txt` gives the agreement",
        )
    if train:
        train_stagers(data, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    n_human, hours = SIMULATED["human"]
    simulated = simulate_recordings("human", n=n_human, hours=hours)
    rows = run_eeg(nights["ucddb"], nights["dreams"], simulated, seeds=seeds, rng=rng)
    rows += run_brainmu_rows(nights, simulated, data=data, rng=rng)
    for name, (cohort, _) in LEARNED.items():
        rows += run_learned(name, nights[cohort], seeds=seeds, rng=rng)
    for species in ("mouse", "rat"):
        rows += run_rodents(species, rng=rng)
    rows += run_watches(rng=rng)
    if train:
        known = load_card("stager_validation")  # what pages say of rodents is measured by the benchmark "rodent"
        save_json("stager_validation", {**known, **collect_validation(rows), "rodent": known.get("rodent", [])})
    config = {
        "seeds": seeds,
        "folds": N_FOLDS,
        "subjects": {cohort: len({r.subject for r in recordings}) for cohort, recordings in nights.items()},
        "simulated_nights": {species: {"n": n, "hours": length} for species, (n, length) in SIMULATED.items()},
        "unit": "mean over subjects, 95 % bootstrap interval over subjects",
        "macro_f1": "unweighted; classes that occur in the subject's expert or found hypnogram",
        "epochs": "30 s (rodents 10 s); DREAMS' 5 s labels by majority; excerpt 7 left out",
        "trained": train,
        "notes": [f"{COHORTS[cohort]} left out: no nights with stages of {cohort!r} here" for cohort in absent],
    }
    return config, rows


def run_brainmu_rows(
    nights: Mapping[str, Sequence[Recording]],
    simulated: Sequence[Recording],
    *,
    data: Path | None,
    rng: np.random.Generator,
) -> list[Row]:
    """Brainµ: the shipped weights on people new to them; on development subjects also small ones trained on others."""
    whole = [r for r in nights["ucddb"] if has_eeg(r) and is_whole(r)]
    dreams = [r for r in nights["dreams"] if has_eeg(r)]
    shipped = partial(run_shipped, rng=rng)
    rows = [
        *shipped([only_eeg(r) for r in whole], data="UCDDB", setting="whole nights"),
        *shipped([only_eeg(r) for r in dreams], data="DREAMS", setting="30 min excerpts"),
        *shipped([only_eeg(r) for r in simulated], data="simulated human", setting="one EEG channel"),
        *shipped(simulated, data="simulated human", setting="EEG, EOG and EMG"),
        *shipped(nights["walch"], data="Walch", setting="held-out subjects"),
    ]
    if data is None or data.resolve() == Path(data_root() or ".").resolve():
        rows += run_trained_on_eeg(whole, dreams, data=data, rng=rng)
        rows += run_trained_on_wearables(nights["walch"], n_folds=N_FOLDS, rng=rng)
    return rows


def collect_validation(rows: list[Row]) -> dict[str, list[dict[str, Any]]]:
    """The rows that speak for each stager, which it reports with every night it stages."""
    chosen: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        method = "brainmu" if row.method == "brainmu-lite" else row.method
        others = ("slow-wave", "3 stages", "cut off", *(() if method == "hmm" else ("wake or sleep",)))
        if method in STAGERS and not any(word in row.setting for word in others):
            spoken = {key: value for key, value in row.to_dict().items() if key not in ("method", "values")}
            spoken |= {"data": f"{row.data} ({row.setting})", "signals": _name_signals(row)}
            chosen.setdefault(method, []).append(spoken)
    return chosen


def _name_signals(row: Row) -> str:
    said = {"LFP": "lfp", "heart rate": "wearable"}
    return SIGNALS.get(row.data, next((name for word, name in said.items() if word in row.setting), "eeg"))


def run_eeg(
    ucddb: Sequence[Recording],
    dreams: Sequence[Recording],
    simulated: Sequence[Recording],
    *,
    seeds: int,
    rng: np.random.Generator,
) -> list[Row]:
    """EEG: YASA at full and at low rate, the unsupervised model, and baselines trained on what may be trained on."""
    ucddb, dreams = [r for r in ucddb if has_eeg(r)], [r for r in dreams if has_eeg(r)]
    whole, parts = [r for r in ucddb if is_whole(r)], [r for r in ucddb if not is_whole(r)]
    rows: list[Row] = []
    for name, recordings, setting, n_stages in (
        ("UCDDB", whole, "whole nights", 5),
        ("UCDDB", parts, "wake and slow-wave sleep only", 2),
        ("DREAMS", dreams, "30 min excerpts", 5),
        ("simulated human", simulated, "one EEG channel", 5),
    ):
        alone, low = [only_eeg(r) for r in recordings], [take_down(r) for r in recordings]
        score = partial(run_stager, data=name, rng=rng)
        rows += score("yasa", alone, setting=setting, n_stages=n_stages)
        rows += score("yasa-resampled", low, setting=f"{setting}, at 50 Hz", n_stages=n_stages)
        if n_stages == 5:
            rows += score("hmm", alone, setting=f"{setting}, wake or sleep", n_stages=2)
    rows += run_stager("yasa", simulated, data="simulated human", setting="EEG, EOG and EMG", n_stages=5, rng=rng)
    nights = {id(recording): to_features(recording) for recording in (*ucddb, *dreams, *simulated)}
    for name, tested, others, setting in (
        ("UCDDB", whole, [*parts, *simulated], "whole nights; trained on other subjects and simulated nights"),
        ("DREAMS", dreams, [*ucddb, *simulated], "30 min excerpts; trained on UCDDB and simulated nights"),
        ("simulated human", simulated, [], "one EEG channel; trained on other simulated nights"),
    ):
        pairs, training = [(nights[id(r)], r) for r in tested], [nights[id(r)] for r in others]
        split = partial(_train_elsewhere, pairs, training) if name == "DREAMS" else partial(_split, pairs, training)
        if tested:
            rows += run_baselines(split, data=name, setting=setting, seeds=seeds, rng=rng)
    return rows


def run_learned(name: str, recordings: Sequence[Recording], *, seeds: int, rng: np.random.Generator) -> list[Row]:
    """A learned stager on its cohort: as shipped on new subjects, and cross-validated by subject; beside baselines."""
    if not recordings:
        return []
    cohort = COHORTS[LEARNED[name][0]]
    stager, card = load_stager(name), load_weights(name)[1]
    methods = tuple(method for method in BASELINES if method != "lightgbm")  # the stager itself is that
    new = [recording for recording in recordings if recording.subject not in card["training_subjects"]]
    rows = _at_both_depths([compare(r, stager.stage(r, {})) for r in new], cohort, "held-out subjects", name, rng)
    if new:
        known = {r.subject: r for r in [*load_recordings(LEARNED[name][0], None), *recordings]}
        training = [_to_night(known[s], name) for s in card["training_subjects"] if s in known]
        pairs = [(_to_night(r, name), r) for r in new]
        split = partial(_train_elsewhere, pairs, training)
        if training:
            rows += run_baselines(
                split, data=cohort, setting="held-out subjects", seeds=seeds, rng=rng, methods=methods
            )
    if len({recording.subject for recording in recordings}) >= N_FOLDS:
        nights = [_to_night(recording, name) for recording in recordings]
        rows += _cross_validate(name, recordings, nights, seeds=seeds, temperature=card["temperature"], rng=rng)
        split = partial(_split, list(zip(nights, recordings, strict=True)), [])
        setting = "cross-validated by subject"
        rows += run_baselines(split, data=cohort, setting=setting, seeds=seeds, rng=rng, methods=methods)
    return rows + run_stager("hmm", recordings, data=cohort, setting="wake or sleep", n_stages=2, rng=rng)


def run_rodents(species: str, *, rng: np.random.Generator) -> list[Row]:
    """The rodent stager and the last resort on simulated nights: the only staged ones at hand."""
    nights = simulate_recordings(species, n=SIMULATED[species][0], hours=SIMULATED[species][1])
    score = partial(run_stager, data=f"simulated {species}", rng=rng)
    return [
        *score("rodent", nights, setting="EEG and EMG", n_stages=3),
        *score("rodent", [only_lfp(night) for night in nights], setting="LFP and EMG", n_stages=3),
        *score("hmm", nights, setting="EEG and EMG", n_stages=2),
    ]


def run_watches(*, rng: np.random.Generator) -> list[Row]:
    """Simulated nights of a watch, a second world for what was learned from one cohort: whole, and cut at the start."""
    n, hours = WATCHES
    nights = simulate_recordings("human", n=n, hours=hours, seed=3, modalities=("heart_rate", "activity"))
    data, setting = "simulated human", "heart rate and activity"
    score = partial(run_stager, recordings=nights, data=data, rng=rng)
    stager = load_stager("lightgbm-wearable")
    moved = []
    for night in nights:
        whole, cut = stager.stage(night, {}), replace(stager.stage(cut_start(night), {}), start=CUT)
        moved.append(score_later(night, cut) - score_later(night, whole))
    return [
        *score("lightgbm-wearable", setting=setting, n_stages=5),
        *score("lightgbm-wearable", setting=f"{setting}, 3 stages", n_stages=3),
        *score("lightgbm-wearable", setting=f"{setting}, wake or sleep", n_stages=2),
        *score("hmm", setting=f"{setting}, wake or sleep", n_stages=2),
        estimate_row(data, f"{setting}, first two hours cut off", "lightgbm-wearable", "kappa_cut", moved, rng=rng),
    ]


def _cross_validate(
    name: str,
    recordings: Sequence[Recording],
    nights: Sequence[StagedFeatures],
    *,
    seeds: int,
    temperature: float,
    rng: np.random.Generator,
) -> list[Row]:
    tables, stages = [night.table for night in nights], [night.stages for night in nights]
    scored = []
    for seed in range(seeds):
        raw = cross_validate(tables, stages, recipe=RECIPES[name], rng=np.random.default_rng(seed))
        for recording, probabilities in zip(recordings, raw, strict=True):
            scored.append(compare(recording, to_hypnogram(soften(probabilities, temperature), scorer=name)))
    return _at_both_depths(scored, COHORTS[LEARNED[name][0]], "cross-validated by subject", name, rng)


def _split(pairs: list[tuple[StagedFeatures, Recording]], others: list[StagedFeatures], seed: int) -> list[Fold]:
    return leave_out(pairs, others, n_folds=N_FOLDS, seed=seed)


def _train_elsewhere(
    pairs: list[tuple[StagedFeatures, Recording]], others: list[StagedFeatures], seed: int
) -> list[Fold]:
    return [(others, pairs)]


def _to_night(recording: Recording, name: str) -> StagedFeatures:
    assert recording.hypnogram is not None  # every recording of the benchmark has one
    table = TABLES[name](recording).iloc[: len(recording.hypnogram)]
    stages = np.asarray(recording.hypnogram.stages[: len(table)], dtype=int)
    return StagedFeatures(recording.subject, table, LEARNED[name][1], stages)


def _at_both_depths(scored: list[Scored], data: str, setting: str, method: str, rng: np.random.Generator) -> list[Row]:
    rows = summarise(scored, n_stages=5, data=data, setting=setting, method=method, rng=rng)
    return rows + summarise(scored, n_stages=3, data=data, setting=f"{setting}, 3 stages", method=method, rng=rng)
