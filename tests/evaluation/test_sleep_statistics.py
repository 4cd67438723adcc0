"""Statistics agree with YASA's, and intervals come from hypnograms whose errors last."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_statistics import STATISTICS, compute_sleep_statistics, sample_hypnograms
from sharpwave.recordings.hypnogram import STAGE_SETS, Hypnogram

P = np.array([0.5, 0.1, 0.25, 0.05, 0.1])


def night(n_epochs: int = 60) -> Hypnogram:
    return Hypnogram(np.zeros(n_epochs, dtype=int), probabilities=np.tile(P, (n_epochs, 1)))


def test_each_epoch_has_its_probabilities() -> None:
    drawn = sample_hypnograms(night(), rng=np.random.default_rng(0), n_samples=4000)
    shares = np.stack([(drawn == stage).mean(axis=0) for stage in range(5)], axis=1)
    assert np.abs(shares - P).max() < 0.05
    assert np.abs(shares.mean(axis=0) - P).max() < 0.02


def test_errors_of_neighbours_go_together_and_are_independent_without_memory() -> None:
    def repeats(**options: float) -> float:
        drawn = sample_hypnograms(night(), rng=np.random.default_rng(0), n_samples=500, **options)
        return float((drawn[:, 1:] == drawn[:, :-1]).mean())

    assert repeats(night_share=0.0, memory=0.0) == pytest.approx((P**2).sum(), abs=0.02)
    assert repeats() > (P**2).sum() + 0.3


def test_the_same_seed_gives_the_same_nights() -> None:
    first, second = (sample_hypnograms(night(), rng=np.random.default_rng(3), n_samples=5) for _ in range(2))
    assert np.array_equal(first, second)


def test_unscored_epochs_stay_unscored() -> None:
    stages = np.zeros(10, dtype=int)
    stages[3] = -1
    probabilities = np.tile(P, (10, 1))
    probabilities[3] = np.nan
    drawn = sample_hypnograms(
        Hypnogram(stages, probabilities=probabilities), rng=np.random.default_rng(0), n_samples=50
    )
    assert (drawn[:, 3] == -1).all()
    assert (np.delete(drawn, 3, axis=1) >= 0).all()


def test_stages_alone_are_refused() -> None:
    with pytest.raises(SharpwaveError, match="a hypnogram with probabilities"):
        sample_hypnograms(Hypnogram(np.zeros(4, dtype=int)), rng=np.random.default_rng(0))


NIGHT = Hypnogram.from_labels(
    ["W"] * 20 + ["N1"] * 4 + ["N2"] * 20 + ["N3"] * 10 + ["W"] * 2 + ["N2"] * 6 + ["R"] * 8 + ["W"] * 10
)
"""10 min wake, 2 N1, 10 N2, 5 N3, 1 wake, 3 N2, 4 R, 5 wake."""


def values(hypnogram: Hypnogram, **options: float) -> pd.Series:
    table = compute_sleep_statistics(hypnogram, rng=np.random.default_rng(0), **options)
    return table.set_index("name")["value"]


def test_values_computed_by_hand() -> None:
    found = values(NIGHT, lights_off=0.0, lights_on=40 * 60.0)
    expected = {
        "total_sleep_time": 24,
        "sleep_latency": 10,
        "rem_latency_first_epoch": 21,
        "wake_after_sleep_onset": 6,
        "wake_until_last_sleep": 1,
        "time_in_bed": 40,
        "sleep_efficiency": 60,
        "sleep_period": 25,
        "sleep_maintenance": 96,
        "stage_shifts": 60 * 5 / 25,
        "fragmentation": 60 * 2 / 24,
        "W": 16,
        "N1": 2,
        "N2": 13,
        "N3": 5,
        "R": 4,
        "N2_share": 100 * 13 / 24,
        "R_share": 100 * 4 / 24,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value), name


FALSE_REM = ["W"] * 20 + ["N2"] * 55 + ["R"] * 6 + ["N2"] * 487 + ["R"] * 30 + ["N2"] * 20
"""3 min of REM after 27.5 min of sleep, and the night's first real REM after 274 min."""


def test_one_spurious_bout_of_rem_sets_no_latency() -> None:
    found = values(Hypnogram.from_labels(FALSE_REM))
    assert (found["rem_latency"], found["rem_latency_first_epoch"]) == (274.0, 27.5)


@pytest.mark.parametrize("epoch_length", [5, 10, 20, 30])
def test_the_rule_is_in_minutes_whatever_an_epoch_is(epoch_length: int) -> None:
    per_minute = 60 // epoch_length
    false, real = ["R"] * (4 * per_minute), (["R"] * (2 * per_minute) + ["N1"] * per_minute) * 3
    labels = ["N2"] * (10 * per_minute) + false + ["N2"] * (60 * per_minute) + real + ["N2"] * per_minute
    found = values(Hypnogram.from_labels(labels, epoch_length=float(epoch_length)))
    assert (found["rem_latency"], found["rem_latency_first_epoch"]) == (74.0, 10.0)


def test_rem_that_never_lasts_has_no_latency_and_says_so() -> None:
    labels = ["N2"] * 40 + (["R"] * 4 + ["N2"] * 40) * 5
    table = compute_sleep_statistics(Hypnogram.from_labels(labels), rng=np.random.default_rng(0)).set_index("name")
    assert np.isnan(table.loc["rem_latency", "value"])
    assert "never lasted" in table.loc["rem_latency", "definition"]
    assert table.loc["rem_latency_first_epoch", "value"] == 20
    without = compute_sleep_statistics(Hypnogram.from_labels(["N2"] * 9), rng=np.random.default_rng(0))
    assert not without["definition"].str.contains("never lasted").any()


def test_short_bouts_count_where_the_rule_is_left_out() -> None:
    table = compute_sleep_statistics(
        Hypnogram.from_labels(["W", "NREM", "NREM", "R", "W"] * 5, epoch_length=10.0, n_stages=3),
        rng=np.random.default_rng(0),
        sustained_rem=None,
    ).set_index("name")
    assert table.loc["rem_latency", "value"] == pytest.approx(20 / 60)
    assert table.loc["rem_latency", "definition"] == "sleep onset to the first epoch of REM"


def test_persistent_sleep_waits_for_ten_minutes_without_a_break() -> None:
    labels = ["W"] * 4 + ["N1"] + ["W"] * 20 + ["N2"] * 19 + ["?"] + ["N1"] * 20 + ["W"] * 4
    found = values(Hypnogram.from_labels(labels), lights_off=0.0)
    assert (found["sleep_latency"], found["persistent_sleep_latency"]) == (2.0, 22.5)
    assert np.isnan(values(Hypnogram.from_labels(labels))["persistent_sleep_latency"])


def test_lights_off_within_the_recording_moves_what_counts_from_it() -> None:
    found = values(NIGHT, lights_off=5 * 60.0, lights_on=38 * 60.0)
    assert found["sleep_latency"] == pytest.approx(5)
    assert found["wake_after_sleep_onset"] == pytest.approx(4)
    assert found["sleep_efficiency"] == pytest.approx(100 * 24 / 33)
    assert found["rem_latency_first_epoch"] == pytest.approx(21)


def test_lights_off_before_the_recording_counts_the_time_before_it() -> None:
    late = Hypnogram(NIGHT.stages, start=600.0)
    assert values(late, lights_off=0.0)["sleep_latency"] == pytest.approx(20)


def test_lights_off_between_two_epochs_keeps_its_seconds() -> None:
    assert values(NIGHT, lights_off=310.0)["sleep_latency"] == pytest.approx(290 / 60)


def test_without_lights_off_what_needs_it_is_blank_and_says_so() -> None:
    table = compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0)).set_index("name")
    blank = ["sleep_latency", "wake_after_sleep_onset", "time_in_bed", "sleep_efficiency"]
    assert table.loc[blank, "value"].isna().all()
    assert table.loc["sleep_latency", "definition"].endswith("needs lights-off")
    assert table.loc["wake_after_sleep_onset", "definition"].endswith("needs lights-on")
    assert table.loc["sleep_efficiency", "definition"].endswith("needs lights-off and lights-on")
    assert table.loc["wake_until_last_sleep", "value"] == pytest.approx(1)


def test_a_night_without_sleep_has_no_latency_rather_than_zero() -> None:
    found = values(Hypnogram.from_labels(["W"] * 30), lights_off=0.0, lights_on=900.0)
    assert found["total_sleep_time"] == 0
    assert found["sleep_efficiency"] == 0
    undefined = [
        "sleep_latency",
        "persistent_sleep_latency",
        "rem_latency",
        "rem_latency_first_epoch",
        "wake_after_sleep_onset",
        "sleep_period",
        "fragmentation",
        "N2_share",
    ]
    assert found[undefined].isna().all()


def test_arousals_are_not_scored_rather_than_absent() -> None:
    row = compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0)).set_index("name").loc["arousal_index"]
    assert np.isnan(row["value"])
    assert "not scored" in row["definition"]


def test_unscored_epochs_are_neither_wake_nor_sleep() -> None:
    found = values(Hypnogram.from_labels(["N2"] * 10 + ["?"] * 10 + ["N2"] * 10))
    assert found["total_sleep_time"] == pytest.approx(10)
    assert found["wake_until_last_sleep"] == 0
    assert found["sleep_period"] == pytest.approx(15)
    assert found["sleep_maintenance"] == pytest.approx(100)
    assert found["stage_shifts"] == 0


def test_unscored_epochs_are_in_no_denominator() -> None:
    gap = ["?"] * 20
    whole = values(Hypnogram.from_labels(["W"] * 10 + ["N2"] * 20 + ["W"] * 10), lights_off=0.0, lights_on=1200.0)
    broken = Hypnogram.from_labels(["W"] * 10 + ["N2"] * 10 + gap + ["N2"] * 10 + ["W"] * 10)
    found = values(broken, lights_off=0.0, lights_on=1800.0)
    for name in ("sleep_efficiency", "sleep_maintenance", "stage_shifts", "fragmentation", "wake_after_sleep_onset"):
        assert found[name] == pytest.approx(whole[name]), name


@pytest.mark.parametrize("n_stages", [2, 3, 4, 5])
def test_any_number_of_stages(n_stages: int) -> None:
    found = values(NIGHT.merge(n_stages))
    assert found["total_sleep_time"] == pytest.approx(24)
    assert np.isnan(found["rem_latency_first_epoch"]) == (n_stages == 2)
    assert set(STAGE_SETS[n_stages]) <= set(found.index)


def test_agrees_with_yasa_where_the_definitions_do() -> None:
    rng = np.random.default_rng(1)
    names = np.array(STAGE_SETS[5])
    for _ in range(5):
        night = Hypnogram.from_labels(np.repeat(names[rng.integers(0, 5, 60)], rng.integers(1, 12, 60)).tolist())
        ours, theirs = values(night, lights_off=0.0, lights_on=night.end), night.to_yasa().sleep_statistics()
        pairs = {
            "TST": "total_sleep_time",
            "SOL": "sleep_latency",
            "SPT": "sleep_period",
            "WASO": "wake_until_last_sleep",
            "TIB": "time_in_bed",
            "SE": "sleep_efficiency",
            "SME": "sleep_maintenance",
            "SFI": "fragmentation",
            "N3": "N3",
            "%REM": "R_share",
        }
        for yasa_name, name in pairs.items():
            assert ours[name] == pytest.approx(theirs[yasa_name], abs=1e-3), name
        assert ours["rem_latency_first_epoch"] == pytest.approx(theirs["Lat_REM"] - theirs["SOL"], abs=1e-3)


def test_sure_stages_give_intervals_without_width_and_unsure_ones_wide() -> None:
    sure = Hypnogram(NIGHT.stages, probabilities=np.eye(5)[NIGHT.stages])
    table = compute_sleep_statistics(sure, rng=np.random.default_rng(0)).set_index("name")
    assert table.loc["N2", "low"] == table.loc["N2", "high"] == table.loc["N2", "value"]
    unsure = Hypnogram(NIGHT.stages, probabilities=0.6 * np.eye(5)[NIGHT.stages] + 0.08)
    row = compute_sleep_statistics(unsure, rng=np.random.default_rng(0)).set_index("name").loc["N2"]
    assert row["low"] < row["value"] < row["high"]


def test_without_probabilities_there_is_no_interval() -> None:
    table = compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0))
    assert table[["low", "high"]].isna().all(axis=None)


def test_experts_spread_is_there_for_five_stages_only() -> None:
    table = compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0)).set_index("name")
    assert table.loc["N3", "scorer_spread"] > 30
    merged = compute_sleep_statistics(NIGHT.merge(3), rng=np.random.default_rng(0))
    assert merged["scorer_spread"].isna().all()


def test_age_is_shown_for_adults_with_age_and_night_only() -> None:
    def bands(**options: int) -> list[str]:
        return compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0), **options)["age_band"].tolist()  # type: ignore[arg-type]

    assert any("per decade" in band for band in bands(age=40, night=1))
    assert not any(bands(age=40))
    assert not any(bands(age=9, night=1))


def test_names_are_unique_and_every_row_has_unit_and_definition() -> None:
    table = compute_sleep_statistics(NIGHT, rng=np.random.default_rng(0))
    assert table["name"].is_unique
    assert table[["unit", "definition"]].ne("").all(axis=None)
    assert {statistic.name for statistic in STATISTICS} <= set(table["name"])


def test_lights_on_before_lights_off_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="lights on after lights off"):
        values(NIGHT, lights_off=600.0, lights_on=60.0)


def test_training_steps_are_not_a_night() -> None:
    with pytest.raises(SharpwaveError, match="a hypnogram in seconds"):
        values(Hypnogram(np.array([0, 1]), 10, 2, unit="step"))


def test_a_night_of_which_nothing_could_be_used_has_no_statistics_rather_than_zeros() -> None:
    nothing = Hypnogram(np.full(40, -1, dtype=np.int8))
    assert values(nothing, lights_off=0.0, lights_on=1200.0).isna().all()
    assert values(Hypnogram.from_labels(["?"] * 39 + ["W"]))["total_sleep_time"] == 0
