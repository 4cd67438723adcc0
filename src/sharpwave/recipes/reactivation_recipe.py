"""How the shipped reactivation head is trained and judged: on simulated nights alone, where replays are planted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.brainmu.checkpoints import WEIGHTS
from sharpwave.brainmu.reactivation.reactivation_frames import (
    LFP,
    PLACES,
    POPULATION,
    iter_frames,
)
from sharpwave.brainmu.reactivation.reactivation_head import (
    CONTEXT,
    DELAY,
    PRECISION,
    ReactivationHead,
    ShippedHead,
    find_events,
    judge_frames,
    save_reactivation_head,
)
from sharpwave.brainmu.reactivation.reactivation_judge import PathJudge
from sharpwave.evaluation.events import EventScores, score_events
from sharpwave.recipes.difficulty import (
    ASSUMPTIONS,
    EMPTY,
    IOU,
    NULLS,
    simulate_assumed_night,
    simulate_declared_night,
    simulate_null_night,
)
from sharpwave.recipes.path_recipe import LEAST_CHANCE, JudgedNight, choose_precision, judge_night, train_path_judge
from sharpwave.recipes.replay_nights import (
    SOURCES,
    ReactivationNight,
    draw_varied_night,
    mark_frames,
    simulate_reactivation_night,
)
from sharpwave.simulation import Nuisance

SEGMENT = 500
BATCH = 40
ABSENT = (0.2, 0.15, 0.2)
"""How often LFP, spikes and place fields are withheld from a segment."""
TRAINED_ON = (
    ("rat", 56, 0.3), ("rat", 40, 0.2), ("rat", 70, 0.4), ("rat", 56, 0.3), ("human", 50, 0.3), ("mouse", 50, 0.3),
    ("rat", 30, 0.3), ("rat", 56, 0.4), ("human", 70, 0.4), ("rat", 80, 0.3),
)  # fmt: skip
"""Species, number of units and share of shuffled sequences of the nights that the shipped head learnt from."""
N_VARIED, VARIED_HOURS, VARIED_STEPS = 30, 0.5, 450
"""Nights of `draw_varied_night` from which the frames learn afterwards, their hours, and the steps."""
JUDGED_PATHS = ((60, (2.5, 7.5)), (30, (1.2, 5.0)))
"""Nights of `draw_varied_night` from which the judge of paths learns, and how strongly places fire in their replays."""
ASSUMED_HOURS = 0.6
"""Hours of the nights that its threshold is chosen on."""
N_CHOSEN_ON, N_JUDGED_ON = 3, 4
"""Other nights of the declared difficulty on which thresholds are chosen, and on which the card's figures are taken."""


def train_reactivation_head(
    nights: Sequence[ReactivationNight],
    *,
    steps: int = 700,
    begin: ReactivationHead | None = None,
    generator: torch.Generator,
) -> ReactivationHead:
    """Learn frame by frame; half of the segments hold a sequence, weighted so that probabilities stay those of a night.

    Args:
        nights: Nights to learn from.
        steps: Batches of `BATCH` segments of `SEGMENT` frames.
        begin: Head to go on from, at a third of the learning rate; fresh weights where omitted.
        generator: Random generator of weights, segments, and what is withheld.
    """
    torch.manual_seed(int(torch.randint(0, 2**31, (1,), generator=generator)))
    head = ReactivationHead() if begin is None else begin.train()
    segments, weights, draw = _cut_segments(nights)
    optimiser = torch.optim.AdamW(head.parameters(), lr=4e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 6e-3 if begin is None else 2e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.multinomial(draw, BATCH, replacement=True, generator=generator)
        frames, target = segments[rows, :, :-2], segments[rows, CONTEXT:, -2:]
        logit = head(_withhold(frames, generator))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logit[:, DELAY:], target[:, :-DELAY], weight=weights[rows, None, None]
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    return head.eval()


def choose_threshold(
    probabilities: Sequence[Float[np.ndarray, "frame 2"]], nights: Sequence[ReactivationNight]
) -> float:
    """The threshold with the best mean F1 of events on these nights."""
    thresholds = np.round(np.arange(0.1, 0.96, 0.05), 2)
    scores = [
        [
            np.nan_to_num(score_events(night.replays, find_events(p, threshold=threshold), iou=IOU).f1)
            for p, night in zip(probabilities, nights, strict=True)
        ]
        for threshold in thresholds
    ]
    return float(thresholds[int(np.argmax(np.mean(scores, axis=1)))])


def ship_reactivation_head(folder: str | Path, *, seed: int = 0) -> ShippedHead:
    """Train head and judge, choose the thresholds, judge on other nights, and write weights and card.

    Args:
        folder: Made if it does not exist.
        seed: Seed of nights and training.
    """
    learning = np.random.default_rng([seed, 20]).spawn(len(TRAINED_ON))
    nights = [
        simulate_reactivation_night(species, n_units=n_units, nuisance=Nuisance(decoys=decoys), rng=stream)
        for (species, n_units, decoys), stream in zip(TRAINED_ON, learning, strict=True)
    ]
    head = train_reactivation_head(nights, generator=torch.Generator().manual_seed(seed))
    varied = [
        draw_varied_night(rng=np.random.default_rng([seed, 22, index]), hours=VARIED_HOURS, lfp=index % 3 == 0)
        for index in range(N_VARIED)
    ]
    head = train_reactivation_head(
        varied, steps=VARIED_STEPS, begin=head, generator=torch.Generator().manual_seed(seed + 1)
    )
    judge = train_path_judge(draw_judged_nights(head, seed=seed), generator=torch.Generator().manual_seed(seed))
    return finish_reactivation_head(head, judge, folder, seed=seed)


def draw_judged_nights(head: ReactivationHead, *, seed: int) -> list[JudgedNight]:
    """Spans of the nights that the judge of paths learns from.

    Args:
        head: Trained head, which proposes the spans.
        seed: Seed of the nights.
    """
    gains = [gain for n, gain in JUDGED_PATHS for _ in range(n)]
    streams = [np.random.default_rng([seed, 24, index]) for index in range(len(gains))]
    return [
        judge_night(head, draw_varied_night(rng=rng, hours=VARIED_HOURS, lfp=False, gain=gain), rng=rng)
        for gain, rng in zip(gains, streams, strict=True)
    ]


def draw_assumed_nights(head: ReactivationHead, *, seed: int) -> list[list[JudgedNight]]:
    """Spans of the nights that the threshold of the judge is chosen on, by assumption.

    Args:
        head: Trained head, which proposes the spans.
        seed: Seed of the nights.
    """
    names = (*ASSUMPTIONS, *EMPTY)
    streams = [np.random.default_rng([seed, 25, 0, index]) for index in range(len(names))]
    return [
        [judge_night(head, simulate_assumed_night(name, rng=rng, hours=ASSUMED_HOURS), rng=rng)]
        for name, rng in zip(names, streams, strict=True)
    ]


def finish_reactivation_head(head: ReactivationHead, judge: PathJudge, folder: str | Path, *, seed: int) -> ShippedHead:
    """Thresholds, figures and card of a trained head and judge, written with their weights.

    Args:
        head: The trained head.
        judge: The trained judge of paths.
        folder: Made if it does not exist.
        seed: Seed of the training, for the card, and of these nights.
    """
    choosing, judging, empty = np.random.default_rng([seed, 21]).spawn(3)
    chosen_on = [simulate_declared_night(rng=stream) for stream in choosing.spawn(N_CHOSEN_ON)]
    judged_on = [simulate_declared_night(rng=stream) for stream in judging.spawn(N_JUDGED_ON)]
    null = [simulate_null_night(kind, rng=rng) for kind, rng in zip(NULLS, empty.spawn(len(NULLS)), strict=True)]
    probabilities = [_judge(head, night) for night in chosen_on]
    thresholds = {name: choose_threshold([p[name] for p in probabilities], chosen_on) for name in SOURCES}
    card = make_card(thresholds["spikes+places"], seed=seed)
    card |= {
        "frames alone on other simulated nights of the declared difficulty": _tabulate(head, judged_on, thresholds),
        "the same where nothing is replayed": _tabulate(head, null, thresholds),
    }
    thresholds |= dict.fromkeys(("spikes+places", "lfp+spikes+places"), LEAST_CHANCE)
    thresholds[PRECISION] = choose_precision(judge, draw_assumed_nights(head, seed=seed))
    shipped = ShippedHead(head, thresholds, card, judge)
    save_reactivation_head(shipped, folder)
    return shipped


def make_card(frames_alone: float, *, seed: int) -> dict[str, Any]:
    """What is said of the shipped weights.

    Args:
        frames_alone: Threshold of the frames by themselves where there are spikes and places.
        seed: Seed of the training.
    """
    return {
        "trained on": (
            f"frames: {len(TRAINED_ON)} simulated nights (rat, mouse, human), then {N_VARIED} in which everything is"
            f" drawn anew; paths: {sum(n for n, _ in JUDGED_PATHS)} more of these; no recorded data, nothing of the"
            " second world"
        ),
        "command": "python -m sharpwave.recipes.reactivation_recipe",
        "seed": seed,
        "threshold of the frames alone": frames_alone,
        "matched at an intersection over union of": IOU,
        "limits": (
            "never tested on recorded replay; without place fields a replay looks like any long burst; events of few"
            " spikes, paths that leap and bursts that jump are often mistaken for each other"
        ),
    }


def _judge(head: ReactivationHead, night: ReactivationNight) -> dict[str, Float[np.ndarray, "frame 2"]]:
    """What the head says of each frame, by what it is given."""
    inputs = np.concatenate([block.inputs for block in iter_frames(night.recording, fields=night.fields)])
    return {name: judge_frames(head, inputs, sources=name) for name in SOURCES}


def _tabulate(
    head: ReactivationHead, nights: Sequence[ReactivationNight], thresholds: dict[str, float]
) -> dict[str, dict[str, float]]:
    """Means over nights, by what the head is given; of nights without replay, false positives alone."""
    figures: dict[str, list[EventScores]] = {name: [] for name in SOURCES}
    for night in nights:
        for name, p in _judge(head, night).items():
            found = find_events(p, threshold=thresholds[name])
            figures[name].append(score_events(night.replays, found, iou=IOU, duration=night.recording.duration))
    some = any(len(night.replays) for night in nights)
    names = ("precision", "recall", "f1", "onset_error", "false_per_minute") if some else ("false_per_minute",)
    means = {source: {n: float(np.mean([getattr(s, n) for s in f])) for n in names} for source, f in figures.items()}
    return {source: {n: round(v, 4) for n, v in row.items()} for source, row in means.items()}


def _cut_segments(nights: Sequence[ReactivationNight]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Segments (segment, frame, input and target), their weight in the loss, and their chance to be drawn."""
    parts, eventful = [], []
    for night in nights:
        inputs = np.concatenate([block.inputs for block in iter_frames(night.recording, fields=night.fields)])
        replay = mark_frames(night.replays, len(inputs))
        either = replay + mark_frames(night.others[night.others["kind"] != "ripple"], len(inputs))
        burst = np.maximum(replay, mark_frames(night.others, len(inputs)))
        n = len(inputs) // SEGMENT
        joined = np.column_stack([inputs, replay, burst])[: n * SEGMENT]
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
    chance = torch.rand(len(frames), len(ABSENT), generator=generator)
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
