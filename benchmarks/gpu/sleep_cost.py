"""What sleep costs on a graphics card, against plain training of the same network: four minutes; no data.

A ResNet-18 of full width on images of 32 pixels, and a transformer over tokens. Plain steps, wake steps (new and
replayed items) and, after each "task" of so many steps, a night. Rows: milliseconds of a plain step; a wake step over a
plain one; wake and nights over plain training; a night's share of wake; memory at its peak over plain training's. A
median over steps, plain and wake taking turns, with the middle half of the steps as its range.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from card import Results, check_device, make_parser, time_step
from torch import Tensor, nn

from sharpwave.benchmarks.rows import Row
from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.demonstrations.networks import NarrowResNet18

CLASSES, TOKENS, WORDS = 10, 64, 1000
BATCHES = {"resnet18": 128, "transformer": 64}
CAPACITY = 500


class Transformer(nn.Module):
    """Six layers of eight heads over 64 tokens; the mean of the last states is classified."""

    def __init__(self, width: int = 512) -> None:
        super().__init__()
        self.embedding = nn.Embedding(WORDS, width)
        layer = nn.TransformerEncoderLayer(width, 8, 4 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 6, enable_nested_tensor=False)
        self.head = nn.Linear(width, CLASSES)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.layers(self.embedding(tokens.long())).mean(dim=1))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet18": lambda: NarrowResNet18((3, 32, 32), CLASSES, width=64),
    "transformer": Transformer,
}


def main() -> None:
    parser = make_parser(__doc__ or "", output="sleep-cost-card.json")
    parser.add_argument("--steps", type=int, default=200, help="steps of a task (default: 200)")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="bfloat16")
    options = parser.parse_args()
    device = check_device(options.device)
    config = {"steps": options.steps, "precision": options.precision, "batches": BATCHES, "device": device.type}
    results = Results("sleep-cost-card", options.output, config, limit=options.limit)
    for name in NETWORKS:
        if not results.has(name, "sleep") and results.may_begin():
            results.add(*measure(name, device, steps=options.steps, half=options.precision == "bfloat16"))


def draw(name: str, device: torch.device) -> dict[str, Tensor]:
    """Random inputs with random classes."""
    n_items = BATCHES[name]
    x = torch.rand(n_items, 3, 32, 32) if name == "resnet18" else torch.randint(WORDS, (n_items, TOKENS))
    return {"x": x.to(device), "y": torch.randint(CLASSES, (n_items,)).to(device)}


def measure(name: str, device: torch.device, *, steps: int, half: bool) -> list[Row]:
    """Rows of one network."""
    torch.manual_seed(0)
    plain, kept = NETWORKS[name]().to(device), NETWORKS[name]().to(device)
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.01) for model in (plain, kept)]
    storage = {"x": "uint8"} if name == "resnet18" else {}
    autocast = torch.bfloat16 if half else None
    buffer = ReplayBuffer(CAPACITY, storage=storage)  # type: ignore[arg-type]
    sleep = Sleep(kept, buffer, optimisers[1], autocast=autocast)
    batches = [draw(name, device) for _ in range(8)]

    def step_plainly(batch: dict[str, Tensor]) -> None:
        optimisers[0].zero_grad()
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=half):
            loss = nn.functional.cross_entropy(plain(batch["x"]), batch["y"])
        loss.backward()
        optimisers[0].step()

    def step_awake(batch: dict[str, Tensor]) -> None:
        optimisers[1].zero_grad()
        sleep.wake(batch).backward()
        optimisers[1].step()

    for batch in batches:  # the card's kernels are chosen at the first steps, and the buffer fills
        step_plainly(batch)
        step_awake(batch)
    times = np.empty((steps, 2))
    for number in range(steps):
        batch = batches[number % len(batches)]
        order = (0, 1) if number % 2 else (1, 0)
        for place in order:
            step = step_awake if place else step_plainly
            times[number, place] = time_step(lambda step=step, batch=batch: step(batch), device=device)  # type: ignore[misc]
    night = time_step(lambda: sleep.night(), device=device)
    plainly, awake = np.median(times, axis=0)
    ratio = times[:, 1] / times[:, 0]
    rows = [
        Row("random numbers", name, "plain", "milliseconds", 1e3 * float(plainly), n=steps),
        Row(
            "random numbers",
            name,
            "wake",
            "time_ratio",
            float(np.median(ratio)),
            *map(float, np.quantile(ratio, [0.25, 0.75])),
            n=steps,
        ),
        Row("random numbers", name, "night", "share_of_wake", float(night / (steps * awake)), n=1),
        Row("random numbers", name, "sleep", "time_ratio", float((steps * awake + night) / (steps * plainly)), n=1),
    ]
    if device.type == "cuda":
        peaks = [measure_peak(lambda: step_plainly(batches[0])), measure_peak(lambda: step_awake(batches[0]))]
        peaks.append(measure_peak(lambda: sleep.night(2)))
        rows.append(Row("random numbers", name, "wake", "peak_memory_ratio", peaks[1] / peaks[0], n=1))
        rows.append(Row("random numbers", name, "night", "peak_memory_ratio", peaks[2] / peaks[0], n=1))
    return rows


def measure_peak(step: Callable[[], object]) -> float:
    """Bytes on the card at the peak of a step."""
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return float(torch.cuda.max_memory_allocated())


if __name__ == "__main__":
    main()
