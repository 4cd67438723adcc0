"""Weights as safetensors with their configuration beside: nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import BrainMuConfig, check_card, configure
from sharpwave.disk import hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import locate_file, read_head, replace_files
from sharpwave.untrusted import explained, parse_json

WEIGHTS = Path(__file__).parent / "weights"
HEAD, TENSORS = "config.json", "model.safetensors"


def save_brainmu(
    model: BrainMu,
    folder: str | Path,
    *,
    card: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
    beside: Mapping[str, str] | None = None,
) -> Path:
    """Write `model.safetensors` and `config.json` (shape and card).

    All files count at once: a process that dies while it writes leaves the weights that were there before.

    Args:
        model: Model to write.
        folder: Made if it does not exist.
        card: What it was trained on, its calibration, its limits.
        weights: Arrays by name, of any shape, to write instead of the model's own, where those lie on several devices.
        beside: Texts that belong to these weights, by the name of their file in the folder; none where omitted.

    Returns:
        The folder.

    Raises:
        SharpwaveError: If the folder holds a config.json of something else, or the disk is full.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2)
        >>> with TemporaryDirectory() as folder:
        ...     sorted(path.name for path in save_brainmu(model, folder).iterdir())
        ['config.json', 'model.safetensors']
    """
    folder = Path(folder)
    check_weights_folder(folder)
    weights = model.state_dict() if weights is None else weights
    tensors = {name: value.detach().cpu().contiguous() for name, value in weights.items()}
    with replace_files(folder) as partial:
        save_file(tensors, partial / TENSORS)
        content = {"config": model.config.to_dict(), "card": card or {}, "sha256": hash_path(partial / TENSORS)}
        (partial / HEAD).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        for name, text in (beside or {}).items():
            (partial / name).write_text(text, encoding="utf-8")
    return folder


def check_weights_folder(folder: str | Path) -> None:
    """Refuse a folder with weights that are not of Brainµ, which would be overwritten.

    Raises:
        SharpwaveError: If it holds a config.json or model.safetensors of something else.

    Example:
        >>> check_weights_folder(WEIGHTS / "lite")
    """
    head, tensors = locate_file(folder, HEAD), locate_file(folder, TENSORS)
    if not head.is_file() and not tensors.is_file():
        return
    try:
        content = json.loads(head.read_text(encoding="utf-8"))
        ours = isinstance(content, dict) and {"config", "card"} <= set(content)
    except (OSError, ValueError, RecursionError):
        ours = False
    if not ours:
        raise SharpwaveError(
            "a folder without weights, or with weights of Brainµ",
            got=f"{folder} with {HEAD if head.is_file() else TENSORS} of something else",
            fix="give another folder",
        )


def load_brainmu(folder: str | Path | None = None) -> tuple[BrainMu, dict[str, Any]]:
    """A model ready for use, and its card.

    Args:
        folder: Written by `save_brainmu`; the shipped `lite` where omitted.

    Raises:
        SharpwaveError: If files are missing, damaged, were written at different times, do not fit each other, or a
            weight is no finite number.

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
        text, tensors = read_head(folder, HEAD, TENSORS)
        content = parse_json(text.encode("utf-8"), name=HEAD)
        config = BrainMuConfig.from_dict(content["config"])
        card = dict(content["card"])
        check_card(card)
        weights = read_tensors(tensors)
        if folder != WEIGHTS / "lite":  # what shipped fits itself; torch's meta device alone takes 1.5 s of CPU to load
            _check_shapes(config, weights)
        model = BrainMu(config)
        model.load_state_dict({name: value.float() for name, value in weights.items()})
    return model.eval(), card


def _check_shapes(config: BrainMuConfig, weights: Mapping[str, Tensor]) -> None:
    """Raise unless weights have the shapes that a configuration declares; no memory is taken for it."""
    with torch.device("meta"):
        declared = {name: value.shape for name, value in BrainMu(config).state_dict().items()}
    found = {name: value.shape for name, value in weights.items()}
    if found != declared:
        strange = next(name for name in {**declared, **found} if declared.get(name) != found.get(name))
        raise ValueError(f"config.json declares {strange} as {declared.get(strange)}, it is {found.get(strange)}")


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
