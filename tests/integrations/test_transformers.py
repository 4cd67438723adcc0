"""The callback within the real Trainer and the real SFTTrainer, on tiny models that are randomly initialised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.consolidation.language.models import make_model
from torch import Tensor

from sharpwave.consolidation import Objective
from sharpwave.consolidation.language import TokenMemory

transformers = pytest.importorskip("transformers")

from sharpwave.integrations.transformers import SleepCallback  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
WORDS = [50, 51, 52, 53, 54, 55]


class Texts(torch.utils.data.Dataset):
    """Texts of a task: some words of noise, one that says the class, and the class's word as the answer.

    Args:
        task: Which two classes, and which two words say them.
        shift: Added to the class: the same words with another answer.
    """

    def __init__(self, task: int, *, n_items: int = 96, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.items = []
        for item in range(n_items):
            noise = torch.randint(30, 50, (int(torch.randint(2, 6, (1,), generator=generator)),), generator=generator)
            kind = item % 2
            ids = torch.cat(
                [torch.tensor([2 + task]), noise, torch.tensor([10 + 2 * task + kind, 3, WORDS[2 * task + kind]])]
            )
            self.items.append({"input_ids": ids, "labels": torch.cat([torch.full((len(ids) - 1,), -100), ids[-1:]])})

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> dict[str, Any]:
        return self.items[row] | {"unused": torch.tensor(row)}


def collate(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    ids = [item["input_ids"] for item in items]
    pad = torch.nn.utils.rnn.pad_sequence
    mask = [torch.ones_like(each) for each in ids]
    labels = pad([item["labels"] for item in items], batch_first=True, padding_value=-100)
    return {
        "input_ids": pad(ids, batch_first=True),
        "attention_mask": pad(mask, batch_first=True),
        "labels": labels,
    }


def make_trainer(model: Any, task: int, callback: SleepCallback | None, folder: Path, **options: Any) -> Any:
    quiet = {"report_to": [], "disable_tqdm": True, "logging_strategy": "no", "save_strategy": "no", "use_cpu": True}
    given = {"per_device_train_batch_size": 8, "num_train_epochs": 5, "learning_rate": 1e-2, "seed": 0}
    more = {name: options.pop(name) for name in ("optimizers", "compute_loss_func", "eval_dataset") if name in options}
    args = transformers.TrainingArguments(str(folder), **(quiet | given | options))
    callbacks = [] if callback is None else [callback]
    data = Texts(task)
    return transformers.Trainer(model, args, train_dataset=data, data_collator=collate, callbacks=callbacks, **more)


def measure_accuracy(model: Any, task: int) -> float:
    batch = collate(Texts(task, seed=1).items)
    objective = Objective.for_model(model, words=WORDS)
    model.eval()
    with torch.no_grad():
        return float(objective.score(objective.run(model, batch), batch).mean())


def get_trained(model: Any) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}


def test_tasks_one_after_the_other_are_kept_within_the_budget(tmp_path) -> None:
    plain, model, memory = make_model("LlamaForCausalLM"), make_model("LlamaForCausalLM"), TokenMemory("1 MB")
    for task in range(3):
        make_trainer(plain, task, None, tmp_path).train()
        trainer = make_trainer(model, task, SleepCallback(memory, task=f"task {task}", budget=0.15), tmp_path)
        trainer.train()
        report = trainer.sleep_report
        assert report.added_tokens < 0.16
        assert report.tokens["new"] > 1000
        assert "compute_loss" not in vars(trainer)
    kept, lost = (sum(measure_accuracy(each, task) for task in range(2)) for each in (model, plain))
    assert lost < 0.1
    assert kept > 0.3
    assert report.tasks["task"].tolist() == ["task 0", "task 1", "task 2"]
    assert report.night.committed
    assert (report.tasks["after"] > report.tasks["before"])[:2].all()
    before, after = report.divergence
    assert 0 < after < before
    for words in ("task 1:", "nats an answer", "of training"):
        assert words in str(report)


def test_the_frozen_base_is_what_it_was_and_the_adapter_sleeps(tmp_path) -> None:
    peft = pytest.importorskip("peft")
    for name in ("LlamaForCausalLM", "GPT2LMHeadModel"):
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
        model = peft.get_peft_model(make_model(name), config)
        base = {name: value.detach().clone() for name, value in model.named_parameters() if not value.requires_grad}
        memory = TokenMemory("1 MB")
        for task in range(2):
            trainer = make_trainer(
                model, task, SleepCallback(memory, task=task, budget=0.3), tmp_path, num_train_epochs=3
            )
            sizes = watch_snapshots(trainer)
            trainer.train()
        now = dict(model.named_parameters())
        assert all(torch.equal(value, now[name]) for name, value in base.items())
        assert sizes == [sum(value.numel() for value in now.values() if value.requires_grad)]
        assert len(trainer.sleep_report.night.losses) > 0


def watch_snapshots(trainer: Any) -> list[int]:
    """How many numbers of parameters each night to come copies."""
    sizes: list[int] = []
    callback = next(each for each in trainer.callback_handler.callbacks if isinstance(each, SleepCallback))
    begin = callback.on_train_begin

    def watch(*given: Any, **named: Any) -> None:
        begin(*given, **named)
        wake_up = callback.sleep.wake_up

        def measure() -> Any:
            parameters = dict(callback.sleep.learner.module.named_parameters())
            kept = callback.sleep._night.snapshot.weights
            sizes.append(sum(value.numel() for name, value in kept.items() if name in parameters))
            return wake_up()

        callback.sleep.wake_up = measure

    callback.on_train_begin = watch
    return sizes
