"""Which devices train, and how they share the work: one, DDP (a copy each), or FSDP (a shard each).

`Execution` says how a pass is computed, which changes neither losses nor gradients beyond rounding: a run may go on
with another one. Tensors that are sharded are made whole to be written, and taken apart again; others pass unchanged.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from sharpwave.brainmu.attention import Block
from sharpwave.brainmu.learning_pass import ATTENTIONS
from sharpwave.brainmu.model import BrainMu
from sharpwave.errors import MissingExtraError, SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


STRATEGIES = ("auto", "ddp", "fsdp")


@dataclass(frozen=True)
class Execution:
    """How a pass is computed while a model learns.

    Attributes:
        attention: "dense" for fused attention with a mask of token by token; "flex" for `flex_attention`, which on a
            graphics card is compiled, keeps no such mask and leaves out blocks of tokens in which nothing is seen.
        recompute: Activation checkpointing: what lies inside a block of attention is computed again for the gradient,
            so that memory holds one block's activations; about a third more computing.
        compiled: Whether blocks are compiled by `torch.compile`; the first updates take minutes.

    Example:
        >>> Execution(recompute=True)
        Execution(attention='dense', recompute=True, compiled=False)
    """

    attention: str = "dense"
    recompute: bool = False
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.attention not in ATTENTIONS:
            raise SharpwaveError(
                f"attention among {', '.join(ATTENTIONS)}", got=repr(self.attention), fix="choose one of these"
            )

    @contextlib.contextmanager
    def applied(self, model: BrainMu, *, backend: str = "inductor") -> Iterator[None]:
        """Within the block the model learns like this; afterwards it is as before.

        Args:
            model: The model.
            backend: Backend of `torch.compile`.
        """
        blocks = [block for block in model.blocks if isinstance(block, Block)]
        model.attention_kernel = self.attention
        for block in blocks:
            block.recompute = self.recompute
            if self.compiled:
                block.__dict__["learn"] = torch.compile(block.learn, backend=backend)
        try:
            yield
        finally:
            del model.attention_kernel
            for block in blocks:
                del block.recompute
                block.__dict__.pop("learn", None)


def make_fabric(
    *,
    devices: int | str = "auto",
    strategy: str = "auto",
    precision: str = "32-true",
    nodes: int = 1,
    accelerator: str = "auto",
) -> Fabric:
    """Lightning Fabric, launched.

    Args:
        devices: Number per node; "auto" for all graphics cards, or one processor.
        strategy: "ddp" copies the model to each device; "fsdp" shards weights, gradients and moments over all.
        precision: "32-true" or "bf16-mixed".
        nodes: Machines.
        accelerator: "cpu", "cuda", or "auto".

    Raises:
        SharpwaveError: If there is no such strategy.
        MissingExtraError: If lightning-fabric is not installed.
    """
    if strategy not in STRATEGIES:
        raise SharpwaveError(f"a strategy among {', '.join(STRATEGIES)}", got=repr(strategy), fix="choose one of these")
    try:
        from lightning_fabric import Fabric
        from lightning_fabric.strategies import ModelParallelStrategy
    except ImportError as error:
        raise MissingExtraError("lightning-fabric", extra="brain") from error
    chosen: Any = strategy
    if strategy == "fsdp":
        chosen = ModelParallelStrategy(
            partial(shard, half=precision == "bf16-mixed"),
            data_parallel_size=_count(devices) * nodes,
            tensor_parallel_size=1,
        )
    fabric = Fabric(accelerator=accelerator, devices=devices, strategy=chosen, precision=precision, num_nodes=nodes)  # type: ignore[arg-type]
    fabric.launch()
    return fabric


def shard(module: nn.Module, mesh: Any, *, half: bool = False) -> nn.Module:
    """Shard each block of attention, then the rest (FSDP2, Zhao et al. 2023): a block is whole only while it works.

    Args:
        module: Module to shard in place.
        mesh: Devices.
        half: Whether blocks travel in 16 bits, in which they are multiplied anyway; gradients are summed in 32.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    mesh = mesh["data_parallel"]
    kind = torch.bfloat16 if half else None
    policy = MixedPrecisionPolicy(param_dtype=kind, reduce_dtype=torch.float32, cast_forward_inputs=False)
    for part in module.modules():
        if isinstance(part, Block):
            fully_shard(part, mesh=mesh, mp_policy=policy)
    fully_shard(module, mesh=mesh)
    return module


def _count(devices: int | str) -> int:
    return devices if isinstance(devices, int) else max(1, torch.cuda.device_count())


T = TypeVar("T")
R = TypeVar("R")


def share_work(
    items: Sequence[T], make: Callable[[T], R], *, rank: int = 0, world: int = 1, name: str = "Epochs"
) -> list[R]:
    """What several processes need, each piece made by whoever comes first, so that nobody waits for anybody.

    A process makes its own share, then what is still missing of the others', from the end, where their owners are not
    yet. Two that meet at one piece make the same, and either is kept.

    Args:
        items: What pieces are made of, in the same order in every process.
        make: Gives the piece of an item, and makes it only if it is not there.
        rank: Number of this process, from 0.
        world: Number of processes.
        name: Name of the bar that shows how far it is.

    Example:
        >>> order = []
        >>> _ = share_work("abcdef", lambda item: order.append(item), rank=1, world=3)
        >>> "".join(order)
        'befdca'
    """
    from rich.console import Console
    from rich.progress import track

    own = list(range(rank, len(items), world))
    rest = [index for index in reversed(range(len(items))) if index % world != rank]
    bar = track([*own, *rest], name, console=Console(stderr=True), transient=True, disable=rank > 0)
    made = {index: make(items[index]) for index in bar}
    return [made[index] for index in range(len(items))]


def is_sharded(module: nn.Module) -> bool:
    """Whether a module's parameters lie in shards on several devices."""
    if not torch.distributed.is_initialized():
        return False
    from torch.distributed.tensor import DTensor

    return any(isinstance(parameter, DTensor) for parameter in module.parameters())


@torch.no_grad()
def gather_tensor(value: Tensor) -> Tensor:
    """The whole of a tensor, on the CPU and of its own; every process must call this."""
    if torch.distributed.is_initialized():
        from torch.distributed.tensor import DTensor

        value = value.full_tensor() if isinstance(value, DTensor) else value
    return value.detach().cpu().clone().contiguous()


@torch.no_grad()
def scatter_tensor(whole: Tensor, target: Tensor) -> None:
    """Write a whole tensor into one that may be sharded; every process must call this, with the same tensor.

    Raises:
        RuntimeError: If the shapes differ.
    """
    if whole.shape != target.shape:
        raise RuntimeError(f"shape {tuple(whole.shape)} where the model has {tuple(target.shape)}")
    whole = whole.to(target.device)
    if torch.distributed.is_initialized():
        from torch.distributed.tensor import DTensor, distribute_tensor

        if isinstance(target, DTensor):
            whole = distribute_tensor(whole, target.device_mesh, target.placements)
    target.copy_(whole)
