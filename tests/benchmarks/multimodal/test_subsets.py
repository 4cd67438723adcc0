"""Benchmarks of several modalities: one model for any subset, labels saved, transfer, ablations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.multimodal import ablations, labels, subsets, transfer
from sharpwave.benchmarks.multimodal.learning import Budget, make_model
from sharpwave.benchmarks.multimodal.splits import Split, split_subjects
from sharpwave.benchmarks.rows import Row
from sharpwave.brainmu.epochs import collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.forecasting.brainmu_forecaster import ShippedBrainMu
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast


@pytest.fixture
def split(pair_nights: Callable) -> Split:
    return split_subjects("made-up", pair_nights(6, n_epochs=240, informative=True), rng=np.random.default_rng(0))


def test_subsets_are_all_named_once() -> None:
    names = subsets.name_subsets(("stages", "eeg", "spikes", "heart_rate", "activity"))
    assert len(names) == 7
    assert next(iter(names)) == "stages + electrophysiology + behaviour"
    assert names["electrophysiology + behaviour"] == ("eeg", "spikes", "heart_rate", "activity")
    assert len(subsets.name_subsets(("stages", "heart_rate", "activity"))) == 7


def test_degradation_has_both_methods_on_every_subset(split: Split, tiny: Budget) -> None:
    rows = subsets.degrade(split, replace(tiny, steps=20), seeds=1)
    assert all(isinstance(row, Row) for row in rows)
    values = {(row.setting, row.method): row.value for row in rows if row.metric == "auprc_change"}
    assert {setting for setting, _ in values} == {"stages + features", "stages", "features"}
    for method in ("brainmu-lite", "specialist"):
        assert values["features", method] > values["stages", method] + 0.1
    gains = {row.setting for row in rows if row.metric == "auprc_change_gain_over_specialist"}
    assert len(gains) == 3


def test_the_one_model_takes_the_updates_of_all_specialists(split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[tuple[str, ...], list[int]] = {}

    def count(model: BrainMu, nights: object, budget: Budget, **options: object) -> BrainMu:
        taken.setdefault(tuple(model.config.modalities), []).append(budget.steps)
        return model.eval()

    monkeypatch.setattr(subsets, "fit", count)
    subsets.degrade(split, Budget(steps=7), seeds=1)
    assert taken.pop(split.modalities) == [21, 7]
    assert sorted(taken.items()) == [(("features",), [7]), (("stages",), [7])]


class Shipped:
    """Weights that saw one subject and expect what the epochs' features and stages let them."""

    def fit(self, nights: list[EpochTable], *, horizon: float, rng: np.random.Generator) -> Shipped:
        return self

    def has_seen(self, night: EpochTable) -> bool:
        return night.subject == "s0"

    def predict(self, night: EpochTable) -> Forecast:
        change = np.full(len(night), 0.2 if night.names else 0.1)
        now = carry_stages(night.stages)
        return compose_forecast(now, change, np.full((len(night), 5), 0.2))


def test_shipped_weights_are_scored_by_who_they_saw(make_nights: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subsets, "ShippedBrainMu", Shipped)
    rows = subsets.score_shipped("made-up", make_nights(3, n_epochs=60))
    assert {(row.setting.rsplit(", ", 1)[1], row.n) for row in rows} == {("held out", 2), ("in-sample", 1)}
    shown = {row.setting.split(",")[0] for row in rows}
    assert shown == {"stages + features", "stages", "features"}


def test_without_shipped_weights_there_are_no_rows(
    make_nights: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subsets, "ShippedBrainMu", lambda: ShippedBrainMu(tmp_path))
    assert subsets.score_shipped("made-up", make_nights(2, n_epochs=10)) == []


def test_more_labels_are_not_worse_and_the_match_is_a_share(
    split: Split, tiny: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(labels, "SHARES", (0.02, 1.0))
    rows = labels.compare_labels(split, seeds=1, pretraining=replace(tiny, steps=5), finetuning=tiny)
    assert all(isinstance(row, Row) for row in rows)
    found = {(row.setting, row.method): row.value for row in rows if row.metric == "auprc_change"}
    assert found["100% of labels", "random-init"] > found["2% of labels", "random-init"]
    match = next(row for row in rows if row.metric == "labels_to_match")
    assert match.value in (0.02, 1.0) or np.isnan(match.value)


def test_the_match_is_the_smallest_share_that_is_enough(split: Split) -> None:
    kappas = {"pretrained": (0.1, 0.3, 0.5, 0.6), "random-init": (0.0, 0.1, 0.2, 0.3)}
    rows = [
        Row("made-up", f"{share:.0%} of labels", method, "kappa", value)
        for method, values in kappas.items()
        for share, value in zip(labels.SHARES, values, strict=True)
    ]
    assert labels._find_match(split, rows).value == 0.05
    rows = [replace(row, value=0.9) if row.method == "random-init" else row for row in rows]
    assert np.isnan(labels._find_match(split, rows).value)


def test_transfer_compares_both_starts(split: Split, tiny: Budget, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "FINETUNING", replace(tiny, steps=5))
    starts = [
        {
            name: make_model(split.modalities, tiny, seed=seed)
            for seed, name in enumerate(("from rodents", "random-init"))
        }
    ]
    rows = transfer.compare_start(split, starts, 1.0)
    assert all(isinstance(row, Row) for row in rows)
    assert {row.method for row in rows} == {"from rodents", "random-init"}
    assert {row.setting for row in rows} == {"observed, 100% of labels", "signal-only, 100% of labels"}


def test_rodent_nights_have_three_stages() -> None:
    nights = transfer.simulate_rodents(rng=np.random.default_rng(0), n=1, hours=0.4)
    assert [night.n_stages for night in nights] == [3, 3]
    assert all("stages" in night.epochs and "eeg" in night.epochs for night in nights)


def test_late_fusion_lets_no_modality_see_another(split: Split, tiny: Budget) -> None:
    """With two modalities its latent is the mean of those with one, which cross-modal attention's is not."""
    batch = collate([split.testing[0].windowed.restrict(0, 20)])
    plain = make_model(split.modalities, tiny, seed=0).eval()
    fused = ablations.LateFusion(plain.config).eval()
    fused.load_state_dict(plain.state_dict())
    alone = [replace(batch, modalities={name: part}) for name, part in batch.modalities.items()]
    with torch.no_grad():
        states = torch.stack([plain.align(plain.encode(part))[0][:, -20:] for part in alone])
        wanted = plain.norm(states.mean(dim=0))
        torch.testing.assert_close(fused(batch).latents, wanted)
        assert not torch.allclose(plain(batch).latents, wanted, atol=1e-3)


def test_every_variant_is_scored_with_and_without_modalities(
    pair_nights: Callable, tiny: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablations, "PRECURSORS", {"features": ("features",)})
    split = split_subjects("made-up", pair_nights(3, n_epochs=60), rng=np.random.default_rng(0))
    rows = ablations.compare_variants(split, replace(tiny, steps=2), seeds=1)
    assert all(isinstance(row, Row) for row in rows)
    assert {row.method for row in rows} == set(ablations.OBJECTIVES)
    assert {row.setting for row in rows} == {"all modalities", "without features"}
