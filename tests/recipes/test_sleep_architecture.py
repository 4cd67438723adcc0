"""The shipped architecture of human sleep is what its recipe makes."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from sharpwave.recipes.sleep_architecture import fit_human_architecture, write_architecture
from sharpwave.simulation import load_architecture

SHIPPED = files("sharpwave.simulation") / "architecture" / "human.json"


def test_written_as_shipped(tmp_path: Path) -> None:
    path = write_architecture(load_architecture("human"), tmp_path / "human.json")
    assert path.read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")


@pytest.mark.data
def test_fitted_again_it_is_the_shipped_one(data_root: Path, tmp_path: Path) -> None:
    path = write_architecture(fit_human_architecture(data_root), tmp_path / "human.json")
    assert path.read_text(encoding="utf-8") == SHIPPED.read_text(encoding="utf-8")
