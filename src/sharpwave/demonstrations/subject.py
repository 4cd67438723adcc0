"""A network under test: copies that are damaged, scored and recover, each of which is proved to have happened."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from sharpwave.consolidation.modules import evaluating
from sharpwave.demonstrations.damage import (
    DOSES,
    Wiring,
    add_weight_noise,
    corrupt_inputs,
    count_units,
    count_weights,
    find_hidden,
    flip_labels,
    lesion_units,
    list_layers,
    trace_wiring,
)
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation import Sleep

Recover = Callable[[nn.Module, int], Any]
Relearn = Callable[[nn.Module, Int[Tensor, " sample"]], Any]
IGNORED = -100
"""Label that is not scored, as in `torch.nn.functional.cross_entropy`."""
PATIENCE = 3
"""Steps of recovery that may leave a copy as it is before that is an error."""


class NetworkSubject:
    """One network under test.

    Whatever did not happen gets no number: a kind of damage that cannot be done to this network is left out and its
    reason is in `left_out`; a step that trains the original instead of the copy is an error.

    Args:
        model: Classifier; never changed, copies are. Its answer is a tensor of logits, or holds one as `logits` or as
            its first entry.
        inputs: Held-out inputs to score on: a tensor, or a dictionary of what `model(**inputs)` takes.
        labels: Their classes, one for each item, token or pixel; -100 is not scored.
        recover: One step of recovery of the copy that it is given: sleep, or new data, drawn from the number of the
            step alone. Random draws of torch, numpy and random are seeded by that number. Without it nothing recovers.
        relearn: Trains a copy on its own data with the labels given, for label noise; without it that dose is left out.
        train_labels: Labels that `relearn` is given, some of them wrong.
        doses: Doses by kind; those of `DOSES` that can be done where omitted.
        shock: Kind and dose from which it must recover.
        score: Score of a network, higher is better, in place of the accuracy of its answers; chance is then 0.

    Raises:
        SharpwaveError: If answers and labels do not fit, or there is nothing to tell apart.

    >>> network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    >>> subject = NetworkSubject(network, torch.rand(40, 1, 4, 4), torch.arange(40) % 2)
    >>> twin = subject.copy()
    >>> twin.damage("weight_noise", 1.0, rng=np.random.default_rng(0))
    >>> list(subject.parts), torch.equal(network[1].weight, twin.model[1].weight)
    (['1'], False)
    >>> subject.left_out["lesion"]
    'there are no layers before the answer'
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Any,
        labels: Int[Tensor, "sample ..."],
        *,
        recover: Recover | None = None,
        relearn: Relearn | None = None,
        train_labels: Int[Tensor, " sample"] | None = None,
        doses: Mapping[str, Sequence[float]] | None = None,
        shock: tuple[str, float] = ("weight_noise", 1.0),
        score: Callable[[nn.Module], float] | None = None,
    ) -> None:
        self.model, self.inputs, self.labels, self.shock = model, inputs, labels, shock
        self._recover, self._relearn, self._train_labels, self._score = recover, relearn, train_labels, score
        self._original, self._n_steps, self._n_idle = model, 0, 0
        self.chance, self.n_items, self.n_classes = 0.0, 0, 0
        if score is None:
            seen = _check_labels(labels)
            counts = torch.bincount(seen)
            self.n_classes, self.n_items = len(counts), len(seen)
            self.chance = float(counts.max() / len(seen))
        self.wiring = self._trace()
        sizes = count_weights(model)
        # One dose does the same to each layer relative to its weights: a layer's damage is its share of all weights.
        self.parts: Mapping[str, float] = {name: size / sum(sizes.values()) for name, size in sizes.items() if size}
        self.left_out = self._find_impossible()
        possible = {kind: row for kind, row in DOSES.items() if kind not in self.left_out}
        if "lesion" in possible:
            possible["lesion"] = tuple(dose for dose in DOSES["lesion"] if dose == 0 or self._count_lesioned(dose))
        self.doses: Mapping[str, Sequence[float]] = possible if doses is None else doses

    @classmethod
    def from_sleep(
        cls, sleep: Sleep, inputs: Any = None, labels: Tensor | None = None, *, n_steps: int = 20, **options: Any
    ) -> Self:
        """A network that recovers in nights of its own `Sleep`: each copy has a copy of its buffer and optimiser.

        Args:
            sleep: Sleep of the network; it is left as it is.
            inputs: Held-out inputs; those of the probe or of the buffer's held-out items where omitted.
            labels: Their classes.
            n_steps: Steps of a night; default 20.
            options: Further arguments of `NetworkSubject`.

        Raises:
            SharpwaveError: If there is nothing held out to score on, or no buffer to replay.

        >>> from sharpwave.consolidation import ReplayBuffer, Sleep
        >>> sleep = Sleep(nn.Linear(2, 2), ReplayBuffer(100))
        >>> loss = sleep.wake({"x": torch.eye(2).repeat(20, 1), "y": torch.arange(2).repeat(20)})
        >>> NetworkSubject.from_sleep(sleep, torch.eye(2), torch.arange(2)).recovers
        True
        """
        from sharpwave.demonstrations.recovery import Nights, find_held_out

        if inputs is None or labels is None:
            inputs, labels = find_held_out(sleep)
        nights = Nights(sleep, n_steps)
        return cls(sleep.learner.module, inputs, labels, recover=nights.step, **options)

    def copy(self) -> NetworkSubject:
        """The same network, to be damaged.

        Raises:
            SharpwaveError: If a copy of the model shares its weights.
        """
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        mine = {weight.data_ptr() for weight in self.model.parameters() if weight.numel()}
        if any(weight.data_ptr() in mine for weight in twin.model.parameters() if weight.numel()):
            raise SharpwaveError(
                "a model whose copies have weights of their own",
                got=f"{type(self.model).__name__}, whose copy shares them",
                fix="let copy.deepcopy(model) copy its weights",
            )
        return twin

    def score(self) -> float:
        """Accuracy over all that is labelled; answers that are not finite are wrong."""
        if self._score is not None:
            with evaluating(self.model), seeded(0):
                return float(self._score(self.model))
        return float(self.score_items().mean())

    @torch.no_grad()
    def score_items(self) -> Bool[np.ndarray, " label"]:
        """Whether each label was answered right, for intervals over items; in evaluation mode, with a fixed seed."""
        with evaluating(self.model), seeded(0):
            answers = self._answer(self.inputs)
        axis = self._find_axis(answers)
        right = (answers.argmax(dim=axis) == self.labels.to(answers.device)) & answers.isfinite().all(dim=axis)
        return right[self.labels.to(answers.device) != IGNORED].cpu().numpy()

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        """Damage this copy.

        Raises:
            SharpwaveError: If the kind is unknown, cannot be done here, or did nothing.
        """
        if self.model is self._original:
            raise SharpwaveError(
                "a copy to damage", got="the network under test itself", fix="call damage on subject.copy()"
            )
        if kind == "weight_noise":
            add_weight_noise(self.model, dose, rng=rng, part=part)
        elif kind == "lesion":
            lesion_units(self.model, dose, rng=rng, part=part, wiring=self.wiring)
        elif kind not in DOSES or (kind == "label_noise" and (self._relearn is None or self._train_labels is None)):
            raise SharpwaveError(
                f"damage among {', '.join(DOSES)} (label_noise with relearn= and train_labels=)",
                got=repr(kind),
                fix="choose one of these, or pass relearn and train_labels",
            )
        elif part is not None:
            raise SharpwaveError(
                "damage that one layer can have: weight_noise or lesion", got=f"{kind} of {part}", fix="choose another"
            )
        elif kind == "input_noise":
            self.inputs = _corrupt(self.inputs, dose, rng=rng)
        else:
            assert self._relearn is not None
            assert self._train_labels is not None
            wrong = flip_labels(self._train_labels, dose, n_classes=self.n_classes, rng=rng)
            with self._proved("relearn") as has_changed, seeded(int(rng.integers(2**31))):
                self._relearn(self.model, wrong)
            if not has_changed():
                raise _refuse_idle("relearn", "left its copy as it was")

    @property
    def recovers(self) -> bool:
        """Whether there is a way to recover; without one, recovery is not measured."""
        return self._recover is not None

    @property
    def was_trained(self) -> bool:
        """Whether a step of recovery has changed this copy."""
        return self._n_steps > self._n_idle

    def recover(self, number: int) -> None:
        """One step of recovery.

        Raises:
            SharpwaveError: If it trained the original, or has left the copy as it was for `PATIENCE` steps.
        """
        if self._recover is None:
            return
        if self.model is self._original:
            raise _refuse_idle("recover", "was called on the network under test itself, not on subject.copy()")
        with self._proved("recover") as has_changed, seeded(number):
            self._recover(self.model, number)
        self._n_steps, self._n_idle = self._n_steps + 1, self._n_idle + (not has_changed())
        if self._n_idle >= PATIENCE and not self.was_trained:
            raise _refuse_idle("recover", f"left its copy as it was in {self._n_idle} steps")

    @contextmanager
    def _proved(self, what: str) -> Iterator[Callable[[], bool]]:
        """Put the original back, and refuse, if it was changed; gives a function that says whether the copy was."""
        original = {name: value.clone() for name, value in self._original.state_dict().items() if _is(value)}
        mine = {name: value.clone() for name, value in self.model.state_dict().items() if _is(value)}
        yield lambda: _differs(self.model, mine)
        if _differs(self._original, original):
            with torch.no_grad():
                for name, value in self._original.state_dict().items():
                    if _is(value):
                        value.copy_(original[name])
            raise _refuse_idle(what, "trained the network under test itself; it was put back")

    def _trace(self) -> Wiring:
        if not list_layers(self.model):
            raise SharpwaveError(
                "a network with layers that hold weights",
                got=f"{type(self.model).__name__} with none",
                fix="register its layers as attributes, or in a torch.nn.ModuleList",
            )
        with torch.no_grad(), evaluating(self.model), seeded(0):
            if self._score is not None:
                return trace_wiring(self.model, lambda: self._score(self.model))  # type: ignore[misc]
            found: list[Tensor] = []
            wiring = trace_wiring(self.model, lambda: found.append(self._answer(self.inputs)))
        self._find_axis(found[0])
        if not found[0].isfinite().any():
            raise SharpwaveError(
                "a network that answers with finite numbers", got="none of its logits is finite", fix="train it anew"
            )
        return wiring

    def _answer(self, inputs: Any) -> Tensor:
        given = self.model(**inputs) if isinstance(inputs, Mapping) else self.model(inputs)
        if isinstance(given, Mapping):
            given = given["logits"] if "logits" in given else next(iter(given.values()))
        found = getattr(given, "logits", given)
        found = found[0] if isinstance(found, tuple | list) else found
        if not isinstance(found, Tensor):
            raise SharpwaveError(
                "logits as a tensor, as `logits`, or as the first entry of what the model gives",
                got=type(given).__name__,
                fix="pass score=, a function of the model to a number",
            )
        return found

    def _find_axis(self, answers: Tensor) -> int:
        """Axis of the classes: without it answers have the shape of the labels."""
        shape, wanted = tuple(answers.shape), tuple(self.labels.shape)
        axes = [
            axis
            for axis in (len(shape) - 1, 1)
            if len(shape) > 1 and shape[:axis] + shape[axis + 1 :] == wanted and shape[axis] >= max(2, self.n_classes)
        ]
        if not axes:
            raise SharpwaveError(
                f"logits (sample, ..., class) of at least {self.n_classes} classes, for labels of shape {wanted}",
                got=f"logits of shape {shape}",
                fix="give two logits for a binary answer, labels for each token, or score=, a function of the model",
            )
        if len(set(axes)) > 1:
            raise SharpwaveError(
                "one axis that can be that of the classes",
                got=f"logits of shape {shape} for labels of shape {wanted}",
                fix="give sequences of another length, or score=, a function of the model to a number",
            )
        return axes[0]

    def _count_lesioned(self, share: float) -> int:
        units = (count_units(list_layers(self.model)[name]) for name in find_hidden(self.model, self.wiring))
        return sum(round(share * n_units) for n_units in units)

    def _find_impossible(self) -> dict[str, str]:
        """Kinds of damage that cannot be done to this network, and why."""
        found: dict[str, str] = {}
        if not find_hidden(self.model, self.wiring):
            found["lesion"] = "there are no layers before the answer"
        elif not self._count_lesioned(max(DOSES["lesion"])):
            found["lesion"] = "its layers are too small"
        for kind, dose in (("weight_noise", 1.0), ("lesion", max(DOSES["lesion"])), ("input_noise", 1.0)):
            try:
                if kind not in found:
                    self.copy().damage(kind, dose, rng=np.random.default_rng(0))
            except SharpwaveError as error:
                found[kind] = str(error).replace("\n", " ")
        if self._score is not None:
            found["input_noise"] = "score= has inputs of its own"
        if self._relearn is None or self._train_labels is None:
            found["label_noise"] = "relearn= and train_labels= were not given"
        return found


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Random draws of torch, numpy and random from a seed; their states are put back."""
    kept = np.random.get_state(), random.getstate()  # noqa: NPY002 (what the user's own code may draw from)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(kept[0])  # noqa: NPY002
            random.setstate(kept[1])


def _check_labels(labels: Tensor) -> Tensor:
    """The labels that are scored, in a row."""
    whole = isinstance(labels, Tensor) and not labels.is_floating_point() and not labels.is_complex()
    seen = labels[labels != IGNORED].reshape(-1).long().cpu() if whole else torch.zeros(0)
    if seen.numel() == 0 or int(seen.min()) < 0 or int(seen.min()) == int(seen.max()):
        raise SharpwaveError(
            "labels as whole numbers from 0, of at least two classes",
            got=f"{labels.dtype if isinstance(labels, Tensor) else type(labels).__name__}, "
            f"{torch.unique(seen).numel()} classes",
            fix="give class numbers (not one-hot), or score=, a function of the model to a number",
        )
    return seen


def _corrupt(inputs: Any, dose: float, *, rng: np.random.Generator) -> Any:
    """Noise on every entry of real numbers; masks and whole numbers stay."""
    if not isinstance(inputs, Mapping):
        return corrupt_inputs(inputs, dose, rng=rng)
    real = {
        name: value
        for name, value in inputs.items()
        if isinstance(value, Tensor) and value.is_floating_point() and "mask" not in name
    }
    if not real:
        raise SharpwaveError(
            "inputs among which are real numbers",
            got=f"entries {', '.join(inputs)}",
            fix="leave input_noise out of doses",
        )
    return {**inputs, **{name: corrupt_inputs(value, dose, rng=rng) for name, value in real.items()}}


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)


def _differs(model: nn.Module, kept: Mapping[str, Tensor]) -> bool:
    return any(_is(value) and not torch.equal(value, kept[name]) for name, value in model.state_dict().items())


def _refuse_idle(what: str, got: str) -> SharpwaveError:
    return SharpwaveError(
        f"{what}(model, ...) that trains the copy that it is given",
        got=f"{what}, which {got}",
        fix="train the argument: make its optimiser from model.parameters() inside, or use NetworkSubject.from_sleep",
    )
