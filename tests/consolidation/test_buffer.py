from __future__ import annotations

import time

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


def test_items_that_are_not_finite_are_left_out_and_said() -> None:
    buffer = ReplayBuffer(10)
    items = make_items([0, 1, 2, 3])
    items["x"][1, 2], items["x"][3, 0] = torch.nan, torch.inf
    with pytest.warns(UserWarning, match="2 items with NaN or infinite values"):
        buffer.add(items)
    assert (sorted(buffer.read(torch.arange(2))["id"].tolist()), len(buffer), buffer.n_refused) == ([0, 2], 2, 2)
    buffer.add(make_items([5, 6]), keep=torch.tensor([False, True]))
    assert buffer.read(torch.arange(3))["y"].tolist() == [0, 2, 6]
    assert torch.isfinite(buffer.read(torch.arange(3))["x"]).all()


@pytest.mark.parametrize(
    ("storage", "first", "later", "message"),
    [
        ({}, torch.zeros(2, 3, dtype=torch.uint8), torch.full((2, 3), 0.9), "torch.float32 where it was torch.uint8"),
        ({}, torch.zeros(2, 3), torch.ones(2, 3, dtype=torch.uint8), "torch.uint8 where it was torch.float32"),
        ({"x": torch.uint8}, torch.zeros(2, 3), torch.full((2, 3), 0.9), "fractions"),
        ({"x": torch.uint8}, torch.zeros(2, 3).long(), torch.full((2, 3), 300), "values from 300 to 300"),
        ({"x": torch.uint8}, torch.zeros(2, 3).long(), torch.full((2, 3), -100), "values from -100 to -100"),
        ({"x": torch.float16}, torch.zeros(2, 3), torch.full((2, 3), 1e6), "1e\\+06, more than torch.float16"),
        ({}, torch.zeros(2, 3, dtype=torch.int32), torch.full((2, 3), 2**40), "more than torch.int32 holds"),
    ],
)
def test_values_that_would_not_come_back_are_refused(storage: dict, first, later, message: str) -> None:
    buffer = ReplayBuffer(10, storage=storage)
    buffer.add({"x": first})
    with pytest.raises(SharpwaveError, match=f"in 'x'.*{message}"):
        buffer.add({"x": later})
    assert len(buffer) == 2


def test_options_that_name_no_entry_are_refused() -> None:
    for options in ({"storage": {"X": "uint8"}}, {"max_length": {"tokens": 5}}, {"padding": {"z": 1}}):
        with pytest.raises(SharpwaveError, match=f"{next(iter(options))} for entries of the batch: x, y, id"):
            ReplayBuffer(10, **options).add(make_items([0]))
    with pytest.raises(SharpwaveError, match="storage as a dictionary by entry"):
        ReplayBuffer(10, storage="uint8")  # type: ignore[arg-type]
    with pytest.raises(SharpwaveError, match=r"'float12' for values of torch\.float32"):
        ReplayBuffer(10, storage={"x": "float12"}).add(make_items([0]))
    with pytest.raises(SharpwaveError, match="a capacity as a whole number"):
        ReplayBuffer("500")  # type: ignore[arg-type]


def test_what_pads_sequences() -> None:
    def store(name: str, dtype: torch.dtype = torch.int64, **options) -> list:
        buffer = ReplayBuffer(5, max_length={name: 4}, **options)
        buffer.add({name: [torch.tensor([5, 6, 7], dtype=dtype), torch.tensor([8], dtype=dtype)]})
        return buffer.read(torch.arange(2))[name][1].tolist()

    assert store("labels") == store("y", torch.int32) == [8, -100, -100]
    assert store("x") == store("y", torch.float32) == [8, 0, 0]
    assert store("x", padding={"x": 9}) == store("y", torch.uint8, padding={"y": 9}) == [8, 9, 9]
    with pytest.raises(SharpwaveError, match="labels in 'targets' of a signed type"):
        store("targets", torch.uint8)
    buffer = ReplayBuffer(5, max_length={"x": 6, "y": 6})
    for width in (3, 5):
        buffer.add({"x": torch.full((1, width), width), "y": torch.full((1, width), width)})
    assert buffer.read(torch.arange(2))["y"].tolist() == [[3, 3, 3, -100, -100], [5] * 5]
    with pytest.raises(SharpwaveError, match=r"shape \(6,\) in 'x'; got \(7,\)"):
        buffer.add({"x": torch.zeros(1, 7).long(), "y": torch.zeros(1, 7).long()})


def test_two_buffers_do_not_share_a_folder(tmp_path) -> None:
    first = ReplayBuffer(10, path=tmp_path)
    first.add(make_items([0, 1]))
    with pytest.raises(SharpwaveError, match="a folder of its own for each buffer"):
        ReplayBuffer(10, path=tmp_path).add(make_items([5]))
    assert first.read(torch.arange(2))["y"].tolist() == [0, 1]
    state = first.state_dict()
    assert state["table"]["x"]["values"].data_ptr() == first._table.columns["x"].values.data_ptr()
    del first, state
    again = ReplayBuffer(10, path=tmp_path)
    again.add(make_items([5]))
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "x.bin").write_bytes(b"precious")
    with pytest.raises(SharpwaveError, match=r"x\.bin of something else"):
        ReplayBuffer(10, path=mine).add(make_items([0]))
    assert (mine / "x.bin").read_bytes() == b"precious"
    with pytest.raises(SharpwaveError, match="different names"):
        ReplayBuffer(10, path=tmp_path / "third").add({"a": {"b": torch.ones(1)}, "a.b": torch.ones(1)})


def test_more_than_the_machine_holds_is_refused_with_its_size() -> None:
    buffer = ReplayBuffer(5_000_000)
    with pytest.raises(SharpwaveError, match=r"TB|GB of it for 'logits'.*Wake\('er'\)"):
        buffer.add({"x": torch.zeros(1, 2), "logits": torch.zeros(1, 512, 4096)})


def test_many_classes_cost_no_more_than_few() -> None:
    def measure(n_classes: int) -> tuple[float, float]:
        buffer = ReplayBuffer(n_classes, policy="balanced")
        buffer.add({"x": torch.zeros(n_classes, 1), "y": torch.arange(n_classes)})
        visits = [0]
        largest = buffer._index.find_largest

        class Counting(dict):
            def items(self):
                visits[0] += len(self)
                return super().items()

        buffer._index.members = Counting(buffer._index.members)
        begun = time.process_time()
        buffer.add({"x": torch.zeros(200, 1), "y": torch.arange(n_classes, n_classes + 200)})
        buffer.sample(64, balanced=True)
        assert largest() in buffer._index.members
        return time.process_time() - begun, visits[0] / n_classes

    assert measure(20_000)[1] <= 3
    assert measure(500)[1] <= 3


def test_the_largest_class_is_found_as_by_looking_at_all() -> None:
    rng = torch.Generator().manual_seed(0)
    buffer = ReplayBuffer(40, policy="balanced", generator=rng)
    for _ in range(60):
        buffer.add({"x": torch.zeros(7, 1), "y": torch.randint(12, (7,), generator=rng) ** 2 // 12})
        members = buffer._index.members
        assert buffer._index.find_largest() == max(members, key=lambda key: len(members[key]))
        assert set(buffer._index.order) == set(members)


def test_a_stratified_sample_is_of_the_whole_buffer_without_repeats() -> None:
    buffer = ReplayBuffer(1000)
    buffer.add(make_items([0] * 900 + [1] * 90 + [2] * 10))
    slots = buffer.stratify(100)
    assert len(slots.unique()) == 100
    assert buffer.read(slots)["y"].bincount().tolist() == [45, 45, 10]
    assert (slots > 500).any()
    assert buffer.stratify(2000).tolist() == list(range(1000))


def test_without_a_generator_the_draws_are_the_buffers_own_and_resume() -> None:
    torch.manual_seed(5)
    first, other = ReplayBuffer(20), ReplayBuffer(20)
    first.add(make_items(list(range(50))))
    torch.manual_seed(6)
    other.load_state_dict(first.state_dict())
    for buffer in (first, other):
        buffer.add(make_items(list(range(50))))
        torch.rand(3)
    assert torch.equal(first.sample(7)["id"], other.sample(7)["id"])
    assert torch.equal(first.read(torch.arange(20))["id"], other.read(torch.arange(20))["id"])


def test_held_out_items_stay_apart_after_resuming() -> None:
    first, other = (ReplayBuffer(40, held_out=0.25) for _ in range(2))
    first.add(make_items([i % 4 for i in range(200)]))
    other.load_state_dict(first.state_dict())
    assert torch.equal(first.sample(9, balanced=True)["id"], other.sample(9, balanced=True)["id"])
    kept = set(other.read_held_out()["id"].tolist())
    assert not kept & {i for _ in range(20) for i in other.sample(16, balanced=True)["id"].tolist()}


def test_items_are_stored_before_they_are_transformed() -> None:
    buffer = ReplayBuffer(10, transform=lambda batch: batch | {"x": batch["x"] + 100})
    buffer.add(make_items([0, 1, 2]))
    assert buffer.read(torch.arange(3))["x"].max() == 2
    drawn = buffer.sample(3)
    assert torch.equal(drawn["x"][:, 0], drawn["id"] + 100.0)


def test_a_head_that_grows_keeps_what_was_known() -> None:
    for storage in ({}, {"logits": "int8"}):
        buffer = ReplayBuffer(10, storage=storage)
        buffer.add({"y": torch.arange(2), "logits": torch.tensor([[1.0, -1.0], [0.5, -0.5]])})
        buffer.add({"y": torch.arange(2), "logits": torch.ones(2, 4)})
        read = buffer.read(torch.arange(4))
        assert read["logits"].shape == (4, 4)
        torch.testing.assert_close(read["logits"][:2, :2], torch.tensor([[1.0, -1.0], [0.5, -0.5]]), atol=0.01, rtol=0)
        assert read["logits_length"].tolist() == [2, 2, 4, 4]
        other = ReplayBuffer(10, storage=storage)
        other.load_state_dict(buffer.state_dict())
        assert torch.equal(other.read(torch.arange(4))["logits"], read["logits"])


@pytest.mark.parametrize("storage", [{}, {"x": "uint8"}])
def test_rows_that_wait_are_those_that_were_written_at_once(
    storage: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stored = []
    for most in (1, 64):
        monkeypatch.setattr("sharpwave.consolidation.table.MOST_WAITING", most)
        buffer = ReplayBuffer(8, storage=storage, generator=torch.Generator().manual_seed(0))
        for item in range(300):
            value = torch.full((1, 4), float(item)) + torch.arange(4)
            buffer.add({"x": value, "y": torch.tensor([item % 3])})
            value.zero_()  # a batch that is used again for the next
        buffer.update(torch.tensor([3]), {"x": torch.ones(1, 4)})
        stored.append(buffer.read(torch.arange(8)))
    assert stored[0].keys() == stored[1].keys()
    for name, value in stored[0].items():
        assert torch.equal(value, stored[1][name])
    assert stored[0]["x"][:, 0].unique().numel() == 8


@pytest.mark.parametrize(
    ("name", "fill"), [("tags", -100), ("gt", -100), ("answer_ids", -100), ("labels2", -100), ("ids", 0)]
)
def test_labels_by_other_names_are_padded_with_what_no_loss_counts(name: str, fill: int) -> None:
    buffer = ReplayBuffer(2)
    buffer.add({name: [torch.tensor([5, 6]), torch.tensor([5, 6, 7])]})
    assert buffer.read(torch.arange(2))[name].tolist() == [[5, 6, fill], [5, 6, 7]]


def test_complex_numbers_do_not_lose_their_imaginary_part() -> None:
    buffer = ReplayBuffer(4)
    buffer.add({"x": torch.ones(2, 3)})
    with pytest.raises(SharpwaveError, match="complex64 where it was"):
        buffer.add({"x": torch.ones(2, 3, dtype=torch.complex64)})


def test_slots_that_hold_nothing_and_odd_numbers_of_items() -> None:
    buffer = ReplayBuffer(torch.tensor([8]).numpy()[0])
    buffer.add(make_items([0, 1]), keep=[True, True])
    assert [len(buffer.sample(0, balanced=balanced)["x"]) for balanced in (False, True)] == [0, 0]
    for slots in ([2], [-1]):
        with pytest.raises(SharpwaveError, match="slots of the 2 items"):
            buffer.read(torch.tensor(slots))
    with pytest.raises(SharpwaveError, match="-1 to draw"):
        buffer.sample(-1)
    with pytest.raises(SharpwaveError, match="a dictionary; got tuple"):
        buffer.add((torch.ones(2, 3), torch.ones(2)))
