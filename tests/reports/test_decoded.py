from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.reports.conftest import make_night

from sharpwave import SharpwaveError
from sharpwave.night.decoded import NESTED, PARTS, DecodedNight, ForecastEvaluation, Spectrogram


@pytest.fixture(scope="module")
def night() -> DecodedNight:
    return make_night(hours=8)


def test_unknown_verdict_is_refused(night: DecodedNight) -> None:
    with pytest.raises(
        SharpwaveError, match="expected a verdict among usable, usable with care, not usable; got 'fine'"
    ):
        replace(night, verdict="fine")


def test_table_without_its_columns_is_refused(night: DecodedNight) -> None:
    with pytest.raises(
        SharpwaveError, match=r"'events' with the columns onset, duration, label; got onset.*add duration, label"
    ):
        replace(night, events=pd.DataFrame({"onset": [1.0]}))


def test_transposed_spectrogram_is_refused(night: DecodedNight) -> None:
    times, frequencies, power = night.spectrogram
    with pytest.raises(
        SharpwaveError, match=r"spectrogram of shape \(99, 960\) \(frequency, time\); got shape \(960, 99\)"
    ):
        replace(night, spectrogram=(times, frequencies, power.T))


def test_plain_tuple_becomes_a_spectrogram(night: DecodedNight) -> None:
    again = replace(night, spectrogram=tuple(night.spectrogram))
    assert isinstance(again.spectrogram, Spectrogram)
    np.testing.assert_array_equal(again.spectrogram.power_db, night.spectrogram.power_db)


def test_a_part_checks_its_own_tables() -> None:
    with pytest.raises(SharpwaveError, match=r"'reliability' with the columns predicted, observed, n; got n\."):
        ForecastEvaluation(reliability=pd.DataFrame({"n": [1]}))


@pytest.mark.parametrize("old", sorted(NESTED))
def test_a_field_of_version_0_1_is_found_with_a_warning_that_names_the_new_one(night: DecodedNight, old: str) -> None:
    part, new = NESTED[old]
    with pytest.warns(DeprecationWarning, match=rf"DecodedNight\.{old} is now DecodedNight\.{part}\.{new};"):
        found = getattr(night, old)
    assert found is getattr(getattr(night, part), new)


def test_a_night_is_made_and_changed_with_the_fields_of_version_0_1(night: DecodedNight) -> None:
    with pytest.warns(DeprecationWarning, match=r"DecodedNight\(forecast_evaluation=ForecastEvaluation\(note=...\)\)"):
        changed = replace(night, forecast_note="Worth nothing.")
    assert changed.forecast_evaluation.note == "Worth nothing."
    assert changed.forecast_evaluation.skill is night.forecast_evaluation.skill
    with pytest.warns(DeprecationWarning, match="Provenance"):
        made = DecodedNight(
            identifier="a",
            source="a.edf",
            duration=1.0,
            hypnogram=night.hypnogram,
            stager="mine",
            verdict="usable",
            methods="By hand.",
            versions={"mine": "1"},
        )
    assert (made.provenance.methods, made.provenance.versions) == ("By hand.", {"mine": "1"})


def test_every_old_field_has_a_place_and_other_names_are_refused(night: DecodedNight) -> None:
    for part, new in NESTED.values():
        assert hasattr(PARTS[part](), new)
        assert isinstance(getattr(night, part), PARTS[part])
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        night.nonsense  # noqa: B018
