"""Fixtures that several rooms share."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from jaxtyping import install_import_hook
from tests.typecheck import typecheck

install_import_hook("sharpwave", f"{typecheck.__module__}.{typecheck.__name__}")


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings, or a skip that says why."""
    root = Path(os.environ.get("SHARPWAVE_DATA", "../shared/data"))
    if not root.is_dir():
        pytest.skip("no real recordings: set SHARPWAVE_DATA to the folder that holds them")
    return root
