"""`sharpwave benchmark multimodal`: forecasts where a transition shows beforehand in several modalities at once.

The nights are simulated; a precursor is planted in EEG, hippocampus and behaviour together.

Each of the three also shows the sign without a transition as often as with one, so that one alone is right about half
of the time. All methods but `cnn` see the stages up to now, and all know the present one. What each sees besides:

- `hmm`, `lstm`, `lightgbm-signals`, `cnn-features` (convolutions over epochs): band power of the EEG, heart rate and
  activity of each 30 s (the usual features);
- `lstm-all`, `lightgbm-all`: means and late means of every modality that Brainµ has (`summarise_windows`);
- `cnn`: Brainµ's own EEG encoder and heads, one step at a time: no attention to the past or to other modalities;
- `brainmu-lite`: everything, trained once with modalities dropped at random; then with some left out at use.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.multimodal.learning import Budget, fit, judge_forecasts, make_model
from sharpwave.benchmarks.multimodal.nights import PRECURSORS, SIMULATED, PairedViews, simulate_paired_nights
from sharpwave.benchmarks.multimodal.scores import HORIZON, ChangeScore, tabulate
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.training.objective import Objective
from sharpwave.forecasting import FORECASTERS
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import compute_base_rate

N_NIGHTS = 36
N_TRAINING = 24
HOURS = 6.0
CONDITIONS = {"precursor on": 1.0, "precursor off": 0.0}
BASELINES = ("persistence", "markov", "semi-markov", "hmm", "lstm", "lightgbm", "lightgbm-signals", "cnn-features")
SUMMARISED = {"lstm-all": "lstm", "lightgbm-all": "lightgbm-signals"}
NAMES = {**SUMMARISED, "cnn-features": "cnn"}
AGAINST = ("hmm", "lstm", "cnn", "cnn-features", "lightgbm-signals", "lightgbm-all")
SUPERVISED = Objective(next_step=0.0, stage=0.3, depth=0.0, drop_modality=0.15, drop_channel=0.0)
CNN = Objective(next_step=0.0, stage=0.3, depth=0.0, drop_modality=0.0, drop_channel=0.0)
ALONE = 1.0
"""Seconds that a token of the CNN looks back: less than a step."""


def run_multimodal(seeds: int, *, hours: float = HOURS, n_nights: int = N_NIGHTS) -> list[Row]:
    """Rows of every method with the precursor on and off, on simulated subjects that none was trained on.

    Args:
        seeds: Seeds of the learners; Brainµ, the CNN and the LSTM run with at most two.
        hours: Length of each night, in h.
        n_nights: Subjects; two in three are trained on.
    """
    rows = []
    for name, precursor in CONDITIONS.items():
        rng = np.random.default_rng(77)
        nights = list(simulate_paired_nights(n_nights, rng=rng, hours=hours, precursor=precursor))
        n_training = round(n_nights * N_TRAINING / N_NIGHTS)
        rows += compare_methods(nights[:n_training], nights[n_training:], name=name, seeds=seeds)
    return rows


def compare_methods(
    training: Sequence[PairedViews],
    testing: Sequence[PairedViews],
    *,
    name: str,
    seeds: int,
    budget: Budget | None = None,
) -> list[Row]:
    """Rows of every method, trained on some nights and tested on others."""
    budget = budget or Budget()
    few = min(seeds, 2)
    runs = {method: [_score_baseline(method, training, testing, seed) for seed in range(1)] for method in BASELINES[:4]}
    for method in (*BASELINES[4:], *SUMMARISED):
        runs[method] = [_score_baseline(method, training, testing, seed) for seed in range(few)]
    runs["cnn"] = [score_cnn(training, testing, budget, seed) for seed in range(few)]
    trained = [score_brainmu(training, testing, budget, seed, leave_out=PRECURSORS) for seed in range(few)]
    for variant in trained[0]:
        runs[variant] = [scores[variant] for scores in trained]
    data = f"simulated multimodal nights, {name}"
    return tabulate(data, "observed, +30 s, held-out subjects", runs, against=AGAINST)


def score_brainmu(
    training: Sequence[PairedViews],
    testing: Sequence[PairedViews],
    budget: Budget,
    seed: int,
    *,
    leave_out: dict[str, tuple[str, ...]],
    objective: Objective = SUPERVISED,
) -> dict[str, ChangeScore]:
    """Brainµ with all modalities, and the same weights with some left out at use."""
    model = make_model(SIMULATED, budget, seed=seed)
    fit(model, [paired.windowed for paired in training], budget, seed=seed, objective=objective)
    scores = {"brainmu-lite": judge_forecasts(model, training, testing, modalities=SIMULATED)}
    for what, names in leave_out.items():
        kept = [name for name in SIMULATED if name not in names]
        scores[f"brainmu-lite without {what}"] = judge_forecasts(model, training, testing, modalities=kept)
    return scores


def score_cnn(
    training: Sequence[PairedViews], testing: Sequence[PairedViews], budget: Budget, seed: int
) -> ChangeScore:
    """The EEG encoder and the heads alone."""
    model = make_model(("eeg",), budget, seed=seed, window=ALONE, n_layers=1)
    fit(model, [paired.windowed.only({"eeg"}) for paired in training], budget, seed=seed, objective=CNN)
    return judge_forecasts(model, training, testing, modalities=("eeg",), observed=True)


def _score_baseline(
    method: str, training: Sequence[PairedViews], testing: Sequence[PairedViews], seed: int
) -> ChangeScore:
    view: Callable[[PairedViews], EpochTable] = (
        PairedViews.summarised if method in SUMMARISED else lambda paired: paired.night
    )
    make = FORECASTERS["observed"][NAMES.get(method, method)]
    learned = make().fit([view(paired) for paired in training], horizon=HORIZON, rng=np.random.default_rng(seed))
    nights = [view(paired) for paired in testing]
    return ChangeScore.of(nights, [learned.predict(night) for night in nights], base_rate=_base_rate(training))


def _base_rate(training: Sequence[PairedViews]) -> float:
    return compute_base_rate([paired.night for paired in training], HORIZON)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Forecast simulated nights 30 s ahead, with the precursor planted and with it switched off.

    Args:
        data: No meaning here: the nights are simulated.
        seeds: Seeds of the learners; at most two are used.
        train: No meaning here: every method is trained on the simulated training nights.
    """
    budget = Budget()
    config = {
        "nights": {"training": N_TRAINING, "tested": N_NIGHTS - N_TRAINING, "hours": HOURS, "stages": "the true ones"},
        "modalities": list(SIMULATED),
        "brainmu-lite": {"updates": budget.steps, "pieces": budget.batch, "steps": budget.piece, **budget.shape},
        "balanced_accuracy_change": "mean of the shares of changes with an alarm and of other epochs without one",
        "balanced_accuracy_destination": "of the epochs whose stage changes: mean share of right destinations by stage",
        "seeds": min(seeds, 2),
        "interval": "95 %, bootstrap over tested subjects, 200 resamples",
    }
    return config, run_multimodal(seeds)
