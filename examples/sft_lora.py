"""Fine-tune an adapter (LoRA) with TRL's SFTTrainer on one task after another, with sleep and without.

Run: python examples/sft_lora.py [--model DIR]
Without a folder a tiny LLaMA with random weights, in some seconds on one core; with one, the causal model in it.
Needs: pip install 'sharpwave[language]' trl
"""

from __future__ import annotations

import argparse
import runpy
import tempfile
import warnings
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from trl import SFTConfig, SFTTrainer

from sharpwave.consolidation.language import TokenMemory
from sharpwave.integrations.transformers import SleepCallback

WORDS = runpy.run_path(str(Path(__file__).with_name("trainer.py")))
"""The model, tokenizer and tasks of the other example."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="folder of a causal language model and its tokenizer")
    folder = parser.parse_args().model
    for sleeps in (False, True):
        base, tokenizer = WORDS["make_model"](folder)
        torch.manual_seed(0)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=16, target_modules="all-linear"))
        frozen = {name: value.clone() for name, value in model.named_parameters() if not value.requires_grad}
        memory = TokenMemory("1 MB")
        for task in WORDS["TASKS"]:
            callbacks = [SleepCallback(memory, task=task, budget=0.15)] if sleeps else []
            trainer = make_trainer(model, tokenizer, task, callbacks, rate=2e-2 if folder is None else 2e-4)
            trainer.train()
            if sleeps:
                print(trainer.sleep_report)
        right = {task: WORDS["measure"](model, tokenizer, task) for task in WORDS["TASKS"]}
        now = dict(model.named_parameters())
        same = all(torch.equal(value, now[name]) for name, value in frozen.items())
        print(f"{'with sleep' if sleeps else 'without   '} {right}; the frozen weights are as they were: {same}")


def make_trainer(model: Any, tokenizer: Any, task: str, callbacks: list[Any], *, rate: float) -> SFTTrainer:
    """An SFTTrainer as anyone has one: prompts, and completions that are learned."""
    pairs = zip(WORDS["ENGLISH"], WORDS["TASKS"][task], strict=True)
    texts = [{"prompt": f"{task} {word} is", "completion": f" {answer}"} for word, answer in pairs]
    arguments = SFTConfig(
        tempfile.mkdtemp(),
        per_device_train_batch_size=10,
        num_train_epochs=8,
        learning_rate=rate,
        bf16=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
        dataloader_pin_memory=False,
    )
    data = Dataset.from_list(texts * 15)
    return SFTTrainer(model, arguments, train_dataset=data, processing_class=tokenizer, callbacks=callbacks)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="nights within the budget")
    main()
