"""Wake and nights of tiny language models: LLaMA, GPT-2 and BERT."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import peft
import pytest
import torch
from tests.consolidation.language import tiny
from torch import nn

from sharpwave.consolidation import Objective, Sleep
from sharpwave.consolidation.blocks import find_block_top
from sharpwave.consolidation.budget import Budget
from sharpwave.consolidation.language import TokenMemory
from sharpwave.consolidation.learner import Snapshot
from sharpwave.consolidation.state_files import load_state, save_state


def make_sleep(name: str, *, model: nn.Module | None = None, budget: Budget | float | None = None, **options) -> Sleep:
    model = tiny.make(name) if model is None else model
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimiser = torch.optim.AdamW(trained, lr=3e-3)
    memory = TokenMemory("100 kB", generator=torch.Generator().manual_seed(0))
    return Sleep(model, memory, optimiser, objective=Objective.for_model(model), budget=budget, **options)


def make_batches(sleep: Sleep, task: int, n_items: int) -> Iterator[dict]:
    texts, classes = tiny.make_items(task, n_items, seed=0)
    collate = tiny.collate_classes if hasattr(sleep.learner.model, "classifier") else tiny.collate_causal
    for first in range(0, n_items, 16):
        yield collate(texts[first : first + 16], classes[first : first + 16])


def learn(sleep: Sleep, task: int, *, n_items: int = 128, whole: bool = False) -> None:
    """A day of one task; of whole texts, or of their last word alone."""
    for batch in make_batches(sleep, task, n_items):
        if whole:
            batch["labels"] = torch.where(batch["attention_mask"] > 0, batch["input_ids"], -100)
        sleep.learner.optimiser.zero_grad()
        sleep.wake(batch, task=f"task {task}").backward()
        sleep.learner.optimiser.step()


def read_state(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def list_moved(model: nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("name", tiny.MODELS)
def test_a_report_tells_tasks_by_name_tokens_and_nats_from_what_was_stored(name: str) -> None:
    sleep = make_sleep(name)
    for task in range(2):
        learn(sleep, task, n_items=48)
        report = sleep.night(3)
    assert report.committed
    assert sorted(report.groups.query("kind == 'task'")["value"]) == ["task 0", "task 1"]
    assert report.cost["tokens"] == sum(int(b["attention_mask"].sum()) for b in make_batches(sleep, 1, 48))
    assert report.cost["asleep_tokens"] > 3 * 48 * 8
    if name != "bert":
        before, after = report.divergence
        assert 0 < after < 3
        assert before > 0


@pytest.mark.parametrize("name", tiny.MODELS)
@pytest.mark.parametrize("side", ["right", "left"])
def test_cached_states_give_what_the_whole_network_gives(name: str, side: str) -> None:
    sleep = make_sleep(name)
    learn(sleep, 0, n_items=32)
    batch = sleep.learner.sample(8)
    if side == "left":
        order = batch["attention_mask"].argsort(dim=1, stable=True)
        batch.pop("logits")
        batch = {key: value.gather(1, order) if value.ndim == 2 else value for key, value in batch.items()}
    top = find_block_top(sleep.learner, batch)
    assert not isinstance(top, str), top
    model = sleep.learner.model.eval()
    states = top.catch(sleep.learner, batch)
    assert states.dtype == torch.bfloat16
    whole = sleep.learner.objective.run(model, batch)
    sleep.learner.clear_gradients()
    again = top.run(sleep.learner, states, batch)
    mask = batch["attention_mask"].bool() if whole.ndim == 3 else ...
    torch.testing.assert_close(again[mask], whole[mask], atol=0.05, rtol=0)
    again.float().sum().backward()
    graded = {key for key, value in model.named_parameters() if value.grad is not None}
    expected = {"llama": "layers.1.", "gpt2": "h.1.", "bert": "layer.1."}[name]
    assert all(expected in key or key.split(".")[-2] in ("norm", "ln_f", "dense", "classifier") for key in graded)
    assert any(expected in key for key in graded)
    assert all(value.requires_grad for value in model.parameters())
    assert all("forward" not in module.__dict__ for module in model.modules())


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_shallow_night_of_a_tied_model_trains_its_last_block_and_sees_the_rest_once(name: str) -> None:
    sleep = make_sleep(name, budget=0.15)
    learn(sleep, 0, n_items=256)
    learn(sleep, 1, n_items=256)
    model = sleep.learner.model
    before, seen = read_state(model), list[int]()
    blocks = model.model.layers if name == "llama" else model.transformer.h
    blocks[0].mlp.register_forward_pre_hook(lambda _, inputs: seen.append(len(inputs[0])))
    sleep.budget.earned = sleep.budget.replayed + 60
    report = sleep.night()
    assert report.committed
    assert len(report.losses) >= 2
    moved = list_moved(model, before)
    assert moved
    assert all(".1." in key or key.endswith(("norm.weight", "ln_f.weight", "ln_f.bias")) for key in moved)
    assert sum(seen) < 60 / sleep.learner.forward_share / 2 + 8
    assert 0.7 < (sleep.budget.replayed + sleep.budget.slept) / sleep.budget.earned < 1.03


def test_blocks_that_cannot_be_cut_are_said() -> None:
    sleep = make_sleep("llama", model=tiny.make("llama", num_hidden_layers=1))
    learn(sleep, 0, n_items=16)
    found = find_block_top(sleep.learner, sleep.learner.sample(2))
    assert found == "the network is no list of blocks"
    sleep = make_sleep("llama")
    learn(sleep, 0, n_items=16)
    for parameter in sleep.learner.model.parameters():
        parameter.requires_grad_(False)
    assert "is trained" in find_block_top(sleep.learner, sleep.learner.sample(2))


def make_adapted() -> nn.Module:
    torch.manual_seed(0)
    return peft.get_peft_model(
        tiny.make("llama"), peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM")
    )


def test_adapters_sleep_alone_and_the_frozen_base_is_neither_changed_nor_copied() -> None:
    model = make_adapted()
    sleep = make_sleep("llama", model=model, budget=0.5)
    base = {key: value for key, value in read_state(model).items() if "lora" not in key}
    for task in range(2):
        learn(sleep, task, n_items=128)
        sleep.fall_asleep()
        snapshot = sleep._night.snapshot
        report = sleep.night()
        assert report.committed
    assert len(report.losses)
    assert not list_moved(model, {**read_state(model), **base})
    trained = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    buffers = sum(b.numel() * b.element_size() for b in model.buffers())
    moments = [value for part in snapshot.moments["state"].values() for value in part.values()]
    copied = [*snapshot.weights.values(), *(value for value in moments if value.ndim)]
    assert sum(value.numel() * value.element_size() for value in copied) <= 3 * trained + buffers


def test_tied_weights_are_copied_once() -> None:
    sleep = make_sleep("gpt2")
    learn(sleep, 0, n_items=16)
    weights = Snapshot.take(sleep.learner).weights
    assert len([name for name in weights if "wte" in name or "lm_head" in name]) == 1


def test_a_night_after_a_schedule_that_ends_at_nothing_has_the_rates_of_the_day() -> None:
    sleep = make_sleep("llama")
    optimiser = sleep.learner.optimiser
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=8)
    for batch in make_batches(sleep, 0, 128):
        optimiser.zero_grad()
        sleep.wake(batch).backward()
        optimiser.step()
        schedule.step()
    assert optimiser.param_groups[0]["lr"] == 0
    before = read_state(sleep.learner.model)
    report = sleep.night(2)
    assert list_moved(sleep.learner.model, before)
    assert "no weight moved" not in report.note
    assert optimiser.param_groups[0]["lr"] == 0


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_shallow_night_goes_on_from_a_file_as_if_nothing_had_happened(name: str, tmp_path) -> None:
    one = make_sleep(name, budget=0.3)
    for task in range(2):
        learn(one, task, n_items=256)
    one.budget.earned += 60
    one.fall_asleep()
    for _ in range(2):
        one.step()
    save_state({"sleep": one.state_dict(), "optimiser": one.learner.optimiser.state_dict()}, tmp_path / "state")
    other = make_sleep(name, model=copy.deepcopy(one.learner.model), budget=0.3)
    state = load_state(tmp_path / "state")
    other.learner.optimiser.load_state_dict(state["optimiser"])
    other.load_state_dict(state["sleep"])
    reports = [each.night() for each in (one, other)]
    assert reports[0].losses.tolist() == pytest.approx(reports[1].losses.tolist(), abs=1e-5)
    assert len(reports[0].losses) > 2
    mine, theirs = (read_state(each.learner.model) for each in (one, other))
    for key, value in mine.items():
        torch.testing.assert_close(value, theirs[key], atol=1e-5, rtol=1e-4)


def test_a_memory_without_outputs_lets_labels_alone_be_replayed() -> None:
    model = tiny.make("llama")
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    sleep = Sleep(model, TokenMemory("1 MB", top_k=None), optimiser, objective=Objective.for_model(model))
    learn(sleep, 0, n_items=48)
    assert sleep.night(2).committed
    assert "logits" not in sleep.learner.get_buffer().entries


def test_processes_that_step_together_pass_new_and_old_texts_apart(monkeypatch) -> None:
    """Whether texts are as long as each other may differ between them, and with it the number of passes."""
    sizes: list[int] = []
    sleep = make_sleep("llama")
    batch = next(make_batches(sleep, 0, 4))
    batch["input_ids"][:, 1] = torch.tensor([11, 12, 13, 14])
    sleep.wake(batch)
    sleep.learner.model.register_forward_pre_hook(lambda *_: sizes.append(1))
    sleep.wake(batch)
    monkeypatch.setattr("sharpwave.consolidation.wake.is_shared", lambda: True)
    sleep.wake(batch)
    assert len(sizes) == 1 + 2


def test_long_memories_cost_what_they_are_long() -> None:
    """Days of texts of 4 tokens after one of 24: what is passed stays within the budget, padding counted."""
    passed = {"new": 0.0, "all": 0.0}
    sleep = make_sleep("bert", budget=0.3)

    def count(module: nn.Module, inputs: tuple, named: dict) -> None:
        passed["all"] += named["input_ids"].numel() * (1.0 if torch.is_grad_enabled() else 1 / 3)

    sleep.learner.model.register_forward_pre_hook(count, with_kwargs=True)
    generator = torch.Generator().manual_seed(0)
    for task, width in enumerate((24, 4, 4)):
        for _ in range(24):
            ids = torch.randint(4, 30, (8, width), generator=generator)
            labels = torch.full((8,), task % 2)
            batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": labels}
            sleep.learner.optimiser.zero_grad()
            sleep.wake(batch, task=f"task {task}").backward()
            sleep.learner.optimiser.step()
            passed["new"] += ids.numel()
        sleep.night()
        if not task:
            passed = dict.fromkeys(passed, 0.0)
            sleep.budget.earned = sleep.budget.replayed = sleep.budget.slept = 0.0
    assert 1.1 * passed["new"] < passed["all"] < 1.35 * passed["new"], passed
