"""The colours of stages and of power, the same in every figure.

Stage colours keep a contrast of at least 3:1 on white and stay apart under colour-blindness; rows, labels and a hatch
on REM carry the stage as well. Power is drawn in viridis (Smith, van der Walt & Firing 2015; CC0).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8

STAGE_COLOURS: dict[str, str] = {
    "W": "#B67416",
    "R": "#931755",
    "N1": "#389BD0",
    "N2": "#2960AD",
    "N3": "#051738",
    "LIGHT": "#389BD0",
    "DEEP": "#051738",
    "NREM": "#2960AD",
    "S": "#2960AD",
}

STAGE_WORDS: dict[str, str] = {
    "W": "Wake",
    "R": "REM",
    "LIGHT": "Light",
    "DEEP": "Deep",
    "S": "Sleep",
}

_VIRIDIS = (
    "440154 481467 482576 453781 404688 39558c 33638d 2d718e 287d8e 238a8d "
    "1f968b 20a386 29af7f 3dbc74 56c667 75d054 95d840 bade28 dde318 fde725"
)


def order_stages(names: Sequence[str]) -> list[str]:
    """Stage names from the top row down: wake, REM, then sleep from light to deep.

    >>> order_stages(("W", "N1", "N2", "N3", "R"))
    ['W', 'R', 'N1', 'N2', 'N3']
    """
    return [name for name in ("W", "R") if name in names] + [name for name in names if name not in ("W", "R")]


def compute_viridis(levels: int = 256) -> UInt8[np.ndarray, "level rgb"]:
    """Viridis in `levels` steps from dark to bright, interpolated between 20 of its colours."""
    anchors = np.array([[int(code[i : i + 2], 16) for i in (0, 2, 4)] for code in _VIRIDIS.split()])
    at = np.linspace(0, len(anchors) - 1, levels)
    channels = [np.interp(at, np.arange(len(anchors)), anchors[:, channel]) for channel in range(3)]
    return np.round(np.stack(channels, axis=1)).astype(np.uint8)
