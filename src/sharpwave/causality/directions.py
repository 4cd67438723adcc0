"""The reverse direction: does depth now change the rate of reactivation next? And lagged dependence in both directions.

P(reactivation in second t) = 1 - exp(-exp(b · depth(t) + covariates)), with the depth (dB) of the windows that lie
wholly before t, beside that of the 32 s before these. exp(b) is the ratio of rates per dB. Reactivations of the last
minute, by content, are among the covariates, so that what reactivation did to depth is not read backwards.

`compute_granger` takes both directions alike (Granger 1969), pooled over nights; `compute_pcmci` is a comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.causality.design import (
    choose_onsets,
    compute_columns,
    compute_covariates,
    compute_own_columns,
    count_events,
    count_past,
    find_period,
)
from sharpwave.causality.hazards import fit_cloglog, split_blocks
from sharpwave.causality.intervals import Interval, compute_jackknife, split_units
from sharpwave.causality.series import NightSeries
from sharpwave.errors import SharpwaveError

LOOK_BACK = (10, 30, 60)
"""Seconds in which past reactivations are counted."""

BIN = 10
"""Seconds of a step: longer than the windows of depth, shorter than half an infraslow cycle."""


@dataclass(frozen=True)
class ReverseEffect:
    """Effect of depth on the rate of reactivation.

    Attributes:
        log_ratio: Log ratio of rates per dB, with its interval.
        rate: Reactivations a minute of the seconds at risk.
        n_events: Reactivations.
    """

    log_ratio: Interval
    rate: float
    n_events: int


def estimate_reverse(
    nights: Sequence[NightSeries],
    *,
    content: str | None = None,
    stages: Sequence[int] | None = None,
    period: str = "any",
) -> ReverseEffect | None:
    """Ratio of the rate of reactivation per dB of depth just before.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        content: Name of the content whose reactivations are looked at; all contents together by default.
        stages: Codes of the stages that are looked at; all NREM stages by default.
        period: Part of each night's sleep: "any" (all of it, the default), "early" or "late" half.

    Returns:
        The effect, or None with fewer than two reactivations.
    """
    stages = nights[0].nrem if stages is None else stages
    contents = sorted({name for series in nights for name in series.contents})
    rows = [_compute_rows(series, content, contents, stages, period) for series in nights]
    blocks = split_blocks([row for row in rows if len(row[2])])
    events = int(sum(block.outcome.sum() for block in blocks))
    if events < 2:
        return None
    fit = fit_cloglog(blocks, n_effects=1)
    seconds = sum(len(block.outcome) for block in blocks)
    return ReverseEffect(
        compute_jackknife(float(fit.coefficients[0]), fit.without[:, 0]), 60 * events / seconds, events
    )


def _compute_rows(
    series: NightSeries, content: str | None, contents: Sequence[str], stages: Sequence[int], period: str
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, "row own"], np.ndarray, np.ndarray]:
    covariates = compute_covariates(series, horizon=LOOK_BACK[1])
    at_risk = np.isin(series.stage, stages) & series.usable & find_period(series, period)
    index = np.flatnonzero(at_risk & np.isfinite(covariates.depth) & np.isfinite(covariates.before))
    depth = np.column_stack([covariates.depth, covariates.before])[index]
    past = [
        count_past(count_events(series, choose_onsets(series, name)), seconds)[index]
        for name in contents
        for seconds in LOOK_BACK
    ]
    shared = np.hstack(
        [depth - depth.mean(axis=0), np.column_stack(past), compute_columns(series, covariates, index, stages)]
    )
    outcome = np.minimum(count_events(series, choose_onsets(series, content))[index], 1.0)
    return shared, compute_own_columns(series, index), outcome, series.time[index]


def compute_granger(nights: Sequence[NightSeries], *, content: str | None = None, n_lags: int = 3) -> pd.DataFrame:
    """Does the past of one series tell the next step of the other beyond the other's own past?

    y_t = Σ_k a_k y_(t-k) + Σ_k b_k x_(t-k) + night, within runs of NREM sleep; the estimate is Σ_k b_k, its interval
    from leaving out nights. Where candidate events are known their past counts are among the regressors, which takes
    out what drives all of them.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        content: Name of the content whose reactivations are looked at; all contents together by default.
        n_lags: Number of lags of `BIN` s; 3 by default.

    Returns:
        One row a direction: direction ("forward": reactivation to depth; "reverse"), value (dB per reactivation, or
        reactivations per dB), low, high, p, n (steps).
    """
    binned = [_bin(series, content) for series in nights]
    rows = []
    for direction, target, source in (("forward", 1, 0), ("reverse", 0, 1)):
        tables = [_lag(*night, target=target, source=source, n_lags=n_lags) for night in binned]
        units = split_units([time for _, _, time in tables])
        x, y = np.concatenate([table[0] for table in tables]), np.concatenate([table[1] for table in tables])
        moments = [(x[units == u].T @ x[units == u], x[units == u].T @ y[units == u]) for u in np.unique(units)]
        total, right = sum(m for m, _ in moments), sum(v for _, v in moments)
        interval = compute_jackknife(
            _sum_of_sources(total, right, n_lags),
            np.array([_sum_of_sources(total - m, right - v, n_lags) for m, v in moments]),
        )
        rows.append(
            {"direction": direction, "value": interval.value, "low": interval.low, "high": interval.high}
            | {"p": interval.p, "n": len(y)}
        )
    return pd.DataFrame(rows)


def compute_pcmci(
    nights: Sequence[NightSeries], *, content: str | None = None, n_lags: int = 3, alpha: float = 0.05
) -> pd.DataFrame:
    """Links that PCMCI+ finds among reactivation, depth and infraslow phase (Runge 2020), nights pooled: a comparison.

    Uses tigramite, which is GPL-3 and is neither a dependency of sharpwave nor imported unless this is called.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        content: Name of the content whose reactivations are looked at; all contents together by default.
        n_lags: Number of lags of `BIN` s; 3 by default.
        alpha: Level of the tests; .05 by default.

    Returns:
        One row a link found: source, target, lag (steps of `BIN` s), value (partial correlation), p.

    Raises:
        SharpwaveError: If tigramite is not installed.
    """
    try:
        from tigramite.data_processing import DataFrame
        from tigramite.independence_tests.parcorr import ParCorr
        from tigramite.pcmci import PCMCI
    except ImportError as error:
        raise SharpwaveError(
            "the package 'tigramite'",
            got="it is not installed",
            fix="pip install tigramite, if its licence (GPL-3) suits you; compute_granger needs nothing",
        ) from error
    names = ["reactivation", "depth", "cosine", "sine"]
    data, mask = {}, {}
    for night, series in enumerate(nights):
        values, asleep, _ = _bin(series, content)
        data[night] = values[:, : len(names)]
        mask[night] = np.repeat(~asleep[:, None], len(names), axis=1)
    frame = DataFrame(data, mask=mask, analysis_mode="multiple", var_names=names)
    found = PCMCI(frame, ParCorr(mask_type="y"), verbosity=0).run_pcmciplus(tau_min=0, tau_max=n_lags, pc_alpha=alpha)
    links: list[dict[str, Any]] = [
        {"source": names[i], "target": names[j], "lag": lag, "value": found["val_matrix"][i, j, lag]}
        | {"p": found["p_matrix"][i, j, lag]}
        for i, j, lag in np.argwhere(found["graph"] == "-->").tolist()
    ]
    return pd.DataFrame(links, columns=["source", "target", "lag", "value", "p"])


def _bin(
    series: NightSeries, content: str | None
) -> tuple[Float[np.ndarray, "step series"], Bool[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Reactivations, depth, infraslow cosine and sine, and candidates, in steps; whether all of a step is NREM."""
    n = len(series.time) // BIN
    phase = np.zeros(len(series.time)) if series.infraslow is None else series.infraslow
    known = np.isfinite(series.depth) & series.usable
    candidates = np.empty(0) if series.candidates is None else series.candidates
    tracks = (
        count_events(series, choose_onsets(series, content)) * BIN,
        np.where(known, series.depth, 0.0),
        np.cos(phase),
        np.sin(phase),
        count_events(series, candidates) * BIN,
    )
    values = np.column_stack([track[: n * BIN].reshape(n, BIN).mean(axis=1) for track in tracks])
    asleep = (np.isin(series.stage, series.nrem) & known)[: n * BIN].reshape(n, BIN).all(axis=1)
    return values, asleep, series.time[: n * BIN : BIN]


def _lag(
    values: Float[np.ndarray, "step series"],
    asleep: Bool[np.ndarray, " step"],
    time: Float[np.ndarray, " step"],
    *,
    target: int,
    source: int,
    n_lags: int,
) -> tuple[Float[np.ndarray, "row column"], Float[np.ndarray, " row"], Float[np.ndarray, " row"]]:
    """Regressors (the source's lags first) and target, without the night's mean, where all lags lie in sleep."""
    index = np.arange(n_lags, len(values))
    index = index[np.all([asleep[index - k] for k in range(n_lags + 1)], axis=0)]
    if not len(index):
        return np.empty((0, 5 * n_lags)), np.empty(0), np.empty(0)
    order = [source, target, 2, 3, 4]
    x = np.column_stack([values[index - k, column] for column in order for k in range(1, n_lags + 1)])
    y = values[index, target]
    return x - x.mean(axis=0), y - y.mean(), time[index]


def _sum_of_sources(total: np.ndarray, right: np.ndarray, n_lags: int) -> float:
    return float(np.linalg.solve(total + 1e-6 * np.eye(len(total)), right)[:n_lags].sum())
