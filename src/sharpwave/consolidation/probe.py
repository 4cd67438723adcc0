"""Is what was learned kept? Scores before and after a night; steps of wake that are undone where the loss explodes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, count_items, flatten, move, nest
from sharpwave.consolidation.gradients import centre_gradients, copy_moments, tame_gradients
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.modules import average, count_idle, evaluating, is_shared, list_state
from sharpwave.consolidation.wake import compute_distillation
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.wake import Wake, WakeStep

KINDS = ("y", "task", "group")
"""Entries by which a probe is split; the labels' entry in place of `y`, where it has another name."""
PLACE = "_positions"
"""Ending of labels that are places in a text, not classes."""
COPY_EVERY = 20
"""Steps of wake between copies of the network that is gone back to."""
LOWEST_FACTOR = 1 / 64
CALM_STEPS = 200
"""Steps without trouble after which a rate that was lowered doubles again."""
SMOOTHING = 0.05


@dataclass(frozen=True, eq=False)
class Probe:
    """What decides whether a night is kept.

    Attributes:
        held_out: A batch of items that are never replayed, or a function from the network to a score (higher is
            better). Where omitted: the buffer's held-out items, else (not held out, and the report says so) at most
            `n_items` of those it replays, drawn anew each night, as many of each class as of any other.
        tolerance: Fall of the score that is put up with; default 0.02. It is a share: of right answers, or, where
            items have a loss alone, of the loss that the outputs have with other items' labels. On items, a night is
            undone only if the fall is larger by two of its standard errors, so that chance on a few items undoes no
            good night.
        group_tolerance: Fall of the score of the worst group that is put up with; None, the default, does not look at
            groups.
        n_items: Largest number of items taken from the buffer; default 256.

    Example:
        >>> import torch
        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(torch.nn.Linear(2, 2), ReplayBuffer(8), probe=Probe(lambda network: 0.9))
        >>> loss = sleep.wake({"x": torch.eye(2), "y": torch.arange(2)})
        >>> report = sleep.night(1)
        >>> report.score_before, report.held_out, report.committed
        (0.9, True, True)
    """

    held_out: Mapping[str, Any] | Callable[[nn.Module], float] | None = None
    tolerance: float = 0.02
    group_tolerance: float | None = None
    n_items: int = 256

    def __post_init__(self) -> None:
        if not (self.held_out is None or callable(self.held_out) or isinstance(self.held_out, Mapping)):
            raise SharpwaveError(
                "a batch, or a function of the network, that scores a night",
                got=type(self.held_out).__name__,
                fix="write Probe(lambda network: ...), or Probe(tolerance=...) for how far the score may fall",
            )
        if isinstance(self.held_out, Mapping) and not count_items(self.held_out):
            raise SharpwaveError("a batch with items that scores a night", got="an empty one", fix="leave it out")


@dataclass(frozen=True, eq=False)
class Scores:
    """A network at one moment.

    Attributes:
        score: Mean over classes of what their items score (accuracy; minus loss without classes); NaN if unknown.
        items: Table with a row per item: `score`, and its `y`, `task` and `group` where it has them.
        is_held_out: Whether sleep never replays these items.
        unit: What a tolerance of 1 is in the score's unit: 1 for right and wrong, else the loss of outputs that are
            held against other items' labels; default 1.
        label: Name of the column of classes; default "y".
        divergence: Nats per token from the most likely tokens that are stored with the items; NaN where none are.
    """

    score: float
    items: pd.DataFrame
    is_held_out: bool
    unit: float = 1.0
    label: str = "y"
    divergence: float = math.nan


def draw_items(learner: Learner, probe: Probe) -> list[int]:
    """Slots of the buffer that score a night; none where the probe is the user's or a held-out share."""
    buffer = learner.buffer
    if isinstance(probe.held_out, Mapping) or buffer is None or buffer.n_held_out or not probe.n_items:
        return []
    if learner.memories is not None:
        return learner.memories.slots[: probe.n_items].tolist()
    return buffer.stratify(probe.n_items, generator=learner.generator).tolist()


@torch.no_grad()
def measure_scores(learner: Learner, probe: Probe, slots: Sequence[int] = ()) -> Scores:
    """Score a network, in evaluation mode, which is put back.

    Args:
        learner: The network.
        probe: What it is scored by.
        slots: Slots of the buffer, as `draw_items` gives them.

    Raises:
        SharpwaveError: If a probe of the user's gives no number.
    """
    label, unit, divergence = learner.objective.label, 1.0, math.nan
    with evaluating(learner.model):
        score = _ask(probe.held_out, learner.model) if callable(probe.held_out) else math.nan
        batch, is_held_out = _find_items(learner, probe, slots)
        items = pd.DataFrame()
        if batch:
            label = learner.objective.find_label(batch)
            items, unit, divergence = _score_items(learner, batch, label)
    if not callable(probe.held_out) and len(items):
        score = float(items["score"].to_numpy() @ _weigh(items, label))
    (score,) = average([float(score)], learner.device)
    return Scores(score, items, is_held_out or callable(probe.held_out), unit, label, divergence)


def _ask(function: Callable[[nn.Module], float], model: nn.Module) -> float:
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    try:
        score = function(model)
    finally:
        for parameter in trained:  # a probe may freeze what it looks at
            parameter.requires_grad_(True)
    try:
        return float(score)
    except (TypeError, ValueError, RuntimeError) as error:
        expected = "a probe that gives one number, higher for better"
        raise SharpwaveError(expected, got=type(score).__name__, fix="return a float") from error


def judge(before: Scores, after: Scores, probe: Probe) -> str:
    """Why a night is not kept; empty if it is."""
    if not math.isfinite(after.score) and (math.isfinite(before.score) or callable(probe.held_out)):
        return "the score is not finite"
    label = before.label
    error = 0.0 if callable(probe.held_out) or not len(before.items) else _find_error(before.items, after.items, label)
    if before.score - after.score > probe.tolerance * before.unit + 2 * error:
        return f"the score fell from {before.score:.3g} to {after.score:.3g}"
    if probe.group_tolerance is not None and "group" in before.items:
        for value in sorted(before.items["group"].unique()):
            mine = before.items["group"] == value
            old, new = before.items[mine], after.items[mine]
            fall = old["score"].mean() - new["score"].mean()
            error = _find_error(old[["score"]], new[["score"]], label)
            if fall > probe.group_tolerance * before.unit + 2 * error:
                return f"group {value} fell from {old['score'].mean():.3g} to {new['score'].mean():.3g}"
    return ""


def compare_groups(before: Scores, after: Scores, *, name_task: Callable[[int], object] = int) -> pd.DataFrame:
    """Columns `kind` (all, y, task, group), `value`, `n`, `before`, `after`.

    Args:
        before: Scores before a night.
        after: Scores after it.
        name_task: Function of a task's number to what stands in `value`; the number itself where omitted.
    """
    table: dict[str, list[Any]] = {name: [] for name in ("kind", "value", "n", "before", "after")}
    kinds = (before.label, *KINDS[1:])
    for kind in ("all", *(kind for kind in kinds if kind in before.items)) if len(before.items) else ():
        keys = np.zeros(len(before.items), dtype=np.int64) if kind == "all" else before.items[kind].to_numpy()
        values, rows, sizes = np.unique(keys, return_inverse=True, return_counts=True)
        table["kind"] += [kind] * values.size
        table["value"] += [name_task(value) if kind == "task" else value for value in values.tolist()]
        table["n"] += sizes.tolist()
        for name, scores in (("before", before), ("after", after)):
            table[name] += (np.bincount(rows, weights=scores.items["score"].to_numpy()) / sizes).tolist()
    return pd.DataFrame(table)


def _find_items(learner: Learner, probe: Probe, slots: Sequence[int]) -> tuple[Batch, bool]:
    if isinstance(probe.held_out, Mapping):
        return dict(probe.held_out), True
    buffer = learner.buffer
    if buffer is None or not len(buffer) or (not buffer.n_held_out and not len(slots)):
        return {}, False
    if buffer.n_held_out:
        return learner.recall(buffer.read_held_out()), True
    return learner.recall(buffer.read(torch.tensor(slots, dtype=torch.int64))), False


def _score_items(learner: Learner, items: Batch, label: str, size: int = 256) -> tuple[pd.DataFrame, float, float]:
    entries, n_items = dict(flatten(items)), count_items(items)
    scores, divergences, chance = [], list[float](), 0.0
    size = min(size, getattr(learner.buffer, "n_chunk", size))
    for first in range(0, n_items, size):
        batch = move(nest({path: value[first : first + size] for path, value in entries.items()}), learner.device)
        output = learner.forward(batch).float()
        scores.append(learner.objective.score(output, batch).cpu())
        if isinstance(batch.get("logits"), Mapping):
            divergences.append(len(output) * float(compute_distillation(output, batch["logits"])))
        if not learner.objective.scores_share(output, batch):
            others = torch.randperm(len(output), generator=torch.Generator().manual_seed(0)).to(output.device)
            chance += float(learner.objective.compute_losses(output[others], batch).sum()) / n_items
    for _ in range(count_idle(learner.module, len(scores), learner.device)):
        learner.forward(batch)
    columns = {"score": torch.cat(scores).double().numpy()}
    for kind in KINDS[1:] if label.endswith(PLACE) else (label, *KINDS[1:]):
        values = entries.get(kind)
        if values is not None and values.ndim == 1 and not values.is_floating_point():
            columns[kind] = values.cpu().numpy()
    divergence = sum(divergences) / n_items if divergences else math.nan
    return pd.DataFrame(columns), (chance if 0 < chance < math.inf else 1.0), divergence


def _weigh(items: pd.DataFrame, label: str) -> Float[np.ndarray, " item"]:
    """Weights that add up to 1, as much for each class as for any other."""
    if label not in items:
        return np.full(len(items), 1 / len(items))
    _, rows, sizes = np.unique(items[label].to_numpy(), return_inverse=True, return_counts=True)
    return 1 / (sizes[rows] * sizes.size)


def _find_error(before: pd.DataFrame, after: pd.DataFrame, label: str) -> float:
    """Standard error of the change of the score, from the items' changes."""
    change = (after["score"] - before["score"]).to_numpy()
    weights = _weigh(before, label)
    return float(np.sqrt((weights**2 * (change - weights @ change) ** 2).sum()))


@dataclass(frozen=True, eq=False)
class Copy:
    """A network and its optimiser at a step of wake.

    Attributes:
        weights: Parameters that are trained, and all buffers of the model, by name.
        moments: State of the optimiser.
        sizes: Number of parameters in each of its groups.
    """

    weights: dict[str, Tensor]
    moments: dict[str, Any]
    sizes: list[int]


class Stability:
    """Watches the steps of one network's wake, undoes those after which the loss exploded, and steps less far then.

    Every `COPY_EVERY` steps whose loss is at its level, trained parameters, buffers of the model and the state of the
    optimiser are copied: once their memory. Where the loss of a step is not finite, or more than `rescue` times its
    running level and the highest loss of the first steps, the copy is tried on the same batch. If it has no more than
    half of the loss, it is gone back to, and steps are half as long from then on (never below 1/64; they double again
    after 200 calm ones). If not, it is the batch that is at fault, or a task that is new, and the network stays.

    Args:
        learner: The network.
        wake: Options of wake: `clip`, `centre` and `rescue`.
    """

    def __init__(self, learner: Learner, wake: Wake) -> None:
        self.learner, self.wake = learner, wake
        self.is_on = wake.method != "none"
        self._level = self._highest = 0.0
        self._n_steps = self._n_calm = 0
        self._copy: Copy | None = None
        self._rates: list[tuple[dict[str, Any], Any]] = []
        self._said = False

    def check(self, step: WakeStep, take_again: Callable[[], WakeStep]) -> WakeStep:
        """The step, or that of the network which was gone back to.

        Args:
            step: What the passes gave.
            take_again: Function that makes the passes anew.
        """
        if not self.is_on or not self.wake.rescue or is_shared():
            return step
        loss = float(step.loss.detach())
        if self._copy is not None and self._is_exploding(loss) and self._fits(self._copy):
            now = self._make_copy()
            self._put_back(self._copy)
            again = take_again()
            better = float(again.loss.detach())
            if math.isfinite(better) and not better > loss / 2:
                self._lower(loss, better)
                step, loss = again, better
            else:
                self._put_back(now)
        self._follow(loss)
        return step

    def before_step(self, optimiser: torch.optim.Optimizer) -> None:
        """Tame the gradients of an optimiser that is about to step, and lower its rates where a step was undone."""
        self.after_step()
        wake = self.wake
        if self.is_on and wake.centre:
            mine = [parameter for group in optimiser.param_groups for parameter in group["params"]]
            centre_gradients(self.learner.module, mine)
        if not tame_gradients(optimiser.param_groups, wake.clip if self.is_on else None):
            warnings.warn("a step of wake was not taken: its gradient is not finite", stacklevel=2)
        if self.learner.caution < 1:
            self._rates = [(group, group["lr"]) for group in optimiser.param_groups]
            for group, rate in self._rates:
                group["lr"] = rate * self.learner.caution

    def after_step(self) -> None:
        """Give the optimiser its own rates again."""
        for group, rate in self._rates:
            group["lr"] = rate
        self._rates = []

    def forget(self) -> None:
        """A night is over: what was copied before it is not gone back to, and undone steps are counted anew."""
        self._copy, self.learner.n_undone = None, 0

    def state_dict(self) -> dict[str, Any]:
        """Numbers; the copy is taken anew at the next step."""
        return {
            "factor": self.learner.caution,
            "n_undone": self.learner.n_undone,
            "level": [self._level, self._highest],
            "counts": [self._n_steps, self._n_calm],
        }

    def load_state_dict(self, state: dict[str, Any] | None) -> None:
        """Take up what `state_dict` gave; None, of a state without, leaves all as it is."""
        if state is None:
            return
        self._copy, self.learner.caution, self.learner.n_undone = None, state["factor"], state["n_undone"]
        self._level, self._highest = state["level"]
        self._n_steps, self._n_calm = state["counts"]

    def _is_exploding(self, loss: float) -> bool:
        bound = (self.wake.rescue or math.inf) * max(self._level, self._highest)
        return not math.isfinite(loss) or (self._n_steps >= COPY_EVERY and loss > bound)

    def _fits(self, copy: Copy) -> bool:
        """Whether network and optimiser have the shapes they had, and have not grown since."""
        state = list_state(self.learner.module)
        sizes = [len(group["params"]) for group in self.learner.optimiser.param_groups]
        return sizes == copy.sizes and {n: v.shape for n, v in state.items()} == {
            n: v.shape for n, v in copy.weights.items()
        }

    def _follow(self, loss: float) -> None:
        """Take a loss into the running level, and copy the network where it is at that level."""
        if not math.isfinite(loss):
            return
        is_calm = self._n_steps < COPY_EVERY or loss <= 2 * max(self._level, self._highest)
        if self._n_steps < COPY_EVERY:
            self._highest = max(self._highest, loss)
        self._level += (loss - self._level) * (SMOOTHING if self._n_steps else 1.0)
        if is_calm and (self._copy is None or self._n_steps % COPY_EVERY == 0):
            self._copy = self._make_copy()
        self._n_steps, self._n_calm = self._n_steps + 1, self._n_calm + 1
        if self.learner.caution < 1 and self._n_calm >= CALM_STEPS:
            self.learner.caution, self._n_calm = min(1.0, 2 * self.learner.caution), 0

    def _lower(self, loss: float, better: float) -> None:
        learner, self._n_calm = self.learner, 0
        learner.clear_gradients()
        learner.n_undone += 1
        learner.caution = max(learner.caution / 2, LOWEST_FACTOR)
        if not self._said:
            warnings.warn(
                f"expected a loss of wake near its level of {self._level:.3g}; got {loss:.3g}, but {better:.3g} with "
                f"the weights of at most {COPY_EVERY} steps before, which were put back; steps are "
                f"{learner.caution:.3g} as long from now on. Fix: a lower learning rate; Wake(rescue=None) lets it be",
                stacklevel=5,
            )
            self._said = True

    @torch.no_grad()
    def _make_copy(self) -> Copy:
        optimiser = self.learner.optimiser
        weights = {name: value.detach().clone() for name, value in list_state(self.learner.module).items()}
        sizes = [len(group["params"]) for group in optimiser.param_groups]
        return Copy(weights, copy_moments(optimiser), sizes)

    @torch.no_grad()
    def _put_back(self, copy: Copy) -> None:
        for name, value in list_state(self.learner.module).items():
            value.data.copy_(copy.weights[name])  # past autograd's notice: the pass before may yet go backward
        own = [group["lr"] for group in self.learner.optimiser.param_groups]
        self.learner.optimiser.load_state_dict(deepcopy(copy.moments))
        for group, rate in zip(self.learner.optimiser.param_groups, own, strict=True):
            group["lr"] = rate
