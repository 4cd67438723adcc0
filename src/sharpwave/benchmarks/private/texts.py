"""`sharpwave benchmark private-text`: five pairs of kinds of text at ε = 2, 4, 8 and ∞.

The protocol of split MNIST, of which it takes every number but those of items and of a batch, which are half: two kinds
after two others, one head, the kind of the task not told (`accuracy`) or told. A text comes in as numbers that nothing
private made: its words hashed and projected at random, and, with `--model`, the mean over its tokens in an encoder that
was trained elsewhere and stays as it is. The head over them is what learns.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import torch
from torch import Tensor

from sharpwave.benchmarks.language.networks import MeanPoolForSequenceClassification, load_tokenizer, make_reader
from sharpwave.benchmarks.language.streams import pad
from sharpwave.benchmarks.language.texts import Labelled, Question, load_glue5, load_qa5
from sharpwave.benchmarks.private.benchmark import BATCH, EPSILONS, METHODS, N_TRAIN, PROTOCOL, PrivateTask, learn
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import data_root

PAIRS = (
    ("World", "Sports"),
    ("Business", "Science"),
    ("negative", "positive"),
    ("electronics", "grocery"),
    ("restaurants", "tripadvisor"),
)
"""Topics of AG News, film reviews of SST-2, and what a review of SubjQA is of."""
N_KIND, N_TESTED = 500, 100
"""Texts of each kind: as many as the rarest has."""
N_HASHED, N_PROJECTED, LENGTH, CHUNK = 4096, 256, 32, 64

Split = dict[str, tuple[list[str], list[str]]]


def run(
    data: Path | None, *, seeds: int, train: bool = False, stream: str | None = None, model: Path | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Learn kinds of text in private.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of seeds of networks, draws and noise, and of the order of tasks and items.
        train: Not used.
        stream: Not used: there is one.
        model: Folder of a BERT, whose mean over tokens is learned from too; None for hashed words alone.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If there are no texts, or another stream is asked for.
    """
    root = data or data_root()
    if root is None or not (root / "text").is_dir():
        raise SharpwaveError("text/ in the folder of data sets", got="none", fix="see docs/datasets.md")
    if stream is not None:
        raise SharpwaveError("no --stream: there is one", got=f"--stream {stream}", fix="leave it out")
    texts = load_kinds(root, rng=np.random.default_rng(0))
    rng, rows = np.random.default_rng(0), list[Row]()
    readers: dict[str, Callable[[Sequence[str]], Tensor]] = {"texts, hashed words": read_words}
    if model is not None:
        readers["texts, BERT"] = make_bert_reader(model)
    for name, read in readers.items():
        known = {kind: (read(first), read(second)) for kind, (first, second) in texts.items()}
        for epsilon in EPSILONS:
            for method in METHODS:
                found = [learn(make_tasks(known, seed), seed, method, epsilon) for seed in range(seeds)]
                for metric in found[0]:
                    values = [each[metric] for each in found]
                    rows.append(estimate_row(name, f"ε = {epsilon:g}", method, metric, values, rng=rng))
    config = PROTOCOL | {
        "kinds": [list(pair) for pair in PAIRS],
        "items_per_task": 2 * N_KIND,
        "batch": 2 * N_KIND * BATCH // N_TRAIN,
        "test_items_per_task": 2 * N_TESTED,
        "words": f"{N_HASHED} signed buckets, projected to {N_PROJECTED}",
        "tokens": LENGTH,
        "items": "drawn once; seeds draw order, network, batches and noise",
        "interval": "95 %, bootstrap over seeds",
    }
    return config, rows


def load_kinds(root: Path, *, rng: np.random.Generator) -> Split:
    """Training and test texts of each kind, each text once, none in both.

    Args:
        root: Folder of data sets.
        rng: Random generator of which are drawn.
    """
    tasks = {task.name: task for task in (*load_glue5(root), *load_qa5(root))}
    found: Split = {}
    for pair in PAIRS:
        for kind in pair:
            named = next((t for name, t in tasks.items() if kind in name), None)
            sources = [named] if named is not None else [tasks["ag-news"], tasks["sst-2"]]
            parts = []
            for part, most in (("train", N_KIND), ("test", N_TESTED)):
                items = [item for task in sources for item in getattr(task, part)]
                texts = [i.context if isinstance(i, Question) else i.text for i in items if _is_kind(i, kind)]
                unique = list(dict.fromkeys(texts))
                parts.append([unique[row] for row in rng.permutation(len(unique))[:most]])
            tested = set(parts[1])
            found[kind] = ([text for text in parts[0] if text not in tested], parts[1])
            if len(found[kind][0]) < N_KIND or len(found[kind][1]) < N_TESTED:  # all tasks have the same ε
                raise SharpwaveError(
                    f"{N_KIND} and {N_TESTED} texts of the kind {kind}, to train and to test",
                    got=f"{len(found[kind][0])} and {len(found[kind][1])}",
                    fix="see docs/datasets.md",
                )
    return found


def _is_kind(item: Any, kind: str) -> bool:
    return not isinstance(item, Labelled) or item.label == kind


def make_tasks(known: dict[str, tuple[Tensor, Tensor]], seed: int) -> list[PrivateTask]:
    """The tasks of a seed: pairs in an order of its own, and their items too.

    Args:
        known: Numbers of the training and test texts of each kind.
        seed: Seed of the order.
    """
    rng, kinds = np.random.default_rng([seed, 1]), list(known)
    tasks = []
    for place in rng.permutation(len(PAIRS)):
        classes = [kinds.index(kind) for kind in PAIRS[place]]
        x, y = (
            [torch.cat([known[kinds[c]][part] for c in classes]) for part in (0, 1)],
            [torch.cat([torch.full((len(known[kinds[c]][part]),), c) for c in classes]) for part in (0, 1)],
        )
        order = torch.from_numpy(rng.permutation(len(x[0])))
        tasks.append(PrivateTask(x[0][order], y[0][order], x[1], y[1], tuple(classes)))
    return tasks


def read_words(texts: Sequence[str]) -> Tensor:
    """Texts as numbers, shape (text, 256): words in signed buckets, projected at random, of one length.

    Nothing is learned, so nothing is told of any text but by what is learned from its numbers.

    >>> read_words(["a good film", "A good film!"])[:, :2].unique(dim=0).shape
    torch.Size([1, 2])
    """
    counts = np.zeros((len(texts), N_HASHED), np.float32)
    for row, text in enumerate(texts):
        for word in re.findall(r"[a-z0-9']+", text.lower()):
            code = crc32(word.encode())
            counts[row, code % N_HASHED] += 1 if code & (1 << 31) else -1
    projection = np.random.default_rng(0).normal(size=(N_HASHED, N_PROJECTED)).astype(np.float32)
    return _scale(torch.from_numpy(np.sign(counts) * np.sqrt(np.abs(counts)) @ projection))


def make_bert_reader(folder: Path) -> Callable[[Sequence[str]], Tensor]:
    """What turns texts into the mean over their tokens in an encoder, shape (text, width).

    Args:
        folder: Folder of a BERT of Transformers.
    """
    tokenizer = load_tokenizer(folder)
    reader: Any = make_reader(folder, kind="classes", classes=("a", "b"), tokenizer=tokenizer, seed=0).model
    assert isinstance(reader, MeanPoolForSequenceClassification)
    reader.eval()
    settings: Any = reader.config
    width: int = settings.hidden_size

    @torch.no_grad()
    def read(texts: Sequence[str]) -> Tensor:
        rows = tokenizer(list(texts), truncation=True, max_length=LENGTH)["input_ids"]
        order = sorted(range(len(rows)), key=lambda row: len(rows[row]))
        made = torch.empty(len(rows), width)
        for first in range(0, len(rows), CHUNK):
            chosen = order[first : first + CHUNK]
            batch = pad([rows[row] for row in chosen])
            with torch.autocast("cpu", dtype=torch.bfloat16):
                made[chosen] = reader.embed(batch["input_ids"], batch["attention_mask"]).float()
        return _scale(made)

    return read


def _scale(x: Tensor) -> Tensor:
    """Rows whose values have a root mean square of 1, each by itself."""
    return x / x.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
