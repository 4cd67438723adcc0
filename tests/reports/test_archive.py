"""The archive of a night: what is written comes back, in as many parts as it takes."""

from __future__ import annotations

import gzip
import json
import warnings
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import NESTED, PARTS, DecodedNight
from sharpwave.reports import archive, write_report
from sharpwave.reports.archive import read_archive, write_archive

from .conftest import make_night


def test_a_night_comes_back(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "BLOCK", 7)
    night = make_night(hours=2.0)
    events = night.events.copy()
    events.loc[0, "duration"] = np.nan
    night = replace(night, events=events)
    back = read_archive(write_archive(night, tmp_path / "night.json.gz"))
    pd.testing.assert_frame_equal(back.events, events, check_dtype=False)
    pd.testing.assert_frame_equal(back.depth, night.depth)
    np.testing.assert_array_equal(back.hypnogram.stages, night.hypnogram.stages)
    np.testing.assert_allclose(back.hypnogram.probabilities, night.hypnogram.probabilities, atol=1e-5)
    np.testing.assert_allclose(back.spectrogram[2], night.spectrogram[2], atol=0.051)
    assert (back.verdict, back.reasons, back.start) == (night.verdict, night.reasons, night.start)


def test_a_damaged_archive_is_refused(tmp_path):
    path = write_archive(make_night(hours=0.5), tmp_path / "night.json.gz")
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SharpwaveError, match="a decoded night in"):
        read_archive(path)


def flatten(night: DecodedNight) -> dict:
    """What version 0.1 wrote of a night: format 1, in which every field stood at the top."""
    values = {field.name: getattr(night, field.name) for field in fields(night) if field.name not in PARTS}
    for name, (part, new) in NESTED.items():
        if name != "course_tables":
            values[name] = getattr(getattr(night, part), new)
    return {"format": 1, "night": {name: archive._encode(value) for name, value in values.items()}}


def write_json(content: object, path: Path) -> Path:
    path.write_bytes(gzip.compress("".join(archive._iter_json(content)).encode()))
    return path


def test_an_archive_of_version_0_1_gives_the_same_page(tmp_path):
    night = make_night(hours=1.0)
    old = write_json(flatten(night), tmp_path / "old.json.gz")
    assert json.loads(gzip.decompress(old.read_bytes()))["night"]["forecast_note"] == night.forecast_evaluation.note
    new = write_archive(night, tmp_path / "new.json.gz")
    assert json.loads(gzip.decompress(new.read_bytes()))["format"] == 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pages = [write_report(read_archive(path), tmp_path / "page.html").read_bytes() for path in (old, new)]
    assert pages[0] == pages[1]


def test_a_literal_archive_of_version_0_1_opens(tmp_path):
    stages = {"stages": [0, 2, 2], "epoch_length": 30.0, "n_stages": 5, "start": 0.0, "probabilities": None}
    values = {
        "identifier": "a",
        "source": "a.edf",
        "duration": 90.0,
        "hypnogram": {"hypnogram": stages | {"scorer": "", "unit": "s"}},
        "stager": "yasa",
        "verdict": "not usable",
        "start": {"datetime": "2026-01-01T23:00:00"},
        "forecast_skill": {"table": {"method": ["ours"], "auprc": [0.4]}},
        "forecast_note": "Worth little.",
        "reactivations_note": "None.",
        "rules": {"table": {}},
        "novelty": {"table": {"onset": [0.0], "abstain": [True]}},
        "versions": {"sharpwave": "0.1.0"},
        "hashes": {"key": "01ab"},
    }
    night = read_archive(write_json({"format": 1, "night": values}, tmp_path / "night.json.gz"))
    assert night.forecast_evaluation.skill["auprc"].tolist() == [0.4]
    assert night.forecast_evaluation.note == "Worth little."
    assert night.effects.note == "None."
    assert night.explanation.out_of_distribution["abstain"].tolist() == [True]
    assert night.provenance.versions == {"sharpwave": "0.1.0"}


@pytest.mark.parametrize(
    "content",
    [
        {"format": 3, "night": {}},
        {"night": {}},
        {"format": 1, "night": {"forecast_note": "x"}},
        {"format": 2, "night": [1, 2]},
        {"format": 2, "night": {"effects": "x"}},
        {"format": 2, "night": {"effects": {"nonsense": 1}}},
        [1],
    ],
)
def test_unknown_formats_and_damaged_contents_are_refused_alike(tmp_path, content):
    with pytest.raises(SharpwaveError, match=r"a decoded night in .*decode the night again"):
        read_archive(write_json(content, tmp_path / "night.json.gz"))


def test_damaged_bytes_are_refused(tmp_path):
    path = write_archive(make_night(hours=0.5), tmp_path / "night.json.gz")
    packed = path.read_bytes()
    path.write_bytes(packed[:200] + b"\x00\xff" * 60 + packed[320:])
    with pytest.raises(SharpwaveError, match="a decoded night in"):
        read_archive(path)
