"""Language models of two layers, random tasks for them, and what they get right."""

from __future__ import annotations

import torch
from transformers import (
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from sharpwave.consolidation.batches import IGNORED, Objective

VOCABULARY, WIDTH, N_CLASSES = 64, 32, 6
SEP = 3


def make_llama(seed: int = 0, *, tied: bool = True) -> PreTrainedModel:
    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=64,
            tie_word_embeddings=tied,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def make_gpt2(seed: int = 0) -> PreTrainedModel:
    torch.manual_seed(seed)
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=VOCABULARY,
            n_embd=WIDTH,
            n_layer=2,
            n_head=2,
            n_positions=64,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
        )
    )


def make_bert(seed: int = 0, *, n_classes: int = N_CLASSES) -> PreTrainedModel:
    torch.manual_seed(seed)
    return BertForSequenceClassification(
        BertConfig(
            vocab_size=VOCABULARY,
            hidden_size=WIDTH,
            intermediate_size=64,
            num_hidden_layers=2,
            num_attention_heads=2,
            max_position_embeddings=64,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            num_labels=n_classes,
            pad_token_id=0,
        )
    )


def compute_next_token_losses(output: torch.Tensor, batch: dict) -> torch.Tensor:
    """The mean loss of each item's labels, each said by the token before it."""
    labels = batch["labels"][:, 1:]
    each = torch.nn.functional.cross_entropy(
        output[:, :-1].flatten(0, 1).float(), labels.flatten(), reduction="none"
    ).view(labels.shape)
    return each.sum(1) / (labels != IGNORED).sum(1).clamp(min=1)


class Causal:
    """What the objective of a causal model has."""

    kind = "causal"

    def run(self, model, batch: dict) -> torch.Tensor:
        return model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], use_cache=False).logits

    def compute_losses(self, output: torch.Tensor, batch: dict) -> torch.Tensor:
        return compute_next_token_losses(output, batch)


def make_causal_objective() -> Objective:
    causal = Causal()
    return Objective(causal.run, causal.compute_losses, "labels", False)


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
def measure_accuracy(model: PreTrainedModel, task: int) -> float:
    """Share of new items whose class is said, the task not told."""
    texts, classes = make_items(task, 100, seed=99)
    model.eval()
    if isinstance(model, BertForSequenceClassification):
        batch = collate_classes(texts, classes)
        said = model(batch["input_ids"], batch["attention_mask"]).logits.argmax(-1)
    else:
        batch = collate_causal(texts, classes)
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        last = (batch["labels"] != IGNORED).int().argmax(1)
        said = logits[torch.arange(100), last - 1, 54 : 54 + N_CLASSES].argmax(-1)
    model.train()
    return float((said == classes).float().mean())
