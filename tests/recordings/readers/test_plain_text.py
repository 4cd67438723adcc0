"""One channel of numbers: named by its first line, with a rate from the caller."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests import electrophysiology_files as lab

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_recording


def test_values_and_name(tmp_path: Path) -> None:
    recording = read_recording(lab.write_text_channel(tmp_path / "c3.txt"), rate=128)
    np.testing.assert_allclose(
        recording["C3-A1"].read(dtype=np.float64) * 1e6, lab.make_samples(seconds=20)[0], atol=6e-5
    )
    assert recording.duration == 20
    assert "taken as uV" in recording.repairs[0]


def test_unit_of_the_caller(tmp_path: Path) -> None:
    path = lab.write_text_channel(tmp_path / "c3.txt")
    assert read_recording(path, rate=128, unit="mV")["C3-A1"].read().std() > 1e-2


@pytest.mark.parametrize(
    ("text", "rate", "message"),
    [
        ("1\n2\n", None, "the sampling rate"),
        ("1\n2\n", -5.0, "a positive sampling rate"),
        ("1\nx\n", 100.0, "one number a line"),
        ("[C3]\n", 100.0, "finite numbers in"),
        ("1 2\n3 4\n", 100.0, "2 columns"),
        ("nan\nnan\n", 100.0, "finite numbers"),
    ],
)
def test_bad_text(text: str, rate: float | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text)
    with pytest.raises(SharpwaveError, match=message):
        read_recording(path, rate=rate)
