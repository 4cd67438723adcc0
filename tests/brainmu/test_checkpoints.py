"""Weights there and back; damaged and foreign files are refused and never run."""

from __future__ import annotations

import json
import pickle
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sharpwave.brainmu.checkpoints import load_brainmu, save_brainmu
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.errors import SharpwaveError


@pytest.fixture
def model() -> BrainMu:
    torch.manual_seed(3)
    return BrainMu(configure("lite", modalities=["oxygen", "stages"], width=16, n_layers=1, n_heads=2))


def test_round_trip(model: BrainMu, tmp_path: Path) -> None:
    folder = save_brainmu(model, tmp_path / "new" / "folder", card={"trained on": ["simulated"], "loss": 0.5})
    loaded, card = load_brainmu(folder)
    assert card == {"trained on": ["simulated"], "loss": 0.5}
    assert loaded.config == model.config
    assert not loaded.training
    for name, value in model.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, atol=0, rtol=0)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable, tuple]:
        return Path.touch, (self.path,)


def damage_weights(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])


def change_configuration(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["config"].update(changes)
    (folder / "config.json").write_text(json.dumps(content))


def change_card(folder: Path, **changes: object) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["card"].update(changes)
    (folder / "config.json").write_text(json.dumps(content))


def spoil_weights(folder: Path, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["state"][3] = value
    save_file(tensors, folder / "model.safetensors")


def nest(folder: Path) -> None:
    (folder / "config.json").write_text("[" * 100_000 + "]" * 100_000)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "half the weights": damage_weights,
    "no weights": lambda folder: (folder / "model.safetensors").unlink(),
    "no configuration": lambda folder: (folder / "config.json").unlink(),
    "not JSON": lambda folder: (folder / "config.json").write_text("{"),
    "another JSON": lambda folder: (folder / "config.json").write_text("[1, 2]"),
    "no card": lambda folder: (folder / "config.json").write_text('{"config": {"modalities": ["oxygen"]}}'),
    "another width": lambda folder: change_configuration(folder, width=32),
    "an unknown setting": lambda folder: change_configuration(folder, colour="blue"),
    "an unknown modality": lambda folder: change_configuration(folder, modalities=["smell"]),
    "a word for a number": lambda folder: change_configuration(folder, width="wide"),
    "other modalities": lambda folder: change_configuration(folder, modalities=["oxygen"]),
    "layers without end": lambda folder: change_configuration(folder, n_layers=10**30),
    "layers that the file has not": lambda folder: change_configuration(folder, n_layers=200, width=8192),
    "no layers": lambda folder: change_configuration(folder, n_layers=0),
    "half a layer": lambda folder: change_configuration(folder, n_layers=1.5),
    "true layers": lambda folder: change_configuration(folder, n_layers=True),
    "a horizon of no time": lambda folder: change_configuration(folder, horizons=[30.0, 0.0, 300.0]),
    "a window of NaN": lambda folder: change_configuration(folder, window=float("nan")),
    "a modality twice": lambda folder: change_configuration(folder, modalities=["oxygen", "oxygen"]),
    "a list as a modality": lambda folder: change_configuration(folder, modalities=[["oxygen"], "stages"]),
    "a weight of NaN": lambda folder: spoil_weights(folder, float("nan")),
    "a weight of infinity": lambda folder: spoil_weights(folder, float("-inf")),
    "nested JSON": nest,
    "a calibration that is a list": lambda folder: change_card(folder, calibration=[1.0]),
    "a calibration of words": lambda folder: change_card(folder, calibration={"observed +30": ["a", "b"]}),
    "a calibration of three": lambda folder: change_card(folder, calibration={"observed +30": [1.0, 2.0, 3.0]}),
    "a temperature of 0": lambda folder: change_card(folder, calibration={"temperature": 0.0}),
    "sets without thresholds": lambda folder: change_card(folder, stage_sets={"coverage": 0.9}),
    "trained on a number": lambda folder: change_card(folder, trained_on=5),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_and_foreign_files_are_refused(kind: str, model: BrainMu, tmp_path: Path) -> None:
    folder = save_brainmu(model, tmp_path)
    load_brainmu(folder)
    DAMAGE[kind](folder)
    began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(SharpwaveError, match=r"config\.json and model\.safetensors that belong together"):
        load_brainmu(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - began < 200_000  # kB


def test_pickles_are_never_run(model: BrainMu, tmp_path: Path) -> None:
    folder = save_brainmu(model, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(SharpwaveError, match="belong together"):
        load_brainmu(folder)
    assert not (tmp_path / "ran").exists()
