"""Runs a learner through a stream, judges it, and keeps runs one by one."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import re
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sharpwave.benchmarks.language.learners import Learner, Setting
from sharpwave.benchmarks.language.networks import MeanPoolForSequenceClassification, Network, cut
from sharpwave.benchmarks.language.streams import LONGEST_ANSWER, Stream, Task, score_answer
from sharpwave.consolidation.batches import move
from sharpwave.consolidation.modules import evaluating
from sharpwave.outputs import write_file

PASS = 50
"""Test items that go through the network together."""
GROUPED = 4
"""Batches among which texts of like length come together, as in the Trainer's `group_by_length`."""


@dataclass(frozen=True)
class Outcome:
    """One run.

    Attributes:
        just_learned: By metric, the score of each task right after it.
        at_the_end: By metric, the score of each task after the last.
        base: What the network could do before all this, measured after it: see `measure_base`.
        seconds: Processor seconds of learning, those included that remembering saved.
        operations: Multiplications and additions of learning.
        tokens: Tokens that went through the whole network with a gradient, and a third of those that did without.
        n_stored_bytes: Bytes of stored items, at the end.
        n_trained: Largest number of parameters that were trained at a time.
        nights: Nights that were kept, and all nights.
    """

    just_learned: dict[str, list[float]]
    at_the_end: dict[str, list[float]]
    base: dict[str, float]
    seconds: float
    operations: float
    tokens: float
    n_stored_bytes: int
    n_trained: int
    nights: tuple[int, int] = (0, 0)

    def compute_mean(self, metric: str) -> float:
        """Mean over tasks at the end."""
        return float(np.mean(self.at_the_end[metric]))

    def compute_forgetting(self, metric: str) -> float:
        """Mean over all tasks but the last of what was lost since each was learned (Chaudhry et al. 2018)."""
        lost = np.subtract(self.just_learned[metric], self.at_the_end[metric])[:-1]
        return float(lost.mean()) if len(lost) else math.nan


def run_stream(
    stream: Stream,
    make: Callable[..., Learner],
    options: Mapping[str, float],
    *,
    seed: int,
    base: Any = None,
    device: str = "cpu",
) -> Outcome:
    """Learn every task of a stream once, in order, in one pass.

    Args:
        stream: Its tasks.
        make: From the network, the setting and the options.
        options: Rates, and what else the learner has.
        seed: Seed of network, order and learner.
        base: From `make_base`; None measures nothing.
        device: Where the network learns; default the processor.
    """
    protocol = stream.protocol
    n_steps = max(1, min(_count(task) // protocol.batch for task in stream.tasks))
    setting = Setting(len(stream.tasks), n_steps, protocol.batch, protocol.memory_bytes, seed)
    order = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = stream.make_network(seed)
        network.model.to(device)
        share_memories(stream, network)
        learner = make(network, setting, **options)
        meter, then, seconds, n_trained = network.meter, [], 0.0, 0
        for index, task in enumerate(stream.tasks):
            begun = time.process_time()
            learner.begin_task(index)
            n_trained = max(n_trained, sum(p.numel() for p in network.model.parameters() if p.requires_grad))
            for rows in list_batches(task, protocol.batch, n_steps, order):
                learner.observe(move(cut(task.train, rows), device), index)
            learner.end_task(replace(task, train=move(task.train, device)), index)
            seconds += time.process_time() - begun
            with meter.off():
                then.append(score_task(network, task))
        with meter.off():
            now = [score_task(network, task) for task in stream.tasks]
            known = measure_base(network, base)
    reports = getattr(learner, "reports", [])
    return Outcome(
        {metric: [each[metric] for each in then] for metric in then[0]},
        {metric: [each[metric] for each in now] for metric in now[0]},
        known,
        seconds + meter.saved_seconds,
        meter.operations,
        meter.tokens,
        learner.n_stored_bytes,
        n_trained,
        (sum(bool(report.committed) for report in reports), len(reports)),
    )


def share_memories(stream: Stream, network: Network) -> None:
    """Let frozen lower layers go on from what those of the networks before made of the same texts.

    Their weights are the same in every run, so what they make is too; their work is counted in each run.
    """
    encoder = getattr(network.model, "encoder", getattr(network.model, "bert", None))
    lower: Any = getattr(encoder, "embeddings", None)
    if hasattr(lower, "made"):
        kept = _MADE.setdefault(id(stream), {"made": lower.made, "seconds": 0.0, "n_tokens": 0})
        if len(_MADE) > 2:
            del _MADE[next(iter(_MADE))]
        if kept["made"] is not lower.made:
            last = kept["lower"]
            lower.made, lower.seconds, lower.n_tokens = kept["made"], last.seconds, last.n_tokens
        kept["lower"] = lower


_MADE: dict[int, dict[str, Any]] = {}


def list_batches(task: Task, batch: int, n_steps: int, order: torch.Generator) -> list[Tensor]:
    """Rows of each batch of a task: at random, of texts of like length among each four batches, which saves padding.

    Args:
        task: The task.
        batch: Items of a batch.
        n_steps: Number of batches.
        order: Random generator.
    """
    rows = torch.randperm(_count(task), generator=order)[: n_steps * batch]
    if "attention_mask" in task.train:
        lengths = task.train["attention_mask"].sum(dim=1)
        rows = torch.cat([part[lengths[part].argsort(stable=True)] for part in rows.split(GROUPED * batch)])
    parts = [part for part in rows.split(batch) if len(part) == batch or len(rows) < batch]
    return [parts[number] for number in torch.randperm(len(parts), generator=order).tolist()]


def _count(task: Task) -> int:
    return len(next(iter(task.train.values())))


@torch.no_grad()
def run_network(network: Network, batch: Mapping[str, Tensor]) -> Tensor:
    """Logits of some items in parts, as the network gives them in evaluation mode."""
    parts = []
    device = next(network.model.parameters()).device
    with evaluating(network.model), torch.autocast(device.type, torch.bfloat16):
        n_items = len(next(iter(batch.values())))
        lengths = batch["attention_mask"].sum(dim=1) if "attention_mask" in batch else torch.zeros(n_items)
        order = lengths.argsort(stable=True)
        for rows in order.split(PASS):
            part = cut(dict(batch), rows)
            output = network.objective.run(network.model, move(part, device)).float().cpu()
            if network.kind == "words":  # the word that is said stands last
                last = part["attention_mask"].sum(dim=1) - 2
                output = output[torch.arange(len(output)), last][:, list(network.words)]
            parts.append(output)
    if network.kind == "questions":
        longest = max(part.shape[1] for part in parts)
        parts = [torch.nn.functional.pad(p, (0, 0, 0, longest - p.shape[1]), value=-torch.inf) for p in parts]
    return torch.cat(parts)[order.argsort()]


def score_task(network: Network, task: Task) -> dict[str, float]:
    """Accuracy with the task unknown and told; or F1 and exact match of answers."""
    logits = run_network(network, task.test)
    if network.kind == "questions":
        scores = []
        for (question, places), each in zip(task.questions, logits, strict=True):
            said = find_answer(question.context, places, each)
            scores.append(score_answer(said, question.answers))
        f1, exact = np.mean(scores, axis=0)
        return {"f1": float(f1), "exact_match": float(exact)}
    told = torch.full_like(logits, -torch.inf)
    told[:, list(task.classes)] = logits[:, list(task.classes)]
    right = (logits.argmax(dim=1) == task.y_test, told.argmax(dim=1) == task.y_test)
    return {name: float(each.float().mean()) for name, each in zip(("accuracy", "accuracy_told"), right, strict=True)}


def find_answer(context: str, places: tuple[tuple[int, int], ...], logits: Tensor) -> str:
    """The most likely answer of at most 30 tokens, out of the context alone.

    Args:
        context: Paragraph.
        places: First and last letter of each token there; -1 for others.
        logits: Logits of start and end, shape (token, 2).
    """
    inside = torch.tensor([low >= 0 and high > low for low, high in places])
    start, end = logits[: len(places)].masked_fill(~inside[:, None], -torch.inf).unbind(dim=1)
    both = start[:, None] + end[None]
    fits = torch.ones_like(both, dtype=torch.bool).triu() & ~torch.ones_like(both, dtype=torch.bool).triu(
        LONGEST_ANSWER
    )
    first, last = divmod(int(both.masked_fill(~fits, -torch.inf).argmax()), len(places))
    return context[places[first][0] : places[last][1]]


@torch.no_grad()
def measure_base(network: Network, base: Mapping[str, Any] | None) -> dict[str, float]:
    """What a pretrained network could do before: find the paragraph of a question, or go on with a text.

    Args:
        network: The network.
        base: `questions` and `paragraphs` as batches, in the same order, for an encoder (the share of questions whose
            own paragraph is the most similar); `texts` for a causal model (its loss per token). None for nothing.
    """
    if not base:
        return {}
    device = next(network.model.parameters()).device
    base = move(dict(base), device)
    with evaluating(network.model), torch.autocast(device.type, torch.bfloat16):
        if isinstance(network.model, MeanPoolForSequenceClassification):
            found = []
            for name in ("questions", "paragraphs"):
                ids, mask = base[name]["input_ids"], base[name]["attention_mask"]
                parts = [
                    network.model.embed(**cut({"input_ids": ids, "attention_mask": mask}, slice(s, s + PASS)))
                    for s in range(0, len(ids), PASS)
                ]
                found.append(torch.nn.functional.normalize(torch.cat(parts).float(), dim=1))
            best = (found[0] @ found[1].T).argmax(dim=1)
            return {"base_retrieval": float((best == torch.arange(len(best), device=device)).float().mean())}
        if network.kind == "words":
            total, n_tokens = 0.0, 0
            for start in range(0, len(base["texts"]["input_ids"]), 8):
                part = cut(base["texts"], slice(start, start + 8))
                logits = network.model(**part).logits[:, :-1].float()
                labels = part["input_ids"][:, 1:].masked_fill(part["attention_mask"][:, 1:] == 0, -100)
                total += float(
                    torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum")
                )
                n_tokens += int((labels != -100).sum())
            return {"base_loss": total / max(n_tokens, 1)}
    return {}


HOUSE = Path(__file__).parents[2]
RUNS = tuple(f"benchmarks/language/{name}.py" for name in ("texts", "streams", "networks", "learners", "harness"))
ADAPTERS = ("benchmarks/language/adapters.py",)
SLEEP = ("consolidation/*.py", "consolidation/language/*.py", "benchmarks/language/registry.py")
"""Code that every run depends on, below the package; that of adapters; and that of learners that remember."""


class Parts:
    """The runs of one stream, kept in a folder one by one, so that a command that was broken off goes on.

    A part counts as long as what it depends on is as it was: protocol, options, items, model, and the code of sleep and
    of this benchmark.

    Args:
        folder: Folder of the parts; None keeps nothing.
        model: What `describe_model` says.
        make_stream: Function of a seed that gives the stream.
        make_base: Function that gives what `measure_base` takes; None for nothing.
    """

    def __init__(
        self,
        folder: Path | None,
        model: Mapping[str, Any],
        make_stream: Callable[[int], Stream],
        make_base: Callable[[], Any] | None = None,
    ) -> None:
        self.folder, self.model, self.make_stream, self.make_base = folder, model, make_stream, make_base
        self._streams: dict[int, Stream] = {}

    def run(
        self, name: str, make: Callable[..., Learner], options: Mapping[str, float], *, seed: int, now: bool = True
    ) -> Outcome | None:
        """One learner on the stream of a seed: its part where there is one that counts, else a run, which is kept.

        Args:
            name: Name of the method.
            make: From the network, the setting and the options.
            options: Options of the learner.
            seed: Seed of stream, network and learner.
            now: Run it where it is missing; None is returned otherwise.
        """
        stream = self.get_stream(seed)
        depends = self._describe(stream, make, options)
        path = None if self.folder is None else self._find_path(stream, name, seed)
        if path is not None and path.is_file():
            try:
                kept = json.loads(path.read_text(encoding="utf-8"))
                if kept["depends_on"] == depends:
                    return Outcome(**(kept["outcome"] | {"nights": tuple(kept["outcome"]["nights"])}))
            except (ValueError, KeyError, TypeError):
                pass
        if not now:
            return None
        outcome = run_stream(stream, make, options, seed=seed, base=self._base)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_file(path, json.dumps({"depends_on": depends, "outcome": vars(outcome)}, indent=1) + "\n")
        return outcome

    def get_stream(self, seed: int) -> Stream:
        """The stream of a seed; the last one is kept."""
        if seed not in self._streams:
            self._streams = {seed: self.make_stream(seed)}
        return self._streams[seed]

    @functools.cached_property
    def _base(self) -> Any:
        return None if self.make_base is None else self.make_base()

    def _find_path(self, stream: Stream, name: str, seed: int) -> Path:
        assert self.folder is not None
        words = f"{stream.protocol.name} {name} seed {seed}"
        short = hashlib.sha256(words.encode()).hexdigest()[:6]
        return self.folder / f"{re.sub('[^a-z0-9]+', '-', words.lower())}-{short}.json"

    def _describe(self, stream: Stream, make: Callable[..., Learner], options: Mapping[str, float]) -> dict[str, Any]:
        total = 0
        for task in stream.tasks:
            for part in (*task.train.values(), *task.test.values()):
                total = zlib.crc32(part.numpy().tobytes(), total)
        protocol = {name: value for name, value in vars(stream.protocol).items() if name != "load"}
        described = {"protocol": protocol, "options": dict(options), "items": total, "torch": torch.__version__}
        return json.loads(json.dumps(described | {"model": dict(self.model), "code": sum_code(make)}))


def sum_code(make: Callable[..., Learner]) -> str:
    """A sum of the code that a learner's runs depend on.

    Args:
        make: The learner's class, or a partial of it.
    """
    kind: Any = make
    while isinstance(kind, functools.partial):
        kind = kind.func
    adapts = ADAPTERS if kind.__module__.endswith("adapters") else ()
    return _sum_files((*RUNS, *adapts, *(SLEEP if kind.remembers else ())))


@functools.cache
def _sum_files(patterns: tuple[str, ...]) -> str:
    total = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in HOUSE.glob(pattern)}):
        total.update(path.name.encode() + path.read_bytes())
    return total.hexdigest()[:16]
