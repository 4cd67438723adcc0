"""Weights as safetensors with their configuration beside: nothing is ever unpickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import BrainMuConfig, configure
from sharpwave.errors import SharpwaveError

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
        SharpwaveError: If files are missing, damaged, or do not fit each other.

    Example:
        >>> model, card = load_brainmu()
        >>> model.config.width
        112
    """
    folder = WEIGHTS / "lite" if folder is None else Path(folder)
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config = BrainMuConfig.from_dict(content["config"])
        weights = load_file(folder / "model.safetensors")
        model = BrainMu(config)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
        card = dict(content["card"])
    except (OSError, LookupError, TypeError, ValueError, AttributeError, RuntimeError, SafetensorError) as error:
        raise SharpwaveError(
            "a folder with config.json and model.safetensors that belong together",
            got=f"{folder.name}: {(str(error).splitlines() or ['?'])[0][:200]}",
            fix="train one with `sharpwave train`, or leave the folder out for the shipped weights",
        ) from error
    return model.eval(), card


def make_lite(*, seed: int, **changes: Any) -> BrainMu:
    """A fresh `lite` for every modality; `changes` to its shape."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return BrainMu(configure("lite", **changes))
