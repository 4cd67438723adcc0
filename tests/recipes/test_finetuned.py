from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_recording

from sharpwave.brainmu import collate
from sharpwave.brainmu.training.crops import StoredEpochs, store_epochs
from sharpwave.errors import SharpwaveError
from sharpwave.recipes import finetuned
from sharpwave.recipes.finetuned import (
    Prediction,
    compare_models,
    compute_change_rate,
    find_settings,
    predict_night,
    score_subjects,
)


@pytest.fixture
def nights(tmp_path: Path) -> list[StoredEpochs]:
    return [store_epochs(make_recording(seed), tmp_path / f"night{seed}") for seed in range(3)]


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return make_model(modalities=["stages", "heart_rate"]).eval()


@torch.no_grad()
def test_a_night_in_pieces_is_predicted_as_in_one(
    nights: list[StoredEpochs], model: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetuned, "PIECE", 17)
    found = predict_night(model, nights[0])
    whole = model(collate([nights[0].restrict(0, len(nights[0]))])).readout
    np.testing.assert_allclose(found.change, whole.change[0, :, 0].sigmoid().numpy(), atol=1e-5)
    np.testing.assert_array_equal(found.stage, whole.stage[0].argmax(dim=1).numpy())


def test_signal_only_does_not_see_the_stages(
    nights: list[StoredEpochs], model: torch.nn.Module, tmp_path: Path
) -> None:
    recording = make_recording(0)
    assert recording.hypnogram is not None
    other = replace(recording, hypnogram=replace(recording.hypnogram, stages=np.roll(recording.hypnogram.stages, 33)))
    changed = store_epochs(other, tmp_path / "other")
    one, two = (predict_night(model, night, without=["stages"]) for night in (nights[0], changed))
    np.testing.assert_array_equal(one.change, two.change)
    assert np.abs(predict_night(model, nights[0]).change - predict_night(model, changed).change).max() > 1e-4


def test_a_forecast_that_knows_scores_fully_and_a_constant_scores_the_prevalence(nights: list[StoredEpochs]) -> None:
    stages = [night.restrict(0, len(night)).stages for night in nights]
    knows = [Prediction(s, s, np.append(s[1:] != s[:-1], False).astype(float), 5) for s in stages]
    constant = [Prediction(s, s, np.full(len(s), 0.1), 5) for s in stages]
    for score in score_subjects(knows, nights, staging=True):
        assert score["auprc_change"] == pytest.approx(1)
        assert score["kappa"] == pytest.approx(1)
    for score, s in zip(score_subjects(constant, nights, staging=False), stages, strict=True):
        assert score["auprc_change"] == pytest.approx((s[1:] != s[:-1]).mean())


def test_the_rate_of_changes_by_hand(nights: list[StoredEpochs]) -> None:
    stages = [night.restrict(0, len(night)).stages for night in nights]
    assert compute_change_rate(nights) == pytest.approx(np.mean([s[1:] != s[:-1] for s in stages]))


def test_a_model_is_no_better_than_itself(nights: list[StoredEpochs], model: torch.nn.Module) -> None:
    rows = compare_models(
        {"before": model, "after": model}, nights[:2], learned=nights[2:], rng=np.random.default_rng(0)
    )
    differences = [row["value"] for row in rows if row["method"] == "after less before"]
    assert len(differences) == 5
    assert differences == pytest.approx([0.0] * 5)


def test_settings_follow_from_nights_and_model(nights: list[StoredEpochs], model: torch.nn.Module) -> None:
    assert find_settings(model, nights) == ["observed", "signal-only"]
    assert find_settings(make_model(), nights) == ["signal-only"]
    assert find_settings(make_model(modalities=["stages"]), nights) == ["observed"]


def test_nights_without_stages_are_refused(model: torch.nn.Module, tmp_path: Path) -> None:
    night = store_epochs(replace(make_recording(0), hypnogram=None), tmp_path / "night")
    with pytest.raises(SharpwaveError, match="scored nights to learn from; got none"):
        compare_models({"before": model}, [night], learned=[night], rng=np.random.default_rng(0))
