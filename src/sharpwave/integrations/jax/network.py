"""A network in JAX as sleep sees it: what it gives for a batch, its losses, its layers, and batches in few shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from sharpwave.consolidation.texts import IGNORED, LABELS
from sharpwave.errors import MissingExtraError, SharpwaveError

try:
    import jax
    import jax.numpy as jnp
    import optax
except ModuleNotFoundError as error:
    raise MissingExtraError(error.name or "jax", extra="jax") from error

ROWS = "_rows"
"""Entry of a padded batch: 1 for its own rows, 0 for those that fill the bucket."""

LAYOUTS = ("flax", "equinox")
PROJECTIONS = ("query", "key", "value")
"""Kernels of Flax's attention, whose inputs are the first axis alone."""


class Variables(NamedTuple):
    """What a network holds that has running statistics, such as those of BatchNorm.

    Attributes:
        params: What is trained.
        stats: What a pass in training mode changes: running statistics, counts of random generators.

    >>> Variables({"w": 1.0}, {"mean": 0.0}).params
    {'w': 1.0}
    """

    params: Any
    stats: Any


@dataclass(frozen=True)
class Split:
    """Where a network's top begins, for nights that look at, or train, the last part alone.

    Attributes:
        lower: Function of params and a batch that gives what goes into the top, shape (item, ...); of a network with
            `Variables`, function of params, batch, stats and train that gives this and the new stats.
        upper: Function of params and what `lower` gave that gives the logits.
        top: Beginnings of the paths of the top's parameters, such as ("dense3",); paths have their parts joined by "/".
        share: Share of the top in the operations of a pass, for a budget; that of its kernels where omitted.

    Example:
        >>> split = Split(
        ...     lambda params, batch: batch["x"] @ params["lower"]["kernel"],
        ...     lambda params, hidden: hidden @ params["upper"]["kernel"],
        ...     top=("upper",),
        ... )
        >>> params = {"lower": {"kernel": np.ones((4, 3))}, "upper": {"kernel": np.ones((3, 2))}}
        >>> split.upper(params, split.lower(params, {"x": np.ones((5, 4))})).shape
        (5, 2)
    """

    lower: Callable[..., Any]
    upper: Callable[[Any, Any], Any]
    top: tuple[str, ...]
    share: float | None = None


@dataclass(frozen=True)
class Network:
    """How a network in JAX computes; a plain function of params and a batch is one for classification.

    Attributes:
        apply: Function of params and a batch (a dictionary of arrays) that gives the logits, shape (item, ..., class);
            of a network with `Variables`, function of params, batch, stats and train that gives logits and new stats.
        loss: "classification" (the default), "regression" or "multilabel", as `Objective` has them, or a function of
            outputs and batch that gives the loss of each item.
        layout: Where the units of a kernel are: "flax", the default, on the last axis; "equinox" (and PyTorch) on the
            first.
        split: Where the top begins; needed for shallow nights and for `make_ssr`; default None.
        momentum: Share of the old running statistics that a pass keeps; default 0.99, that of Flax.
        centred: Function of a path and an array that says whether it is the kernel of a linear layer or a convolution,
            whose gradient is centred; where omitted, arrays of two axes or more that are named kernel, weight or w.
        plastic: Function of a path and an array that says whether homeostasis may change it; where omitted, arrays of
            two axes or more outside the top that are no embeddings.

    Example:
        >>> network = Network(lambda params, batch: batch["x"] @ params["kernel"])
        >>> network.find_inputs("dense/kernel", np.zeros((3, 2)))
        (0,)
    """

    apply: Callable[..., Any]
    loss: str | Callable[[Any, Any], Any] = "classification"
    layout: str = "flax"
    split: Split | None = None
    momentum: float = 0.99
    centred: Callable[[str, Any], bool] | None = None
    plastic: Callable[[str, Any], bool] | None = None

    def __post_init__(self) -> None:
        if not callable(self.apply) or self.layout not in LAYOUTS or not 0 <= self.momentum < 1:
            raise SharpwaveError(
                f"a function apply(params, batch), a layout among {', '.join(LAYOUTS)}, a momentum from 0 to below 1",
                got=f"apply={self.apply!r}, layout={self.layout!r}, momentum={self.momentum}",
                fix="write Network(apply, layout='flax')",
            )
        if not callable(self.loss) and self.loss not in LOSSES:
            raise SharpwaveError(
                f"a loss among {', '.join(LOSSES)}, or a function", got=repr(self.loss), fix="choose one of them"
            )

    def run(self, params: Any, stats: Any, batch: Any, *, train: bool) -> tuple[Any, Any]:
        """Logits of a batch, and the statistics after it.

        Args:
            params: What is trained.
            stats: Running statistics; None for a network without.
            batch: Entries (item, ...), as arrays.
            train: Whether statistics are taken and dropout is on.
        """
        if stats is None:
            return self.apply(params, batch), None
        return self.apply(params, batch, stats, train)

    def run_lower(self, params: Any, stats: Any, batch: Any, *, train: bool) -> tuple[Any, Any]:
        """What goes into the top, and the statistics after it.

        Args:
            params: What is trained.
            stats: Running statistics; None for a network without.
            batch: Entries (item, ...), as arrays.
            train: Whether statistics are taken and dropout is on.
        """
        split = self.get_split()
        if stats is None:
            return split.lower(params, batch), None
        return split.lower(params, batch, stats, train)

    def get_split(self) -> Split:
        """Where the top begins.

        Raises:
            SharpwaveError: If nobody said so.
        """
        if self.split is None:
            raise SharpwaveError(
                "a network whose top is known, for a night that trains it alone or looks at what goes into it",
                got="Network(split=None)",
                fix="give Network(apply, split=Split(lower, upper, top=('name of the last layer',)))",
            )
        return self.split

    def compute_losses(self, output: Any, batch: Any) -> Any:
        """The loss of each item, shape (item).

        Args:
            output: Outputs, shape (item, ..., class).
            batch: Entries with labels.
        """
        compute = self.loss if callable(self.loss) else LOSSES[self.loss]
        losses = compute(output, batch)
        if losses.shape != output.shape[:1]:
            raise SharpwaveError(
                f"a loss of each item, shape {output.shape[:1]}",
                got=f"shape {losses.shape} from outputs of shape {output.shape}",
                fix="let the function of `loss` average over all axes but the first",
            )
        return losses

    def find_inputs(self, path: str, leaf: Any) -> tuple[int, ...]:
        """Axes of a kernel that are a unit's inputs; none where it is no kernel of a linear layer or convolution.

        Args:
            path: Path of the parameter, its parts joined by "/".
            leaf: The parameter, of which the number of axes is looked at.
        """
        *folders, name = path.split("/")
        known = leaf.ndim > 1 and name in ("kernel", "weight", "w") and not any("embed" in each for each in folders)
        if not (known if self.centred is None else self.centred(path, leaf)):
            return ()
        if self.layout == "equinox":
            return tuple(range(1, leaf.ndim))
        return (0,) if any(each in PROJECTIONS for each in folders) else tuple(range(leaf.ndim - 1))

    def is_top(self, path: str) -> bool:
        """Whether a parameter is the top's."""
        return any(path == each or path.startswith(f"{each}/") for each in self.get_split().top)

    def is_plastic(self, path: str, leaf: Any) -> bool:
        """Whether homeostasis may change a parameter."""
        if self.plastic is not None:
            return self.plastic(path, leaf)
        return leaf.ndim > 1 and "embed" not in path and not self.is_top(path)


@lru_cache(maxsize=64)
def _wrap(apply: Callable[..., Any]) -> Network:
    return Network(apply)


def as_network(apply: Network | Callable[..., Any]) -> Network:
    """The network, or that of a plain function of params and a batch.

    Args:
        apply: Either of them.
    """
    return apply if isinstance(apply, Network) else _wrap(apply)


def from_nnx(model: Any, **options: Any) -> tuple[Network, Any]:
    """A module of Flax NNX as a network and its parameters, or `Variables` where it has running statistics.

    Args:
        model: The module; it is called with the entry `x` of a batch.
        options: Other options of `Network`, such as `split`; of `apply` alone where a call takes more than x.

    Example:
        >>> from flax import nnx
        >>> network, params = from_nnx(nnx.Linear(3, 2, rngs=nnx.Rngs(0)))
        >>> network.apply(params, {"x": np.zeros((4, 3))}).shape
        (4, 2)
    """
    from flax import nnx

    graph, params, rest = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    if not jax.tree.leaves(rest):
        return Network(lambda params, batch: nnx.merge(graph, params, rest, copy=True)(batch["x"]), **options), params

    def apply(params: Any, batch: Any, stats: Any, train: bool) -> tuple[Any, Any]:
        module = nnx.merge(graph, params, stats, copy=True)
        (module.train if train else module.eval)()
        output = module(batch["x"])
        return output, nnx.split(module, nnx.Param, ...)[2]  # type: ignore[misc]

    return Network(apply, **options), Variables(params, rest)


def from_equinox(model: Any, **options: Any) -> tuple[Network, Any]:
    """A module of Equinox without state as a network and its parameters; it is called item by item under `vmap`.

    Args:
        model: The module; it is called with the entry `x` of an item.
        options: Other options of `Network`.

    Example:
        >>> import equinox
        >>> network, params = from_equinox(equinox.nn.Linear(3, 2, key=jax.random.key(0)))
        >>> network.apply(params, {"x": np.zeros((4, 3))}).shape
        (4, 2)
    """
    import equinox

    params, fixed = equinox.partition(model, equinox.is_inexact_array)

    def apply(params: Any, batch: Any) -> Any:
        return jax.vmap(equinox.combine(params, fixed))(batch["x"])

    return Network(apply, **({"layout": "equinox"} | options)), params


def unpack(params: Any) -> tuple[Any, Any]:
    """What is trained, and running statistics (None where there are none)."""
    return (params.params, params.stats) if isinstance(params, Variables) else (params, None)


def pack(params: Any, stats: Any) -> Any:
    """Undoes `unpack`."""
    return params if stats is None else Variables(params, stats)


def takes_statistics(stats: Any) -> bool:
    """Whether a pass takes statistics of what passes, so that new and replayed items may not mix."""
    return any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(stats))


def name_path(path: Any) -> str:
    """Path of a leaf, its parts joined by "/"."""
    parts = [str(getattr(key, "key", getattr(key, "name", getattr(key, "idx", key)))) for key in path]
    return "/".join(part for part in parts if part not in ("value", "raw_value"))


def find_label(batch: Mapping[str, Any]) -> str:
    """Name of the labels' entry."""
    found = next((name for name in LABELS if name in batch), None)
    if found is None:
        raise SharpwaveError(
            f"a batch with labels, an entry among {', '.join(LABELS)}", got=", ".join(batch), fix="name them y"
        )
    return found


def _mean_of_items(values: Any) -> Any:
    return values.reshape(values.shape[0], -1).mean(axis=1)


def compute_cross_entropy(logits: Any, batch: Any) -> Any:
    """Cross-entropy of each item with its label: a class, a class per token (-100 is not counted), or shares."""
    labels = batch[find_label(batch)]
    ours = jax.nn.log_softmax(logits, axis=-1)
    if jnp.issubdtype(labels.dtype, jnp.floating):
        return _mean_of_items(-(labels * ours).sum(axis=-1))
    counted = labels != IGNORED
    each = -jnp.take_along_axis(ours, jnp.where(counted, labels, 0)[..., None], axis=-1)[..., 0] * counted
    if each.ndim == 1:
        return each
    axes = tuple(range(1, each.ndim))
    return each.sum(axis=axes) / jnp.maximum(counted.sum(axis=axes), 1)


def compute_squared_error(output: Any, batch: Any) -> Any:
    """Mean squared error of each item."""
    target = batch[find_label(batch)]
    return _mean_of_items((output.reshape(target.shape) - target) ** 2)


def compute_binary_cross_entropy(output: Any, batch: Any) -> Any:
    """Binary cross-entropy of each item, over one label of 0 or 1, or many; labels of -100 are not counted."""
    target = batch[find_label(batch)]
    counted = (target != IGNORED).reshape(len(target), -1)
    each = optax.sigmoid_binary_cross_entropy(output.reshape(target.shape), jnp.maximum(target, 0))
    return (each.reshape(counted.shape) * counted).sum(axis=1) / jnp.maximum(counted.sum(axis=1), 1)


LOSSES: dict[str, Callable[[Any, Any], Any]] = {
    "classification": compute_cross_entropy,
    "regression": compute_squared_error,
    "multilabel": compute_binary_cross_entropy,
}
"""Loss of each item, by what the labels are."""


def find_bucket(n_items: int) -> int:
    """The size a batch is filled up to, so that few shapes are compiled: 8, 10, 12, 14, 16, 20, 24, 28, 32, 40 …

    Args:
        n_items: Number of items.
    """
    step = max(2, 2 ** max((n_items - 1).bit_length() - 3, 0))
    return max(8, -(-n_items // step) * step)


def find_pieces(n_items: int) -> list[int]:
    """The lengths of the pieces that a batch is evaluated in: powers of two from 8 to 256, the last of them filled up.

    A night scores and labels other numbers of items each time. Buckets would be a new program for most of them.

    Args:
        n_items: Number of items.
    """
    sizes = [256] * (n_items // 256)
    rest = -(-(n_items % 256) // 8) * 8
    return sizes + [2**power for power in range(8, 2, -1) if rest & 2**power] or [8]


def fill(batch: Any, *, size: int | None = None) -> Any:
    """A batch filled up to its bucket by copies of its first row, with the entry `ROWS` that tells them apart.

    Args:
        batch: Entries (item, ...), as arrays.
        size: Number of rows; the bucket of the batch where omitted.
    """
    n_items = len(jax.tree.leaves(batch)[0])
    missing = (find_bucket(n_items) if size is None else size) - n_items
    filled = jax.tree.map(lambda leaf: np.concatenate([leaf, np.repeat(leaf[:1], missing, axis=0)]), batch)
    return {**filled, ROWS: np.arange(n_items + missing) < n_items}


def to_arrays(batch: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a batch as NumPy arrays; tensors share their memory."""
    return {name: to_arrays(value) if isinstance(value, Mapping) else to_array(value) for name, value in batch.items()}


def to_array(value: Any) -> np.ndarray:
    """One entry as a NumPy array."""
    if isinstance(value, Tensor) and value.dtype == torch.bfloat16:
        return value.detach().cpu().view(torch.int16).numpy().view(jnp.bfloat16)
    return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)


def to_tensor(value: Any) -> Tensor:
    """An array as a tensor."""
    array = np.asarray(value)
    if array.dtype == jnp.bfloat16:
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
