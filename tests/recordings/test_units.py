"""Units in every spelling, and numbers that cannot be what the header says."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal
from sharpwave.recordings.units import (
    check_amplitude,
    check_length,
    check_units,
    compute_amplitude,
    convert_unit,
    interpret_unit,
    read_age,
)


def _eeg(scale: float, rng: np.random.Generator, name: str = "C4-M1") -> Signal:
    return Signal(name, rng.normal(0, 20e-6, size=30_000) * scale, 100.0, MODALITIES["eeg"])


@pytest.mark.parametrize(
    "unit",
    [
        "uV",
        "UV",
        "µV",
        "μV",
        "Âµv",
        "Î¼V",
        "\ufffdV",
        "?V",
        "microvolts",
        "[uV]",
        "uVolt",
        "µVolts",
        "u V",
        "micro volt",
    ],
)
def test_spellings_of_microvolt(unit: str) -> None:
    assert convert_unit(unit, MODALITIES["eeg"]) == (1e-6, 0.0)


@pytest.mark.parametrize(
    ("unit", "scale"),
    [("uVpp", 1e-6), ("uVrms", 1e-6), ("µV/bit", 1e-6), ("uV peak-to-peak", 1e-6), ("0.1uV", 1e-7), ("10 µV", 1e-5)],
)
def test_units_with_a_doubt_say_what_they_were_taken_for(unit: str, scale: float) -> None:
    found = interpret_unit(unit, MODALITIES["eeg"])
    assert found is not None
    assert found[0] == pytest.approx(scale)
    assert found[2] == f"{scale * 1e6:g} µV"


@pytest.mark.parametrize("unit", ["LSB", "counts", "uV^2", "uV²", "uV/s", "dB", "0uV", "uV/mm"])
def test_what_is_no_voltage(unit: str) -> None:
    assert convert_unit(unit, MODALITIES["eeg"]) is None


@pytest.mark.parametrize(
    ("age", "years"),
    [(43, 43), ("43 years", 43), ("P43Y", 43), ("18 months", 1.5), ("90+", 90), ("n/a", None), (float("nan"), None)],
)
def test_ages(age: object, years: float | None) -> None:
    assert read_age(age) == (years, None)


@pytest.mark.parametrize("age", [-62, 131, 999, "-1", "old"])
def test_ages_that_cannot_be_are_declared(age: object) -> None:
    found, doubt = read_age(age, source="participants.tsv")
    assert found is None
    assert doubt is not None
    assert doubt.startswith("participants.tsv gives an age of")


def test_other_units() -> None:
    assert convert_unit("MV", MODALITIES["ecg"]) == (1e-3, 0.0)
    assert convert_unit("V", MODALITIES["eeg"]) == (1.0, 0.0)
    assert convert_unit("Ohm", MODALITIES["eeg"]) is None
    scale, offset = convert_unit("°F", MODALITIES["temperature"]) or (0, 0)
    assert 98.6 * scale + offset == pytest.approx(37.0)
    assert convert_unit("anything", MODALITIES["respiration"]) == (1.0, 0.0)


def test_amplitude_is_half_the_spread(rng: np.random.Generator) -> None:
    signal = Signal("x", rng.uniform(-1, 1, size=60_000), 100.0, MODALITIES["other"], scale=2.0)
    assert compute_amplitude(signal) == pytest.approx(1.8, rel=0.03)


@pytest.mark.parametrize("scale", [1e6, 1e3, 1e-3, 1e-6])
def test_a_unit_mistake_is_refused(scale: float, rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="probably a unit mistake"):
        check_amplitude(_eeg(scale, rng))


def test_plausible_amplitude_passes(rng: np.random.Generator) -> None:
    signal = _eeg(1.0, rng)
    assert check_amplitude(signal, unit="uV") == (signal, None)


@pytest.mark.parametrize(("scale", "unit"), [(1.0, "V"), (1e6, "uV"), (1e9, "nV"), (1e3, "mV")])
def test_a_missing_unit_is_chosen_and_declared(scale: float, unit: str, rng: np.random.Generator) -> None:
    repaired, sentence = check_amplitude(_eeg(scale, rng), unit="")
    assert compute_amplitude(repaired) == pytest.approx(compute_amplitude(_eeg(1.0, np.random.default_rng(0))), rel=0.1)
    assert sentence is not None
    assert f"taken as {unit}" in sentence


def test_no_unit_fits(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="no unit from nV to V"):
        check_amplitude(_eeg(1e16, rng), unit="")


def test_one_bad_lead_is_declared_and_a_wrong_file_refused(rng: np.random.Generator) -> None:
    good = {name: _eeg(1.0, rng, name) for name in ("C3", "C4", "Cz")}
    _, repairs, doubtful = check_units({**good, "O2": _eeg(1e3, rng, "O2")}, {})
    assert doubtful == ["O2"]
    assert "not used for staging" in repairs[0]
    with pytest.raises(SharpwaveError, match="probably a unit mistake"):
        check_units({name: _eeg(1e6, rng, name) for name in good}, dict.fromkeys(good, "V"))


def test_flat_channels_are_no_unit_mistake() -> None:
    flat = Signal("C4", np.zeros(1000), 100.0, MODALITIES["eeg"])
    assert check_amplitude(flat) == (flat, None)


def test_rate_against_length() -> None:
    check_length(n_samples=12_800, rate=128.0, duration=100.0, name="C4")
    with pytest.raises(SharpwaveError, match="128 Hz would fit"):
        check_length(n_samples=12_800, rate=100.0, duration=100.0, name="C4")
    with pytest.raises(SharpwaveError, match="a positive rate"):
        check_length(n_samples=1, rate=0.0, duration=100.0, name="C4")


@pytest.mark.parametrize(
    ("unit", "metres"),
    [("Zentimeter", 0.01), ("centimètres", 0.01), ("centímetros", 0.01), ("厘米", 0.01), ("cm.", 0.01), ("10 mm", 0.01),
     ("centi-meters", 0.01), ("cm (centimeters)", 0.01), ("0,01 m", 0.01), ("metros", 1.0), ("米", 1.0),
     ("meter(s)", 1.0), ("µm", 1e-6), ("micrometers", 1e-6), ("pixels", None), ("a.u.", None), ("bins", None),
     ("ms", None)],
)  # fmt: skip
def test_lengths_in_many_words(unit: str, metres: float | None) -> None:
    read = convert_unit(unit, MODALITIES["position"])
    assert read == (None if metres is None else (pytest.approx(metres), 0.0))
