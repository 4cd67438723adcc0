"""EDF and BDF against edfio, lazily, with their repairs; what was written is read back to the format's precision."""

from __future__ import annotations

from datetime import date, datetime, time
from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import describe_unknown, pick_channels
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.readers.edf import read_edf
from sharpwave.staging import choose_stager


def _with_bytes(path: Path, low: int, high: int, value: str) -> Path:
    raw = bytearray(path.read_bytes())
    raw[low:high] = value.encode().ljust(high - low)
    path.write_bytes(raw)
    return path


_PLACES = {"label": (0, 16), "physical_min": (104, 8), "n_samples": (216, 8)}


def _with_signal_field(path: Path, field: str, value: str, *, signal: int = 0) -> Path:
    """Field of one signal: bytes before it per signal, and its width."""
    before, width = _PLACES[field]
    low = 256 + before * int(path.read_bytes()[252:256]) + signal * width
    return _with_bytes(path, low, low + width, value)


@pytest.mark.parametrize(("write", "load"), [(lab.write_edf, edfio.read_edf), (lab.write_bdf, edfio.read_bdf)])
def test_same_samples_as_edfio(write, load, tmp_path: Path) -> None:
    path = write(tmp_path / f"night.{load.__name__[-3:]}")
    recording = read_edf(path)
    for signal, reference in zip(recording.signals.values(), load(path).signals, strict=True):
        assert signal.rate == reference.sampling_frequency
        np.testing.assert_array_equal(signal.samples[:], reference.digital)
        np.testing.assert_allclose(signal.read(dtype=np.float64), reference.data * 1e-6, rtol=0, atol=1e-14)


def test_header(tmp_path: Path) -> None:
    recording = read_edf(lab.write_edf(tmp_path / "night.edf", stages=lab.STAGES))
    assert recording.start == datetime(2020, 3, 1, 22, 30, 15)
    assert (recording.subject, recording.metadata["sex"], recording.metadata["age"]) == ("S7", "F", 39)
    assert list(recording.signals) == list(lab.LABELS)
    assert [signal.modality.name for signal in recording.signals.values()] == ["eeg", "eog", "emg"]
    assert recording.repairs == ()
    assert recording.events.iloc[0].to_dict() == {"onset": 0.0, "duration": 10.0, "label": "Sleep stage W"}
    assert "Lights off" in set(recording.events["label"])


@pytest.mark.parametrize(("field", "subject"), [("Jane Doe 1.4.1980", "unknown"), ("P07", "P07"), ("Doe", "unknown")])
def test_names_in_a_plain_header_stay_out(field: str, subject: str, tmp_path: Path) -> None:
    path = _with_bytes(lab.write_edf(tmp_path / "a.edf"), 192, 236, "")
    assert read_edf(_with_bytes(path, 8, 88, field)).subject == subject


def test_stages_among_the_annotations(tmp_path: Path) -> None:
    recording = read_recording(lab.write_edf(tmp_path / "night.edf", stages=lab.STAGES))
    assert recording.hypnogram is not None
    assert recording.hypnogram.labels == list(lab.STAGES)
    assert recording.hypnogram.epoch_length == 10


@pytest.mark.parametrize("write", [lab.write_edf, lab.write_bdf])
def test_slices_are_those_of_the_whole(write, tmp_path: Path, rng: np.random.Generator) -> None:
    samples = read_edf(write(tmp_path / ("a.bdf" if write is lab.write_bdf else "a.edf")))["E1-M2"].samples
    whole = samples[:]
    for _ in range(50):
        low, high = np.sort(rng.integers(-5, len(whole) + 50, 2))
        np.testing.assert_array_equal(samples[low:high], whole[low:high])
    np.testing.assert_array_equal(samples[3:900:7], whole[3:900:7])
    assert samples[-1] == whole[-1]


def test_records_read_one_by_one_and_in_blocks_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = read_edf(lab.write_edf(tmp_path / "a.edf"))["E1-M2"].samples
    whole = samples[:]
    monkeypatch.setattr("sharpwave.recordings.readers.edf_samples._BLOCK_BYTES", 1500)
    np.testing.assert_array_equal(samples[1000:3000], whole[1000:3000])
    monkeypatch.setattr("sharpwave.recordings.readers.edf_samples._SMALL_RECORD", 0)
    np.testing.assert_array_equal(samples[1000:3000], whole[1000:3000])


def test_truncated_last_record_is_declared(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf")
    full = read_edf(path)["C4-M1"].samples[:]
    path.write_bytes(path.read_bytes()[:-100])
    recording = read_edf(path)
    assert len(recording["C4-M1"]) == 59 * 128
    np.testing.assert_array_equal(recording["C4-M1"].samples[:], full[: 59 * 128])
    assert any("cut short" in repair for repair in recording.repairs)
    assert any("claims 60 data records; the file holds 59" in repair for repair in recording.repairs)


def test_open_record_count_is_declared(tmp_path: Path) -> None:
    recording = read_edf(_with_bytes(lab.write_edf(tmp_path / "a.edf"), 236, 244, "-1"))
    assert recording.duration == 60
    assert any("leaves the number of data records open" in repair for repair in recording.repairs)


def test_gap_of_a_discontinuous_file_is_declared_and_keeps_its_times(tmp_path: Path) -> None:
    recording = read_edf(lab.write_discontinuous_edf(tmp_path / "a.edf", gap=30))
    signal = recording["C4-M1"]
    assert signal.times is None
    assert any("1 gap of 30 s" in repair for repair in recording.repairs)
    assert np.isfinite(signal.read(29, 61)).sum() == 2 * 128
    assert signal.end == pytest.approx(90)


def test_start_within_a_second(tmp_path: Path) -> None:
    signal = edfio.EdfSignal(
        lab.make_samples()[0], 128, label="Cz", physical_dimension="uV", physical_range=(-200, 200)
    )
    edfio.Edf(
        [signal],
        recording=edfio.Recording(startdate=date(2020, 3, 1)),
        starttime=time(22, 30, 15, 500_000),
        annotations=[edfio.EdfAnnotation(4, 1, "spindle")],
        data_record_duration=1,
    ).write(tmp_path / "a.edf")
    recording = read_edf(tmp_path / "a.edf")
    assert recording.start == datetime(2020, 3, 1, 22, 30, 15, 500_000)
    assert recording.events["onset"].tolist() == [4.0]


def test_duplicate_labels_keep_their_own_names(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf")
    recording = read_edf(_with_signal_field(path, "label", "C4-M1", signal=1))
    assert list(recording.signals) == ["C4-M1", "C4-M1 (C4-M1)", "EMG chin"]
    assert recording.metadata["labels"]["C4-M1 (C4-M1)"] == "C4-M1"


def test_a_channel_without_a_range_is_absent(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf")
    recording = read_edf(_with_signal_field(path, "physical_min", "what"))
    assert recording.absent == ("C4-M1",)
    assert list(recording.signals) == ["E1-M2", "EMG chin"]


def test_channels_and_overrides(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf")
    assert list(read_edf(path, channels=["E1-M2"]).signals) == ["E1-M2"]
    assert read_edf(path, overrides={"EMG chin": "Fz:eeg"})["Fz"].modality.name == "eeg"
    with pytest.raises(SharpwaveError, match="the channel 'Oz' in the file"):
        read_edf(path, channels=["Oz"])


def test_microvolts_called_volts_are_refused_and_can_be_corrected(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf", unit="V")
    with pytest.raises(SharpwaveError, match="probably a unit mistake"):
        read_edf(path)
    assert 1e-5 < read_edf(path, unit="uV")["C4-M1"].read().std() < 3e-5


def test_missing_unit_is_chosen(tmp_path: Path) -> None:
    recording = read_edf(lab.write_edf(tmp_path / "a.edf", unit=""))
    assert 1e-5 < recording["C4-M1"].read().std() < 3e-5
    assert sum("taken as uV" in repair for repair in recording.repairs) == 3


@pytest.mark.parametrize(
    ("low", "high", "value", "message"),
    [
        (0, 8, "7", "the version field"),
        (252, 256, "9999", "1 to 4096 signals"),
        (252, 256, "4000", "a header of 1024256 bytes"),
        (252, 256, "x", "a whole number for the number of signals"),
        (244, 252, "0", "a positive duration of a data record"),
        (244, 252, "nan", "a number for the duration"),
    ],
)
def test_bad_headers(low: int, high: int, value: str, message: str, tmp_path: Path) -> None:
    path = _with_bytes(lab.write_edf(tmp_path / "a.edf"), low, high, value)
    with pytest.raises(SharpwaveError, match=message):
        read_recording(path)


@pytest.mark.parametrize(("value", "message"), [("99999999", "at least one data record"), ("-4", "of 0 or more")])
def test_bad_sample_counts(value: str, message: str, tmp_path: Path) -> None:
    path = _with_signal_field(lab.write_edf(tmp_path / "a.edf"), "n_samples", value)
    with pytest.raises(SharpwaveError, match=message):
        read_recording(path)


def test_file_that_shrinks_after_its_header_was_read(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "a.edf")
    recording = read_edf(path)
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(SharpwaveError, match="stay as it was"):
        recording["C4-M1"].read()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rate=st.sampled_from([50.0, 100.0, 128.0, 256.0]),
    seconds=st.integers(1, 12),
    physical_max=st.sampled_from([50.0, 200.0, 3276.7]),
    bits=st.sampled_from([16, 24]),
)
def test_round_trip_to_the_precision_of_the_format(
    seed: int, rate: float, seconds: int, physical_max: float, bits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    written = np.random.default_rng(seed).uniform(-physical_max, physical_max, size=int(rate * seconds))
    file, signal, suffix = (edfio.Edf, edfio.EdfSignal, "edf") if bits == 16 else (edfio.Bdf, edfio.BdfSignal, "bdf")
    path = tmp_path_factory.mktemp("round") / f"trip.{suffix}"
    file(
        [signal(written, rate, label="Pz", physical_dimension="uV", physical_range=(-physical_max, physical_max))],
        data_record_duration=1,
    ).write(path)
    step = 2 * physical_max / (2**bits - 1)
    read = read_edf(path, unit="uV")["Pz"].read(dtype=np.float64) * 1e6
    assert np.abs(read - written).max() <= step / 2 * (1 + 1e-6)


@pytest.mark.parametrize(
    ("birth", "age"),
    [("01-JAN-2085", None), ("01-JAN-1892", None), ("01-JAN-1980", 43), ("02-FEB-1980", 42), ("X", None)],
)
def test_an_impossible_age_is_left_out_and_declared(birth: str, age: int | None, tmp_path: Path) -> None:
    path = lab.write_timed_edf(tmp_path / "a.edf", np.arange(5.0), patient=f"S1 F {birth} X")
    recording = read_edf(path)
    assert recording.metadata.get("age") == age
    assert any("age" in repair for repair in recording.repairs) == (age is None and birth != "X")


def test_no_age_by_a_start_date_that_stands_for_none(tmp_path: Path) -> None:
    path = lab.write_timed_edf(
        tmp_path / "a.edf",
        np.arange(5.0),
        patient="S1 F 01-JAN-1950 X",
        start="01.01.85",
        recording="Startdate X X X X",
    )
    recording = read_edf(path)
    assert "age" not in recording.metadata
    assert any("age is not known" in repair for repair in recording.repairs)


@pytest.mark.parametrize(
    ("start", "recording", "found", "said"),
    [
        ("01.02.yy", "Startdate 01-FEB-2090 X X X", datetime(2090, 2, 1, 22, 30, 15), ""),
        ("01.02.90", "Startdate 01-FEB-2090 X X X", datetime(2090, 2, 1, 22, 30, 15), ""),
        ("xx.xx.xx", "Startdate 01-feb-2023 X X X", datetime(2023, 2, 1, 22, 30, 15), ""),
        ("03.02.23", "Startdate 01-FEB-2023 X X X", datetime(2023, 2, 1, 22, 30, 15), "two start dates"),
        ("01.02.23", "Startdate X X X X", datetime(2023, 2, 1, 22, 30, 15), ""),
        ("01.02.yy", "Startdate X X X X", None, "cannot be read"),
        ("31.02.23", "", None, "cannot be read"),
    ],
)
def test_start_dates(start: str, recording: str, found: datetime | None, said: str, tmp_path: Path) -> None:
    read = read_edf(lab.write_timed_edf(tmp_path / "a.edf", np.arange(5.0), start=start, recording=recording))
    assert read.start == found
    assert (said in "; ".join(read.repairs)) if said else read.repairs == ()


@pytest.mark.parametrize(("unit", "factor"), [("uVolt", 1), ("u V", 1), ("uV/bit", 1), ("uVrms", 1), ("0.1uV", 0.1)])
def test_units_of_other_programs(unit: str, factor: float, tmp_path: Path) -> None:
    plain = read_edf(lab.write_timed_edf(tmp_path / "a.edf", np.arange(60.0)))["C4-M1"].read()
    recording = read_edf(lab.write_timed_edf(tmp_path / "b.edf", np.arange(60.0), unit=unit))
    np.testing.assert_allclose(recording["C4-M1"].read(), plain * factor, rtol=1e-5, atol=1e-12)
    assert any(unit in repair for repair in recording.repairs) == (unit not in ("uVolt", "u V"))


def test_an_unknown_unit_is_named_with_what_mends_it(tmp_path: Path) -> None:
    path = lab.write_timed_edf(tmp_path / "a.edf", np.arange(60.0), unit="LSB")
    recording = read_edf(path)
    listed, fix = describe_unknown(recording)
    assert "'EEG C4-M1' (unit 'LSB', 128 Hz)" in listed
    assert "--unit uV" in fix
    assert "--channel-alias" not in fix
    assert read_edf(path, unit="uV")["C4-M1"].modality.name == "eeg"
    with pytest.raises(SharpwaveError, match="a unit of voltage"):
        read_edf(path, unit="furlong")


def test_an_unknown_label_is_named_with_the_line_to_write(tmp_path: Path) -> None:
    path = lab.write_timed_edf(tmp_path / "a.edf", np.arange(60.0), label="Ch1")
    recording = read_edf(path)
    with pytest.raises(SharpwaveError, match=r"'Ch1' .unit 'uV', 128 Hz.*--channel-alias 'Ch1=C4-M1:eeg'"):
        choose_stager(recording, pick_channels(recording))
    with pytest.raises(SharpwaveError, match=r"what the channel 'Ch1' records.*--channel-alias 'Ch1=C4-M1:eeg'"):
        pick_channels(recording, channels=["Ch1"])
    assert read_edf(path, overrides={"Ch1": "C4-M1:eeg"})["C4-M1"].modality.name == "eeg"
    unused = read_edf(path, overrides={"Ch2": "C4-M1:eeg"})
    assert any("no channel is called 'Ch2'" in repair for repair in unused.repairs)


def test_a_derivation_named_the_other_way_round_is_turned(tmp_path: Path) -> None:
    plain = read_edf(lab.write_timed_edf(tmp_path / "a.edf", np.arange(60.0)))["C4-M1"].read()
    turned = read_edf(lab.write_timed_edf(tmp_path / "b.edf", np.arange(60.0), label="M1-C4"))
    np.testing.assert_allclose(turned["C4-M1"].read(), -plain, rtol=1e-6, atol=1e-12)
    assert any("other way round" in repair for repair in turned.repairs)
