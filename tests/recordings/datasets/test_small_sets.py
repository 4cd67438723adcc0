"""The small sets: files in the published layout that the tests write, with other names and sizes than the real ones."""

from __future__ import annotations

import datetime
import zipfile
from pathlib import Path

import numpy as np
import pytest
from openpyxl import Workbook
from scipy.io import savemat

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import (
    load_dataset,
    mouse_fmri,
    nitime_bold,
    openspindlenet,
    rat_ca1,
    rat_ca1_events,
    rest_bold,
    rsleep,
    spreadsheet,
    yasa_snippets,
)
from sharpwave.recordings.datasets.spreadsheet import read_sheets

SHEET = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"


def write_spreadsheet(path: Path, sheets: dict[str, list[list]]) -> Path:
    book = Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def replace_sheet(path: Path, content: str) -> None:
    """Put other XML in the place of the first sheet."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (parts | {"xl/worksheets/sheet1.xml": content}).items():
            archive.writestr(name, part)


def write_track(path: Path, frames: list[tuple[int, int, int]], header: str | None = None) -> None:
    fields = np.dtype([("time", "<u4"), ("xloc", "<u2"), ("yloc", "<u2")])
    text = (
        header
        or "<Start settings>\nclockrate: 30000\nFields: <time uint32><xloc uint16><yloc uint16>\n<End settings>\n"
    )
    path.write_bytes(text.encode() + np.array(frames, dtype=fields).tobytes())


def write_units(path: Path, trains: list[list[float]], span: tuple[float, float]) -> None:
    cells = np.empty((1, len(trains)), dtype=object)
    for index, train in enumerate(trains):
        cells[0, index] = {"time": np.array(train)[:, None], "timerange": np.array(span), "meanrate": 1.0}
    day = np.empty((1, 2), dtype=object)
    day[0, 0], day[0, 1] = np.zeros((1, 0)), cells
    savemat(path, {"spikes": day})


def test_spreadsheets_come_back(tmp_path: Path) -> None:
    rows = [["a & b", 1.5, None, -2e-7], ["c", None, 3.0, 4.0]]
    sheets = read_sheets(write_spreadsheet(tmp_path / "x.xlsx", {"one": rows, "two": [[7.0]]}))
    assert sheets == {"one": rows, "two": [[7.0]]}


def test_numbers_stay_numbers_whatever_their_format(tmp_path: Path) -> None:
    rows = [[datetime.datetime(2024, 1, 1, 12), datetime.timedelta(hours=6), datetime.time(18), True, 3, None], []]
    sheets = read_sheets(write_spreadsheet(tmp_path / "x.xlsx", {"one": rows}))
    assert sheets == {"one": [[45292.5, 0.25, 0.75, 1.0, 3.0]]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("<!DOCTYPE x><worksheet/>", "document type"),
        ("<worksheet", "ParseError"),
        (
            f'<worksheet xmlns="{SHEET}"><sheetData><row><c r="ZZZ1"><v>1</v></c></row></sheetData></worksheet>',
            "16,384",
        ),
        (f'<worksheet xmlns="{SHEET}"><sheetData><row r="9{"9" * 9}"/></sheetData></worksheet>', "1,048,576 rows"),
    ],
)
def test_spreadsheets_that_are_none(tmp_path: Path, content: str, message: str) -> None:
    replace_sheet(write_spreadsheet(tmp_path / "x.xlsx", {"a": [[1.0]]}), content)
    with pytest.raises(SharpwaveError, match=message):
        read_sheets(tmp_path / "x.xlsx")


def test_spreadsheets_too_large_or_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_spreadsheet(tmp_path / "x.xlsx", {"a": [[1.0] * 100]})
    monkeypatch.setattr(spreadsheet, "MOST_BYTES", 1000)
    with pytest.raises(SharpwaveError, match="at most 256 MiB"):
        read_sheets(path)
    path.write_bytes(b"no archive")
    with pytest.raises(SharpwaveError, match="BadZipFile"):
        read_sheets(path)


def test_rat_units_and_position_share_a_clock(tmp_path: Path) -> None:
    write_units(tmp_path / "spikes.mat", [[100.5, 101.0], [], [103.25]], (100.0, 110.0))
    frames = [(30_000 * 100 + 500 * index, 10 + index, 20) for index in range(300)]
    write_track(tmp_path / "trajectory.videoPositionTracking", [frames[0], frames[0], *frames[1:]])
    rat = rat_ca1.load(tmp_path, *rat_ca1.subjects(tmp_path))
    assert [rat.spikes[unit].times().tolist() for unit in rat.spikes] == [[0.5, 1.0], [3.25]]
    assert list(rat.spikes["tetrode"]) == [2, 2]
    np.testing.assert_allclose(rat["position"].times, np.arange(300) / 60, atol=1e-9)
    np.testing.assert_array_equal(rat["position"].read(0, 0.049)[:, 0], [10, 11, 12])
    assert rat.metadata["position_unit"] == "pixels"


def test_rat_files_that_lie_are_refused(tmp_path: Path) -> None:
    write_units(tmp_path / "spikes.mat", [[], []], (0.0, 1.0))
    with pytest.raises(SharpwaveError, match="units with spikes"):
        rat_ca1.load(tmp_path, "session")
    (tmp_path / "spikes.mat").write_bytes(b"x" * 200)
    with pytest.raises(SharpwaveError, match="a MATLAB file"):
        rat_ca1.load(tmp_path, "session")
    write_track(tmp_path / "t", [(1, 1, 1)], header="<Start settings>\nclockrate: 0\n<End settings>\n")
    with pytest.raises(SharpwaveError, match="clockrate and fields"):
        rat_ca1.read_position(tmp_path / "t", 0.0)


def test_rat_events_follow_each_other(tmp_path: Path) -> None:
    events = np.empty((1, 2), dtype=object)
    events[0, 0], events[0, 1] = np.zeros((50, 2), np.uint8), np.zeros((80, 2), np.uint8)
    events[0, 0][10, 1] = events[0, 1][79, 0] = 1
    savemat(tmp_path / "SpikingNap.mat", {"Events": events, "RateMap": np.ones((2, 9))})
    nap = rat_ca1_events.load(tmp_path, "nap")
    assert nap.events["duration"].tolist() == [0.05, 0.08]
    np.testing.assert_allclose(nap.spikes[1].times(), [0.0105])
    np.testing.assert_allclose(nap.spikes[0].times(), [1.05 + 0.0795])
    assert nap.metadata["rate_map"].shape == (2, 9)


def test_mouse_states_and_bold(tmp_path: Path) -> None:
    bold = [["cortex", *range(10)], ["thal", *range(10, 20)]]
    write_spreadsheet(tmp_path / mouse_fmri.BOLD_FILE, {"Sheet1": bold})
    states = [1.0] * 8 + [3.0] * 8 + [4.0] * 3 + [9.0]
    write_spreadsheet(tmp_path / mouse_fmri.STATE_FILE, {"Sheet1": [["1.awake", state] for state in states]})
    table = [
        ["rem_awake", None, "-2(s)", 0.0, 2.0],
        ["'LP'", "'Thalamus'", 1.0, 2.0, 3.0],
        ["'LP'", "'x'", 4.0, 5.0, 6.0],
    ]
    write_spreadsheet(tmp_path / mouse_fmri.TRANSITION_FILE, {"Sheet3": table})
    assert mouse_fmri.subjects(tmp_path) == ["session", "rem_awake"]
    session = mouse_fmri.load(tmp_path, "session")
    assert session["bold"].channels == ("cortex", "thal")
    np.testing.assert_array_equal(session["bold"].read(2, 6), [[1, 11], [2, 12]])
    assert session.hypnogram.labels == ["W"] * 8 + ["NREM"] * 8 + ["R"] * 3 + ["?"]
    assert "presumed" in session.repairs[0]
    transition = mouse_fmri.load(tmp_path, "rem_awake")
    np.testing.assert_array_equal(transition["bold"].read(), [[1, 4], [2, 5], [3, 6]])
    assert transition.events["onset"].tolist() == [2.0]


def test_resting_bold_with_structure(tmp_path: Path, rng: np.random.Generator) -> None:
    home = tmp_path / "gw" / "subjects" / "S9"
    for folder in ("functional", "structural"):
        (home / folder).mkdir(parents=True)
    bold = rng.normal(size=(4, 30))
    savemat(home / "functional" / "BOLD_rsfMRI.mat", {"tc": bold})
    savemat(home / "structural" / "DTI_CM.mat", {"sc": np.eye(4)})
    subject = load_dataset("rest-bold", tmp_path)
    np.testing.assert_array_equal(subject["bold"].samples, bold.T)
    np.testing.assert_array_equal(subject.metadata["fibre_count"], np.eye(4))
    savemat(home / "functional" / "BOLD_rsfMRI.mat", {"x": bold})
    with pytest.raises(SharpwaveError, match="the variable 'tc'"):
        rest_bold.load(tmp_path, "S9")


def test_nitime_tables(tmp_path: Path) -> None:
    (tmp_path / "event_related_fmri.csv").write_text("bold,events\n0.5,0\n0.25,4\n-1,0\n")
    recording = nitime_bold.load(tmp_path, "event_related_fmri")
    assert recording.events.to_dict("records") == [{"onset": 2.0, "duration": 0.0, "label": "event 4"}]
    np.testing.assert_array_equal(recording["bold"].read()[:, 0], [0.5, 0.25, -1])
    (tmp_path / "bad.csv").write_text("a\nx\n")
    with pytest.raises(SharpwaveError, match="a table of numbers"):
        nitime_bold.load(tmp_path, "bad")


def test_scoring_exports_keep_stages_and_events_apart(tmp_path: Path) -> None:
    rows = ["Heure de début,Heure de fin,Événement,Durée,", "[],[],[],[s],"]
    rows += [
        "15/01/2016 22:29:30,15/01/2016 22:29:31,Notification,1,",
        "15/01/2016 22:30:00,15/01/2016 22:30:30,Éveil,30,",
        "15/01/2016 22:30:30,15/01/2016 22:31:00,N2,30,",
        "15/01/2016 22:30:40,15/01/2016 22:30:43,Micro-éveil,3,",
    ]
    (tmp_path / "export.csv").write_text("\r\n".join(rows), encoding="utf-16")
    night = rsleep.load(tmp_path, "export")
    assert night.hypnogram.labels == ["W", "N2"]
    assert night.events["label"].tolist() == ["Notification", "Micro-éveil"]
    assert night.events["onset"].tolist() == [-30.0, 40.0]


def test_snippets_are_in_volts(tmp_path: Path) -> None:
    np.savez(tmp_path / "data_EOG_256Hz.npz", data=np.full((2, 512), 50.0), sf=[256.0], chan=["LOC", "ROC"])
    np.savetxt(tmp_path / "data_N2_100Hz.txt", np.arange(100.0))
    np.savetxt(tmp_path / "eeg_sample.txt", np.arange(10.0))
    (tmp_path / "nap_hypno_30s.txt").write_text("W\nN1\nN2\n")
    eog = yasa_snippets.load(tmp_path, "data_EOG_256Hz")
    assert {name: signal.modality.name for name, signal in eog.signals.items()} == {"E1": "eog", "E2": "eog"}
    np.testing.assert_allclose(eog["E2"].read(), 5e-5)
    assert yasa_snippets.load(tmp_path, "data_N2_100Hz")["EEG"].duration == 1.0
    assert yasa_snippets.load(tmp_path, "nap_hypno_30s").hypnogram.labels == ["W", "N1", "N2"]
    assert openspindlenet.load(tmp_path, "eeg")["EEG"].read()[5] == pytest.approx(5e-6)


def test_real_counts(data_root: Path) -> None:
    rat = load_dataset("rat-ca1", data_root)
    assert len(rat.spikes) == 31
    assert 32 < rat.duration / 60 < 34
    events = load_dataset("rat-ca1-events", data_root)
    assert len(events.events) == 1183
    assert events.metadata["rate_map"].shape == (58, 586)
    mouse = load_dataset("mouse-fmri/session", data_root)
    assert mouse["bold"].samples.shape == (7200, 3)
    assert mouse.hypnogram.end == 4 * 3600
