"""Weights as safetensors with their configuration beside: nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import BrainMuConfig, check_card, configure
from sharpwave.untrusted import explained, read_json

WEIGHTS = Path(__file__).parent / "weights"


def save_brainmu(
    model: BrainMu,
    folder: str | Path,
    *,
    card: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
) -> Path:
    """Write `model.safetensors` and `config.json` (shape and card).

    Args:
        model: Model to write.
        folder: Made if it does not exist.
        card: What it was trained on, its calibration, its limits.
        weights: Weights to write instead of the model's own, where those are sharded over devices.

    Returns:
        The folder.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2)
        >>> with TemporaryDirectory() as folder:
        ...     sorted(path.name for path in save_brainmu(model, folder).iterdir())
        ['config.json', 'model.safetensors']
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    weights = model.state_dict() if weights is None else weights
    save_file(
        {name: value.detach().cpu().contiguous() for name, value in weights.items()}, folder / "model.safetensors"
    )
    content = {"config": model.config.to_dict(), "card": card or {}}
    (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return folder


def load_brainmu(folder: str | Path | None = None) -> tuple[BrainMu, dict[str, Any]]:
    """A model ready for use, and its card.

    Args:
        folder: Written by `save_brainmu`; the shipped `lite` where omitted.

    Raises:
        SharpwaveError: If files are missing, damaged, or do not fit each other, or a weight is no finite number.

    Example:
        >>> model, card = load_brainmu()
        >>> model.config.width
        112
    """
    folder = WEIGHTS / "lite" if folder is None else Path(folder)
    with explained(
        "a folder with config.json and model.safetensors that belong together",
        name=folder.name,
        fix="train one with `sharpwave train`, or leave the folder out for the shipped weights",
    ):
        content = read_json(folder / "config.json")
        config = BrainMuConfig.from_dict(content["config"])
        card = dict(content["card"])
        check_card(card)
        weights = read_tensors(folder / "model.safetensors")
        with torch.device("meta"):  # its shape, before any memory is taken for it
            declared = {name: value.shape for name, value in BrainMu(config).state_dict().items()}
        found = {name: value.shape for name, value in weights.items()}
        if found != declared:
            strange = next(name for name in {**declared, **found} if declared.get(name) != found.get(name))
            raise ValueError(f"config.json declares {strange} as {declared.get(strange)}, it is {found.get(strange)}")
        model = BrainMu(config)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval(), card


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Weights of a file, every one a finite number.

    Raises:
        ValueError: If one is NaN or infinite.
        OSError: If the file cannot be opened.
        SafetensorError: If it is no file of weights.

    Example:
        >>> read_tensors(WEIGHTS / "lite" / "model.safetensors")["state"].shape
        torch.Size([112])
    """
    tensors = load_file(path)
    strange = [name for name, value in tensors.items() if not torch.isfinite(value).all()]
    if strange:
        raise ValueError(f"weights that are no finite numbers in {path.name}: {', '.join(strange[:3])}")
    return tensors


def make_lite(*, seed: int, **changes: Any) -> BrainMu:
    """A fresh `lite` for every modality; `changes` to its shape."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BrainMu(configure("lite", **changes))
