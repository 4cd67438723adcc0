"""Module utilities: modes, the head and its input, noise in weights, BatchNorm statistics, several processes."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import timedelta
from typing import Any, cast

import torch
from torch import Tensor, distributed, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm

from sharpwave import moved
from sharpwave.errors import SharpwaveError

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
EMBEDDINGS: tuple[type[nn.Module], ...] = (nn.Embedding, nn.EmbeddingBag)


def list_state(model: nn.Module) -> dict[str, Tensor]:
    """What training may change, by name: parameters that ask for gradients, and all buffers; tied ones once."""
    reshard(model)
    trained = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    state = {**trained, **dict(model.named_buffers())}
    lazy = next((name for name, value in state.items() if nn.parameter.is_lazy(value)), "")
    if lazy:
        raise SharpwaveError("layers that know their shapes", got=f"{lazy} of a lazy one", fix="pass a batch first")
    return state


def reshard(model: nn.Module) -> None:
    """Let each process hold its own part alone: FSDP2 leaves parameters whole after a pass forward alone."""
    for module in model.modules():
        if hasattr(module, "reshard"):
            cast(Any, module).reshard()


def find_unfinite(model: nn.Module) -> str:
    """Name of a trained parameter, or a buffer, that holds NaN; or an infinite parameter. Empty if there is none."""
    for name, value in list_state(model).items():
        part = localise(value.detach())
        if not part.is_floating_point() and not part.is_complex():
            continue
        good = torch.isfinite(part) if isinstance(value, nn.Parameter) else ~torch.isnan(part)
        if not bool(good.all()):
            return name
    return ""


def check_parts(model: nn.Module, buffer: object) -> None:
    """Raise where a network cannot sleep.

    Args:
        model: Network.
        buffer: Replay buffer, or None.

    Raises:
        SharpwaveError: If the buffer is none, the network has no parameters, Fabric's mixed precision is around it, or
            a module defines `get_extra_state`: a state that is neither parameter nor buffer could not be put back.
    """
    if not isinstance(model, nn.Module) or (buffer is not None and not hasattr(buffer, "sample")):
        raise SharpwaveError(
            "Sleep(model, buffer, optimiser): a torch module, and a ReplayBuffer or None",
            got=f"{type(model).__name__} and {type(buffer).__name__}",
            fix="give a ReplayBuffer second and the optimiser third",
        )
    if next(model.parameters(), None) is None:
        raise SharpwaveError(
            "a network with parameters, which can learn",
            got=f"{type(model).__name__} with none",
            fix="keep weights as nn.Parameter, and modules in an nn.ModuleList: in a plain list they are not found",
        )
    precision = str(getattr(getattr(model.__dict__.get("_strategy"), "precision", None), "precision", ""))
    if precision.endswith("-mixed"):
        raise SharpwaveError(
            "the network itself, whose nights go backward without Fabric",
            got=f"one that Fabric wraps in {precision}",
            fix="use sharpwave.integrations.fabric.make_sleep(fabric, model, buffer, optimizer)",
        )
    for name, module in model.named_modules():
        if type(module).get_extra_state is not nn.Module.get_extra_state:
            raise SharpwaveError(
                "modules whose state is in parameters and buffers, which a night can put back",
                got=f"{name or 'the model'} ({type(module).__name__}) with a get_extra_state of its own",
                fix="keep that state in a buffer (register_buffer), or let the rest of the network sleep",
            )


def localise(tensor: Tensor) -> Tensor:
    """This process's part of a tensor that is sharded over several (FSDP2); any other as it is."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor


def is_sharded(tensor: Tensor) -> bool:
    """Whether processes hold a part of a tensor each."""
    return hasattr(tensor, "to_local")


def get_modes(model: nn.Module) -> dict[str, bool]:
    """Whether each module is in training mode, by name."""
    return {name: module.training for name, module in model.named_modules()}


def set_modes(model: nn.Module, modes: Mapping[str, bool]) -> None:
    """Put each module in the mode it was in."""
    for name, module in model.named_modules():
        module.training = modes.get(name, module.training)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and back."""
    modes = get_modes(model)
    model.eval()
    try:
        yield
    finally:
        set_modes(model, modes)


def freeze(model: nn.Module, weights: Mapping[str, Tensor]) -> nn.Module:
    """Something to call in place of a model, which then computes with given parameters and buffers.

    Args:
        model: Network; only calls of it are served, not its other methods.
        weights: Parameters and buffers by name.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        return functional_call(model, dict(weights), args, kwargs)

    return cast(nn.Module, call)


def uncompiled() -> AbstractContextManager:
    """Passes of the network as it is written: what torch.compile made may not see hooks that came later."""
    stance = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    return cast(AbstractContextManager, stance)


@torch.no_grad()
def find_called(model: nn.Module, run: Callable[[], object]) -> list[str]:
    """Names of the innermost modules with parameters, in the order in which a pass first calls them.

    Args:
        model: Network; its buffers are left as they are if it is in evaluation mode.
        run: Function that makes one pass.
    """
    called: list[str] = []
    leaves = [(n, m) for n, m in model.named_modules() if any(True for _ in m.parameters(recurse=False))]
    handles = [m.register_forward_pre_hook(lambda *_, name=n: called.append(name)) for n, m in leaves]
    try:
        with uncompiled():
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
        value: Hidden state with its noise, shape (item, ...); None before the pass.
    """

    def __init__(self) -> None:
        self.value: Tensor | None = None


@contextmanager
def watch_hidden(
    model: nn.Module, head: str, *, noise: float = 0.0, generator: torch.Generator | None = None
) -> Iterator[HiddenState]:
    """Catch the hidden state before the head, and let Gaussian noise into it.

    Args:
        model: Network.
        head: Name of the module whose input is the hidden state.
        noise: Standard deviation of the noise, in standard deviations of the hidden state; default 0.
        generator: Random generator of the noise; torch's own where omitted.
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
        with uncompiled():
            yield hidden
    finally:
        handle.remove()


@contextmanager
def perturb_weights(
    weights: Mapping[str, nn.Parameter], scales: Mapping[str, float], *, generator: torch.Generator
) -> Iterator[None]:
    """Gaussian noise in some weights for the length of a pass; they are put back bit for bit.

    Args:
        weights: Weights by name.
        scales: Standard deviation of the noise by name, in standard deviations of the weight.
        generator: Random generator of the noise.
    """
    kept: dict[str, Tensor] = {}
    with torch.no_grad():
        for name, scale in scales.items():
            if scale and name in weights:
                weight = weights[name]
                kept[name] = weight.detach().clone()
                drawn = torch.randn(weight.shape, generator=generator).to(weight)
                weight.add_(drawn, alpha=scale * float(kept[name].std()))
    try:
        yield
    finally:
        with torch.no_grad():
            for name, value in kept.items():
                weights[name].copy_(value)


def find_batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """BatchNorm with running means and variances that a night trains: all if the network is in evaluation mode."""
    return [
        module
        for module in model.modules()
        if isinstance(module, _BatchNorm) and module.track_running_stats and (module.training or not model.training)
    ]


@torch.no_grad()
def update_batch_norm_statistics(
    model: nn.Module, run: Callable[[], object], *, n_batches: int = 8, norms: Iterable[_BatchNorm] | None = None
) -> None:
    """Take the running means and variances of BatchNorm anew, as plain averages over some passes.

    Args:
        model: Network in training mode; without BatchNorm nothing is done.
        run: Function that makes one pass over a batch.
        n_batches: Number of passes; default 8.
        norms: Those that are updated, and left in training mode; all that are in that mode where omitted.
    """
    norms = list(norms or (norm for norm in find_batch_norms(model) if norm.training))
    if not norms:
        return
    for norm in norms:
        norm.train()
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    try:
        for _ in range(n_batches):
            run()
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
    average_tensors(value for norm in norms for value in (norm.running_mean, norm.running_var) if value is not None)


def is_shared() -> bool:
    """Whether several processes train together."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


@contextmanager
def wait_at_most(seconds: float | None) -> Iterator[None]:
    """While this lasts a process that does not answer is an error after so many seconds, also to a wrapped model.

    Of gloo alone: NCCL ends the whole process when its own time is over.

    Args:
        seconds: Longest wait for the others in one exchange; None changes nothing.
    """
    known = {} if seconds is None or not is_shared() else distributed.distributed_c10d._world.pg_map
    gloo: Any = [group._get_backend(torch.device("cpu")) for group, (name, _) in known.items() if "gloo" in name]
    before = [backend.options._timeout for backend in gloo]  # torch has no public way
    for backend, longest in zip(gloo, before, strict=True):
        backend._set_default_timeout(min(longest, timedelta(seconds=seconds or 0)))
    try:
        yield
    finally:
        for backend, longest in zip(gloo, before, strict=True):
            backend._set_default_timeout(longest)


def average(values: Iterable[float], device: torch.device) -> list[float]:
    """Mean over processes of each value."""
    values = list(values)
    if not is_shared():
        return values
    tensor = torch.tensor(values, dtype=torch.float32, device=device)
    distributed.all_reduce(tensor)
    return (tensor / distributed.get_world_size()).tolist()


def agree_any(flag: bool, device: torch.device) -> bool:
    """Whether it is so in any process."""
    return average([float(flag)], device)[0] > 0


def agree_first(value: int, device: torch.device) -> int:
    """The value of the first process."""
    if not is_shared():
        return value
    tensor = torch.tensor(value, dtype=torch.int64, device=device)
    distributed.broadcast(tensor, 0)
    return int(tensor)


def count_idle(model: nn.Module, n_passes: int, device: torch.device) -> int:
    """Passes that this process has to make beside its own, where each holds a part of the weights: others have more."""
    if not is_shared() or not any(is_sharded(parameter) for parameter in model.parameters()):
        return 0
    most = torch.tensor(n_passes, dtype=torch.int64, device=device)
    distributed.all_reduce(most, distributed.ReduceOp.MAX)
    return int(most) - n_passes


@torch.no_grad()
def average_tensors(tensors: Iterable[Tensor]) -> None:
    """Give every process the mean of each tensor, in place; of a sharded one every process has its own part already."""
    if is_shared():
        for tensor in tensors:
            if is_sharded(tensor):
                continue
            distributed.all_reduce(tensor)
            tensor /= distributed.get_world_size()


@torch.no_grad()
def share_weights(model: nn.Module) -> None:
    """Give every process the first one's parameters and buffers."""
    if is_shared():
        for tensor in (*model.parameters(), *model.buffers()):
            if not is_sharded(tensor):
                distributed.broadcast(tensor, 0)


def unwrap(model: nn.Module) -> nn.Module:
    """The user's module within DistributedDataParallel or DataParallel."""
    inner = model.module if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel) else model
    return cast(nn.Module, inner)


__getattr__ = moved.rename(
    __name__,
    {
        "compute_brittleness": "consolidation.significance:compute_brittleness",
        "rebalance_batch_norms": "update_batch_norm_statistics",
    },
)


def takes_statistics(model: nn.Module) -> bool:
    """Whether BatchNorm takes its statistics from what passes, so that new and replayed items may not mix."""
    return any(isinstance(module, _BatchNorm) and module.training for module in model.modules())
