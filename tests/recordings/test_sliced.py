"""Whatever reads samples when they are sliced slices like NumPy's array of the same samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.electrophysiology_files import write_edf

from sharpwave.recordings import MODALITIES, Recording, Signal, open_store, read_recording, write_store
from sharpwave.recordings.derivations import Difference
from sharpwave.recordings.readers.edf_samples import GriddedSamples
from sharpwave.recordings.readers.files import OnDisk
from sharpwave.recordings.sliced import Sliced
from sharpwave.signals.high_rates import lower_rate
from sharpwave.signals.pieces import split_channels
from sharpwave.signals.quality import mask_epochs, splice_epochs

N = 240
KEYS: tuple[Any, ...] = (
    slice(None),
    slice(10, 20),
    slice(-7, None),
    slice(5, 200, 3),
    slice(None, None, -1),
    slice(200, 10, -7),
    slice(20, 20),
    slice(30, 10),
    slice(N - 2, N + 50),
    0,
    -1,
    np.int64(17),
    [3, 1, -2],
    np.arange(N) % 50 == 0,
    (slice(4, 9),),
    ...,
)


def make_signal(samples: Any, name: str = "C4") -> Signal:
    return Signal(name, samples, 1.0, MODALITIES["eeg"])


def make_edf(folder: Path) -> Any:
    return next(iter(read_recording(write_edf(folder / "night.edf")).of("eeg").values())).samples


def make_store(folder: Path) -> Any:
    stored = write_store(Recording({"C4": make_signal(np.arange(N, dtype=np.int16))}), folder / "night.zarr")
    return open_store(stored)["C4"].samples


def make_grid(folder: Path) -> Any:
    return GriddedSamples.place(np.arange(N - 40), [0.0, 140.0], [(0, 100), (100, 200)], rate=1.0)


ARANGE = np.arange(float(N))
MAKERS: dict[str, Callable[[Path], Any]] = {
    "EDF": make_edf,
    "store": make_store,
    "gaps": make_grid,
    "derivation": lambda folder: Difference((make_signal(ARANGE), make_signal(ARANGE / 4, "M1"))),
    "lowered": lambda folder: lower_rate(Signal("C4", np.arange(N * 10.0), 10_000.0, MODALITIES["eeg"])).samples,
    "part": lambda folder: Signal("C4", make_store(folder), 1.0, MODALITIES["eeg"]).restrict(5, 205).samples,
    "table": lambda folder: OnDisk(np.arange(2.0 * N).reshape(N, 2), "here", factors=np.array([1.0, 3.0])),
    "column": lambda folder: split_channels(make_signal(np.arange(2.0 * N).reshape(N, 2)))["C4-1"].samples,
    "masked": lambda folder: mask_epochs(make_signal(ARANGE), np.arange(8) % 3 == 1).samples,
    "spliced": lambda folder: splice_epochs(make_signal(ARANGE), make_signal(-ARANGE), np.arange(8) % 3 == 1).samples,
}


@pytest.mark.parametrize("kind", MAKERS)
def test_samples_slice_as_an_array_does(kind: str, tmp_path: Path) -> None:
    samples = MAKERS[kind](tmp_path)
    assert isinstance(samples, Sliced)
    whole = np.asarray(samples)
    assert whole.shape == samples.shape
    assert whole.dtype == samples.dtype
    assert samples.ndim == whole.ndim
    assert len(samples) == len(whole)
    for key in KEYS:
        if isinstance(key, np.ndarray) and len(key) != len(whole):
            continue
        found = samples[key]
        np.testing.assert_array_equal(found, whole[key], err_msg=f"{kind} {key}")
        assert np.asarray(found).dtype == whole.dtype
    with pytest.raises(IndexError):
        samples[len(whole)]
    with pytest.raises(IndexError):
        samples[[0, len(whole)]]


def test_a_table_slices_along_its_columns_too() -> None:
    rows = np.arange(2.0 * N).reshape(N, 2)
    table = OnDisk(rows, "here")
    np.testing.assert_array_equal(table[3:9, 1], rows[3:9, 1])
    np.testing.assert_array_equal(table[4, 0], rows[4, 0])
    np.testing.assert_array_equal(table[..., 1], rows[..., 1])
