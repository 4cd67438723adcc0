"""`sharpwave benchmark staging`: every stager and baseline against experts, by subject.

Shipped weights meet only subjects they were not trained on; where all were in training, the figures are
cross-validated by subject. DREAMS is scored every 5 s by its experts: their 30 s stage is the one that holds most.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.evaluation.benchmarks.staging_baselines import BASELINES, StagedNight
from sharpwave.evaluation.benchmarks.staging_cohorts import (
    is_whole,
    load_recordings,
    only_eeg,
    simulate_recordings,
    split_folds,
    take_down,
    to_features,
)
from sharpwave.evaluation.benchmarks.staging_methods import Fold, Rows, compare, run_baselines, run_stager
from sharpwave.evaluation.benchmarks.staging_scores import Scored, summarise
from sharpwave.evaluation.stagers import STAGERS, load_stager
from sharpwave.evaluation.stagers.boosted import RECIPES, soften, to_hypnogram
from sharpwave.evaluation.stagers.training import TABLES, cross_validate, train_stagers
from sharpwave.evaluation.stagers.weights import load_weights, save_json
from sharpwave.recordings.recording import Recording

N_FOLDS = 5
SIMULATED = {"human": (4, 4.0), "mouse": (4, 2.0), "rat": (4, 2.0)}
"""Simulated nights per species, and their hours."""
SIGNALS = {"Walch": "wearable", "PD-LFP": "lfp"}
"""What each data set is staged from; others from EEG, or LFP where the setting says so."""
LEARNED = {"lightgbm-wearable": ("Walch", 2), "lightgbm-lfp": ("PD-LFP", 18)}
"""Learned stagers: what to call their cohort, and how many of their columns are an epoch's own features."""


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], Rows]:
    """Stage every cohort under `data`, and simulated nights.

    Args:
        data: Folder of data sets; `data_root()` where None. Cohorts that are not there are left out.
        seeds: Seeds of whatever is random: folds, initial weights, subsampling.
        train: Train the shipped weights on `data` first, and write what this run finds of each stager beside them.

    Returns:
        What was chosen, and one row per data set, setting, method and metric.
    """
    if train:
        train_stagers(data, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    n_human, hours = SIMULATED["human"]
    rows = run_eeg(data, simulate_recordings("human", n=n_human, hours=hours), seeds=seeds, rng=rng)
    for name in LEARNED:
        rows += run_learned(name, data, seeds=seeds, rng=rng)
    for species in ("mouse", "rat"):
        nights = simulate_recordings(species, n=SIMULATED[species][0], hours=SIMULATED[species][1])
        for method, n_stages in (("rodent", 3), ("hmm", 2)):
            rows += run_stager(
                method, nights, data=f"simulated {species}", setting="EEG and EMG", n_stages=n_stages, rng=rng
            )
    if train:
        save_json("stager_validation", collect_validation(rows))
    config = {
        "seeds": seeds,
        "folds": N_FOLDS,
        "simulated_nights": {species: {"n": n, "hours": length} for species, (n, length) in SIMULATED.items()},
        "unit": "mean over subjects, 95 % bootstrap interval over subjects",
        "macro_f1": "unweighted; classes that occur in the subject's expert or found hypnogram",
        "epochs": "30 s (rodents 10 s); DREAMS' 5 s labels by majority; excerpt 7 left out",
        "trained": train,
    }
    return config, rows


def collect_validation(rows: Rows) -> dict[str, Rows]:
    """The rows that speak for each stager, which it reports with every night it stages."""
    chosen: dict[str, Rows] = {}
    for row in rows:
        if row["method"] in STAGERS and not any(word in row["setting"] for word in ("slow-wave", "3 stages")):
            spoken = {key: value for key, value in row.items() if key != "method"}
            spoken |= {"data": f"{row['data']} ({row['setting']})", "signals": _name_signals(row)}
            chosen.setdefault(row["method"], []).append(spoken)
    return chosen


def _name_signals(row: dict[str, Any]) -> str:
    return SIGNALS.get(row["data"], "lfp" if "LFP" in row["setting"] else "eeg")


def run_eeg(data: Path | None, simulated: Sequence[Recording], *, seeds: int, rng: np.random.Generator) -> Rows:
    """EEG: YASA at full and at low rate, the unsupervised model, and baselines trained on what may be trained on."""
    ucddb, dreams = load_recordings("ucddb", data), load_recordings("dreams", data)
    whole = [recording for recording in ucddb if is_whole(recording)]
    parts = [recording for recording in ucddb if not is_whole(recording)]
    rows: Rows = []
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
    features = {id(recording): to_features(recording) for recording in (*ucddb, *dreams, *simulated)}
    for name, test, training, setting in (
        ("UCDDB", whole, [*parts, *simulated], "whole nights; trained on the parts of others and simulated nights"),
        ("DREAMS", dreams, [*ucddb, *simulated], "30 min excerpts; trained on UCDDB and simulated nights"),
        ("simulated human", simulated[::2], simulated[1::2], "one EEG channel; trained on other simulated nights"),
    ):
        fold: Fold = ([features[id(r)] for r in training], [(features[id(r)], r) for r in test])
        if test and training:
            rows += run_baselines(partial(_use_one_fold, fold=fold), data=name, setting=setting, seeds=seeds, rng=rng)
    return rows


def run_learned(name: str, data: Path | None, *, seeds: int, rng: np.random.Generator) -> Rows:
    """A learned stager on its cohort: as shipped on new subjects, and cross-validated by subject beside baselines."""
    recipe, (cohort, n_own) = RECIPES[name], LEARNED[name]
    recordings = load_recordings(recipe.cohort, data)
    if not recordings:
        return []
    stager, card = load_stager(name), load_weights(name)[1]
    new = [recording for recording in recordings if recording.subject not in card["training_subjects"]]
    rows = _at_both_depths([compare(r, stager.stage(r, {})) for r in new], cohort, "held-out subjects", name, rng)
    if len(recordings) < N_FOLDS:
        return rows
    nights = [_to_night(recording, name, n_own) for recording in recordings]
    tables, stages = [night.table for night in nights], [night.stages for night in nights]
    scored = []
    for seed in range(seeds):
        raw = cross_validate(tables, stages, recipe=recipe, rng=np.random.default_rng(seed))
        for recording, probabilities in zip(recordings, raw, strict=True):
            scored.append(compare(recording, to_hypnogram(soften(probabilities, card["temperature"]), scorer=name)))
    setting = "cross-validated by subject"
    rows += _at_both_depths(scored, cohort, setting, name, rng)

    def split(seed: int) -> list[Fold]:
        tests = split_folds(len(nights), n_folds=N_FOLDS, rng=np.random.default_rng(seed))
        return [
            ([nights[i] for i in range(len(nights)) if i not in test], [(nights[i], recordings[i]) for i in test])
            for test in tests
        ]

    methods = tuple(method for method in BASELINES if method != "lightgbm")  # the stager itself is that
    rows += run_baselines(split, data=cohort, setting=setting, seeds=seeds, rng=rng, methods=methods)
    return rows + run_stager("hmm", recordings, data=cohort, setting="wake or sleep", n_stages=2, rng=rng)


def _use_one_fold(seed: int, *, fold: Fold) -> list[Fold]:
    return [fold]


def _to_night(recording: Recording, name: str, n_own: int) -> StagedNight:
    assert recording.hypnogram is not None  # every recording of the benchmark has one
    table = TABLES[name](recording).iloc[: len(recording.hypnogram)]
    return StagedNight(recording.subject, table, n_own, np.asarray(recording.hypnogram.stages[: len(table)], dtype=int))


def _at_both_depths(scored: list[Scored], data: str, setting: str, method: str, rng: np.random.Generator) -> Rows:
    rows = summarise(scored, n_stages=5, data=data, setting=setting, method=method, rng=rng)
    return rows + summarise(scored, n_stages=3, data=data, setting=f"{setting}, 3 stages", method=method, rng=rng)
