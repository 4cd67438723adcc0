"""Sleep beside a training loop that passes its own batches through a language model, and counts what that costs.

`SleepBeside.replay` gives the loss of what is replayed beside a batch and stores the batch; `sleep_through` is a night
at the day's highest rate, after which it says what became of each task. Cost is counted in tokens, padding included,
since that is what passes through the model: forward and backward counts 1, forward alone a third.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from sharpwave.consolidation import NREM, Budget, Objective, Sleep, SleepReport, Wake
from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.budget import LEAST_APART
from sharpwave.consolidation.modules import agree_first, evaluating, list_state
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.day import TOKENS, DayReport, count_passed, select_items, weigh_tokens

COUNTED = ("new", "replayed", "slept", "scored")
N_MORNING, MOST_ROWS = 8, 256


class Passed:
    """An objective whose new batch was, or will be, passed through the model by someone else.

    Args:
        own: The objective of all other batches.
    """

    def __init__(self, own: Objective) -> None:
        self.own, self.kind = own, getattr(getattr(own.loss, "__self__", None), "kind", None)
        self.is_next = False
        self._batch: Batch | None = None

    def make_objective(self) -> Objective:
        """The objective for `Sleep`."""
        return replace(self.own, forward=self.run, loss=self.compute_losses)

    def run(self, model: nn.Module, batch: Batch) -> Tensor:
        """Outputs; of the new batch nothing but its number of items."""
        if not self.is_next:
            return self.own.forward(model, batch)
        self.is_next, self._batch = False, batch
        first = next(value for value in batch.values() if isinstance(value, Tensor))
        return torch.zeros(len(first), 1, device=first.device)

    def compute_losses(self, output: Tensor, batch: Batch) -> Tensor:
        """Losses of items; 0 for those of the new batch."""
        if batch is self._batch:
            self._batch = None
            return output[:, 0]
        return self.own.loss(output, batch)

    def pick(self, output: Tensor, batch: Batch) -> Tensor:
        """Logits of all that counts, a row each."""
        head: Any = getattr(self.own.loss, "__self__", None)
        return head.pick(output, batch) if hasattr(head, "pick") else output.flatten(0, -2)


@dataclass(eq=False)
class Morning:
    """What the model said of a few memories before a day.

    Attributes:
        items: The memories.
        answers: Logarithms of probabilities, shape (row, class).
    """

    items: Batch
    answers: Tensor

    @torch.no_grad()
    def compare(self, sleep: SleepBeside) -> float:
        """Kullback–Leibler divergence from what it said to what it says now, in nats a row."""
        now = answer(sleep, self.items)
        return float((self.answers.exp() * (self.answers - now)).nansum(dim=1).mean())


@torch.no_grad()
def answer(sleep: SleepBeside, items: Batch) -> Tensor:
    """Logarithms of the probabilities of each answer to some items, in evaluation mode."""
    learner = sleep.learner
    with evaluating(learner.model), learner.precision():
        batch = move(items, learner.device)
        rows = sleep.passed.pick(sleep.passed.own.run(learner.model, batch), batch)[:MOST_ROWS]
    return torch.log_softmax(rows.float(), dim=-1).cpu()


class SleepBeside(Sleep):
    """A `Sleep` beside a loop that passes new batches through the model by itself.

    Args:
        model: Language model; DistributedDataParallel or PEFT around it or not.
        buffer: A `TokenMemory`, or another buffer; None for recipes that store nothing.
        optimiser: Optimiser of the loop.
        objective: What is learned of memories; `Objective.for_model(model)` where omitted.
        options: Options of `Sleep`. Where omitted, wake replays labels (`Wake("er")`) and leaves the loop's own steps
            as they are, and the rate rises over the first tenth of a night.

    Raises:
        SharpwaveError: If wake needs the outputs of new items (`Wake("er-ace")`), which others pass.
    """

    def __init__(
        self, model: nn.Module, buffer: Any, optimiser: Any, *, objective: Objective | None = None, **options: Any
    ) -> None:
        recipe = options.get("recipe")
        wake = options.get("wake", Wake("er", clip=None, centre=False) if recipe is None else recipe.wake)
        wake = Wake(wake) if isinstance(wake, str) else wake
        if wake.method == "er-ace":
            raise SharpwaveError(
                "a wake that replays beside batches which others pass through the model",
                got=f"{wake.method!r}, which changes the outputs of new items",
                fix="use Wake('er')",
            )
        options["wake"] = replace(wake, fuse=False, rescue=None)
        if recipe is None:
            options.setdefault("nrem", NREM(warm=0.1))
        if isinstance(options.get("budget"), int | float):
            options["budget"] = Budget(options["budget"], least=LEAST_APART)
        self.passed = Passed(objective or Objective.for_model(model))
        self.tokens = dict.fromkeys(COUNTED, 0.0)
        self.morning: Morning | None = None
        self.task: int | str | None = None
        self._n_new = 0
        self._since = dict(self.tokens)
        self._divergence, self._reserved = math.nan, 0.0
        self._part: str | None = None
        super().__init__(model, buffer, optimiser, objective=self.passed.make_objective(), **options)
        self._counter = self.learner.module.register_forward_pre_hook(self._count, with_kwargs=True)

    def get_up(self, task: int | str | None = None) -> None:
        """Begin a day: what the model says of a few memories is kept, to be compared with at night.

        Args:
            task: Name or number of what is to be learned; None, the default, for none.
        """
        self.task, buffer = task, self.learner.buffer
        if self.morning is None and buffer is not None and len(buffer):
            slots = buffer.stratify(N_MORNING, generator=torch.Generator().manual_seed(0))
            items = {name: value for name, value in buffer.read(slots).items() if name != "logits"}
            with self._counting("scored"):
                self.morning = Morning(items, answer(self, items))

    def replay(self, batch: Mapping[str, Any]) -> Tensor:
        """The loss of what is replayed beside a batch, which asks for no gradient where nothing is due.

        Args:
            batch: Entries of the new items, which are stored.
        """
        items = select_items(batch)
        self.passed.is_next = True
        try:
            with self._counting("replayed"):
                loss = self.wake(items, task=self.task)  # type: ignore[arg-type]
        finally:
            self.passed.is_next = False
        self.tokens["new"] += count_passed(items)
        self._n_new += len(next(iter(items.values())))
        self._charge()
        return loss

    def is_due(self) -> bool:
        """Whether the schedule calls for a night."""
        return bool(agree_first(int(self.schedule.is_due(self._n_since_night)), self.learner.device))

    def fall_asleep(self, steps: int | None = None) -> None:
        """Begin a night, at the highest rates of the day: those of its end may be 0.

        Raises:
            SharpwaveError: If the rate was 0 all day.
        """
        day = self.learner.day
        peaks = [high for _, high, _ in day.rates]
        if peaks and not any(peaks) and getattr(self.recipe.nrem, "rate", None) is None:
            raise SharpwaveError(
                "a learning rate above 0 at some step of the day, which the night takes up",
                got="0 at all steps",
                fix="check the scheduler, or give the night its own: nrem=NREM(rate=1e-5)",
            )
        self._charge()
        budget = self.budget
        lent = self._reserved if budget is not None and steps is None and budget.left > 0 else 0.0
        if budget is not None:
            budget.slept += lent
        try:
            super().fall_asleep(steps)
        finally:
            if budget is not None:
                budget.slept -= lent
        self.learner.rates = peaks or self.learner.rates

    def sleep_through(
        self, *, at_step: Callable[[int], None] | None = None, generator_state: Tensor | None = None
    ) -> DayReport:
        """A night, or the rest of one that was resumed; torch's own generator (dropout) is then where it was before.

        Args:
            at_step: Function that is called after each step with its number.
            generator_state: State of torch's own generator at which a night goes on; None for a new one.
        """
        devices = [self.learner.device] if self.learner.device.type == "cuda" else []
        with torch.random.fork_rng(devices), torch.enable_grad():
            if generator_state is not None:
                torch.set_rng_state(generator_state.cpu())
            if not self.is_asleep:
                torch.manual_seed(int(torch.randint(2**62, (), generator=self.learner.generator)))
                scored = self.tokens["scored"]
                self._divergence = self._compare_morning()  # and once more at the end
                self._reserved = (
                    self.learner.forward_share
                    * (self.tokens["scored"] - scored)
                    * self._n_new
                    / max(self.tokens["new"], 1)
                )
                self.fall_asleep()
            with self._undoing():
                while self.step():
                    if at_step is not None:
                        at_step(self._get_night().position)
            day = self.learner.day
            night = self.wake_up()
            self.tokens["slept"] += self.learner.n_passes * (day.n_places / max(day.n_new, 1) or 1.0)
            divergence = (self._divergence, self._compare_morning())
        self._charge()
        tokens = {name: value - self._since[name] for name, value in self.tokens.items()}
        self._since, self.morning, self._divergence = dict(self.tokens), None, math.nan
        return DayReport(self.task, night, self._list_tasks(night), divergence, tokens, self.learner.forward_share)

    def save(self, folder: str | Path, *, asleep: bool = False) -> Path:
        """Write all that a run needs to go on, but the model and the optimiser, which the loop saves.

        Args:
            folder: Folder to write into, as `state_files.save_state` does.
            asleep: Whether what a night has changed is written too: trained weights, the optimiser, and the state of
                torch's own generator. Default false.
        """
        state: dict[str, Any] = {"sleep": self.state_dict(), "tokens": dict(self.tokens), "since": dict(self._since)}
        state |= {"n_new": self._n_new, "divergence": self._divergence}
        state |= {"task": self.task, "morning": None if self.morning is None else vars(self.morning)}
        if asleep:
            state["weights"] = {name: value.detach() for name, value in list_state(self.learner.module).items()}
            state["optimiser"] = self.learner.optimiser.state_dict()
            state["torch"] = torch.get_rng_state()
        return save_state(state, folder)

    def load(self, folder: str | Path) -> Tensor | None:
        """Take up what `save` wrote, beside a model and an optimiser that are loaded already.

        Returns:
            The state of torch's own generator where a night was going on, to be given to `sleep_through`; else None.
        """
        state = load_state(folder)
        self.load_state_dict(state["sleep"])
        self.tokens, self._since = dict(state["tokens"]), dict(state["since"])
        self._n_new, self._divergence = state["n_new"], state["divergence"]
        self.task, morning = state["task"], state["morning"]
        self.morning = None if morning is None else Morning(**morning)
        if "weights" not in state:
            return None
        with torch.no_grad():
            for name, value in list_state(self.learner.module).items():
                value.copy_(state["weights"][name])
        self.learner.optimiser.load_state_dict(state["optimiser"])
        return state["torch"]

    def _uses_logits(self) -> bool:
        """Never: the outputs of new items are not at hand; those of memories are stored after the night."""
        return False

    def _compare_morning(self) -> float:
        if self.morning is None:
            return math.nan
        with self._counting("scored"):
            return self.morning.compare(self)

    def _charge(self) -> None:
        """Spend of the budget what tokens say was spent, in passes of a new item of mean length."""
        if self.budget is not None and self._n_new:
            per_item = self.tokens["new"] / self._n_new
            self.budget.replayed = self.tokens["replayed"] / per_item
            self.budget.slept = (
                weigh_tokens(self.tokens, self.learner.forward_share) - self.tokens["replayed"]
            ) / per_item

    @contextmanager
    def _counting(self, part: str) -> Iterator[None]:
        """Count tokens of passes as a part of the cost."""
        before, self._part = self._part, part
        try:
            yield
        finally:
            self._part = before

    def _count(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        if self._part is None:
            return
        batch = {name: value for name, value in named.items() if isinstance(value, Tensor) and value.ndim}
        batch = batch or {TOKENS: next(value for value in inputs if isinstance(value, Tensor))}
        self.tokens[self._part] += count_passed(batch)

    def _list_tasks(self, night: SleepReport) -> pd.DataFrame:
        groups, columns = night.groups, ["value", "n", "before", "after"]
        rows = groups.loc[groups["kind"] == "task", columns] if len(groups) else pd.DataFrame(columns=columns)
        return rows.rename(columns={"value": "task"}).reset_index(drop=True)
