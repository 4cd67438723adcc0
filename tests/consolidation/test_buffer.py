from __future__ import annotations

import pytest
import torch

from sharpwave.consolidation import ReplayBuffer
from sharpwave.errors import SharpwaveError


def make_items(labels: list[int], *, first: int = 0) -> dict[str, torch.Tensor]:
    count = torch.arange(first, first + len(labels))
    return {"x": count[:, None].float().expand(-1, 3).contiguous(), "y": torch.tensor(labels), "id": count}


def test_bytes_are_exact() -> None:
    buffer = ReplayBuffer(n_bytes=10_000, storage={"x": "uint8", "logits": torch.float16, "y": torch.uint8})
    buffer.add({"x": torch.rand(5, 1, 28, 28), "y": torch.arange(5), "logits": torch.randn(5, 10)})
    assert buffer.item_bytes == 784 + 8 + 1 + 20
    assert buffer.capacity == 10_000 // 813
    stored = sum(c.values.nbytes + c.scales.nbytes for c in buffer._table.columns.values())
    assert stored == buffer.n_bytes <= 10_000


def test_what_is_stored_is_what_was_given() -> None:
    buffer = ReplayBuffer(20)
    buffer.add(make_items([0, 1, 2, 3]), task=7)
    batch = buffer.sample(4)
    assert torch.equal(batch["x"][:, 0], batch["id"].float())
    assert torch.equal(batch["y"], batch["id"])
    assert batch["task"].tolist() == [7] * 4
    assert torch.equal(buffer.read(batch["index"])["id"], batch["id"])


def test_nested_and_variable_lengths() -> None:
    buffer = ReplayBuffer(10, max_length={"text/tokens": 6})
    buffer.add({"text": {"tokens": [torch.tensor([1, 2, 3]), torch.tensor([4])]}, "y": torch.tensor([0, 1])})
    buffer.add({"text": {"tokens": [torch.tensor([5] * 6)]}, "y": torch.tensor([2])})
    batch = buffer.sample(3)
    for tokens, length, label in zip(batch["text"]["tokens"], batch["text"]["tokens_length"], batch["y"], strict=True):
        assert tokens[:length].tolist() == {0: [1, 2, 3], 1: [4], 2: [5] * 6}[int(label)]
        assert not tokens[length:].any()
    short = buffer.read(torch.tensor([0, 1]))
    assert short["text"]["tokens"].shape == (2, 3)


def test_a_longer_item_than_there_is_room_for() -> None:
    buffer = ReplayBuffer(10)
    buffer.add({"tokens": [torch.ones(2)]})
    with pytest.raises(SharpwaveError, match=r"max_length=\{'tokens'"):
        buffer.add({"tokens": [torch.ones(3)]})


def test_balanced_samples_hold_as_many_of_each_class() -> None:
    buffer = ReplayBuffer(100)
    buffer.add(make_items([0] * 90 + [1] * 3 + [2] * 7))
    batch = buffer.sample(30, balanced=True)
    assert batch["y"].bincount().tolist() == [10, 10, 10]
    assert batch["id"][batch["y"] == 2].unique().numel() == 7


def test_a_sample_without_balance_repeats_nothing() -> None:
    buffer = ReplayBuffer(50)
    buffer.add(make_items([0] * 50))
    assert buffer.sample(20)["id"].unique().numel() == 20
    assert len(buffer.sample(80)["id"]) == 50


def test_held_out_items_are_never_sampled() -> None:
    buffer = ReplayBuffer(40, held_out=0.25)
    buffer.add(make_items([i % 4 for i in range(200)]))
    kept = set(buffer.read_held_out()["id"].tolist())
    assert len(kept) == 10
    for balanced in (False, True):
        drawn = {i for _ in range(30) for i in buffer.sample(16, balanced=balanced)["id"].tolist()}
        assert not drawn & kept


def test_a_group_balanced_buffer() -> None:
    buffer = ReplayBuffer(40, policy="group-balanced")
    labels = torch.arange(1000) % 2
    groups = torch.where(torch.arange(1000) % 50 < 2, 1 - labels, labels)
    buffer.add({"x": torch.zeros(1000, 1), "y": labels, "group": groups})
    stored = buffer.sample(40)
    assert torch.bincount(2 * stored["y"] + stored["group"]).tolist() == [10] * 4
    drawn = buffer.sample(20, balanced=True)
    assert torch.bincount(2 * drawn["y"] + drawn["group"]).tolist() == [5] * 4


def test_values_are_updated_where_they_are() -> None:
    buffer = ReplayBuffer(10)
    buffer.add(make_items([0] * 5) | {"logits": torch.zeros(5, 2)})
    buffer.update(torch.tensor([1, 3]), {"logits": torch.ones(2, 2)})
    assert buffer.read(torch.arange(5))["logits"][:, 0].tolist() == [0, 1, 0, 1, 0]
    with pytest.raises(SharpwaveError, match="add items that have this entry"):
        buffer.update(torch.tensor([1]), {"other": torch.ones(1)})


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
@pytest.mark.parametrize("mapped", [False, True])
def test_a_resumed_buffer_goes_on_as_the_first_would(policy: str, mapped: bool, tmp_path) -> None:
    def make(name: str) -> ReplayBuffer:
        path = tmp_path / name if mapped else None
        generator = torch.Generator().manual_seed(3)
        return ReplayBuffer(30, policy=policy, storage={"x": "int8"}, path=path, generator=generator)

    def offer(buffer: ReplayBuffer, first: int) -> None:
        for start in range(first, first + 300, 20):
            buffer.add(make_items([i % 3 for i in range(start, start + 20)], first=start))

    whole, resumed = make("whole"), make("resumed")
    offer(whole, 0)
    resumed.load_state_dict(whole.state_dict())
    for buffer in (whole, resumed):
        offer(buffer, 300)
    first, second = whole.sample(12, balanced=True), resumed.sample(12, balanced=True)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert torch.equal(whole.read(torch.arange(30))["x"], resumed.read(torch.arange(30))["x"])


def test_values_on_disk_are_in_files(tmp_path) -> None:
    buffer = ReplayBuffer(1000, path=tmp_path)
    buffer.add({"image": {"left": torch.rand(4, 16)}, "y": torch.arange(4)})
    assert (tmp_path / "image.left.bin").stat().st_size == 1000 * 16 * 4
    assert buffer.sample(4)["image"]["left"].shape == (4, 16)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either a capacity in items or a budget in bytes"),
        ({"capacity": 5, "n_bytes": 100}, "give one of them"),
        ({"capacity": 5, "policy": "ring"}, "a policy among reservoir, balanced, group-balanced"),
        ({"capacity": 5, "held_out": 1.0}, "a share held out"),
    ],
)
def test_options_that_do_not_fit(options: dict, message: str) -> None:
    with pytest.raises(SharpwaveError, match=message):
        ReplayBuffer(**options)


def test_items_that_do_not_fit() -> None:
    with pytest.raises(SharpwaveError, match="a budget for at least one item of 28 bytes"):
        ReplayBuffer(n_bytes=20).add(make_items([0]))
    with pytest.raises(SharpwaveError, match="add items before sampling"):
        ReplayBuffer(10).sample(2)
    with pytest.raises(SharpwaveError, match="an entry 'group'"):
        ReplayBuffer(10, policy="group-balanced").add(make_items([0]))
    buffer = ReplayBuffer(10)
    buffer.add(make_items([0]))
    with pytest.raises(SharpwaveError, match="items with the entries x, y, id"):
        buffer.add({"x": torch.zeros(1, 3)})
    with pytest.raises(SharpwaveError, match=r"items of shape \(3,\) in 'x'"):
        buffer.add(make_items([0]) | {"x": torch.zeros(1, 4)})
