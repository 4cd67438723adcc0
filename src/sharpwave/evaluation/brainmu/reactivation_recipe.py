"""How the shipped reactivation head is trained and judged: on simulated nights alone, where replays are planted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.brainmu.checkpoints import WEIGHTS
from sharpwave.brainmu.reactivation_frames import (
    LFP,
    PLACES,
    POPULATION,
    SOURCES,
    iter_frames,
)
from sharpwave.brainmu.reactivation_head import (
    CONTEXT,
    DELAY,
    ReactivationHead,
    ShippedHead,
    compute_reactivation_probability,
    find_events,
    save_reactivation_head,
)
from sharpwave.evaluation.brainmu.reactivation_nights import (
    IOU,
    ReactivationNight,
    mark_frames,
    score_night,
    simulate_reactivation_night,
)
from sharpwave.evaluation.events import EventScores, score_events

SEGMENT = 400
BATCH = 48
ABSENT = (0.2, 0.2, 0.3)
"""How often LFP, spikes and place fields are withheld from a segment."""
TRAINED_ON = (
    ("rat", 40), ("human", 40), ("mouse", 25), ("rat", 60), ("human", 20), ("human", 60), ("mouse", 50), ("rat", 25),
)  # fmt: skip
"""Species and number of units of the nights that the shipped head learnt from."""
JUDGED_ON = (("rat", 40), ("human", 40), ("mouse", 40))


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


def ship_reactivation_head(folder: str | Path, *, seed: int = 0) -> ShippedHead:
    """Train, choose the threshold, judge on other nights, and write weights and card.

    Args:
        folder: Made if it does not exist.
        seed: Of nights and training.
    """
    streams = iter(np.random.default_rng(seed).spawn(len(TRAINED_ON) + 2 * len(JUDGED_ON)))
    nights = [simulate_reactivation_night(name, n_units=n, rng=next(streams)) for name, n in TRAINED_ON]
    head = train_reactivation_head(nights, generator=torch.Generator().manual_seed(seed))
    shipped = ShippedHead(head, choose_threshold(head, nights[:4]), {})
    scores = {}
    for name, n in JUDGED_ON:
        night = simulate_reactivation_night(name, n_units=n, rng=next(streams))
        scores[name] = {
            "with place fields": _tabulate(score_night(shipped, night)),
            "without": _tabulate(score_night(shipped, night, fields=False)),
        }
        empty = simulate_reactivation_night(name, n_units=n, rng=next(streams), replay=False)
        found = score_night(shipped, empty)
        scores[name]["before the task, where nothing is replayed"] = {
            "found": found.n_found,
            "minutes": round(empty.recording.duration / 60, 1),
        }
    card = {
        "trained on": f"{len(TRAINED_ON)} simulated nights (rat, mouse, human); no recorded data",
        "command": "python -m sharpwave.evaluation.brainmu.reactivation_recipe",
        "scores on other simulated nights": scores,
        "matched at an intersection over union of": IOU,
        "limits": "never tested on recorded replay; without place fields a replay looks like any large burst",
    }
    shipped = replace(shipped, card=card)
    save_reactivation_head(shipped, folder)
    return shipped


def _tabulate(scores: EventScores) -> dict[str, float]:
    names = ("precision", "recall", "f1", "n_truth", "n_found", "onset_error", "false_per_minute")
    return {name: round(float(getattr(scores, name)), 4) for name in names}


def _cut_segments(nights: Sequence[ReactivationNight]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Segments (segment, frame, input and target), their weight in the loss, and their chance to be drawn."""
    parts, eventful = [], []
    for night in nights:
        inputs = np.concatenate([block.inputs for block in iter_frames(night.recording, fields=night.fields)])
        target = mark_frames(night.replays, len(inputs))
        either = target + mark_frames(night.others[night.others["kind"] == "shuffled"], len(inputs))
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


if __name__ == "__main__":
    ship_reactivation_head(WEIGHTS / "reactivation")
