"""Teach a language model words of one language after another with a Trainer, with sleep and without.

Run: python examples/trainer.py [--model DIR]
Without a folder a tiny LLaMA learns from nothing, in some seconds on one core; with one, the causal model in it.
Needs: pip install 'sharpwave[language]'
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
)

from sharpwave.consolidation.language import TokenMemory
from sharpwave.integrations.transformers import SleepCallback

ENGLISH = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TASKS = {
    "french": ["un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"],
    "german": ["eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun", "zehn"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of a causal language model and its tokenizer")
    folder = parser.parse_args().model
    for sleeps in (False, True):
        model, tokenizer = make_model(folder)
        memory = TokenMemory("1 MB")
        for task in TASKS:
            callbacks = [SleepCallback(memory, task=task, budget=0.15)] if sleeps else []
            trainer = make_trainer(model, tokenizer, task, callbacks, rate=5e-3 if folder is None else 2e-5)
            trainer.train()
            if sleeps:
                print(trainer.sleep_report)
        right = {task: measure(model, tokenizer, task) for task in TASKS}
        kept = f"; {len(memory)} memories of {memory.item_bytes} bytes" if sleeps else ""
        print(f"{'with sleep' if sleeps else 'without   '} {right}{kept}")


def make_model(folder: str | None) -> tuple[Any, Any]:
    """The model in a folder and its tokenizer; a tiny one that knows nothing where there is no folder."""
    if folder is not None:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
        return AutoModelForCausalLM.from_pretrained(folder), tokenizer
    words = ["<pad>", "<end>", "<unk>", "is", *TASKS, *ENGLISH, *TASKS["french"], *TASKS["german"]]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys(words))}
    plain = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", eos_token="<end>", unk_token="<unk>")
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    sizes |= {"vocab_size": len(vocabulary), "initializer_range": 0.2}
    config = LlamaConfig(pad_token_id=0, eos_token_id=1, bos_token_id=1, **sizes)
    return LlamaForCausalLM(config), tokenizer


def make_items(tokenizer: Any, task: str) -> list[dict[str, list[int]]]:
    """Each word of a task, with its translation as what is to be learned."""
    items = []
    for word, answer in zip(ENGLISH, TASKS[task], strict=True):
        prompt = tokenizer(f"{task} {word} is")["input_ids"]
        whole = prompt + tokenizer(f" {answer}", add_special_tokens=False)["input_ids"]
        items.append({"input_ids": whole, "labels": [-100] * len(prompt) + whole[len(prompt) :]})
    return items


def make_trainer(model: Any, tokenizer: Any, task: str, callbacks: list[Any], *, rate: float) -> Trainer:
    """A Trainer as anyone has one."""

    def collate(items: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        pads = {"input_ids": tokenizer.pad_token_id, "labels": -100, "attention_mask": 0}
        items = [item | {"attention_mask": [1] * len(item["input_ids"])} for item in items]
        longest = max(len(item["input_ids"]) for item in items)
        return {
            name: torch.tensor([item[name] + [pad] * (longest - len(item[name])) for item in items])
            for name, pad in pads.items()
        }

    arguments = TrainingArguments(
        tempfile.mkdtemp(),
        per_device_train_batch_size=10,
        num_train_epochs=4,
        learning_rate=rate,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        dataloader_pin_memory=False,
        disable_tqdm=True,
    )
    data: Any = make_items(tokenizer, task) * 15
    return Trainer(model, arguments, train_dataset=data, data_collator=collate, callbacks=callbacks)


@torch.no_grad()
def measure(model: Any, tokenizer: Any, task: str) -> float:
    """Share of the words of a task whose translation is the likeliest."""
    model.eval()
    right = 0
    for item in make_items(tokenizer, task):
        ids, labels = (torch.tensor([item[name]], device=model.device) for name in ("input_ids", "labels"))
        said = model(input_ids=ids).logits[:, :-1].argmax(dim=-1)
        right += int(((said == labels[:, 1:]) | (labels[:, 1:] == -100)).all())
    return right / len(ENGLISH)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="nights within the budget")
    main()
