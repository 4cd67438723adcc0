"""What the user says of a channel and of its unit is taken in every format that holds voltages."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests import electrophysiology_files as lab
from tests import files, neo_files, watch_files
from typer.testing import CliRunner

from sharpwave.commands import bids
from sharpwave.commands.cli import app
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.recordings.readers import BY_CONTENT, READERS, read_recording


@dataclass(frozen=True)
class Written:
    """A file of a format.

    Attributes:
        write: Writes it into a folder.
        label: Label of one of its voltages, as the file has it.
        options: What the format needs besides.
        refused: A unit by which its amplitude could be no EEG, which is refused; "" where any is taken.
    """

    write: Callable[[Path], Path]
    label: str
    options: tuple[tuple[str, float], ...] = ()
    refused: str = ""


def write_table(path: Path) -> Path:
    """Five minutes of a headband's EEG in a column that no reader knows, with its rate from the clock."""
    times = np.arange(0, 300, 1 / 64)
    values = 20 * np.random.default_rng(0).standard_normal(len(times))
    separator = "\t" if path.suffix == ".tsv" else ","
    pd.DataFrame({"time": times, "TP9": values}).to_csv(path, index=False, sep=separator, float_format="%.6f")
    return path


def make_volts() -> np.ndarray:
    return 20e-6 * np.random.default_rng(0).standard_normal(250 * 120)


def write_session(folder: Path) -> Path:
    """A CellExplorer session with a field potential; the file of its units names it."""
    neo_files.write_neuroscope(neo_files.write_cellexplorer(folder), neo_files.make_counts(90_000))
    return folder / "rat.spikes.cellinfo.mat"


FORMATS = {
    "edf": Written(lambda folder: lab.write_edf(folder / "a.edf"), "C4-M1"),
    "bdf": Written(lambda folder: lab.write_bdf(folder / "a.bdf"), "C4-M1"),
    "fif": Written(lambda folder: lab.write_fif(folder / "a_raw.fif"), "C4-M1"),
    "brainvision": Written(lambda folder: lab.write_brainvision(folder / "a.vhdr"), "C4"),
    "eeglab": Written(lambda folder: lab.write_eeglab(folder / "a.set"), "C4"),
    "wfdb": Written(lambda folder: lab.write_wfdb(folder / "a.hea"), "F3-M2"),
    "text": Written(lambda folder: lab.write_text_channel(folder / "a.txt"), "C3-A1", (("rate", 128.0),)),
    "nwb": Written(lambda folder: files.write_small_nwb(folder / "a.nwb"), ""),
    "csv": Written(lambda folder: write_table(folder / "a.csv"), "TP9", refused="V"),
    "tsv": Written(lambda folder: write_table(folder / "a.tsv"), "TP9", refused="V"),
    "zarr": Written(lambda folder: files.write_small_store(folder / "a.zarr"), ""),
    "bids": Written(files.write_small_bids, "C4-M1"),
    "muse": Written(
        lambda folder: watch_files.write_muse(folder / "a.csv", np.stack([make_volts()] * 4, axis=1)),
        "TP9",
    ),
    "openbci": Written(lambda folder: watch_files.write_openbci(folder / "a.txt", make_volts()[:, None]), "EXG 0"),
    "dreem": Written(lambda folder: watch_files.write_dreem(folder / "a.h5", make_volts()), "F3-O1"),
    "neuroscope": Written(lambda folder: neo_files.write_neuroscope(folder, neo_files.make_counts(90_000)), "1"),
    "cellexplorer": Written(write_session, "1"),
}


def find_label(path: Path, written: Written) -> str:
    """The label; of formats that name their signals themselves, the first voltage."""
    signals = read_recording(path, **dict(written.options)).signals  # type: ignore[arg-type]
    return written.label or next(name for name, signal in signals.items() if signal.modality.unit == "V")


def test_every_reader_of_voltages_is_tried(tmp_path: Path) -> None:
    from fnmatch import fnmatch

    tried = set()
    for name, written in FORMATS.items():
        (tmp_path / name).mkdir()
        path = written.write(tmp_path / name)
        inside = (reader for ending, mark, reader in BY_CONTENT if path.suffix == ending and mark in path.read_bytes())
        named = (reader for pattern, reader in READERS.items() if fnmatch(path.name, pattern))
        tried.add(next(chain(inside, named)).function)
    without = {"read_bold", "read_apple_health", "read_fitbit", "read_oura", "read_actiwatch"} | {
        "read_gt3x",
        "read_geneactiv",
        "read_accelerometer_table",
    }
    readers = [*READERS.values(), *(reader for _, _, reader in BY_CONTENT)]
    assert tried == {reader.function for reader in readers} - without


@pytest.mark.parametrize("name", FORMATS)
def test_a_channel_is_what_the_user_says(name: str, tmp_path: Path) -> None:
    written = FORMATS[name]
    path, options = written.write(tmp_path), dict(written.options)
    label = find_label(path, written)
    recording = read_recording(path, overrides={label: "F7-O1:eeg"}, **options)  # type: ignore[arg-type]
    assert recording["F7-O1"].modality.name == "eeg"
    assert not any(label == name for name in recording.signals)


@pytest.mark.parametrize("name", FORMATS)
def test_numbers_are_in_the_unit_that_the_user_says(name: str, tmp_path: Path) -> None:
    written = FORMATS[name]
    path, options = written.write(tmp_path), dict(written.options)
    label = find_label(path, written)
    given = read_recording(path, overrides={label: "F7-O1:eeg"}, unit="uV", **options)["F7-O1"]  # type: ignore[arg-type]
    amplitude = np.nanpercentile(np.abs(given.read()), 75)
    if name not in ("fif", "nwb", "zarr", "neuroscope", "cellexplorer"):  # their numbers are no µV, but are taken so
        assert 1e-6 < amplitude < 1e-3
    if written.refused:
        with pytest.raises(SharpwaveError, match="--unit"):
            read_recording(path, overrides={label: "F7-O1:eeg"}, unit=written.refused, **options)  # type: ignore[arg-type]
    else:
        milli = read_recording(path, overrides={label: "F7-O1:eeg"}, unit="mV", **options)["F7-O1"]  # type: ignore[arg-type]
        assert np.allclose(1000 * np.asarray(given.read(), dtype=float), milli.read(), rtol=1e-5)
    with pytest.raises(SharpwaveError, match="--unit"):
        read_recording(path, unit="bpm", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["edf", "fif", "nwb", "csv", "zarr"])
def test_the_command_line_takes_both(name: str, tmp_path: Path) -> None:
    written = FORMATS[name]
    path = written.write(tmp_path)
    given = ["--channel-alias", f"{find_label(path, written)}=F7-O1:eeg", "--unit", "uV"]
    result = CliRunner().invoke(app, ["convert", str(path), "-o", str(tmp_path / "out.zarr"), *given])
    assert result.exit_code == 0, result.output
    assert "F7-O1" in read_recording(tmp_path / "out.zarr").signals


def test_a_bids_app_takes_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files.write_small_bids(tmp_path / "set")
    seen: list[DecodeOptions] = []
    monkeypatch.setattr(bids, "decode_nights", lambda tasks, options, **run: seen.append(options) or [])
    arguments = ["bids", str(tmp_path / "set"), str(tmp_path / "out"), "participant"]
    given = ["--channel-alias", "C4-M1=F7-O1:eeg", "--unit", "uV"]
    CliRunner().invoke(app, [*arguments, *given])
    recording = open_source(next((tmp_path / "set").rglob("*_eeg.edf")), seen[0])
    assert recording["F7-O1"].modality.name == "eeg"
    assert seen[0].unit == "uV"
