"""Sizes of the model: `lite` for a laptop, `small` to learn from, `base` for graphics cards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from sharpwave import moved
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.errors import SharpwaveError

RENAMED = {"direct": "pooled_query"}
"""Fields that had another name in version 0.1."""

HORIZONS = (30.0, 60.0, 300.0)
"""Seconds ahead."""


@dataclass(frozen=True)
class BrainMuConfig:
    """Everything that a model's shape depends on; saved beside its weights.

    Attributes:
        modalities: Encoders to build, keys of `ENCODERS`.
        width: Size of the shared latent.
        n_layers: Number of blocks of attention.
        n_heads: Number of heads in each block.
        window: Seconds that a token looks back in each block.
        step: Seconds between forecasts.
        horizons: Seconds ahead.
        shortest: Shortest period of the rotation of time, in seconds.
        longest: Longest period of the rotation of time, in seconds.
        dropout: Chance that a number is dropped in training.
        pooled_query: Whether the state token of a step, which asks, starts from the mean of that step's tokens: learns
            faster from few nights.

    Example:
        >>> BrainMuConfig(modalities=("eeg", "stages"), width=64).to_dict()["width"]
        64
    """

    modalities: tuple[str, ...]
    width: int = 128
    n_layers: int = 4
    n_heads: int = 4
    window: float = 7200.0
    step: float = 30.0
    horizons: tuple[float, ...] = HORIZONS
    shortest: float = 60.0
    longest: float = 43200.0
    dropout: float = 0.1
    pooled_query: bool = False

    def __post_init__(self) -> None:
        if self.width % (2 * self.n_heads):
            raise SharpwaveError(
                "a width that is a multiple of twice the heads",
                got=f"width {self.width}, {self.n_heads} heads",
                fix="change one of them",
            )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From JSON, where tuples are lists; the names of version 0.1 are known as well."""
        values = {RENAMED.get(name, name): value for name, value in values.items()}
        arguments: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in values.items()}
        return cls(**arguments)


@dataclass(frozen=True)
class Preset:
    """A size by name.

    Attributes:
        settings: Arguments of `BrainMuConfig`.
        purpose: What it is for.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    purpose: str = ""


PRESETS: dict[str, Preset] = {
    "lite": Preset(
        {"width": 112, "n_layers": 2, "n_heads": 4, "window": 3600.0, "pooled_query": True},
        "a laptop; ships with weights",
    ),
    "small": Preset({"width": 256, "n_layers": 6, "n_heads": 8}, "a workstation; teaches lite"),
    "base": Preset({"width": 1024, "n_layers": 16, "n_heads": 16}, "graphics cards; the size of the description"),
}


@moved.rename_keywords(**RENAMED)
def configure(preset: str = "lite", *, modalities: Sequence[str] | None = None, **changes: Any) -> BrainMuConfig:
    """The configuration of a preset.

    Args:
        preset: Name of a size, a key of `PRESETS`.
        modalities: Encoders to build; all where omitted.
        changes: Other arguments of `BrainMuConfig`.

    Raises:
        SharpwaveError: If there is no such preset or modality.

    Example:
        >>> config = configure("small", modalities=["eeg", "heart_rate"])
        >>> config.width, config.n_layers
        (256, 6)
    """
    if preset not in PRESETS:
        raise SharpwaveError(f"a preset among {', '.join(PRESETS)}", got=repr(preset), fix="choose one of these")
    wanted = tuple(ENCODERS if modalities is None else modalities)
    unknown = [name for name in wanted if name not in ENCODERS]
    if unknown:
        raise SharpwaveError(
            f"modalities among {', '.join(ENCODERS)}", got=", ".join(unknown), fix="see docs/adding-a-modality.md"
        )
    settings: dict[str, Any] = {**PRESETS[preset].settings, **changes}
    return BrainMuConfig(modalities=wanted, **settings)
