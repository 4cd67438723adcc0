"""Does an explanation name what mattered? Occlude it, and as much at random, and see which moves the forecast more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.explanation.attribution import ATTRIBUTIONS, get_attribution
from sharpwave.brainmu.explanation.explanation import choose_forecasts
from sharpwave.brainmu.explanation.occlusion import Context, RecordingPass, forecast_without, pass_over_night
from sharpwave.brainmu.model import BrainMu
from sharpwave.evaluation.intervals import bootstrap_mean

SHARES = (0.05, 0.1, 0.2, 0.4)
"""SamplingWeights of the tokens of the last ten minutes that are occluded."""
UNSIGNED = ("attention", "recency")
"""Attributions that say where, and not whether for or against."""
SHUFFLED = "shuffled"
"""Name of a method whose numbers are those of "spans" in random order: the null."""


def compare_occlusion(
    model: BrainMu,
    pieces: Sequence[EpochedRecording],
    *,
    rng: np.random.Generator,
    methods: Sequence[str] = (*ATTRIBUTIONS, SHUFFLED),
    shares: Sequence[float] = SHARES,
    n_forecasts: int = 12,
    n_random: int = 10,
    horizon: int = 0,
) -> pd.DataFrame:
    """Occlusion curves of each attribution beside random occlusion of as many tokens of the same forecasts.

    Half of the forecasts are the surest of a change, half are anywhere. The effect is how far the log-odds of a change
    move towards the night's median: down for a forecast above it, up for one below.

    Args:
        model: The model, in evaluation mode.
        pieces: Nights that the model was not trained on.
        rng: Random generator.
        methods: Keys of `ATTRIBUTIONS`, or "shuffled".
        shares: Shares of the tokens, occluded from the most named on.
        n_forecasts: Forecasts per night.
        n_random: Random occlusions per forecast.
        horizon: Index among the model's horizons.

    Returns:
        One row a method and share: method, share, named and random (mean effect in log-odds over nights), difference,
        low and high (95 %, bootstrap over nights), n (nights).
    """
    for method in methods:
        if method != SHUFFLED:
            get_attribution(method)
    measure = partial(
        _measure_night,
        model,
        methods=methods,
        shares=shares,
        n_forecasts=n_forecasts,
        n_random=n_random,
        horizon=horizon,
    )
    curves = [measure(piece, rng=rng) for piece in pieces]
    chance = np.array([by_chance for _, by_chance in curves])
    rows = []
    for place, method in enumerate(methods):
        named = np.array([named[place] for named, _ in curves])
        for index, share in enumerate(shares):
            ours, theirs = named[:, index], chance[:, index]
            estimate = bootstrap_mean((ours - theirs).tolist(), rng=rng)
            rows.append(
                {"method": method, "share": share, "named": ours.mean(), "random": theirs.mean()}
                | {"difference": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
            )
    return pd.DataFrame(rows)


def _measure_night(
    model: BrainMu,
    piece: EpochedRecording,
    *,
    rng: np.random.Generator,
    methods: Sequence[str],
    shares: Sequence[float],
    n_forecasts: int,
    n_random: int,
    horizon: int,
) -> tuple[Float[np.ndarray, "method share"], Float[np.ndarray, " share"]]:
    """Mean effect over the forecasts of a night of occluding what each method names, and as much at random."""
    night = pass_over_night(model, piece)
    effects = []
    for context, sign in _choose_contexts(night, piece, n_forecasts, horizon, rng):
        logit = float(night.readout.change[0, context.step, horizon])
        there = np.flatnonzero(context.present.ravel())
        counts = np.maximum(1, np.round(np.array(shares) * len(there))).astype(int)
        orders = [rng.permutation(there) for _ in range(n_random)]
        orders += _rank_tokens(model, night, context, sign, methods=methods, horizon=horizon, rng=rng)
        occlusions = np.concatenate([_occlude_first(order, counts, context) for order in orders])
        moved = sign * (logit - forecast_without(model, context, occlusions, horizon=horizon))
        effects.append(moved.reshape(len(orders), len(counts)))
    by_chance = np.mean([effect[:n_random].mean(axis=0) for effect in effects], axis=0)
    return np.mean([effect[n_random:] for effect in effects], axis=0), by_chance


def _rank_tokens(
    model: BrainMu,
    night: RecordingPass,
    context: Context,
    sign: float,
    *,
    methods: Sequence[str],
    horizon: int,
    rng: np.random.Generator,
) -> list[Int[np.ndarray, " token"]]:
    """The tokens that are there in the order in which each method names them."""
    there = np.flatnonzero(context.present.ravel())
    found: dict[str, np.ndarray] = {}
    orders = []
    for method in methods:
        source = "spans" if method == SHUFFLED else method
        if source not in found:
            found[source] = get_attribution(source)(model, night, context.step, horizon=horizon)
        values = found[source].ravel()[there] * (1 if method in UNSIGNED else sign)
        values = rng.permutation(values) if method == SHUFFLED else values
        orders.append(there[np.argsort(-values, kind="stable")])
    return orders


def _choose_contexts(
    night: RecordingPass, piece: EpochedRecording, n: int, horizon: int, rng: np.random.Generator
) -> Iterator[tuple[Context, float]]:
    """Contexts of the surest forecasts and of others, and the side of the median on which each lies."""
    logits = night.readout.change[0, :, horizon].double().numpy()
    sure = choose_forecasts(logits, n // 2, step=piece.grid.step)
    others = np.setdiff1d(np.arange(len(logits) // 10, len(logits)), sure)
    steps = [*sure, *rng.choice(others, min(n - len(sure), len(others)), replace=False).tolist()]
    middle = float(np.median(logits))
    for step in steps:
        yield night.open(step), 1.0 if logits[step] >= middle else -1.0


def _occlude_first(
    order: Int[np.ndarray, " token"], counts: Int[np.ndarray, " share"], context: Context
) -> Bool[np.ndarray, "share modality step"]:
    out = np.zeros((len(counts), context.present.size), dtype=bool)
    for row, count in enumerate(counts.tolist()):
        out[row, order[:count]] = True
    return out.reshape(len(counts), *context.present.shape)
