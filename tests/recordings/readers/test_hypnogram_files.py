"""Scorings in every common shape say what the scorer said; ambiguity is refused, repairs are declared."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import edfio
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, Hypnogram
from sharpwave.recordings.readers import fit_hypnogram, read_hypnogram, read_recording, read_scoring
from sharpwave.recordings.readers.hypnogram_files import hypnogram_from_events


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def test_lines_with_a_legend(tmp_path: Path) -> None:
    hypnogram = read_hypnogram(lab.write_label_lines(tmp_path / "h.txt"))
    assert hypnogram.labels == ["W", "W", "N1", "N1", "N2", "N2", "N3", "N3", "R", "R", "N2"]
    assert hypnogram.epoch_length == 30


@pytest.mark.parametrize("header", ["[Hypnogram]", "[hypnogram]", "[HypnogramAASM]"])
def test_dreams_header(header: str, tmp_path: Path) -> None:
    hypnogram = read_hypnogram(_write(tmp_path / "h.txt", f"{header}\n5\n4\n3\n2\n1\n0\n-1\n"))
    assert hypnogram.labels == ["W", "R", "N1", "N2", "N3", "N3", "?"]
    assert hypnogram.epoch_length == 5


def test_bare_integers_need_a_convention(tmp_path: Path) -> None:
    path = _write(tmp_path / "h.txt", "0\n1\n5\n4\n")
    with pytest.raises(SharpwaveError, match="several conventions read differently"):
        read_hypnogram(path)
    assert read_hypnogram(path, convention="rk").labels == ["W", "N1", "R", "N3"]
    assert read_hypnogram(path, convention="ucddb").labels == ["W", "R", "N3", "N3"]


def test_letters_and_digits_are_rechtschaffen_and_kales(tmp_path: Path) -> None:
    assert read_hypnogram(_write(tmp_path / "h.txt", "W\n1\n2\n4\nR\n?\n")).labels == ["W", "N1", "N2", "N3", "R", "?"]


def test_dreem_json(tmp_path: Path) -> None:
    assert read_hypnogram(lab.write_dreem_json(tmp_path / "h.json")).stages.tolist() == [-1, 0, 0, 1, 2, 2, 3, 4]
    with pytest.raises(SharpwaveError, match="a list of stages"):
        read_hypnogram(_write(tmp_path / "x.json", json.dumps({"a": [1]})))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8", "utf-8-sig", "cp1252", "utf-16-le"])
def test_export_across_midnight_in_any_encoding(encoding: str, tmp_path: Path) -> None:
    text = lab.write_export(tmp_path / "a.csv").read_text(encoding="utf-16")
    scoring = read_scoring(_write(tmp_path / "b.csv", text, encoding), start=datetime(2016, 1, 15, 23, 58, 0))
    assert scoring.hypnogram.labels == list(lab.STAGES)
    assert scoring.hypnogram.start == 30
    assert scoring.placed


def test_clock_times_without_dates_roll_over_midnight(tmp_path: Path) -> None:
    path = _write(tmp_path / "h.csv", "Start Time;Event\n23:59:30;W\n00:00:00;N1\n00:01:00;N2\n")
    scoring = read_scoring(path, start=datetime(2020, 1, 1, 23, 59, 0))
    assert scoring.hypnogram.start == 30
    assert scoring.hypnogram.labels == ["W", "N1", "N1", "N2"]


def test_a_date_that_does_not_fit_leaves_the_time_of_day(tmp_path: Path) -> None:
    path = lab.write_export(tmp_path / "a.csv")
    assert read_hypnogram(path, start=datetime(1985, 1, 1, 23, 0, 0)).start == 3510


def test_gaps_are_unscored_and_declared(tmp_path: Path) -> None:
    path = _write(tmp_path / "h.tsv", "onset\tduration\tstage\n0\t30\tW\n90\t60\tN2\n")
    scoring = read_scoring(path)
    assert scoring.hypnogram.labels == ["W", "?", "?", "N2", "N2"]
    assert "2 epochs lie in gaps" in scoring.repairs[0]


def test_other_events_are_passed_over_but_a_table_without_stages_is_refused(tmp_path: Path) -> None:
    rows = "onset\tduration\ttrial_type\n0\t30\tSleep stage W\n5\t1\tArtefact\n30\t30\tSleep stage N1\n31\t3\tarousal\n"
    assert read_hypnogram(_write(tmp_path / "a.tsv", rows)).labels == ["W", "N1"]
    with pytest.raises(SharpwaveError, match="rows that name a sleep stage"):
        read_hypnogram(_write(tmp_path / "b.tsv", "onset\tduration\ttrial_type\n0\t30\tlunch\n"))


def test_two_scorers_in_one_file_are_refused(tmp_path: Path) -> None:
    rows = "".join(f"{30 * i}\t30\tW\n{30 * i}\t30\tN2\n" for i in range(20))
    with pytest.raises(SharpwaveError, match="one stage at a time"):
        read_hypnogram(_write(tmp_path / "a.tsv", "onset\tduration\tstage\n" + rows))


def test_remlogic_preamble_and_its_events(tmp_path: Path) -> None:
    text = (
        "RemLogic Event Export\nPatient:\tX\n\nSleep Stage\tPosition\tTime [hh:mm:ss]\tEvent\tDuration[s]\tLocation\n"
        "W\tUp\t23:59:30\tSLEEP-S0\t30\tC3\nS2\tUp\t00:00:00\tSLEEP-S2\t30\tC3\nS2\tUp\t00:00:05\tMCAP-A1\t4\tC3\n"
        "R\tUp\t00:00:30\tSLEEP-REM\t30\tC3\n"
    )
    assert read_hypnogram(_write(tmp_path / "n1.txt", text)).labels == ["W", "N2", "R"]


def test_domino_lines_of_time_and_stage(tmp_path: Path) -> None:
    text = "Signal ID: SchlafProfil\nRate: 30 s\n\n23:59:30,000; Wach\n00:00:00,000; N1\n00:00:30,000; Rem\n"
    scoring = read_scoring(_write(tmp_path / "p.txt", text), start=datetime(2020, 1, 1, 23, 59, 0))
    assert (scoring.hypnogram.labels, scoring.hypnogram.start) == (["W", "N1", "R"], 30)


def test_numbered_epochs(tmp_path: Path) -> None:
    assert read_hypnogram(_write(tmp_path / "a.csv", "epoch,stage\n1,W\n2,N1\n3,N1\n")).labels == ["W", "N1", "N1"]
    assert read_hypnogram(_write(tmp_path / "b.txt", "0 W\n1 R\n")).labels == ["W", "R"]


def test_edf_annotations(tmp_path: Path) -> None:
    path = lab.write_edf(tmp_path / "h.edf", stages=lab.STAGES)
    assert read_hypnogram(path).labels == list(lab.STAGES)
    with pytest.raises(SharpwaveError, match="sleep stages among the annotations"):
        read_hypnogram(lab.write_edf(tmp_path / "n.edf"))


def test_file_of_annotations_alone(tmp_path: Path) -> None:
    marks = [edfio.EdfAnnotation(30 * i, 30, f"Sleep stage {stage}") for i, stage in enumerate("W123R")]
    edfio.Edf([], annotations=marks).write(tmp_path / "h.edf")
    assert read_hypnogram(tmp_path / "h.edf").labels == ["W", "N1", "N2", "N3", "R"]


def test_heart_beats_are_no_hypnogram() -> None:
    for duration in (0.0, 1.0):
        beats = pd.DataFrame({"onset": np.arange(50.0), "duration": duration, "label": "R"})
        assert hypnogram_from_events(beats) is None
    stages = pd.DataFrame({"onset": [0.0, 30.0], "duration": 30.0, "label": ["W", "R"]})
    found = hypnogram_from_events(stages)
    assert found is not None
    assert found[0].labels == ["W", "R"]


def test_per_second_labels(tmp_path: Path) -> None:
    path = _write(tmp_path / "h.txt", "W\n" * 3000 + "N2\n" * 6000)
    with pytest.raises(SharpwaveError, match="the epoch length"):
        read_hypnogram(path)
    assert read_hypnogram(path, duration=9000).epoch_length == 1
    assert read_hypnogram(path, epoch_length=1).end == 9000


def test_epoch_length_that_fits_no_recording(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="lasts as long as the recording"):
        read_hypnogram(_write(tmp_path / "h.txt", "W\n" * 100), duration=7777)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "an empty file"),
        ("a.txt", "W\nlunch\n", "'lunch' as label 2"),
        ("a.txt", "# nothing\n", "stages in a.txt"),
        ("a.json", "{", "well-formed JSON"),
        ("a.tsv", "onset\tduration\tstage\nx\t30\tW\n", "none that can be read"),
        ("a.tsv", "onset\tduration\tstage\n0\t1e15\tW\n", "at most 3000000 epochs"),
        ("a.txt", "W\x00", "a binary file"),
    ],
)
def test_bad_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match=message):
        read_hypnogram(_write(tmp_path / name, text))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="no such file"):
        read_hypnogram(tmp_path / "none.txt")


def _night(n_epochs: int, start: float = 0.0) -> Hypnogram:
    return Hypnogram(np.full(n_epochs, 2), start=start)


def test_fit_exact_and_with_a_part_of_an_epoch_over() -> None:
    assert fit_hypnogram(_night(10), 300.0) == (_night(10), [])
    assert fit_hypnogram(_night(10), 315.0) == (_night(10), [])


def test_fit_one_epoch_short_and_longer() -> None:
    short, repairs = fit_hypnogram(_night(9), 300.0)
    assert short.stages.tolist() == [2] * 9 + [-1]
    assert "1 epochs are unscored" in repairs[0]
    long, repairs = fit_hypnogram(_night(12), 300.0)
    assert len(long) == 10
    assert "2 epochs were cut" in repairs[0]


def test_unscored_epochs_beyond_the_recording_are_no_loss() -> None:
    """Hypnograms of Sleep-EDF end with hours of "Sleep stage ?" after the last sample."""
    night = _night(10)
    long = replace(night, stages=np.r_[night.stages, np.full(230, -1, dtype=np.int8)])
    assert fit_hypnogram(long, 300.0) == (night, [])


def test_fit_refuses_what_does_not_belong_together() -> None:
    for n_epochs in (5, 20):
        with pytest.raises(SharpwaveError, match="a scoring of 300 s, as the recording lasts"):
            fit_hypnogram(_night(n_epochs), 300.0)


def test_fit_of_a_scoring_with_its_own_clock() -> None:
    fitted, repairs = fit_hypnogram(_night(4, start=75), 300.0, placed=True)
    assert fitted.start == 15
    assert fitted.stages.tolist() == [-1] * 2 + [2] * 4 + [-1] * 3
    assert "begins 60 s into the recording" in repairs[0]
    with pytest.raises(SharpwaveError, match="check that the files belong together"):
        fit_hypnogram(_night(4, start=600), 300.0, placed=True)


def test_unscored_epochs_beyond_the_recording_are_cut_without_complaint() -> None:
    padded = Hypnogram(np.r_[np.full(10, 2), np.full(50, -1)])
    assert len(fit_hypnogram(padded, 300.0)[0]) == 10


def test_a_rate_that_contradicts_the_scoring(tmp_path: Path) -> None:
    path = lab.write_text_channel(tmp_path / "c3.txt")
    scoring = _write(tmp_path / "h.txt", "[Hypnogram]\n" + "2\n" * 4)
    assert len(read_recording(path, rate=128, hypnogram=scoring).hypnogram or ()) == 4
    with pytest.raises(SharpwaveError, match="sampling rate"):
        read_recording(path, rate=32, hypnogram=scoring)


@settings(max_examples=60, deadline=None)
@given(
    data=st.data(), n_stages=st.sampled_from([2, 3, 4, 5]), epoch_length=st.sampled_from([1.0, 5.0, 20.0, 30.0, 7.5])
)
def test_tsv_round_trip(
    data: st.DataObject, n_stages: int, epoch_length: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stages = np.array(data.draw(st.lists(st.integers(-1, n_stages - 1), min_size=2, max_size=60)))
    seed = data.draw(st.one_of(st.none(), st.integers(0, 2**32 - 1)))
    start = data.draw(st.sampled_from([0.0, 15.0, 3600.5]))
    probabilities = None
    if seed is not None:
        probabilities = np.random.default_rng(seed).dirichlet(np.ones(n_stages), size=len(stages))
        probabilities[stages < 0] = np.nan
    elif n_stages < 5:
        stages[:n_stages] = np.arange(n_stages)[: len(stages)]
    written = Hypnogram(stages, epoch_length, n_stages, start, probabilities)
    path = written.write(tmp_path_factory.mktemp("round") / "x_hypnogram.tsv")
    read = read_hypnogram(path, epoch_length=epoch_length)
    if set(STAGE_SETS[n_stages]) - set(read.names):
        assert probabilities is None  # too few different labels to know the set
        assert read.labels == written.labels
        return
    assert read == written


@pytest.mark.parametrize("lasting", [True, False])
def test_a_stage_in_unknown_words_is_unscored_and_said_and_no_longer_the_stage_before(
    tmp_path: Path, lasting: bool
) -> None:
    words = ["W", "W", "Dormizione", "Dormizione", "N2", "Dormizione", "Dormizione", "R", "W"]
    rows = [f"{30 * i}\t{30 if lasting else ''}\t{word}" for i, word in enumerate(words)]
    rows[4:4] = ["100\t2\tSnoring", "130\t2\tSnoring"]  # within epochs: an event
    (tmp_path / "a.tsv").write_text("onset\tduration\tstage\n" + "\n".join(rows))
    scoring = read_scoring(tmp_path / "a.tsv")
    assert scoring.hypnogram.labels == ["W", "W", "?", "?", "N2", "?", "?", "R", "W"]
    assert any("4 rows name no stage that is known (Dormizione)" in said for said in scoring.repairs)
