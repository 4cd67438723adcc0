"""The standard protocol of class-incremental CIFAR-10: a whole ResNet-18, several passes, augmented images, one card.

Two classes at a time, batches of 32, random crops and mirrored images (the buffer keeps images before augmentation, and
draws are augmented anew), buffers of 200 and 500 items, step sizes and weights as published for DER++, ER and ER-ACE
(Buzzega et al. 2020, arXiv:2004.07211; Mammoth's files of best options). `sleep` has those of DER++: nothing was chosen
for it here. All take gradients of as many samples. Runs go side by side on the card; each is written when it is done,
and a command that is given again goes on with those that are missing.

The images are those of `--data` (images/cifar10_subset_jpeg.tar, 15,000 of the 50,000 to learn from), so accuracies are
below those published for all images: rows are compared with each other only. Twelve runs of ten passes take about nine
minutes of an H100; the published fifty passes (`--epochs 50`) five times as long.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from card import Results, check_device, make_parser
from torch import Tensor, nn

from sharpwave.benchmarks.continual.harness import make_setting, score_task
from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.continual.learners import LEARNERS
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.demonstrations.networks import NarrowResNet18
from sharpwave.demonstrations.streams import ImageSet, Task, split_classes, take

DATA = "CIFAR-10, 15,000 images"
CLASSES, TASKS, BATCH = 10, 5, 32
OPTIONS: dict[str, dict[str, float]] = {
    "finetune": {"lr": 0.03},
    "er": {"lr": 0.1},
    "er-ace": {"lr": 0.03},
    "der++": {"lr": 0.03, "alpha": 0.1, "beta": 0.5},
    "sleep": {"lr": 0.03, "alpha": 0.1, "beta": 0.5},
}
SMALL_STEM = (3, 31, 31)
"""A shape for which the network begins with one 3 × 3 convolution, as is usual for CIFAR-10."""


class Augmented(nn.Module):
    """A network that sees, in training, images cut at random out of a border of 4 black pixels, half of them mirrored.

    Args:
        network: What sees them.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(augment(x) if self.training else x)


def augment(x: Tensor, *, border: int = 4) -> Tensor:
    """Cut each image out of its padded self at a place of its own, and mirror half of them.

    Args:
        x: Images, shape (image, channel, height, width).
        border: Black pixels around each.
    """
    n_images, _, height, width = x.shape
    padded = nn.functional.pad(x, (border,) * 4)
    top, left = torch.randint(2 * border + 1, (2, n_images, 1, 1), device=x.device)
    rows = top + torch.arange(height, device=x.device)[None, :, None]
    columns = torch.arange(width, device=x.device)[None, None]
    mirrored = torch.rand(n_images, 1, 1, device=x.device) < 0.5
    columns = left + torch.where(mirrored, width - 1 - columns, columns)
    image = torch.arange(n_images, device=x.device)[:, None, None]
    return padded[image, :, rows, columns].permute(0, 3, 1, 2).contiguous()


def main() -> None:
    parser = make_parser(__doc__ or "", output="seq-cifar10.json", seeds=3)
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets, or of images")
    parser.add_argument("--epochs", type=int, default=10, help="passes over each task (default: 10)")
    parser.add_argument("--buffers", type=int, nargs="+", default=[200], help="items of the buffer (default: 200)")
    parser.add_argument("--methods", nargs="+", default=["er-ace", "der++", "sleep", "er"], choices=list(OPTIONS))
    parser.add_argument("--workers", type=int, default=6, help="runs side by side (default: 6)")
    parser.add_argument("--images", type=int, help="images of each task; all where omitted")
    options = parser.parse_args()
    device = check_device(options.device)
    own = options.data / "images" / "cifar10_subset_jpeg.tar"
    images = load_images(own if own.is_file() else options.data)
    config = {
        "epochs": options.epochs,
        "batch": BATCH,
        "options": OPTIONS,
        "images": options.images,
        "device": device.type,
    }
    results = Results("seq-cifar10", options.output, config, limit=options.limit)
    jobs = [
        (method, buffer, seed)
        for seed in range(options.seeds)
        for buffer in options.buffers
        for method in options.methods
        if not results.has(f"buffer {buffer}, seed {seed}", method)
    ]
    run = partial(run_one, images, epochs=options.epochs, device=device, n_train=options.images)
    for (method, buffer, seed), found in run_side_by_side(run, jobs, results, workers=options.workers):
        setting = f"buffer {buffer}, seed {seed}"
        results.add(*(Row(DATA, setting, method, metric, value, n=1) for metric, value in found.items()))
    summarise(results)


def run_side_by_side(
    run: partial[dict[str, float]], jobs: list[tuple[str, int, int]], results: Results, *, workers: int
) -> Iterator[tuple[tuple[str, int, int], dict[str, float]]]:
    """Runs as they are done; none is begun after the limit of time."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        running: dict[Future[dict[str, float]], tuple[str, int, int]] = {}
        while jobs or running:
            while jobs and len(running) < workers and results.may_begin():
                job = jobs.pop(0)
                running[pool.submit(run, *job)] = job
            if not running:
                return
            for done in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(done), done.result()


def run_one(
    images: ImageSet,
    method: str,
    buffer_items: int,
    seed: int,
    *,
    epochs: int,
    device: torch.device,
    n_train: int | None,
) -> dict[str, float]:
    """One learner through the stream of a seed: accuracy at the end with the task unknown, and told, and forgetting."""
    torch.set_num_threads(1)
    stream = split_classes(images, n_tasks=TASKS, rng=np.random.default_rng(seed), n_train=n_train)
    setting = make_setting(stream, batch=BATCH, buffer_items=buffer_items, seed=seed)
    setting = type(setting)(**(vars(setting) | {"n_steps": setting.n_steps * epochs}))
    torch.manual_seed(seed)
    model = Augmented(NarrowResNet18(SMALL_STEM, CLASSES, width=64)).to(device)
    learner = LEARNERS[method](model, setting, **OPTIONS[method])
    order = torch.Generator().manual_seed(seed)
    tasks = [put_on(task, device) for task in stream.tasks]
    learned = []
    for index, task in enumerate(tasks):
        for _ in range(epochs):
            for rows in torch.randperm(len(task.y_train), generator=order).split(BATCH):
                if len(rows) == BATCH:
                    chosen = rows.to(device)
                    learner.observe(take(task.x_train, chosen), task.y_train[chosen], index)
        learner.end_task(task, index)
        learned.append(score_on(learner, task, index, device)[0])
    last = np.array([score_on(learner, task, index, device) for index, task in enumerate(tasks)])
    return {
        "accuracy": float(last[:, 0].mean()),
        "accuracy_task_told": float(last[:, 1].mean()),
        "forgetting": float((np.array(learned) - last[:, 0])[:-1].mean()),
    }


def put_on(task: Task, device: torch.device) -> Task:
    """The same task with its tensors on a device."""
    parts: dict[str, Any] = {
        name: value.to(device) if isinstance(value, Tensor) else value for name, value in vars(task).items()
    }
    return Task(**parts)


def score_on(learner: Any, task: Task, index: int, device: torch.device) -> tuple[float, float]:
    """`score_task`, whose mask of other classes lies where tensors are made by default."""
    with device:
        return score_task(learner, task, index)


def summarise(results: Results) -> None:
    """Means over seeds with intervals, and what sleep has over DER++ by seed."""
    per_seed: dict[tuple[str, str, str], list[float]] = {}
    for row in results.rows:
        buffer, _, seed = row.setting.partition(", seed ")
        if seed:
            per_seed.setdefault((buffer, row.method, row.metric), []).append(row.value)
    results.rows = [row for row in results.rows if ", seed " in row.setting]
    rng = np.random.default_rng(0)
    rows = [estimate_row(DATA, *key, values, rng=rng) for key, values in per_seed.items()]
    for buffer in dict.fromkeys(key[0] for key in per_seed):
        ours, theirs = (per_seed.get((buffer, method, "accuracy"), []) for method in ("sleep", "der++"))
        if ours and len(ours) == len(theirs):
            apart = [mine - other for mine, other in zip(ours, theirs, strict=True)]
            rows.append(estimate_row(DATA, buffer, "sleep", "accuracy_minus_der++", apart, rng=rng))
    results.add(*rows)


if __name__ == "__main__":
    main()
