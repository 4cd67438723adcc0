"""Gradients of single items: held against exact ones, clipped, summed and blurred (DP-SGD, Abadi et al. 2016).

Opacus' hooks gather them. They may be wrong without a word, as those of GPT-2's position embedding are, which gets one
row for a whole batch; so the first batch of several items is compared with items that go through the network alone.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from sharpwave.consolidation.batches import Batch, flatten, nest
from sharpwave.errors import MissingExtraError, SharpwaveError

EXACT = 1e-5
"""By how much the length of an item's gradient may differ from the exact one, as a share of it."""

N_COMPARED = 4
"""Items of the first batch that go through the network alone."""

POSITIONS, TOKENS = "position_ids", "input_ids"


class PerSampleGradients:
    """Gradients of each item of a batch, of the trained parameters of one network.

    Args:
        module: The network.
        parameters: Its trained parameters, by name.

    Attributes:
        mended: What was changed so that they are exact; empty for nothing.
    """

    def __init__(self, module: nn.Module, parameters: Mapping[str, nn.Parameter]) -> None:
        self.module, self.parameters, self.mended = module, dict(parameters), ""
        self.unused: set[str] = set()
        self.is_checked = False
        self._positions: Any = None
        _refuse_batch_norm(module)
        try:
            from opacus.grad_sample import GradSampleHooks
        except ImportError as error:
            raise MissingExtraError("opacus", extra="private") from error
        warnings.filterwarnings("ignore", message="Full backward hook is firing")  # inputs ask for no gradient
        self._hooks = GradSampleHooks(module, loss_reduction="sum", strict=False)
        self._hooks.disable_hooks()

    def begin(self) -> None:
        """Gather from the next pass on, and forget what was gathered."""
        self.forget()
        self._hooks.enable_hooks()

    def end(self) -> None:
        """Gather no more."""
        self._hooks.disable_hooks()

    def forget(self) -> None:
        """Give back what was gathered, of a pass that never went backward too."""
        for parameter in self.module.parameters():
            parameter.grad_sample = None  # type: ignore[attr-defined]
            parameter._forward_counter = 0  # type: ignore[attr-defined]
            if hasattr(parameter, "_current_grad_sample"):
                del parameter._current_grad_sample
        for module in self.module.modules():
            for name in ("activations", "max_batch_len"):
                if name in module.__dict__:
                    delattr(module, name)

    def collect(self, n_items: int) -> dict[str, Tensor]:
        """What was gathered, shape (item, ...) by name.

        Args:
            n_items: Number of items that passed.

        Raises:
            SharpwaveError: If a parameter has no gradient of each item.
        """
        found: dict[str, Tensor] = {}
        for name, parameter in self.parameters.items():
            values = getattr(parameter, "grad_sample", None)
            if values is None and (parameter.grad is None or not n_items or name in self.unused):
                continue
            if not isinstance(values, Tensor) or len(values) != n_items:
                got = "none" if values is None else "those of several passes"
                got = f"shape {tuple(values.shape)}" if isinstance(values, Tensor) else got
                raise SharpwaveError(
                    f"a gradient of each of {n_items} items",
                    got=f"{got} for {name}",
                    fix="go backward once for each sleep.wake, through layers that Opacus knows",
                )
            found[name] = values
        return found

    def check(self, batch: Batch, compute_losses: Callable[[Batch], Tensor], run: Callable[[Batch], Tensor]) -> None:
        """Compare with exact gradients, once, on a batch of several items; mend positions that all items share.

        Args:
            batch: Items.
            compute_losses: Function of a batch that gives the loss of each item.
            run: Function of a batch that gives the network's output.

        Raises:
            SharpwaveError: If they are not exact.
        """
        entries = dict(flatten(batch))
        n_items = min(len(next(iter(entries.values()))), N_COMPARED)
        if self.is_checked or n_items < 2:
            return
        some = nest({path: value[:n_items] for path, value in entries.items()})
        kept = {name: parameter.grad for name, parameter in self.parameters.items()}
        with without_dropout(self.module):
            trouble = self._compare(some, compute_losses)
            if trouble:
                with torch.no_grad():
                    output = run(some)
                self._positions = spread_positions(self.module)
                with torch.no_grad():
                    same = self._positions is not None and torch.equal(run(some), output)
                again = self._compare(some, compute_losses) if same else trouble
                if again:
                    raise SharpwaveError(
                        f"gradients of single items that are exact to {EXACT:g}, which clipping needs",
                        got=again,
                        fix="train fewer parameters (LoRA, or requires_grad_(False) on that one), "
                        "or replace the layer by one that Opacus knows",
                    )
                self.mended = f"{POSITIONS} of its own for each item: {trouble} before"
        for name, parameter in self.parameters.items():
            parameter.grad = kept[name]
        self.is_checked = True

    def _compare(self, batch: Batch, compute_losses: Callable[[Batch], Tensor]) -> str:
        """What differs; empty for nothing."""
        entries = dict(flatten(batch))
        n_items = len(next(iter(entries.values())))
        exact: list[dict[str, Tensor]] = []
        self.end()
        for item in range(n_items):
            self._clear()
            loss = compute_losses(nest({path: value[item : item + 1] for path, value in entries.items()})).sum()
            loss.backward()
            exact.append({n: p.grad.clone() for n, p in self.parameters.items() if p.grad is not None})
        self.unused = set(self.parameters) - {name for each in exact for name in each}
        self._clear()
        self.begin()
        try:
            compute_losses(batch).sum().backward()
            return self._name_difference(exact)
        except SharpwaveError as error:
            return error.got
        finally:
            self.end()
            self.forget()
            self._clear()

    def _name_difference(self, exact: list[dict[str, Tensor]]) -> str:
        found = self.collect(len(exact))
        for item, truth in enumerate(exact):
            length = float(torch.stack([value.double().square().sum() for value in truth.values()]).sum().sqrt())
            worst, worst_name, square = 0.0, "", 0.0
            for name, value in truth.items():
                mine = found.get(name)
                difference = value.double() if mine is None else mine[item].double() - value.double()
                square += 0.0 if mine is None else float(mine[item].double().square().sum())
                if float(difference.norm()) > worst:
                    worst, worst_name = float(difference.norm()), name
            if abs(square**0.5 - length) > EXACT * length or worst > 10 * EXACT * length:
                return f"{square**0.5 / max(length, 1e-30) - 1:+.2%} in length, by {worst_name}"
        return ""

    def _clear(self) -> None:
        for parameter in self.parameters.values():
            parameter.grad = None

    @torch.no_grad()
    def sum_clipped(self, n_items: int, clip: float, scale: float = 1.0) -> dict[str, Tensor]:
        """The sum over items of their gradients, none longer than `clip`; one that is not finite counts as 0.

        Args:
            n_items: Number of items.
            clip: Largest length.
            scale: What the gradients are multiplied by first; default 1.
        """
        found = self.collect(n_items)
        sums = {name: torch.zeros_like(parameter) for name, parameter in self.parameters.items()}
        if not n_items or not found:
            return sums
        squares = torch.stack([values.flatten(1).float().square().sum(dim=1) for values in found.values()])
        factors = compute_factors(scale * squares.sum(dim=0).sqrt(), clip) * scale
        for name, values in found.items():
            good = torch.where(torch.isfinite(factors) & (factors > 0), factors, 0).to(values.dtype)
            sums[name] = torch.einsum("i,i...->...", good, torch.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0))
        return sums


def compute_factors(lengths: Float[Tensor, " item"], clip: float) -> Float[Tensor, " item"]:
    """What the gradient of each item is multiplied by, so that none is longer than `clip`; 0 where it is not finite.

    Example:
        >>> compute_factors(torch.tensor([0.5, 2.0, float("nan")]), 1.0)
        tensor([1.0000, 0.5000, 0.0000])
    """
    factors = clip / lengths.clamp(min=clip)
    return torch.where(torch.isfinite(lengths), factors, torch.zeros_like(factors))


def blur(sums: Mapping[str, Tensor], *, noise: float, clip: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Sums with Gaussian noise of `noise` times `clip`."""
    return {
        name: value + noise * clip * torch.randn(value.shape, generator=generator, dtype=torch.float32).to(value)
        for name, value in sums.items()
    }


@contextmanager
def without_dropout(module: nn.Module) -> Iterator[None]:
    """No dropout for a while, in training mode."""
    kept: list[tuple[nn.Module, str, float]] = []
    for inner in module.modules():
        names = ["p"] if isinstance(inner, nn.modules.dropout._DropoutNd) else []
        names += [name for name, value in vars(inner).items() if "drop" in name and isinstance(value, float)]
        kept += [(inner, name, getattr(inner, name)) for name in names]
    for inner, name, _ in kept:
        setattr(inner, name, 0.0)
    try:
        yield
    finally:
        for inner, name, value in kept:
            setattr(inner, name, value)


def spread_positions(module: nn.Module) -> Any:
    """Give each item positions of its own, where a model would share one row of them; the handle of the hook.

    Args:
        module: Network; nothing is done, and None given, where no module takes position_ids.
    """
    for inner in module.modules():
        if POSITIONS not in inspect.signature(inner.forward).parameters:
            continue

        def add(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
            tokens = kwargs.get(TOKENS, args[0] if args else None)
            if kwargs.get(POSITIONS) is None and isinstance(tokens, Tensor) and tokens.ndim == 2:
                row = torch.arange(tokens.shape[1], device=tokens.device)
                kwargs = {**kwargs, POSITIONS: row.expand(len(tokens), -1).contiguous()}
            return args, kwargs

        return inner.register_forward_pre_hook(add, with_kwargs=True)
    return None


def _refuse_batch_norm(module: nn.Module) -> None:
    for name, inner in module.named_modules():
        if isinstance(inner, _BatchNorm):
            raise SharpwaveError(
                "layers through which each item goes by itself",
                got=f"{type(inner).__name__} in {name or 'the model'}, which mixes the items of a batch",
                fix="use GroupNorm or LayerNorm (opacus.validators.ModuleValidator.fix(model) puts them in)",
            )
