"""Items of named entries as records in an arena: what a memory of tokens holds, without a word on which it keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch

from sharpwave.consolidation.admission import Key
from sharpwave.consolidation.language.arena import BLOCK, Arena
from sharpwave.consolidation.language.records import MOST_TOKENS, Fields, decode, encode
from sharpwave.errors import SharpwaveError

TOKENS, OUTPUTS = "input_ids", "logits"
ITEM_BYTES = 32
"""Bytes of an item beside its blocks: its length, hash, task and class."""
PLACE_BYTES = 4
"""Bytes of the number of a block."""
DIGEST = 16


UNITS = {"": 1, "b": 1, "kb": 1e3, "mb": 1e6, "gb": 1e9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(slots=True)
class Stored:
    """Where an item is.

    Attributes:
        blocks: Its blocks in the arena.
        n_bytes: Bytes of its record.
        n_core: Those of them before the outputs.
        n_tokens: Number of its tokens.
        digest: Hash of all but the outputs.
    """

    blocks: list[int]
    n_bytes: int
    n_core: int
    n_tokens: int
    digest: bytes


@dataclass(slots=True)
class Draft:
    """An item that is about to be stored.

    Attributes:
        item: Its entries.
        core: Its bytes.
        digest: Their hash.
        key: Its stratum.
        chance: Its random number.
        held: Whether it is held out.
    """

    item: Fields
    core: bytes
    digest: bytes
    key: Key
    chance: float
    held: bool


class ItemStore:
    """Items by handle, within a number of bytes.

    Args:
        budget: Number of bytes.
        path: Folder of the file that they are in; None, the default, for memory.

    Attributes:
        names: Entries of the items; outputs are the first of them.
        items: Where each item is, by its handle.
        by_digest: Handle by hash.
        n_with_outputs: Number of items with outputs.
    """

    def __init__(self, budget: int, *, path: Path | None = None) -> None:
        self.budget = budget
        self._arena = Arena(max(budget // (BLOCK + PLACE_BYTES), 1), path=path)
        self.names: list[str] = [OUTPUTS]
        self.items: dict[int, Stored] = {}
        self.by_digest: dict[bytes, int] = {}
        self.n_with_outputs = 0
        self._kept: dict[int, bytes] | None = None

    @property
    def n_bytes(self) -> int:
        """Bytes that are stored."""
        return self._arena.n_used * (BLOCK + PLACE_BYTES) + len(self.items) * ITEM_BYTES

    def name(self, entries: Mapping[str, Any]) -> None:
        """Take the names of a first batch, and hold later ones against them.

        Raises:
            SharpwaveError: If a batch has others.
        """
        given = [path for path in entries if not (path.endswith("_length") and path[:-7] in entries)]
        if len(self.names) == 1:
            self.names += given
        if set(given) != set(self.names[1:]) or len(self.names) > 255:
            raise SharpwaveError(
                f"items with the entries {', '.join(self.names[1:])}",
                got=", ".join(given),
                fix="give the same entries (and a task) each time, or use another memory",
            )

    def encode(self, item: Mapping[str, Any]) -> bytes:
        """The bytes of an item without outputs.

        Raises:
            SharpwaveError: If it has too many tokens, or is larger than the budget.
        """
        n_tokens = count_tokens(item)
        core = encode(item, {name: number for number, name in enumerate(self.names)}, tokens=TOKENS)
        if n_tokens > MOST_TOKENS or measure_size(len(core)) > self.budget:
            raise SharpwaveError(
                f"items of at most {MOST_TOKENS:,} tokens, smaller than the memory's {self.budget:,} bytes",
                got=f"{n_tokens:,} tokens in {measure_size(len(core)):,} bytes",
                fix="cut texts to the model's context, or give the memory more bytes",
            )
        return core

    def has_room(self, n_bytes: int) -> bool:
        """Whether a record of so many bytes fits beside those that are stored."""
        n_blocks = Arena.count_blocks(n_bytes)
        fits = self._arena.n_used + n_blocks <= self._arena.n_blocks
        return fits and self.n_bytes + measure_size(n_bytes) <= self.budget

    def put(self, handle: int, core: bytes, outputs: bytes, *, n_tokens: int, digest: bytes) -> None:
        """Store an item."""
        record = core + outputs
        self.items[handle] = Stored(self._arena.write(record), len(record), len(core), n_tokens, digest)
        self.by_digest[digest] = handle
        self.n_with_outputs += bool(outputs)

    def remove(self, handle: int) -> None:
        """Give an item up."""
        stored = self.items.pop(handle)
        self._arena.free(stored.blocks)
        self.n_with_outputs -= stored.n_bytes > stored.n_core
        if self.by_digest.get(stored.digest) == handle:
            del self.by_digest[stored.digest]

    def wipe(self) -> None:
        """Write zeros over what was given up."""
        self._arena.wipe()

    def read(self, handle: int) -> Fields:
        """The entries of an item.

        Raises:
            SharpwaveError: If what is stored is no record.
        """
        stored = self.items[handle]
        item = decode(self._arena.read(stored.blocks, stored.n_bytes), self.names, tokens=TOKENS)
        if set(item) - {OUTPUTS} != set(self.names[1:]) or count_tokens(item) != stored.n_tokens:
            raise SharpwaveError(
                f"a record with the entries {', '.join(self.names[1:])}",
                got=f"{', '.join(item)} of {count_tokens(item)} tokens",
                fix="the state was changed or damaged: load another, or start a new memory",
            )
        return item

    def find_lost(self, salt: bytes) -> list[int]:
        """Handles of items whose bytes are no longer those that were stored.

        Args:
            salt: Key of the hashes.
        """
        lost = []
        for handle, stored in self.items.items():
            core = self._arena.read(stored.blocks, stored.n_bytes)[: stored.n_core]
            if hash_item(core, salt) != stored.digest:
                lost.append(handle)
        return lost

    def replace_outputs(self, handle: int, outputs: bytes) -> None:
        """Store other outputs of an item, where there is room for them."""
        stored = self.items[handle]
        record = self._arena.read(stored.blocks, stored.n_bytes)
        if self._kept is not None:
            self._kept.setdefault(handle, record)
        self._write_over(handle, record[: stored.n_core] + outputs)

    def _write_over(self, handle: int, record: bytes) -> None:
        stored = self.items[handle]
        n_blocks, had = Arena.count_blocks(len(record)), len(stored.blocks)
        more = (n_blocks - had) * (BLOCK + PLACE_BYTES)
        if more > 0 and (
            self.n_bytes + more > self.budget or self._arena.n_used + n_blocks - had > self._arena.n_blocks
        ):
            return
        if n_blocks == had:
            self._arena.overwrite(stored.blocks, record)
        else:
            self._arena.free(stored.blocks)
            stored.blocks = self._arena.write(record)
        self.n_with_outputs += (len(record) > stored.n_core) - (stored.n_bytes > stored.n_core)
        stored.n_bytes = len(record)

    @contextmanager
    def undoable(self) -> Iterator[None]:
        """While this lasts an exception puts back the outputs that were stored."""
        self._kept = {}
        try:
            yield
        except BaseException:
            kept, self._kept = self._kept or {}, None
            for handle, record in sorted(kept.items(), key=lambda pair: len(pair[1])):
                self._write_over(handle, record)
            raise
        finally:
            self._kept = None

    def state_dict(self, order: Sequence[int]) -> dict[str, Any]:
        """Everything; the arena is not copied.

        Args:
            order: The handles.
        """
        stored = [self.items[handle] for handle in order]
        return {
            "names": list(self.names),
            "blocks": torch.tensor([block for each in stored for block in each.blocks], dtype=torch.int32),
            "sizes": torch.tensor([[e.n_bytes, e.n_core, e.n_tokens] for e in stored], dtype=torch.int32).view(-1, 3),
            "digests": torch.tensor([list(each.digest) for each in stored], dtype=torch.uint8).view(-1, DIGEST),
            "arena": self._arena.get_values(),
        }

    def load_state_dict(self, state: Mapping[str, Any], order: Sequence[int]) -> None:
        """Take up what `state_dict` gave.

        Raises:
            ValueError: If its parts do not belong together.
            SharpwaveError: If its blocks are none of an arena of this size.
        """
        names, sizes, blocks = list(state["names"]), state["sizes"].tolist(), state["blocks"].tolist()
        counts = [Arena.count_blocks(size) for size, _, _ in sizes]
        if names[:1] != [OUTPUTS] or len(sizes) != len(order) or len(state["digests"]) != len(order):
            raise ValueError(f"{len(order)} items with {len(sizes)} sizes and {len(state['digests'])} hashes")
        if any(min(each) < 0 or each[1] > each[0] or each[2] > MOST_TOKENS for each in sizes):
            raise ValueError("items of sizes that there are not")
        if sum(counts) != len(blocks):
            raise ValueError(f"{len(blocks)} blocks for items of {sum(counts)}")
        values = state["arena"] if "arena" in state else self._arena.get_all()[: int(state["n_blocks"])]
        self._arena.load_values(values, blocks)
        self.names, self.items, self.by_digest, self.n_with_outputs, place = names, {}, {}, 0, 0
        for handle, size, n_blocks, digest in zip(order, sizes, counts, state["digests"].tolist(), strict=True):
            mine = blocks[place : place + n_blocks]
            place += n_blocks
            n_bytes, n_core, n_tokens = size
            self.items[handle] = Stored(mine, n_bytes, n_core, n_tokens, bytes(digest))
            self.by_digest[bytes(digest)] = handle
            self.n_with_outputs += size[0] > size[1]


def hash_item(core: bytes, salt: bytes) -> bytes:
    """Hash of an item's bytes."""
    return blake2b(core, digest_size=DIGEST, key=salt).digest()


def measure_size(n_bytes: int) -> int:
    """Bytes that a record of so many bytes takes in all."""
    return Arena.count_blocks(n_bytes) * (BLOCK + PLACE_BYTES) + ITEM_BYTES


def count_tokens(item: Mapping[str, Any]) -> int:
    """Tokens of an item; 0 where it has no entry of that name."""
    tokens = item.get(TOKENS)
    return 0 if tokens is None or tokens.ndim == 0 else len(tokens)


def parse_bytes(size: int | float | str) -> int:
    """Bytes of "64 MB", "2 GiB", or a number.

    Raises:
        SharpwaveError: If it is no size above 0.

    Example:
        >>> parse_bytes("64 MB"), parse_bytes("1.5 KiB")
        (64000000, 1536)
    """
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-zA-Z]*)\s*", str(size))
    unit = UNITS.get(match[2].lower()) if match else None
    try:
        n_bytes = int(float(match[1]) * unit) if match and unit else 0
    except ValueError:
        n_bytes = 0
    if n_bytes <= 0:
        raise SharpwaveError(
            "a size above 0, as a number of bytes or with a unit", got=repr(size), fix='write TokenMemory("64 MB")'
        )
    return n_bytes


@contextmanager
def explaining() -> Iterator[None]:
    """Say in words that what was stored does not fit together.

    Raises:
        SharpwaveError: Where something else is raised.
    """
    try:
        yield
    except SharpwaveError:
        raise
    except (AttributeError, IndexError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise SharpwaveError(
            "the state of a TokenMemory of this size", got=f"{error!r}", fix="load one that was not changed"
        ) from error
