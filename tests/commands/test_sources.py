"""What the user names: folders, scorings and tables of several days become recordings, or words that help."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from tests.electrophysiology_files import STAGES as EPOCHS
from tests.electrophysiology_files import write_edf

from sharpwave.commands.batch import plan_nights
from sharpwave.commands.sources import expand_sources, split_nights
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.recordings import read_recording
from sharpwave.recordings.readers import is_scoring

STAGES = ["W"] * 4 + ["N2"] * 6 + ["N3"] * 4 + ["R"] * 4


def write_watch(path: Path, *, days: float = 0.3) -> Path:
    begin = datetime(2023, 10, 23, 12)
    rng = np.random.default_rng(0)
    rows = []
    for index in range(int(days * 1440)):
        moment = begin + timedelta(minutes=index)
        resting = moment.hour >= 23 or moment.hour < 7
        rows.append(f"{moment:%Y-%m-%d %H:%M:%S},{65 - 8 * resting + rng.normal():.1f},{0 if resting else 50}")
    path.write_text("time,heart_rate,activity\n" + "\n".join(rows) + "\n")
    return path


def write_scoring(path: Path) -> Path:
    path.write_text("onset,duration,stage\n" + "\n".join(f"{30 * i},30,{s}" for i, s in enumerate(STAGES)))
    return path


def test_a_folder_becomes_its_recordings(tmp_path: Path) -> None:
    write_edf(tmp_path / "b.edf", stages=EPOCHS)
    write_edf(tmp_path / "a.edf")
    write_scoring(tmp_path / "a.csv")
    write_watch(tmp_path / "log.csv")
    (tmp_path / "notes.docx").write_text("x")
    (tmp_path / ".hidden.edf").write_text("x")
    assert expand_sources([str(tmp_path)]) == [str(tmp_path / "a.edf"), str(tmp_path / "b.edf")]
    assert expand_sources(["x.edf", str(tmp_path)])[0] == "x.edf"


def test_a_folder_of_tables_leaves_scorings_out(tmp_path: Path) -> None:
    write_watch(tmp_path / "watch.csv")
    write_scoring(tmp_path / "scored.csv")
    assert expand_sources([str(tmp_path)]) == [str(tmp_path / "watch.csv")]


def test_a_folder_of_folders(tmp_path: Path) -> None:
    for name in ("s1", "s2"):
        (tmp_path / name).mkdir()
        write_edf(tmp_path / name / "night.edf")
    (tmp_path / "s1-results").mkdir()
    (tmp_path / "s1-results" / "summary.json").write_text("{}")
    assert len(expand_sources([str(tmp_path)])) == 2


def test_folders_without_recordings_and_data_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="recordings in the folder"):
        expand_sources([str(tmp_path)])
    (tmp_path / "dataset_description.json").write_text("{}")
    with pytest.raises(SharpwaveError, match="sharpwave bids"):
        expand_sources([str(tmp_path)])
    store = tmp_path / "night.zarr"
    store.mkdir()
    assert expand_sources([str(store)]) == [str(store)]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "onset,duration,stage\n" + "\n".join(f"{30 * i},30,{s}" for i, s in enumerate(STAGES))),
        ("a.csv", "time,stage\n" + "\n".join(f"{30 * i},{i % 5}" for i in range(40))),
        ("a.csv", "Epoch,Time,Stage\n" + "\n".join(f"{i},{30 * i},{s}" for i, s in enumerate(STAGES))),
        ("a.txt", "\n".join(STAGES)),
        ("a.txt", "\n".join("0012355"[i % 7] for i in range(60))),
        ("a_events.tsv", "onset\tduration\ttrial_type\n" + "\n".join(f"{30 * i}\t30\tN2" for i in range(9))),
        ("a.json", "[0, 0, 1, 2, 2, 3, 4]"),
        ("a.xml", "<A>" + "".join(f"<SleepStage>{i % 4}</SleepStage>" for i in range(20)) + "</A>"),
    ],
)
def test_a_scoring_is_recognised(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert is_scoring(tmp_path / name)
    with pytest.raises(SharpwaveError, match="--stages"):
        open_source(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "row"),
    [
        ("a.txt", lambda i: f"{i // 50 % 5}"),
        ("a.csv", lambda i: f"{30 * i},30,{i // 50 % 3}" if i else "onset,duration,stage"),
        ("a.txt", lambda i: f"{i + 1}\t{i // 50 % 5}"),
        ("a.txt", lambda i: "W" if i % 20 else "N2"),
    ],
)
def test_scorings_of_weeks_are_recognised(tmp_path: Path, name: str, row: Callable[[int], str]) -> None:
    (tmp_path / name).write_text("\n".join(map(row, range(9000))))
    assert is_scoring(tmp_path / name)


def test_a_long_signal_as_text_is_no_scoring_at_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every line of one was tried for a stage: 15 s for an hour at 100 Hz."""
    monkeypatch.setattr("sharpwave.recordings.readers.read_scoring", lambda *_, **__: pytest.fail("read whole"))
    counts = np.random.default_rng(0).normal(0, 30, 9000)
    (tmp_path / "a.txt").write_text("EEG C4-M1\n" + "\n".join(f"{v:.1f}" for v in counts))
    (tmp_path / "b.txt").write_text("\n".join(f"{i / 256:.4f}\t{v:.0f}" for i, v in enumerate(counts)))
    assert not is_scoring(tmp_path / "a.txt")
    assert not is_scoring(tmp_path / "b.txt")


def test_a_recording_is_no_scoring(tmp_path: Path) -> None:
    assert not is_scoring(write_watch(tmp_path / "watch.csv"))
    assert not is_scoring(write_edf(tmp_path / "a.edf", stages=EPOCHS))
    (tmp_path / "a.txt").write_text("\n".join(f"{v:.3f}" for v in np.random.default_rng(0).normal(size=500)))
    with pytest.raises(SharpwaveError) as error:
        read_recording(tmp_path / "a.txt")
    assert "--stages" not in str(error.value)


def test_days_of_a_watch_are_nights_with_folders_of_their_own(tmp_path: Path) -> None:
    week = write_watch(tmp_path / "week.csv", days=3)
    night = write_watch(tmp_path / "night.csv")
    tasks = split_nights(plan_nights([str(week)], tmp_path / "out"), DecodeOptions())
    assert [task.folder for task in tasks] == [tmp_path / "out" / f"2023-10-{day}" for day in (23, 24, 25)]
    assert [task.name for task in tasks] == [f"week-2023-10-{day}" for day in (23, 24, 25)]
    assert split_nights(plan_nights([str(night)], None), DecodeOptions()) == plan_nights([str(night)], None)
    both = split_nights(plan_nights([str(night), str(week)], tmp_path / "out"), DecodeOptions())
    assert both[1].folder == tmp_path / "out" / "week" / "2023-10-23"
    assert split_nights(plan_nights([str(tmp_path / "no.csv")], None), DecodeOptions())[0].night is None
