"""How the shipped reactivation head is trained and judged: on simulated nights alone, where replays are planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float

from sharpwave.brainmu.reactivation_frames import (
    FRAME,
    LFP,
    PLACES,
    POPULATION,
    SOURCES,
    PlaceFields,
    iter_frames,
)
from sharpwave.brainmu.reactivation_head import (
    CONTEXT,
    DELAY,
    ReactivationHead,
    ShippedHead,
    compute_reactivation_probability,
    find_events,
)
from sharpwave.evaluation.events import EventScores, score_events
from sharpwave.recordings.recording import Recording
from sharpwave.simulation import simulate_night

SIGNALS = ("lfp", "spikes", "position")
HOURS = {"rat": 0.8, "mouse": 0.8, "human": 1.2}
N_PLACES = 20
SEGMENT = 400
BATCH = 48
ABSENT = (0.2, 0.2, 0.3)
"""How often LFP, spikes and place fields are withheld from a segment."""
IOU = 0.2


@dataclass(frozen=True, eq=False)
class ReactivationNight:
    """A simulated night.

    Attributes:
        recording: As a reader would give it.
        fields: Estimated from the laps.
        replays: Onset and duration of each planted replay.
        others: The same of shuffled sequences and of ripples without any.
    """

    recording: Recording
    fields: PlaceFields
    replays: pd.DataFrame
    others: pd.DataFrame


def simulate_reactivation_night(
    species: str, *, rng: np.random.Generator, n_units: int = 40, hours: float | None = None, replay: bool = True
) -> ReactivationNight:
    """A night with planted replays, or one whose sleep comes before the task, in which there is nothing to replay."""
    hours = HOURS[species] if hours is None else hours
    length = {"human": 360.0, "mouse": 900.0, "rat": 900.0}[species]
    start = 0.0 if replay else hours * 3600 - length - 61
    recording, truth = simulate_night(species, hours, rng=rng, modalities=SIGNALS, n_units=n_units, task_start=start)
    fields = estimate_place_fields(recording, truth.laps)
    if not replay:
        recording = recording.restrict(0.0, start)
    ripples = truth.ripples[truth.ripples["onset"] < recording.duration]
    kinds = ripples["kind"] == "replay"
    return ReactivationNight(recording, fields, ripples[kinds], ripples[~kinds])


def estimate_place_fields(recording: Recording, laps: pd.DataFrame) -> PlaceFields:
    """What each unit fires where, from the laps: a smoothed histogram per track and running direction.

    Args:
        recording: With `position` and spikes.
        laps: onset, duration (s), content, run_direction.
    """
    signal = recording["position"]
    position = signal.read(dtype=np.float64)
    times = signal.start + np.arange(len(position)) / signal.rate
    edges = np.linspace(0, float(position.max()), N_PLACES + 1)
    kernel = np.exp(-0.5 * (np.arange(-2, 3) / 0.8) ** 2)
    trains: Any = recording.spikes
    units = tuple(trains.keys())
    rates, track, places = [], [], []
    for index, (_, group) in enumerate(laps.groupby(["content", "run_direction"])):
        spans = group[["onset", "duration"]].to_numpy(float)
        running = _within(times, spans)
        time = np.convolve(np.histogram(position[running], edges)[0] / signal.rate, kernel, mode="same")
        rows = []
        for unit in units:
            fired = trains[unit].t
            where = np.interp(fired[_within(fired, spans)], times, position)
            rows.append(np.convolve(np.histogram(where, edges)[0], kernel, mode="same") / np.maximum(time, 0.1))
        rates.append(np.array(rows))
        track.append(np.full(N_PLACES, index))
        places.append((edges[:-1] + edges[1:]) / 2)
    return PlaceFields(units, np.concatenate(rates, axis=1), np.concatenate(track), np.concatenate(places))


def train_reactivation_head(
    nights: Sequence[ReactivationNight], *, steps: int = 700, generator: torch.Generator
) -> ReactivationHead:
    """Learn frame by frame; half of the segments hold a sequence, weighted so that probabilities stay those of a night.

    Args:
        nights: To learn from.
        steps: Batches of `BATCH` segments of `SEGMENT` frames.
        generator: For weights, segments, and what is withheld.
    """
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=generator)))
    head = ReactivationHead()
    segments, weights, draw = _cut_segments(nights)
    optimiser = torch.optim.AdamW(head.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.multinomial(draw, BATCH, replacement=True, generator=generator)
        frames, target = segments[rows, :, :-1], segments[rows, CONTEXT:, -1]
        logit = head(_withhold(frames, generator))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logit[:, DELAY:], target[:, :-DELAY], weight=weights[rows, None]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


def choose_threshold(head: ReactivationHead, nights: Sequence[ReactivationNight]) -> float:
    """The threshold with the best mean F1 of events on these nights."""
    thresholds = np.round(np.arange(0.1, 0.9, 0.05), 2)
    probabilities = [compute_reactivation_probability(head, n.recording, fields=n.fields) for n in nights]
    scores = [
        np.nanmean(
            [
                score_events(night.replays, find_events(p, threshold=threshold), iou=IOU).f1
                for p, night in zip(probabilities, nights, strict=True)
            ]
        )
        for threshold in thresholds
    ]
    return float(thresholds[int(np.nanargmax(scores))])


def score_night(shipped: ShippedHead, night: ReactivationNight, *, fields: bool = True) -> EventScores:
    """Events found against replays planted, at an intersection over union of `IOU`."""
    probability = compute_reactivation_probability(
        shipped.head, night.recording, fields=night.fields if fields else None
    )
    found = find_events(probability, threshold=shipped.threshold)
    return score_events(night.replays, found, iou=IOU, duration=night.recording.duration)


def _cut_segments(nights: Sequence[ReactivationNight]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Segments (segment, frame, input and target), their weight in the loss, and their chance to be drawn."""
    parts, eventful = [], []
    for night in nights:
        inputs = np.concatenate([block.inputs for block in iter_frames(night.recording, fields=night.fields)])
        target = _mark(night.replays, len(inputs))
        either = target + _mark(night.others[night.others["kind"] == "shuffled"], len(inputs))
        n = len(inputs) // SEGMENT
        joined = np.concatenate([inputs, target[:, None]], axis=1)[: n * SEGMENT]
        parts.append(joined.reshape(n, SEGMENT, -1))
        eventful.append(either[: n * SEGMENT].reshape(n, SEGMENT).any(axis=1))
    some = np.concatenate(eventful)
    uniform = 1 / len(some)
    draw = 0.5 * uniform + 0.5 * some / max(some.sum(), 1)
    tensors = (np.concatenate(parts), uniform / draw, draw)
    segments, weights, chance = (torch.from_numpy(part.astype(np.float32)) for part in tensors)
    return segments, weights, chance


def _withhold(frames: Float[torch.Tensor, "batch frame input"], generator: torch.Generator) -> torch.Tensor:
    """Sources absent at random, place fields also where spikes are; LFP stays where spikes are withheld."""
    chance = torch.rand(len(frames), len(SOURCES), generator=generator)
    gone = chance < torch.tensor(ABSENT)
    gone[:, 0] &= ~gone[:, 1]
    gone[:, 2] |= gone[:, 1]
    masks = [
        gone[:, index : index + 1].repeat(1, part.stop - part.start)
        for index, part in enumerate((LFP, POPULATION, PLACES))
    ]
    return frames.masked_fill(torch.cat([*masks, gone], dim=1)[:, None], 0.0)


def _mark(events: pd.DataFrame, n_frames: int) -> Float[np.ndarray, " frame"]:
    """1 in frames whose middle lies in an event."""
    middles = (np.arange(n_frames) + 0.5) * FRAME
    return _within(middles, events[["onset", "duration"]].to_numpy(float)).astype(np.float32)


def _within(times: np.ndarray, spans: np.ndarray) -> np.ndarray:
    """Which times lie in one of the spans (onset, duration), which do not overlap."""
    if not len(spans):
        return np.zeros(len(times), dtype=bool)
    spans = spans[np.argsort(spans[:, 0])]
    index = np.searchsorted(spans[:, 0], times, side="right") - 1
    return (index >= 0) & (times < spans[np.maximum(index, 0)].sum(axis=1))
