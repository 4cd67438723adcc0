"""The verdict grades the night: noise, hum, a flat line and an ECG are never usable, and real nights differ."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.decode import measure_night
from sharpwave.night.options import open_source
from sharpwave.night.prepare import prepare_night
from sharpwave.night.signal_check import check_signals
from sharpwave.night.trust import Judgement
from sharpwave.recordings import MODALITIES, Recording, Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.signals.pieces import split_channels
from sharpwave.signals.plausibility import measure_plausibility
from sharpwave.simulation import simulate_night

RATE = 100.0
HOURS = 1.0


def make_time() -> np.ndarray:
    return np.arange(int(HOURS * 3600 * RATE)) / RATE


def make_coloured(exponent: float, rng: np.random.Generator) -> np.ndarray:
    """Noise whose power falls by 1/f to this exponent."""
    spectrum = np.fft.rfft(rng.normal(size=len(make_time())))
    frequency = np.maximum(np.fft.rfftfreq(len(make_time()), 1 / RATE), 0.3)
    samples = np.fft.irfft(spectrum / frequency ** (exponent / 2), len(make_time()))
    return 20 * samples / samples.std()


def make_beats(rng: np.random.Generator, *, rate: float = 65.0, sharp: bool = True) -> np.ndarray:
    """An ECG, or the rounded waves of a pulse, whose rate wanders."""
    time = make_time()
    phase = np.cumsum(rate / 60 / RATE * (1 + 0.08 * np.sin(time / 7) + 0.02 * rng.normal(size=len(time))))
    cycle = phase % 1
    if not sharp:
        return 40 * np.sin(2 * np.pi * cycle) + rng.normal(size=len(time))
    waves = np.exp(-0.5 * ((cycle - 0.3) / 0.012) ** 2) + 0.25 * np.exp(-0.5 * ((cycle - 0.6) / 0.05) ** 2)
    return 500 * waves + 8 * rng.normal(size=len(time))


def make_changing_noise(rng: np.random.Generator) -> np.ndarray:
    """White noise for half the night, then a drift: the electrode came off."""
    half = len(make_time()) // 2
    return np.r_[5 * rng.normal(size=half), make_coloured(2, rng)[half:]]


IMPOSTORS = {
    "white noise": (lambda rng: make_coloured(0, rng), "noise"),
    "pink noise": (lambda rng: make_coloured(1, rng), "noise"),
    "brown noise": (lambda rng: make_coloured(2, rng), "noise"),
    "noise of changing size": (lambda rng: make_coloured(1, rng) * (1.5 + np.sin(make_time() / 300)), "noise"),
    "two kinds of noise": (make_changing_noise, "noise"),
    "hum": (lambda rng: 60 * np.sin(2 * np.pi * 49 * make_time()) + 3 * rng.normal(size=len(make_time())), "hum"),
    "floating": (lambda rng: 0.3 * make_coloured(1, rng) / 20, "flat"),
    "flat": (lambda rng: np.zeros(len(make_time())), "no signal"),
    "ECG": (make_beats, "ECG"),
    "fast ECG": (lambda rng: make_beats(rng, rate=105), "ECG"),
    "pulse": (lambda rng: make_beats(rng, sharp=False), "pulse"),
    "breathing": (
        lambda rng: 80 * np.sin(2 * np.pi * 0.25 * make_time()) + rng.normal(size=len(make_time())),
        "breath",
    ),
    "muscle": (lambda rng: 10 * np.diff(rng.normal(size=len(make_time()) + 1)), "muscle"),
}


def to_recording(samples: np.ndarray) -> Recording:
    signal = Signal("C4-M1", samples.astype(np.float32), RATE, MODALITIES["eeg"], scale=1e-6)
    return Recording({"C4-M1": signal}, species="human")


@pytest.mark.parametrize("name", IMPOSTORS)
def test_what_is_no_eeg_is_named(name: str) -> None:
    make, word = IMPOSTORS[name]
    found = measure_plausibility(to_recording(make(np.random.default_rng(4)))["C4-M1"])
    assert found is not None
    objection = found.find_objection()
    assert objection is not None, found
    assert word in objection


@pytest.mark.parametrize("name", ["white noise", "pink noise", "brown noise", "hum", "muscle", "ECG", "pulse"])
def test_a_short_impostor_is_refused_or_doubted(name: str) -> None:
    samples = IMPOSTORS[name][0](np.random.default_rng(4))
    for piece in np.split(samples, 5):  # 12 min each
        found = measure_plausibility(to_recording(piece)["C4-M1"])
        assert found is not None
        assert found.find_objection() or (name == "brown noise" and found.find_doubt())


@pytest.mark.data
@pytest.mark.parametrize("name", ["ucddb/022", "sleep-edf-sc4001-raw/SC4001"])
def test_a_short_piece_of_a_night_is_no_noise(name: str) -> None:
    if name.split("/")[1] not in list_subjects(name.split("/")[0], required=False):
        pytest.skip(f"no {name} here")
    eeg = next(iter(split_channels(next(iter(load_dataset(name).of("eeg").values()))).values()))
    for minutes in (12, 20):
        starts = np.arange(eeg.start, eeg.end - 60 * minutes, 30 * 60)
        found = [measure_plausibility(eeg.restrict(start, start + 60 * minutes)) for start in starts]
        assert len(found) > 3
        assert [each.find_objection(unit_known=False) for each in found if each is not None] == [None] * len(found)


@pytest.mark.parametrize("name", ["white noise", "hum", "flat", "ECG"])
def test_no_impostor_is_usable_once_decoded(name: str) -> None:
    recording = to_recording(IMPOSTORS[name][0](np.random.default_rng(4)))
    judgement = judge(recording)
    assert judgement.verdict == "not usable"
    assert judgement.reasons[0].startswith(("C4-M1", "Only 0 minutes"))


def judge(recording: Recording) -> Judgement:
    return measure_night(prepare_night(recording, events=()), rng=np.random.default_rng(0)).judgement


@cache
def simulate(seed: int) -> Recording:
    return simulate_night("human", 2.0, rng=np.random.default_rng(seed), modalities=("eeg", "eog", "emg"))[0]


def test_simulated_eeg_is_eeg_at_every_gain_and_rate() -> None:
    eeg = simulate(0)["C4-M1"]
    for scale, step in ((1.0, 1), (1e3, 1), (1e-2, 2)):
        signal = Signal("C4", np.asarray(eeg.read())[::step] * scale, eeg.rate / step, MODALITIES["eeg"])
        found = measure_plausibility(signal)
        assert found is not None
        assert found.find_objection(unit_known=False) is None
        assert found.find_doubt() is None


def test_channels_that_contradict_each_other_ask_for_care() -> None:
    one, other = simulate(0), simulate(1)
    assert not check_signals(prepare_night(one, events=())).doubts
    stranger = Signal("F4-M1", other["C4-M1"].read(), one["C4-M1"].rate, MODALITIES["eeg"])
    mixed = Recording({"C4-M1": one["C4-M1"], "F4-M1": stranger}, species="human")
    (doubt,) = check_signals(prepare_night(mixed, events=())).doubts
    assert "C4-M1 and F4-M1 do not rise and fall together" in doubt


REAL = (
    "ucddb/022", "ucddb/011", "ucddb/012", "ucddb/014", "ucddb/019", "walch/1066528", "walch/5383425",
    "walch/5132496", "pd-lfp/Minn_04", "dreams/excerpt1", "dreams/excerpt3", "rsleep/subject1",
)  # fmt: skip
"""Most of them were looked at when the thresholds were set, so that this shows no more than that verdicts differ."""


def test_no_class_holds_nearly_all_real_files() -> None:
    found: dict[str, Judgement] = {}
    for name in REAL:
        try:
            found[name] = judge(open_source(name))
        except SharpwaveError:
            continue
    if len(found) < 8:
        pytest.skip("no data sets here")
    counts = Counter(judgement.verdict for judgement in found.values())
    assert max(counts.values()) <= 0.9 * len(found), counts
    assert found["ucddb/022"].verdict == "usable"  # κ .80 against its expert
    assert found["ucddb/014"].verdict != "usable"  # κ .00
    for judgement in found.values():
        assert not any("UCDDB" in reason or "DREAMS" in reason for reason in judgement.reasons)
