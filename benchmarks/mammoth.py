"""Whether our ER and DER++ are those of Mammoth (https://github.com/aimagelab/mammoth, MIT) on one setting.

Sequential MNIST, classes two by two in their usual order, 10,000 training and 2,500 test images, one pass, a perceptron
100 × 100 with Xavier weights, batch 32, buffer 200. Run Mammoth first, on IDX files of the images that `draw_images`
draws, once per seed, and keep what it prints in er_SEED.log and derpp_SEED.log:

    python main.py --model=er --dataset=seq-mnist --buffer_size=200 --minibatch_size=32 --batch_size=32 --lr=0.05
        --n_epochs=1 --seed=SEED
    python main.py --model=derpp --alpha=0.5 --beta=0.5 (and the same)

Then `python benchmarks/mammoth.py MNIST.npz LOGS OUTPUT.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from sharpwave.benchmarks.continual.harness import run_stream
from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.continual.learners import LEARNERS
from sharpwave.benchmarks.continual.learners.contract import Setting
from sharpwave.benchmarks.provenance import describe_machine, describe_provenance, find_commit
from sharpwave.benchmarks.rows import estimate_row
from sharpwave.demonstrations.networks import Perceptron, make_model
from sharpwave.demonstrations.streams import ImageSet, Stream, Task

DATA = "sequential MNIST, 10,000 images"
BATCH, BUFFER, LR = 32, 200, 0.05
PIXELS, LABEL, SCALES, LOGITS = 784, 8, 8, 40
METHODS: dict[str, tuple[str, float, int, dict[str, float]]] = {
    "er": ("er", 1.0, PIXELS + LABEL + SCALES, {"lr": LR / 2}),
    "derpp": ("der++", 2.0, PIXELS + LABEL + SCALES + LOGITS, {"lr": LR, "alpha": 0.5, "beta": 0.5}),
}
"""Ours by Mammoth's name: replayed samples per new one, bytes of an item, options. Mammoth's ER takes the mean over new
and old samples together, ours the sum of two means: half the step size makes them the same."""
SCORE = re.compile(r"Accuracy for 5 task\(s\):.*Class-IL\]: ([\d.]+) %.*Task-IL\]: ([\d.]+) %")


def draw_images(path: Path) -> ImageSet:
    """10,000 training and 2,500 test images of MNIST, always the same."""
    images, rng = load_images(path), np.random.default_rng(0)
    train, test = rng.permutation(60_000)[:10_000], rng.permutation(10_000)[:2_500]
    return ImageSet("mnist", images.x_train[train], images.y_train[train], images.x_test[test], images.y_test[test])


def make_stream(images: ImageSet) -> Stream:
    """Classes 0 and 1, then 2 and 3, and so on."""
    tasks = []
    for classes in ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9)):
        parts = []
        for x, y in ((images.x_train, images.y_train), (images.x_test, images.y_test)):
            rows = np.isin(y, classes)
            parts += [torch.from_numpy(x[rows]), torch.from_numpy(y[rows])]
        tasks.append(Task(parts[0], parts[1], parts[2], parts[3], classes))
    return Stream("sequential MNIST", tuple(tasks), 10, images.shape)


def make_xavier(seed: int) -> Callable[[], nn.Module]:
    """The perceptron with Mammoth's initial weights."""

    def make() -> nn.Module:
        model = make_model("mlp", (1, 28, 28), 10, seed=seed)
        assert isinstance(model, Perceptron)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            for layer in model.modules():
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
        return model

    return make


def main(images: Path, logs: Path, output: Path) -> None:
    """Run ours with as many seeds as there are logs, and write both."""
    torch.set_num_threads(1)
    stream, rows = make_stream(draw_images(images)), []
    for theirs, (method, replay, item_bytes, options) in METHODS.items():
        found = {path: SCORE.findall(path.read_text()) for path in sorted(logs.glob(f"{theirs}_*.log"))}
        said = np.array([matches[-1] for matches in found.values() if matches], dtype=float) / 100
        ours = []
        for seed in range(2 * len(said)):
            setting = Setting(5, 10, BATCH, 1, BUFFER * item_bytes, seed, replay)
            outcome = run_stream(stream, partial(LEARNERS[method], **options), setting, model=make_xavier(seed))
            ours.append([outcome.compute_accuracy(), outcome.compute_accuracy(task_known=True)])
        for place, name in enumerate(("task unknown", "task told")):
            rng = np.random.default_rng(0)
            for who, values in (("Mammoth", said[:, place]), ("sharpwave", np.array(ours)[:, place])):
                row = estimate_row(DATA, name, f"{method} ({who})", "accuracy", list(values), rng=rng)
                rows.append(row.to_dict())
                print(rows[-1])
    config = {"batch": BATCH, "buffer_items": BUFFER, "lr": LR, "options": {k: v[3] for k, v in METHODS.items()}}
    config["seeds"] = "not shared: the two draw order, weights and buffer from different generators"
    config["mammoth_commit"] = "e75a491"
    result = {"benchmark": "mammoth", "config": config, "machine": describe_machine(), "commit": find_commit()}
    result["provenance"] = describe_provenance("python benchmarks/mammoth.py MNIST.npz LOGS OUTPUT.json")
    output.write_text(json.dumps(result | {"rows": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]))
