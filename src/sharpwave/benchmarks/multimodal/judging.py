"""Trained models on held-out nights."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sharpwave.benchmarks.multimodal.learning import find_stages, forecast
from sharpwave.benchmarks.multimodal.nights import PairedNight
from sharpwave.benchmarks.multimodal.scores import HORIZON, ChangeScore, StagingScore
from sharpwave.brainmu.model import BrainMu
from sharpwave.forecasting.protocols import compute_base_rate


def judge_forecasts(
    model: BrainMu,
    training: Sequence[PairedNight],
    testing: Sequence[PairedNight],
    *,
    modalities: Collection[str],
    observed: bool | None = None,
) -> ChangeScore:
    """Score forecasts 30 s ahead.

    Args:
        model: Trained.
        training: Gives the base rate above which a probability is an alarm.
        testing: Nights of other subjects.
        modalities: Those that the model is shown.
        observed: Whether the present stage is known; as the stage history is shown where omitted.
    """
    known = "stages" in modalities if observed is None else observed
    said = [forecast(model, paired.windowed.only(modalities), horizon=HORIZON, observed=known) for paired in testing]
    rate = compute_base_rate([paired.night for paired in training], HORIZON)
    return ChangeScore.of([paired.night for paired in testing], said, base_rate=rate, observed=known)


def judge_staging(model: BrainMu, testing: Sequence[PairedNight], *, modalities: Collection[str]) -> StagingScore:
    """Score the stages that the model finds in these modalities, each step from what is known by its end."""
    found = [find_stages(model, paired.windowed.only(modalities)) for paired in testing]
    return StagingScore.of([paired.night for paired in testing], found)
