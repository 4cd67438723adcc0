from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.night.scores import align, compute_agreement, describe_forecast, score_forecast, summarise_events
from sharpwave.recordings import Hypnogram


def make_night(rng: np.random.Generator, n: int = 600, p_change: float = 0.15) -> Hypnogram:
    stages = np.zeros(n, dtype=np.int8)
    for epoch in range(1, n):
        stages[epoch] = rng.integers(5) if rng.random() < p_change else stages[epoch - 1]
    return Hypnogram(stages)


def make_forecast(night: Hypnogram, p_change: np.ndarray) -> pd.DataFrame:
    prevalence = float((np.diff(night.stages) != 0).mean())
    return pd.DataFrame({"onset": night.onsets, "p_change": p_change, "persistence_p_change": prevalence})


def test_an_expert_agrees_with_itself_and_not_with_noise(rng):
    night = make_night(rng)
    same = compute_agreement(night, night, rng=rng).set_index("metric")
    assert same.loc["kappa", "value"] == pytest.approx(1)
    noise = Hypnogram(rng.integers(0, 5, len(night)).astype(np.int8))
    other = compute_agreement(night, noise, rng=rng).set_index("metric")
    assert other.loc["kappa", "low"] < 0 < other.loc["kappa", "high"]
    assert other.loc["kappa", "n"] == len(night)


def test_agreement_over_different_stages_and_epochs(rng):
    night = make_night(rng)
    fine = Hypnogram(np.repeat(night.stages, 6), 5.0)
    agreement = compute_agreement(night.merge(3), fine, rng=rng).set_index("metric")
    assert agreement.loc["kappa", "value"] == pytest.approx(1)


def test_align_is_unscored_where_the_expert_is_short(rng):
    night = make_night(rng, 10)
    assert align(night.restrict(0, 240), night)[-2:].tolist() == [-1, -1]


def test_a_forecast_that_knows_gains_and_one_that_guesses_does_not(rng):
    night = make_night(rng)
    changes = np.r_[np.diff(night.stages) != 0, False]
    skill, reliability = score_forecast(make_forecast(night, np.where(changes, 0.9, 0.05)), night, rng=rng)
    ours = skill.set_index("method").loc["forecast"]
    assert ours["auprc"] == pytest.approx(1)
    assert ours["gain_low"] > 0
    assert "Better than persistence" in describe_forecast(skill, judged_by="an expert")
    assert reliability["n"].sum() == len(night) - 1
    guess, _ = score_forecast(make_forecast(night, rng.uniform(0.01, 0.5, len(night))), night, rng=rng)
    assert guess.set_index("method").loc["forecast", "gain_low"] < 0
    assert "No better than persistence" in describe_forecast(guess, judged_by="an expert")


def test_a_forecast_that_is_the_markov_chain_has_one_row(rng):
    night = make_night(rng)
    forecast = make_forecast(night, rng.uniform(0.01, 0.5, len(night)))
    forecast["markov_p_change"] = forecast["p_change"]
    forecast.attrs["method"] = "Markov chain, learned from the night so far"
    skill, _ = score_forecast(forecast, night, rng=rng)
    assert skill["method"].tolist() == ["Markov chain", "persistence"]


def test_a_night_without_changes_cannot_be_judged(rng):
    night = Hypnogram(np.zeros(100, dtype=np.int8))
    skill, reliability = score_forecast(make_forecast(night, np.full(100, 0.1)), night, rng=rng)
    assert skill.empty
    assert reliability.empty
    assert "no changes" in describe_forecast(skill, judged_by="an expert")


def test_events_are_counted_per_minute_of_their_stage():
    night = Hypnogram.from_labels(["W", "N2", "N2", "N3"])
    events = pd.DataFrame(
        {
            "onset": [31.0, 50, 89.9, 95],
            "duration": 1.0,
            "label": "spindle",
            "channel": "C4",
            "frequency": [12.0, 13, 14, 15],
        }
    )
    table = summarise_events(events, night).set_index("stage")
    assert table.loc["N2", "count"] == 2
    assert table.loc["N2", "per_minute"] == 2
    assert table.loc["N3", "count"] == 2
    assert table.loc["N3", "per_minute"] == 4
    assert table.loc["N2", "frequency"] == 12.5
    assert "W" not in table.index


def test_an_expert_with_finer_epochs_judges_changes_between_ours(rng):
    night = make_night(rng)
    forecast = make_forecast(night, rng.uniform(0.01, 0.5, len(night)))
    fine = Hypnogram(np.repeat(night.stages, 6), 5.0)
    by_fine, _ = score_forecast(forecast, fine, rng=np.random.default_rng(1))
    by_same, _ = score_forecast(forecast, night, rng=np.random.default_rng(1))
    pd.testing.assert_frame_equal(by_fine, by_same)


def test_events_of_a_channel_are_counted_in_the_epochs_staged_from_it():
    night = Hypnogram.from_labels(["N2"] * 8)
    sources = np.array(["C4-M1"] * 6 + ["C3-M2"] * 2, dtype=object)
    events = pd.DataFrame(
        {"onset": [1.0, 40, 200], "duration": 1.0, "label": "spindle", "channel": ["C4-M1"] * 2 + ["C3-M2"]}
    )
    table = summarise_events(events, night, sources=sources).set_index("channel")
    assert table["minutes"].to_dict() == {"C4-M1": 3.0, "C3-M2": 1.0}
    assert table.loc["C3-M2", "per_minute"] == 1
