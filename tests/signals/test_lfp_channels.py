"""The channel with ripples is found among those that are larger, noisier, elsewhere or bad, and can be named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.nwb_files import add_electrodes, add_series, open_nwb

from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.night.prepare import prepare_night
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal
from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.signals.lfp_channels import choose_lfp, list_channels, measure_ripple_power

RATE, SECONDS = 1250.0, 120


def make_channels(sizes: tuple[float, ...], *, rate: float = RATE, noise: float = 10.0) -> np.ndarray:
    """Noise of 10 µV in every channel, and ripples of the given amplitudes in µV, one a second; V."""
    rng, times = np.random.default_rng(0), np.arange(int(SECONDS * rate)) / rate
    burst = np.exp(-(((times % 1 - 0.5) / 0.03) ** 2)) * np.sin(2 * np.pi * 180 * times)
    return 1e-6 * (noise * rng.normal(size=(len(times), len(sizes))) + burst[:, None] * np.array(sizes))


def make_recording(values: np.ndarray, *, locations=(), bad=(), rate: float = RATE) -> Recording:
    labels = tuple(str(index) for index in range(values.shape[1]))
    frame = Signal("LFP", values, rate, MODALITIES["lfp"], channels=labels)
    electrodes = {"LFP": {"locations": list(locations), "bad": list(bad)}}
    return Recording(signals={"LFP": frame}, metadata={"electrodes": electrodes}, species="rat")


def test_the_channel_with_most_ripples_wins_over_larger_and_noisier_ones() -> None:
    values = make_channels((0, 30, 100, 60))
    values[:, 0] *= 20  # noise of a loose electrode
    values[::5000, 1] += 3e-3  # clicks of a switch
    powers = measure_ripple_power(Signal("LFP", values, RATE, MODALITIES["lfp"]))
    assert powers.argmax() == 2
    assert powers[2] == pytest.approx(1e-12 * 100**2 * 0.03 * np.sqrt(np.pi / 2), rel=0.25)
    chosen = choose_lfp(make_recording(values))
    assert list(chosen.of("lfp")) == ["LFP-2"]
    np.testing.assert_allclose(chosen["LFP-2"].read(1, 2), values[1250:2500, 2].astype("f4"))
    assert "of 4 channels 'LFP-2' is used" in chosen.repairs[0]


def test_the_hippocampus_wins_over_other_places_and_bad_channels_are_left_out() -> None:
    values = make_channels((200, 100, 50, 150))
    where = ["prelimbic cortex", "CA1, dorsal", "hippocampus", "CA1"]
    chosen = choose_lfp(make_recording(values, locations=where, bad=[False, False, False, True]))
    assert list(chosen.of("lfp")) == ["LFP-1"]
    assert "'LFP-1' (CA1, dorsal)" in chosen.repairs[0]
    assert "1 marked as bad" in chosen.repairs[0]


@pytest.mark.parametrize(
    "word", ["CA1", "dCA1", "right hippocampus", "HPC", "CA1sp", "Field CA1", "DG", "dentate gyrus", "CA1_left"]
)
def test_words_of_the_hippocampus(word: str) -> None:
    recording = make_recording(make_channels((1, 1)), locations=[word, "PFC"])
    assert [channel.hippocampal for channel in list_channels(recording)] == [True, False]


@pytest.mark.parametrize(
    "word", ["PFC", "thalamus", "S1", "cortex", "unknown", "hypothalamus", "chip 1", "Cavum", "mPFC, local"]
)
def test_other_places_are_none(word: str) -> None:
    assert not list_channels(make_recording(make_channels((1,)), locations=[word]))[0].hippocampal


def test_a_channel_can_be_named_by_name_label_or_number() -> None:
    recording = make_recording(make_channels((0, 30, 100)))
    for name in ("LFP-1", "lfp-1", "1"):
        assert list(choose_lfp(recording, name).of("lfp")) == ["LFP-1"]
    with pytest.raises(SharpwaveError, match=r"--lfp with one of the channels LFP-0, LFP-1, LFP-2; got 'x'"):
        choose_lfp(recording, "x")


def test_slow_sampling_and_one_channel_are_left_to_what_follows() -> None:
    slow = choose_lfp(make_recording(make_channels((1, 2), rate=250.0), rate=250.0))
    assert list(slow.of("lfp")) == ["LFP-0"]
    assert "none shows ripples" in slow.repairs[0]
    one = Recording(signals={"a": Signal("a", np.zeros(9), 1250.0, MODALITIES["lfp"])})
    assert choose_lfp(one, single=True) is one
    assert choose_lfp(Recording()).signals == {}


def test_a_raw_band_gives_way_to_the_lfp_and_is_lowered_where_alone() -> None:
    low, fast = make_channels((0, 100)), make_channels((0, 100), rate=10_000.0)
    frames = {
        "raw": Signal("raw", fast, 10_000.0, MODALITIES["lfp"], channels=("0", "1")),
        "LFP": Signal("LFP", low, RATE, MODALITIES["lfp"], channels=("0", "1")),
    }
    assert list(choose_lfp(Recording(signals=frames)).of("lfp")) == ["LFP-1"]
    alone = choose_lfp(Recording(signals={"raw": frames["raw"]}))
    assert alone["raw-1"].rate == 1000.0


def test_ripples_are_measured_in_sleep_where_it_is_known() -> None:
    values = make_channels((100, 40))
    values[: int(60 * RATE), 0] = values[: int(60 * RATE), 0] * 0.01 + make_channels((400,))[: int(60 * RATE), 0]
    values[int(60 * RATE) :, 0] = make_channels((0,))[int(60 * RATE) :, 0]
    recording = make_recording(values)
    assert list(choose_lfp(recording).of("lfp")) == ["LFP-0"]
    asleep = Recording(
        signals=dict(recording.signals), hypnogram=Hypnogram(np.repeat([0, 1], 15), epoch_length=4.0, n_stages=3)
    )
    assert list(choose_lfp(asleep).of("lfp")) == ["LFP-1"]


def test_a_night_with_four_channels_is_prepared_and_its_ripples_found(tmp_path: Path) -> None:
    values = make_channels((0, 10, 100, 100))
    with open_nwb(tmp_path / "a.nwb") as file:
        series = add_series(
            file, "processing/ecephys/LFP/LFP", np.rint(values / 1e-7).astype("i2"), rate=RATE, kind="ElectricalSeries",
            conversion=1e-7, unit="V",
        )  # fmt: skip
        add_electrodes(file, series, location=["PFC", "CA1", "CA1", "PFC"], bad_channel=["False"] * 4)
    recording = read_nwb(tmp_path / "a.nwb")
    scored = Recording(
        signals=dict(recording.signals), species="rat", metadata=dict(recording.metadata),
        hypnogram=Hypnogram(np.ones(30, int), epoch_length=4.0, n_stages=3),
    )  # fmt: skip
    night = prepare_night(scored, prefer_given=True)
    ripples = night.events[night.events["label"] == "ripple"]
    assert len(ripples) > 80
    assert set(ripples["channel"]) == {"LFP-2"}
    named = prepare_night(scored, DecodeOptions(lfp="1"), prefer_given=True)
    assert list(named.recording.of("lfp")) == ["LFP-1"]
