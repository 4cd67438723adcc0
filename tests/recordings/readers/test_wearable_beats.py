"""Tables of heart beats, as chest straps and programs for heart-rate variability write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.readers.wearable_beats import name_lone_intervals
from sharpwave.recordings.recording import Recording
from sharpwave.signals.heart_beats import find_rate_beats


@pytest.fixture
def gaps(rng: np.random.Generator) -> np.ndarray:
    return np.round(0.9 + 0.1 * np.sin(np.arange(2000) / 3) + rng.normal(0, 0.02, 2000), 3)


def read(folder: Path, columns: dict[str, np.ndarray]) -> Recording:
    path = folder / "beats.csv"
    pd.DataFrame(columns).to_csv(path, index=False)
    return read_recording(path)


@pytest.mark.parametrize(
    ("name", "scale"), [("RR-interval [ms]", 1000.0), ("rr_ms", 1000.0), ("ibi", 1.0), ("NN (s)", 1.0)]
)
def test_intervals_without_a_clock_are_their_own_clock(
    name: str, scale: float, tmp_path: Path, gaps: np.ndarray
) -> None:
    recording = read(tmp_path, {name: np.round(gaps * scale, 4)})
    signal = next(iter(recording.of("heart_rate").values()))
    beats = find_rate_beats(signal)
    assert beats is not None
    np.testing.assert_allclose(np.diff(beats), gaps, atol=1e-3)
    assert any("sums of" in sentence for sentence in recording.repairs)


@pytest.mark.parametrize("head", ["rr_ms", "Phone timestamp;RR-interval [ms]"])
def test_a_text_file_with_a_header_is_the_table_that_it_is(head: str, tmp_path: Path, gaps: np.ndarray) -> None:
    clock = pd.Timestamp("2024-03-01 23:04:06") + pd.to_timedelta(np.cumsum(gaps), unit="s")
    times = [f"{time.isoformat(timespec='milliseconds')};" if ";" in head else "" for time in clock]
    rows = [f"{time}{1000 * gap:.0f}" for time, gap in zip(times, gaps, strict=True)]
    for name in ("beats.txt", "beats.csv"):
        (tmp_path / name).write_text("\n".join([head, *rows]) + "\n")
    text, table = read_recording(tmp_path / "beats.txt"), read_recording(tmp_path / "beats.csv")
    assert text.start == table.start
    assert [*text.modalities] == ["heart_rate"]
    np.testing.assert_array_equal(*(next(iter(one.of("heart_rate").values())).read() for one in (text, table)))


@pytest.mark.parametrize(("name", "scale"), [("beats", 1.0), ("r_peak_ms", 1000.0), ("time", 1.0)])
def test_times_of_beats_alone_are_a_heart_rate(name: str, scale: float, tmp_path: Path, gaps: np.ndarray) -> None:
    times = np.cumsum(gaps)
    recording = read(tmp_path, {name: times * scale})
    beats = find_rate_beats(next(iter(recording.of("heart_rate").values())))
    assert beats is not None
    np.testing.assert_allclose(np.diff(beats)[1:], gaps[2:], atol=1e-6)


def test_intervals_beside_their_times_keep_these(tmp_path: Path, gaps: np.ndarray) -> None:
    times = 100 + np.cumsum(gaps)
    recording = read(tmp_path, {"time": times, "RRI": 1000 * gaps})
    beats = find_rate_beats(recording["RRI"])
    assert beats is not None
    np.testing.assert_allclose(np.diff(beats), gaps, atol=1e-6)


def test_what_only_looks_like_intervals_stays_what_it_is(tmp_path: Path, rng: np.random.Generator) -> None:
    breaths = read(tmp_path, {"time": np.arange(300.0), "rr": rng.normal(15, 1, 300)})
    assert not breaths.of("heart_rate")
    assert breaths.of("other")
    odd = read(tmp_path, {"time": np.arange(300.0), "rr_ms": np.where(np.arange(300) == 7, 9000.0, 800.0)})
    values = odd["rr_ms"].read(dtype=np.float64)
    assert np.isnan(values).sum() == 1
    assert np.nanmax(values) == pytest.approx(75)
    assert any("1 intervals are implausible" in sentence for sentence in odd.repairs)


@pytest.mark.parametrize(("name", "scale", "digits"), [("rr.txt", 1000.0, 0), ("rr.csv", 1.0, 3)])
def test_intervals_without_a_header_are_read_as_heart_rate(
    tmp_path: Path, rng: np.random.Generator, name: str, scale: float, digits: int
) -> None:
    gaps = 0.9 + 0.05 * np.sin(np.arange(400) / 4) + 0.02 * rng.normal(size=400)
    np.savetxt(tmp_path / name, gaps * scale, fmt=f"%.{digits}f")
    recording = read_recording(tmp_path / name)
    (signal,) = recording.of("heart_rate").values()
    np.testing.assert_allclose(find_rate_beats(signal)[1:], np.cumsum(gaps), atol=0.5)
    assert any("have no header and were taken for intervals" in repair for repair in recording.repairs)


@pytest.mark.parametrize("kind", ["eeg", "random", "bpm", "few", "late"])
def test_other_numbers_without_a_header_are_no_heart_beats(tmp_path: Path, rng: np.random.Generator, kind: str) -> None:
    values = {
        "eeg": rng.normal(0, 30, 400),
        "random": rng.uniform(300, 2000, 400),
        "bpm": rng.normal(60, 2, 400),
        "few": np.full(20, 800.0),
        "late": np.r_[np.full(200, 800.0), np.linspace(800, 4000, 100)],
    }[kind]
    np.savetxt(tmp_path / "numbers.txt", values, fmt="%.2f")
    with pytest.raises(SharpwaveError, match="sampling rate"):
        read_recording(tmp_path / "numbers.txt")


def test_counts_of_a_converter_for_weeks_are_no_heart_beats(rng: np.random.Generator) -> None:
    counts = [str(1000 + step) for step in rng.integers(-5, 5, 360_000)]
    assert name_lone_intervals(counts[:1000]) == "rr_ms"
    assert name_lone_intervals(counts) is None
