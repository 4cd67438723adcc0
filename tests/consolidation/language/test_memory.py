"""A memory of tokens gives back what was put in, in few bytes, of any length and from either side."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import Tensor

from sharpwave.consolidation.language import TokenMemory
from sharpwave.errors import SharpwaveError


def collate(texts: list[list[int]], *, side: str = "right", pad: int = 9, answer: int | None = None) -> dict:
    """A batch as collators of Transformers make it; of each text only the last `answer` tokens are learned."""
    width = max(map(len, texts))
    rows = {"input_ids": [], "attention_mask": [], "labels": []}
    for text in texts:
        left, right = (width - len(text), 0) if side == "left" else (0, width - len(text))
        hidden = len(text) - (answer or len(text))
        rows["input_ids"].append([pad] * left + text + [pad] * right)
        rows["attention_mask"].append([0] * left + [1] * len(text) + [0] * right)
        rows["labels"].append([-100] * (left + hidden) + text[hidden:] + [-100] * right)
    return {name: torch.tensor(row) for name, row in rows.items()}


def make_texts(
    n_items: int, *, seed: int = 0, vocabulary: int = 1000, least: int = 3, most: int = 40
) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(least, most, (n_items,), generator=generator).tolist()
    return [torch.randint(10, vocabulary, (length,), generator=generator).tolist() for length in lengths]


def list_texts(batch: dict) -> set[tuple[int, ...]]:
    return {
        tuple(ids[mask.bool()].tolist()) for ids, mask in zip(batch["input_ids"], batch["attention_mask"], strict=True)
    }


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("answer", [None, 2])
def test_batches_of_any_length_come_back_as_they_were(side: str, answer: int | None) -> None:
    memory, texts = TokenMemory("1 MB"), make_texts(20)
    for first in (0, 5, 10, 15):
        memory.add(collate(texts[first : first + 5], side=side, answer=answer), task=0)
    back = memory.read(torch.arange(20))
    expected = collate(texts, side=side, answer=answer)
    order = [
        texts.index(list(text))
        for text in (
            ids[mask.bool()].tolist() for ids, mask in zip(back["input_ids"], back["attention_mask"], strict=True)
        )
    ]
    for name, value in expected.items():
        assert torch.equal(back[name], value[order]), name
        assert back[name].dtype == value.dtype


def test_vocabularies_of_two_billion_tokens_and_labels_that_are_not_the_tokens() -> None:
    memory = TokenMemory("1 MB")
    ids = torch.tensor([[2**31 - 1, 70_000, 3], [1, 2, 4]])
    labels = torch.tensor([[5, -100, 2**31 - 1], [-100, 2, 7]])
    memory.add({"input_ids": ids, "labels": labels})
    back = memory.read(torch.arange(2))
    assert torch.equal(back["input_ids"], ids)
    assert torch.equal(back["labels"], labels)


def test_an_item_of_64_tokens_takes_less_than_a_kilobyte() -> None:
    memory, vocabulary = TokenMemory("1 MB"), 49_152
    texts = make_texts(4, least=64, most=65, vocabulary=vocabulary)
    batch = collate(texts, answer=4)
    memory.add({**batch, "logits": torch.randn(4, 64, vocabulary)}, task="contracts")
    assert 64 * 2 < memory.item_bytes <= 448
    long = TokenMemory("1 MB")  # every token is an answer
    long.add({**collate(texts), "logits": torch.randn(4, 64, vocabulary)}, task="contracts")
    assert long.item_bytes <= 1000
    bare = TokenMemory("1 MB", top_k=None)
    bare.add({**batch, "logits": torch.randn(4, 64, vocabulary)})
    assert bare.item_bytes <= 320
    assert "logits" not in bare.entries


def test_the_budget_holds_and_freed_pieces_are_used_again() -> None:
    memory = TokenMemory(40_000)
    for seed in range(30):  # short ones, then long ones, then short ones
        most = 300 if 10 <= seed < 20 else 20
        memory.add(collate(make_texts(50, seed=seed, least=most // 2, most=most)), task=seed // 10)
        assert memory.n_bytes <= 40_000
    assert memory.n_bytes > 0.9 * 40_000
    assert memory.n_seen == 1500
    counts = torch.bincount(memory.read(torch.arange(len(memory)))["task"])
    assert int(counts.max()) - int(counts.min()) <= 3


def test_every_item_is_as_likely_to_stay_whatever_its_length_and_place() -> None:
    kept = torch.zeros(2, 2)  # early or late, short or long
    for seed in range(12):
        memory = TokenMemory(12_000, policy="reservoir", generator=torch.Generator().manual_seed(seed))
        short = make_texts(100, seed=seed, least=3, most=10)
        long = make_texts(100, seed=1000 + seed, least=90, most=100)
        mixed = [text for pair in zip(short, long, strict=True) for text in pair]
        places = {tuple(text): place for place, text in enumerate(mixed)}
        for first in range(0, 200, 20):
            memory.add(collate(mixed[first : first + 20]))
        for text in list_texts(memory.read(torch.arange(len(memory)))):
            kept[int(places[text] >= 100), int(len(text) > 20)] += 1
    share = kept / kept.sum()
    assert float((share - 0.25).abs().max()) < 0.06  # 0.25 each, standard error about 0.018


def test_tasks_and_classes_are_drawn_evenly() -> None:
    memory = TokenMemory("1 MB", generator=torch.Generator().manual_seed(0))
    for task, n_items in (("rare", 5), ("common", 95)):
        batch = collate(make_texts(n_items, seed=n_items)) | {"labels": torch.arange(n_items) % 2}
        memory.add(batch, task=task)
    batch = memory.sample(40, balanced=True)
    pairs = torch.stack([batch["task"], batch["labels"]], 1).unique(dim=0, return_counts=True)
    assert pairs[1].tolist() == [10, 10, 10, 10]
    slots = memory.stratify(12)
    assert memory.read(slots)["task"].sum() in (7, 8)  # five of the rare at most
    assert [memory.name_task(number) for number in (0, 1, 7)] == ["rare", "common", 7]


def test_an_item_that_comes_again_is_stored_once_and_counts_as_new() -> None:
    memory, texts = TokenMemory("1 MB", held_out=0.3), make_texts(60)
    memory.add(collate(texts))
    held = list_texts(memory.read_held_out())
    assert 5 < len(held) < 35
    assert len(memory.take_new()) == 60
    memory.add(collate(texts[:7]))
    assert len(memory) == 60
    assert len(memory.take_new()) == 7
    drawn = [list_texts(memory.sample(30, balanced=balanced)) for balanced in (False, True)]
    assert not any(batch & held for batch in drawn)


def test_held_out_items_stay_apart_when_others_are_given_up() -> None:
    memory, held = TokenMemory(12_000, held_out=0.2), set()
    for seed in range(8):
        memory.add(collate(make_texts(60, seed=seed)), task=seed % 3)
        now = list_texts(memory.read_held_out()) if memory.n_held_out else set()
        drawn = list_texts(memory.sample(10_000))
        assert not held & drawn
        assert len(now) + len(drawn) == len(memory)
        held |= now


def test_top_k_of_answers_points_at_the_outputs_that_were_given() -> None:
    for side in ("right", "left"):
        memory = TokenMemory("1 MB", top_k=4)
        memory.shift = 1
        texts = make_texts(6, vocabulary=500)
        batch = collate(texts, side=side, answer=2)
        logits = torch.randn(*batch["input_ids"].shape, 500)
        memory.add({**batch, "logits": logits})
        back = memory.read(torch.arange(6))
        taught = back["logits"]
        assert taught["ids"].shape == (6, 2, 4)
        for row, ids in enumerate(back["input_ids"]):
            text = ids[back["attention_mask"][row].bool()].tolist()
            source = texts.index(text)
            start = int(batch["attention_mask"][source].argmax())
            mine = logits[source, start + len(text) - 3 : start + len(text) - 1].log_softmax(-1)
            values, top = mine.topk(4)
            assert torch.equal(taught["ids"][row], top)
            torch.testing.assert_close(taught["values"][row], values, atol=0.01, rtol=0)
            first = int(back["attention_mask"][row].argmax())
            assert taught["positions"][row].tolist() == [first + len(text) - 3, first + len(text) - 2]


def test_outputs_of_few_classes_are_stored_whole_and_replaced() -> None:
    memory = TokenMemory("1 MB")
    batch = collate(make_texts(8)) | {"labels": torch.arange(8) % 3}
    logits = torch.randn(8, 3)
    memory.add({**batch, "logits": logits})
    back = memory.read(torch.arange(8))
    torch.testing.assert_close(back["logits"].sum(), logits.half().float().sum())

    def fail() -> None:
        with memory.undoable():
            memory.update(torch.arange(8), {"logits": torch.zeros(8, 3)})
            assert float(memory.read(torch.arange(8))["logits"].abs().sum()) == 0
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert torch.equal(memory.read(torch.arange(8))["logits"], back["logits"])
    memory.update(torch.arange(2), {"logits": torch.full((2, 3), torch.nan)})
    memory.update(torch.arange(2, 4), {"logits": torch.ones(2, 5)})  # two more classes
    after = memory.read(torch.arange(4))
    assert after["logits_length"].tolist() == [3, 3, 5, 5]
    assert torch.equal(after["logits"][:2, :3], back["logits"][:2])


def test_a_state_goes_on_with_the_same_draws(tmp_path) -> None:
    from sharpwave.consolidation.state_files import load_state, save_state

    one = TokenMemory(30_000, path=tmp_path / "tokens", held_out=0.1)
    for seed in range(6):
        one.add(collate(make_texts(60, seed=seed), side="left"), task=f"task {seed % 2}")
    save_state({"memory": one.state_dict()}, tmp_path / "state")
    other = TokenMemory(30_000, held_out=0.1)
    other.load_state_dict(load_state(tmp_path / "state")["memory"])
    assert (len(other), other.n_bytes, other.tasks) == (len(one), one.n_bytes, one.tasks)
    for memory in (one, other):
        memory.add(collate(make_texts(60, seed=77), side="left"), task="task 3")
    for balanced in (True, False):
        mine, theirs = one.sample(16, balanced=balanced), other.sample(16, balanced=balanced)
        assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def poison(state: dict, part: str, value: Tensor) -> dict:
    return {**state, "store": {**state["store"], part: value}}


def test_a_state_that_was_changed_is_refused_in_words() -> None:
    memory = TokenMemory(30_000)
    memory.add(collate(make_texts(20)))
    state = memory.state_dict()
    blocks, sizes = state["store"]["blocks"], state["store"]["sizes"]
    arena = state["store"]["arena"].clone()
    bad = [
        poison(state, "blocks", blocks + 10_000),
        poison(state, "blocks", torch.zeros_like(blocks)),
        poison(state, "sizes", sizes * 1000),
        poison(state, "sizes", -sizes),
        poison(state, "arena", torch.zeros(10**6, 64, dtype=torch.uint8)),
        {**state, "pool": {**state["pool"], "order": [0, 0]}},
        {"store": 3},
    ]
    for each in bad:
        with pytest.raises(SharpwaveError):
            TokenMemory(30_000).load_state_dict(each)
    for seed in range(60):  # other bytes: an item, or words, never much memory
        generator = torch.Generator().manual_seed(seed)
        mixed = arena.clone()
        places = torch.randint(mixed.numel(), (40,), generator=generator)
        mixed.view(-1)[places] = torch.randint(256, (40,), generator=generator).to(torch.uint8)
        other = TokenMemory(30_000)
        other.load_state_dict(poison(state, "arena", mixed))
        for slot in range(len(other)):
            try:
                assert sum(value.numel() for value in other.read(torch.tensor([slot])).values()) < 10_000
            except SharpwaveError:
                continue


def test_what_does_not_fit_is_refused_in_words() -> None:
    memory = TokenMemory(2000)
    memory.add(collate(make_texts(2)))
    for batch, said in (
        (collate([list(range(10, 60_000, 7))]), "smaller than the memory"),
        ({"input_ids": torch.ones(2, 3).long()}, "the same entries"),
    ):
        with pytest.raises(SharpwaveError, match=said):
            memory.add(batch)
    for wrong in ("64 parsecs", 0, "-1 MB", "MB"):
        with pytest.raises(SharpwaveError, match="size above 0"):
            TokenMemory(wrong)


def test_saving_a_mapped_memory_does_not_pull_it_into_memory(tmp_path) -> None:
    from pathlib import Path

    from sharpwave.consolidation.state_files import load_state, save_state

    def measure_private() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024

    if not Path("/proc/self/status").exists():
        pytest.skip("no /proc")
    size = 64 * 2**20
    memory = TokenMemory(size, path=tmp_path / "tokens")
    memory.add({"input_ids": torch.randint(70_000, 2**31 - 1, (12, 2**20))})  # 4 MB each
    before, most, done = measure_private(), [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.002):
            most.append(measure_private())

    watcher = threading.Thread(target=watch)
    watcher.start()
    save_state(memory.state_dict(), tmp_path / "state")
    done.set()
    watcher.join()
    assert max(most) - before < 16 * 2**20
    other = TokenMemory(size)
    other.load_state_dict(load_state(tmp_path / "state"))
    assert torch.equal(other.read(torch.tensor([3]))["input_ids"], memory.read(torch.tensor([3]))["input_ids"])
