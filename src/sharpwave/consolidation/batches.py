"""Batches of any entries, how they go through a model, and what is learned from them.

A batch is a dictionary of tensors, nested where the user's are, with one leading batch axis. An `Objective` says what
the model makes of it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.consolidation.gradients import add_up, are_places, find_class_axis
from sharpwave.consolidation.texts import IGNORED, LABELS, find_padding
from sharpwave.errors import SharpwaveError

Batch = dict[str, Any]

LENGTH = "_length"
"""Ending of the entry that holds how long each item of a padded entry is: `tokens` and `tokens_length`."""

REFUSALS = (RuntimeError, TypeError, NotImplementedError, ValueError, IndexError, AssertionError)
"""Errors by which layers refuse a batch."""

_WIDER = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
"""Types that torch cannot pick items from, and what takes their place."""


def find_ragged(paths: Iterable[str]) -> set[str]:
    """Entries that have a sibling with their lengths."""
    paths = set(paths)
    return {path for path in paths if f"{path}{LENGTH}" in paths}


def flatten(
    batch: Mapping[str, Any], prefix: str = "", *, padding: Mapping[str, float] | None = None
) -> Iterator[tuple[str, Tensor]]:
    """Entries of a nested batch by path (`image/left`); a list of tensors becomes a padded one and its lengths.

    Args:
        batch: The batch.
        prefix: Path of the batch itself; default none.
        padding: What pads an entry of lists, by its path; where omitted -100 for labels and 0 for the rest.

    Raises:
        SharpwaveError: If an entry is neither a tensor, a list of tensors nor a dictionary of them.
    """
    if not isinstance(batch, Mapping):
        raise SharpwaveError("a batch that is a dictionary", got=type(batch).__name__, fix='write {"x": x, "y": y}')
    for name, value in batch.items():
        path = f"{prefix}{name}"
        if isinstance(value, Tensor) and value.layout is torch.strided and not value.is_nested:
            value = value.to(_WIDER[value.dtype]) if value.dtype in _WIDER else value
            yield path, value.detach() if value.requires_grad else value
        elif isinstance(value, Mapping):
            yield from flatten(value, f"{path}/", padding=padding)
        elif isinstance(value, Sequence) and value and all(isinstance(item, Tensor) for item in value):
            lengths = torch.tensor([len(item) for item in value])
            fill = float(find_padding(path, value[0].dtype, padding))
            items = [item.detach() for item in value]
            yield path, nn.utils.rnn.pad_sequence(items, batch_first=True, padding_value=fill)
            yield f"{path}{LENGTH}", lengths
        else:
            raise SharpwaveError(
                "a tensor, a list of tensors, or a dictionary of them for each entry of a batch",
                got=f"{_describe(value)} in {path!r}",
                fix="turn it into a dense tensor with one leading batch axis, or leave it out",
            )


def nest(entries: Mapping[str, Tensor]) -> Batch:
    """A nested batch from entries by path: undoes `flatten`."""
    batch: Batch = {}
    for path, value in entries.items():
        *folders, name = path.split("/")
        inner = batch
        for folder in folders:
            inner = inner.setdefault(folder, {})
        inner[name] = value
    return batch


def count_items(batch: Mapping[str, Any]) -> int:
    """Items in a batch, which all its entries agree on.

    Raises:
        SharpwaveError: If the entries disagree, or there are none.
    """
    sizes = {path: value.shape[0] if value.ndim else 0 for path, value in flatten(batch)}
    if not sizes or min(sizes.values()) != max(sizes.values()):
        raise SharpwaveError(
            "entries with one leading batch axis of the same size",
            got=", ".join(f"{path}: {size}" for path, size in sizes.items()) or "an empty batch",
            fix="give every entry one row per item",
        )
    return next(iter(sizes.values()))


def move(batch: Mapping[str, Any], device: torch.device | str) -> Batch:
    """The batch with every tensor on a device."""
    return {
        name: (value if value.device == device else value.to(device, non_blocking=True))
        if isinstance(value, Tensor)
        else move(value, device)
        if isinstance(value, Mapping)
        else value
        for name, value in batch.items()
    }


def forward_x(model: nn.Module, batch: Batch, *, entry: str = "x") -> Tensor:
    """The model's output for one entry, `x` where no other is named."""
    return model(batch[entry])


def compute_cross_entropy(
    logits: Float[Tensor, "item ..."], batch: Batch, *, label: str = "y"
) -> Float[Tensor, " item"]:
    """Cross-entropy of each item with its label: a class, a class per token or pixel, or a share of each class.

    Args:
        logits: Logits of each class, shape (item, class), (item, token, class) or (item, class, height, width).
        batch: Batch with the labels, shape (item) or (item, token ...), integers of which -100 is not counted; or
            shares in the shape of the logits.
        label: Name of the labels' entry; default "y".
    """
    labels = batch[label]
    axis = find_class_axis(logits, labels)
    soft = labels.is_floating_point() and labels.shape == logits.shape
    if (logits.ndim > 1 and logits.shape[axis] == 1) or (soft and not add_up(labels, axis)):
        raise SharpwaveError(
            f"an output with a logit for each class, for labels {label!r} that are classes or a share of each class",
            got=f"labels {_describe(labels)} that are below 0 or add up to more than 1"
            if soft and logits.shape[axis] > 1
            else f"one logit, outputs of shape {tuple(logits.shape)}",
            fix="use Objective.multilabel() for yes or no, Objective.regression() for numbers",
        )
    if labels.is_floating_point():
        logits, labels = (part.movedim(axis, 1) if soft and logits.ndim > 2 else part for part in (logits, labels))
        return _mean_of_items(nn.functional.cross_entropy(logits, labels, reduction="none"))
    labels = labels.long()
    if labels.ndim == 1:
        return nn.functional.cross_entropy(logits, labels, reduction="none")
    logits = logits.movedim(axis, -1)
    each = nn.functional.cross_entropy(logits.flatten(0, -2), labels.flatten(), reduction="none")
    counted = (labels != IGNORED).flatten(1).sum(dim=1).clamp(min=1)
    return each.view(labels.shape).flatten(1).sum(dim=1) / counted


def _mean_of_items(values: Tensor) -> Tensor:
    return values.flatten(1).mean(dim=1) if values.ndim > 1 else values


def _fit(output: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and targets in one shape: those of one number each may be (item) or (item, 1)."""
    if output.shape != target.shape and output.numel() == target.numel():
        output = output.reshape(target.shape)
    if output.shape != target.shape:
        raise SharpwaveError(
            "an output for every target",
            got=f"outputs of shape {tuple(output.shape)} and targets of shape {tuple(target.shape)}",
            fix="make the last layer as wide as the targets",
        )
    return output, target.to(output.dtype)


def compute_squared_error(output: Tensor, batch: Batch, *, label: str = "y") -> Float[Tensor, " item"]:
    """Mean squared error of each item.

    Args:
        output: Outputs, in the shape of the targets (or (item, 1) for targets (item)).
        batch: Batch with the targets.
        label: Name of the targets' entry; default "y".
    """
    output, target = _fit(output, batch[label])
    return _mean_of_items((output - target).square())


def compute_binary_cross_entropy(output: Tensor, batch: Batch, *, label: str = "y") -> Float[Tensor, " item"]:
    """Binary cross-entropy of each item, over one label that is 0 or 1, or many; labels of -100 are not counted.

    Args:
        output: Logits, in the shape of the labels (or (item, 1) for labels (item)).
        batch: Batch with the labels.
        label: Name of the labels' entry; default "y".
    """
    output, target = _fit(output, batch[label])
    counted = target != IGNORED
    each = nn.functional.binary_cross_entropy_with_logits(output, target.clamp(min=0), reduction="none") * counted
    if each.ndim == 1:
        return each
    return each.flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1).clamp(min=1)


@dataclass(frozen=True)
class Objective:
    """What wake and sleep need to know of a task; the default is `model(batch["x"])` classified as `batch["y"]`.

    Attributes:
        forward: Function of a model and a batch that gives the logits, shape (item, ..., class).
        loss: Function of logits and a batch that gives the loss of each item, shape (item).
        label: Name of the labels' entry; default "y".
        has_classes: Whether the answer is one class of several, and so right or wrong; None, the default, takes that
            from the shapes of outputs and labels.
        scoring: Function of outputs and a batch that scores each item, shape (item), higher for better; None, the
            default, for right or wrong where the answer is a class, else minus the loss.

    Example:
        >>> import torch
        >>> regression = Objective.regression()
        >>> batch = {"x": torch.ones(3, 2), "y": torch.zeros(3, 1)}
        >>> regression.loss(regression.forward(torch.nn.Linear(2, 1), batch), batch).shape
        torch.Size([3])
    """

    forward: Callable[[nn.Module, Batch], Tensor] = forward_x
    loss: Callable[[Tensor, Batch], Tensor] = compute_cross_entropy
    label: str = "y"
    has_classes: bool | None = None
    scoring: Callable[[Tensor, Batch], Tensor] | None = None

    @classmethod
    def classification(cls, *, input: str = "x", label: str = "y") -> Self:
        """One class of several for each item (or token, or pixel): cross-entropy.

        Args:
            input: Entry that goes into the model; default "x".
            label: Entry with the classes; default "y".
        """
        return cls(partial(forward_x, entry=input), partial(compute_cross_entropy, label=label), label, True)

    @classmethod
    def regression(cls, *, input: str = "x", label: str = "y") -> Self:
        """Numbers: mean squared error.

        Args:
            input: Entry that goes into the model; default "x".
            label: Entry with the numbers, shape (item, ...); default "y".
        """
        return cls(partial(forward_x, entry=input), partial(compute_squared_error, label=label), label, False)

    @classmethod
    def multilabel(cls, *, input: str = "x", label: str = "y") -> Self:
        """Yes or no, once or for many labels: binary cross-entropy of logits.

        Args:
            input: Entry that goes into the model; default "x".
            label: Entry with 0 and 1, shape (item) or (item, label); default "y".
        """
        return cls(partial(forward_x, entry=input), partial(compute_binary_cross_entropy, label=label), label, False)

    @classmethod
    def for_model(cls, model: nn.Module, **options: Any) -> Self:
        """What a model's `forward` asks for by name, and a loss that fits its outputs and labels.

        Integer labels are classes; 0 and 1 for a single output, or in the outputs' shape, are yes and no; floating
        ones are numbers. Labels are the entry y, label, labels, target or targets. An output with `logits` gives those.

        Args:
            model: The model; one of Transformers is read by `language.objective.make_objective`. Where the arguments of
                another are not entries of the batch, it gets the entry x (or the only one that is not the label).
            options: Options of `make_objective`: average, score, words.
        """
        language = import_module("sharpwave.consolidation.language.objective")
        if options or language.is_language_model(model):
            return language.make_objective(model, **options)
        return cls(partial(_forward_by_name, tuple(inspect.signature(model.forward).parameters)), _compute_fitting_loss)

    def find_label(self, batch: Mapping[str, Any]) -> str:
        """Name of the labels' entry in a batch: `label` where it is there, else one of the usual names."""
        return next((name for name in (self.label, *LABELS) if name in batch), self.label)

    def compute_losses(self, output: Tensor, batch: Batch) -> Float[Tensor, " item"]:
        """The loss of each item.

        Raises:
            SharpwaveError: If outputs and labels do not fit each other, or the loss is not one of each item.
        """
        label = self.find_label(batch)
        try:
            losses = self.loss(output, batch)
        except SharpwaveError:
            raise
        except (IndexError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise
            raise SharpwaveError(
                f"a loss that fits the outputs, shape {_describe(output)}, and the batch",
                got=f"{', '.join(f'{name} {_describe(value)}' for name, value in batch.items())}: {error!r}",
                fix=f"check the entry {label!r} and the last layer, or give objective=Objective(loss=...)",
            ) from error
        n_items = len(output)
        known = isinstance(losses, Tensor) and losses.ndim > 0 and losses.is_floating_point()
        if not known or len(losses) != n_items or (losses.shape == (n_items, n_items) and output.ndim < 3):
            if known and losses.ndim == 2 and output.shape == losses.shape:
                return losses.mean(dim=1)
            kind = f"{losses.dtype} of " if isinstance(losses, Tensor) and not losses.is_floating_point() else ""
            got = f"{kind}shape {tuple(losses.shape)}" if isinstance(losses, Tensor) else type(losses).__name__
            raise SharpwaveError(
                f"a loss of each item, shape ({n_items},)",
                got=f"{got} from outputs {_describe(output)} and {label!r} {_describe(batch.get(label))}",
                fix="compute it with reduction='none', of outputs and labels in the same shape",
            )
        return _mean_of_items(losses)

    def run(self, model: nn.Module, batch: Batch) -> Tensor:
        """The model's output for a batch.

        Raises:
            SharpwaveError: If an entry is missing, or the output is no tensor with a row per item.
        """
        try:
            output = self.forward(model, batch)
        except KeyError as error:
            if not error.args or error.args[0] in batch:
                raise
            raise SharpwaveError(
                f"a batch with the entry {error.args[0]!r}",
                got=f"the entries {', '.join(map(str, batch))}",
                fix="name yours, as in objective=Objective.classification(input='image', label='label')",
            ) from error
        except REFUSALS as error:
            if type(error) not in REFUSALS:  # memory and processes: as they are
                raise
            raise SharpwaveError(
                "a batch of tensors, new or stored, that the model takes",
                got=f"{', '.join(f'{name} {_describe(value)}' for name, value in batch.items())}: {error!r}",
                fix="check the shapes and types of its entries (BatchNorm needs two items); where the model takes "
                "other inputs than before, begin a new ReplayBuffer",
            ) from error
        if not isinstance(output, Tensor) or output.ndim == 0:
            raise SharpwaveError(
                "a tensor of outputs with a row per item",
                got=_describe(output),
                fix="give objective=Objective(forward=lambda model, batch: ...), which picks it out",
            )
        return output

    def picks_class(self, logits: Tensor, batch: Batch) -> bool:
        """Whether the answer to each item is one class of several, which is right or wrong."""
        labels: Any = batch.get(self.find_label(batch))
        if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point():
            return False
        if self.has_classes is False or logits.ndim != 2 or logits.shape[1] < 2:
            return False
        ours = getattr(self.loss, "func", self.loss) in (compute_cross_entropy, _compute_fitting_loss)
        counted = bool((labels < logits.shape[1]).all())
        return counted and (ours or self.has_classes is True or are_places(self.loss, logits, batch, labels))

    def scores_share(self, logits: Tensor, batch: Batch) -> bool:
        """Whether scores go from 0 to 1."""
        return self.picks_class(logits, batch) if self.scoring is None else getattr(self.scoring, "is_share", True)

    def score(self, logits: Float[Tensor, "item ..."], batch: Batch) -> Float[Tensor, " item"]:
        """How well each item is done: by `scoring`; else 1 or 0 for a right or wrong class, or minus its loss."""
        if self.scoring is not None:
            return self.scoring(logits, batch).detach().float()
        if self.picks_class(logits, batch):
            return (logits.argmax(dim=1) == batch[self.find_label(batch)]).float()
        return -self.compute_losses(logits, batch).detach().float()


def _describe(value: Any) -> str:
    if not isinstance(value, Tensor):
        return type(value).__name__
    if value.is_nested:
        return f"nested tensor of {value.dtype}"
    kind = "" if value.layout is torch.strided else f"{str(value.layout).removeprefix('torch.')} "
    return f"{kind}{tuple(value.shape)} of {value.dtype}"


def _forward_by_name(names: tuple[str, ...], model: nn.Module, batch: Batch) -> Tensor:
    taken = {name: batch[name] for name in names if name in batch and name not in LABELS}
    if taken:
        output = model(**taken)
    else:
        others = [name for name in batch if name not in (*LABELS, "logits", "task", "group", "index")]
        output = model(batch[others[0]] if len(others) == 1 else batch["x"])
    return getattr(output, "logits", output)


def _compute_fitting_loss(output: Tensor, batch: Batch) -> Tensor:
    label = next((name for name in LABELS if name in batch), "y")
    labels = batch[label]
    if labels.is_floating_point():
        return compute_squared_error(output, batch, label=label)
    if labels.shape == output.shape or (labels.ndim == 1 and output.numel() == len(labels)):
        return compute_binary_cross_entropy(output, batch, label=label)
    return compute_cross_entropy(output, batch, label=label)


__getattr__ = moved.rename(__name__, {"compute_distillation": "consolidation.wake:compute_distillation"})
