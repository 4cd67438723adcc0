"""Texts in batches: their tokens, what pads entries to one length, and the most likely tokens of an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sharpwave.errors import SharpwaveError

TOKENS, MASK = "input_ids", "attention_mask"
TOKENWISE = (TOKENS, MASK, "token_type_ids", "position_ids", "labels")
"""Entries (item, token) that end where the longest of the items does."""
TINY = 1e-6

IGNORED = -100
"""Label that no loss counts, as in `torch.nn.functional.cross_entropy`."""

LABELS = ("y", "label", "labels", "target", "targets")
"""Usual names of the entry that holds what is to be learned."""
_PADDED = re.compile(
    r"(.*_)?(y|labels?|targets?|tags?|gt|(ground_?)?truths?|answers?|class(es)?|annotations?)\d*(_ids?|_tokens?)?", re.I
)
"""Names of entries that are learned, and so are padded with what no loss counts."""


def count_tokens(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch, without what pads them where there is a mask; 0 where it holds no texts.

    >>> count_tokens({"input_ids": torch.zeros(1, 3), "attention_mask": torch.tensor([[1, 1, 0]])})
    2
    """
    tokens, mask = batch.get(TOKENS), batch.get(MASK)
    if not isinstance(tokens, Tensor):
        return 0
    return int(mask.sum()) if isinstance(mask, Tensor) and mask.shape == tokens.shape else tokens.numel()


def count_places(batch: Mapping[str, Any]) -> int:
    """Tokens of a batch with what pads them, which passes cost as much as tokens; 0 where it holds no texts.

    >>> count_places({"input_ids": torch.zeros(2, 3)})
    6
    """
    tokens = batch.get(TOKENS)
    return tokens.numel() if isinstance(tokens, Tensor) else 0


def find_lengths(items: Mapping[str, Any]) -> Int[Tensor, " item"] | None:
    """Tokens of each item; None for what is no text, or is padded in front.

    >>> find_lengths({"input_ids": torch.zeros(2, 3), "attention_mask": torch.tensor([[1, 1, 0], [1, 1, 1]])}).tolist()
    [2, 3]
    """
    ids, mask = items.get(TOKENS), items.get(MASK)
    if not isinstance(ids, Tensor) or not isinstance(mask, Tensor) or mask.shape != ids.shape or ids.ndim != 2:
        return None
    lengths = mask.sum(dim=1)
    places = torch.arange(mask.shape[1], device=mask.device)
    return lengths if bool((mask == (places < lengths[:, None])).all()) and bool(lengths.any()) else None


def take_items(items: Mapping[str, Any], rows: Tensor, n_tokens: int | None = None) -> dict[str, Any]:
    """Entries of some items, nested ones too, and of those with a value for each token the first `n_tokens`.

    Args:
        items: Entries (item, ...).
        rows: Rows of those wanted.
        n_tokens: Tokens of the longest of these; None, the default, for all there are.
    """
    taken: dict[str, Any] = {}
    for name, value in items.items():
        if not isinstance(value, Tensor):
            taken[name] = take_items(value, rows)
        elif n_tokens is None or name not in TOKENWISE or value.ndim < 2:
            taken[name] = value[rows]
        else:
            taken[name] = value[rows, :n_tokens]
    return taken


@torch.no_grad()
def take_top_k(
    logits: Float[Tensor, "position vocabulary"], k: int
) -> tuple[Float[Tensor, "position k"], Int[Tensor, "position k"]]:
    """Logarithms of the probabilities of the `k` most likely tokens, and their numbers.

    Args:
        logits: Logits, of any floating type.
        k: Number of tokens.

    Example:
        >>> values, ids = take_top_k(torch.tensor([[0.0, 2.0, 1.0]]), 2)
        >>> ids.tolist(), bool(values.exp().sum() < 1)
        ([[1, 2]], True)
    """
    values, ids = logits.float().topk(min(k, logits.shape[-1]), dim=-1)
    return values - logits.float().logsumexp(dim=-1, keepdim=True), ids


def compute_top_k_divergence(
    logits: Float[Tensor, "item ..."], taught: Mapping[str, Tensor], *, temperature: float | None = None
) -> Float[Tensor, ""]:
    """Kullback–Leibler divergence of logits from a teacher's most likely tokens and, as one token more, all others.

    Args:
        logits: Logits of the network, shape (item, token, vocabulary), or (item, class).
        taught: `values` (item, position, k), the logarithms of the teacher's probabilities; `ids` (item, position, k),
            whose they are; `positions` (item, position), the token whose logits they are, and -1 where there is none.
        temperature: Temperature that softens both; 1 where omitted. The sum is multiplied by its square.

    Returns:
        The mean over positions.

    Example:
        >>> logits = torch.randn(2, 3, 50)
        >>> values, ids = take_top_k(logits[:, 1], 8)
        >>> taught = {"values": values[:, None], "ids": ids[:, None], "positions": torch.ones(2, 1, dtype=torch.int64)}
        >>> round(float(compute_top_k_divergence(logits, taught)), 4)
        0.0
    """
    heat = temperature or 1.0
    positions, ids = taught["positions"].to(logits.device), taught["ids"].to(logits.device)
    if logits.ndim == 2:
        logits = logits[:, None]
    counted: Bool[Tensor, "item position"] = (positions >= 0) & (positions < logits.shape[1])
    if not bool(counted.any()):
        return logits.sum() * 0.0
    rows, places = torch.nonzero(counted, as_tuple=True)
    theirs = taught["values"].to(logits.device, torch.float32)[rows, places]
    picked = logits[rows, positions[rows, places]].float()
    chosen = ids[rows, places].clamp(max=picked.shape[-1] - 1)
    missing = torch.isinf(theirs)  # of teachers that named fewer tokens than others
    ours = (picked.gather(1, chosen) - picked.logsumexp(dim=1, keepdim=True)).masked_fill(missing, -torch.inf)
    theirs, ours = (torch.log_softmax(_add_rest(part) / heat, dim=1) for part in (theirs, ours))
    each = torch.where(torch.isinf(theirs), 0.0, theirs.exp() * (theirs - ours.masked_fill(torch.isinf(theirs), 0.0)))
    return each.sum(dim=1).mean() * heat**2


def _add_rest(values: Float[Tensor, "position k"]) -> Float[Tensor, "position k+1"]:
    """The same and the logarithm of what the probabilities leave to all other tokens."""
    rest = (1 - values.exp().sum(dim=1, keepdim=True)).clamp(min=TINY)
    return torch.cat([values, rest.log()], dim=1)


def find_padding(path: str, dtype: torch.dtype, padding: Mapping[str, float] | None = None) -> float:
    """What an entry is padded with: what was asked for, else -100 for labels that can hold it, and 0 for the rest.

    Args:
        path: Path of the entry.
        dtype: Its type.
        padding: Value by path, where the user gave one.

    Raises:
        SharpwaveError: If labels cannot hold -100 and no other value is given.
    """
    if padding and path in padding:
        return padding[path]
    if dtype.is_floating_point or not _PADDED.fullmatch(path.rpartition("/")[2]):
        return 0
    if not dtype.is_signed:
        raise SharpwaveError(
            f"labels in {path!r} of a signed type, since they differ in length and are padded with {IGNORED}",
            got=str(dtype),
            fix=f"give {path!r} as int64, or say what pads it: ReplayBuffer(padding={{{path!r}: 0}})",
        )
    return IGNORED
