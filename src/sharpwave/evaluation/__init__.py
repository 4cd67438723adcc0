"""Metrics, intervals, events, and the statistics of sleep. Names load when first used."""

from __future__ import annotations

import lazy_loader

from sharpwave import moved

_get, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "events": ["EventScores", "score_events"],
        "intervals": ["Estimate", "bootstrap_difference", "bootstrap_mean"],
    },
)
__getattr__ = moved.rename(
    __name__,
    {
        "Night": "forecasting.cohorts:EpochTable",
        "load_cohort": "forecasting.cohorts:load_cohort",
        "FORECASTERS": "forecasting:FORECASTERS",
        "forecast_night": "forecasting.forecaster:forecast_night",
        "run_benchmark": "benchmarks:run_benchmark",
    },
    otherwise=_get,
)
