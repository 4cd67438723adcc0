from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import make_network, make_points
from torch import nn

from sharpwave.consolidation import ReplayBuffer, Wake, compute_wake_loss
from sharpwave.consolidation.batches import compute_cross_entropy, compute_distillation
from sharpwave.consolidation.wake import mask_unseen
from sharpwave.errors import SharpwaveError


def make_filled() -> tuple[nn.Module, dict[str, torch.Tensor], ReplayBuffer]:
    network = make_network()
    points, labels = make_points(4, seed=1)
    buffer = ReplayBuffer(10)
    buffer.add({"x": points[:10], "y": labels[:10], "logits": torch.ones(10, 6)})
    return network, {"x": points[-6:], "y": labels[-6:]}, buffer


def compute_expected(network: nn.Module, buffer: ReplayBuffer, batch: dict, method: str) -> torch.Tensor:
    old = buffer.read(torch.arange(10))
    new, again = network(batch["x"]), network(old["x"])
    ce = nn.functional.cross_entropy
    task = ce(new, batch["y"])
    if method == "none":
        return task
    if method == "er":
        return task + ce(again, old["y"])
    if method == "er-ace":
        own = torch.full_like(new, -torch.inf)
        own[:, batch["y"].unique()] = new[:, batch["y"].unique()]
        return ce(own, batch["y"]) + ce(again, old["y"])
    return task + 0.3 * (again - old["logits"]).square().mean() + 0.7 * ce(again, old["y"])


@pytest.mark.parametrize("method", ["none", "er", "der++", "er-ace"])
def test_losses_are_those_of_their_papers(method: str) -> None:
    network, batch, buffer = make_filled()
    wake = Wake(method, n_replay=10, distillation=0.3, replay=0.7, draws=2)
    loss, logits = compute_wake_loss(network, batch, buffer, wake=wake)
    torch.testing.assert_close(loss, compute_expected(network, buffer, batch, method))
    torch.testing.assert_close(logits, network(batch["x"]).detach())
    assert not logits.requires_grad
    assert len(buffer) == 10


def test_an_empty_buffer_replays_nothing() -> None:
    network, batch, _ = make_filled()
    loss, _ = compute_wake_loss(network, batch, ReplayBuffer(10))
    torch.testing.assert_close(loss, nn.functional.cross_entropy(network(batch["x"]), batch["y"]))


def test_absent_classes_get_no_gradient_in_er_ace() -> None:
    logits = torch.zeros(2, 4, requires_grad=True)
    nn.functional.cross_entropy(mask_unseen(logits, torch.tensor([1, 2])), torch.tensor([1, 2])).backward()
    assert logits.grad is not None
    assert not logits.grad[:, [0, 3]].any()
    assert logits.grad[:, [1, 2]].all()


def test_tokens_that_are_not_counted() -> None:
    logits = torch.randn(2, 3, 5)
    labels = torch.tensor([[1, 2, -100], [4, -100, -100]])
    loss = compute_cross_entropy(logits, {"y": labels})
    torch.testing.assert_close(loss[0], nn.functional.cross_entropy(logits[0, :2], labels[0, :2]))
    torch.testing.assert_close(loss[1], nn.functional.cross_entropy(logits[1, :1], labels[1, :1]))


def test_distillation_is_nothing_between_equals() -> None:
    logits = torch.randn(4, 5)
    assert float(compute_distillation(logits, logits)) == 0
    assert float(compute_distillation(logits, logits + 3, temperature=2.0)) == pytest.approx(0, abs=1e-6)
    assert float(compute_distillation(logits, logits.flip(1), temperature=2.0)) > 0


def test_items_of_a_step() -> None:
    assert [Wake(method).count_items(16) for method in ("none", "er", "er-ace", "der++")] == [16, 32, 32, 32]
    assert Wake("der++", draws=2).count_items(16) == 48
    assert Wake("der++", replay=0.0, n_replay=4).count_items(16) == 20


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="a method among none, er"):
        Wake("gem")
    with pytest.raises(SharpwaveError, match="one or two draws of at least one item"):
        Wake(draws=3)
    network, batch, _ = make_filled()
    buffer = ReplayBuffer(10)
    buffer.add(batch)
    with pytest.raises(SharpwaveError, match="a buffer that holds logits"):
        compute_wake_loss(network, batch, buffer)


def test_replayed_labels_weigh_one_and_half_of_that_beside_batch_norm() -> None:
    plain, normed = nn.Linear(2, 2), nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert Wake().find_weight(plain) == 1.0
    assert Wake().find_weight(normed) == 0.5
    assert Wake().find_weight(normed.eval()) == 1.0
    assert Wake(replay=0.3).find_weight(normed.train()) == 0.3
    assert Wake("er", replay=0.3).find_weight(normed) == 1.0
    assert Wake(replay=0.0).n_draws == 1
    batch, buffer = {"x": torch.eye(2), "y": torch.arange(2)}, ReplayBuffer(8)
    buffer.add({**batch, "logits": plain(batch["x"]).detach()})
    loss, _ = compute_wake_loss(plain, batch, buffer)
    alone = nn.functional.cross_entropy(plain(batch["x"]), batch["y"])
    assert float(loss.detach()) == pytest.approx(2 * float(alone.detach()), rel=1e-5)  # what is stored is what is given
