"""Which stager takes which recording, and the contract that all keep."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import sharpwave
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging import STAGERS, choose_stager, load_stager


def signal(name: str, modality: str, rate: float, *, minutes: float = 70, seed: int = 0, **extra: Any) -> Signal:
    rng = np.random.default_rng(seed)
    n = int(minutes * 60 * rate)
    scale = {"heart_rate": 3.0, "activity": 20.0}.get(modality, 2e-5)
    offset = 60.0 if modality == "heart_rate" else 0.0
    return Signal(name, np.abs(offset + scale * rng.standard_normal(n)).astype(np.float32), rate, MODALITIES[modality])


def recording(*signals: Signal, **fields: Any) -> Recording:
    return Recording({s.name: s for s in signals}, **{"species": "human", **fields})


def band_power(n_epochs: int = 140) -> Recording:
    rng = np.random.default_rng(0)
    channels = tuple(f"band{b}_contact{c}" for b in range(1, 7) for c in (1, 2, 3))
    return recording(
        *(
            Signal(name, rng.lognormal(size=(n_epochs, 18)), 1 / 30, MODALITIES["features"], channels=channels)
            for name in ("power", "power_sd")
        )
    )


def beats(seed: int = 4) -> Signal:
    gaps = np.random.default_rng(seed).uniform(0.85, 0.95, 5000)
    times = np.cumsum(gaps)
    return Signal("rr", 60 / gaps[1:], 1.1, MODALITIES["heart_rate"], start=times[1], times=times[1:])


EEG, SLOW_EEG = signal("C4-M1", "eeg", 100.0), signal("C4-M1", "eeg", 50.0)
EMG = signal("EMG", "emg", 200.0, seed=1)
WRIST = (signal("hr", "heart_rate", 1.0), signal("act", "activity", 1 / 30, seed=2))
SHORT = {"minutes": 9.5}
CASES: dict[str, tuple[Recording, dict[str, str]]] = {
    "yasa+brainmu": (recording(EEG), {"eeg": "C4-M1"}),
    "yasa": (recording(signal("C4-M1", "eeg", 100.0, **SHORT)), {"eeg": "C4-M1"}),
    "yasa-resampled": (recording(signal("C4-M1", "eeg", 50.0, **SHORT)), {"eeg": "C4-M1"}),
    "lightgbm-lfp": (band_power(), {}),
    "lightgbm-wearable": (recording(*WRIST), {}),
    "rodent": (recording(signal("EEG", "eeg", 200.0), EMG, species="mouse"), {"eeg": "EEG", "emg": "EMG"}),
    "brainmu": (recording(signal("C4-M1", "eeg", 32.0)), {"eeg": "C4-M1"}),
    "lightgbm-heart": (recording(beats()), {}),
    "hmm": (recording(WRIST[1]), {}),
}


@pytest.mark.parametrize("name", STAGERS)
def test_each_stager_is_chosen_for_its_recording_and_stages_it(name: str) -> None:
    case, picks = CASES[name]
    stager, refusals = choose_stager(case, picks)
    assert stager.name == name
    assert [refusal.split(":")[0] for refusal in refusals] == list(STAGERS)[: list(STAGERS).index(name)]
    hypnogram = stager.stage(case, picks)
    assert hypnogram.probabilities is not None
    assert hypnogram.scored.mean() > 0.9
    np.testing.assert_allclose(hypnogram.probabilities[hypnogram.scored].sum(axis=1), 1, atol=1e-6)
    chosen = hypnogram.probabilities[hypnogram.scored].argmax(axis=1)
    assert (chosen == hypnogram.stages[hypnogram.scored]).all()
    assert hypnogram == stager.stage(case, picks)


@pytest.mark.parametrize("name", STAGERS)
def test_each_stager_says_how_well_it_is_known_to_do(name: str) -> None:
    rows = load_stager(name).validation(*CASES[name])
    assert any(row["metric"] == "kappa" for row in rows)
    for row in rows:
        assert {"data", "signals", "metric", "value", "low", "high", "n"} <= set(row)


LFP = signal("CA1", "lfp", 200.0, seed=3)


@pytest.mark.parametrize(
    ("name", "case", "picks", "signals", "data"),
    [
        ("yasa", *CASES["yasa"], "eeg", {"UCDDB", "DREAMS"}),
        ("yasa+brainmu", recording(SLOW_EEG), {"eeg": "C4-M1"}, "eeg", {"DREAMS"}),
        ("lightgbm-wearable", *CASES["lightgbm-wearable"], "wearable", {"Walch"}),
        ("lightgbm-lfp", *CASES["lightgbm-lfp"], "lfp", {"PD-LFP"}),
        ("lightgbm-heart", *CASES["lightgbm-heart"], "heart", {"slpdb"}),
        ("hmm", recording(EEG), {"eeg": "C4-M1"}, "eeg", {"UCDDB", "DREAMS"}),
        ("hmm", recording(*WRIST), {}, "wearable", {"Walch"}),
        ("hmm", recording(LFP), {}, "lfp", set()),
        ("rodent", *CASES["rodent"], "eeg", {"simulated"}),
    ],
)
def test_it_quotes_what_is_known_of_such_signals(
    name: str, case: Recording, picks: dict[str, str], signals: str, data: set[str]
) -> None:
    rows = load_stager(name).validation(case, picks)
    assert {row["signals"] for row in rows} <= {signals}
    assert data <= {row["data"].split()[0] for row in rows}
    assert bool(rows) == bool(data)


@pytest.mark.parametrize(
    ("name", "said"),
    [("yasa", "YASA "), ("yasa-resampled", "to 100 Hz"), ("rodent", "rodent"), ("yasa+brainmu", "and Brainµ")],
)
def test_the_hypnogram_names_its_method(name: str, said: str) -> None:
    case, picks = CASES[name]
    assert said in load_stager(name).stage(case, picks).scorer


@pytest.mark.parametrize("name", ["lightgbm-lfp", "lightgbm-wearable"])
def test_learned_stagers_name_their_version(name: str) -> None:
    case, picks = CASES[name]
    assert load_stager(name).stage(case, picks).scorer == f"{name} (sharpwave {sharpwave.__version__})"


@pytest.mark.parametrize(
    ("name", "case", "picks", "reason"),
    [
        ("yasa", recording(SLOW_EEG), {"eeg": "C4-M1"}, "50 Hz"),
        ("yasa", recording(EEG, species="mouse"), {"eeg": "C4-M1"}, "mouse"),
        ("yasa", recording(signal("STN", "lfp", 250.0)), {"eeg": "STN"}, "not scalp EEG"),
        ("yasa", recording(*WRIST), {}, "no EEG"),
        ("yasa-resampled", recording(signal("C4", "eeg", 25.0)), {"eeg": "C4"}, "25 Hz"),
        ("yasa-resampled", recording(EEG), {"eeg": "C4-M1"}, "100 Hz"),
        ("lightgbm-wearable", recording(WRIST[0]), {}, "no activity"),
        (
            "lightgbm-wearable",
            recording(*(signal(m, m, 1.0, minutes=9) for m in ("heart_rate", "activity"))),
            {},
            "9 min",
        ),
        ("lightgbm-lfp", recording(signal("power", "lfp", 250.0)), {}, "bands per contact"),
        ("rodent", recording(EEG), {"eeg": "C4-M1"}, "human"),
        ("rodent", recording(SLOW_EEG, species="rat"), {"eeg": "C4-M1"}, "at 110 Hz"),
        ("hmm", recording(signal("x", "eeg", 100.0, minutes=2)), {"eeg": "x"}, "10 min"),
    ],
)
def test_refusals_say_why(name: str, case: Recording, picks: dict[str, str], reason: str) -> None:
    refusal = load_stager(name).accepts(case, picks)
    assert refusal is not None
    assert reason in refusal


def test_a_recording_that_nobody_can_stage_is_refused_with_what_it_holds() -> None:
    with pytest.raises(SharpwaveError, match=r"some stager can use; got .*Fix: give ten minutes or more of EEG"):
        choose_stager(recording(signal("T", "temperature", 1.0)), {})


def test_an_unknown_stager_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="a stager among yasa"):
        load_stager("usleep")


def test_missing_eeg_stays_unscored() -> None:
    samples = np.array(SLOW_EEG.samples)
    samples[: 50 * 600] = np.nan
    gap = recording(Signal("C4-M1", samples, 50.0, MODALITIES["eeg"]))
    hypnogram = load_stager("yasa-resampled").stage(gap, {"eeg": "C4-M1"})
    assert not hypnogram.scored[:20].any()
    assert hypnogram.scored[21:].all()
