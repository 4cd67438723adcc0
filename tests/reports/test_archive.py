"""The archive of a night: what is written comes back, in as many parts as it takes."""

from __future__ import annotations

import gzip
import json
import resource
import warnings
import zlib
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


def test_a_night_with_decoded_replay_comes_back(tmp_path):
    """Its events name the direction of the run as a number, which is a word in the rules."""
    night = make_night(hours=0.5)
    events = night.events.assign(direction=[1.0, 0.0] + [np.nan] * (len(night.events) - 2))
    back = read_archive(write_archive(replace(night, events=events), tmp_path / "night.json.gz"))
    pd.testing.assert_series_equal(back.events["direction"], events["direction"], check_dtype=False)


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


def test_an_archive_that_unpacks_to_gigabytes_is_refused(tmp_path):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    packed = packer.compress(b'{"format":1,"night":{"x":"')
    packed += b"".join(packer.compress(b"A" * 2**20) for _ in range(1000)) + packer.flush()
    (tmp_path / "night.json.gz").write_bytes(packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SharpwaveError, match="JSON of at most"):
        read_archive(tmp_path / "night.json.gz")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kB


@pytest.mark.parametrize("content", [b"[" * 200_000 + b"]" * 200_000, b"[],", b'[1],"x":"\\ud800"'])
def test_deep_and_crowded_archives_are_explained(tmp_path, content):
    inner = content if content.endswith(b"]") else b"[" + content * (2 * 10**6 if content == b"[]," else 1) + b"0]"
    (tmp_path / "night.json.gz").write_bytes(gzip.compress(b'{"format":2,"night":' + inner + b"}", 1))
    with pytest.raises(SharpwaveError, match=r"decode the night again|make it again"):
        read_archive(tmp_path / "night.json.gz")


WRONG = {
    "hypnogram": "x",
    "identifier": "\ud800",
    "duration": "long",
    "simulated": 1,
    "reasons": ["a", 5],
    "picks": {"EEG": ["C3"]},
    "start": 7,
    "spectrogram": {"spectrogram": [[1.0], [1.0], [1.0]]},
    "truth": {"spindle": 3},
    "events": {"table": {"onset": ["soon"], "duration": [1.0], "label": ["spindle"]}},
    "depth": {"table": {"onset": [0.0, 30.0], "depth": [1.0, [2.0]]}},
    "statistics": {"table": {"name": [5], "value": [1.0], "unit": ["min"], "definition": ["x"]}},
    "forecast": {"table": {"onset": [0.0], "p_change": [10**30]}},
    "quality": {"table": {"channel": [{}], "verdict": ["usable"]}},
    "provenance": {"versions": {"numpy": 2}},
    "effects": {"rules": {"a": 1}},
}


@pytest.mark.parametrize("name", WRONG)
def test_a_field_of_another_kind_is_explained(tmp_path, name):
    path = write_archive(make_night(hours=0.5), tmp_path / "night.json.gz")
    content = json.loads(gzip.decompress(path.read_bytes()))
    content["night"][name] = WRONG[name]
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    with pytest.raises(SharpwaveError, match=r"a decoded night in .*decode the night again"):
        read_archive(path)


def test_every_type_of_a_field_is_known():
    types = {str(field.type) for holder in (DecodedNight, *PARTS.values()) for field in fields(holder)}
    assert types - set(archive.FITS) - {part.__name__ for part in PARTS.values()} <= {"Mapping[str, pd.DataFrame]"}
