"""The last blocks of a network of blocks, and what comes after them, as what a shallow night trains.

The lower blocks see the memories once. The network then runs as it is written, but for its lower blocks, in place of
which stands what they gave: so masks, positions and heads are those of the network itself, whatever they look like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.modules import evaluating, is_shared, uncompiled
from sharpwave.consolidation.texts import TOKENS, find_lengths, take_items

if TYPE_CHECKING:
    from sharpwave.consolidation.budget import Top
    from sharpwave.consolidation.learner import Learner

LARGE = 256
"""Values of an entry of one item from which on it is copied only if it is asked for."""

FEWEST_TOGETHER, PARTS = 8, 8
"""Texts of like length that the lower part sees together, at least, and parts that many texts are cut into."""

TOLERANCE = 0.05
"""Largest difference, in standard deviations of the outputs, of outputs that are taken for the same: states are kept in
bfloat16."""


@dataclass(frozen=True, eq=False)
class BlockTop:
    """The blocks of a network from one on, and all that its passes call after them.

    Attributes:
        name: Name of the first of them.
        module: That block.
        below: What comes before it, in whose place the states stand: the blocks below it, and what gives the first
            block its input.
        packs: Whether blocks give a tuple.
        trained: Parameters that a shallow night trains: of these blocks and what follows, but for those that the lower
            part shares, such as an embedding that is also the head.
        fixed: All others that ask for gradients.
        share: Share of the operations of a pass, forward and backward, that is its own.
        forward: Share of the operations of a pass that is the way forward.
    """

    name: str
    module: nn.Module
    below: list[nn.Module]
    packs: bool
    trained: list[nn.Parameter]
    fixed: list[nn.Parameter]
    share: float = 1.0
    forward: float = 1 / 3

    def parameters(self) -> list[nn.Parameter]:
        """What it trains."""
        return self.trained

    @torch.no_grad()
    def catch(self, learner: Learner, batch: Batch) -> Tensor:
        """What the lower part makes of a batch, shape (item, token, width), in bfloat16 where it is floating."""
        caught: list[Tensor] = []

        def stop(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
            caught.append(_find_states(inputs, named))
            raise _Caught

        handle = self.module.register_forward_pre_hook(stop, with_kwargs=True)
        try:
            with uncompiled(), evaluating(learner.model), learner.precision():
                learner.objective.run(learner.model, batch)
        except _Caught:
            pass
        finally:
            handle.remove()
        learner.charge(batch, len(caught[0]), self.forward)
        return caught[0].to(torch.bfloat16)

    def run(self, learner: Learner, states: Tensor, batch: Batch) -> Tensor:
        """What the network gives for a batch, from what the lower part made of it.

        Args:
            learner: Network.
            states: From `catch`.
            batch: The batch.
        """
        with self._standing_in(states), uncompiled():
            return learner.objective.run(learner.model, batch)

    @contextmanager
    def _standing_in(self, states: Tensor) -> Iterator[None]:
        """Lower blocks that pass on what they are given, a top that is given the states, and nothing else trained."""
        own = next((p.dtype for p in self.module.parameters() if p.is_floating_point()), torch.float32)
        value = states.to(own)

        def give(_: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, Any]:
            return ((value, *inputs[1:]), named) if inputs else (inputs, {**named, _find_name(named): value})

        with ExitStack() as stack:
            for module in self.below:
                packed = (value,) if self.packs and isinstance(module, type(self.module)) else value
                stack.enter_context(_replacing_forward(module, packed))
            stack.callback(self.module.register_forward_pre_hook(give, with_kwargs=True).remove)
            for parameter in self.fixed:
                parameter.requires_grad_(False)
                stack.callback(parameter.requires_grad_, True)
            yield


class _Caught(Exception):
    """The states are known, and the rest of the pass is not needed."""


@contextmanager
def _replacing_forward(module: nn.Module, value: Any) -> Iterator[None]:
    """A module that gives one value, whatever it gets."""
    own = module.__dict__.get("forward")  # that of libraries which move inputs between devices
    module.forward = lambda *_, **__: value  # type: ignore[method-assign]
    try:
        yield
    finally:
        del module.forward
        if own is not None:
            module.forward = own  # type: ignore[method-assign]


def _find_name(named: dict[str, Any]) -> str:
    floating = [name for name, value in named.items() if isinstance(value, Tensor) and value.is_floating_point()]
    return "hidden_states" if "hidden_states" in named else floating[0]


def _find_states(inputs: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    return inputs[0] if inputs else named[_find_name(named)]


def find_blocks(model: nn.Module, name: str | None = None) -> tuple[str, nn.ModuleList] | None:
    """Name and blocks of the longest list of blocks of one class in which something is trained; None without one.

    Args:
        model: Network.
        name: Name of one of the blocks that are looked for; any where omitted.
    """
    lists = [
        (path, module)
        for path, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len({type(each) for each in module}) == 1
    ]
    lists = [pair for pair in lists if any(p.requires_grad for p in pair[1].parameters())] or lists
    named = [pair for pair in lists if name is not None and name.rpartition(".")[0] == pair[0]]
    return max(named or lists, key=lambda pair: len(pair[1]), default=None)


def find_block_top(learner: Learner, batch: Batch, *, name: str | None = None, n_blocks: int = 1) -> BlockTop | str:
    """The last blocks of a network, or why a shallow night cannot train them.

    Args:
        learner: Network.
        batch: A few items, on its device.
        name: Name of the first block that is trained; the last but `n_blocks` - 1 where omitted.
        n_blocks: Number of blocks; default 1.
    """
    if is_shared():
        return "several processes train together"
    found = find_blocks(learner.module, name)
    if found is None or len(found[1]) < 2:
        return "the network is no list of blocks"
    path, blocks = found
    names = [f"{path}.{number}" for number in range(len(blocks))]
    first = names.index(name) if name in names else max(len(blocks) - n_blocks, 1)
    trace = _Trace(learner, batch, blocks[0])
    called = [trace.order.get(id(block), []) for block in blocks]
    if any(len(times) != 1 for times in called) or [t[0] for t in called] != sorted(t[0] for t in called):
        return f"a pass does not call the blocks of {path!r} one after another"
    source = trace.find_source()
    if first == 0 and source is None:
        return f"nothing below {names[0]!r} gives it its input"
    start = called[first][0]
    above = {id(module) for module in learner.module.modules() if min(trace.order.get(id(module), [-1])) >= start}
    mine = {id(p): p for module in learner.module.modules() if id(module) in above for p in module.parameters()}
    others = {
        id(p)
        for module in learner.module.modules()
        if id(module) not in above
        for p in module.parameters(recurse=False)
    }
    trained = [p for key, p in mine.items() if p.requires_grad and key not in others]
    known = set(map(id, trained))
    fixed = [p for p in learner.module.parameters() if p.requires_grad and id(p) not in known]
    if not trained:
        return f"nothing from {names[first]!r} on is trained"
    below = [*blocks[:first], *([] if source is None else [source])]
    top = BlockTop(names[first], blocks[first], below, trace.packs, trained, fixed)
    with torch.no_grad(), evaluating(learner.model), learner.precision():
        again = top.run(learner, top.catch(learner, batch), batch)
    if again.shape != trace.output.shape or not _is_close(again.float(), trace.output.float()):
        return f"the network gives something else when it is run from {names[first]!r} on"
    return _measure_share(learner, batch, top)


class _Trace:
    """A pass in evaluation mode: when it calls each module, and which modules give the first block its input.

    Args:
        learner: Network.
        batch: A few items.
        block: Its first block.
    """

    def __init__(self, learner: Learner, batch: Batch, block: nn.Module) -> None:
        self.order: dict[int, list[int]] = {}
        self.packs = False
        self._block, self._states, self._count = block, list[Tensor](), 0
        self._given: list[tuple[nn.Module, Tensor]] = []
        with ExitStack() as stack:
            for context in (torch.no_grad(), uncompiled(), evaluating(learner.model), learner.precision()):
                stack.enter_context(context)
            for module in learner.module.modules():
                stack.callback(module.register_forward_pre_hook(self._enter, with_kwargs=True).remove)
                stack.callback(module.register_forward_hook(self._leave).remove)
            self.output = learner.objective.run(learner.model, batch)

    def _enter(self, module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any]) -> None:
        self.order.setdefault(id(module), []).append(self._count)
        self._count += 1
        if module is self._block:
            self._states.append(_find_states(inputs, named))

    def _leave(self, module: nn.Module, _: Any, output: Any) -> None:
        if module is self._block:
            self.packs = isinstance(output, tuple)
        elif isinstance(output, Tensor) and not self._states:
            self._given.append((module, output))

    def find_source(self) -> nn.Module | None:
        """The outermost module that gives the first block its input."""
        fits = [module for module, output in self._given if output is self._states[0]]
        return min(fits, key=lambda module: self.order[id(module)][0], default=None)


def _is_close(one: Tensor, other: Tensor) -> bool:
    finite = torch.isfinite(one) & torch.isfinite(other)
    if not bool(finite.any()):
        return False
    scale = float(other[finite].std()) if int(finite.sum()) > 1 else 1.0
    return float((one - other)[finite].abs().max()) <= TOLERANCE * max(scale, 1e-6)


def _measure_share(learner: Learner, batch: Batch, top: BlockTop) -> BlockTop:
    """The same with what it takes, forward and backward, beside a pass of the whole network."""
    states = top.catch(learner, batch)
    trained = [p for p in learner.module.parameters() if p.requires_grad]
    with evaluating(learner.model), learner.precision(), torch.enable_grad():
        whole = count_operations(lambda: _run(learner, batch), trained)
        own = count_operations(lambda: top.run(learner, states, batch), top.trained)
    share = min(1.0, own / whole) if whole and own else 1.0
    return replace(top, share=share, forward=measure_forward_share(learner, batch))


def measure_forward_share(learner: Learner, batch: Batch) -> float:
    """Share of a pass forward and backward that is the way forward: a third, but more where not all is trained.

    The larger of what operations and weights say: layers that remember what they made of an item hide their operations.
    """
    trained = [p for p in learner.module.parameters() if p.requires_grad]
    if len(trained) == len(list(learner.module.parameters())):
        return 1 / 3
    with evaluating(learner.model), learner.precision(), torch.enable_grad():
        forward, whole = (count_operations(lambda: _run(learner, batch), weights) for weights in ([], trained))
    measured = forward / whole if forward and whole else 1 / 3
    return min(1.0, max(measured, _weigh_forward(learner.module)))


def _weigh_forward(module: nn.Module) -> float:
    """The same by the weights of linear layers, in the order in which they are written."""
    forward = backward = 0
    for each in module.modules():
        weight = each._parameters.get("weight")
        if weight is None or weight.ndim != 2 or isinstance(each, nn.Embedding):
            continue
        forward += weight.numel()
        backward += weight.numel() * (weight.requires_grad + (backward > 0))
    return forward / (forward + backward) if backward else 1 / 3


def _run(learner: Learner, batch: Batch) -> Tensor:
    return learner.objective.run(learner.model, batch)


def count_operations(run: Callable[[], Tensor], weights: Sequence[Tensor] = ()) -> int:
    """Operations of a pass; of the way back to some weights too, where they are named."""
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        output = run()
        if weights:
            torch.autograd.grad(output.float().sum(), list(weights), allow_unused=True)
    return counter.get_total_flops()


class Recalled(dict[str, Any]):
    """Entries of some memories; large ones are copied when they are asked for.

    Args:
        items: Entries of all memories.
        rows: Rows of those wanted.
        n_tokens: Tokens of the longest of these; None, the default, where items are no texts.
    """

    def __init__(self, items: Batch, rows: Tensor, n_tokens: int | None = None) -> None:
        small = {name: value for name, value in items.items() if isinstance(value, Tensor) and _is_small(value)}
        nested = {name: Recalled(value, rows) for name, value in items.items() if isinstance(value, dict)}
        super().__init__(take_items(small, rows, n_tokens) | nested)
        self.source, self.rows, self.n_tokens = items, rows, n_tokens

    def __missing__(self, name: str) -> Any:
        return take_items({name: self.source[name]}, self.rows, self.n_tokens)[name]


def _is_small(value: Tensor) -> bool:
    return value[:1].numel() <= LARGE


class Memories:
    """What the lower part of the network makes of some stored items, for as long as it is not changed.

    Texts are padded to the longest of those that go through the network together, not to the longest of all.

    Args:
        learner: Network with a buffer.
        top: Its top.
        slots: Slots of the buffer.
        size: Largest number of items that the lower part sees together; default 256.
    """

    def __init__(self, learner: Learner, top: Top | BlockTop, slots: Tensor, *, size: int = 256) -> None:
        self.top, self.slots, self.learner = top, slots, learner
        buffer = learner.get_buffer()
        self.items = move(buffer.read(slots), learner.device)
        self._rows = {slot: row for row, slot in enumerate(slots.tolist())}
        self._draw = buffer.index_rows(slots)
        self._lengths = find_lengths(self.items)
        self.features = self._catch(size)

    def _catch(self, size: int) -> Tensor:
        """What the lower part makes of all of them: of texts of like length together."""
        if self._lengths is None:
            rows = torch.arange(len(self.slots), device=self.learner.device)
            return torch.cat([self.top.catch(self.learner, take_items(self.items, part)) for part in rows.split(size)])
        order, parts = self._lengths.argsort(stable=True), []
        for rows in order.split(min(size, max(FEWEST_TOGETHER, len(order) // PARTS))):
            n_tokens = int(self._lengths[rows].max())
            states = self.top.catch(self.learner, take_items(self.items, rows, n_tokens))
            missing = int(self._lengths.max()) - n_tokens
            parts.append(nn.functional.pad(states, (0, 0, 0, missing)) if states.ndim == 3 else states)
        return torch.cat(parts)[order.argsort()]

    def draw(self, n_items: int, *, generator: torch.Generator, balanced: bool) -> Batch:
        """Memories drawn at random, as `ReplayBuffer.sample` draws items."""
        if balanced:
            rows = torch.tensor(self._draw(n_items, generator))
        else:
            rows = torch.randint(len(self.slots), (n_items,), generator=generator)
        rows = rows.to(self.features.device)
        return Recalled(self.items, rows, None if self._lengths is None else int(self._lengths[rows].max()))

    def find(self, batch: Batch) -> Tensor | None:
        """Rows of the items of a batch; None where one of them is not among the memories."""
        if isinstance(batch, Recalled) and batch.source is self.items:
            return batch.rows
        slots = batch.get("index")
        rows = [-1] if slots is None else [self._rows.get(slot, -1) for slot in slots.tolist()]
        return None if -1 in rows else torch.tensor(rows, device=self.features.device)

    def run(self, rows: Tensor, batch: Batch) -> Tensor:
        """What the network gives for some memories.

        Args:
            rows: Their rows, from `find`.
            batch: The batch that they are, which says to how many tokens they are padded.
        """
        n_tokens = None if self._lengths is None else batch[TOKENS].shape[1]
        states = self.features[rows]
        states = states[:, :n_tokens] if states.ndim == 3 else states
        return self.top.run(self.learner, states, take_items(self.items, rows, n_tokens))
