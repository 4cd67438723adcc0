"""Return after six shocks, on images that nothing was tuned on too, and what sleep adds to replay part by part."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.consolidation import NREM, Homeostasis
from sharpwave.demonstrations.recovery import CHECKED, NO_TRAINING, Remedy, make_remedies, recover_network
from sharpwave.demonstrations.shocks import SHOCKS
from sharpwave.demonstrations.streams import ImageSet, Stream
from sharpwave.demonstrations.training_runs import PLAIN, TrainingRun
from sharpwave.resilience.recovery import Recovery, summarise_recoveries

NREM_ONLY = "sleep, NREM only"
ARMS = (PLAIN, NREM_ONLY, CHECKED, "wake")
"""Remedies on images that nothing was tuned on."""
PAIRS = {
    NREM_ONLY: ("wake", PLAIN, NO_TRAINING),
    CHECKED: ("wake", PLAIN, NREM_ONLY),
    "sleep, NREM and REM": ("wake", PLAIN, NREM_ONLY, "sleep, REM only"),
    "sleep, REM only": ("wake", PLAIN),
    PLAIN: ("wake",),
}
"""Remedies, and those that each is compared with, paired by seed."""
DIFFERENCES = ("recovered_fraction", "recovered_without_twin", "half_step", "final_accuracy")
"""Metrics whose differences after a shock are kept; others follow from the values of both, given seed by seed."""
PARTS_SHOCKS = ("weight_noise", "lesion")
"""Shocks for the parts of sleep."""
N_RESAMPLES = 300
"""Of seeds and test items, for the time of return."""

Values = dict[str, dict[str, list[float]]]
"""Metric → method → one value per seed."""
Train = Callable[[str], Sequence[tuple[TrainingRun, Stream]]]
"""Runs, each with its stream, of a network that is a key of `networks.MODELS`."""


def make_parts(batch: int) -> dict[str, Remedy]:
    """Remedies from plain replay to a night, one part of sleep at a time added to plain replay.

    Args:
        batch: New items per wake step; replay takes three times as many.
    """
    plain: dict[str, Any] = {"distillation": 0.0, "clip": None, "centre": False, "anneal": False}
    size = 3 * batch

    def night(**changes: Any) -> Remedy:
        return Remedy(options={"nrem": NREM(batch_size=size, **(plain | changes))})

    return {
        PLAIN: make_remedies(batch)[PLAIN],
        "plain replay, rate falls": night(anneal=True),
        "plain replay, distilled": night(distillation=0.5),
        "plain replay, steps limited": night(clip=0.05, centre=True),
        NREM_ONLY: Remedy(options={"nrem": NREM(batch_size=size)}),
        "sleep, NREM and regrowth": Remedy(
            options={"nrem": NREM(batch_size=size), "homeostasis": Homeostasis(prune=0.1, regrow=1.0)}
        ),
    }


def compare_shocks(
    images: ImageSet,
    name: str,
    train: Train,
    *,
    remedies: Mapping[str, Remedy],
    rng: np.random.Generator,
    shocks: Sequence[str] = tuple(SHOCKS),
    setting: str = "after",
    **options: Any,
) -> list[Row]:
    """Rows of recovery with each remedy after each shock, and of its differences, paired by seed.

    Args:
        images: Images that the stream was made from.
        name: Name of the stream.
        train: Runs and streams of a network, by its name.
        remedies: Remedies by name.
        rng: Random generator of the intervals.
        shocks: Keys of `shocks.SHOCKS`.
        setting: Word before the shock in the setting; default "after".
        options: Options of `recover_network`.
    """
    rows: list[Row] = []
    for shock in shocks:
        found: Values = {}
        backs: dict[str, list[Recovery]] = {}
        for remedy, what in remedies.items():
            for run, stream in train(SHOCKS[shock].model):
                back = recover_network(run, stream, what, shock=shock, seed=run.seed, **options)
                backs.setdefault(remedy, []).append(back)
                for metric, value in _describe(back).items():
                    found.setdefault(metric, {}).setdefault(remedy, []).append(value)
        place = f"{name}, {setting} {shock.replace('_', ' ')}"
        rows += [
            estimate_row(images.name, place, remedy, metric, values, rng=rng)
            for metric, mine in found.items()
            for remedy, values in mine.items()
        ]
        rows += _estimate_return(images.name, place, backs, rng=rng)
        for remedy in remedies:
            others = PAIRS.get(remedy, ()) if setting == "after" else (PLAIN,) if remedy != PLAIN else ()
            for other in (each for each in others if each in remedies):
                rows += [
                    estimate_row(
                        images.name,
                        f"{place}, minus {other}",
                        remedy,
                        metric,
                        np.subtract(mine[remedy], mine[other]).tolist(),
                        rng=rng,
                    )
                    for metric, mine in found.items()
                ]
    return leave_out_differences(rows)


def leave_out_differences(rows: Sequence[Row]) -> list[Row]:
    """The rows without differences after a shock in other metrics than `DIFFERENCES`.

    Args:
        rows: Rows of the benchmark.

    >>> rows = [Row("digits", "split, after lesion, minus wake", "sleep", name, 0.0) for name in ("half_step", "shock")]
    >>> [row.metric for row in leave_out_differences(rows)]
    ['half_step']
    """

    def is_left_out(row: Row) -> bool:
        return ", after " in row.setting and ", minus " in row.setting and row.metric not in DIFFERENCES

    return [row for row in rows if not is_left_out(row)]


def _describe(back: Recovery) -> dict[str, float]:
    nan = float("nan")
    return {
        "recovered_fraction": back.fraction,
        "recovered_without_twin": back.fraction_alone,
        "recovery_area": back.area,
        "half_step": (float(back.steps[-1]) if back.is_never else back.half_step) if back.is_known else nan,
        "half_reached": float(not back.is_never) if back.is_known else nan,
        "returned": back.returned,
        "twin_change": back.twin_change,
        "residual_deficit": back.residual,
        "shock": back.shock,
        "final_accuracy": float(back.perturbed[-1]),
    }


def _estimate_return(
    data: str, setting: str, backs: Mapping[str, Sequence[Recovery]], *, rng: np.random.Generator
) -> list[Row]:
    """Restricted mean time of return, and the share that never returned, with intervals over seeds and test items."""
    rows = []
    for remedy, mine in backs.items():
        summary = summarise_recoveries(mine, rng=rng, n_resamples=N_RESAMPLES)
        for name, metric in (("half_step", "half_step_over_items"), ("never", "never")):
            if name in summary.values:
                rows.append(Row(data, setting, remedy, metric, *summary.values[name], n=summary.n))
    return rows
