from __future__ import annotations

import subprocess
import sys

import pytest

import sharpwave
from sharpwave.errors import MissingExtraError, SharpwaveError


def run_python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_loads_no_heavy_library():
    loaded = run_python("import sharpwave, sys; print(*sys.modules)").split()
    heavy = {"numpy", "pandas", "torch", "mne", "yasa", "scipy", "matplotlib", "pynapple"}
    assert not heavy & set(loaded)


def test_the_hypnogram_needs_no_brain_library():
    loaded = run_python("import sharpwave.recordings.hypnogram, sys; print(*sys.modules)").split()
    assert not {"mne", "yasa", "pynapple", "zarr", "torch"} & set(loaded)


def test_every_public_name_exists():
    for name in sharpwave.__all__:
        assert getattr(sharpwave, name) is not None
    assert len(sharpwave.__all__) <= 12
    with pytest.raises(AttributeError, match="attribute nonsense"):
        sharpwave.nonsense  # noqa: B018


def test_an_error_says_expected_got_fix():
    error = SharpwaveError("volts", got="microvolts", fix="divide by a million")
    assert str(error) == "expected volts; got microvolts. Fix: divide by a million"
    assert isinstance(error, ValueError)
    assert "sharpwave[brain]" in str(MissingExtraError("yasa", extra="brain"))
