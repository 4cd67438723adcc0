"""Recordings of electrophysiology systems: right volts, rates, names and clocks; and nothing that leads elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from tests import neo_files as files

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.readers.edf_samples import GriddedSamples
from sharpwave.recordings.readers.neo_reader import NeoSamples

COUNTS = files.make_counts(3000)
DATE = datetime(2024, 3, 1, 22, 30, 15)
WRITERS: dict[str, tuple[Callable[[Path], Path], str, float, float, tuple[str, ...]]] = {
    # writer, name of the signal, rate (Hz), volts of one count by the format's published layout, channels in it
    "neuroscope": (lambda f: files.write_neuroscope(f, COUNTS), "LFP", 1250, 20 / 2**16 / 1000, ("0", "1", "2")),
    "spikeglx": (lambda f: files.write_spikeglx(f, COUNTS), "imec0.lf", 2500, 0.6 / 512 / 250, ("LF0", "LF1", "LF2")),
    "open ephys": (
        lambda f: files.write_open_ephys(f, COUNTS),
        "Record Node 101#Board-100.Rhythm",
        1000,
        0.195e-6,
        ("CH1", "CH2", "CH3"),
    ),
    "intan": (
        lambda f: files.write_intan(f / "a.rhd", COUNTS),
        "RHD2000 amplifier channel",
        2000,
        0.195e-6,
        ("A-000", "A-001"),
    ),
    "blackrock": (
        lambda f: files.write_blackrock(f / "a.ns2", COUNTS),
        "nsx2",
        1000,
        8191e-6 / 32764,
        ("hpc1", "hpc2"),
    ),
    "neuralynx": (
        lambda f: files.write_neuralynx(f, COUNTS),
        "stream0_2000Hz_1mVRange_DSPFilter0",
        2000,
        3.051850948e-8,
        ("CSC1", "CSC2"),
    ),
    "plexon": (
        lambda f: files.write_plexon(f / "a.plx", COUNTS),
        "FPl-Low Pass Filtered",
        1000,
        5.0 / (2**15 * 500 * 2),
        ("FP01", "FP02", "FP03"),
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_volts_rates_and_names_are_those_of_the_format(name: str, tmp_path: Path) -> None:
    write, signal, rate, volts, channels = WRITERS[name]
    recording = read_recording(write(tmp_path))
    found = recording[signal]
    assert (found.modality.name, found.rate, found.channels) == ("lfp", rate, channels)
    assert isinstance(found.samples, NeoSamples)  # nothing is read before it is asked for
    rows = slice(100, 1600)
    expected = COUNTS[rows, : len(channels)].astype(float) * volts
    got = found.read(100 / rate, 1600 / rate, dtype=np.float64)
    np.testing.assert_allclose(got, expected, rtol=0, atol=volts * 1e-3)


@pytest.mark.parametrize(("name", "label"), [("intan", "EMG"), ("neuralynx", "EMG1"), ("blackrock", "C3")])
def test_a_channel_with_a_name_is_a_signal_of_its_own(name: str, label: str, tmp_path: Path) -> None:
    recording = read_recording(WRITERS[name][0](tmp_path))
    named = next(signal for key, signal in recording.signals.items() if recording.metadata["labels"].get(key) == label)
    assert named.modality.name in ("emg", "eeg")
    volts = WRITERS[name][3]
    np.testing.assert_allclose(named.read(dtype=np.float64)[:500], COUNTS[:500, 2] * volts, rtol=0, atol=volts * 1e-3)


def test_an_alias_takes_a_numbered_channel_out_of_the_frame(tmp_path: Path) -> None:
    path = files.write_neuroscope(tmp_path, COUNTS)
    recording = read_recording(path, overrides={"1": "EMG:emg"})
    assert recording["EMG"].modality.name == "emg"
    assert recording["LFP"].channels == ("0", "2")
    np.testing.assert_allclose(recording["EMG"].read()[:9], COUNTS[:9, 1] * 20 / 2**16 / 1000, rtol=1e-5)


def test_the_wide_band_of_neuroscope_has_its_own_rate(tmp_path: Path) -> None:
    wide = read_recording(files.write_neuroscope(tmp_path, COUNTS, ending=".dat"))
    assert wide["dat"].rate == 20_000
    files.write_neuroscope(tmp_path, COUNTS)
    assert read_recording(tmp_path / "rat.xml")["LFP"].rate == files.RATE  # of both, the potentials


@pytest.mark.parametrize(("name", "n"), [("spikeglx", 0), ("neuralynx", 0), ("blackrock", 0), ("plexon", 1)])
def test_the_time_of_day_and_the_units_are_read(name: str, n: int, tmp_path: Path) -> None:
    recording = read_recording(WRITERS[name][0](tmp_path))
    assert recording.start == DATE
    assert (0 if recording.spikes is None else len(recording.spikes)) == n
    if n:
        assert recording.spikes is not None
        np.testing.assert_allclose(recording.spikes[0].t, [0.1, 0.2, 1.0])  # ticks of 40 kHz, unit 0 left out
        assert recording.repairs == ("spikes of 1 channels that no unit was made of were left out",)


def _read_paused(folder: Path) -> Recording:
    return read_recording(files.write_open_ephys(folder, COUNTS, parts=2, pause=2000))


def test_a_pause_keeps_its_place_on_the_clock(tmp_path: Path) -> None:
    recording = _read_paused(tmp_path)
    signal = recording["Record Node 101#Board-100.Rhythm"]
    assert isinstance(signal.samples, GriddedSamples)
    assert signal.duration == 5.0  # 1.5 s, a pause of 2 s, 1.5 s
    assert recording.metadata["gaps"] == ((1.5, 3.5),)
    assert "1 pauses of 2 s" in recording.repairs[-1]
    assert np.isnan(signal.read(1.6, 3.4)).all()
    np.testing.assert_allclose(signal.read(3.5, 3.6), COUNTS[1500:1600] * 0.195e-6, rtol=1e-5)


def test_chunks_are_the_whole(tmp_path: Path) -> None:
    samples = _read_paused(tmp_path)["Record Node 101#Board-100.Rhythm"].samples
    pieces = [samples[low : low + 700] for low in range(0, len(samples), 700)]
    np.testing.assert_array_equal(np.concatenate(pieces), samples[:])


def test_a_wrong_range_is_corrected_by_the_unit_that_the_user_states(tmp_path: Path) -> None:
    path = files.write_neuroscope(tmp_path, COUNTS)
    plain, stated = read_recording(path), read_recording(path, unit="uV")
    assert stated["LFP"].scale == pytest.approx(plain["LFP"].scale * 1e-3)  # neo's mV


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda f: (f / "rat.xml").unlink(), r"rat\.xml beside rat\.lfp.*got none.*BrainVision, give rat\.vhdr"),
        (lambda f: (f / "rat.xml").write_text("<a/>"), "acquisitionSystem/nChannels"),
        (
            lambda f: (f / "rat.xml").write_text("<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"),
            "plain XML of at most 16 MiB",
        ),
    ],
)
def test_what_is_missing_or_strange_is_said(damage: Callable[[Path], object], said: str, tmp_path: Path) -> None:
    path = files.write_neuroscope(tmp_path, COUNTS)
    damage(tmp_path)
    with pytest.raises(SharpwaveError, match=said):
        read_recording(path)


def test_no_stream_is_read_from_elsewhere(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    files.write_open_ephys(inside, COUNTS)
    described = next(inside.rglob("structure.oebin"))
    content = json.loads(described.read_text())
    content["continuous"][0]["folder_name"] = "../../../../../outside/"
    described.write_text(json.dumps(content))
    with pytest.raises(SharpwaveError, match="in folders beside it"):
        read_recording(inside)


def test_no_link_is_followed_out_of_the_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "secret.ncs"
    inside.mkdir()
    files.write_neuralynx(inside, COUNTS)
    (inside / "CSC2.ncs").rename(outside)
    (inside / "CSC2.ncs").symlink_to(outside)
    with pytest.raises(SharpwaveError, match="a link that leads out"):
        read_recording(inside)


def test_a_stream_may_be_chosen(tmp_path: Path) -> None:
    folder = files.write_spikeglx(tmp_path, COUNTS).parent
    assert list(read_recording(folder / "run_g0_t0.imec0.lf.meta", stream="imec0.lf").signals) == ["imec0.lf"]
    with pytest.raises(SharpwaveError, match=r"one of the streams imec0\.lf"):
        read_recording(folder / "run_g0_t0.imec0.lf.meta", stream="imec1.ap")
