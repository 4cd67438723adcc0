"""The registry: complete, honest about what it does not know, and the same folders as in development."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.recordings.datasets import (
    DATASETS,
    Dataset,
    compare_checksum,
    compute_checksum,
    data_root,
    find_dataset,
    list_subjects,
    load_dataset,
)

RECORDED = [name for name, dataset in DATASETS.items() if dataset.loader]
TRAINED_ON = {"ucddb", "dod", "walch", "pd-lfp", "rat-ca1", "rest-bold", "boas", "slpdb-beats", "mouse-bands"}
TRAINED_ON |= {"sleep-edf-bands", "sleep-edf-78-bands", "sleep-edf-hypnograms", "sleep-edf-sc4001-raw"}
TRAINED_ON |= {"fmri-sleep-stages"}


@pytest.mark.parametrize("dataset", DATASETS.values(), ids=list(DATASETS))
def test_each_entry_is_complete(dataset: Dataset) -> None:
    for field in ("title", "what", "folder", "licence", "citation", "how"):
        assert getattr(dataset, field)
    assert dataset.source.startswith("https://")
    assert len(dataset.sha256) == 64
    assert all(len(sha256) == 64 for _, _, sha256 in dataset.files)
    assert bool(dataset.base) == bool(dataset.files or dataset.sums)


@pytest.mark.parametrize("name", RECORDED)
def test_each_loader_keeps_the_contract(name: str, tmp_path: Path) -> None:
    module = import_module(f"sharpwave.recordings.datasets.{DATASETS[name].loader}")
    assert module.subjects(tmp_path) == []
    assert callable(module.load)


def test_only_what_licences_allow_trains() -> None:
    assert {name for name, dataset in DATASETS.items() if dataset.may_train} == TRAINED_ON
    for dataset in DATASETS.values():
        if "none stated" in dataset.licence or "ND" in dataset.licence:
            assert not dataset.may_train


def test_names_folders_and_unknown_names() -> None:
    assert find_dataset("ucddb-eeg") is find_dataset("ucddb")
    with pytest.raises(SharpwaveError, match=r"a data set among ucddb, dreams.*datasets list"):
        find_dataset("ucdb")


def test_what_is_not_there_is_said_with_its_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARPWAVE_DATA", str(tmp_path))
    with pytest.raises(SharpwaveError, match=r"datasets fetch ucddb.*physionet"):
        load_dataset("ucddb/022")
    (tmp_path / "images").mkdir()
    with pytest.raises(SharpwaveError, match="a data set of recordings, not 'images'"):
        load_dataset("images/mnist")
    monkeypatch.setenv("SHARPWAVE_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(SharpwaveError, match="SHARPWAVE_DATA to name a folder"):
        data_root()


def test_where_it_is_not_required_absence_is_nobody_but_damage_is_an_error(tmp_path: Path) -> None:
    assert list_subjects("boas", tmp_path, required=False) == []
    with pytest.raises(SharpwaveError, match="the data set 'boas'"):
        list_subjects("boas", tmp_path)
    with pytest.raises(SharpwaveError, match="a data set among"):
        list_subjects("nobody-knows-it", tmp_path, required=False)
    (tmp_path / find_dataset("boas").folder).mkdir()
    (tmp_path / find_dataset("boas").folder / "boas.npz").write_bytes(b"no archive")
    with pytest.raises(SharpwaveError, match=r"boas\.npz"):
        list_subjects("boas", tmp_path, required=False)


def test_the_root_is_the_cache_where_nothing_else_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SHARPWAVE_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_root() is None
    (tmp_path / "cache" / "sharpwave" / "data").mkdir(parents=True)
    assert data_root() == tmp_path / "cache" / "sharpwave" / "data"


@pytest.mark.parametrize("name", RECORDED)
def test_every_subject_loads(name: str, data_root: Path) -> None:
    names = list_subjects(name, data_root)
    assert names
    assert len(set(names)) == len(names)
    for subject in names[:: max(1, len(names) // 3)]:
        recording = load_dataset(f"{name}/{subject}", data_root)
        assert isinstance(recording, Recording)
        assert recording.source == f"{name}/{subject}"
        assert recording.signals or recording.spikes is not None or recording.hypnogram is not None
        for signal in recording.signals.values():
            assert np.isfinite(signal.read(signal.start, signal.start + 60)).any() or signal.modality.name in (
                "features",
                "eeg",
            )


def test_other_subjects_are_information_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_text("1")
    assert "other subjects or changed files" in compare_checksum("ucddb", tmp_path)
    known = replace(DATASETS["ucddb"], sha256=compute_checksum(tmp_path))
    monkeypatch.setitem(DATASETS, "ucddb", known)
    assert "agrees" in compare_checksum("ucddb", tmp_path)


def test_an_unknown_subject_is_named_with_the_known(data_root: Path) -> None:
    with pytest.raises(SharpwaveError, match=r"a subject of 'ucddb'.*'999'.*name it as ucddb/"):
        load_dataset("ucddb/999", data_root)
