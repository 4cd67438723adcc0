"""NWB as Zarr reads as the same session in HDF5 does; nothing leads out of the folder, nothing unpacks to a giant."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numcodecs
import numpy as np
import pytest
import zarr
from tests.files import write_small_nwb

from sharpwave import read_recording
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers.nwb import read_nwb
from sharpwave.recordings.readers.nwb_zarr_arrays import claim_size

STATES = "processing/behavior/sleep_states"


def copy_to_zarr(source: Path, target: Path, *, version: int = 2, texts: str = "vlen-utf8") -> Path:
    """The groups and arrays of an HDF5 file as a folder of Zarr."""

    def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
        plain = {key: value for key, value in item.attrs.items() if isinstance(value, str | int | float | np.generic)}
        attributes = {key: getattr(value, "item", lambda value=value: value)() for key, value in plain.items()}
        if isinstance(item, h5py.Group):
            root.require_group(name).attrs.update(attributes)
        elif item.dtype.kind in "biuf":
            values = np.atleast_1d(item[()])
            array = root.create_array(name, shape=values.shape, dtype=values.dtype)
            array[...] = values
            array.attrs.update(attributes)
        elif item.dtype.kind == "O" and item.dtype.metadata and "ref" not in item.dtype.metadata and item.ndim < 2:
            words = [word.decode() if isinstance(word, bytes) else word for word in np.atleast_1d(item[()])]
            if all(isinstance(word, str) for word in words):
                write_texts(target / name, words, attributes, version=version, texts=texts)

    root = zarr.open_group(str(target), mode="w", zarr_format=version)
    with h5py.File(source) as file:
        root.attrs.update({"nwb_version": str(file.attrs["nwb_version"]), "neurodata_type": "NWBFile"})
        names: list[str] = []
        file.visit(
            names.append
        )  # within a visit h5py is locked: an array made there waits for a thread that may need it
        for name in names:
            copy(name, file[name])
    return target


def write_texts(folder: Path, words: list[str], attributes: dict, *, version: int, texts: str) -> None:
    if version == 3:
        array = zarr.create_array(str(folder), shape=(len(words),), dtype=str, zarr_format=3)
        array[:] = np.array(words, dtype=np.dtypes.StringDType())
        array.attrs.update(attributes)
        return
    codec = {"vlen-utf8": numcodecs.VLenUTF8(), "json2": numcodecs.JSON(), "pickle": numcodecs.Pickle()}[texts]
    packed = numcodecs.Blosc().encode(codec.encode(np.array(words, dtype=object)))
    folder.mkdir(parents=True)
    (folder / "0").write_bytes(packed)
    declared = {"shape": [len(words)], "chunks": [max(len(words), 1)], "dtype": "|O", "order": "C", "zarr_format": 2}
    declared |= {"fill_value": None, "compressor": numcodecs.Blosc().get_config(), "filters": [codec.get_config()]}
    (folder / ".zarray").write_text(json.dumps(declared))
    (folder / ".zattrs").write_text(json.dumps(attributes))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_nwb(tmp_path_factory.mktemp("nwb") / "session.nwb")


@pytest.fixture
def folder(original: Path, tmp_path: Path) -> Path:
    (tmp_path / "secret").mkdir()
    np.full(4, 4321.25).tofile(tmp_path / "secret" / "0")
    return copy_to_zarr(original, tmp_path / "session.nwb.zarr")


@pytest.mark.parametrize(
    ("name", "version", "texts"),
    [("a.nwb.zarr", 2, "vlen-utf8"), ("a.zarr", 2, "json2"), ("a.nwb", 2, "vlen-utf8"), ("a.zarr", 3, "")],
)
def test_the_same_session_as_in_hdf5(original: Path, tmp_path: Path, name: str, version: int, texts: str) -> None:
    expected = read_nwb(original)
    found = read_recording(copy_to_zarr(original, tmp_path / name, version=version, texts=texts))
    assert list(found.signals) == list(expected.signals)
    for key, signal in expected.signals.items():
        assert (found[key].rate, found[key].start) == (signal.rate, signal.start)
        assert (found[key].channels, found[key].modality) == (signal.channels, signal.modality)
        np.testing.assert_allclose(found[key].read(), signal.read())
    np.testing.assert_allclose(found["ElectricalSeries"].read(10, 10.1), expected["ElectricalSeries"].read(10, 10.1))
    for unit in expected.spikes:
        np.testing.assert_allclose(found.spikes[unit].t, expected.spikes[unit].t)
    assert found.hypnogram.labels == expected.hypnogram.labels
    assert (found.subject, found.species, found.start) == (expected.subject, expected.species, expected.start)
    assert found.metadata["electrodes"] == expected.metadata["electrodes"]


def test_a_zarr_folder_that_is_no_session_is_still_a_store_or_refused(tmp_path: Path) -> None:
    zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    with pytest.raises(SharpwaveError, match=r"without zarr\.json"):
        read_recording(tmp_path / "a.zarr")
    (tmp_path / "b.nwb").mkdir()
    with pytest.raises(SharpwaveError, match=r"NWB as Zarr.* in the folder b.nwb"):
        read_recording(tmp_path / "b.nwb")


def test_pickled_texts_are_never_opened(original: Path, tmp_path: Path) -> None:
    found = read_recording(copy_to_zarr(original, tmp_path / "a.zarr", texts="pickle"))
    assert any("sleep_states/label (stored with pickle, which is not opened)" in said for said in found.absent)
    assert found.hypnogram is None


def link_piece(folder: Path) -> None:
    piece = folder / STATES / "start_time" / "0"
    piece.unlink()
    piece.symlink_to(folder.parent / "secret" / "0")


def link_array(folder: Path) -> None:
    (folder / STATES / "start_time").rename(folder.parent / "elsewhere")
    (folder / STATES / "start_time").symlink_to(folder.parent / "elsewhere")


def link_store(folder: Path) -> None:
    (folder / STATES / "start_time").rename(folder.parent / "start_time")
    attributes = json.loads((folder / STATES / ".zattrs").read_text())
    attributes["zarr_link"] = [{"name": "start_time", "source": "..", "path": "/start_time"}]
    (folder / STATES / ".zattrs").write_text(json.dumps(attributes))


@pytest.mark.parametrize("lead_out", [link_piece, link_array, link_store])
def test_what_leads_out_of_the_folder_is_not_followed(folder: Path, lead_out: Callable[[Path], None]) -> None:
    lead_out(folder)
    found = read_recording(folder)
    assert any("start_time (in another file)" in said for said in found.absent)
    assert found.hypnogram is None
    assert not (found.events["onset"] == 4321.25).any()


def test_links_inside_the_folder_are_followed(folder: Path) -> None:
    (folder / STATES / "start_time").rename(folder / "acquisition" / "times")
    attributes = json.loads((folder / STATES / ".zattrs").read_text())
    attributes["zarr_link"] = [{"name": "start_time", "source": ".", "path": "/acquisition/times"}]
    (folder / STATES / ".zattrs").write_text(json.dumps(attributes))
    assert read_recording(folder).hypnogram.labels == ["W", "NREM", "R", "NREM"]
    attributes["zarr_link"][0]["path"] = f"/{STATES}/start_time"  # a circle
    (folder / STATES / ".zattrs").write_text(json.dumps(attributes))
    assert read_recording(folder).hypnogram is None


def test_giants_are_not_allocated(folder: Path) -> None:
    declared = folder / "units" / "spike_times" / ".zarray"
    honest = json.loads(declared.read_text())
    declared.write_text(json.dumps(honest | {"shape": [9 * 10**7]}))
    with pytest.raises(SharpwaveError, match=r"declares.*incomplete"):
        read_recording(folder)
    declared.write_text(json.dumps(honest | {"shape": [10**4], "chunks": [10**12]}))
    with pytest.raises(SharpwaveError, match="pieces of"):
        read_recording(folder)
    declared.write_text(json.dumps(honest | {"compressor": numcodecs.Zstd().get_config()}))
    (declared.parent / "0").write_bytes(numcodecs.Zstd().encode(np.zeros(10**8, dtype="u1")))
    with pytest.raises(SharpwaveError, match="unpacks to 100000000 bytes"):
        read_recording(folder)


@pytest.mark.parametrize("codec", [numcodecs.Zstd(), numcodecs.Blosc(), numcodecs.LZ4()])
@pytest.mark.parametrize("size", [3, 200, 300, 70_000, 20_000_000])
def test_what_a_piece_unpacks_to_is_known_before(codec, size: int) -> None:
    packed = codec.encode(np.arange(size, dtype="u1"))
    assert claim_size(codec.codec_id, packed[:18], len(packed)) == size


def test_damaged_folders_end_in_words(folder: Path) -> None:
    for name in (".zattrs", "units/.zattrs", "units/spike_times/.zarray", "units/spike_times/0"):
        kept = (folder / name).read_bytes()
        for broken in (b"{", b"[1, 2]", kept[: len(kept) // 2], b"\xff" * 40):
            (folder / name).write_bytes(broken)
            said = ""
            try:
                read_recording(folder)
            except SharpwaveError as error:
                said = str(error)
            assert not said or "session.nwb" in said
        (folder / name).write_bytes(kept)
