from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal, open_store, write_store
from sharpwave.recordings.store import append_store, layout

START = datetime(2024, 3, 1, 9)
SECONDS = 3000


def make_part(first: int, last: int) -> Recording:
    """Seconds first to last of one long recording at 100 Hz and 1 Hz, with stages and events."""
    rng = np.random.default_rng(0)
    eeg = rng.integers(-999, 999, 100 * SECONDS).astype(np.int16)[100 * first : 100 * last]
    pulse = np.arange(SECONDS, dtype=np.float32)[first:last]
    stages = rng.integers(0, 5, SECONDS // 30).astype(np.int8)[first // 30 : last // 30]
    events = pd.DataFrame({"onset": [5.0], "duration": [1.0], "label": [f"at {first}"]})
    signals = {
        "EEG": Signal("EEG", eeg, 100.0, MODALITIES["eeg"], scale=1e-7),
        "pulse": Signal("pulse", pulse, 1.0, MODALITIES["heart_rate"]),
    }
    return Recording(signals, hypnogram=Hypnogram(stages), events=events, start=START + timedelta(seconds=first))


@pytest.fixture
def small_shards(monkeypatch):
    """Many shards in a short recording, of which the last is never full."""
    monkeypatch.setattr(layout, "SHARD_BYTES", 1 << 17)


def check_same(one: Recording, other: Recording) -> None:
    for name in one.signals:
        assert np.array_equal(np.asarray(one[name].samples[:]), np.asarray(other[name].samples[:])), name
    assert one.hypnogram == other.hypnogram
    assert (one.start, one.duration) == (other.start, other.duration)


def test_appending_day_by_day_equals_one_write(tmp_path: Path, small_shards: None) -> None:
    whole = open_store(write_store(make_part(0, SECONDS), tmp_path / "whole.zarr"))
    path = write_store(make_part(0, 900), tmp_path / "grown.zarr")
    for first, last in ((900, 1230), (1230, 2400), (2400, 3000)):
        append_store(path, make_part(first, last))
    grown = open_store(path)
    check_same(grown, whole)
    assert grown.events["onset"].tolist() == [5.0, 905.0, 1235.0, 2405.0]
    assert {item.name for item in path.iterdir()} == {"zarr.json", "signals", "events-3", "hypnogram-3"}


@pytest.mark.parametrize("after", [1, 2, "tables", "head"])
def test_what_is_stopped_in_the_middle_leaves_what_was_there(
    after: int | str, tmp_path: Path, small_shards: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_store(make_part(0, 900), tmp_path / "year.zarr")
    pieces = []

    def stop(*_: object) -> None:
        pieces.append(1)
        if after == len(pieces):
            raise InterruptedError

    with monkeypatch.context() as patched:
        module = "sharpwave.recordings.store.append"
        if after == "tables":
            patched.setattr(f"{module}.write_table", lambda *_: (_ for _ in ()).throw(InterruptedError()))
        if after == "head":
            patched.setattr(f"{module}.encode_json", lambda *_: (_ for _ in ()).throw(InterruptedError()))
        with pytest.raises(InterruptedError):
            append_store(path, make_part(900, 3000), progress=stop)
    check_same(open_store(path), make_part(0, 900))
    append_store(path, make_part(900, 3000))
    check_same(open_store(path), make_part(0, 3000))


def test_what_a_killed_process_left_goes_with_the_next_append(tmp_path: Path, small_shards: None) -> None:
    path = write_store(make_part(0, 900), tmp_path / "year.zarr")
    append_store(path, make_part(900, 1200))
    before = {item.relative_to(path) for item in path.rglob("*")}
    shutil.copytree(path / "events-1", path / "events-7")  # tables before the head that would name them
    shutil.copytree(path / "hypnogram-1", path / "hypnogram")  # old tables after the head that named them
    for name in ("signals/0/c/2.0a1b.partial", "zarr.0a1b.partial"):
        (path / name).write_bytes(b"half a file")
    with pytest.raises(SharpwaveError, match="holds that time already"):  # the append had ended, all but the tidying
        append_store(path, make_part(900, 1200))
    assert {item.relative_to(path) for item in path.rglob("*")} == before
    check_same(open_store(append_store(path, make_part(1200, 3000))), make_part(0, 3000))
    assert (path / "events-2").is_dir()


def test_what_does_not_follow_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    path = write_store(make_part(0, 900), tmp_path / "year.zarr")
    later = make_part(900, 1200)
    other = replace(later, signals={"EEG": later["EEG"]})
    scaled = replace(later, signals={**later.signals, "EEG": replace(later["EEG"], scale=1e-6)})
    for wrong, message in (
        (make_part(960, 1200), "60 s later"),
        (make_part(0, 900), "900 s earlier.*holds that time already"),
        (make_part(1500, 1800), "give --time-zone"),
        (other, "no signal 'pulse'"),
        (scaled, "scale 1e-06 of 'EEG', not 1e-07"),
    ):
        with pytest.raises(SharpwaveError, match=message):
            append_store(path, wrong)
    check_same(open_store(path), make_part(0, 900))


def test_another_person_or_what_is_there_already_is_not_appended(tmp_path: Path) -> None:
    def forget(part: Recording, **values) -> Recording:
        return replace(part, start=None, **values)

    path = write_store(forget(make_part(0, 900), subject="7"), tmp_path / "year.zarr")
    with pytest.raises(SharpwaveError, match="subject 8, not 7"):
        append_store(path, forget(make_part(900, 1200), subject="8"))
    with pytest.raises(SharpwaveError, match="ends already"):
        append_store(path, forget(make_part(0, 900)))
    assert open_store(path).duration == 900
    append_store(path, forget(make_part(900, 1200)))
    with pytest.raises(SharpwaveError, match="ends already"):
        append_store(path, forget(make_part(900, 1200)))
    assert open_store(path).duration == 1200


def test_what_would_shift_a_signal_is_not_appended(tmp_path: Path) -> None:
    part = make_part(0, 900)
    short = replace(part["pulse"], samples=part["pulse"].samples[:880])
    path = write_store(replace(part, signals={**part.signals, "pulse": short}), tmp_path / "year.zarr")
    with pytest.raises(SharpwaveError, match="'pulse' that would be shifted: the store has it to 880 s"):
        append_store(path, make_part(900, 1200))


def test_gains_that_differ_by_a_rounding_are_one(tmp_path: Path) -> None:
    path = write_store(make_part(0, 900), tmp_path / "year.zarr")
    later = make_part(900, 1200)
    near = replace(later["EEG"], scale=1e-7 * (1 + 2e-12))
    check_same(
        open_store(append_store(path, replace(later, signals={**later.signals, "EEG": near}))), make_part(0, 1200)
    )


@pytest.mark.parametrize(
    ("first", "second", "passed"),
    [
        (datetime(2024, 3, 30, 12), datetime(2024, 3, 31, 12), 23),
        (datetime(2024, 10, 26, 12), datetime(2024, 10, 27, 12), 25),
        (datetime(2024, 10, 26, 12), datetime(2024, 10, 27, 2, 30), 15.5),
        (datetime(2024, 6, 1, 12), datetime(2024, 6, 2, 12), 24),
    ],
)
def test_clocks_that_were_set_between_files_are_followed(first: datetime, second: datetime, passed: float) -> None:
    from sharpwave.commands.append import follow_clock

    store = Recording({"EEG": Signal("EEG", np.zeros(round(passed * 3600)), 1.0, MODALITIES["eeg"])}, start=first)
    after = replace(store, start=second)
    assert follow_clock(after, store, "Europe/Berlin").start == first + timedelta(hours=passed)


def test_small_reads_that_follow_one_another_are_few_large_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    eeg = make_part(0, SECONDS)["EEG"]
    samples = open_store(write_store(make_part(0, SECONDS), tmp_path / "a.zarr"))["EEG"].samples
    reads = []
    read = layout.StoredArray._read
    monkeypatch.setattr(
        layout.StoredArray, "_read", lambda self, low, high: reads.append(high - low) or read(self, low, high)
    )
    for low in range(0, len(eeg), 3000):
        piece = samples[low : low + 3000]
        assert np.array_equal(piece, eeg.samples[low : low + 3000])
        piece[:] = 0  # what was handed out belongs to who asked
    assert len(reads) == 3
    rng = np.random.default_rng(1)
    for low in rng.integers(0, len(eeg) - 9000, 40).tolist():
        high = low + int(rng.integers(1, 9000))
        assert np.array_equal(samples[low:high], eeg.samples[low:high])
    assert np.array_equal(samples[:], eeg.samples)
    reads.clear()
    for low in (200_000, 100_000, 0):
        samples[low : low + 10]
    assert reads == [10, 10, 10], "reads here and there are not made larger"
