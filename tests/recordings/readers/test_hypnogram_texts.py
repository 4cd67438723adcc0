"""NSRR's two XML scorings read as they say; XML that brings its own grammar is refused before it is parsed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers import attach_hypnogram, read_hypnogram, read_scoring
from sharpwave.recordings.recording import Recording, Signal


def _write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def _events(*rows: str) -> str:
    return f"<PSGAnnotation><ScoredEvents>{''.join(rows)}</ScoredEvents></PSGAnnotation>"


def _stage(concept: str, onset: object, lasting: object = 30) -> str:
    return (
        f"<ScoredEvent><EventType>Stages|Stages</EventType><EventConcept>{concept}</EventConcept>"
        f"<Start>{onset}</Start><Duration>{lasting}</Duration></ScoredEvent>"
    )


@pytest.mark.parametrize("write", [lab.write_profusion_xml, lab.write_nsrr_xml])
def test_both_shapes_say_the_same(write: Callable[[Path], Path], tmp_path: Path) -> None:
    scoring = read_scoring(write(tmp_path / "shhs1-200001.xml"))
    assert scoring.hypnogram.labels == list(lab.STAGES)
    assert scoring.hypnogram.epoch_length == 30
    assert scoring.hypnogram.start == 0
    assert scoring.repairs == ()


@pytest.mark.parametrize("write", [lab.write_profusion_xml, lab.write_nsrr_xml])
def test_it_fits_its_recording(write: Callable[[Path], Path], tmp_path: Path) -> None:
    eeg = Signal("C4-M1", np.zeros(200 * 100, dtype=np.float32), 100.0, MODALITIES["eeg"])
    night = attach_hypnogram(Recording({"C4-M1": eeg}), write(tmp_path / "n.xml"))
    assert night.hypnogram is not None
    assert night.hypnogram.labels == list(lab.STAGES)


def test_the_file_says_its_epoch_length(tmp_path: Path) -> None:
    text = lab.write_profusion_xml(tmp_path / "h.xml").read_text()
    short = _write(tmp_path / "s.xml", text.replace("<EpochLength>30<", "<EpochLength>20<"))
    assert read_hypnogram(short, epoch_length=30).epoch_length == 20
    silent = _write(tmp_path / "q.xml", text.replace("<EpochLength>30</EpochLength>", ""))
    assert read_hypnogram(silent, epoch_length=10).epoch_length == 10
    assert read_hypnogram(silent, duration=120).epoch_length == 20


def test_movement_and_unscored_have_no_stage(tmp_path: Path) -> None:
    stages = "".join(f"<SleepStage>{code}</SleepStage>" for code in (0, 6, 9, 5))
    assert read_hypnogram(_write(tmp_path / "h.xml", f"<a><b>{stages}</b></a>")).labels == ["W", "?", "?", "R"]


def test_a_late_start_and_a_gap_stay_where_they_are(tmp_path: Path) -> None:
    path = _write(tmp_path / "h.xml", _events(_stage("Wake|0", 60), _stage("Stage 2 sleep|2", 120, 60)))
    scoring = read_scoring(path)
    assert scoring.hypnogram.start == 60
    assert scoring.hypnogram.labels == ["W", "?", "N2", "N2"]
    assert scoring.placed
    assert "gaps" in scoring.repairs[0]


def test_names_without_integers_and_a_namespace(tmp_path: Path) -> None:
    text = _events(_stage("Wake", 0), _stage("Stage 3 sleep", 30), _stage("REM sleep", 60), _stage("Unscored", 90))
    path = _write(tmp_path / "h.xml", text.replace("<PSGAnnotation>", '<PSGAnnotation xmlns="http://x.org/psg">'))
    assert read_hypnogram(path).labels == ["W", "N3", "R", "?"]


def test_utf_16(tmp_path: Path) -> None:
    text = lab.write_profusion_xml(tmp_path / "h.xml").read_text().replace("UTF-8", "UTF-16")
    assert read_hypnogram(_write(tmp_path / "u.xml", text, "utf-16")).labels == list(lab.STAGES)


LAUGHS = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><x><SleepStage>&l11;</SleepStage></x>', "a document type"),
        (
            '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><x><SleepStage>&f;</SleepStage></x>',
            "a document type",
        ),
        ('<!DOCTYPE x SYSTEM "http://127.0.0.1/x.dtd"><x/>', "a document type"),
        ("<x><SleepStage>&lol;</SleepStage></x>", "well-formed XML"),
        ("<x><SleepStage>0</SleepStage>", "well-formed XML"),
        ("<x/>", "sleep stages in"),
        ("<x><SleepStage>17</SleepStage></x>", "17"),
        ("<x><SleepStage>awakened</SleepStage></x>", "awakened"),
        ("<x>" + "<EpochLength>-3</EpochLength>" + "<SleepStage>0</SleepStage>" * 6001 + "</x>", "no epoch length"),
        (_events(_stage("Hypopnea", 0)), "Hypopnea"),
        (_events(_stage("Wake|0", "soon")), "finite onsets"),
        (_events(_stage("Wake|0", "nan")), "finite onsets"),
        (_events(_stage("Wake|0", 0), _stage("Wake|0", "1e300")), "epochs"),
        (_events(*(_stage(f"x|{code}", 0) for code in (0, 2, 5))), "one stage at a time"),
    ],
)
def test_bad_and_hostile_files_are_refused(text: str, message: str, tmp_path: Path) -> None:
    began = time.process_time()
    with pytest.raises(SharpwaveError, match=message):
        read_hypnogram(_write(tmp_path / "h.xml", text))
    assert time.process_time() - began < 2


def test_deep_or_crowded_xml_is_refused_while_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = _write(tmp_path / "h.xml", "<a>" * 200_000 + "<SleepStage>5</SleepStage>" + "</a>" * 200_000)
    with pytest.raises(SharpwaveError, match="64 deep"):
        read_hypnogram(deep)
    shallow = _write(tmp_path / "h.xml", "<a>" * 60 + "<SleepStage>5</SleepStage>" + "</a>" * 60)
    assert read_hypnogram(shallow).labels == ["R"]
    monkeypatch.setattr("sharpwave.recordings.readers.hypnogram_xml.MOST_ELEMENTS", 50)
    with pytest.raises(SharpwaveError, match="at most 50 elements"):
        read_hypnogram(_write(tmp_path / "h.xml", "<a>" + "<SleepStage>5</SleepStage>" * 60 + "</a>"))


def test_too_large_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sharpwave.recordings.readers.hypnogram_xml.MOST_CHARACTERS", 50)
    with pytest.raises(SharpwaveError, match="at most 50 characters"):
        read_hypnogram(lab.write_profusion_xml(tmp_path / "h.xml"))
