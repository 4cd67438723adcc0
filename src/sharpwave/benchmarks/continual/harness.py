"""Runs a learner through a stream, says what it still knows at the end, and keeps runs one by one."""

from __future__ import annotations

import functools
import hashlib
import inspect
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.benchmarks.continual.learners.contract import REPLAY, Learner, Setting
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import ImageSet, Stream, Task, take
from sharpwave.outputs import write_file

if TYPE_CHECKING:
    from sharpwave.benchmarks.continual.protocols import Protocol

EVALUATION_BATCH = 1000
LOGIT_BYTES = 4
LABEL_BYTES = 8
SCALE_BYTES = 8


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        just_learned: Accuracy on each task right after it.
        at_the_end: Accuracy on each task after the last.
        just_learned_task_known: The same where the task is known, and the learner chooses among its classes.
        at_the_end_task_known: The same.
        seconds: Processor time of learning alone.
        n_gradient_samples: Samples of which a gradient was taken.
        n_buffer_bytes: Bytes of stored samples, at the end.
        n_parameters: Number of parameters of every network that is kept.
    """

    just_learned: Float[np.ndarray, " task"]
    at_the_end: Float[np.ndarray, " task"]
    just_learned_task_known: Float[np.ndarray, " task"]
    at_the_end_task_known: Float[np.ndarray, " task"]
    seconds: float
    n_gradient_samples: int
    n_buffer_bytes: int
    n_parameters: int

    def compute_accuracy(self, *, task_known: bool = False) -> float:
        """Mean over tasks at the end."""
        return float((self.at_the_end_task_known if task_known else self.at_the_end).mean())

    def compute_forgetting(self, *, task_known: bool = False) -> float:
        """Mean over all tasks but the last of what was lost since each was learned (Chaudhry et al. 2018, eq. 3)."""
        then, now = (
            (self.just_learned_task_known, self.at_the_end_task_known)
            if task_known
            else (self.just_learned, self.at_the_end)
        )
        return float((then - now)[:-1].mean()) if then.size > 1 else math.nan


def make_setting(stream: Stream, *, batch: int, buffer_items: int, seed: int, replay: float = REPLAY) -> Setting:
    """What is equal for all learners on a stream.

    Args:
        stream: Stream that will be learned.
        batch: New samples per step.
        buffer_items: Items with label and logits, images in one byte a channel, whose bytes make the budget.
        seed: Seed of everything that a learner draws.
        replay: Replayed samples per new sample, sleep included.
    """
    first = stream.tasks[0]
    parts = [first.x_train] if isinstance(first.x_train, Tensor) else list(first.x_train.values())
    item = sum(part[:1].nbytes for part in parts) + SCALE_BYTES + LABEL_BYTES + LOGIT_BYTES * stream.n_classes
    n_steps = max(1, min(len(task.y_train) // batch for task in stream.tasks))
    images = isinstance(first.x_train, Tensor)
    return Setting(len(stream.tasks), stream.n_classes, batch, n_steps, buffer_items * item, seed, replay, images)


def run_stream(
    stream: Stream,
    make_learner: Callable[[nn.Module, Setting], Learner],
    setting: Setting,
    *,
    model: str | Callable[[], nn.Module],
) -> Outcome:
    """Learn every task of a stream once, in order, in one pass.

    Args:
        stream: Tasks.
        make_learner: From the network and the setting.
        setting: Batch, buffer and seed; what is left of a task that fills no batch is left out.
        model: Key of `MODELS`, or what makes a network (for streams of tokens).
    """
    seed, batch = setting.seed, setting.batch
    network = make_model(model, stream.shape, stream.n_classes, seed=seed) if isinstance(model, str) else model()
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        learner = make_learner(network, setting)
        then, seconds = [], 0.0
        for index, task in enumerate(stream.tasks):
            begun = time.process_time()
            rows = torch.randperm(len(task.y_train), generator=order)
            n_batches = max(1, len(rows) // batch)
            for number, chosen in enumerate(rows.split(batch)):
                if len(chosen) == batch or len(rows) < batch:
                    learner.progress = number / n_batches
                    learner.observe(take(task.x_train, chosen), task.y_train[chosen], index)
            learner.end_task(task, index)
            seconds += time.process_time() - begun
            then.append(score_task(learner, task, index))
        now = [score_task(learner, task, index) for index, task in enumerate(stream.tasks)]
    sizes = {id(p): p.numel() for network in learner.networks for p in network.parameters()}
    learned, last = np.array(then), np.array(now)
    return Outcome(
        learned[:, 0],
        last[:, 0],
        learned[:, 1],
        last[:, 1],
        seconds,
        learner.n_gradient_samples,
        learner.n_buffer_bytes,
        sum(sizes.values()),
    )


def score_task(learner: Learner, task: Task, index: int) -> tuple[float, float]:
    """Accuracy on the test inputs of a task: among all classes, and among those of the task.

    The first is NaN for a learner that has to know the task.
    """
    right = right_in_task = 0
    others = torch.ones(learner.setting.n_classes, dtype=torch.bool)
    others[list(task.classes)] = False
    for start in range(0, len(task.y_test), EVALUATION_BATCH):
        rows = slice(start, start + EVALUATION_BATCH)
        logits, labels = learner.predict(take(task.x_test, rows), index), task.y_test[rows]
        right += int((logits.argmax(dim=1) == labels).sum())
        right_in_task += int((logits.masked_fill(others, -torch.inf).argmax(dim=1) == labels).sum())
    n_inputs = len(task.y_test)
    return (torch.nan if learner.knows_task else right / n_inputs), right_in_task / n_inputs


HOUSE = Path(__file__).parents[2]
SHARED = (
    "consolidation/*.py",
    "demonstrations/networks.py",
    "demonstrations/streams.py",
    "benchmarks/continual/harness.py",
    "benchmarks/continual/protocols.py",
    "benchmarks/continual/learners/contract.py",
)
"""Code that every run depends on, below the package; the file of the learner comes on top."""


class Parts:
    """The runs of one protocol on one set of images, kept in a folder one by one.

    So a benchmark that was broken off goes on, or is run a few methods at a time. A part is one learner with one seed
    and one buffer. It counts as long as whatever it depends on is as it was: protocol, options, images, version of
    torch, and the code of streams, networks, sleep and this very learner. A part of other code is run anew and
    replaced, so no table mixes two versions.

    Args:
        folder: Folder of the parts; None keeps nothing.
        protocol: Protocol of the runs.
        images: Images of the runs.
    """

    def __init__(self, folder: Path | None, protocol: Protocol, images: ImageSet) -> None:
        self.folder, self.protocol, self.images = folder, protocol, images
        self._streams: dict[int, Stream] = {}

    def run(
        self,
        name: str,
        make: Callable[..., Learner],
        *,
        options: Mapping[str, Any],
        seed: int,
        buffer_items: int,
    ) -> Outcome:
        """One learner on the stream of a seed: its part where there is one that counts, else a run, which is kept.

        Args:
            name: Name of the method.
            make: From the network and the setting, and the options.
            options: Options of the learner.
            seed: Seed of stream, network and learner.
            buffer_items: Size of the buffer, as for `Protocol.run`.
        """
        found = self.find(name, make, options=options, seed=seed, buffer_items=buffer_items)
        if found is not None:
            return found
        learner: Callable[[nn.Module, Setting], Learner] = partial(make, **options)
        outcome = self.protocol.run(self._get_stream(seed), learner, seed=seed, buffer_items=buffer_items)
        if self.folder is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            kept = {
                "depends_on": self._describe(make, options),
                "outcome": {
                    key: value.tolist() if isinstance(value, np.ndarray) else value
                    for key, value in vars(outcome).items()
                },
            }
            write_file(self._find_path(name, seed, buffer_items), json.dumps(kept, indent=1) + "\n")
        return outcome

    def find(
        self, name: str, make: Callable[..., Learner], *, options: Mapping[str, Any], seed: int, buffer_items: int
    ) -> Outcome | None:
        """The kept part of a run, if there is one that counts; arguments as for `run`."""
        path = None if self.folder is None else self._find_path(name, seed, buffer_items)
        if path is None or not path.is_file():
            return None
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["depends_on"] != self._describe(make, options):
                return None
            parts: dict[str, Any] = {
                name: np.array(value, float) if isinstance(value, list) else value
                for name, value in kept["outcome"].items()
            }
            return Outcome(**parts)
        except (ValueError, KeyError, TypeError):
            return None

    def _get_stream(self, seed: int) -> Stream:
        if seed not in self._streams:
            self._streams = {seed: self.protocol.make_stream(self.images, seed=seed)}
        return self._streams[seed]

    def _find_path(self, name: str, seed: int, buffer_items: int) -> Path:
        assert self.folder is not None
        words = f"{self.protocol.name} {name} buffer {buffer_items} seed {seed}"
        short = hashlib.sha256(words.encode()).hexdigest()[:6]
        return self.folder / f"{re.sub('[^a-z0-9]+', '-', words.lower())}-{short}.json"

    def _describe(self, make: Callable[..., Learner], options: Mapping[str, Any]) -> dict[str, Any]:
        described = {
            "protocol": vars(self.protocol) | {"tried_on": list(self.protocol.tried_on)},
            "options": dict(getattr(make, "keywords", {})) | dict(options),
            "images": self._images_sum,
            "torch": torch.__version__,
            "code": compute_code(make),
        }
        return json.loads(json.dumps(described, default=lambda value: getattr(value, "__name__", str(type(value)))))

    @functools.cached_property
    def _images_sum(self) -> int:
        arrays = (self.images.x_train, self.images.y_train, self.images.x_test, self.images.y_test)
        return functools.reduce(lambda total, part: zlib.crc32(part.tobytes(), total), arrays, 0)


def compute_code(make: Callable[..., Learner]) -> str:
    """A sum of the code that a learner's runs depend on.

    Args:
        make: The learner's class, or a partial of it.
    """
    while isinstance(make, partial):
        make = make.func
    return _sum_files(inspect.getsourcefile(inspect.unwrap(make)) or "")


@functools.cache
def _sum_files(own: str) -> str:
    paths = sorted({path for pattern in SHARED for path in HOUSE.glob(pattern)} | {Path(own)})
    total = hashlib.sha256()
    for path in paths:
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]
