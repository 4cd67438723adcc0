"""The archive of a night: what is written comes back, in as many parts as it takes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reports import archive
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
