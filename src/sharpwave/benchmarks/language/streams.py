"""The streams by name: which tasks, how many items of each, and what a network is given of them."""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpwave.benchmarks.continual.images import hold_out, load_images
from sharpwave.benchmarks.language.networks import Network, PatchReader, load_tokenizer, make_reader
from sharpwave.benchmarks.language.texts import (
    Item,
    Labelled,
    Question,
    TextTask,
    check_tasks,
    load_folder,
    load_glue5,
    load_qa5,
)
from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.consolidation.texts import IGNORED
from sharpwave.demonstrations.streams import load_digits, permute_images, split_classes
from sharpwave.errors import SharpwaveError

LONGEST_ANSWER = 30
"""Tokens of the longest answer that is given."""


@dataclass(frozen=True)
class Protocol:
    """How tasks become a stream.

    Attributes:
        name: In tables, and in `tuned.json`.
        load: Function of the folder of data that gives the tasks of text; None for images.
        n_tasks: Number of tasks.
        n_train: Training items of each.
        n_test: Test items of each.
        batch: New items per step.
        length: Tokens of the longest text that is read; what is beyond is cut off.
        memory_bytes: Bytes that stored items may take.
        freeze: Share of the layers of a BERT, the lowest, that are not trained.
        tuned_as: Protocol whose tuned options are used.
    """

    name: str
    load: Callable[[Path], list[TextTask]] | None
    n_tasks: int
    n_train: int
    n_test: int
    batch: int
    length: int
    memory_bytes: int
    freeze: float
    tuned_as: str

    def shorten(self) -> Protocol:
        """Half of the items, for tuning."""
        return replace(self, n_train=max(self.batch, self.n_train // 2), n_test=min(self.n_test, 100))


PROTOCOLS = {
    each.name: each
    for each in (
        Protocol("glue5", load_glue5, 5, 240, 150, 16, 48, 50_000, 2 / 3, "glue5"),
        Protocol("qa5", load_qa5, 5, 240, 100, 16, 160, 100_000, 2 / 3, "qa5"),
        Protocol("patches", None, 5, 1000, 400, 32, 0, 200_000, 0.0, "patches"),
        Protocol("permuted", None, 20, 1000, 200, 32, 0, 200_000, 0.0, "permuted"),
        Protocol("own", load_folder, 0, 240, 150, 16, 48, 50_000, 2 / 3, "glue5"),
    )
}
"""By name. `own` is a folder of the user's; sizes are such that a run takes seconds to minutes on one core."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is learned at one time, as tensors.

    Attributes:
        name: Its name.
        train: Items to learn from: `input_ids`, `attention_mask` and labels; or images `x` and labels.
        test: Items to be judged on.
        y_test: Class of each test item; empty for questions.
        classes: Numbers of its classes.
        questions: Test questions, with the place in the text of each token of theirs; empty for classes.
        majority: Test accuracy of always naming the class that is most frequent in training; NaN for questions.
    """

    name: str
    train: Batch
    test: Batch
    y_test: Tensor
    classes: tuple[int, ...]
    questions: tuple[tuple[Question, tuple[tuple[int, int], ...]], ...] = ()
    majority: float = float("nan")


@dataclass(frozen=True, eq=False)
class Stream:
    """Tasks in the order in which they come, and what makes the network that learns them.

    Attributes:
        protocol: Its protocol.
        tasks: In order.
        classes: Names of all classes.
        make_network: Function of a seed that gives a fresh network.
        cut_off: Share of the questions that were left out since their answer is beyond `length`.
    """

    protocol: Protocol
    tasks: tuple[Task, ...]
    classes: tuple[str, ...]
    make_network: Callable[[int], Network]
    cut_off: float = 0.0

    def find_majority(self) -> tuple[float, float]:
        """Test accuracy of the class most frequent in all test items, and in training where the task is told."""
        counts = Counter(label for task in self.tasks for label in task.y_test.tolist())
        best = counts.most_common(1)[0][0] if counts else -1
        alone = [float((task.y_test == best).float().mean()) for task in self.tasks]
        return float(np.mean(alone)), float(np.mean([task.majority for task in self.tasks]))


def load_tasks(protocol: Protocol, data: Path) -> list[TextTask]:
    """All tasks of text of a protocol, whole."""
    assert protocol.load is not None
    tasks = protocol.load(data)
    check_tasks(tasks)
    return tasks


def make_text_stream(
    protocol: Protocol, tasks: Sequence[TextTask], *, model: Path | None, kind: str, seed: int, validation: bool = False
) -> Stream:
    """The stream of a seed: order and items are drawn by it.

    Args:
        protocol: Its protocol.
        tasks: From `load_tasks`.
        model: Folder of a model; None for a tiny one.
        kind: "classes", "words" or "questions".
        seed: Seed of order and items.
        validation: Of training items alone, by another generator than any stream of results.
    """
    rng = np.random.default_rng([seed, int(validation)])
    classes = tuple(sorted({label for task in tasks for label in task.labels}))
    if kind != "questions" and len(classes) < 2:
        raise SharpwaveError("tasks with classes", got="questions", fix="leave --model out, or give a BERT")
    order = [tasks[number] for number in rng.permutation(len(tasks))]
    drawn = [t.draw(n_train=10**9, n_test=10**9, rng=rng, validation=validation) for t in order]
    texts = [item.text if isinstance(item, Labelled) else item.context for task in drawn for item in task.train[:200]]
    tokenizer = load_tokenizer(model, texts)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    encoder = Encoder(tokenizer, kind, classes, protocol.length)
    made = tuple(encoder.make_task(task, protocol) for task in drawn)
    freeze = protocol.freeze if model is not None else 0.0

    def make_network(seed: int) -> Network:
        return make_reader(model, kind=kind, classes=classes, tokenizer=tokenizer, seed=seed, freeze=freeze)

    return Stream(protocol, made, classes, make_network, encoder.find_cut_off())


class Encoder:
    """Turns items into tensors.

    Args:
        tokenizer: The model's tokenizer.
        kind: "classes", "words" or "questions".
        classes: Names of all classes.
        length: Tokens of the longest text.
    """

    def __init__(self, tokenizer: Any, kind: str, classes: tuple[str, ...], length: int) -> None:
        self.tokenizer, self.kind, self.classes, self.length = tokenizer, kind, classes, length
        self.n_asked = self.n_cut_off = 0
        if kind == "words":
            from sharpwave.benchmarks.language.networks import find_words

            self.words = find_words(tokenizer, classes)

    def find_cut_off(self) -> float:
        """Share of the questions whose answer is beyond `length`."""
        return self.n_cut_off / max(self.n_asked, 1)

    def make_task(self, task: TextTask, protocol: Protocol) -> Task:
        """The first items of a task as tensors; questions whose answer is cut off are left out."""
        if self.kind == "questions":
            train, _ = self._ask(task.train, protocol.n_train)
            test, questions = self._ask(task.test, protocol.n_test)
            return Task(task.name, train, test, torch.empty(0), (), tuple(questions))
        train_items, test_items = task.train[: protocol.n_train], task.test[: protocol.n_test]
        y_train, y_test = self._number(train_items), self._number(test_items)
        named = [self.classes.index(label) for label in task.labels]
        often = int(y_train.mode().values)
        return Task(
            task.name,
            self._read(train_items, y_train),
            self._read(test_items, y_test),
            y_test,
            tuple(named),
            majority=float((y_test == often).float().mean()),
        )

    def _number(self, items: Sequence[Item]) -> Tensor:
        return torch.tensor([self.classes.index(item.label) for item in items if isinstance(item, Labelled)])

    def _read(self, items: Sequence[Item], y: Tensor) -> Batch:
        texts = [item.text for item in items if isinstance(item, Labelled)]
        if self.kind == "classes":
            rows = self.tokenizer(texts, truncation=True, max_length=self.length)["input_ids"]
            return pad(rows) | {"labels": y}
        asked = self.tokenizer("\nAnswer:", add_special_tokens=False)["input_ids"]
        rows = self.tokenizer(texts, truncation=True, max_length=self.length - len(asked) - 1)["input_ids"]
        whole = [[*row, *asked, self.words[int(c)]] for row, c in zip(rows, y, strict=True)]
        labels = [[IGNORED] * (len(row) - 1) + row[-1:] for row in whole]
        return pad(whole) | {"labels": pad(labels, IGNORED)["input_ids"]}

    def _ask(
        self, items: Sequence[Item], n_items: int
    ) -> tuple[Batch, list[tuple[Question, tuple[tuple[int, int], ...]]]]:
        rows: list[list[int]] = []
        starts, ends, kept = [], [], []
        for item in items:
            if not isinstance(item, Question) or len(rows) == n_items:
                continue
            self.n_asked += 1
            read = self.tokenizer(
                item.question,
                item.context,
                truncation=True,
                max_length=self.length,
                return_offsets_mapping=True,
            )
            sequence = read.sequence_ids(0) if hasattr(read, "sequence_ids") else []
            places = [
                place if part == 1 else (-1, -1) for place, part in zip(read["offset_mapping"], sequence, strict=True)
            ]
            last = item.start + len(item.answers[0])
            inside = [n for n, (low, high) in enumerate(places) if low >= 0 and low < last and high > item.start]
            if not inside or places[inside[-1]][1] < last or len(read["input_ids"]) <= inside[-1]:
                self.n_cut_off += 1
                continue
            rows.append(read["input_ids"])
            starts.append(inside[0])
            ends.append(inside[-1])
            kept.append((item, tuple(map(tuple, places))))
        if not rows:
            raise SharpwaveError(
                f"a question whose answer is within {self.length} tokens", got="none", fix="give shorter paragraphs"
            )
        found = pad(rows) | {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}
        return found, kept


def pad(rows: Sequence[Sequence[int]], value: int = 0) -> Batch:
    """Rows of tokens as one tensor, and which of its values are tokens.

    >>> pad([[5, 6], [7]])["attention_mask"].tolist()
    [[1, 1], [1, 0]]
    """
    lengths = torch.tensor([len(row) for row in rows])
    parts = [torch.tensor(row, dtype=torch.int64) for row in rows]
    ids = torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=value)
    return {"input_ids": ids, "attention_mask": (torch.arange(ids.shape[1]) < lengths[:, None]).long()}


def make_image_stream(protocol: Protocol, data: Path | None, *, seed: int, validation: bool = False) -> Stream:
    """The stream of a seed of images: classes a few at a time, or all of them with their pixels permuted.

    Args:
        protocol: "patches" or "permuted".
        data: Folder of data sets; None takes the 1,797 digits that come with scikit-learn.
        seed: Seed of order, permutations and images.
        validation: Of training images alone.
    """
    permutes = protocol.name == "permuted"
    rng = np.random.default_rng([seed, int(validation)])
    path = None if data is None else data / "images" / "mnist.npz"
    images = load_images(path) if path is not None and path.exists() else load_digits()
    images = hold_out(images, rng=rng) if validation else images
    make = permute_images if permutes else split_classes
    stream = make(images, n_tasks=protocol.n_tasks, rng=rng, n_train=protocol.n_train, n_test=protocol.n_test)
    tasks = []
    for number, each in enumerate(stream.tasks):
        assert isinstance(each.x_train, Tensor)
        assert isinstance(each.x_test, Tensor)
        often = int(each.y_train.mode().values)
        tasks.append(
            Task(
                f"task {number + 1}",
                {"x": each.x_train, "labels": each.y_train},
                {"x": each.x_test, "labels": each.y_test},
                each.y_test,
                each.classes,
                majority=float((each.y_test == often).float().mean()),
            )
        )

    def make_network(seed: int) -> Network:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = PatchReader(stream.shape, stream.n_classes)
        objective = Objective.classification(input="x", label="labels")
        return Network(model, "images", objective, heads=("head",))

    return Stream(protocol, tuple(tasks), tuple(map(str, range(stream.n_classes))), make_network)


def normalise(text: str) -> list[str]:
    """Words of an answer as SQuAD compares them: lower case, without punctuation and articles.

    >>> normalise("The Panthers' defense!")
    ['panthers', 'defense']
    """
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return re.sub(r"\b(a|an|the)\b", " ", bare).split()


def score_answer(said: str, right: Sequence[str]) -> tuple[float, float]:
    """SQuAD's F1 and exact match of an answer with the best of the right ones (Rajpurkar et al. 2016).

    >>> score_answer("the red car", ["red car"]), round(score_answer("red", ["red car"])[0], 2)
    ((1.0, 1.0), 0.67)
    """
    best = (0.0, 0.0)
    for text in right:
        ours, theirs = normalise(said), normalise(text)
        shared = sum((Counter(ours) & Counter(theirs)).values())
        f1 = 2 * shared / (len(ours) + len(theirs)) if ours and theirs else float(ours == theirs)
        best = max(best, (f1, float(ours == theirs)))
    return best
