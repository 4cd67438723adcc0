"""Where a network's parts are: its head, what feeds the head, and the weights that homeostasis may touch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from sharpwave.errors import SharpwaveError

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)


@torch.no_grad()
def find_called(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """Names of the innermost modules with parameters, in the order in which a pass first calls them.

    Args:
        model: The network; its buffers are left as they are if it is in evaluation mode.
        run: One pass.
    """
    called: list[str] = []
    leaves = [(n, m) for n, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [m.register_forward_pre_hook(lambda *_, name=n: called.append(name)) for n, m in leaves]
    try:
        run()
    finally:
        for handle in handles:
            handle.remove()
    return list(dict.fromkeys(called))


def find_head(model: nn.Module, run: Callable[[], object]) -> str:
    """Name of the last module with parameters that a pass calls.

    Raises:
        SharpwaveError: If a pass calls none.
    """
    called = find_called(model, run)
    if not called:
        raise SharpwaveError(
            "a network whose modules hold parameters",
            got=f"a pass through {type(model).__name__} that calls none",
            fix="build it from torch.nn layers, or name its head",
        )
    return called[-1]


def find_plastic(model: nn.Module, head: str) -> dict[str, nn.Parameter]:
    """Weights that may be pruned, strengthened or scaled: matrices and kernels, never a norm, embedding or the head."""
    fixed = {id(p) for m in model.modules() if isinstance(m, NORMS + EMBEDDINGS) for p in m.parameters()}
    fixed |= {id(p) for p in model.get_submodule(head).parameters()}
    return {
        name: parameter
        for name, parameter in model.named_parameters()
        if parameter.requires_grad and parameter.ndim > 1 and id(parameter) not in fixed
    }


class HiddenState:
    """What goes into the head at a pass.

    Attributes:
        value: Shape (item, ...), with its noise; None before the pass.
    """

    def __init__(self) -> None:
        self.value: Tensor | None = None


@contextmanager
def watch_hidden(
    model: nn.Module, head: str, *, noise: float = 0.0, generator: torch.Generator | None = None
) -> Iterator[HiddenState]:
    """Catch the hidden state before the head, and let Gaussian noise into it.

    Args:
        model: The network.
        head: Name of the module whose input is the hidden state.
        noise: Standard deviation, in those of the hidden state.
        generator: Of the noise.
    """
    hidden = HiddenState()

    def catch(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        value = inputs[0]
        if noise:
            drawn = torch.randn(value.shape, generator=generator).to(value.device, value.dtype)
            value = value + noise * value.detach().std() * drawn
        hidden.value = value
        return (value, *inputs[1:])

    handle = model.get_submodule(head).register_forward_pre_hook(catch)
    try:
        yield hidden
    finally:
        handle.remove()
