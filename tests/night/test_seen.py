from __future__ import annotations

from dataclasses import replace

from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.night.seen import was_forecaster_trained_on, was_stager_trained_on
from sharpwave.recordings import Recording
from sharpwave.staging.weights import load_card


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
