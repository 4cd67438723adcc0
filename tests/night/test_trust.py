from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.nights import simulate_short_night

from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.night.decode import decode_recording
from sharpwave.night.trust import (
    SignalCheck,
    _range_sentence,
    compute_unclear_share,
    judge_night,
    was_forecaster_trained_on,
    was_stager_trained_on,
)
from sharpwave.recordings import Hypnogram, Recording
from sharpwave.staging.weights import load_card

GOOD = pd.DataFrame([{"data": "DREAMS", "metric": "kappa", "value": 0.75, "low": 0.7, "high": 0.8, "n": 5}])
CLEAN = pd.DataFrame([{"channel": "C4-M1", "usable_fraction": 0.99}])


def make_night(top: float = 0.9, hours: float = 8) -> Hypnogram:
    n = int(hours * 120)
    probabilities = np.full((n, 5), (1 - top) / 4)
    probabilities[:, 2] = top
    return Hypnogram(np.full(n, 2, dtype=np.int8), probabilities=probabilities)


def judge(night: Hypnogram | None = None, **kwargs):
    night = night or make_night()
    given = {"quality": CLEAN, "evidence": GOOD, "stager": "yasa", "species": "human", "age": 30} | kwargs
    return judge_night(night, duration=night.end, **given)


def test_a_clean_night_with_a_known_stager_is_usable():
    judgement = judge()
    assert judgement.verdict == "usable"
    assert len(judgement.trust) == 5
    assert "κ 0.75 (95 % interval 0.70 to 0.80)" in judgement.trust[2]
    assert judgement.trust[-1] == "This is not a diagnosis."


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"night": make_night(0.5)}, "In 100% of epochs no stage"),
        ({"quality": CLEAN.assign(usable_fraction=0.6)}, "usable in 60%"),
        ({"night": make_night(0.7)}, "probability of 70% on average"),
        ({"check": SignalCheck(unlike=0.5)}, "50% of the epochs are unlike"),
        ({"check": SignalCheck(doubts=("C4 is odd.",))}, "C4 is odd"),
        ({"concerns": ["the expert disagrees"]}, "the expert disagrees"),
        ({"given": True}, "nothing in it could be staged"),
        ({"night": make_night(hours=1)}, "60 minutes are not a night"),
    ],
)
def test_each_doubt_asks_for_care(change, reason):
    judgement = judge(**change)
    assert judgement.verdict == "usable with care"
    assert any(reason in sentence for sentence in judgement.reasons)


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"evidence": GOOD.assign(value=0.4)}, "κ 0.40"),
        ({}, "experts agree with each other at about 0.76 over five stages"),
        ({"evidence": pd.DataFrame()}, "is not known"),
        ({"seen": True}, "trained on this very person"),
        ({"beside": "In this very recording yasa and the expert agree only at κ 0.10."}, "only at κ 0.10"),
    ],
)
def test_the_record_of_the_stager_is_a_second_line(known, sentence):
    judgement = judge(**known)
    assert judgement.verdict == "usable"
    assert sentence in judgement.trust[2]


def test_what_is_no_eeg_is_not_usable():
    judgement = judge(check=SignalCheck("C4-M1 looks like noise."))
    assert (judgement.verdict, judgement.reasons) == ("not usable", ["C4-M1 looks like noise."])


def test_a_wearable_is_judged_by_the_stages_that_it_can_tell():
    night = make_night()
    probabilities = np.full((len(night), 5), 0.02)
    probabilities[:, 1:4] = 0.32  # clearly NREM sleep, but which stage?
    vague = Hypnogram(np.full(len(night), 2, dtype=np.int8), probabilities=probabilities)
    assert judge(vague).verdict == "usable with care"
    judgement = judge(vague, quality=CLEAN.iloc[:0])
    assert judgement.verdict == "usable"
    assert judgement.trust[1].startswith(
        "In 0% of epochs none of wake, NREM and REM sleep reached 60% probability; the 100% that are so by five stages "
    )


def test_too_little_signal_is_refused():
    assert judge(make_night(hours=0.1)).verdict == "not usable"
    assert judge(quality=CLEAN.assign(usable_fraction=0.01)).verdict == "not usable"
    unscored = Hypnogram(np.full(960, -1), probabilities=np.full((960, 5), np.nan))
    assert judge(unscored, quality=CLEAN.iloc[:0]).verdict == "not usable"


def test_a_wearable_without_electrical_channels_can_be_used_but_clear_is_not_right():
    judgement = judge(quality=CLEAN.iloc[:0])
    assert judgement.verdict == "usable"
    assert "does not say how right" in judgement.reasons[0]
    assert "κ 0.75" in judgement.reasons[1]
    assert judge().reasons == ["The signal is like that of other nights, and the stages are clear."]


def test_real_evidence_speaks_before_simulated_evidence():
    simulated = GOOD.assign(data="simulated nights", value=0.95, n=100)
    assert "DREAMS" in judge(evidence=pd.concat([simulated, GOOD])).trust[2]
    assert "simulated nights" in judge(evidence=simulated).trust[2]


@pytest.mark.parametrize(
    ("known", "sentence"),
    [
        ({"age": None}, "age is not known"),
        ({"age": 9}, "outside the 18 to 80"),
        ({"species": "rat"}, "a rat"),
        ({"simulated": True}, "simulated"),
    ],
)
def test_what_is_out_of_range_is_said(known, sentence):
    assert sentence in judge(**known).trust[3]


def test_unclear_share_counts_scored_epochs_only():
    probabilities = np.array([[0.5, 0.5, 0, 0, 0], [0.9, 0.1, 0, 0, 0], [np.nan] * 5])
    assert compute_unclear_share(Hypnogram(np.array([0, 0, -1]), probabilities=probabilities)) == 0.5
    assert np.isnan(compute_unclear_share(Hypnogram(np.array([0]))))


def test_a_subject_of_the_training_set_is_known_and_another_is_not():
    subject = load_card("lightgbm-lfp")["training_subjects"][0]
    known = Recording(source=f"pd-lfp/{subject}", subject=subject)
    assert was_stager_trained_on(known, "lightgbm-lfp")
    assert not was_stager_trained_on(known, "lightgbm-wearable")
    assert not was_stager_trained_on(known, "yasa")
    assert not was_stager_trained_on(replace(known, source="someone.edf"), "lightgbm-lfp")
    assert not was_stager_trained_on(replace(known, subject="Minn_99"), "lightgbm-lfp")


def test_the_forecast_knows_whom_it_has_seen():
    cohort, _, subject = sorted(load_shipped_forecaster(30.0).subjects)[0].partition("/")
    assert was_forecaster_trained_on(Recording(source=f"{cohort}/x", subject=subject))
    assert not was_forecaster_trained_on(Recording(source=f"{cohort}/x", subject="stranger"))


def test_no_expert_changes_a_verdict():
    """A verdict comes from the recording alone: it must be the same where nobody scored the night."""
    recording = simulate_short_night()[0]
    against = Hypnogram(np.roll(np.arange(180) % 5, 3).astype(np.int8))
    contradicted = decode_recording(replace(recording, hypnogram=against))
    alone = decode_recording(replace(recording, hypnogram=None))
    assert contradicted.verdict == alone.verdict
    assert contradicted.reasons == alone.reasons
    assert contradicted.agreement.set_index("metric").loc["kappa", "value"] < 0.4
    assert any("the expert agree only at" in sentence for sentence in contradicted.trust)


def test_a_child_is_told_what_is_of_adults():
    night = judge(age=8)
    assert night.verdict == "usable with care"
    assert any("8 years old" in reason and "350 µV" in reason for reason in night.reasons)
    assert any("3 months old" in reason for reason in judge(age=0.25).reasons)
    assert not any("years old" in reason for reason in judge(age=30).reasons + judge(age=8, species="mouse").reasons)
    assert any("forecast, spindles" in reason for reason in judge(age=8, given=True).reasons)


def test_a_species_that_is_not_known_is_said_as_such() -> None:
    said = {species: _range_sentence(species, None, False) for species in ("unknown", "mouse", "human")}
    assert "species is not known" in said["unknown"]
    assert said["mouse"].startswith("The subject is a mouse")
    assert "age is not known" in said["human"]
