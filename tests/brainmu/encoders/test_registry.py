"""Specifications by name: a family of encoders loads when it is asked for, and a new modality is one entry."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sharpwave.brainmu.encoders import ENCODERS, Registry
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure

ASK = """
import sys
from sharpwave.brainmu import configure
config = configure("lite", modalities=["bold"])
assert "torch" not in sys.modules
from sharpwave.brainmu import BrainMu
BrainMu(config)
families = {name.rpartition(".")[2] for name in sys.modules if name.startswith("sharpwave.brainmu.encoders.")}
print(*sorted(families - {"contract"}))
"""


def test_only_the_families_of_the_configuration_load() -> None:
    found = subprocess.run([sys.executable, "-c", ASK], capture_output=True, text=True, check=True).stdout.split()
    assert found == ["behaviour", "bold"]  # patches are summarised as slow signals are


def test_every_name_has_the_specification_of_its_family() -> None:
    assert len(ENCODERS) == 17
    for name, specification in ENCODERS.items():
        assert specification is ENCODERS[name]
        assert getattr(specification, "modality", name) == name
        assert specification.n_targets > 0


def test_entries_can_be_added_and_removed() -> None:
    registry = Registry({"heart_rate": "behaviour"})
    registry["pulse"] = ENCODERS["heart_rate"]
    assert list(registry) == ["heart_rate", "pulse"]
    assert registry["heart_rate"] is registry["pulse"]
    del registry["pulse"]
    assert "pulse" not in registry
    with pytest.raises(KeyError, match="pulse"):
        registry["pulse"]


def test_a_model_takes_specifications_that_no_registry_names() -> None:
    config = configure("lite", modalities=["heart_rate"], width=16, n_heads=2)
    model = BrainMu(config, {"heart_rate": ENCODERS["activity"]})
    assert model.specifications["heart_rate"] is ENCODERS["activity"]
