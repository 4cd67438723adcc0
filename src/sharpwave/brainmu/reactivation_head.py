"""Head for reactivation events: a small causal temporal convolution over fine frames, then onset and duration.

A frame is judged `DELAY` later, so that a sequence can be told from a burst; nothing after that is used.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sharpwave.brainmu.checkpoints import WEIGHTS
from sharpwave.brainmu.reactivation_frames import FRAME, N_INPUTS, PlaceFields, iter_frames
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording

DELAY = 8
"""Frames."""
KERNEL, DILATIONS = 5, (1, 2, 4)
CONTEXT = (KERNEL - 1) * sum(DILATIONS)
"""Frames before a frame that its judgement reaches back to."""
SHORTEST, GAP = 0.03, 0.03
"""Seconds: shorter events are left out, shorter gaps closed."""


class ReactivationHead(nn.Module):
    """Logit per frame that it belongs to a reactivation, spoken `DELAY` frames later."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (N_INPUTS, *(width for _ in DILATIONS))
        self.layers = nn.ModuleList(
            nn.Conv1d(n_in, n_out, KERNEL, dilation=dilation)
            for n_in, n_out, dilation in zip(sizes[:-1], sizes[1:], DILATIONS, strict=True)
        )
        self.read = nn.Conv1d(width, 1, 1)

    def forward(self, frames: Float[Tensor, "batch frame input"]) -> Float[Tensor, "batch judged"]:
        """Judge all frames but the first `CONTEXT`, which are what these look back on."""
        hidden = frames.transpose(1, 2)
        for layer in self.layers:
            hidden = nn.functional.gelu(layer(hidden))
        return self.read(hidden)[:, 0]


@dataclass(frozen=True, eq=False)
class ShippedHead:
    """A head ready for use.

    Attributes:
        head: In evaluation.
        threshold: Probability from which frames make an event.
        card: What it was trained on and how good it is.
    """

    head: ReactivationHead
    threshold: float
    card: dict[str, Any]


def compute_reactivation_probability(
    head: ReactivationHead, recording: Recording, *, fields: PlaceFields | None = None
) -> Float[np.ndarray, " frame"]:
    """Probability that each frame of `FRAME` seconds belongs to a reactivation; 0 in the last `DELAY`, not judged yet.

    Args:
        head: In evaluation.
        recording: With hippocampal LFP, spikes, or both.
        fields: What the units fire where, if known.

    Raises:
        SharpwaveError: If the recording has neither.
    """
    if not recording.of("lfp") and not (recording.spikes is not None and len(recording.spikes)):
        raise SharpwaveError(
            "a recording with hippocampal LFP or spikes",
            got=", ".join(recording.modalities) or "no signals",
            fix="reactivations cannot be told from anything else",
        )
    before = np.zeros((CONTEXT, N_INPUTS), dtype=np.float32)
    parts = []
    for block in iter_frames(recording, fields=fields):
        frames = np.concatenate([before, block.inputs])
        with torch.inference_mode():
            parts.append(torch.sigmoid(head(torch.from_numpy(frames)[None])[0]).numpy())
        before = frames[-CONTEXT:]
    judged = np.concatenate(parts)
    return np.concatenate([judged[DELAY:], np.zeros(min(DELAY, len(judged)), dtype=judged.dtype)])


def detect_reactivations(
    recording: Recording, *, fields: PlaceFields | None = None, shipped: ShippedHead | None = None
) -> pd.DataFrame:
    """Reactivation events of a recording.

    Args:
        recording: With hippocampal LFP, spikes, or both.
        fields: What the units fire where. Without them a replay cannot be told from another burst of the same size.
        shipped: Head and threshold; those that ship where omitted.

    Returns:
        onset (s), duration (s), label "reactivation", probability (the largest within).

    Raises:
        SharpwaveError: If the recording has neither LFP nor spikes.
    """
    shipped = shipped or load_reactivation_head()
    probability = compute_reactivation_probability(shipped.head, recording, fields=fields)
    return find_events(probability, threshold=shipped.threshold)


def find_events(probability: Float[np.ndarray, " frame"], *, threshold: float) -> pd.DataFrame:
    """Runs of frames above a threshold, joined over short gaps: onset, duration, label, probability."""
    above = np.r_[False, probability >= threshold, False]
    starts, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:])
    apart = (starts[1:] - ends[:-1]) * FRAME >= GAP - 1e-9
    starts, ends = starts[np.r_[True, apart][: len(starts)]], ends[np.r_[apart, True][: len(ends)]]
    long = (ends - starts) * FRAME >= SHORTEST - 1e-9
    starts, ends = starts[long], ends[long]
    return pd.DataFrame(
        {
            "onset": starts * FRAME,
            "duration": (ends - starts) * FRAME,
            "label": "reactivation",
            "probability": [float(probability[a:b].max()) for a, b in zip(starts, ends, strict=True)],
        }
    )


def save_reactivation_head(shipped: ShippedHead, folder: str | Path) -> Path:
    """Write `model.safetensors` and `config.json`; returns the folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = shipped.head.state_dict()
    save_file({name: value.detach().contiguous() for name, value in state.items()}, folder / "model.safetensors")
    content = {"threshold": shipped.threshold, "card": shipped.card}
    (folder / "config.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return folder


def load_reactivation_head(folder: str | Path | None = None) -> ShippedHead:
    """A head from its folder; the shipped one where omitted.

    Raises:
        SharpwaveError: If files are missing, damaged, or do not fit.
    """
    folder = WEIGHTS / "reactivation" if folder is None else Path(folder)
    try:
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        weights = load_file(folder / "model.safetensors")
        head = ReactivationHead(len(weights["read.weight"][0]))
        head.load_state_dict(weights)
        return ShippedHead(head.eval(), float(content["threshold"]), dict(content["card"]))
    except (OSError, LookupError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        raise SharpwaveError(
            "a folder with config.json and model.safetensors of a reactivation head",
            got=f"{folder.name}: {(str(error).splitlines() or ['?'])[0][:200]}",
            fix="leave the folder out for the shipped weights",
        ) from error
