"""Sizes of the model: `lite` for a laptop, `small` to learn from, `base` for graphics cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from sharpwave import moved
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.errors import SharpwaveError

RENAMED = {"direct": "pooled_query"}
"""Fields that had another name in version 0.1."""

HORIZONS = (30.0, 60.0, 300.0)
"""Seconds ahead."""

RANGES = {"width": (1, 16_384), "n_layers": (0, 256), "n_heads": (1, 1024)}
"""Largest sizes; `base` has 1024, 16 and 16."""
MOST_HORIZONS = 100


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12


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
        for name, (least, most) in RANGES.items():
            number = getattr(self, name)
            if isinstance(number, bool) or not isinstance(number, int) or not least <= number <= most:
                raise SharpwaveError(
                    f"{name} from {least} to {most}", got=str(number)[:40], fix="see PRESETS for sizes"
                )
        seconds = (self.window, self.step, self.shortest, self.longest, *self.horizons)
        if not all(_is_finite(value) and value > 0 for value in seconds) or len(self.horizons) > MOST_HORIZONS:
            raise SharpwaveError(
                f"window, step, shortest, longest and 1 to {MOST_HORIZONS} horizons in seconds above 0",
                got=str(seconds)[:200],
                fix="leave them out for the usual ones",
            )
        if not (_is_finite(self.dropout) and 0 <= self.dropout < 1 and isinstance(self.pooled_query, bool)):
            raise SharpwaveError(
                "a dropout from 0 to 1 and pooled_query as true or false",
                got=f"{self.dropout!r}, {self.pooled_query!r}"[:200],
                fix="0.1 and true are those of lite",
            )
        if len(set(self.modalities)) != len(self.modalities) or not all(isinstance(n, str) for n in self.modalities):
            raise SharpwaveError("modalities by name, each once", got=str(self.modalities)[:200], fix="name each once")
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


def check_card(card: Mapping[str, Any]) -> None:
    """Refuse a checkpoint's card whose calibration or sets of stages cannot be used.

    Args:
        card: Card of a checkpoint; what it says besides is free.

    Raises:
        SharpwaveError: If "calibration" holds anything but a temperature above 0 and pairs of slope and offset, or
            "stage_sets" anything but thresholds and what they were fitted for, or "trained_on" no list.

    Example:
        >>> check_card({"calibration": {"temperature": 1.2, "observed +30": [0.9, -0.1]}})
    """
    found = card.get("calibration", {})
    if not isinstance(found, Mapping):
        raise _strange_card("calibration", found)
    for name, value in found.items():
        pair = [value, 0.0] if name == "temperature" else value
        if not isinstance(pair, list | tuple) or len(pair) != 2 or not all(map(_is_finite, pair)):
            raise _strange_card(f"calibration of {name!r}", value)
        if name == "temperature" and value <= 0:
            raise _strange_card("temperature above 0", value)
    if not isinstance(card.get("trained_on", []), list | tuple):
        raise _strange_card("list of subjects trained_on", card["trained_on"])
    sets = card.get("stage_sets")
    if sets is None:
        return
    if not isinstance(sets, Mapping) or not isinstance(sets.get("thresholds"), list | tuple):
        raise _strange_card("stage_sets", sets)
    numbers = [*sets["thresholds"], sets.get("coverage"), sets.get("n_subjects")]
    if not all(map(_is_finite, numbers)) or not isinstance(sets.get("by_stage"), bool):
        raise _strange_card("stage_sets", sets)


def _strange_card(name: str, value: Any) -> SharpwaveError:
    return SharpwaveError(
        f"a {name} in the card of the weights that can be used",
        got=repr(value)[:100],
        fix="take the card from the training run again, or fit it with `fit_calibration`",
    )
