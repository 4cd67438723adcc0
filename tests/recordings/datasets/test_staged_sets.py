"""Sets of staged sleep without raw signals: files in their layout that the tests write, then the real folders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import (
    boas,
    find_dataset,
    hmc_bands,
    hypnogram_sets,
    list_subjects,
    load_dataset,
    mouse_bands,
    sleep_edf_78_bands,
    sleep_edf_bands,
    sleep_edf_raw,
    slpdb_beats,
)
from sharpwave.recordings.datasets.files import read_archive

STAGES = np.array([0, 1, 2, 3, 4], dtype=np.int8)


def write_exact(folder: Path, *, name: str = "SC4001") -> np.ndarray:
    values = np.arange(5 * 2 * 7, dtype=np.float32).reshape(5, 2, 7)
    np.savez(folder / "bands.npz", **{f"{name}_x": values, f"{name}_y": STAGES})
    return values


def write_slpdb(folder: Path, **changes: object) -> None:
    arrays = {
        "beats": np.array([0.5, 1.5, 2.5, 2.6, 3.6], np.float32),
        "onset": np.array([0.004, 30.0, 90.0]),
        "stage": np.array([0, 2, 4], np.int8),
        "aux": np.array(["W", "2 HA LA", "R"]),
    }
    np.savez(folder / "slpdb.npz", **{f"slp02a_{key}": value for key, value in (arrays | changes).items()})


def test_exact_bands_take_the_clock_from_the_hypnogram(tmp_path: Path) -> None:
    folder, beside = tmp_path / "sleep-edf-bands", tmp_path / "sleep-edf-hypnograms"
    folder.mkdir()
    beside.mkdir()
    values = write_exact(folder)
    alone = sleep_edf_bands.load(folder, "SC4001")
    assert "unscored epochs are cut out" in alone.repairs[0]
    np.savez(beside / "hypnograms.npz", SC4001EC=np.array([0, 1, -1, 2, 3, 4, -1], dtype=np.int8))
    night = sleep_edf_bands.load(folder, "SC4001")
    assert night.hypnogram.stages.tolist() == [0, 1, -1, 2, 3, 4]
    assert night.subject == "SC400"
    np.testing.assert_array_equal(night["EEG Pz-Oz"].read()[[0, 1, 3, 4, 5]], values[:, 1])
    assert np.isnan(night["EEG Pz-Oz"].read()[2]).all()


def test_relative_bands_are_cut_by_night_and_become_log10(tmp_path: Path) -> None:
    power = np.log(np.full((5, 3, 5), 100.0)).astype(np.float16)
    power[3:] = 0
    rows = {"stage": STAGES, "night": np.array([0, 0, 0, 1, 1], np.int16)}
    people = {"subject": np.array([7, 7], np.int16), "night_number": np.array([1, 2], np.int8)}
    np.savez(tmp_path / "bands.npz", log_power=power, **rows, **people)
    assert sleep_edf_78_bands.subjects(tmp_path) == ["SC4071", "SC4072"]
    first, second = (sleep_edf_78_bands.load(tmp_path, name) for name in ("SC4071", "SC4072"))
    np.testing.assert_allclose(first["EOG horizontal"].read(), 2.0, rtol=1e-3)
    assert (first.subject, second.subject, second.hypnogram.stages.tolist()) == ("SC407", "SC407", [3, 4])


def test_hmc_puts_rows_at_their_epochs_and_counts_what_differs(tmp_path: Path) -> None:
    frequency = np.ones((2, 3, 3), np.float16)
    np.savez(
        tmp_path / "hmc.npz",
        mean_power=np.full((2, 3, 3), 0.01, np.float32),
        **dict.fromkeys(hmc_bands.FREQUENCIES, frequency),
        patient=np.array([5, 5], np.int16),
        stage=np.array([2, 4], np.int8),
        epoch=np.array([1, 3], np.int16),
        hypnogram=np.array([0, 2, 2, 3, 0], np.int8),
        hypnogram_patient=np.array([5, 5, 5, 5, 6], np.int16),
    )
    assert hmc_bands.subjects(tmp_path) == ["005", "006"]
    night = hmc_bands.load(tmp_path, "005")
    power = night["EEG C4-M1"].read()
    np.testing.assert_allclose(power[[1, 3], :3], -2.0, rtol=1e-5)
    assert np.isnan(power[[0, 2]]).all()
    assert night.repairs == ("1 rows have another stage than the hypnogram",)
    assert not hmc_bands.load(tmp_path, "006").signals


def test_slpdb_turns_beats_into_rate_and_marks_into_events(tmp_path: Path) -> None:
    write_slpdb(tmp_path)
    night = slpdb_beats.load(tmp_path, "slp02a")
    assert night.hypnogram.stages.tolist() == [0, 2, -1, 4]
    np.testing.assert_allclose(night["heart_rate"].read(), [60, 60, np.nan, 60], rtol=1e-5)
    assert night.events["label"].tolist() == ["hypopnoea with arousal", "leg movement with arousal"]
    assert night.events["onset"].tolist() == [30.0, 30.0]
    assert night.subject == "slp02"


@pytest.mark.parametrize(
    "changes",
    [
        {"beats": np.array([1.0, 1.0, 2.0])},
        {"stage": np.zeros(2, np.int8)},
        {"onset": np.array([0.0, 0.0, 30.0])},
        {"onset": np.array([0.0, 30.0, 1e9])},
    ],
)
def test_slpdb_refuses_what_does_not_fit(tmp_path: Path, changes: dict) -> None:
    write_slpdb(tmp_path, **changes)
    with pytest.raises(SharpwaveError, match=r"slp02a.*data set's own file"):
        slpdb_beats.load(tmp_path, "slp02a")


def test_boas_names_the_person_and_what_machines_said(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 8, 4], [0, 2, -2, 4], [0, 2, 3, -1]], dtype=np.int8)
    np.savez(tmp_path / "boas.npz", **{"sub-10": rows, "sub-9": rows})
    (tmp_path / "participants.tsv").write_text("participant_id\tage\tsex\tbmi\tpid\nsub-10\t40.0\tF\t22.0\t7\n")
    assert boas.subjects(tmp_path) == ["sub-9", "sub-10"]
    night = boas.load(tmp_path, "sub-10")
    assert (night.subject, night.metadata["age"]) == ("pid-7", "40.0")
    assert night.hypnogram.stages.tolist() == [0, 1, -1, 4]
    assert night.metadata["machines"]["headband_network"].stages.tolist() == [0, 2, 3, -1]
    assert "a person of its own" in boas.load(tmp_path, "sub-9").repairs[0]


def test_mouse_is_on_its_clock_and_split_by_session(tmp_path: Path) -> None:
    clock = np.array([[4, 1, 0], [6, 1, 0], [0, 2, 1]], dtype=float)
    linked = np.array([[4, 0, 1, 61], [6, 1, 3, 61], [0, 2, 2, 61]], np.int32)
    np.savez(tmp_path / "mouse.npz", bandsD=np.full((3, 6), 1000.0, np.float32), epochsLinked=linked, epochTime=clock)
    first = mouse_bands.load(tmp_path, "baseline")
    assert first.hypnogram.labels == ["W", "?", "R"]
    np.testing.assert_allclose(first["bands"].read()[[0, 2]], 3.0)
    assert mouse_bands.load(tmp_path, "recovery").hypnogram.labels == ["NREM"]


def test_raw_sleep_edf_comes_in_volts(tmp_path: Path) -> None:
    eeg = np.full((2, 3000), 500, np.int16)
    about = {"scale_uv": 0.1, "rate": 100.0, "channel": "EEG Fpz-Cz", "subject": "SC4001E0"}
    np.savez(tmp_path / "sc4001.npz", eeg=eeg, stage=np.array([0, 2], np.int8), **about)
    night = sleep_edf_raw.load(tmp_path, "SC4001")
    np.testing.assert_allclose(night["EEG Fpz-Cz"].read(), 5e-5, rtol=1e-6)
    assert night.duration == 60.0
    np.savez(tmp_path / "sc4001.npz", eeg=eeg, stage=np.zeros(3, np.int8), **about)
    with pytest.raises(SharpwaveError, match="a stage per epoch"):
        sleep_edf_raw.load(tmp_path, "SC4001")


def test_hypnograms_of_both_sources(tmp_path: Path) -> None:
    table = "subject\trun\tonset\tstage\n2\trun-1\t0\tW\n2\trun-1\t60\t2\n2\trun-1\t90\t1 (uncertain)\n"
    (tmp_path / "stages.tsv").write_text(table)
    assert hypnogram_sets.subjects(tmp_path) == ["2-run-1"]
    assert hypnogram_sets.load(tmp_path, "2-run-1").hypnogram.labels == ["W", "?", "N2", "?"]
    np.savez(tmp_path / "hypnograms.npz", SC4001EC=STAGES, ST7021JM=np.array([0, 9], np.int8))
    assert hypnogram_sets.load(tmp_path, "SC4001EC").subject == "SC400"
    with pytest.raises(SharpwaveError, match="stages from -1 to 4"):
        hypnogram_sets.load(tmp_path, "ST7021JM")


@pytest.mark.parametrize(
    "module",
    [boas, hmc_bands, hypnogram_sets, mouse_bands, sleep_edf_78_bands, sleep_edf_bands, sleep_edf_raw, slpdb_beats],
)
def test_unknown_subject_is_named(tmp_path: Path, module: ModuleType) -> None:
    with pytest.raises(SharpwaveError, match="none found in this folder"):
        module.load(tmp_path, "nobody")


def write_pickle(path: Path) -> None:
    np.savez(path, a=np.array([{"x": 1}], dtype=object))


def write_other(path: Path) -> None:
    path.write_bytes(b"PK nothing")


@pytest.mark.parametrize("write", [write_pickle, write_other])
def test_an_archive_that_is_none_is_refused(tmp_path: Path, write: Callable[[Path], None]) -> None:
    write(tmp_path / "a.npz")
    with pytest.raises(SharpwaveError, match=r"readable .npz file.*a\.npz"):
        read_archive(tmp_path / "a.npz")


def test_an_archive_too_large_or_incomplete_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1000))
    with pytest.raises(SharpwaveError, match="no b"):
        read_archive(tmp_path / "a.npz", ("a", "b"))
    monkeypatch.setattr("sharpwave.recordings.datasets.files.MOST_BYTES", 1000)
    np.savez_compressed(tmp_path / "b.npz", a=np.zeros(1000))
    with pytest.raises(SharpwaveError, match="at most 1000 bytes"):
        read_archive(tmp_path / "b.npz")


@pytest.mark.parametrize(
    ("name", "nights", "people"),
    [("sleep-edf-bands", 14, 7), ("sleep-edf-78-bands", 113, 58), ("boas", 76, 60), ("slpdb-beats", 11, 11)],
)
def test_real_sets_have_the_people_that_they_should(data_root: Path, name: str, nights: int, people: int) -> None:
    names = list_subjects(name, data_root)
    if not (data_root / find_dataset(name).folder).is_dir() or len(names) < nights:
        pytest.skip("other subjects than in development")
    assert len(names) == nights
    assert len({load_dataset(f"{name}/{one}", data_root).subject for one in names}) == people
