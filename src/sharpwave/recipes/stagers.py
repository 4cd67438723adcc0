"""How the shipped weights are made: `sharpwave benchmark staging --train`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.recipes.interval_calibration import measure_experts
from sharpwave.recordings.datasets import find_dataset, list_subjects, load_dataset
from sharpwave.recordings.recording import Recording
from sharpwave.staging.boosted import (
    RECIPES,
    Recipe,
    compute_prior,
    fit_booster,
    predict_probabilities,
    soften,
)
from sharpwave.staging.heart_stager import compute_heart_table
from sharpwave.staging.lightgbm_stagers import compute_lfp_table, compute_wearable_table
from sharpwave.staging.weights import FOLDER, save_json, save_weights

TABLES: dict[str, Callable[[Recording], pd.DataFrame]] = {
    "lightgbm-wearable": compute_wearable_table,
    "lightgbm-lfp": compute_lfp_table,
    "lightgbm-heart": compute_heart_table,
}
N_FOLDS = 5
_TEMPERATURES = np.linspace(0.8, 4.0, 33)


def train_stagers(data_root: Path | None, rng: np.random.Generator, *, folder: Path = FOLDER) -> None:
    """Count the experts' transitions, measure their spread and fit every learned stager; writes text and JSON.

    Args:
        data_root: Folder of data sets.
        rng: Seeds folds and subsampling.
        folder: Folder to write into.
    """
    save_json("dod_transitions", count_transitions(data_root), folder=folder)
    save_json("scorer_spread", measure_experts(data_root, rng), folder=folder)
    for name in RECIPES:
        booster, card = train_stager(name, data_root, rng)
        save_weights(name, booster, card, folder=folder)


def count_transitions(data_root: Path | None) -> dict[str, Any]:
    """Transitions between the stages of consecutive 30 s epochs, over all scorers and nights of DOD."""
    counts = np.zeros((5, 5))
    nights = list_subjects("dod", data_root)
    for night in nights:
        for scorer in load_dataset(f"dod/{night}", data_root).metadata["scorers"].values():
            now, following = scorer.stages[:-1], scorer.stages[1:]
            both = (now >= 0) & (following >= 0)
            np.add.at(counts, (now[both], following[both]), 1)
    table = counts / counts.sum(axis=1, keepdims=True)
    return {
        "stages": ["W", "N1", "N2", "N3", "R"],
        "transitions": np.round(table, 5).tolist(),
        "nights": len(nights),
        "source": find_dataset("dod").source,
    }


def train_stager(name: str, data_root: Path | None, rng: np.random.Generator) -> tuple[Any, dict[str, Any]]:
    """One learned stager fitted on all subjects of its cohort, its temperature on held-out ones.

    Returns:
        The booster, and its card: training subjects, prior, temperature.
    """
    recipe = RECIPES[name]
    subjects, tables, stages = load_tables(name, data_root)
    held_out = cross_validate(tables, stages, recipe=recipe, rng=rng, subjects=subjects)
    temperature = fit_temperature(held_out, stages)
    booster = fit_booster(tables, stages, recipe=recipe, rng=rng)
    return booster, {
        "stager": name,
        "cohort": recipe.cohort,
        "source": find_dataset(recipe.cohort).source,
        "licence": find_dataset(recipe.cohort).licence,
        "training_subjects": sorted(set(subjects)),
        "features": list(tables[0].columns),
        "prior": np.round(compute_prior(stages, balance=recipe.balance, n_stages=recipe.n_stages), 5).tolist(),
        "temperature": round(temperature, 3),
        "cross_validated_kappa": round(float(np.mean(_kappas(held_out, stages))), 4),
    }


def load_tables(name: str, data_root: Path | None) -> tuple[list[str], list[pd.DataFrame], list[np.ndarray]]:
    """Subject, features and stages of each recording of a learned stager's cohort."""
    cohort = RECIPES[name].cohort
    subjects, tables, stages = [], [], []
    for one in list_subjects(cohort, data_root):
        recording = load_dataset(f"{cohort}/{one}", data_root)
        assert recording.hypnogram is not None  # these cohorts are staged
        table = TABLES[name](recording).iloc[: len(recording.hypnogram)]
        truth = recording.hypnogram.merge(RECIPES[name].n_stages)
        subjects.append(recording.subject)
        tables.append(table)
        stages.append(np.asarray(truth.stages[: len(table)], dtype=int))
    return subjects, tables, stages


def cross_validate(
    tables: Sequence[pd.DataFrame],
    stages: Sequence[np.ndarray],
    *,
    recipe: Recipe,
    rng: np.random.Generator,
    subjects: Sequence[str] | None = None,
) -> list[Float[np.ndarray, "epoch stage"]]:
    """Probabilities of each night by a booster that never saw its subject, before any temperature.

    Args:
        tables: Features with context, one table a night.
        stages: Stage codes of the same epochs, -1 where unscored.
        recipe: Recipe of the fits.
        rng: Draws the folds, and seeds the subsampling.
        subjects: Who each night is of; by default every night is of another.
    """
    names = list(dict.fromkeys(map(str, range(len(tables)) if subjects is None else subjects)))
    whose = [names.index(str(one)) for one in (range(len(tables)) if subjects is None else subjects)]
    order = rng.permutation(len(names))
    held_out: list[np.ndarray] = [np.empty((0, recipe.n_stages))] * len(tables)
    for fold in range(min(N_FOLDS, len(names))):
        out = set(order[fold::N_FOLDS].tolist())
        test = [index for index, one in enumerate(whose) if one in out]
        train = [index for index, one in enumerate(whose) if one not in out]
        prior = compute_prior([stages[index] for index in train], balance=recipe.balance, n_stages=recipe.n_stages)
        booster = fit_booster([tables[i] for i in train], [stages[i] for i in train], recipe=recipe, rng=rng)
        for index in test:
            held_out[index] = predict_probabilities(booster, tables[index], recipe=recipe, prior=prior, temperature=1.0)
    return held_out


def fit_temperature(probabilities: Sequence[np.ndarray], stages: Sequence[np.ndarray]) -> float:
    """The temperature with the smallest log-loss over all scored epochs."""
    found, truth = np.concatenate(probabilities), np.concatenate(stages)
    keep = (truth >= 0) & np.isfinite(found).all(axis=1)
    found, truth = found[keep], truth[keep]
    losses = [-np.log(soften(found, t)[np.arange(len(truth)), truth]).mean() for t in _TEMPERATURES]
    return float(_TEMPERATURES[int(np.argmin(losses))])


def _kappas(probabilities: Sequence[np.ndarray], stages: Sequence[np.ndarray]) -> list[float]:
    scored = [np.where(np.isfinite(p).all(axis=1), np.nan_to_num(p).argmax(axis=1), -1) for p in probabilities]
    n_stages = probabilities[0].shape[1]
    return [compute_kappa(compute_confusion(y, q, n_stages=n_stages)) for y, q in zip(stages, scored, strict=True)]
