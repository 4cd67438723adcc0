from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.simulation import DEMO, Effects, Nuisance, simulate_cohort, simulate_demo, simulate_night


def _minutes(truth, code):
    return (truth.hypnogram.stages == code).sum() / 60


def test_same_seed_same_night():
    one, first = simulate_night(hours=0.3, rng=np.random.default_rng(5))
    two, second = simulate_night(hours=0.3, rng=np.random.default_rng(5))
    other, _ = simulate_night(hours=0.3, rng=np.random.default_rng(6))
    assert first.hypnogram == second.hypnogram
    for name in one.signals:
        np.testing.assert_array_equal(one[name].samples, two[name].samples)
    assert not np.array_equal(one["C4-M1"].samples, other["C4-M1"].samples)


def test_modalities_change_neither_the_course_nor_each_other():
    alone, first = simulate_night(hours=0.4, rng=np.random.default_rng(5), modalities=("heart_rate",))
    both, second = simulate_night(hours=0.4, rng=np.random.default_rng(5), modalities=("eeg", "spikes", "heart_rate"))
    assert first.hypnogram == second.hypnogram
    assert alone.hypnogram == both.hypnogram
    np.testing.assert_array_equal(first.ripples["onset"], second.ripples["onset"])
    np.testing.assert_array_equal(alone["heart_rate"].samples, both["heart_rate"].samples)
    assert alone.modalities == ("heart_rate",)


def test_a_recording_looks_as_a_reader_would_give_it(human_night):
    recording, truth = human_night
    assert recording.source == "simulated"
    assert recording.species == "human"
    assert set(recording.modalities) == {
        "eeg", "eog", "emg", "lfp", "spikes", "bold", "heart_rate", "activity", "temperature", "position",
    }  # fmt: skip
    assert recording.duration == pytest.approx(3.5 * 3600, abs=60)
    for signal in recording.signals.values():
        low, high = signal.modality.amplitude
        if signal.modality.unit == "V":
            spread = np.percentile(signal.read(), [5, 95])
            assert low < (spread[1] - spread[0]) / 2 < high
    assert len(truth.cells.maps) == len(recording.spikes)


def test_events_tables_have_the_columns_of_every_events_table(human_night):
    recording, truth = human_night
    for name in (
        "slow_oscillations",
        "spindles",
        "ripples",
        "arousals",
        "eye_movements",
        "gamma_bursts",
        "artefacts",
        "laps",
    ):
        assert list(getattr(truth, name).columns[:4]) == ["onset", "duration", "label", "channel"], name
    assert {"replay", "shuffled", "spindle", "slow_oscillation", "arousal"} <= set(truth.events["label"])
    assert (recording.events["label"] == "lap").all()
    assert (truth.reactivations["kind"] == "replay").all()


def test_human_ripple_rates(human_cohort):
    minutes = {code: sum(_minutes(t, code) for _, t in human_cohort) for code in range(5)}
    rate = {code: sum((t.ripples["stage"] == code).sum() for _, t in human_cohort) / minutes[code] for code in range(5)}
    nrem = sum((t.ripples["stage"].isin([2, 3])).sum() for _, t in human_cohort) / (minutes[2] + minutes[3])
    assert rate[2] == pytest.approx(9, abs=1.5)  # Jiang et al. 2020
    assert rate[3] == pytest.approx(15, abs=2)
    assert 9 < nrem < 14
    assert max(rate[0], rate[1], rate[4]) < 2


def test_spindles_return_after_three_to_six_seconds(human_cohort):
    gaps = np.concatenate([np.diff(t.spindles["onset"]) for _, t in human_cohort])
    counts, edges = np.histogram(gaps, np.arange(0, 20.5, 1.0))
    assert 3 <= edges[counts.argmax()] < 6  # Antony et al. 2018
    duration = np.concatenate([t.spindles["duration"] for _, t in human_cohort])
    assert 0.5 <= np.median(duration) <= 1.0  # MODA


def test_slow_oscillations_are_a_second_and_a_quarter_apart(human_cohort):
    gaps = np.concatenate([np.diff(t.slow_oscillations["onset"]) for _, t in human_cohort])
    counts, edges = np.histogram(gaps, np.arange(0.45, 3.0, 0.1))
    assert edges[counts.argmax()] + 0.05 == pytest.approx(1.25, abs=0.11)  # Massimini et al. 2004


def test_arousals_last_three_to_fifteen_seconds_and_number_about_fifteen_an_hour(human_cohort):
    duration = np.concatenate([t.arousals["duration"] for _, t in human_cohort])
    asleep = sum((t.hypnogram.stages > 0).sum() for _, t in human_cohort) / 3600
    assert duration.min() >= 3
    assert duration.max() <= 15
    assert 11 < len(duration) / asleep < 19  # 14.7/h at 20–39 y, Boselli et al. 1998


def test_nothing_but_what_was_asked_for():
    recording, truth = simulate_night(hours=0.3, rng=np.random.default_rng(1), modalities=())
    assert not recording.signals
    assert recording.spikes is None
    assert truth.cells is None


def test_cohort_is_lazy_and_its_subjects_differ():
    cohort = simulate_cohort(10_000, rng=np.random.default_rng(0), hours=0.2, modalities=())
    (one, first), (two, second) = next(cohort), next(cohort)
    assert (one.subject, two.subject) == ("sim-001", "sim-002")
    assert first.spindles.shape != second.spindles.shape or first.hypnogram != second.hypnogram


def test_truth_can_be_written_and_its_hypnogram_read_back(tmp_path, mouse_night):
    _, truth = mouse_night
    folder = truth.write(tmp_path / "truth")
    import pandas as pd

    table = pd.read_csv(folder / "hypnogram.tsv", sep="\t")
    assert Hypnogram.from_labels(table["stage"], epoch_length=1.0, n_stages=3) == truth.hypnogram
    assert len(pd.read_csv(folder / "ripples.tsv", sep="\t")) == len(truth.ripples)
    assert (folder / "truth.json").read_text().startswith("{")


def test_a_night_without_transitions_has_no_precursor():
    _, truth = simulate_night(
        "human", 0.12, rng=np.random.default_rng(0), effects=Effects(precursor=1.0), modalities=("heart_rate",)
    )
    assert truth.per_second["stage"].nunique() == 1
    assert not truth.per_second["precursor_eeg"].any()


def test_precursor_changes_signals_and_not_the_course():
    options = {"hours": 3.0, "modalities": ("heart_rate",), "nuisance": Nuisance.none()}
    plain, off = simulate_night(rng=np.random.default_rng(2), **options)
    signed, on = simulate_night(rng=np.random.default_rng(2), effects=Effects(precursor=1.0), **options)
    assert on.hypnogram == off.hypnogram
    assert not off.course["precursor_eeg"].any()
    stage = on.hypnogram.stages
    lighter = np.flatnonzero((np.diff(stage) < 0) & (stage[1:] == 0)) + 1
    difference = signed["heart_rate"].samples - plain["heart_rate"].samples
    assert difference[lighter - 1].mean() > 1.0
    together = np.corrcoef(on.course["precursor_eeg"], on.course["precursor_behaviour"])[0, 1]
    assert 0.1 < together < 0.9  # each also has false signs of its own


def test_demo_names_only_what_can_be_simulated():
    assert DEMO["species"] == "human"
    assert {"eeg", "eog", "emg", "lfp", "spikes", "bold", "heart_rate", "activity"} <= set(DEMO["modalities"])
    assert 5 <= DEMO["hours"] <= 6


def test_demo_is_a_representative_night():
    recording, truth = simulate_demo(modalities=())
    off, on = recording.metadata["lights_off"], recording.metadata["lights_on"]
    night = recording.hypnogram.restrict(off, on).stages
    shares = np.bincount(night, minlength=5) / len(night)
    assert shares[0] < 0.2
    assert shares[1] > 0.02
    assert 0.15 < shares[3] < 0.25
    assert 0.15 < shares[4] < 0.25
    rem = np.flatnonzero(truth.hypnogram.stages == 4)
    assert np.count_nonzero(np.diff(rem) > 15 * 60) >= 2
    assert not (truth.artefacts["label"] == "lost").any()


def test_human_nights_have_a_clock_and_lights():
    recording, _ = simulate_night(hours=0.3, rng=np.random.default_rng(0), modalities=())
    assert recording.start is not None
    assert recording.metadata["lights_off"] == recording.metadata["task"][1]
    assert recording.metadata["lights_on"] == pytest.approx(0.3 * 3600)
    late, _ = simulate_night(hours=0.5, rng=np.random.default_rng(0), modalities=(), task_start=600.0)
    assert late.metadata["lights_off"] == 0
    mouse, _ = simulate_night("mouse", 0.4, rng=np.random.default_rng(0), modalities=())
    assert mouse.start is None
    assert "lights_off" not in mouse.metadata


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modalities": ("meg",)}, "modalities among eeg.*got meg"),
        ({"species": "mouse", "modalities": ("eog",)}, "a rodent recording has; got eog"),
        ({"hours": 0.05}, "a night that holds the task"),
        ({"hours": 0.3, "task_start": 1200.0}, "a night that holds the task"),
        ({"species": "cat"}, "species human, mouse or rat"),
    ],
)
def test_what_cannot_be_simulated_is_refused(options, message):
    with pytest.raises(SharpwaveError, match=message):
        simulate_night(rng=np.random.default_rng(0), **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Effects(hazard_ratio={"aversive": 0.0}), "hazard ratios above 0"),
        (lambda: Effects(window=0.0), "window, depth_decay and precursor_lead above 0 s"),
        (lambda: Effects(preplay=1.5), "preplay between 0 and 1"),
        (lambda: Nuisance(decoys=2.0), "shares of at most 1"),
        (lambda: Nuisance(drift=-1.0), "nuisance sizes of at least 0"),
    ],
)
def test_impossible_knobs_are_refused(make, message):
    with pytest.raises(SharpwaveError, match=message):
        make()


def test_effects_are_off_by_default():
    off = Effects()
    assert not off.hazard_ratio
    assert not off.depth_gain
    assert not any((off.rate_per_db, off.share_per_db, off.hazard_per_db, off.precursor, off.preplay, off.memory_gain))
    assert Effects.planted().hazard_ratio["aversive"] > 1
