"""Head for reactivation events: a small causal temporal convolution over fine frames, then onset and duration.

A frame is judged `DELAY` later, so that a sequence can be told from a burst; nothing after that is used. Two things are
said of each frame: whether it lies in a burst of any kind, which gives the edges, and whether in a replay.
"""

from __future__ import annotations

import bisect
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from safetensors.torch import save_file
from torch import Tensor, nn

from sharpwave.brainmu.checkpoints import WEIGHTS, read_tensors
from sharpwave.brainmu.reactivation.reactivation_frames import FRAME, N_INPUTS, SOURCES, WIDTHS, iter_frames
from sharpwave.brainmu.reactivation.reactivation_judge import PathJudge, judge_paths, keep_sure, weigh_spans
from sharpwave.brainmu.reactivation.reactivation_paths import PATHS, measure_paths
from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields
from sharpwave.disk import hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import read_head, replace_files
from sharpwave.recordings.recording import Recording
from sharpwave.untrusted import explained, parse_json

DELAY = 24
"""Frames."""
KERNEL, DILATIONS = 5, (1, 2, 4, 8)
CONTEXT = (KERNEL - 1) * sum(DILATIONS)
"""Frames before a frame that its judgement reaches back to."""
EDGE = 0.5
"""Probability of a burst at which it begins and ends."""
SHORTEST, GAP = 0.03, 0.02
"""Seconds: shorter bursts are left out, shorter gaps closed."""
LONGEST = 0.8
"""Seconds: longer spans are no single burst."""
LEVELS = ((0.5, 0.02), (0.5, 0.05), (0.3, 0.02), (0.15, 0.02), (0.08, 0.02))
"""Probability of a burst at which a span begins and ends, and seconds of the gaps that are closed."""
PRECISION = "expected precision"
"""Among the thresholds: least mean probability of the bursts of a recording that are called replays."""
JUDGE = "paths."
"""What the names of the judge's tensors begin with in the file of weights."""
SEED = 20
"""Of the exchanges of cells, so that a recording is judged alike each time."""
AROUND, RUNS = 0.25, 0.15
"""An animal runs where it comes further within so many seconds before and after than so much of its fast way."""
MOST_CHANNELS = 1024
"""Channels of the largest head that is loaded."""


class ReactivationHead(nn.Module):
    """Logits per frame that it lies in a replay, and in a burst of any kind, spoken `DELAY` frames later."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        sizes = (N_INPUTS, *(width for _ in DILATIONS))
        self.layers = nn.ModuleList(
            nn.Conv1d(n_in, n_out, KERNEL, dilation=dilation)
            for n_in, n_out, dilation in zip(sizes[:-1], sizes[1:], DILATIONS, strict=True)
        )
        self.read = nn.Conv1d(width, 2, 1)

    def forward(self, frames: Float[Tensor, "batch frame input"]) -> Float[Tensor, "batch judged 2"]:
        """Judge all frames but the first `CONTEXT`, which are what these look back on."""
        hidden = frames.transpose(1, 2)
        for layer in self.layers:
            hidden = nn.functional.gelu(layer(hidden))
        return self.read(hidden).transpose(1, 2)


@dataclass(frozen=True, eq=False)
class ShippedHead:
    """A head ready for use.

    Attributes:
        head: Head in evaluation mode.
        thresholds: Probability from which a burst is called a replay, by what there is to judge by (`name_sources`);
            and `PRECISION`.
        card: What it was trained on and how good it is.
        judge: Tells whether a burst moves, where place fields are known; without it the frames alone decide.
    """

    head: ReactivationHead
    thresholds: dict[str, float]
    card: dict[str, Any]
    judge: PathJudge | None = None


def name_sources(recording: Recording, *, fields: PlaceFields | None = None) -> str:
    """What there is to judge by: "lfp", "spikes", "lfp+spikes", "spikes+places" or "lfp+spikes+places".

    Raises:
        SharpwaveError: If there is neither LFP nor spikes.
    """
    spikes = recording.spikes is not None and len(recording.spikes) > 0
    there = (bool(recording.of("lfp")), spikes, spikes and fields is not None)
    if not any(there):
        raise SharpwaveError(
            "a recording with hippocampal LFP or spikes",
            got=", ".join(recording.modalities) or "no signals",
            fix="reactivations cannot be told from anything else",
        )
    return "+".join(name for name, known in zip(SOURCES, there, strict=True) if known)


def compute_reactivation_probability(
    head: ReactivationHead, recording: Recording, *, fields: PlaceFields | None = None
) -> Float[np.ndarray, "frame 2"]:
    """Probability that each frame of `FRAME` seconds lies in a replay, and in a burst of any kind.

    Args:
        head: Head in evaluation mode.
        recording: Recording with hippocampal LFP, spikes, or both.
        fields: What the units fire where, if known.

    Returns:
        Both probabilities; 0 in the last `DELAY` frames, which are not judged yet.

    Raises:
        SharpwaveError: If the recording has neither.
    """
    name_sources(recording, fields=fields)
    before = np.zeros((CONTEXT, N_INPUTS), dtype=np.float32)
    parts = []
    for block in iter_frames(recording, fields=fields):
        frames = np.concatenate([before, block.inputs])
        parts.append(_judge(head, frames))
        before = frames[-CONTEXT:]
    return _shift(np.concatenate(parts))


def judge_frames(
    head: ReactivationHead, inputs: Float[np.ndarray, "frame input"], *, sources: str
) -> Float[np.ndarray, "frame 2"]:
    """The same from all frames of a recording, of which nothing is used but what `name_sources` would name so."""
    named = sources.split("+")
    gone = np.array([name not in named for name in SOURCES], dtype=np.float32)
    used = inputs * np.r_[np.repeat(1 - gone, WIDTHS), 1 - gone].astype(np.float32)
    return _shift(_judge(head, np.concatenate([np.zeros((CONTEXT, N_INPUTS), dtype=np.float32), used])))


def _judge(head: ReactivationHead, frames: Float[np.ndarray, "frame input"]) -> Float[np.ndarray, "judged 2"]:
    with torch.inference_mode():
        return torch.sigmoid(head(torch.from_numpy(frames)[None])[0]).numpy()


def _shift(judged: Float[np.ndarray, "frame 2"]) -> Float[np.ndarray, "frame 2"]:
    """What is said of each frame, from what is said at each."""
    return np.concatenate([judged[DELAY:], np.zeros_like(judged[:DELAY])])


def detect_reactivations(
    recording: Recording, *, fields: PlaceFields | None = None, shipped: ShippedHead | None = None
) -> pd.DataFrame:
    """Reactivation events of a recording.

    Where place fields are known, an event is a burst whose decoded place moves along a track.

    Args:
        recording: Recording with hippocampal LFP, spikes, or both.
        fields: What the units fire where. Without them a replay cannot be told from another burst of the same size.
        shipped: Head and thresholds; those that ship where omitted.

    Returns:
        onset, duration (s), label "reactivation", probability (of a replay), known (s, when a head that runs along
        could first have said so), and where place fields are known path ("moves") and the probabilities of each of
        `PATHS`: moves, stays, jumps, none; `attrs["bursts"]` then holds the onsets of all bursts by what they do, those
        that move with too little probability by what comes next.

    Raises:
        SharpwaveError: If the recording has neither LFP nor spikes.
    """
    shipped = shipped or load_reactivation_head()
    threshold = shipped.thresholds[name_sources(recording, fields=fields)]
    if shipped.judge is None or fields is None or not recording.spikes:
        probability = compute_reactivation_probability(shipped.head, recording, fields=fields)
        return find_events(probability, threshold=threshold)
    bursts = judge_bursts(recording, fields=fields, shipped=shipped)
    moving = keep_replays(bursts, shipped, least=threshold)
    path = np.where(
        moving, PATHS[0], np.array(PATHS[1:], dtype=object)[bursts[list(PATHS[1:])].to_numpy().argmax(axis=1)]
    )
    events = bursts[moving].assign(path=PATHS[0]).reset_index(drop=True)
    events.attrs["bursts"] = {name: bursts.loc[path == name, "onset"].tolist() for name in PATHS}
    return events


def keep_replays(bursts: pd.DataFrame, shipped: ShippedHead, *, least: float) -> Bool[np.ndarray, " burst"]:
    """Which bursts are called replays: the surest, as many as are right to the share that the head is made for.

    Args:
        bursts: From `judge_bursts`.
        shipped: Head; `PRECISION` among its thresholds is that share, 0 where it has none.
        least: Least probability of any.
    """
    precision = shipped.thresholds.get(PRECISION, 0.0)
    return keep_sure(bursts["probability"].to_numpy(float), least=least, precision=precision)


def judge_bursts(
    recording: Recording,
    *,
    fields: PlaceFields,
    shipped: ShippedHead | None = None,
    probability: Float[np.ndarray, "frame 2"] | None = None,
) -> pd.DataFrame:
    """Every burst of a recording, and whether the place that it decodes to moves, stays or jumps.

    Args:
        recording: Recording with spikes.
        fields: What the units fire where.
        shipped: Head with its judge; the one that ships where omitted.
        probability: From `compute_reactivation_probability`, where that was done already.

    Returns:
        The columns of `detect_reactivations`, for all bursts; `path` is what is most probable.

    Raises:
        SharpwaveError: If the head has no judge, or the recording has no spikes.
    """
    shipped = shipped or load_reactivation_head()
    if shipped.judge is None or not recording.spikes:
        raise SharpwaveError(
            "a recording with spikes, and a head that judges paths",
            got="no spikes" if not recording.spikes else "a head without a judge",
            fix="use the shipped head, on a recording with spikes",
        )
    if probability is None:
        probability = compute_reactivation_probability(shipped.head, recording, fields=fields)
    spans = propose_bursts(probability)
    measures = measure_paths(recording.spikes, spans, fields, rng=np.random.default_rng(SEED))
    weights = weigh_spans(spans) * ~_find_moving(recording, spans)
    judged = judge_paths(shipped.judge, measures, weights)
    spans = spans.assign(label="reactivation", probability=judged.replay, known=_find_known(spans))
    spans["path"] = np.array(PATHS, dtype=object)[judged.paths.argmax(axis=1)]
    for index, path in enumerate(PATHS):
        spans[path] = judged.paths[:, index]
    return keep_apart(spans)


def _find_moving(recording: Recording, spans: pd.DataFrame) -> Bool[np.ndarray, " span"]:
    """Spans while the animal runs, by which the shares of kinds in rest cannot be told; none where no position is."""
    out = np.zeros(len(spans), dtype=bool)
    middle = (spans["onset"] + spans["duration"] / 2).to_numpy(float)
    for signal in recording.of("position").values():
        values = signal.read(signal.start, signal.start + len(signal) / signal.rate).reshape(len(signal), -1)
        step = max(round(AROUND * signal.rate), 1)
        if len(values) <= 2 * step:
            continue
        away = np.linalg.norm(values[2 * step :] - values[: -2 * step], axis=1)
        runs = away > RUNS * np.nanquantile(away, 0.95) if np.isfinite(away).any() else np.zeros(len(away), dtype=bool)
        at = np.floor((middle - signal.start) * signal.rate).astype(int) - step
        inside = (at >= 0) & (at < len(runs))
        out[inside] |= runs[at[inside]]
    return out


def _find_known(spans: pd.DataFrame) -> Float[np.ndarray, " span"]:
    """When each burst could first have been judged: `DELAY` frames after its last."""
    return (spans["onset"] + spans["duration"]).to_numpy(float) + DELAY * FRAME


def keep_apart(spans: pd.DataFrame) -> pd.DataFrame:
    """Of spans that overlap, the one with the largest probability; in order of the onset.

    >>> spans = pd.DataFrame({"onset": [1.0, 1.05, 2.0], "duration": 0.1, "probability": [0.6, 0.9, 0.2]})
    >>> keep_apart(spans)["onset"].tolist()
    [1.05, 2.0]
    """
    onset = spans["onset"].to_numpy(float)
    end = onset + spans["duration"].to_numpy(float)
    kept: list[int] = []
    starts: list[float] = []
    ends: list[float] = []
    for row in np.argsort(-spans["probability"].to_numpy(float), kind="stable"):
        place = bisect.bisect_left(starts, onset[row])
        free = (place == 0 or ends[place - 1] <= onset[row] + 1e-9) and (
            place == len(starts) or starts[place] >= end[row] - 1e-9
        )
        if free:
            starts.insert(place, onset[row])
            ends.insert(place, end[row])
            kept.append(int(row))
    return spans.iloc[sorted(kept, key=lambda row: onset[row])].reset_index(drop=True)


def find_events(probability: Float[np.ndarray, "frame 2"], *, threshold: float) -> pd.DataFrame:
    """Bursts, joined over short gaps, in which the probability of a replay reaches a threshold.

    Args:
        probability: Probability of a replay, and of a burst of any kind, in each frame.
        threshold: Least probability of a replay.

    Returns:
        onset, duration, label, probability, known.
    """
    starts, ends = _find_spans(probability[:, 1], edge=EDGE, gap=GAP)
    replay = probability[:, 0]
    highest = np.array([replay[a:b].max() for a, b in zip(starts, ends, strict=True)], dtype=float)
    likely = highest >= threshold
    starts, ends = starts[likely], ends[likely]
    first = [a + int(np.argmax(replay[a:b] >= threshold)) for a, b in zip(starts, ends, strict=True)]
    return pd.DataFrame(
        {
            "onset": starts * FRAME,
            "duration": (ends - starts) * FRAME,
            "label": "reactivation",
            "probability": highest[likely],
            "known": (np.array(first, dtype=float) + 1 + DELAY) * FRAME,
        }
    )


def propose_bursts(probability: Float[np.ndarray, "frame 2"]) -> pd.DataFrame:
    """Spans that may be one burst each: all that begin and end at one of `LEVELS`; they overlap.

    Args:
        probability: Probability of a replay, and of a burst of any kind, in each frame.

    Returns:
        onset, duration, in order of the onset.
    """
    spans = {
        (int(start), int(end))
        for edge, gap in LEVELS
        for start, end in zip(*_find_spans(probability[:, 1], edge=edge, gap=gap), strict=True)
        if (end - start) * FRAME <= LONGEST
    }
    frames = np.array(sorted(spans), dtype=float).reshape(-1, 2)
    return pd.DataFrame({"onset": frames[:, 0] * FRAME, "duration": (frames[:, 1] - frames[:, 0]) * FRAME})


def _find_spans(burst: Float[np.ndarray, " frame"], *, edge: float, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """First frame, and frame after the last, of each burst."""
    above = np.r_[False, burst >= edge, False]
    starts, ends = np.flatnonzero(above[1:] & ~above[:-1]), np.flatnonzero(above[:-1] & ~above[1:])
    apart = (starts[1:] - ends[:-1]) * FRAME >= gap - 1e-9
    starts, ends = starts[np.r_[True, apart][: len(starts)]], ends[np.r_[apart, True][: len(ends)]]
    long = (ends - starts) * FRAME >= SHORTEST - 1e-9
    return starts[long], ends[long]


def save_reactivation_head(shipped: ShippedHead, folder: str | Path) -> Path:
    """Write `model.safetensors` and `config.json`, both at once; returns the folder."""
    state = dict(shipped.head.state_dict())
    if shipped.judge is not None:
        state |= {JUDGE + name: value for name, value in shipped.judge.state_dict().items()}
    content: dict[str, Any] = {"thresholds": shipped.thresholds, "card": shipped.card}
    with replace_files(folder) as partial:
        tensors = partial / "model.safetensors"
        save_file({name: value.detach().contiguous() for name, value in state.items()}, tensors)
        content["sha256"] = hash_path(tensors)
        (partial / "config.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    return Path(folder)


def load_reactivation_head(folder: str | Path | None = None) -> ShippedHead:
    """A head from its folder; the shipped one where omitted.

    Raises:
        SharpwaveError: If files are missing, damaged, or do not fit.
    """
    folder = WEIGHTS / "reactivation" if folder is None else Path(folder)
    with explained(
        "a folder with config.json and model.safetensors of a reactivation head",
        name=folder.name,
        fix="leave the folder out for the shipped weights",
    ):
        text, tensors = read_head(folder, "config.json", "model.safetensors")
        content = parse_json(text.encode(), name="config.json")
        weights = read_tensors(tensors)
        width = len(weights["read.weight"][0])
        if not 0 < width <= MOST_CHANNELS:
            raise ValueError(f"{width} channels")
        head = ReactivationHead(width)
        head.load_state_dict({name: value for name, value in weights.items() if not name.startswith(JUDGE)})
        judge = _load_judge({name[len(JUDGE) :]: v for name, v in weights.items() if name.startswith(JUDGE)})
        thresholds = {str(name): float(value) for name, value in content["thresholds"].items()}
        if not all(math.isfinite(value) for value in thresholds.values()):
            raise ValueError(f"thresholds of {thresholds}")
        return ShippedHead(head.eval(), thresholds, dict(content["card"]), judge)


def _load_judge(weights: dict[str, Tensor]) -> PathJudge | None:
    """The judge of paths; none where the file is of a head without one."""
    if not weights:
        return None
    judge = PathJudge()
    judge.load_state_dict(weights)
    return judge.eval()
