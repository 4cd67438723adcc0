"""What a language model makes of a batch, what it is trained to, and how well it does each item.

Read from the model itself, by its class, its configuration and what its `forward` asks for: nothing of Transformers is
imported. Losses are those of the model's own heads, so that a night goes on with what the day began.
"""

from __future__ import annotations

import inspect
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sharpwave.consolidation.batches import Batch, Objective
from sharpwave.consolidation.texts import IGNORED, LABELS
from sharpwave.errors import SharpwaveError

KINDS = {
    "causal": ("ForCausalLM", "LMHeadModel"),
    "masked": ("ForMaskedLM",),
    "sequence": ("ForSequenceClassification", "ForImageClassification", "ForAudioClassification"),
    "tokens": ("ForTokenClassification",),
    "answers": ("ForQuestionAnswering",),
}
"""Kinds of model, and how the names of their classes end: causal and masked language models, classification of
sequences and of tokens, and question answering with a head for the start and one for the end."""
AVERAGES = ("token", "item")
SCORES = ("accuracy", "exact match", "f1", "loss")

Score = Callable[[Tensor, Batch], Tensor]


def unwrap_fully(model: nn.Module) -> nn.Module:
    """The model within DistributedDataParallel, torch.compile and PEFT, whose class says what it is."""
    while True:
        if isinstance(model, nn.parallel.DistributedDataParallel | nn.DataParallel):
            model = cast(nn.Module, model.module)
        elif "_orig_mod" in model._modules:
            model = cast(nn.Module, model._modules["_orig_mod"])
        elif hasattr(model, "get_base_model"):
            model = cast(Any, model).get_base_model()
        else:
            return model


def is_language_model(model: nn.Module) -> bool:
    """Whether a model has the configuration of a model of the Transformers library."""
    return isinstance(getattr(getattr(unwrap_fully(model), "config", None), "model_type", None), str)


def find_kind(model: nn.Module) -> str:
    """The kind of a model, a key of `KINDS`.

    Raises:
        SharpwaveError: If it is an encoder with a decoder, or no kind that is known.
    """
    inner = unwrap_fully(model)
    config = getattr(inner, "config", None)
    fix = "give objective=Objective(forward=..., loss=...), which says what goes in and what each item loses"
    if getattr(config, "is_encoder_decoder", False):
        raise SharpwaveError(
            "a model that is an encoder or a decoder", got=f"{type(inner).__name__}, an encoder with a decoder", fix=fix
        )
    names = [type(inner).__name__, *(getattr(config, "architectures", None) or ())]
    for name in names:
        for kind, endings in KINDS.items():
            if name.endswith(endings):
                return kind
    raise SharpwaveError(
        f"a model whose class ends in one of {', '.join(end for ends in KINDS.values() for end in ends)}",
        got=f"{type(inner).__name__}, whose head says nothing of what it learns",
        fix=fix,
    )


def make_objective(
    model: nn.Module,
    *,
    average: str = "token",
    score: str | Score | None = None,
    words: Sequence[int] | None = None,
) -> Objective:
    """The objective of a language model, with the loss of its own head.

    Args:
        model: A causal or masked language model, or one that classifies sequences or tokens or answers questions;
            DistributedDataParallel, torch.compile or PEFT around it or not.
        average: What a batch's loss is the mean over: "token", the default, all counted tokens alike, as in the model's
            own loss; "item", each item alike, so that long ones weigh no more than short ones.
        score: How well an item is done, higher for better: "accuracy" (its class; with `words` the best of these at its
            first counted token), "exact match" (every counted token, or both ends of the answer), "f1" (overlap of the
            answer with the right one), "loss" (minus its mean loss), or a function of outputs and batch. Where omitted:
            accuracy for a class or with `words`, f1 for questions, else loss.
        words: Tokens of the label words, for a causal or masked model that classifies by the word it says.

    Raises:
        SharpwaveError: If the model is of no known kind, or the score does not fit it.

    Example:
        >>> from transformers import LlamaConfig, LlamaForCausalLM
        >>> sizes = {"vocab_size": 16, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
        >>> model = LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=1, num_key_value_heads=1))
        >>> objective, batch = make_objective(model), {"input_ids": torch.tensor([[1, 2, 3]])}
        >>> batch["labels"] = torch.tensor([[-100, 2, 3]])
        >>> torch.equal(objective.compute_losses(objective.run(model, batch), batch)[0], model(**batch).loss)
        True
    """
    kind, inner = find_kind(model), unwrap_fully(model)
    if average not in AVERAGES:
        raise SharpwaveError(f"an average over one of {', '.join(AVERAGES)}", got=repr(average), fix="choose one")
    config = cast(Any, inner).config
    head = Head(kind, config, names=tuple(inspect.signature(type(inner).forward).parameters), average=average)
    scoring = score if callable(score) else make_score(head, score, None if words is None else tuple(words))
    label = "start_positions" if kind == "answers" else "labels"
    has_classes = None if kind == "sequence" else False
    return Objective(head.run, head.compute_losses, label, has_classes, scoring)


class Head:
    """What goes into a model of one kind, and the loss of what comes out.

    Args:
        kind: A key of `KINDS`.
        config: The model's configuration.
        names: Names that its `forward` takes.
        average: One of `AVERAGES`.
    """

    def __init__(self, kind: str, config: Any, *, names: Sequence[str], average: str) -> None:
        self.kind, self.config, self.names, self.average = kind, config, names, average
        self._has_told = False

    def run(self, model: nn.Module, batch: Batch) -> Tensor:
        """Logits of a batch: (item, token, word), (item, class), or (item, token, 2) for starts and ends of answers."""
        hidden = (*LABELS, "start_positions", "end_positions")
        taken = {name: batch[name] for name in self.names if name in batch and name not in hidden}
        if not taken:
            raise SharpwaveError(
                f"a batch with entries among {', '.join(self.names)}",
                got=", ".join(map(str, batch)),
                fix="name them as the model does: input_ids, attention_mask, labels",
            )
        if "use_cache" in self.names:
            taken["use_cache"] = False
        output = model(**taken)
        if self.kind == "answers":
            return torch.stack([output.start_logits, output.end_logits], dim=-1)
        return output.logits

    def compute_losses(self, output: Tensor, batch: Batch) -> Float[Tensor, " item"]:
        """The loss of each item, whose mean is that of the batch."""
        each, counted = self.compute_each(output, batch)
        n_counted = counted.flatten(1).sum(dim=1)
        sums = (each * counted).flatten(1).sum(dim=1)
        if self.average == "item":
            return sums / n_counted.clamp(min=1)
        return sums * len(sums) / n_counted.sum().clamp(min=1)

    def compute_item_means(self, output: Tensor, batch: Batch) -> Float[Tensor, " item"]:
        """The mean loss of each item by itself."""
        each, counted = self.compute_each(output, batch)
        return (each * counted).flatten(1).sum(dim=1) / counted.flatten(1).sum(dim=1).clamp(min=1)

    def compute_each(self, output: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The loss of each number that is to be predicted, shape (item, ...), and whether it counts."""
        if self.kind == "answers":
            ends = self.find_ends(output, batch)
            each = nn.functional.cross_entropy(output, ends.clamp(max=output.shape[1] - 1), reduction="none")
            return each, ends < output.shape[1]
        labels = batch[next((name for name in LABELS[::-1] if name in batch), "labels")].to(output.device)
        if self.kind == "sequence":
            return self._compute_classes(output, labels)
        self._notice_padding(batch, labels)
        output, labels = self.align(output, labels)
        each = nn.functional.cross_entropy(output.flatten(0, -2).float(), labels.flatten().long(), reduction="none")
        return each.view(labels.shape), labels != IGNORED

    def align(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs beside the labels that they predict: in a causal model those of the next token."""
        return (output[:, :-1], labels[:, 1:]) if self.kind == "causal" else (output, labels)

    def pick(self, output: Tensor, batch: Batch) -> Float[Tensor, "row class"]:
        """Logits of all that counts, a row for each answer, token or end of an answer."""
        if self.kind == "sequence":
            return output.reshape(len(output), -1)
        if self.kind == "answers":
            return output.transpose(1, 2).flatten(0, 1)
        output, labels = self.align(output, batch["labels"].to(output.device))
        return output[labels != IGNORED]

    def find_ends(self, output: Tensor, batch: Batch) -> Tensor:
        """First and last token of the answers, shape (item, 2); the number of tokens for those outside."""
        ends = torch.stack([batch[name].flatten() for name in ("start_positions", "end_positions")], dim=1)
        return ends.to(output.device).clamp(0, output.shape[1])

    def _compute_classes(self, output: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        problem = getattr(self.config, "problem_type", None)
        if problem is None:
            is_class = not labels.is_floating_point()
            problem = "single_label_classification" if is_class else "multi_label_classification"
            problem = "regression" if output.shape[-1] == 1 else problem
        if problem == "single_label_classification":
            labels = labels.view(-1, 1).long()
            each = nn.functional.cross_entropy(output, labels[:, 0], reduction="none")
            return each[:, None], labels != IGNORED
        target = labels.to(output.dtype).view(output.shape)
        if problem == "regression":
            each = (output - target).square()
        else:
            each = nn.functional.binary_cross_entropy_with_logits(output, target, reduction="none")
        return each, torch.ones_like(each, dtype=torch.bool)

    def _notice_padding(self, batch: Batch, labels: Tensor) -> None:
        """Warn, once, of padding that counts as something to be learned."""
        if self._has_told or self.kind == "tokens":
            return
        mask, pad = batch.get("attention_mask"), getattr(self.config, "pad_token_id", None)
        counted = labels != IGNORED
        if mask is not None and mask.shape == labels.shape:
            padded = counted & (mask.to(labels.device) == 0)
        elif isinstance(pad, int) and labels.ndim == 2 and labels.shape[1] > 1:  # one at the end may be the end of text
            padded = counted & (labels == pad)
            padded = padded[:, 1:] & padded[:, :-1]
        else:
            return
        if bool(padded.any()):
            self._has_told = True
            warnings.warn(
                f"{int(padded.sum())} labels of a batch are of padding, and are learned: give them as {IGNORED}, as "
                "data collators for language modelling do",
                stacklevel=6,
            )


def make_score(head: Head, score: str | None, words: tuple[int, ...] | None) -> Score | None:
    """The function that scores items; None leaves a class to be right or wrong.

    Args:
        head: What the model is.
        score: One of `SCORES`; None for what is usual for its kind.
        words: Tokens of the label words; None for none.

    Raises:
        SharpwaveError: If the score does not fit the kind.
    """
    speaks = head.kind in ("causal", "masked")
    usual = {"answers": "f1", "sequence": "accuracy"}.get(head.kind, "accuracy" if words else "loss")
    chosen = usual if score is None else score
    fits = {
        "accuracy": head.kind == "sequence" or (speaks and words is not None and len(words) > 1),
        "exact match": head.kind in ("causal", "masked", "tokens", "answers"),
        "f1": head.kind == "answers",
        "loss": True,
    }
    if chosen not in SCORES or not fits[chosen] or (words is not None and not speaks):
        raise SharpwaveError(
            f"a score that fits a model of kind {head.kind!r}: {', '.join(name for name in SCORES if fits[name])}",
            got=f"score={score!r}, words={words!r}",
            fix="leave it out, give a function of outputs and batch, or for accuracy by label words their tokens: "
            "words=[tokenizer.encode(word)[0] for word in (' yes', ' no')]",
        )
    if chosen == "accuracy":
        return None if words is None else _WordAccuracy(head, words)
    kinds: dict[str, Callable[[Head], Any]] = {"exact match": _ExactMatch, "f1": _OverlapScore, "loss": _MinusLoss}
    return kinds[chosen](head)


class _Scorer(ABC):
    """A score of each item; `is_share` says whether it goes from 0 to 1."""

    is_share = True

    def __init__(self, head: Head) -> None:
        self.head = head

    @abstractmethod
    def __call__(self, output: Tensor, batch: Batch) -> Tensor: ...


class _MinusLoss(_Scorer):
    is_share = False

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        return -self.head.compute_item_means(output, batch).detach().float()


class _WordAccuracy(_Scorer):
    """Whether the best of the label words, at the first counted token, is the right one."""

    def __init__(self, head: Head, words: tuple[int, ...]) -> None:
        super().__init__(head)
        self.words = words

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        output, labels = self.head.align(output, batch["labels"].to(output.device))
        words = torch.tensor(self.words, device=output.device)
        known = (labels[..., None] == words).any(dim=-1)
        first = known.float().argmax(dim=1)
        rows = torch.arange(len(labels), device=output.device)
        said = words[output[rows, first][:, words].argmax(dim=-1)]
        return ((said == labels[rows, first]) & known.any(dim=1)).float()


class _ExactMatch(_Scorer):
    """Whether all that counts is right."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        if self.head.kind == "answers":
            return (find_spans(output) == self.head.find_ends(output, batch)).all(dim=1).float()
        labels = batch["labels"].to(output.device)
        output, labels = self.head.align(output, labels)
        wrong = (output.argmax(dim=-1) != labels) & (labels != IGNORED)
        return (~wrong.flatten(1).any(dim=1)).float()


class _OverlapScore(_Scorer):
    """F1 of the tokens of the answer and of the right one."""

    def __call__(self, output: Tensor, batch: Batch) -> Tensor:
        said, right = find_spans(output), self.head.find_ends(output, batch)
        first, last = torch.maximum(said, right)[:, 0], torch.minimum(said, right)[:, 1]
        shared = (last - first + 1).clamp(min=0).float()
        length = (said[:, 1] - said[:, 0] + 1) + (right[:, 1] - right[:, 0] + 1)
        return 2 * shared / length.clamp(min=1)


def find_spans(output: Float[Tensor, "item token 2"], *, longest: int = 30) -> Tensor:
    """The likeliest answers, as first and last token, shape (item, 2).

    Args:
        output: Logits of starts and of ends.
        longest: Largest number of tokens of an answer; default 30.
    """
    n_tokens = output.shape[1]
    allowed = torch.ones(n_tokens, n_tokens, dtype=torch.bool, device=output.device).triu().tril(longest - 1)
    both = (output[:, :, None, 0] + output[:, None, :, 1]).float().masked_fill(~allowed, -torch.inf)
    best = both.flatten(1).argmax(dim=1)
    return torch.stack([best // n_tokens, best % n_tokens], dim=1)
