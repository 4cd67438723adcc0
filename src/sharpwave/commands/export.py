"""`sharpwave export`: weights as ONNX, checked on a night."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

STEPS = 60
"""Steps of the night on which graph and model are compared."""


def export_weights(
    weights: Path | None,
    output: Path,
    *,
    kind: str = "onnx",
    modalities: Sequence[str] | None = None,
    example: str | None = None,
) -> dict[str, Any]:
    """Write a graph, and what it takes and how near it is to the model in a .json beside it.

    Args:
        weights: Folder; the shipped `lite` where omitted.
        output: File to write (.onnx).
        kind: "onnx" or "int8".
        modalities: That the graph takes; those of the example where omitted.
        example: Recording to compare on; a simulated human night where omitted.

    Returns:
        What the .json holds.

    Raises:
        SharpwaveError: If weights and example do not fit, or the graph is not within the tolerance of the model.
        MissingExtraError: If the extra `export` is not installed.
    """
    from sharpwave.brainmu import epoch_recording, load_brainmu
    from sharpwave.brainmu.runtime.export import export_onnx
    from sharpwave.night.options import open_source
    from sharpwave.simulation import simulate_night

    model, _ = load_brainmu(weights)
    if example is None:
        recording, _ = simulate_night("human", 1.0, rng=np.random.default_rng(0))
    else:
        recording = open_source(example)
    windows = epoch_recording(recording, modalities=modalities)
    piece = windows.restrict(0, min(STEPS, len(windows)))
    return export_onnx(model, output.with_suffix(".onnx"), example=piece, kind=kind)
