"""Weights there and back; damaged and foreign files are refused and never run."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

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
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_and_foreign_files_are_refused(kind: str, model: BrainMu, tmp_path: Path) -> None:
    DAMAGE[kind](save_brainmu(model, tmp_path))
    with pytest.raises(SharpwaveError, match=r"config\.json and model\.safetensors that belong together"):
        load_brainmu(tmp_path)


def test_pickles_are_never_run(model: BrainMu, tmp_path: Path) -> None:
    folder = save_brainmu(model, tmp_path / "model")
    (folder / "model.safetensors").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    with pytest.raises(SharpwaveError, match="belong together"):
        load_brainmu(folder)
    assert not (tmp_path / "ran").exists()
