"""The learners: bounds, replay, regularisation, adapters, and sleep as it ships with each ingredient left out.

All are given the same network, the same stream, AdamW with the same warm-up and clip, bfloat16 passes, and a memory of
the same bytes. Sleep is called as a user calls it: `Sleep(model, memory, optimiser, objective=..., budget=0.15)`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import kl_div, log_softmax

from sharpwave.benchmarks.language.networks import FrozenBelow, Network, cut
from sharpwave.benchmarks.language.streams import Task
from sharpwave.consolidation import ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.significance import compute_fisher
from sharpwave.consolidation.texts import IGNORED

BUDGET = 0.15
WARM_UP = 0.1
"""Share of a task over which the rate rises; then it stays."""
CLIP = 1.0
FEWEST = 4
"""Items that are replayed at once at least; fewer are saved up."""
FISHER_ITEMS = 64


@dataclass(frozen=True)
class Setting:
    """What is equal for all learners of a run.

    Attributes:
        n_tasks: Number of tasks.
        n_steps: Number of steps of each.
        batch: New items per step.
        memory_bytes: Bytes that stored items may take.
        seed: Seed of everything that a learner draws.
        autocast: Lower precision of the passes; None for full precision.
    """

    n_tasks: int
    n_steps: int
    batch: int
    memory_bytes: int
    seed: int
    autocast: torch.dtype | None = torch.bfloat16


class Learner(ABC):
    """Learns from a stream, a batch at a time.

    Args:
        network: The network; trained in place.
        setting: What is equal for all.
        lr: Rate of what was pretrained.
        head_lr: Rate of heads, which begin from nothing; that of the rest where omitted.

    Attributes:
        model: The network's module.
        step: Number of steps since the task began.
        remembers: Whether it stores items, and so depends on the code of memories and of sleep.
    """

    remembers = False

    def __init__(self, network: Network, setting: Setting, *, lr: float, head_lr: float | None = None) -> None:
        self.network, self.setting, self.lr, self.head_lr = network, setting, lr, head_lr or lr
        self.model, self.objective, self.step = network.model, network.objective, 0
        self.generator = torch.Generator().manual_seed(setting.seed)
        self.adapt()
        network.meter.watch(self.model)
        network.meter.watch_passes(self.model)
        self.optimiser = self.make_optimiser()

    def adapt(self) -> None:  # noqa: B027
        """Put something on the network before anything is learned; plain learners put nothing."""

    def make_optimiser(self) -> torch.optim.AdamW:
        """AdamW over all that is trained, heads apart."""
        trained = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        heads = [p for name, p in trained.items() if name.split(".")[0] in self.network.heads]
        known = set(map(id, heads))
        body = [p for p in trained.values() if id(p) not in known]
        groups = [(body, self.lr), (heads, self.head_lr)]
        return torch.optim.AdamW(
            [{"params": part, "lr": rate, "peak": rate} for part, rate in groups if part], weight_decay=0.01
        )

    def begin_task(self, index: int) -> None:
        """A task begins, which is not told to the network."""
        self.step = 0

    @abstractmethod
    def observe(self, batch: Batch, index: int) -> None:
        """Learn from one batch of the task with this index."""

    def end_task(self, task: Task, index: int) -> None:  # noqa: B027
        """The task is over; most do nothing then."""

    @property
    def n_stored_bytes(self) -> int:
        """Bytes of stored items now."""
        return 0

    def compute_loss(self, batch: Batch) -> Tensor:
        """Mean loss of a batch."""
        return self.objective.compute_losses(self.run(batch), batch).mean()

    def run(self, batch: Batch) -> Tensor:
        """The network's output for a batch."""
        with self.precision():
            return self.objective.run(self.model, batch).float()

    def precision(self) -> torch.autocast:
        """Passes in the setting's precision, on the device of the network."""
        device = next(self.model.parameters()).device.type
        return torch.autocast(device, self.setting.autocast, enabled=self.setting.autocast is not None)

    def update(self, loss: Tensor) -> None:
        """One step along the gradient of a loss: warmed up, and clipped."""
        self.optimiser.zero_grad()
        loss.backward()
        self.step += 1
        share = min(1.0, self.step / max(1, round(WARM_UP * self.setting.n_steps)))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * share
        nn.utils.clip_grad_norm_([p for p in self.model.parameters() if p.requires_grad], CLIP)
        self.optimiser.step()


class Finetune(Learner):
    """Each batch once, then forgotten."""

    def observe(self, batch: Batch, index: int) -> None:
        self.update(self.compute_loss(batch))


class Joint(Learner):
    """All tasks shuffled, for as many steps as fine-tuning takes: learns nothing before the last task is over."""

    def __init__(self, network: Network, setting: Setting, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        self.tasks: list[Batch] = []

    def observe(self, batch: Batch, index: int) -> None:
        """Waits."""

    def end_task(self, task: Task, index: int) -> None:
        self.tasks.append(task.train)
        if index + 1 < self.setting.n_tasks:
            return
        places = [
            (number, row) for number, each in enumerate(self.tasks) for row in range(len(next(iter(each.values()))))
        ]
        order = torch.randperm(len(places), generator=self.generator).tolist()
        for start in range(0, len(order) - self.setting.batch + 1, self.setting.batch):
            chosen = [places[row] for row in order[start : start + self.setting.batch]]
            by_task = {number: [row for n, row in chosen if n == number] for number, _ in chosen}
            parts = [cut(self.tasks[number], torch.tensor(rows)) for number, rows in by_task.items()]
            losses = [self.objective.compute_losses(self.run(part), part).sum() for part in parts]
            self.update(torch.stack(losses).sum() / len(chosen))

    @property
    def n_stored_bytes(self) -> int:
        return sum(value.nbytes for task in self.tasks for value in task.values())


def make_memory(network: Network, setting: Setting, generator: torch.Generator) -> Any:
    """A memory of the setting's bytes: of tokens, or of images in one byte a value."""
    if network.kind == "images":
        storage = {"x": "uint8"}
        return ReplayBuffer(n_bytes=setting.memory_bytes, label="labels", storage=storage, generator=generator)
    from sharpwave.consolidation.language import TokenMemory

    return TokenMemory(setting.memory_bytes, generator=generator)


class Replay(Learner):
    """Some stored items beside the new ones, labels alone (Chaudhry et al. 2019).

    Args:
        network: The network.
        setting: What is equal for all.
        share: Replayed items per new item.
        rates: As for `Learner`.
    """

    remembers = True

    def __init__(self, network: Network, setting: Setting, *, share: float, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        self.memory, self.share, self.due = make_memory(network, setting, self.generator), share, 0.0

    def observe(self, batch: Batch, index: int) -> None:
        n_new = len(batch["labels"] if "labels" in batch else batch["start_positions"])
        total, n_items = self.objective.compute_losses(self.run(batch), batch).sum(), n_new
        self.due += self.share * n_new
        if self.due >= FEWEST and index and len(self.memory):
            drawn = move(trim(self.memory.sample(int(self.due))), next(self.model.parameters()).device)
            total = total + self.objective.compute_losses(self.run(drawn), drawn).sum()
            n_items += int(self.due)
        self.due = self.due % 1 if self.due >= FEWEST else self.due
        self.update(total / n_items)
        self.memory.add(batch, task=index)

    @property
    def n_stored_bytes(self) -> int:
        return self.memory.n_bytes


def trim(batch: Batch) -> Batch:
    """Items of a memory without what a network does not ask for."""
    return {name: value for name, value in batch.items() if name not in ("index", "task", "logits")}


class OnlineEWC(Learner):
    """Weights that mattered are held near where they were (Kirkpatrick et al. 2017; one running Fisher).

    Args:
        network: The network.
        setting: What is equal for all.
        strength: Strength of the penalty.
        rates: As for `Learner`.
    """

    def __init__(self, network: Network, setting: Setting, *, strength: float = 100.0, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        self.strength = strength
        self.fisher: dict[str, Tensor] = {}
        self.anchors: dict[str, Tensor] = {}

    def observe(self, batch: Batch, index: int) -> None:
        loss = self.compute_loss(batch)
        for name, p in self.model.named_parameters() if self.fisher else ():
            if name in self.fisher:
                loss = loss + 0.5 * self.strength * (self.fisher[name] * (p - self.anchors[name]) ** 2).sum()
        self.update(loss)

    def end_task(self, task: Task, index: int) -> None:
        n_items = len(next(iter(task.train.values())))
        rows = torch.randperm(n_items, generator=self.generator)[:FISHER_ITEMS]
        found = compute_fisher(self.model, cut(task.train, rows), objective=self.objective)
        self.fisher = {name: value + self.fisher.get(name, torch.zeros_like(value)) for name, value in found.items()}
        self.anchors = {name: p.detach().clone() for name, p in self.model.named_parameters() if p.requires_grad}


class LearningWithoutForgetting(Learner):
    """The network of before teaches the one of now, on the new items (Li & Hoiem 2017).

    Args:
        network: The network.
        setting: What is equal for all.
        strength: Weight of the divergence from it.
        rates: As for `Learner`.
    """

    def __init__(self, network: Network, setting: Setting, *, strength: float = 1.0, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        self.strength = strength
        self.before: nn.Module | None = None

    def observe(self, batch: Batch, index: int) -> None:
        output = self.run(batch)
        loss = self.objective.compute_losses(output, batch).mean()
        if self.before is not None:
            with torch.no_grad(), self.precision():
                taught = self.objective.run(self.before, batch).float()
            apart = kl_div(
                log_softmax(pick_answers(output, batch), dim=-1),
                log_softmax(pick_answers(taught, batch), dim=-1),
                log_target=True,
                reduction="batchmean",
            )
            loss = loss + self.strength * apart
        self.update(loss)

    def end_task(self, task: Task, index: int) -> None:
        shared = {id(each): each for each in self.model.modules() if isinstance(each, FrozenBelow)}
        hooks = {id(self.network.meter): self.network.meter}
        self.before = copy.deepcopy(self.model, shared | hooks).eval().requires_grad_(False)  # type: ignore[arg-type]


def pick_answers(output: Tensor, batch: Batch) -> Tensor:
    """Logits of what is answered, shape (answer, choice): a class, a word, or a start and an end."""
    if output.ndim == 2:
        return output
    if "start_positions" in batch:
        return output.transpose(1, 2).flatten(0, 1)
    return output[:, :-1][batch["labels"][:, 1:] != IGNORED]


class SleepLearner(Learner):
    """Wakes and sleeps as a user would let it: a night after each task.

    Args:
        network: The network.
        setting: What is equal for all.
        budget: What replay and nights may cost together; None for no budget.
        changes: Options of `Sleep` in place of its own: a mapping, or a function that makes one.
        sleeps: Whether there are nights at all.
        rates: As for `Learner`.
    """

    remembers = True

    def __init__(
        self,
        network: Network,
        setting: Setting,
        *,
        budget: float | None = BUDGET,
        changes: Callable[[], Mapping[str, Any]] | None = None,
        sleeps: bool = True,
        **rates: float,
    ) -> None:
        super().__init__(network, setting, **rates)
        self.memory, self.sleeps = make_memory(network, setting, self.generator), sleeps
        options = {"budget": budget} | dict(changes() if changes is not None else {})
        self.sleep = Sleep(
            self.model,
            self.memory,
            self.optimiser,
            objective=self.objective,
            autocast=setting.autocast,
            generator=self.generator,
            **options,
        )
        self.reports: list[Any] = []

    def observe(self, batch: Batch, index: int) -> None:
        self.update(self.sleep.wake(batch, task=index))

    def end_task(self, task: Task, index: int) -> None:
        if self.sleeps:
            self.reports.append(self.sleep.night())

    @property
    def n_stored_bytes(self) -> int:
        return self.memory.n_bytes


class DreamLearner(Learner):
    """Stores nothing: learns to go on with texts while awake, as LAMOL does, and in each night replays its own.

    A causal model alone. What is kept of a task are the first tokens that begin most of its texts
    (`Dreams(prompts=...)`); Sun et al. 2020, arXiv:1909.03329, give each task a token of its own instead.

    Args:
        network: The network.
        setting: What is equal for all.
        weight: Weight of each token of a text beside the answer's; default 0.25, as published.
        rates: As for `Learner`.
    """

    remembers = True

    def __init__(self, network: Network, setting: Setting, *, weight: float = 0.25, **rates: float) -> None:
        super().__init__(network, setting, **rates)
        from sharpwave.consolidation.language import Dreams

        self.weight, self.prompts = weight, [[0]]
        self.sleep = Sleep(
            self.model,
            None,
            self.optimiser,
            objective=self.objective,
            autocast=setting.autocast,
            generator=self.generator,
            wake=Wake("none"),
            rem=Dreams(self.prompts, max_new_tokens=48),
        )
        self.reports: list[Any] = []

    def observe(self, batch: Batch, index: int) -> None:
        answered = self.sleep.wake(batch, task=index)
        whole = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
        text = {**batch, "labels": whole.masked_fill(batch["labels"] != IGNORED, IGNORED)}
        self.update(answered + self.weight * self.objective.compute_losses(self.run(text), text).mean())

    def end_task(self, task: Task, index: int) -> None:
        firsts = Counter(task.train["input_ids"][:, 0].tolist())
        self.prompts[:] = [each for each in self.prompts if each != [0]] + [
            [token] for token, _ in firsts.most_common(4)
        ]
        self.reports.append(self.sleep.night())
