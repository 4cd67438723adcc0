"""The callback within the real Trainer and the real SFTTrainer, on tiny models that are randomly initialised."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.consolidation.language.models import N_WORDS, make_model
from torch import Tensor

from sharpwave.consolidation import Budget, FixedRatio, Objective, Recipe, TwoProcess
from sharpwave.consolidation.language import TokenMemory
from sharpwave.errors import SharpwaveError

transformers = pytest.importorskip("transformers")

from sharpwave.integrations.transformers import SleepCallback, check_trainer  # noqa: E402

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


def find_callback(trainer: Any) -> SleepCallback:
    return next(each for each in trainer.callback_handler.callbacks if isinstance(each, SleepCallback))


def watch_snapshots(trainer: Any) -> list[int]:
    """How many numbers of parameters each night to come copies."""
    sizes: list[int] = []
    callback = find_callback(trainer)
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


def test_what_is_asked_of_a_trainer_goes_on_within_it(tmp_path) -> None:
    model, memory = make_model("GPT2LMHeadModel", resid_pdrop=0.1), TokenMemory("1 MB")
    seen: list[int] = []
    callback = SleepCallback(memory, task="first", budget=Budget(0.5, night=0.4))
    options = {"gradient_checkpointing": True, "bf16": True, "gradient_accumulation_steps": 2, "warmup_steps": 2}
    trainer = make_trainer(
        model,
        0,
        callback,
        tmp_path,
        eval_dataset=Texts(1),
        eval_strategy="epoch",
        dataloader_num_workers=1,
        num_train_epochs=2,
        **options,
    )
    rates: list[float] = []
    step = torch.optim.AdamW.step

    def watch(optimiser: Any, *given: Any, **named: Any) -> Any:
        if callback.sleep.is_asleep:
            rates.append(optimiser.param_groups[0]["lr"])
        else:
            seen.append(len(memory))
        return step(optimiser, *given, **named)

    torch.optim.AdamW.step = watch
    try:
        trainer.train()
    finally:
        torch.optim.AdamW.step = step
    assert len(seen) == 12
    assert len(memory) == len(
        {tuple(item["input_ids"].tolist()) for item in Texts(0).items}
    )  # each once, none of task 1
    assert set(memory.entries) - {"logits"} <= {"input_ids", "attention_mask", "labels", "task"}
    assert set(trainer.lr_scheduler.get_last_lr()) == {0.0}
    assert 0.5 * 1e-2 < max(rates) <= 1e-2
    assert rates[-1] < max(rates)
    assert callback.sleep.learner.accumulate == 2
    assert trainer.sleep_report.added_tokens < 0.52
    first = trainer.sleep_report
    callback.task = "second"
    trainer.train_dataset = Texts(1)
    trainer.train()
    assert trainer.sleep_report is not first
    assert trainer.sleep_report.tasks["task"].tolist() == ["first", "second"]
    assert [report.task for report in callback.reports] == ["first", "second"]


def test_a_budget_that_pays_for_nothing_changes_nothing(tmp_path) -> None:
    plain, model = make_model("LlamaForCausalLM"), make_model("LlamaForCausalLM")
    first = make_trainer(plain, 0, None, tmp_path, num_train_epochs=1, gradient_accumulation_steps=2)
    second = make_trainer(
        model, 0, SleepCallback("1 MB", budget=1e-6), tmp_path, num_train_epochs=1, gradient_accumulation_steps=2
    )
    assert first.train().training_loss == second.train().training_loss
    assert all(torch.equal(value, get_trained(plain)[name]) for name, value in get_trained(model).items())
    assert "no step was slept" in str(second.sleep_report)
    assert math.isnan(second.sleep_report.divergence[0])


def test_gradients_of_memories_add_up_with_those_of_the_batches() -> None:
    from types import SimpleNamespace

    from sharpwave.consolidation import Wake
    from sharpwave.integrations.beside import SleepBeside

    model = make_model("LlamaForCausalLM")
    sleep = SleepBeside(
        model, TokenMemory("1 MB"), torch.optim.SGD(model.parameters(), lr=0.1), wake=Wake("er", n_replay=4)
    )
    batch, seen = collate(Texts(0).items[:4]), SimpleNamespace()
    sleep.replay(batch)
    loss = sleep.replay(batch)  # of the four items themselves
    seen.own = model(**batch).loss
    torch.testing.assert_close(loss, seen.own)
    assert sleep.tokens == {
        "new": 2 * batch["input_ids"].numel(),
        "replayed": batch["input_ids"].numel(),
    } | dict.fromkeys(("slept", "scored"), 0)


@pytest.mark.parametrize("save_every", [2, None])
def test_a_run_that_dies_in_a_night_goes_on(save_every: int | None, tmp_path) -> None:
    class PowerCut(Exception):
        pass

    def make(folder: str) -> tuple[Any, SleepCallback]:
        callback = SleepCallback(TokenMemory("1 MB", generator=torch.Generator().manual_seed(1)), task="a")
        callback.save_every, callback.budget = save_every, Budget(0.5, night=0.4)
        model = make_model("GPT2LMHeadModel", attn_pdrop=0.1)
        return make_trainer(model, 0, callback, tmp_path / folder, save_strategy="epoch", num_train_epochs=2), callback

    whole, callback = make("whole")
    whole.train()
    n_steps = len(whole.sleep_report.night.losses)
    assert n_steps >= 4
    broken, callback = make("broken")
    begin = callback.on_train_begin

    def cut(*given: Any, **named: Any) -> None:
        begin(*given, **named)
        step = callback.sleep.step

        def die() -> bool:
            if callback.sleep._get_night().position == 3:
                callback.sleep.abandon = lambda: None  # no time for that
                raise PowerCut
            return step()

        callback.sleep.step = die

    callback.on_train_begin = cut
    with pytest.raises(PowerCut):
        broken.train()
    again, callback = make("broken")
    again.train(resume_from_checkpoint=True)
    assert torch.equal(torch.tensor(again.sleep_report.night.losses), torch.tensor(whole.sleep_report.night.losses))
    kept = get_trained(whole.model)
    assert all(torch.equal(value, kept[name]) for name, value in get_trained(again.model).items())
    tokens, other = again.sleep_report.tokens, whole.sleep_report.tokens
    assert tokens["slept"] >= other["slept"]  # what the lower part makes of memories is not written, and made anew
    assert tokens | {"slept": 0} == other | {"slept": 0}
    assert len(callback.reports) == 1
    names = {path.suffix for path in (tmp_path / "broken").rglob("sleep/*")}
    assert names == {".json", ".safetensors"}


def test_nights_within_training(tmp_path) -> None:
    model = make_model("LlamaForCausalLM")
    callback = SleepCallback("1 MB", budget=0.5, every=12)
    make_trainer(model, 0, callback, tmp_path, num_train_epochs=2).train()
    assert len(callback.reports) == 2
    callback = SleepCallback("1 MB", budget=0.5, every="epoch")
    trainer = make_trainer(model, 0, callback, tmp_path, num_train_epochs=2)
    assert trainer.train().training_loss > 0
    assert len(callback.reports) == 2
    callback = SleepCallback("1 MB", budget=0.5, every="schedule", schedule=FixedRatio(every=20))
    make_trainer(model, 0, callback, tmp_path, num_train_epochs=2).train()
    assert len(callback.reports) == 1


def test_classes_and_answers(tmp_path) -> None:
    class Classes(Texts):
        def __getitem__(self, row: int) -> dict[str, Any]:
            return self.items[row] | {"labels": torch.tensor(row % 2)}

    class Answers(Texts):
        def __getitem__(self, row: int) -> dict[str, Any]:
            last = len(self.items[row]["input_ids"]) - 3
            ends = {"start_positions": torch.tensor(last), "end_positions": torch.tensor(last)}
            return {"input_ids": self.items[row]["input_ids"]} | ends

    def gather(items: list[dict[str, Tensor]]) -> dict[str, Tensor]:
        batch = collate([item | {"labels": item["input_ids"]} for item in items])
        if "labels" not in items[0]:
            del batch["labels"]
            ends = ("start_positions", "end_positions")
            return batch | {name: torch.stack([item[name] for item in items]) for name in ends}
        return batch | {"labels": torch.stack([item["labels"] for item in items])}

    for name, kind in (("BertForSequenceClassification", Classes), ("BertForQuestionAnswering", Answers)):
        model, memory = make_model(name), TokenMemory("1 MB")
        for task in range(2):
            callback = SleepCallback(memory, task=task, budget=0.5)
            trainer = make_trainer(model, task, callback, tmp_path, num_train_epochs=2, learning_rate=3e-3)
            trainer.train_dataset, trainer.data_collator = kind(task), gather
            trainer.train()
        tasks = trainer.sleep_report.tasks
        assert tasks["task"].tolist() == [0, 1]
        assert tasks[["before", "after"]].to_numpy().min() >= 0  # accuracy, and F1
        assert trainer.sleep_report.night.n_planned


def test_what_cannot_be_is_said(tmp_path) -> None:
    with pytest.raises(SharpwaveError, match="a memory, or dreams in its place"):
        SleepCallback(None)
    with pytest.raises(SharpwaveError, match="a time to sleep among fit, epoch, schedule, or a number of steps"):
        SleepCallback("1 MB", every="night")
    with pytest.raises(SharpwaveError, match="a callback that a Trainer calls"):
        SleepCallback("1 MB").on_train_begin(None, None, None)
    model = make_model("LlamaForCausalLM")
    trainer = make_trainer(model, 0, SleepCallback("1 MB"), tmp_path)
    trainer.add_callback(SleepCallback("1 MB"))
    with pytest.raises(SharpwaveError, match="one SleepCallback"):
        trainer.train()
    trainer = make_trainer(model, 0, SleepCallback("1 MB"), tmp_path)
    trainer.is_fsdp_enabled = True
    with pytest.raises(SharpwaveError, match="a whole model in each process; got one that uses fsdp"):
        check_trainer(trainer, find_callback(trainer))
    with pytest.raises(SharpwaveError, match="got 0 at all steps"):
        make_trainer(model, 0, SleepCallback("1 MB"), tmp_path, learning_rate=0.0, num_train_epochs=1).train()
    translator = transformers.T5ForConditionalGeneration(
        transformers.T5Config(vocab_size=N_WORDS, d_model=8, d_kv=4, d_ff=8, num_layers=1, num_heads=2)
    )
    with pytest.raises(SharpwaveError, match="an encoder with a decoder"):
        make_trainer(translator, 0, SleepCallback("1 MB"), tmp_path).train()
    with pytest.raises(SharpwaveError, match="a schedule that counts steps, beside a Trainer; got TwoProcess"):
        SleepCallback("1 MB", schedule=TwoProcess())
    with pytest.raises(SharpwaveError, match="a schedule that counts steps"):
        SleepCallback("1 MB", recipe=Recipe(schedule=TwoProcess()))
    assert SleepCallback("1 MB", schedule=FixedRatio(every=3)).every == "fit"


def test_another_loss_is_noticed_and_an_interrupted_run_leaves_the_trainer_as_it_was(tmp_path) -> None:
    def count(output: Any, labels: Tensor, num_items_in_batch: Any = None) -> Tensor:
        return output.logits.mean()

    model = make_model("LlamaForCausalLM")
    for options in ({"label_smoothing_factor": 0.1}, {"compute_loss_func": count}):
        trainer = make_trainer(model, 0, SleepCallback("1 MB"), tmp_path, num_train_epochs=1, **options)
        with pytest.warns(UserWarning, match="memories are learned by the model's own loss, without"):
            trainer.train()
        assert len(find_callback(trainer).memory) > 0
    trainer = make_trainer(model, 0, SleepCallback("1 MB", objective=Objective.for_model(model)), tmp_path, **options)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="memories are learned")
        trainer.train()
