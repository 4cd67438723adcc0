"""Language models of two layers, random tasks for them, and what they get right."""

from __future__ import annotations

import torch
from tests.consolidation.language.models import make_model
from torch import nn

from sharpwave.consolidation.texts import IGNORED

N_CLASSES, SEP = 6, 3
MODELS = {"llama": "LlamaForCausalLM", "gpt2": "GPT2LMHeadModel", "bert": "BertForSequenceClassification"}


def make(name: str, *, seed: int = 0, **options) -> nn.Module:
    """A model by a key of `MODELS`; the LLaMA and the GPT-2 with one matrix for embedding and head."""
    options = ({"num_labels": N_CLASSES} if name == "bert" else {"tie_word_embeddings": True}) | options
    return make_model(MODELS[name], seed=seed, **options)


def make_items(task: int, n_items: int, *, seed: int) -> tuple[list[list[int]], torch.Tensor]:
    """Texts of words of a task of their own, in which one of its two key words says the class."""
    generator = torch.Generator().manual_seed(1000 * task + seed)
    classes = torch.randint(2, (n_items,), generator=generator)
    texts = []
    for wanted in classes.tolist():
        n_words = int(torch.randint(5, 9, (), generator=generator))
        words = torch.randint(10 + 6 * task, 16 + 6 * task, (n_words,), generator=generator)
        words[int(torch.randint(n_words, (), generator=generator))] = 40 + 2 * task + wanted
        texts.append(words.tolist())
    return texts, 2 * task + classes


def collate_causal(texts: list[list[int]], classes: torch.Tensor) -> dict:
    """Texts that end with a separator and the word of their class, which alone is learned."""
    whole = [[1, *text, SEP, 54 + label] for text, label in zip(texts, classes.tolist(), strict=True)]
    width = max(map(len, whole))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in whole])
    labels = torch.full_like(ids, IGNORED)
    for row, text in enumerate(whole):
        labels[row, len(text) - 1] = text[-1]
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": labels}


def collate_classes(texts: list[list[int]], classes: torch.Tensor) -> dict:
    """Texts and the class of each."""
    width = max(map(len, texts))
    ids = torch.tensor([text + [0] * (width - len(text)) for text in texts])
    return {"input_ids": ids, "attention_mask": (ids > 0).long(), "labels": classes}


@torch.no_grad()
def measure_accuracy(model: nn.Module, task: int) -> float:
    """Share of new items whose class is said, the task not told."""
    texts, classes = make_items(task, 100, seed=99)
    model.eval()
    if hasattr(model, "classifier"):
        batch = collate_classes(texts, classes)
        said = model(batch["input_ids"], batch["attention_mask"]).logits.argmax(-1)
    else:
        batch = collate_causal(texts, classes)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        last = (batch["labels"] != IGNORED).int().argmax(1)
        said = logits[torch.arange(100), last - 1, 54 : 54 + N_CLASSES].argmax(-1)
    model.train()
    return float((said == classes).float().mean())
